/* Makes the folder FOLDER with a file work.c in it when it is created, as somebody might who begins to work there.
 * Macros: PLUGIN_ID, FOLDER. */
#include <stdio.h>
#include <sys/stat.h>

#include <tenon/entry.h>

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  (void)id;
  return NULL;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  (void)host;
  if (mkdir(FOLDER, 0755) == 0) {
    FILE* file = fopen(FOLDER "/work.c", "w");
    if (file != NULL) fclose(file);
  }
  plugin = (tenon_plugin_t){.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Occupies", "1.0.0", "Makes a folder.", NULL, TENON_TRIAL_FULL, create)
