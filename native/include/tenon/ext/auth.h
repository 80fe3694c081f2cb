/*
 * Capability tenon.auth/1: who a request is from, and what it may do.
 *
 * An extension offers providers (each knows one kind of credential) and hooks (which decide, once it is known who
 * asks). They reach exactly the applications that list the extension under `extensions:`, in the order listed; and
 * those of an extension with providers its own routes, before what it lists itself. For a request of these the host
 * asks, before any handler or table:
 *   1. providers   the first whose credential the request carries and that does not pass it on; a wrong credential ends
 *                  the request with 401, also where none would have been needed
 *   2. roles       resolve_roles of each extension may add roles to the identity
 *   3. need        the route's `auth`: 401 with every provider's challenge, or 403; a table's @allow is looked at last
 *   4. authorize   of each extension; the first refusal ends the request with 403, or 401 without an identity
 * An extension that is listed and does not run fails the request with 503, unless it was listed with `required: false`.
 * The host offers the identity, and what providers are made of: passwords, tokens, randomness.
 *
 * These functions run on the thread the request is handled on, under its deadline, also on [main] for an inline route.
 */
#ifndef TENON_EXT_AUTH_H
#define TENON_EXT_AUTH_H

#include "../types.h"
#include "http.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tenon_host;
struct tenon_plugin;

#define TENON_AUTH_ID "tenon.auth/1"

/* Bounds: roles of an identity, providers of an extension, the claims (bytes), and for how long a decision is kept. */
#define TENON_AUTH_ROLE_LIMIT 64u
#define TENON_AUTH_PROVIDERS 16u
#define TENON_AUTH_CLAIMS_LIMIT (16u * 1024u)
#define TENON_AUTH_CACHE_MS 300000u

/* Somebody. Views; copied by whoever is given one. */
typedef struct tenon_identity {
  uint32_t size;              /* of this struct */
  uint32_t role_count;        /* at most TENON_AUTH_ROLE_LIMIT */
  tenon_bytes_t subject;      /* 1 to 255 bytes: who it is, for programs; stays the same */
  tenon_bytes_t name;         /* for people, at most 255 bytes; may be empty */
  tenon_bytes_t scheme;       /* the provider's; set by the host */
  tenon_bytes_t extension;    /* id of the extension that knew the credential; set by the host */
  const tenon_bytes_t* roles; /* each 1 to 63 bytes of [A-Za-z0-9_.:-] */
  tenon_bytes_t claims;       /* a JSON object, or empty */
} tenon_identity_t;

/* One kind of credential. Owned by the plugin, unchanged until destroy. */
typedef struct tenon_auth_provider {
  uint32_t size;
  /* An RFC 9110 token of at most 64 bytes, such as "Basic", "Bearer" or "ApiKey". */
  tenon_bytes_t scheme;
  /* The header that carries it, in lower case, at most 128 bytes. "authorization" is taken only when its value begins
   * with the scheme and a space; the credential is what follows. Of any other header the whole value is the credential.
   */
  tenon_bytes_t header;
  /* A value for WWW-Authenticate when somebody is needed and nobody known, such as `Basic realm="tenon"`; at most
   * 1,024 bytes; may be empty. */
  tenon_bytes_t challenge;
} tenon_auth_provider_t;

/* Where a provider and a hook answer. The host's; valid during the call, on its thread. */
typedef struct tenon_auth_answer {
  uint32_t size;
  void* data; /* the host's own */
  /* Who it is. The same decision may be used again for `cache_ms` (0: never; at most TENON_AUTH_CACHE_MS) for the same
   * bytes of credential in requests of the same application, as long as this generation lives. TENON_ERROR_ARGUMENT for
   * an identity outside its bounds: then return TENON_ERROR. */
  tenon_status (*accept)(const struct tenon_auth_answer* answer, const tenon_identity_t* identity, uint32_t cache_ms);
  /* In resolve_roles: one more role. TENON_ERROR_TOO_LARGE past TENON_AUTH_ROLE_LIMIT; one that is there is fine. */
  tenon_status (*add_role)(const struct tenon_auth_answer* answer, tenon_bytes_t role);
  /* Why, in one sentence of at most 1 KiB: for the client with TENON_ERROR_DENIED and TENON_ERROR_AGAIN, for the log
   * with any other failure; seconds after which to try again (0: not said). */
  void (*refuse)(const struct tenon_auth_answer* answer, tenon_bytes_t message, uint32_t retry_after_s);
} tenon_auth_answer_t;

/* The plugin's side. Every function may be NULL. */
typedef struct tenon_plugin_auth {
  uint32_t size;

  /* Number of providers; fixed after initialize; at most TENON_AUTH_PROVIDERS. [control] after initialize */
  uint32_t (*provider_count)(struct tenon_plugin* plugin);
  const tenon_auth_provider_t* (*provider)(struct tenon_plugin* plugin, uint32_t index);

  /*
   * Say who carries `credential`. TENON_OK after answer->accept; TENON_ERROR_NOT_FOUND: it is none of this provider's,
   * ask the next; TENON_ERROR_DENIED: it is wrong (401, with the message of answer->refuse); TENON_ERROR_AGAIN: too
   * many attempts (429, with retry_after_s). Anything else: 503, and nobody gets in. [handler]
   */
  tenon_status (*authenticate)(struct tenon_plugin* plugin, uint32_t provider, tenon_request_t* request,
                               tenon_bytes_t credential, const tenon_auth_answer_t* answer);

  /* Add roles that the application gives to the identity; what it added is kept as long as the identity's decision.
   * Anything but TENON_OK: 503. [handler] */
  tenon_status (*resolve_roles)(struct tenon_plugin* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                                const tenon_auth_answer_t* answer);

  /* May this request go on? `identity` is NULL for nobody. TENON_OK: as far as this hook is concerned;
   * TENON_ERROR_DENIED: no; anything else: 503. Never cached. [handler] */
  tenon_status (*authorize)(struct tenon_plugin* plugin, tenon_request_t* request, const tenon_identity_t* identity,
                            const tenon_auth_answer_t* answer);
} tenon_plugin_auth_t;

/* The host's side. Results that are bytes go into the caller's buffer: `*size` gets their full size, also when
 * `capacity` is too small: then nothing is copied and the answer is TENON_ERROR_TOO_LARGE. */
typedef struct tenon_host_auth {
  uint32_t size;

  /* Who the request is from; false for nobody. Views that live as long as the request. [handler] in a handler, a
   * middleware or authorize */
  bool (*identity)(const tenon_request_t* request, tenon_identity_t* identity);

  /* Whether the request carries the admin token of the host, as `Authorization: Bearer TOKEN`. Compared in constant
   * time. [handler] */
  bool (*is_operator)(const tenon_request_t* request);

  /* Forget every decision that was kept of this plugin's providers: a password was changed, a token revoked. [any] */
  void (*forget_decisions)(const struct tenon_host* host);

  /* This and the next three: TENON_ERROR_DENIED without the permission auth:credentials.
   *
   * Hash of a password (1 to 1,024 bytes) with a salt of its own, as text: scrypt, N 32,768, r 8, p 1 (RFC 7914; 32 MiB
   * and about 60 ms of a processor), at most 160 bytes. A process hashes two at once, others wait for their turn:
   * TENON_ERROR_AGAIN when 64 wait already, or it has not come in 10 s. TENON_ERROR_ARGUMENT for a password outside its
   * bounds; TENON_ERROR_MEMORY when the process cannot have the 32 MiB; TENON_ERROR_UNSUPPORTED where it has no
   * OpenSSL, or one without scrypt (FIPS) or randomness; TENON_ERROR_STATE on [main]. [pool] [control] [task] */
  tenon_status (*hash_password)(const struct tenon_host* host, tenon_bytes_t password, void* buffer, size_t capacity,
                                size_t* size);
  /* TENON_OK when `hash` is of this password, TENON_ERROR_DENIED when not, TENON_ERROR_ARGUMENT for a text that is no
   * scrypt hash of the form `$scrypt$ln=15,r=8,p=1$SALT$KEY`, or one that would take more than 64 MiB or four times the
   * work. Takes as long for a wrong password as for the right one; waits and fails otherwise as hash_password does.
   * [pool] [control] [task] */
  tenon_status (*verify_password)(const struct tenon_host* host, tenon_bytes_t password, tenon_bytes_t hash);

  /* A JSON Web Token (RFC 7519, HS256) of `claims`, a JSON object of at most 16 KiB, no name in it twice, in which the
   * host sets iss (id of this plugin), iat and exp (now + `lifetime_s`, 1 to 31,536,000). Signed with a key of this
   * plugin's, made of one that the host keeps in its data directory, across restarts. TENON_ERROR_ARGUMENT for other
   * claims, TENON_ERROR_UNSUPPORTED where there is no OpenSSL or no such key. [any] */
  tenon_status (*sign_token)(const struct tenon_host* host, tenon_bytes_t claims, uint32_t lifetime_s, void* buffer,
                             size_t capacity, size_t* size);
  /* The claims of a token that this plugin has signed and that has not expired (30 s of a wrong clock are borne):
   * TENON_ERROR_DENIED for any other. Whether it was revoked, and claims like nbf, are the plugin's to check. [any] */
  tenon_status (*verify_token)(const struct tenon_host* host, tenon_bytes_t token, void* buffer, size_t capacity,
                               size_t* size);

  /* `size` random bytes fit for keys. TENON_ERROR_UNSUPPORTED where there are none. [any] */
  tenon_status (*random)(const struct tenon_host* host, void* buffer, size_t size);
} tenon_host_auth_t;

#ifdef __cplusplus
}
#endif

#endif
