/*
 * Writes and logs what its query asks for, `how`, on the event loop or on a thread of the pool. Macros:
 *   PLUGIN_ID
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>
#include <tenon/ext/tasks.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "talks"
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static struct {
  tenon_plugin_t plugin;
  const tenon_host_t* host;
  const tenon_host_http_t* http;
  const tenon_host_log_t* log;
  const tenon_host_tasks_t* tasks;
} talks;

#define ROUTE(verb, text, where)                                                                                       \
  {                                                                                                                    \
    .size = sizeof(tenon_route_t), .method = TENON_HTTP_##verb, .pattern = {text, sizeof(text) - 1},                   \
    .execution = TENON_EXECUTION_##where, .auth = TENON_AUTH_NONE                                                      \
  }

static const tenon_route_t routes[] = {ROUTE(GET, "/inline", INLINE), ROUTE(GET, "/pool", POOL),
                                       ROUTE(POST, "/pool", POOL)};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return sizeof routes / sizeof routes[0];
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static void say(int32_t level, tenon_bytes_t message) {
  if (talks.log != NULL) talks.log->write(talks.host, level, message, NULL, 0);
}

static void log_all(void) {
  say(TENON_LOG_TRACE, TEXT("says trace"));
  say(TENON_LOG_DEBUG, TEXT("says debug"));
  say(TENON_LOG_INFO, TEXT("says info"));
  say(TENON_LOG_WARN, TEXT("says warn"));
}

static void in_task(void* context, uint64_t number) {
  (void)context;
  (void)number;
  say(TENON_LOG_INFO, TEXT("says in a task"));
  printf("printed in a task\n");
}

static void* in_thread(void* unused) {
  printf("printed in a thread\n");
  return unused;
}

static void write_raw(const char* text) {
  if (write(STDOUT_FILENO, text, strlen(text)) < 0) abort();
}

static tenon_status talk(const char* how) {
  if (strcmp(how, "log") == 0) {
    log_all();
  } else if (strcmp(how, "flood") == 0) {
    for (int i = 0; i < 2100; i++) say(TENON_LOG_INFO, TEXT("says it again"));
  } else if (strcmp(how, "printf") == 0) {
    printf("printed %d\nand %s\n", 1, "another");
  } else if (strcmp(how, "partial") == 0) {
    printf("without an end");
  } else if (strcmp(how, "half") == 0) {
    printf("half of one, ");
  } else if (strcmp(how, "close") == 0) {
    fclose(stdout);
    fclose(stderr);
    printf("printed after all\n");
    fprintf(stderr, "and told\n");
  } else if (strcmp(how, "puts") == 0) {
    puts("put");
  } else if (strcmp(how, "stderr") == 0) {
    fprintf(stderr, "careful, ");
    fprintf(stderr, "%d left\n", 7);
  } else if (strcmp(how, "write") == 0) {
    write_raw("written raw\n");
  } else if (strcmp(how, "thread") == 0) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, in_thread, NULL) != 0) return TENON_ERROR;
    pthread_join(thread, NULL);
  } else if (strcmp(how, "long") == 0) {
    for (int i = 0; i < 20000; i++) putchar('x');
    puts(" end");
  } else if (strcmp(how, "binary") == 0) {
    fputs("\x01\xff\x1b[31mred\r\n", stdout);
  } else if (strcmp(how, "many") == 0) {
    for (int i = 0; i < 20000; i++) printf("line %d of many, which are written as fast as it goes\n", i);
  } else if (strcmp(how, "abort") == 0) {
    fprintf(stderr, "last words of the plugin\n");
    abort();
  } else if (strcmp(how, "program") == 0) {
    if (system("echo printed by a program") != 0 || system("echo told by a program >&2") != 0) return TENON_ERROR;
  } else if (strcmp(how, "task") == 0) {
    return talks.tasks->submit(talks.host, in_task, NULL, NULL, NULL);
  }
  return TENON_OK;
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  (void)index;
  char how[32] = "log";
  tenon_bytes_t value;
  if (talks.http->query_value(request, TEXT("how"), &value) && value.size < sizeof how) {
    memcpy(how, value.data, value.size);
    how[value.size] = '\0';
  }
  if (strcmp(how, "enabled") == 0)
    return talks.http->set_body(response, talks.log->enabled(talks.host, TENON_LOG_DEBUG) ? TEXT("yes") : TEXT("no"));
  const tenon_status status = talk(how);
  if (status != TENON_OK) return status;
  return talks.http->set_body(response, talks.http->request_id(request));
}

static const tenon_plugin_http_t http_side = {sizeof http_side, 0, route_count, route, handle};

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  return strcmp(id, TENON_HTTP_ID) == 0 ? &http_side : NULL;
}

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  say(TENON_LOG_INFO, TEXT("says at its start"));
  printf("printed at its start\n");
  return TENON_OK;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  talks.host = host;
  talks.http = host->get_extension(host, TENON_HTTP_ID);
  talks.log = host->get_extension(host, TENON_LOG_ID);
  talks.tasks = host->get_extension(host, TENON_TASKS_ID);
  talks.plugin = (tenon_plugin_t){
      .size = sizeof(tenon_plugin_t), .initialize = initialize, .destroy = destroy, .get_extension = get_extension};
  *out = &talks.plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Talks", "1.0.0", "Writes and logs.", NULL, TENON_TRIAL_FULL, create)
