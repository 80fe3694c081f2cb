/*
 * A plugin that writes down what is done to it, one line "id step" each, into the file that LC_TENON_JOURNAL names,
 * whose name ends with the process of the host: in that, or in one of its own, and not in a trial. Macros:
 *   BUILD              end of its version
 *   FAIL_AT            name of a step that fails, and in no trial
 *   WITH_STATE         tenon.state
 *   WITH_PROVIDER      tenon.auth: "Key NAME" of the header authorization is somebody called NAME
 *   WITH_MIDDLEWARE    tenon.middleware, with this order
 *   WITH_HOOK          tenon.hooks
 *   WITH_CONFIG        tenon.config: what `changed` returns
 *   ROUTE_AUTH         of its route, such as TENON_AUTH_IDENTITY
 *   ROUTE_SIZE         of its route: with the headers of an older release that is less
 */
#ifndef BUILD
#define BUILD "1"
#endif
#ifndef FAIL_AT
#define FAIL_AT ""
#endif
#ifndef ROUTE_AUTH
#define ROUTE_AUTH TENON_AUTH_NONE
#endif
#ifndef ROUTE_SIZE
#define ROUTE_SIZE sizeof(tenon_route_t)
#endif
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/auth.h>
#include <tenon/ext/config.h>
#include <tenon/ext/hooks.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>
#include <tenon/ext/middleware.h>
#include <tenon/ext/state.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;

/* What `step` is to return. */
static tenon_status note(const char* step) {
  const char* path = getenv("LC_TENON_JOURNAL");
  const char* pid = path == NULL ? NULL : strrchr(path, '-');
  const pid_t test = pid == NULL ? 0 : atoi(pid + 1);
  if (test != getpid() && test != getppid()) return TENON_OK;
  const int file = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file < 0) return TENON_OK;
  char line[512];
  const int size = snprintf(line, sizeof line, "%s %s\n", PLUGIN_ID, step);
  const ssize_t written = write(file, line, (size_t)size);
  close(file);
  if (written != size) return TENON_ERROR;
  return strcmp(step, FAIL_AT) == 0 ? TENON_ERROR : TENON_OK;
}

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return note("routes") == TENON_OK ? 1 : 5000;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  (void)index;
  static const tenon_route_t only = {.size = ROUTE_SIZE,
                                     .method = TENON_HTTP_GET,
                                     .pattern = {"/who", 4},
                                     .execution = TENON_EXECUTION_POOL,
                                     .auth = ROUTE_AUTH};
  return &only;
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  (void)index;
  const tenon_host_auth_t* auth = host->get_extension(host, TENON_AUTH_ID);
  tenon_identity_t identity = {.size = sizeof identity};
  if (auth != NULL && auth->identity != NULL && auth->identity(request, &identity))
    return http->set_body(response, identity.subject);
  return http->set_body(response, TEXT("nobody"));
}

static const tenon_plugin_http_t http_side = {sizeof http_side, 0, route_count, route, handle};

#ifdef WITH_STATE
static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  (void)plugin;
  const tenon_status status = note("save");
  return status == TENON_OK ? writer->write(writer, TEXT("what it knows")) : status;
}

static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader) {
  (void)plugin;
  return note(reader->dry_run ? "try" : "load");
}

static const tenon_plugin_state_t state_side = {sizeof state_side, 1, save, load};
#endif

#ifdef WITH_PROVIDER
static uint32_t provider_count(tenon_plugin_t* plugin) {
  (void)plugin;
  note("providers");
  return 1;
}

static const tenon_auth_provider_t* provider(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  (void)index;
  static const tenon_auth_provider_t key = {sizeof key, {"Key", 3}, {"authorization", 13}, {"Key realm=\"test\"", 16}};
  return &key;
}

static tenon_status authenticate(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                                 tenon_bytes_t credential, const tenon_auth_answer_t* answer) {
  (void)plugin;
  (void)index;
  (void)request;
  const tenon_identity_t identity = {.size = sizeof identity, .subject = credential};
  return answer->accept(answer, &identity, 0);
}

static const tenon_plugin_auth_t auth_side = {
    .size = sizeof auth_side, .provider_count = provider_count, .provider = provider, .authenticate = authenticate};
#endif

#ifdef WITH_MIDDLEWARE
static tenon_status before(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response,
                           bool* answered) {
  (void)plugin;
  (void)request;
  (void)answered;
  return http->add_header(response, TEXT("x-through"), TEXT(PLUGIN_ID));
}

static const tenon_plugin_middleware_t middleware_side = {sizeof middleware_side, WITH_MIDDLEWARE, before, NULL};
#endif

#ifdef WITH_HOOK
static uint32_t hook_count(tenon_plugin_t* plugin) {
  (void)plugin;
  note("hooks");
  return 1;
}

static const tenon_hook_t* hook(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  (void)index;
  static const tenon_hook_t greet = {.size = sizeof greet, .version = 1, .name = {"actor.greet", 11}};
  return &greet;
}

static tenon_status call(tenon_plugin_t* plugin, uint32_t index, tenon_bytes_t input,
                         const tenon_hook_output_t* output) {
  (void)plugin;
  (void)index;
  return output->write(output, input);
}

static const tenon_plugin_hooks_t hooks_side = {sizeof hooks_side, hook_count, hook, call};
#endif

#ifdef WITH_CONFIG
static tenon_status changed(tenon_plugin_t* plugin, tenon_bytes_t application, tenon_bytes_t json) {
  (void)plugin;
  char step[256];
  snprintf(step, sizeof step, "changed %.*s %.*s", (int)application.size, application.data, (int)json.size, json.data);
  note(step);
  return WITH_CONFIG;
}

static const tenon_plugin_config_t config_side = {sizeof config_side, changed};
#endif

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &http_side;
#ifdef WITH_STATE
  if (strcmp(id, TENON_STATE_ID) == 0) return &state_side;
#endif
#ifdef WITH_PROVIDER
  if (strcmp(id, TENON_AUTH_ID) == 0) return &auth_side;
#endif
#ifdef WITH_MIDDLEWARE
  if (strcmp(id, TENON_MIDDLEWARE_ID) == 0) return &middleware_side;
#endif
#ifdef WITH_HOOK
  if (strcmp(id, TENON_HOOKS_ID) == 0) return &hooks_side;
#endif
#ifdef WITH_CONFIG
  if (strcmp(id, TENON_CONFIG_ID) == 0) return &config_side;
#endif
  return NULL;
}

static void visit_own(void* context, tenon_bytes_t json) {
  (void)context;
  char step[256];
  snprintf(step, sizeof step, "own %.*s", (int)json.size, json.data);
  if (json.size > 2) note(step);
}

static void visit_consumer(void* context, tenon_bytes_t application, tenon_bytes_t settings) {
  (void)context;
  char step[256];
  snprintf(step, sizeof step, "consumer %.*s %.*s", (int)application.size, application.data, (int)settings.size,
           settings.data);
  note(step);
}

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  const tenon_status status = note("initialize");
#ifdef WITH_CONFIG
  const tenon_host_config_t* config = host->get_extension(host, TENON_CONFIG_ID);
  if (config != NULL) {
    config->own(host, visit_own, NULL);
    config->consumers(host, visit_consumer, NULL);
  }
#else
  (void)visit_own;
  (void)visit_consumer;
#endif
  return status;
}

static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  (void)plugin;
  (void)context;
  return note("ready");
}

static void shut_down(tenon_plugin_t* plugin) {
  (void)plugin;
  note("shutdown");
}

static void destroy(tenon_plugin_t* plugin) {
  (void)plugin;
  note("destroy");
}

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  host = given;
  http = host->get_extension(host, TENON_HTTP_ID);
  static tenon_plugin_t plugin;
  plugin = (tenon_plugin_t){.size = sizeof plugin,
                            .initialize = initialize,
                            .ready = ready,
                            .shutdown = shut_down,
                            .destroy = destroy,
                            .get_extension = get_extension};
  *out = &plugin;
  return note("create");
}

TENON_PLUGIN(PLUGIN_ID, "Actor", "1.0." BUILD, "Writes down what is done to it.", NULL, TENON_TRIAL_FULL, create)
