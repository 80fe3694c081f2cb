/*
 * An application and an extension in one, told by queries what to do.
 *   routes      /inline and /pool say who asked and how it came there, "subject roles scheme extension operator
 *               application route"; with ?hook=INPUT instead "status output|message" of the chain ext.say/1, with
 *               &thread=1 run on a thread of its own. /brief is /pool with a deadline of 500 ms
 *   provider    "Key NAME" is NAME; "wrong", "often", "odd", "none" and "silent" are what the names say
 *   steps       ?die=STEP aborts and ?hang=STEP hangs in authenticate, roles, authorize, before, after, hook
 *   PLUGIN_ID, BUILD
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tenon/entry.h>
#include <tenon/ext/auth.h>
#include <tenon/ext/hooks.h>
#include <tenon/ext/http.h>
#include <tenon/ext/middleware.h>

#ifndef PLUGIN_ID
#define PLUGIN_ID "extension"
#endif
#ifndef BUILD
#define BUILD "1"
#endif
#define TEXT(literal) ((tenon_bytes_t){(literal), sizeof(literal) - 1})

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static const tenon_host_auth_t* auth;
static const tenon_host_middleware_t* way;
static const tenon_host_hooks_t* hooks;

static bool is(tenon_bytes_t text, const char* word) {
  return text.size == strlen(word) && memcmp(text.data, word, text.size) == 0;
}

static bool says(tenon_request_t* request, const char* name, const char* word) {
  tenon_bytes_t value = {0};
  return http->query_value(request, (tenon_bytes_t){name, strlen(name)}, &value) && is(value, word);
}

static void suffer(tenon_request_t* request, const char* step) {
  if (says(request, "die", step)) abort();
  static volatile bool for_ever = true;
  while (says(request, "hang", step) && for_ever) continue;
}

struct text {
  char bytes[4096];
  size_t size;
};
static void add(struct text* text, tenon_bytes_t bytes) {
  const size_t room = sizeof text->bytes - text->size;
  const size_t size = bytes.size < room ? bytes.size : room;
  if (size != 0) memcpy(text->bytes + text->size, bytes.data, size);
  text->size += size;
}
static void add_number(struct text* text, long number) {
  char digits[24];
  const int size = snprintf(digits, sizeof digits, "%ld", number);
  add(text, (tenon_bytes_t){digits, (size_t)size});
}
static tenon_bytes_t bytes_of(const struct text* text) { return (tenon_bytes_t){text->bytes, text->size}; }

/* --- routes */

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return 3;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  static const tenon_route_t all[] = {
      {.size = sizeof *all, .method = TENON_HTTP_GET, .pattern = {"/inline", 7}, .execution = TENON_EXECUTION_INLINE},
      {.size = sizeof *all,
       .method = TENON_HTTP_GET,
       .pattern = {"/pool/:name", 11},
       .execution = TENON_EXECUTION_POOL},
      {.size = sizeof *all,
       .method = TENON_HTTP_GET,
       .pattern = {"/brief", 6},
       .execution = TENON_EXECUTION_POOL,
       .deadline_ms = 500}};
  return &all[index];
}

static tenon_status take(const tenon_hook_output_t* output, tenon_bytes_t bytes) {
  add(output->data, bytes);
  return TENON_OK;
}
static void take_message(const tenon_hook_output_t* output, tenon_bytes_t message) {
  add(output->data, TEXT("|"));
  add(output->data, message);
}

struct chain {
  tenon_bytes_t input;
  struct text said;
};
static void* run_chain(void* context) {
  struct chain* chain = context;
  struct text given = {.size = 0};
  const tenon_hook_output_t output = {sizeof output, &given, take, take_message};
  add_number(&chain->said, hooks->run(host, TEXT("ext.say"), 1, chain->input, &output));
  add(&chain->said, TEXT(" "));
  add(&chain->said, bytes_of(&given));
  return NULL;
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  (void)index;
  struct chain chain = {.said = {.size = 0}};
  if (http->query_value(request, TEXT("hook"), &chain.input)) {
    pthread_t thread;
    if (!says(request, "thread", "1")) {
      run_chain(&chain);
    } else if (pthread_create(&thread, NULL, run_chain, &chain) == 0) {
      pthread_join(thread, NULL);
    }
    return http->set_body(response, bytes_of(&chain.said));
  }
  struct text* said = &chain.said;
  tenon_identity_t who = {.size = sizeof who};
  if (auth->identity(request, &who)) {
    add(said, who.subject);
    for (uint32_t role = 0; role < who.role_count; role++) {
      add(said, role == 0 ? TEXT(" ") : TEXT(","));
      add(said, who.roles[role]);
    }
    add(said, TEXT(" "));
    add(said, who.scheme);
    add(said, TEXT(" "));
    add(said, who.extension);
    add(said, who.claims);
  } else {
    add(said, TEXT("nobody"));
  }
  add(said, auth->is_operator(request) ? TEXT(" operator ") : TEXT(" guest "));
  add(said, way->application(request));
  add(said, TEXT(" "));
  add(said, way->route(request));
  return http->set_body(response, bytes_of(said));
}

static const tenon_plugin_http_t http_side = {sizeof http_side, 0, route_count, route, handle};

/* --- who asks */

static uint32_t provider_count(tenon_plugin_t* plugin) {
  (void)plugin;
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
  suffer(request, "authenticate");
  if (is(credential, "none")) return TENON_ERROR_NOT_FOUND;
  if (is(credential, "silent")) return TENON_OK;
  if (is(credential, "wrong")) {
    answer->refuse(answer, TEXT("no such key"), 0);
    return TENON_ERROR_DENIED;
  }
  if (is(credential, "often")) {
    answer->refuse(answer, TEXT("slowly"), 7);
    return TENON_ERROR_AGAIN;
  }
  const tenon_bytes_t roles[] = {TEXT("user"), TEXT("no role")};
  const tenon_identity_t identity = {.size = sizeof identity,
                                     .role_count = is(credential, "odd") ? 2 : 1,
                                     .subject = credential,
                                     .roles = roles,
                                     .claims = TEXT("{\"n\":1}")};
  const tenon_status status = answer->accept(answer, &identity, 0);
  if (status == TENON_OK) return answer->add_role(answer, TEXT("late")) == TENON_ERROR_STATE ? TENON_OK : TENON_ERROR;
  answer->refuse(answer, status == TENON_ERROR_ARGUMENT ? TEXT("an odd identity") : TEXT("?"), 0);
  return TENON_ERROR;
}

static tenon_status resolve_roles(tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                                  const tenon_auth_answer_t* answer) {
  (void)plugin;
  suffer(request, "roles");
  struct text role = {.size = 0};
  add(&role, TEXT("s"));
  add_number(&role, answer->add_role(answer, TEXT("friend")));
  add_number(&role, answer->add_role(answer, TEXT("friend")));
  add_number(&role, answer->add_role(answer, TEXT("no role")));
  add_number(&role, answer->accept(answer, identity, 0));
  return answer->add_role(answer, bytes_of(&role));
}

static tenon_status authorize(tenon_plugin_t* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                              const tenon_auth_answer_t* answer) {
  (void)plugin;
  suffer(request, "authorize");
  if (!says(request, "deny", "1")) return TENON_OK;
  answer->refuse(answer, identity == NULL ? TEXT("not you") : identity->subject, 0);
  return TENON_ERROR_DENIED;
}

static const tenon_plugin_auth_t auth_side = {sizeof auth_side, provider_count, provider,
                                              authenticate,     resolve_roles,  authorize};

/* --- before and after */

static tenon_status before(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response,
                           bool* answered) {
  (void)plugin;
  suffer(request, "before");
  struct text said = {.size = 0};
  add(&said, way->application(request));
  add(&said, TEXT(" "));
  add(&said, way->route(request));
  add(&said, TEXT(" "));
  add_number(&said, way->status(response));
  add(&said, TEXT(" "));
  add_number(&said, (long)way->kept(request));
  http->set_header(response, TEXT("x-before"), bytes_of(&said));
  way->keep(request, 7);
  if (says(request, "fail", "1")) {
    http->fail(response, TEXT("because"));
    return TENON_ERROR;
  }
  if (says(request, "flaw", "1")) http->set_header(response, TEXT("no token"), TEXT(""));
  if (!says(request, "answer", "1")) return TENON_OK;
  *answered = true;
  http->set_status(response, 418);
  return http->set_body(response, TEXT("answered"));
}

static void after(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t* response) {
  (void)plugin;
  suffer(request, "after");
  struct text said = {.size = 0};
  add(&said, TEXT(PLUGIN_ID " " BUILD " "));
  add_number(&said, (long)way->kept(request));
  add(&said, TEXT(" "));
  add_number(&said, way->status(response));
  add(&said, way->elapsed_us(request) < 3600000000u ? TEXT(" soon") : TEXT(" late"));
  http->set_header(response, TEXT("x-after"), bytes_of(&said));
}

static const tenon_plugin_middleware_t middleware_side = {sizeof middleware_side, 0, before, after};

/* --- hooks */

static uint32_t hook_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return 1;
}

static const tenon_hook_t* hook(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  (void)index;
  static const tenon_hook_t say = {.size = sizeof say, .version = 1, .name = {"ext.say", 7}};
  return &say;
}

static tenon_status call_hook(tenon_plugin_t* plugin, uint32_t index, tenon_bytes_t input,
                              const tenon_hook_output_t* output) {
  (void)plugin;
  (void)index;
  if (is(input, "die")) abort();
  if (is(input, "leave")) return TENON_ERROR_NOT_FOUND;
  if (is(input, "odd")) return TENON_ERROR_STATE;
  if (is(input, "refuse")) {
    output->fail(output, TEXT("it may not be"));
    return TENON_ERROR;
  }
  if (is(input, "large")) {
    char* const large = calloc(1, TENON_HOOK_BYTES);
    output->write(output, TEXT("x"));
    const tenon_status status = output->write(output, (tenon_bytes_t){large, TENON_HOOK_BYTES});
    free(large);
    return status == TENON_ERROR_TOO_LARGE ? TENON_OK : TENON_ERROR_STATE;
  }
  struct text given = {.size = 0};
  const tenon_hook_output_t inner = {sizeof inner, &given, take, take_message};
  /* What it lists itself has its turn within. */
  const tenon_status status = hooks->run(host, TEXT("ext.say"), 1, input, &inner);
  if (status != TENON_OK) return status;
  output->write(output, TEXT(PLUGIN_ID "("));
  output->write(output, bytes_of(&given));
  return output->write(output, TEXT(")"));
}

static const tenon_plugin_hooks_t hooks_side = {sizeof hooks_side, hook_count, hook, call_hook};

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  if (strcmp(id, TENON_HTTP_ID) == 0) return &http_side;
#ifdef EXTENDS
  if (strcmp(id, TENON_AUTH_ID) == 0) return &auth_side;
  if (strcmp(id, TENON_MIDDLEWARE_ID) == 0) return &middleware_side;
  if (strcmp(id, TENON_HOOKS_ID) == 0) return &hooks_side;
#else
  (void)auth_side;
  (void)middleware_side;
  (void)hooks_side;
#endif
  return NULL;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  host = given;
  http = host->get_extension(host, TENON_HTTP_ID);
  auth = host->get_extension(host, TENON_AUTH_ID);
  way = host->get_extension(host, TENON_MIDDLEWARE_ID);
  hooks = host->get_extension(host, TENON_HOOKS_ID);
  static tenon_plugin_t plugin;
  plugin = (tenon_plugin_t){.size = sizeof plugin, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN(PLUGIN_ID, "Extension", "1.0." BUILD, "Does in each step what a query says.", NULL, TENON_TRIAL_FULL,
             create)
