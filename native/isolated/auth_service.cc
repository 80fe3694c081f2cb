#include <algorithm>
#include <string>

#include "services.h"
#include "session.h"
#include "tenon/ext/auth.h"
#include "wire/steps.h"

namespace tenon::isolated {

namespace {

constexpr tenon_bytes_t kWrong = {nullptr, 1};

// What a function that fills a buffer of `capacity` bytes gives.
template <typename Fill>
void give(wire::Writer& writer, uint64_t capacity, Fill fill) {
  std::string buffer(static_cast<size_t>(std::min<uint64_t>(capacity, wire::kAuthBytes)), '\0');
  size_t size = 0;
  const tenon_status status = fill(buffer.data(), buffer.size(), &size);
  const bool fits = status == TENON_OK && size <= buffer.size();
  writer.put<int32_t>(status).put<uint64_t>(size).text(std::string_view(buffer).substr(0, fits ? size : 0));
}

bool serve_request(Session& session, const tenon_host_auth_t& auth, uint16_t code, wire::Reader& reader,
                   wire::Writer& writer) {
  const auto token = reader.get<uint64_t>();
  if (!reader.ended()) return false;
  const Frames::Hold hold(session.frames, token);
  const core::Call* const call = hold.call();
  if (code == wire::kUpAuthIsOperator) return writer.put(call != nullptr && auth.is_operator(call)), true;
  tenon_identity_t identity = {};
  const bool known = call != nullptr && auth.identity(call, &identity);
  writer.put(known);
  if (known) wire::write_identity(writer, identity);
  return true;
}

bool serve_password(const tenon_host_t* host, const tenon_host_auth_t& auth, uint16_t code, wire::Reader& reader,
                    wire::Writer& writer) {
  const bool wrong = reader.flag();
  const tenon_bytes_t password = reader.bytes();
  if (code == wire::kUpAuthVerify) {
    const tenon_bytes_t hash = reader.bytes();
    if (!reader.ended()) return false;
    writer.put<int32_t>(auth.verify_password(host, wrong ? kWrong : password, hash));
    return true;
  }
  const auto capacity = reader.get<uint64_t>();
  if (!reader.ended()) return false;
  give(writer, capacity, [&](char* buffer, size_t room, size_t* size) {
    return auth.hash_password(host, wrong ? kWrong : password, buffer, room, size);
  });
  return true;
}

bool serve_token(const tenon_host_t* host, const tenon_host_auth_t& auth, uint16_t code, wire::Reader& reader,
                 wire::Writer& writer) {
  const tenon_bytes_t text = reader.bytes();
  const bool signs = code == wire::kUpAuthSign;
  const uint32_t lifetime_s = signs ? reader.get<uint32_t>() : 0;
  const auto capacity = reader.get<uint64_t>();
  if (!reader.ended()) return false;
  give(writer, capacity, [&](char* buffer, size_t room, size_t* size) {
    return signs ? auth.sign_token(host, text, lifetime_s, buffer, room, size)
                 : auth.verify_token(host, text, buffer, room, size);
  });
  return true;
}

bool serve_random(const tenon_host_t* host, const tenon_host_auth_t& auth, wire::Reader& reader, wire::Writer& writer) {
  const auto size = reader.get<uint64_t>();
  if (!reader.ended() || size > wire::kAuthBytes) return false;
  std::string buffer(static_cast<size_t>(size), '\0');
  const tenon_status status = auth.random(host, buffer.data(), buffer.size());
  writer.put<int32_t>(status).text(status == TENON_OK ? std::string_view(buffer) : std::string_view());
  return true;
}

}  // namespace

bool serve_auth(Session& session, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  const auto& auth = *session.service<tenon_host_auth_t>(TENON_AUTH_ID);
  const tenon_host_t* const host = &session.host();
  switch (code) {
    case wire::kUpAuthIdentity:
    case wire::kUpAuthIsOperator:
      return serve_request(session, auth, code, reader, writer);
    case wire::kUpAuthForget:
      if (!reader.ended()) return false;
      return auth.forget_decisions(host), true;
    case wire::kUpAuthHash:
    case wire::kUpAuthVerify:
      return serve_password(host, auth, code, reader, writer);
    case wire::kUpAuthSign:
    case wire::kUpAuthToken:
      return serve_token(host, auth, code, reader, writer);
    case wire::kUpAuthRandom:
      return serve_random(host, auth, reader, writer);
    default:
      return false;
  }
}

}  // namespace tenon::isolated
