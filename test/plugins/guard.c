/*
 * An extension that looks at requests: a provider of "Name", who is everybody but "nobody"; the role "admin" for "root"
 * by resolve_roles; a middleware that stamps each answer with BUILD; the hook "guard.sign" version 1, which appends
 * BUILD. Macros change one thing each: HANG_AUTHORIZE     authorize does not return for whoever is called "slow" before
 * nobody waits any more LEAVE_THREAD_KEY   each thread that it authenticates on gets a pthread key, whose destructor is
 * in this library BAD_CHALLENGE      it declares a challenge with a control byte
 */
#ifndef BUILD
#define BUILD "one"
#endif
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/auth.h>
#include <tenon/ext/hooks.h>
#include <tenon/ext/middleware.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "guard"
#endif
#ifdef BAD_CHALLENGE
#define CHALLENGE "Name\nx: y"
#else
#define CHALLENGE "Name realm=\"test\""
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_http_t* http;

static bool same(tenon_bytes_t bytes, const char* text) {
  return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

#ifdef LEAVE_THREAD_KEY
static pthread_key_t key;
static void forget(void* value) {
  usleep(20000);
  *(volatile char*)value = 0;
}
static char mark;
#endif

static const tenon_auth_provider_t name_provider = {
    sizeof(tenon_auth_provider_t), {"Name", 4}, {"authorization", 13}, {CHALLENGE, sizeof(CHALLENGE) - 1}};

static uint32_t provider_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return 1;
}

static const tenon_auth_provider_t* provider(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return index == 0 ? &name_provider : NULL;
}

static tenon_status authenticate(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                                 tenon_bytes_t credential, const tenon_auth_answer_t* answer) {
  (void)plugin;
  (void)index;
  (void)request;
#ifdef LEAVE_THREAD_KEY
  pthread_setspecific(key, &mark);
#endif
  if (same(credential, "nobody")) {
    answer->refuse(answer, TEXT("there is no nobody"), 0);
    return TENON_ERROR_DENIED;
  }
  if (same(credential, "often")) {
    answer->refuse(answer, TEXT("too often"), 17);
    return TENON_ERROR_AGAIN;
  }
  tenon_identity_t identity = {
      .size = sizeof identity, .subject = credential, .claims = TEXT("{\"build\": \"" BUILD "\"}")};
  return answer->accept(answer, &identity, 0) == TENON_OK ? TENON_OK : TENON_ERROR;
}

static tenon_status resolve_roles(tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                                  const tenon_auth_answer_t* answer) {
  (void)plugin;
  (void)request;
  return same(identity->subject, "root") ? answer->add_role(answer, TEXT("admin")) : TENON_OK;
}

#ifdef HANG_AUTHORIZE
static tenon_status authorize(tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                              const tenon_auth_answer_t* answer) {
  (void)plugin;
  (void)answer;
  while (identity != NULL && same(identity->subject, "slow") && !http->cancelled(request)) usleep(1000);
  return TENON_OK;
}
#endif

static const tenon_plugin_auth_t auth_side = {
    .size = sizeof(tenon_plugin_auth_t),
    .provider_count = provider_count,
    .provider = provider,
    .authenticate = authenticate,
    .resolve_roles = resolve_roles,
#ifdef HANG_AUTHORIZE
    .authorize = authorize,
#endif
};

static tenon_status before(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response,
                           bool* answered) {
  (void)plugin;
  (void)request;
  (void)answered;
  return http->set_header(response, TEXT("x-guard"), TEXT(BUILD));
}

static const tenon_plugin_middleware_t middleware_side = {sizeof(tenon_plugin_middleware_t), 3, before, NULL};

static const tenon_hook_t sign = {sizeof(tenon_hook_t), 1, {"guard.sign", 10}, 0};

static uint32_t hook_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return 1;
}

static const tenon_hook_t* hook(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return index == 0 ? &sign : NULL;
}

static tenon_status call(tenon_plugin_t* plugin, uint32_t index, tenon_bytes_t input,
                         const tenon_hook_output_t* output) {
  (void)plugin;
  (void)index;
  if (output->write(output, input) != TENON_OK) return TENON_ERROR;
  return output->write(output, TEXT(" by " BUILD));
}

static const tenon_plugin_hooks_t hooks_side = {sizeof(tenon_plugin_hooks_t), hook_count, hook, call};

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_AUTH_ID) == 0) return &auth_side;
  if (strcmp(id, TENON_MIDDLEWARE_ID) == 0) return &middleware_side;
  if (strcmp(id, TENON_HOOKS_ID) == 0) return &hooks_side;
  return NULL;
}

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  plugin = (tenon_plugin_t){.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
#ifdef LEAVE_THREAD_KEY
  pthread_key_create(&key, forget);
#endif
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Guard", "1.0.0", "An extension of the tests.", NULL, TENON_TRIAL_FULL, create)
