/*
 * The smallest plugin there is. A file that includes it changes one thing:
 *   PLUGIN_ID, PLUGIN_VERSION, PLUGIN_TRIAL   what it says of itself
 *   INITIALIZE, HEALTH, DESTROY               name of an own function for the step
 *   GET_EXTENSION                             the same for what it offers
 *   OWN_ENTRY                                 defined: the file brings entry and note itself
 */
#ifndef TEST_MINIMAL_H
#define TEST_MINIMAL_H

#include <tenon/entry.h>
#include <tenon/ext/log.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "fault"
#endif
#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION "1.0.0"
#endif
#ifndef PLUGIN_TRIAL
#define PLUGIN_TRIAL TENON_TRIAL_FULL
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static inline void log_text(const tenon_host_t* host, int32_t level, tenon_bytes_t message) {
  const tenon_host_log_t* log = host->get_extension(host, TENON_LOG_ID);
  if (log != NULL) log->write(host, level, message, NULL, 0);
}

#ifdef INITIALIZE
static tenon_status INITIALIZE(tenon_plugin_t* plugin);
#else
#define INITIALIZE NULL
#endif
#ifdef HEALTH
static tenon_status HEALTH(tenon_plugin_t* plugin);
#else
#define HEALTH NULL
#endif
#ifdef DESTROY
static void DESTROY(tenon_plugin_t* plugin);
#else
#define DESTROY minimal_destroy
static void minimal_destroy(tenon_plugin_t* plugin) { (void)plugin; }
#endif

#ifdef GET_EXTENSION
static const void* GET_EXTENSION(tenon_plugin_t* plugin, const char* id);
#else
#define GET_EXTENSION minimal_get_extension
static const void* minimal_get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  (void)id;
  return NULL;
}
#endif

static tenon_status minimal_create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  plugin = (tenon_plugin_t){.size = sizeof plugin,
                            .data = (void*)host,
                            .initialize = INITIALIZE,
                            .health = HEALTH,
                            .destroy = DESTROY,
                            .get_extension = GET_EXTENSION};
  *out = &plugin;
  return TENON_OK;
}

#ifndef OWN_ENTRY
TENON_PLUGIN(PLUGIN_ID, "Test", PLUGIN_VERSION, "A plugin of the tests.", NULL, PLUGIN_TRIAL, minimal_create)
#endif

#endif
