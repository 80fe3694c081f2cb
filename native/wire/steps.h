#ifndef TENON_WIRE_STEPS_H
#define TENON_WIRE_STEPS_H

#include <string_view>
#include <vector>

#include "message.h"
#include "tenon/ext/auth.h"

/*
 * The steps of extensions as they are asked for and answered.
 *
 * identity: text subject, name, scheme, extension, claims, uint32 count, text role…
 * way: text application, text route, uint64 began (ns of the monotonic clock, 0: not known), uint64 kept
 * standing: int32 status, int32 of what the call was refused with or 0, flag streamed, text header block
 * request: see RequestImage; it comes last
 * kept: flag, and with true uint64
 *
 * kDownAuthenticate  uint32 provider, text credential, way, request -> AuthAnswer
 * kDownResolveRoles  identity, way, request -> AuthAnswer
 * kDownAuthorize     flag known (and with true identity), way, request -> AuthAnswer
 * AuthAnswer         int32 status, flag accepted (and with true identity, uint32 cache_ms), uint32 count, text role…,
 *                    flag refused (and with true text message, uint32 retry_after_s), kept, and Change::Overrun
 * kDownBefore        way, standing, request -> int32 status, flag answered, kept, ResponseChanges
 * kDownAfter         way, standing, request -> kept, ResponseChanges
 * kDownHook          uint32 index, text input -> int32 status, flag failed, text message, text output; one of more than
 *                    TENON_HOOK_BYTES is too large
 */
namespace tenon::wire {

// tenon.auth: buffers that the host fills; no result of it is larger.
constexpr size_t kAuthBytes = 64 * 1024;

enum UpAuth : uint16_t {
  kUpAuthIdentity = 180,    // uint64 token -> flag known (and with true identity)
  kUpAuthIsOperator = 181,  // uint64 token -> flag
  kUpAuthForget = 182,      // -> nothing
  // A flag says that the plugin's arguments are wrong whatever they are: only how it may not is asked then.
  kUpAuthHash = 183,    // flag wrong, text password, uint64 capacity -> Given
  kUpAuthVerify = 184,  // flag wrong, text password, text hash -> status
  kUpAuthSign = 185,    // text claims, uint32 lifetime_s, uint64 capacity -> Given: status, uint64 size, text
  kUpAuthToken = 186,   // text token, uint64 capacity -> Given
  kUpAuthRandom = 187,  // uint64 size, at most kAuthBytes -> status, text
};

enum UpMiddleware : uint16_t {
  kUpMiddlewareWay = 200,  // uint64 token -> flag known, way
};

enum UpHooks : uint16_t {
  // text name, uint32 version, text input -> status, flag failed, text message, flag given, text output
  kUpHooksRun = 210,
};

inline void write_identity(Writer& writer, const tenon_identity_t& identity) {
  writer.text(identity.subject).text(identity.name).text(identity.scheme).text(identity.extension);
  writer.text(identity.claims).put(identity.role_count);
  for (uint32_t index = 0; index < identity.role_count; index++) writer.text(identity.roles[index]);
}

// Somebody as a message says it: views into the message. Not copied: its face points to its roles.
struct IdentityImage {
  IdentityImage() = default;
  IdentityImage(const IdentityImage&) = delete;
  IdentityImage& operator=(const IdentityImage&) = delete;

  tenon_identity_t face = {};
  std::vector<tenon_bytes_t> roles;

  // What it is of is checked by whoever keeps it.
  void read(Reader& reader) {
    face.size = sizeof face;
    face.subject = reader.bytes();
    face.name = reader.bytes();
    face.scheme = reader.bytes();
    face.extension = reader.bytes();
    face.claims = reader.bytes();
    roles.resize(reader.count(sizeof(uint64_t)));
    for (tenon_bytes_t& role : roles) role = reader.bytes();
    face.role_count = static_cast<uint32_t>(roles.size());
    face.roles = roles.data();
  }
};

}  // namespace tenon::wire

#endif
