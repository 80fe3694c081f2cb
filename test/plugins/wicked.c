/*
 * An extension that does one thing wrong, in the process of the test and not in a trial. Macros:
 *   BUILD, PLUGIN_ID       what it says of itself
 *   HANG_AT                a step that does not return while tenon-hold-<pid> is there, in the temporary directory
 *   FAIL_AT, STATUS        a step that returns this
 *   AUTH, MIDDLEWARE, HOOKS, EVENTS, CONFIG, STATE, LEAVING    what it offers; LEAVING: quiesce and resume
 *   HOOK_COUNT, HOOK, HOOK_NAME    what it says of its hooks
 *   PROVIDERS, PROVIDER    and of its providers
 *   SUBSCRIBE              a pattern
 *   OWN_THREAD             a thread from initialize on, until that file is gone
 *   CALL_LATE              it calls every service once shutdown has been called, and when the file "<that>.late" is
 *                          there, and writes what it is told to "<that>.told"
 *   TIMERS                 as many timers of 1 ms and of an hour as this, which nobody cancels
 * Routes: /ok answers; /run runs the chain "wicked.hook"; /publish publishes "wicked.said"; /seen: the events it got.
 */
#ifndef BUILD
#define BUILD "one"
#endif
#ifndef PLUGIN_ID
#define PLUGIN_ID "wicked"
#endif
#ifndef HANG_AT
#define HANG_AT ""
#endif
#ifndef FAIL_AT
#define FAIL_AT ""
#endif
#ifndef STATUS
#define STATUS TENON_ERROR
#endif
#ifndef HOOK_COUNT
#define HOOK_COUNT 1
#endif
#ifndef HOOK_NAME
#define HOOK_NAME                                                                                                      \
  { "wicked.hook", 11 }
#endif
#ifndef HOOK
#define HOOK (&whole_hook)
#endif
#ifndef PROVIDERS
#define PROVIDERS 1
#endif
#ifndef PROVIDER
#define PROVIDER (&whole_provider)
#endif
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/auth.h>
#include <tenon/ext/config.h>
#include <tenon/ext/events.h>
#include <tenon/ext/hooks.h>
#include <tenon/ext/http.h>
#include <tenon/ext/http_client.h>
#include <tenon/ext/metrics.h>
#include <tenon/ext/middleware.h>
#include <tenon/ext/state.h>
#include <tenon/ext/tasks.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static const tenon_host_tasks_t* tasks;
static const tenon_host_events_t* events;
static const tenon_host_hooks_t* hooks;
static atomic_int seen;
static atomic_bool down;

/* "<that file><end>". */
static const char* held_by(const char* end, char* path, size_t size) {
  const char* directory = getenv("TMPDIR");
  snprintf(path, size, "%s/tenon-hold-%d%s", directory == NULL ? "/tmp" : directory, (int)getpid(), end);
  return path;
}

static bool is_there(const char* end) {
  char path[512];
  return access(held_by(end, path, sizeof path), F_OK) == 0;
}

static tenon_status at(const char* step) {
  if (strcmp(step, HANG_AT) == 0)
    while (is_there("")) usleep(1000);
  return strcmp(step, FAIL_AT) == 0 ? STATUS : TENON_OK;
}

static const tenon_auth_provider_t whole_provider = {
    sizeof(tenon_auth_provider_t), {"Key", 3}, {"authorization", 13}, {"Key", 3}};

static uint32_t provider_count(tenon_plugin_t* plugin) {
  (void)plugin;
  at("provider_count");
  return (uint32_t)PROVIDERS;
}

static const tenon_auth_provider_t* provider(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  (void)index;
  (void)whole_provider;
  at("provider");
  return PROVIDER;
}

static tenon_status authenticate(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                                 tenon_bytes_t credential, const tenon_auth_answer_t* answer) {
  (void)plugin;
  (void)index;
  (void)request;
  const tenon_status status = at("authenticate");
  if (status != TENON_OK) return status;
  const tenon_identity_t identity = {.size = sizeof identity, .subject = credential};
  return answer->accept(answer, &identity, 0);
}

static tenon_status resolve_roles(tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                                  const tenon_auth_answer_t* answer) {
  (void)plugin;
  (void)request;
  (void)identity;
  (void)answer;
  return at("resolve_roles");
}

static tenon_status authorize(tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                              const tenon_auth_answer_t* answer) {
  (void)plugin;
  (void)request;
  (void)identity;
  (void)answer;
  return at("authorize");
}

static const tenon_plugin_auth_t auth_side = {sizeof auth_side, provider_count, provider,
                                              authenticate,     resolve_roles,  authorize};

static tenon_status before(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response,
                           bool* answered) {
  (void)plugin;
  (void)request;
  (void)response;
  (void)answered;
  return at("before");
}

static void after(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response) {
  (void)plugin;
  (void)request;
  if (at("after") != TENON_OK) http->set_status(response, STATUS);
}

static const tenon_plugin_middleware_t middleware_side = {sizeof middleware_side, 0, before, after};

static const tenon_hook_t whole_hook = {sizeof(tenon_hook_t), 1, HOOK_NAME, 0};

static uint32_t hook_count(tenon_plugin_t* plugin) {
  (void)plugin;
  at("hook_count");
  return (uint32_t)(HOOK_COUNT);
}

static const tenon_hook_t* hook(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  (void)index;
  (void)whole_hook;
  at("hook");
  return HOOK;
}

static tenon_status call(tenon_plugin_t* plugin, uint32_t index, tenon_bytes_t input,
                         const tenon_hook_output_t* output) {
  (void)plugin;
  (void)index;
  const tenon_status status = at("call");
  return status == TENON_OK ? output->write(output, input) : status;
}

static const tenon_plugin_hooks_t hooks_side = {sizeof hooks_side, hook_count, hook, call};

static void on_event(tenon_plugin_t* plugin, const tenon_event_t* given, size_t count, uint64_t dropped) {
  (void)plugin;
  (void)given;
  (void)dropped;
  at("on_event");
  atomic_fetch_add(&seen, (int)count);
}

static const tenon_plugin_events_t events_side = {sizeof events_side, on_event};

static tenon_status changed(tenon_plugin_t* plugin, tenon_bytes_t application, tenon_bytes_t json) {
  (void)plugin;
  (void)application;
  (void)json;
  return at("changed");
}

static const tenon_plugin_config_t config_side = {sizeof config_side, changed};

static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  (void)plugin;
  const tenon_status status = at("save");
  return status == TENON_OK ? writer->write(writer, TEXT("what it knows")) : status;
}

static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader) {
  (void)plugin;
  return at(reader->dry_run ? "try" : "load");
}

static const tenon_plugin_state_t state_side = {sizeof state_side, 1, save, load};

static const tenon_route_t routes[] = {
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/ok", 3}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/run", 4}, TENON_EXECUTION_POOL, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/publish", 8}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE},
    {sizeof(tenon_route_t), TENON_HTTP_GET, {"/seen", 5}, TENON_EXECUTION_INLINE, 0, 0, .auth = TENON_AUTH_NONE},
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  at("routes");
  return 4;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static tenon_status into_body(const tenon_hook_output_t* output, tenon_bytes_t bytes) {
  return http->set_body(output->data, bytes);
}

static void into_failure(const tenon_hook_output_t* output, tenon_bytes_t message) {
  http->fail(output->data, message);
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  (void)request;
  if (index == 0) return http->set_body(response, TEXT(BUILD));
  if (index == 2) return events->publish(host, TEXT("wicked.said"), TEXT("hello"));
  if (index == 3) {
    char text[16];
    return http->set_body(response,
                          (tenon_bytes_t){text, (size_t)snprintf(text, sizeof text, "%d", atomic_load(&seen))});
  }
  const tenon_hook_output_t output = {sizeof output, response, into_body, into_failure};
  return hooks->run(host, TEXT("wicked.hook"), 1, TEXT("input"), &output);
}

static const tenon_plugin_http_t http_side = {sizeof http_side, 0, route_count, route, handle};

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &http_side;
#ifdef AUTH
  if (strcmp(id, TENON_AUTH_ID) == 0) return &auth_side;
#endif
#ifdef MIDDLEWARE
  if (strcmp(id, TENON_MIDDLEWARE_ID) == 0) return &middleware_side;
#endif
#ifdef HOOKS
  if (strcmp(id, TENON_HOOKS_ID) == 0) return &hooks_side;
#endif
#if defined(EVENTS) || defined(SUBSCRIBE)
  if (strcmp(id, TENON_EVENTS_ID) == 0) return &events_side;
#endif
#ifdef CONFIG
  if (strcmp(id, TENON_CONFIG_ID) == 0) return &config_side;
#endif
#ifdef STATE
  if (strcmp(id, TENON_STATE_ID) == 0) return &state_side;
#endif
  (void)auth_side, (void)middleware_side, (void)hooks_side, (void)events_side, (void)config_side, (void)state_side;
  return NULL;
}

#ifdef CALL_LATE
static void work(void* context, uint64_t task) {
  (void)context;
  (void)task;
}

static void done(void* context, const tenon_http_client_response_t* response) {
  (void)context;
  (void)response;
}

static void visit_own(void* context, tenon_bytes_t json) {
  (void)json;
  *(bool*)context = true;
}

static void visit_consumer(void* context, tenon_bytes_t application, tenon_bytes_t settings) {
  (void)application;
  (void)settings;
  *(bool*)context = true;
}

static void visit_series(void* context, const tenon_metric_value_t* value) {
  (void)context;
  (void)value;
}

static const tenon_host_auth_t* auth;
static const tenon_host_config_t* config;
static const tenon_host_http_client_t* client;
static const tenon_host_metrics_t* metrics;

static void call_everything(FILE* told) {
  uint64_t number = 0;
  size_t size = 0;
  char buffer[256];
  bool visited = false;
  const tenon_metric_t metric = {
      sizeof metric, TENON_METRIC_COUNTER, TEXT("late_total"), TEXT("Late."), NULL, 0, NULL, 0};
  const tenon_http_client_request_t request = {
      .size = sizeof request, .method = TEXT("GET"), .url = TEXT("http://127.0.0.1:9/")};
  const tenon_span_t span = {.size = sizeof span, .name = TEXT("late")};
  const tenon_hook_output_t output = {sizeof output, NULL, into_body, into_failure};
  fprintf(told, "submit %d\n", tasks->submit(host, work, NULL, NULL, &number));
  fprintf(told, "once %d\n", tasks->once(host, 1, work, NULL, NULL, &number));
  fprintf(told, "every %d\n", tasks->every(host, 1, work, NULL, NULL, &number));
  fprintf(told, "publish %d\n", events->publish(host, TEXT("wicked.said"), TEXT("late")));
  fprintf(told, "span %d\n", events->span(host, &span));
  fprintf(told, "subscribe %d\n", events->subscribe(host, TEXT("wicked.*")));
  fprintf(told, "unsubscribe %d\n", events->unsubscribe(host, TEXT("wicked.*")));
  fprintf(told, "wanted %d\n", events->wanted(host, TEXT("wicked.said")));
  fprintf(told, "send %d\n", client->send(host, &request, done, NULL, &number));
  fprintf(told, "series %d\n", metrics->series(host, &metric, &number));
  metrics->add(host, 1, 1);
  metrics->set(host, 1, 1);
  fprintf(told, "collect %d\n", metrics->collect(host, visit_series, NULL));
  fprintf(told, "run %d\n", hooks->run(host, TEXT("wicked.hook"), 1, TEXT("input"), &output));
  fprintf(told, "sign %d\n", auth->sign_token(host, TEXT("{}"), 60, buffer, sizeof buffer, &size));
  fprintf(told, "verify %d\n", auth->verify_token(host, TEXT("a.b.c"), buffer, sizeof buffer, &size));
  auth->forget_decisions(host);
  config->own(host, visit_own, &visited);
  config->consumers(host, visit_consumer, &visited);
  fprintf(told, "config %d\n", visited);
}
#endif

#if defined(OWN_THREAD) || defined(CALL_LATE)
static void* run(void* unused) {
#ifdef CALL_LATE
  char path[512];
  char whole[512];
  while (!atomic_load(&down) && is_there("")) usleep(1000);
  /* At any moment between shutdown and destroy, and after it. */
  bool last = false;
  while (!last && is_there("")) {
    last = is_there(".late");
    FILE* const told = fopen(held_by(".fresh", path, sizeof path), "w");
    if (told == NULL) break;
    call_everything(told);
    fclose(told);
  }
  if (last) rename(path, held_by(".told", whole, sizeof whole));
#endif
  while (is_there("")) usleep(1000);
  return unused;
}
#endif

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
#if defined(OWN_THREAD) || defined(CALL_LATE)
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, NULL) != 0) return TENON_ERROR;
  pthread_setname_np(thread, "wicked's own");
  pthread_detach(thread);
#endif
  return at("initialize");
}

#ifdef TIMERS
static void tick(void* context, uint64_t task) {
  (void)context;
  (void)task;
  at("task");
}
#endif

static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  (void)plugin;
  (void)context;
#ifdef SUBSCRIBE
  if (events->subscribe(host, TEXT(SUBSCRIBE)) != TENON_OK) return TENON_ERROR;
#endif
#ifdef TIMERS
  for (int i = 0; i < TIMERS; i++) {
    if (tasks->every(host, 1, tick, NULL, NULL, NULL) != TENON_OK) return TENON_ERROR;
    if (tasks->once(host, 3600000, tick, NULL, NULL, NULL) != TENON_OK) return TENON_ERROR;
  }
#endif
  return at("ready");
}

#ifdef LEAVING
static tenon_status quiesce(tenon_plugin_t* plugin) {
  (void)plugin;
  return at("quiesce");
}

static tenon_status resume(tenon_plugin_t* plugin) {
  (void)plugin;
  return at("resume");
}
#endif

static void shut_down(tenon_plugin_t* plugin) {
  (void)plugin;
  at("shutdown");
  atomic_store(&down, true);
}

static void destroy(tenon_plugin_t* plugin) {
  (void)plugin;
  at("destroy");
}

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  host = given;
  http = host->get_extension(host, TENON_HTTP_ID);
  tasks = host->get_extension(host, TENON_TASKS_ID);
  events = host->get_extension(host, TENON_EVENTS_ID);
  hooks = host->get_extension(host, TENON_HOOKS_ID);
#ifdef CALL_LATE
  auth = host->get_extension(host, TENON_AUTH_ID);
  config = host->get_extension(host, TENON_CONFIG_ID);
  client = host->get_extension(host, TENON_HTTP_CLIENT_ID);
  metrics = host->get_extension(host, TENON_METRICS_ID);
#endif
  plugin = (tenon_plugin_t){.size = sizeof plugin,
                            .initialize = initialize,
                            .ready = ready,
                            .shutdown = shut_down,
                            .destroy = destroy,
                            .get_extension = get_extension};
#ifdef LEAVING
  plugin.quiesce = quiesce;
  plugin.resume = resume;
#endif
  *out = &plugin;
  return at("create");
}

TENON_PLUGIN(PLUGIN_ID, "Wicked", "1.0.0", "Does one thing wrong. " BUILD, NULL, TENON_TRIAL_OPEN, create)
