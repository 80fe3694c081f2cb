#include "auth_face.h"

#include "byte_buffer.h"
#include "call.h"
#include "credentials.h"
#include "front.h"
#include "generation.h"
#include "host_face.h"

namespace tenon::core {

namespace {

bool identity(const tenon_request_t* request, tenon_identity_t* who) {
  const Call& call = call_of(request);
  if (!call.pass || !call.pass->identity) return false;
  if (who != nullptr) *who = call.pass->identity->face();
  return true;
}

// As long as the token that was given takes, whatever it is.
bool is_same_token(std::string_view given, std::string_view token) {
  auto difference = static_cast<unsigned char>(given.size() == token.size() ? 0 : 1);
  for (size_t index = 0; index < given.size(); index++) {
    difference = static_cast<unsigned char>(difference | (given[index] ^ token[index % token.size()]));
  }
  return difference == 0;
}

bool is_operator(const tenon_request_t* request) {
  const Call& call = call_of(request);
  const std::string& token = call.front.operator_token();
  constexpr std::string_view scheme = "bearer ";
  std::string_view value;
  if (token.empty() || !call.request.header("authorization", value) || value.size() < scheme.size()) return false;
  for (size_t index = 0; index < scheme.size(); index++) {
    if (static_cast<char>(value[index] | 0x20) != scheme[index]) return false;
  }
  return is_same_token(value.substr(scheme.size()), token);
}

void forget_decisions(const tenon_host_t* host) {
  HostFace& face = HostFace::of(host);
  if (!face.open()) return;
  face.decisions().forget();
  // A handler of a generation that is being taken down speaks for the one that has taken over, too.
  Lease* lease = nullptr;
  if (face.plugin().enter(lease) != Plugin::Entry::Entered) return;
  lease->generation->decisions().forget();
  face.plugin().leave(*lease);
}

constexpr tenon_host_auth_t kAuth = {sizeof(tenon_host_auth_t),
                                     identity,
                                     is_operator,
                                     forget_decisions,
                                     Credentials::hash_password,
                                     Credentials::verify_password,
                                     Credentials::sign_token,
                                     Credentials::verify_token,
                                     Credentials::random};

}  // namespace

const tenon_host_auth_t& auth_functions() { return kAuth; }

}  // namespace tenon::core
