#include "byte_buffer.h"
#include "call.h"
#include "generation.h"
#include "lease.h"
#include "plugin.h"
#include "plugin_functions.h"

namespace tenon::isolated {

using core::Call;

// In the order of wire/request_image.h.
void write_request(wire::Writer& writer, uint64_t token, Call& call) {
  core::Request& request = call.request;
  writer.put(token).put(request.method).put(request.number);
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

bool apply_changes(Call& call, wire::Reader& reader) {
  while (!reader.rest().empty()) {
    const auto change = static_cast<wire::Change>(reader.get<uint8_t>());
    switch (change) {
      case wire::Change::Status:
        call.response.set_status(reader.get<int32_t>());
        break;
      case wire::Change::SetHeader:
      case wire::Change::AddHeader: {
        const std::string_view name = reader.text();
        const std::string_view value = reader.text();
        if (reader.whole()) call.response.set_header(name, value, change == wire::Change::SetHeader);
        break;
      }
      case wire::Change::Body: {
        const std::string_view body = reader.text();
        if (reader.whole()) call.response.set_body(body);
        break;
      }
      case wire::Change::Fail:
        call.response.fail(reader.text());
        break;
      default:
        return false;
    }
  }
  return reader.whole();
}

tenon_status PluginFunctions::handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                                     tenon_response_t* response) {
  IsolatedPlugin& own = IsolatedPlugin::of(plugin);
  Call& call = core::call_of(request);
  std::string problem;
  const std::shared_ptr<Session> session = own.pick(&call, problem);
  if (!session) {
    call.refuse(core::Refusal::ProcessEnded, 503, call.plugin->id() + ": " + problem);
    return TENON_OK;
  }
  const uint64_t token = session->frames.add(request, response);
  wire::Writer writer;
  writer.put(index);
  write_request(writer, token, call);
  const uint64_t body_size = call.request.body().size();
  const std::string_view size(reinterpret_cast<const char*>(&body_size), sizeof body_size);
  std::string answer;
  const wire::Outcome outcome =
      own.ask_of(*session, wire::kDownHandle, {writer.bytes(), size, call.request.body()}, answer, &call, problem);
  // Deferred: it is another thread's from here on.
  if (!session->frames.take_back(token)) {
    wire::Reader deferred(answer);
    return outcome == wire::Outcome::Done ? deferred.get<int32_t>() : TENON_OK;
  }
  if (outcome != wire::Outcome::Done) {
    call.refuse(core::Refusal::ProcessEnded, 502, call.plugin->id() + ": " + problem);
    return TENON_OK;
  }
  wire::Reader reader(answer);
  const auto status = reader.get<int32_t>();
  if (reader.whole() && (call.stream != nullptr ? reader.ended() : apply_changes(call, reader))) return status;
  session->kill("answered a request with what is no answer");
  call.refuse(core::Refusal::ProcessEnded, 502, call.plugin->id() + ": its process answered with what is no answer");
  return TENON_OK;
}

}  // namespace tenon::isolated
