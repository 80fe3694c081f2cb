#include <algorithm>
#include <cstring>

#include "byte_buffer.h"
#include "host.h"
#include "remote_request.h"
#include "request_way.h"
#include "tenon/ext/auth.h"
#include "wire/steps.h"

namespace tenon::runner {

using core::view;

namespace {

// One byte more than the host takes is as wrong as any more, and not too much for a message.
constexpr size_t kPasswordBytes = 1024 + 1;
constexpr size_t kClaimsBytes = TENON_AUTH_CLAIMS_LIMIT + 1;

bool is_wrong(tenon_bytes_t bytes) { return bytes.data == nullptr && bytes.size != 0; }

bool identity(const tenon_request_t* request, tenon_identity_t* who) {
  RequestWay& way = RequestWay::of(request_of(request));
  if (!way.identity_asked) {
    way.identity_asked = true;
    wire::Writer writer;
    writer.put(request_of(request).token);
    const std::string answer = Host::instance().ask(wire::kUpAuthIdentity, {writer.bytes()});
    wire::Reader reader(answer);
    if (reader.flag()) {
      wire::IdentityImage image;
      image.read(reader);
      way.identity = core::Identity::copy(&image.face, std::string(view(image.face.scheme)),
                                          std::string(view(image.face.extension)));
    }
  }
  if (!way.identity) return false;
  if (who != nullptr) *who = way.identity->face();
  return true;
}

bool is_operator(const tenon_request_t* request) {
  wire::Writer writer;
  writer.put(request_of(request).token);
  const std::string answer = Host::instance().ask(wire::kUpAuthIsOperator, {writer.bytes()});
  return wire::Reader(answer).flag();
}

void forget_decisions(const tenon_host_t* host) { Host::of(host).ask(wire::kUpAuthForget, {}); }

tenon_status take(const std::string& answer, void* buffer, size_t* size) {
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  const auto full = reader.get<uint64_t>();
  const std::string_view text = reader.text();
  if (!reader.ended()) return TENON_ERROR;
  if (size != nullptr && (status == TENON_OK || full != 0)) *size = static_cast<size_t>(full);
  if (status == TENON_OK && !text.empty()) std::memcpy(buffer, text.data(), text.size());
  return status;
}

tenon_status hash_password(const tenon_host_t* host, tenon_bytes_t password, void* buffer, size_t capacity,
                           size_t* size) {
  wire::Writer writer;
  writer.put(is_wrong(password) || size == nullptr || (buffer == nullptr && capacity != 0));
  writer.text(view(password).substr(0, kPasswordBytes)).put<uint64_t>(buffer == nullptr ? 0 : capacity);
  return take(Host::of(host).ask(wire::kUpAuthHash, {writer.bytes()}), buffer, size);
}

tenon_status verify_password(const tenon_host_t* host, tenon_bytes_t password, tenon_bytes_t hash) {
  wire::Writer writer;
  writer.put(is_wrong(password) || is_wrong(hash));
  writer.text(view(password).substr(0, kPasswordBytes)).text(view(hash).substr(0, wire::kAuthBytes));
  return wire::Reader(Host::of(host).ask(wire::kUpAuthVerify, {writer.bytes()})).get<int32_t>();
}

tenon_status sign_token(const tenon_host_t* host, tenon_bytes_t claims, uint32_t lifetime_s, void* buffer,
                        size_t capacity, size_t* size) {
  if (is_wrong(claims) || size == nullptr || (buffer == nullptr && capacity != 0)) return TENON_ERROR_ARGUMENT;
  wire::Writer writer;
  writer.text(view(claims).substr(0, kClaimsBytes)).put(lifetime_s).put<uint64_t>(capacity);
  return take(Host::of(host).ask(wire::kUpAuthSign, {writer.bytes()}), buffer, size);
}

tenon_status verify_token(const tenon_host_t* host, tenon_bytes_t token, void* buffer, size_t capacity, size_t* size) {
  if (is_wrong(token) || size == nullptr || (buffer == nullptr && capacity != 0)) return TENON_ERROR_ARGUMENT;
  wire::Writer writer;
  writer.text(view(token).substr(0, wire::kAuthBytes)).put<uint64_t>(capacity);
  return take(Host::of(host).ask(wire::kUpAuthToken, {writer.bytes()}), buffer, size);
}

tenon_status random_bytes(const tenon_host_t* host, void* buffer, size_t size) {
  const bool wrong = buffer == nullptr && size != 0;
  char* place = static_cast<char*>(buffer);
  size_t left = wrong ? 0 : size;
  for (;;) {
    const uint64_t piece = std::min(left, wire::kAuthBytes);
    wire::Writer writer;
    writer.put(piece);
    const std::string answer = Host::of(host).ask(wire::kUpAuthRandom, {writer.bytes()});
    wire::Reader reader(answer);
    const auto status = reader.get<int32_t>();
    const std::string_view bytes = reader.text();
    if (!reader.ended()) return TENON_ERROR;
    if (status != TENON_OK) return status;
    if (!bytes.empty()) std::memcpy(place, bytes.data(), bytes.size());
    place += bytes.size();
    left -= bytes.size();
    if (left == 0) return wrong ? TENON_ERROR_ARGUMENT : TENON_OK;
  }
}

constexpr tenon_host_auth_t kAuth = {
    sizeof(tenon_host_auth_t), identity,   is_operator,  forget_decisions, hash_password,
    verify_password,           sign_token, verify_token, random_bytes};

}  // namespace

const void* auth_functions() { return &kAuth; }

}  // namespace tenon::runner
