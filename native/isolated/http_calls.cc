#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "byte_buffer.h"
#include "call.h"
#include "front.h"
#include "generation.h"
#include "lease.h"
#include "plugin.h"
#include "plugin_functions.h"

namespace tenon::isolated {

using core::Call;

namespace {
constexpr size_t kKeptBytes = 256 * 1024;
}

// In the order of wire/request_image.h.
void write_request(wire::Writer& writer, uint64_t token, Call& call) {
  core::Request& request = call.request;
  writer.put(token).put(call.front.is_strict()).put(request.method).put(request.number);
  writer.put(call.armed ? call.deadline.load(std::memory_order_relaxed) : 0).put(call.time_left_ms());
  writer.text(request.url().text());
  writer.text(request.header_block().text());
  uint32_t count = 0;
  for (const core::Segment& segment : call.route->segments)
    count += segment.kind == core::Segment::Kind::Literal ? 0 : 1;
  writer.put(count);
  if (count != 0) {
    const core::Lease* const lease = call.lease.load(std::memory_order_relaxed);
    const size_t prefix = call.gate_route != nullptr || lease == nullptr ? 0 : lease->generation->prefix_segments();
    for (const core::Segment& segment : call.route->segments) {
      if (segment.kind == core::Segment::Kind::Literal) continue;
      const std::string_view name = segment.kind == core::Segment::Kind::Rest ? "*" : std::string_view(segment.text);
      std::string_view value;
      request.param(*call.route, prefix, segment.text, value);
      writer.text(name).text(value);
    }
  }
  // The body comes last, and beside the writer: it is not copied twice.
}

namespace {

constexpr std::array<const char*, 5> kLentParts = {"path and query", "headers", "body", "decoded parameters", "id"};

const char* lent_part(std::string_view name) {
  for (const char* const part : kLentParts) {
    if (name == part) return part;
  }
  return nullptr;
}

// Whether these are changes, and such that may be made now.
bool are_changes(std::string_view changes, bool streams, ChangesOf what) {
  wire::Reader reader(changes);
  // One at most: all plugins share what keeps them for people.
  int overruns = what == ChangesOf::Answer ? 1 : 0;
  while (!reader.rest().empty()) {
    const auto change = static_cast<wire::Change>(reader.get<uint8_t>());
    if (streams && change != wire::Change::Fail && change != wire::Change::Overrun) return false;
    switch (change) {
      case wire::Change::Status:
        reader.get<int32_t>();
        break;
      case wire::Change::SetHeader:
      case wire::Change::AddHeader:
        reader.text();
        reader.text();
        break;
      case wire::Change::Body:
      case wire::Change::Fail:
        reader.text();
        break;
      case wire::Change::Flaw:
        // An empty one would take back what the host has found.
        if (const size_t size = reader.text().size(); size == 0 || size > wire::kFlawBytes) return false;
        break;
      case wire::Change::Overrun:
        if (overruns-- == 0 || lent_part(reader.text()) == nullptr) return false;
        break;
      default:
        return false;
    }
  }
  return reader.ended();
}

}  // namespace

bool apply_changes(Call& call, std::string_view changes, ChangesOf what) {
  if (!are_changes(changes, call.stream != nullptr, what)) return false;
  wire::Reader reader(changes);
  while (!reader.rest().empty()) {
    const auto change = static_cast<wire::Change>(reader.get<uint8_t>());
    if (change == wire::Change::Status) {
      call.response.set_status(reader.get<int32_t>());
      continue;
    }
    const std::string_view text = reader.text();
    if (change == wire::Change::SetHeader || change == wire::Change::AddHeader) {
      call.response.set_header(text, reader.text(), change == wire::Change::SetHeader);
    } else if (change == wire::Change::Body) {
      call.response.set_body(text);
    } else if (change == wire::Change::Fail) {
      call.response.fail(text);
    } else if (change == wire::Change::Flaw) {
      call.response.spoil(text);
    } else {
      call.note_overrun(lent_part(text));
    }
  }
  return true;
}

bool apply_changes(Call& call, wire::Reader& reader) { return reader.whole() && apply_changes(call, reader.rest()); }

tenon_status PluginFunctions::handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                                     tenon_response_t*) {
  IsolatedPlugin& own = IsolatedPlugin::of(plugin);
  Call& call = core::call_of(request);
  std::string problem;
  const std::shared_ptr<Session> session = own.pick(&call, problem);
  if (!session) {
    call.refuse(core::Refusal::ProcessEnded, 503, call.plugin->id() + ": " + problem);
    return TENON_OK;
  }
  const uint64_t token = session->frames.add(request);
  // Memory of the call before on this thread.
  thread_local std::string kept_question;
  thread_local std::string kept_answer;
  wire::Writer writer(std::move(kept_question));
  std::string answer = std::move(kept_answer);
  writer.put(index);
  write_request(writer, token, call);
  const uint64_t body_size = call.request.body().size();
  const std::string_view size(reinterpret_cast<const char*>(&body_size), sizeof body_size);
  const wire::Outcome outcome =
      own.ask_of(*session, wire::kDownHandle, {writer.bytes(), size, call.request.body()}, answer, &call, problem);
  kept_question = writer.take();
  const tenon_status status = end_handle(*session, token, outcome, answer, call, problem);
  if (answer.capacity() <= kKeptBytes) kept_answer = std::move(answer);
  return status;
}

tenon_status PluginFunctions::end_handle(Session& session, uint64_t token, wire::Outcome outcome, std::string& answer,
                                         Call& call, const std::string& problem) {
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  // Deferred: it is another thread's from here on.
  if (!session.frames.take_back(token)) return outcome == wire::Outcome::Done ? status : TENON_OK;
  if (outcome != wire::Outcome::Done) {
    const int32_t refused = outcome == wire::Outcome::NotBegun ? 503 : 502;
    call.refuse(core::Refusal::ProcessEnded, refused, call.plugin->id() + ": " + problem);
    return TENON_OK;
  }
  if (!apply_changes(call, reader)) {
    session.kill("answered a request with what is no answer");
    call.refuse(core::Refusal::ProcessEnded, 502, call.plugin->id() + ": its process answered with what is no answer");
    return TENON_OK;
  }
  return status;
}

core::InstanceSource::Start IsolatedPlugin::begin(Call& call, bool may_wait, tenon_status& status) {
  const uint32_t index = call.route->index;
  if (over_lanes_.size() <= index) {
    if (!over_lanes_.empty() || !declarations_) return Start::Refused;
    over_lanes_.resize(std::max<size_t>(declarations_->routes.size(), 1), 0);
    if (over_lanes_.size() <= index) return Start::Refused;
  }
  if (over_lanes_[index] > 0) return over_lanes_[index]--, Start::Refused;
  const std::shared_ptr<Session> session = pick_now();
  if (!session) return Start::Refused;
  ExpressLane& express = session->express();
  if (!express.is_open()) {
    if (!session->open_express()) return Start::Refused;
    if (!call.front.attend(std::shared_ptr<core::Attended>(session, &express))) {
      return express.be_deaf(), Start::Refused;
    }
  }
  refresh_log_level(*session);
  express.set_limit(call.lease.load(std::memory_order_relaxed)->generation->pool().thread_limit());
  const uint64_t token = session->frames.add(&call);
  wire::Writer writer(std::move(question_));
  writer.put(index);
  write_request(writer, token, call);
  const Start start =
      express.begin(call, token, writer.bytes(), call.request.body(), over_lanes_[index], may_wait, status);
  if (start == Start::Refused) session->frames.take_back(token);
  question_ = writer.take();
  return start;
}

tenon_status IsolatedPlugin::go_on(Call& call) {
  const auto session = std::static_pointer_cast<Session>(call.errand);
  wire::Writer writer;
  writer.put(call.errand_slot);
  std::string answer;
  std::string problem;
  wire::Outcome outcome = ask_of(*session, wire::kDownContinue, {writer.bytes()}, answer, &call, problem);
  // Its handler waits for a lane, and would for ever.
  if (outcome == wire::Outcome::NotBegun) {
    session->kill("waited for a lane in vain");
    outcome = wire::Outcome::Ended;
    problem = "its process ended while it was in this";
  }
  session->express().leave(call.errand_slot);
  return PluginFunctions::end_handle(*session, call.errand_token, outcome, answer, call, problem);
}

void IsolatedPlugin::give_up(Call& call) {
  const auto session = std::static_pointer_cast<Session>(call.errand);
  session->kill("waited for a thread of the host in vain");
  session->frames.take_back(call.errand_token);
  session->express().leave(call.errand_slot);
}

}  // namespace tenon::isolated
