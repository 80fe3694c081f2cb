/*
 * A plugin that keeps what it is given: PUT /value, GET /value. Its state is the value; macros change one thing each:
 *   ID                           what it is called
 *   NO_STATE                     it offers no tenon.state
 *   SECOND                       saves version 2, which has a '2' before the value, and reads version 1 too
 *   REFUSE_SAVE, HANG_SAVE       where saving fails
 *   REFUSE_TRY, REFUSE_LOAD, HANG_TRY   where loading fails: dry, in earnest
 *   FAIL_READY                   it loads, and does not become ready
 *   DIE_READY                    it loads, and its process is gone
 *   DIE_INITIALIZE               its process is gone, but that of a trial
 *   DIE_SHUTDOWN                 it is gone at the end, but that of a trial
 *   SLOW_TO_OPEN                 it takes 50 ms to be opened
 *   WITH_QUIESCE                 it lets go, and says so
 */
#ifndef BUILD
#define BUILD "one"
#endif
#ifndef ID
#define ID "keeper"
#endif
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>
#include <tenon/ext/state.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})
#define MOST (48u * 1024u * 1024u)

static tenon_plugin_t self;
static const tenon_host_t* own_host;
static const tenon_host_http_t* http;
static const tenon_host_log_t* host_log;
static const tenon_host_state_t* host_state;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char* kept;
static size_t kept_size;

#ifdef SLOW_TO_OPEN
__attribute__((constructor)) static void take_time(void) { usleep(50 * 1000); }
#endif

static void say(tenon_bytes_t message) {
  tenon_log_field_t field = {TEXT("build"), TEXT(BUILD)};
  if (host_log != NULL) host_log->write(own_host, TENON_LOG_INFO, message, &field, 1);
}

static void keep(const char* data, size_t size) {
  char* const copy = malloc(size + 1);
  if (copy == NULL) abort();
  if (size > 0) memcpy(copy, data, size);
  pthread_mutex_lock(&lock);
  free(kept);
  kept = copy;
  kept_size = size;
  pthread_mutex_unlock(&lock);
}

enum { GET_VALUE, PUT_VALUE, GET_BUILD, GET_NOTE, PUT_NOTE, SLOW, ROUTES };

#define ROUTE(verb, text)                                                                                              \
  {                                                                                                                    \
    sizeof(tenon_route_t), TENON_HTTP_##verb, {text, sizeof(text) - 1}, TENON_EXECUTION_POOL, 0, MOST,                 \
        .auth = TENON_AUTH_NONE                                                                                        \
  }
static const tenon_route_t routes[ROUTES] = {
    [GET_VALUE] = ROUTE(GET, "/value"), [PUT_VALUE] = ROUTE(PUT, "/value"), [GET_BUILD] = ROUTE(GET, "/build"),
    [GET_NOTE] = ROUTE(GET, "/note"),   [PUT_NOTE] = ROUTE(PUT, "/note"),   [SLOW] = ROUTE(GET, "/slow"),
};

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return ROUTES;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return &routes[index];
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  char note[256];
  size_t size = 0;
  tenon_status status = TENON_OK;
  switch (index) {
    case GET_VALUE:
      pthread_mutex_lock(&lock);
      status = http->set_body(response, (tenon_bytes_t){kept, kept_size});
      pthread_mutex_unlock(&lock);
      return status;
    case PUT_VALUE:
      keep(http->body(request).data, http->body(request).size);
      return TENON_OK;
    case GET_NOTE:
      if (host_state->get(own_host, TEXT("note"), note, sizeof note, &size) != TENON_OK) size = 0;
      return http->set_body(response, (tenon_bytes_t){note, size});
    case PUT_NOTE:
      return host_state->put(own_host, TEXT("note"), http->body(request));
    case SLOW:
      usleep(700 * 1000);
      keep("late", 4);
      return host_state->put(own_host, TEXT("note"), TEXT("late"));
    default:
      return http->set_body(response, TEXT(BUILD));
  }
}

static const tenon_plugin_http_t http_side = {sizeof http_side, 4, route_count, route, handle};

#ifndef NO_STATE
static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  (void)plugin;
  say(TEXT("save"));
#ifdef REFUSE_SAVE
  writer->fail(writer, TEXT("the lid is stuck"));
  return TENON_ERROR;
#endif
#ifdef HANG_SAVE
  while (true) pause();
#endif
#ifdef SECOND
  tenon_status status = writer->write(writer, TEXT("2"));
  if (status != TENON_OK) return status;
#endif
  return writer->write(writer, (tenon_bytes_t){kept, kept_size});
}

static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* reader) {
  (void)plugin;
  say(reader->dry_run ? TEXT("try") : TEXT("load"));
#ifdef REFUSE_TRY
  reader->fail(reader, TEXT("it smells"));
  return TENON_ERROR;
#endif
#ifdef HANG_TRY
  while (true) pause();
#endif
#ifdef REFUSE_LOAD
  if (!reader->dry_run) return TENON_ERROR;
#endif
  tenon_bytes_t bytes = reader->bytes;
#ifdef SECOND
  if (reader->version > 2) return TENON_ERROR_VERSION;
  if (reader->version == 2) {
    if (bytes.size == 0 || bytes.data[0] != '2') return TENON_ERROR;
    bytes = (tenon_bytes_t){bytes.data + 1, bytes.size - 1};
  }
#else
  if (reader->version > 1) return TENON_ERROR_VERSION;
#endif
  if (!reader->dry_run) keep(bytes.data, bytes.size);
  return TENON_OK;
}

#ifdef SECOND
static const tenon_plugin_state_t state_side = {sizeof state_side, 2, save, load};
#else
static const tenon_plugin_state_t state_side = {sizeof state_side, 1, save, load};
#endif
#endif

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &http_side;
#ifndef NO_STATE
  if (strcmp(id, TENON_STATE_ID) == 0) return &state_side;
#endif
  return NULL;
}

#if defined(DIE_INITIALIZE) || defined(DIE_SHUTDOWN)
static bool in_trial(void) {
  char name[32] = "";
  FILE* const file = fopen("/proc/self/comm", "rb");
  if (file == NULL) abort();
  const size_t size = fread(name, 1, sizeof name - 1, file);
  fclose(file);
  return size > 12 && memcmp(name, "tenon-runner", 12) == 0;
}
#endif

#ifdef DIE_INITIALIZE
static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  if (!in_trial()) abort();
  return TENON_OK;
}
#endif

static tenon_status ready(tenon_plugin_t* plugin, const tenon_context_t* context) {
  (void)plugin;
  (void)context;
  say(TEXT("ready"));
#ifdef DIE_READY
  raise(SIGKILL);
#endif
#ifdef FAIL_READY
  return TENON_ERROR;
#else
  return TENON_OK;
#endif
}

#ifdef WITH_QUIESCE
static tenon_status quiesce(tenon_plugin_t* plugin) {
  (void)plugin;
  say(TEXT("quiesce"));
  return TENON_OK;
}
#endif

static void shut_down(tenon_plugin_t* plugin) {
  (void)plugin;
  say(TEXT("shutdown"));
#ifdef DIE_SHUTDOWN
  if (!in_trial()) abort();
#endif
}

static void destroy(tenon_plugin_t* plugin) {
  (void)plugin;
  free(kept);
  kept = NULL;
}

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  own_host = host;
  http = host->get_extension(host, TENON_HTTP_ID);
  host_log = host->get_extension(host, TENON_LOG_ID);
  host_state = host->get_extension(host, TENON_STATE_ID);
  self = (tenon_plugin_t){
      .size = sizeof self, .ready = ready, .shutdown = shut_down, .destroy = destroy, .get_extension = get_extension};
#ifdef WITH_QUIESCE
  self.quiesce = quiesce;
#endif
#ifdef DIE_INITIALIZE
  self.initialize = initialize;
#endif
  *out = &self;
  return TENON_OK;
}

TENON_PLUGIN(ID, "Keeper", "1.0.0", "Keeps what it is given.", NULL, TENON_TRIAL_FULL, create)
