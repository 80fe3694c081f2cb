#include "authentication.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "byte_buffer.h"
#include "chain_step.h"
#include "clock.h"
#include "plugin.h"

namespace tenon::core {

namespace {

// Where a provider or a hook answers.
struct Answer {
  explicit Answer(const std::string& id) : extension(id) {}

  const std::string& extension;
  const Provider* provider = nullptr;  // whose accept this is
  const Identity* roles_of = nullptr;  // to whom roles are added
  std::unique_ptr<Identity> accepted;
  uint32_t cache_ms = 0;
  std::vector<std::string> roles;
  std::string message;
  uint32_t retry_after_s = 0;
};

Answer& answer_of(const tenon_auth_answer_t* face) { return *static_cast<Answer*>(face->data); }

tenon_status accept(const tenon_auth_answer_t* face, const tenon_identity_t* identity, uint32_t cache_ms) {
  Answer& answer = answer_of(face);
  if (answer.provider == nullptr) return TENON_ERROR_STATE;
  answer.accepted = Identity::copy(identity, answer.provider->scheme, answer.extension);
  if (!answer.accepted) return TENON_ERROR_ARGUMENT;
  answer.cache_ms = std::min(cache_ms, TENON_AUTH_CACHE_MS);
  return TENON_OK;
}

// Kept apart until the hook is through: it may be reading the roles that are there.
tenon_status add_role(const tenon_auth_answer_t* face, tenon_bytes_t role) {
  Answer& answer = answer_of(face);
  if (answer.roles_of == nullptr) return TENON_ERROR_STATE;
  const std::string_view name = view(role);
  if (!is_role(name)) return TENON_ERROR_ARGUMENT;
  std::vector<std::string>& added = answer.roles;
  if (answer.roles_of->has_role(name) || std::find(added.begin(), added.end(), name) != added.end()) return TENON_OK;
  if (answer.roles_of->face().role_count + added.size() >= TENON_AUTH_ROLE_LIMIT) return TENON_ERROR_TOO_LARGE;
  added.emplace_back(name);
  return TENON_OK;
}

void refuse(const tenon_auth_answer_t* face, tenon_bytes_t message, uint32_t retry_after_s) {
  Answer& answer = answer_of(face);
  if (message.data != nullptr) answer.message.assign(view(message).substr(0, Response::kMessageBytes));
  answer.retry_after_s = retry_after_s;
}

tenon_auth_answer_t face_of(Answer& answer) { return {sizeof(tenon_auth_answer_t), &answer, accept, add_role, refuse}; }

std::string request_of(const Call& call) {
  return std::string(method_name(call.request.method)) + " " + std::string(call.request.path());
}

bool begins_with_scheme(std::string_view value, std::string_view scheme) {
  if (value.size() <= scheme.size() || value[scheme.size()] != ' ') return false;
  return std::equal(scheme.begin(), scheme.end(), value.begin(), [](char left, char right) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
    return lower(left) == lower(right);
  });
}

bool find_credential(const Call& call, const Provider& provider, std::string_view& credential) {
  if (!call.request.header(provider.header, credential)) return false;
  if (provider.header != "authorization") return true;
  if (!begins_with_scheme(credential, provider.scheme)) return false;
  credential.remove_prefix(provider.scheme.size() + 1);
  return true;
}

void add_header(Call& call, std::string_view name, std::string_view value) {
  std::string& block = call.pass->headers;
  block.append(name).append("\n").append(value).append("\n");
}

// 401, with what every provider would have liked to see.
void refuse_stranger(Call& call, std::string text) {
  const auto& chain = call.pass->chain;
  for (size_t link = 0; chain && link < chain->links.size(); link++) {
    // One that does not run may when the client comes again.
    const auto known = chain->links[link].plugin->providers();
    for (size_t index = 0; known && index < known->size(); index++) {
      const std::string& challenge = (*known)[index];
      if (!challenge.empty()) add_header(call, "www-authenticate", challenge);
    }
  }
  call.refuse(Refusal::Unauthenticated, 401, std::move(text));
}

// Nobody is known where somebody must be: 401, or 503 where none of those runs who could know.
void refuse_nobody(Call& call) {
  std::string text = request_of(call) + " needs somebody who is known";
  const auto& chain = call.pass->chain;
  std::vector<const Plugin*> away;
  bool asked = false;
  for (size_t link = 0; chain && link < chain->links.size(); link++) {
    const Plugin& plugin = *chain->links[link].plugin;
    const auto known = plugin.providers();
    if (known && known->empty()) continue;
    // What one that has never run would have offered nobody knows.
    if (plugin.live() == nullptr && !plugin.is_held()) {
      away.push_back(&plugin);
    } else {
      asked = true;
    }
  }
  for (const Plugin* const plugin : away) {
    text +=
        (plugin == away.front() ? away.size() == 1 ? "; its extension " : "; its extensions " : ", ") + plugin->id();
  }
  if (!away.empty()) text += away.size() == 1 ? " is not running" : " are not running";
  if (asked || away.empty()) return refuse_stranger(call, std::move(text));
  call.pass->foreign_fault = true;
  call.refuse(Refusal::ExtensionUnavailable, 503, std::move(text));
}

void refuse_attempts(Call& call, const Answer& answer) {
  if (answer.retry_after_s != 0) add_header(call, "retry-after", std::to_string(answer.retry_after_s));
  call.refuse(Refusal::TooManyAttempts, 429, answer.message.empty() ? "too many attempts" : answer.message);
}

// An extension that cannot answer lets nobody in.
void refuse_without_answer(ChainStep& step, const char* name, const Answer& answer, const char* question,
                           tenon_status status) {
  step.fail(name, 503, question, answer.message.empty() ? "status " + std::to_string(status) : answer.message);
}

// A decision that may be kept, once it is whole.
struct Found {
  std::shared_ptr<Identity> identity;
  bool is_new = false;
  size_t link = 0;
  const Generation* generation = nullptr;
  Hash128 name = {};
  uint64_t epoch = 0;
  uint64_t end = 0;
};

enum class Verdict { Nobody, Somebody, Refused };

// A credential has come to its provider.
Verdict ask(Call& call, ChainStep& step, uint32_t index, std::string_view credential, Found& found) {
  Generation& generation = *step.generation();
  const uint64_t time = now();
  found.name = generation.decisions().name_of(index, call.pass->chain->number, credential);
  if (auto known = generation.decisions().find(found.name, time, found.epoch); known) {
    call.pass->identity = std::move(known);
    return Verdict::Somebody;
  }
  Answer answer(step.id());
  answer.provider = &generation.offers().providers[index];
  const tenon_auth_answer_t face = face_of(answer);
  const tenon_status status = step.run(Work::Authenticate, [&] {
    return generation.offers().auth->authenticate(generation.instance(), index, &call, bytes(credential), &face);
  });
  if (call.refusal != Refusal::None) return Verdict::Refused;
  switch (status) {
    case TENON_ERROR_NOT_FOUND:
      return Verdict::Nobody;
    case TENON_ERROR_DENIED:
      refuse_stranger(call, answer.message.empty() ? "the credential is wrong" : answer.message);
      return Verdict::Refused;
    case TENON_ERROR_AGAIN:
      refuse_attempts(call, answer);
      return Verdict::Refused;
    case TENON_OK:
      if (answer.accepted) break;
      answer.message = "it said yes and not who";
      [[fallthrough]];
    default:
      refuse_without_answer(step, "authenticate", answer, "it could not say whose the credential is", status);
      return Verdict::Refused;
  }
  found.identity = std::move(answer.accepted);
  found.is_new = true;
  found.generation = &generation;
  found.end = answer.cache_ms == 0 ? 0 : time + milliseconds(answer.cache_ms);
  return Verdict::Somebody;
}

Verdict identify(Call& call, Found& found) {
  const size_t links = call.pass->chain->links.size();
  for (found.link = 0; found.link < links; found.link++) {
    ChainStep step(call, found.link);
    if (step.refused()) return Verdict::Refused;
    if (step.generation() == nullptr) continue;
    const std::vector<Provider>& providers = step.generation()->offers().providers;
    for (uint32_t index = 0; index < providers.size(); index++) {
      std::string_view credential;
      if (!find_credential(call, providers[index], credential)) continue;
      const Verdict verdict = ask(call, step, index, credential, found);
      if (verdict != Verdict::Nobody) return verdict;
      if (call.abandoned()) return Verdict::Refused;
    }
  }
  return Verdict::Nobody;
}

bool resolve_roles(Call& call, Found& found) {
  Identity& identity = *found.identity;
  for (size_t link = 0; link < call.pass->chain->links.size(); link++) {
    if (call.abandoned()) return false;
    ChainStep step(call, link);
    if (step.refused()) return false;
    // What it would have given is not known, and not to be missing for longer than it is away.
    if (step.generation() == nullptr) found.end = 0;
    if (step.generation() == nullptr || !step.generation()->offers().resolves_roles) continue;
    const Generation& generation = *step.generation();
    Answer answer(step.id());
    answer.roles_of = &identity;
    const tenon_auth_answer_t face = face_of(answer);
    const tenon_identity_t who = identity.face();
    const tenon_status status = step.run(Work::Roles, [&] {
      return generation.offers().auth->resolve_roles(generation.instance(), &call, &who, &face);
    });
    if (call.refusal != Refusal::None) return false;
    if (call.pass->left_out) found.end = 0;
    if (status != TENON_OK) {
      return refuse_without_answer(step, "resolve_roles", answer, "it could not tell the roles", status), false;
    }
    for (const std::string& role : answer.roles) identity.add_role(role);
  }
  return !call.abandoned();
}

// In the generation that has made the decision, if that is still the live one.
void keep(Call& call, const Found& found) {
  if (found.end == 0) return;
  const ChainStep step(call, found.link, ChainStep::Absence::IsFine);
  if (step.generation() == nullptr || step.generation() != found.generation) return;
  step.generation()->decisions().keep(found.name, call.pass->identity, now(), found.end, found.epoch);
}

bool check_need(Call& call) {
  const ChainPass& pass = *call.pass;
  uint32_t need = call.route->auth;
  if (need == TENON_AUTH_NONE) need = pass.chain && pass.chain->identity ? TENON_AUTH_IDENTITY : TENON_AUTH_OPEN;
  if (call.gate_route != nullptr || need == TENON_AUTH_OPEN) return true;
  if (!pass.identity) return refuse_nobody(call), false;
  if (need == TENON_AUTH_IDENTITY) return true;
  const std::vector<std::string>& roles = call.route->roles;
  if (std::any_of(roles.begin(), roles.end(), [&](const std::string& role) { return pass.identity->has_role(role); })) {
    return true;
  }
  std::string list;
  for (const std::string& role : roles) list += (list.empty() ? "" : ", ") + role;
  call.refuse(Refusal::Forbidden, 403, request_of(call) + " is for " + list);
  return false;
}

bool authorize(Call& call) {
  for (size_t link = 0; link < call.pass->chain->links.size(); link++) {
    if (call.abandoned()) return false;
    ChainStep step(call, link);
    if (step.refused()) return false;
    if (step.generation() == nullptr || !step.generation()->offers().authorizes) continue;
    const Generation& generation = *step.generation();
    Answer answer(step.id());
    const tenon_auth_answer_t face = face_of(answer);
    const Identity* const identity = call.pass->identity.get();
    const tenon_identity_t who = identity == nullptr ? tenon_identity_t{} : identity->face();
    const tenon_status status = step.run(Work::Authorize, [&] {
      return generation.offers().auth->authorize(generation.instance(), &call, identity == nullptr ? nullptr : &who,
                                                 &face);
    });
    if (call.refusal != Refusal::None) return false;
    if (status == TENON_OK) continue;
    if (status != TENON_ERROR_DENIED) {
      const char* const question = "it could not say whether the request may go on";
      return refuse_without_answer(step, "authorize", answer, question, status), false;
    }
    std::string text = answer.message.empty() ? request_of(call) + " is not allowed" : answer.message;
    if (identity == nullptr) {
      refuse_stranger(call, std::move(text));
    } else {
      call.refuse(Refusal::Forbidden, 403, std::move(text));
    }
    return false;
  }
  return !call.abandoned();
}

}  // namespace

bool authenticate(Call& call) {
  ChainPass& pass = *call.pass;
  if (!pass.chain) return check_need(call);
  Found found;
  if (identify(call, found) == Verdict::Refused) return false;
  if (found.is_new) {
    if (!resolve_roles(call, found)) return false;
    pass.identity = found.identity;
    keep(call, found);
  }
  return check_need(call) && authorize(call);
}

}  // namespace tenon::core
