#include <string>
#include <utility>
#include <vector>

#include "byte_buffer.h"
#include "call.h"
#include "chain.h"
#include "middleware_face.h"
#include "plugin.h"
#include "plugin_functions.h"
#include "wire/steps.h"

namespace tenon::isolated {

using core::bytes;
using core::Call;
using core::Refusal;
using core::view;

namespace {

// The extension that has the call, which may be the plugin itself.
void refuse(Call& call, Refusal why, const std::string& problem) {
  const core::ChainLink* const link = call.inside();
  if (call.pass) call.pass->foreign_fault = link != nullptr && !link->own;
  call.refuse(why, 503, "extension " + (link == nullptr ? call.plugin : link->plugin)->id() + ": " + problem);
}

// One step of a call in a runner. What goes wrong with it refuses the call, in the extension's name.
class Step {
 public:
  Step(tenon_plugin_t* plugin, Call& call) : own_(IsolatedPlugin::of(plugin)), call_(call) {}
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  wire::Writer question;  // what comes before the way
  std::string answer;

  // With `standing` for a middleware. False: the call is refused, or the step is left out as that of an extension that
  // does not run.
  bool ask(uint16_t code, bool with_standing = false) {
    std::string problem;
    session_ = own_.pick(&call_, problem);
    if (!session_) return miss(problem), false;
    const uint64_t token = session_->frames.add(&call_, true);
    write_way();
    if (with_standing) write_standing();
    write_request(question, token, call_);
    const std::string_view body = call_.request.body();
    const uint64_t body_size = body.size();
    const std::string_view size(reinterpret_cast<const char*>(&body_size), sizeof body_size);
    const wire::Outcome outcome = own_.ask_of(*session_, code, {question.bytes(), size, body}, answer, &call_, problem);
    session_->frames.take_back(token);
    if (outcome == wire::Outcome::NotBegun) return miss(problem), false;
    if (outcome != wire::Outcome::Done && code != wire::kDownAfter) refuse(call_, Refusal::ExtensionFailed, problem);
    return outcome == wire::Outcome::Done;
  }

  // It has not kept to the protocol.
  void give_up() {
    session_->kill("answered a step of a request with what is no answer");
    refuse(call_, Refusal::ExtensionFailed, "its process answered with what is no answer");
  }

  struct Kept {
    bool is_new = false;
    uint64_t number = 0;
  };
  static Kept read_kept(wire::Reader& reader) {
    Kept kept;
    kept.is_new = reader.flag();
    if (kept.is_new) kept.number = reader.get<uint64_t>();
    return kept;
  }
  void keep(const Kept& kept) {
    if (kept.is_new) core::middleware_functions().keep(&call_, kept.number);
  }

  // The rest of the answer.
  bool apply(wire::Reader& reader) { return apply_changes(call_, reader); }
  // That of a step which has no response.
  bool apply_overrun(std::string_view changes) {
    if (changes.empty()) return true;
    wire::Reader reader(changes);
    const bool is_overrun = static_cast<wire::Change>(reader.get<uint8_t>()) == wire::Change::Overrun;
    reader.text();
    return is_overrun && reader.ended() && apply_changes(call_, changes);
  }

 private:
  void miss(const std::string& problem) {
    const core::ChainLink* const link = call_.inside();
    if (link == nullptr || link->required || link->own) return refuse(call_, Refusal::ExtensionUnavailable, problem);
    call_.pass->left_out = true;
  }

  void write_way() {
    const tenon_host_middleware_t& way = core::middleware_functions();
    question.text(way.application(&call_)).text(way.route(&call_));
    question.put<uint64_t>(call_.pass ? call_.pass->began : 0).put<uint64_t>(way.kept(&call_));
  }

  void write_standing() {
    question.put<int32_t>(call_.response.status());
    question.put<int32_t>(call_.refusal == Refusal::None ? 0 : call_.refused_status);
    question.put(call_.stream != nullptr).text(call_.response.header_block());
  }

  IsolatedPlugin& own_;
  Call& call_;
  std::shared_ptr<Session> session_;
};

// Has `answer` say what the runner's has said.
tenon_status give(Step& step, const tenon_auth_answer_t* answer) {
  wire::Reader reader(step.answer);
  const auto status = reader.get<int32_t>();
  const bool accepted = reader.flag();
  wire::IdentityImage identity;
  uint32_t cache_ms = 0;
  if (accepted) {
    identity.read(reader);
    cache_ms = reader.get<uint32_t>();
  }
  std::vector<tenon_bytes_t> roles(reader.count(sizeof(uint64_t)));
  for (tenon_bytes_t& role : roles) role = reader.bytes();
  const bool refused = reader.flag();
  tenon_bytes_t message = {};
  uint32_t retry_after_s = 0;
  if (refused) {
    message = reader.bytes();
    retry_after_s = reader.get<uint32_t>();
  }
  const Step::Kept kept = Step::read_kept(reader);
  if (!reader.whole() || !step.apply_overrun(reader.rest())) return step.give_up(), TENON_ERROR;
  if (accepted && answer->accept(answer, &identity.face, cache_ms) != TENON_OK) return step.give_up(), TENON_ERROR;
  for (const tenon_bytes_t role : roles) {
    if (answer->add_role(answer, role) != TENON_OK) return step.give_up(), TENON_ERROR;
  }
  if (refused) answer->refuse(answer, message, retry_after_s);
  step.keep(kept);
  return status;
}

}  // namespace

tenon_status PluginFunctions::authenticate(tenon_plugin_t* plugin, uint32_t provider, tenon_request_t* request,
                                           tenon_bytes_t credential, const tenon_auth_answer_t* answer) {
  Step step(plugin, core::call_of(request));
  step.question.put(provider).text(credential);
  return step.ask(wire::kDownAuthenticate) ? give(step, answer) : TENON_ERROR_NOT_FOUND;
}

tenon_status PluginFunctions::resolve_roles(tenon_plugin_t* plugin, tenon_request_t* request,
                                            const tenon_identity_t* identity, const tenon_auth_answer_t* answer) {
  Step step(plugin, core::call_of(request));
  wire::write_identity(step.question, *identity);
  return step.ask(wire::kDownResolveRoles) ? give(step, answer) : TENON_OK;
}

tenon_status PluginFunctions::authorize(tenon_plugin_t* plugin, tenon_request_t* request,
                                        const tenon_identity_t* identity, const tenon_auth_answer_t* answer) {
  Step step(plugin, core::call_of(request));
  step.question.put(identity != nullptr);
  if (identity != nullptr) wire::write_identity(step.question, *identity);
  return step.ask(wire::kDownAuthorize) ? give(step, answer) : TENON_OK;
}

tenon_status PluginFunctions::before(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t*,
                                     bool* answered) {
  Step step(plugin, core::call_of(request));
  if (!step.ask(wire::kDownBefore, true)) return TENON_OK;
  wire::Reader reader(step.answer);
  const auto status = reader.get<int32_t>();
  const bool is_answered = reader.flag();
  const Step::Kept kept = Step::read_kept(reader);
  if (!reader.whole() || !step.apply(reader)) return step.give_up(), TENON_OK;
  step.keep(kept);
  *answered = is_answered;
  return status;
}

void PluginFunctions::after(tenon_plugin_t* plugin, tenon_request_t* request, tenon_response_t*) {
  Step step(plugin, core::call_of(request));
  if (!step.ask(wire::kDownAfter, true)) return;
  wire::Reader reader(step.answer);
  const Step::Kept kept = Step::read_kept(reader);
  if (!reader.whole() || !step.apply(reader)) return step.give_up();
  step.keep(kept);
}

tenon_status PluginFunctions::call(tenon_plugin_t* plugin, uint32_t index, tenon_bytes_t input,
                                   const tenon_hook_output_t* output) {
  wire::Writer writer;
  writer.put(index).put<uint64_t>(input.size);
  std::string answer;
  std::string problem;
  std::shared_ptr<Session> session;
  const auto fail = [output](const std::string& why) {
    output->fail(output, bytes(why));
    return TENON_ERROR_STATE;
  };
  const wire::Outcome outcome = IsolatedPlugin::of(plugin).ask(wire::kDownHook, {writer.bytes(), view(input)}, answer,
                                                               Call::current(), problem, &session);
  if (outcome != wire::Outcome::Done) return fail(problem);
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  const bool failed = reader.flag();
  const tenon_bytes_t message = reader.bytes();
  const tenon_bytes_t given = reader.bytes();
  if (!reader.ended()) {
    session->kill("answered a hook with what is no answer");
    return fail("its process answered with what is no answer");
  }
  if (failed) output->fail(output, message);
  output->write(output, given);
  return status;
}

}  // namespace tenon::isolated
