/*
 * An extension whose provider takes any key that names roles: `Authorization: ApiKey reader,writer`. The key is the
 * subject too. "wrong" is refused; a request of "slow" is let through once one of "release" has been, one of "five"
 * while five of those wait; whoever has the role "looker" may only GET, "poster" only GET and POST. Each answer is
 * marked with the header x-keys.
 */
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/auth.h>
#include <tenon/ext/middleware.h>

#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_http_t* http;
static atomic_bool released;
static atomic_int waiting;

static bool same(tenon_bytes_t bytes, const char* text) {
  return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static const tenon_auth_provider_t key_provider = {
    sizeof(tenon_auth_provider_t), {"ApiKey", 6}, {"authorization", 13}, {"ApiKey realm=\"test\"", 19}};

static uint32_t provider_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return 1;
}

static const tenon_auth_provider_t* provider(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  return index == 0 ? &key_provider : NULL;
}

static tenon_status authenticate(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                                 tenon_bytes_t credential, const tenon_auth_answer_t* answer) {
  (void)plugin;
  (void)index;
  (void)request;
  if (same(credential, "wrong")) return TENON_ERROR_DENIED;
  tenon_bytes_t roles[8];
  tenon_identity_t identity = {.size = sizeof identity, .subject = credential, .roles = roles};
  const char* begin = credential.data;
  const char* const end = begin + credential.size;
  while (begin < end && identity.role_count < 8) {
    const char* comma = memchr(begin, ',', (size_t)(end - begin));
    if (comma == NULL) comma = end;
    roles[identity.role_count++] = (tenon_bytes_t){begin, (size_t)(comma - begin)};
    begin = comma + 1;
  }
  return answer->accept(answer, &identity, 0) == TENON_OK ? TENON_OK : TENON_ERROR;
}

static tenon_status authorize(tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                              const tenon_auth_answer_t* answer) {
  (void)plugin;
  (void)answer;
  if (identity == NULL) return TENON_OK;
  const tenon_http_method method = http->method(request);
  for (uint32_t at = 0; at < identity->role_count; at++) {
    const bool posts = same(identity->roles[at], "poster");
    const bool limited = posts || same(identity->roles[at], "looker");
    if (limited && method != TENON_HTTP_GET && !(posts && method == TENON_HTTP_POST)) return TENON_ERROR_DENIED;
  }
  if (same(identity->subject, "five") && atomic_load(&waiting) < 5) return TENON_ERROR_DENIED;
  if (same(identity->subject, "release")) {
    while (atomic_load(&waiting) == 0) usleep(1000);
    atomic_store(&released, true);
  }
  if (same(identity->subject, "slow")) {
    atomic_fetch_add(&waiting, 1);
    while (!atomic_load(&released) && !http->cancelled(request)) usleep(1000);
  }
  return TENON_OK;
}

static const tenon_plugin_auth_t auth_side = {.size = sizeof(tenon_plugin_auth_t),
                                              .provider_count = provider_count,
                                              .provider = provider,
                                              .authenticate = authenticate,
                                              .authorize = authorize};

static tenon_status before(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response,
                           bool* answered) {
  (void)plugin;
  (void)request;
  (void)answered;
  return http->set_header(response, TEXT("x-keys"), TEXT("looked"));
}

static const tenon_plugin_middleware_t middleware_side = {sizeof(tenon_plugin_middleware_t), 0, before, NULL};

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_AUTH_ID) == 0) return &auth_side;
  if (strcmp(id, TENON_MIDDLEWARE_ID) == 0) return &middleware_side;
  return NULL;
}

static tenon_status create(const tenon_host_t* host, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  plugin = (tenon_plugin_t){.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  http = host->get_extension(host, TENON_HTTP_ID);
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("keys", "Keys", "1.0.0", "An extension of the tests.", NULL, TENON_TRIAL_FULL, create)
