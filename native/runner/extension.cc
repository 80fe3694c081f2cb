#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "byte_buffer.h"
#include "plugin_server.h"
#include "remote_request.h"
#include "request_way.h"
#include "wire/steps.h"

namespace tenon::runner {

using core::bytes;
using core::Identity;
using core::view;

namespace {

// Where a provider and a hook answer: checked as the host does, which then does it again.
struct Answer {
  bool may_accept = false;
  const Identity* roles_of = nullptr;
  std::unique_ptr<Identity> accepted;
  uint32_t cache_ms = 0;
  std::vector<std::string> roles;
  bool refused = false;
  std::string message;
  uint32_t retry_after_s = 0;
};

Answer& answer_of(const tenon_auth_answer_t* face) { return *static_cast<Answer*>(face->data); }

tenon_status accept(const tenon_auth_answer_t* face, const tenon_identity_t* identity, uint32_t cache_ms) {
  Answer& answer = answer_of(face);
  if (!answer.may_accept) return TENON_ERROR_STATE;
  answer.accepted = Identity::copy(identity, {}, {});
  if (!answer.accepted) return TENON_ERROR_ARGUMENT;
  answer.cache_ms = cache_ms;
  return TENON_OK;
}

tenon_status add_role(const tenon_auth_answer_t* face, tenon_bytes_t role) {
  Answer& answer = answer_of(face);
  if (answer.roles_of == nullptr) return TENON_ERROR_STATE;
  const std::string_view name = view(role);
  if (!core::is_role(name)) return TENON_ERROR_ARGUMENT;
  std::vector<std::string>& added = answer.roles;
  if (answer.roles_of->has_role(name) || std::find(added.begin(), added.end(), name) != added.end()) return TENON_OK;
  if (answer.roles_of->face().role_count + added.size() >= TENON_AUTH_ROLE_LIMIT) return TENON_ERROR_TOO_LARGE;
  added.emplace_back(name);
  return TENON_OK;
}

void refuse(const tenon_auth_answer_t* face, tenon_bytes_t message, uint32_t retry_after_s) {
  Answer& answer = answer_of(face);
  answer.refused = true;
  if (message.data != nullptr) answer.message.assign(view(message).substr(0, core::Response::kMessageBytes));
  answer.retry_after_s = retry_after_s;
}

tenon_auth_answer_t face_of(Answer& answer) { return {sizeof(tenon_auth_answer_t), &answer, accept, add_role, refuse}; }

// What the host sends is within the bounds.
std::unique_ptr<Identity> read_identity(wire::Reader& reader) {
  wire::IdentityImage image;
  image.read(reader);
  return Identity::copy(&image.face, std::string(view(image.face.scheme)), std::string(view(image.face.extension)));
}

void write_kept(wire::Writer& writer, const RequestWay& way) {
  writer.put(way.keeps);
  if (way.keeps) writer.put<uint64_t>(way.kept);
}

bool read_request(wire::Lane& lane, wire::Reader& reader, RemoteRequest& request) {
  if (!request.read(reader) || !reader.ended()) return false;
  request.attach(lane);
  return true;
}

// The rest of a question.
bool read_step(wire::Lane& lane, wire::Reader& reader, RemoteRequest& request) {
  request.in_step = true;
  request.way = std::make_unique<RequestWay>();
  request.way->read(reader);
  return read_request(lane, reader, request);
}

bool read_standing(wire::Lane& lane, wire::Reader& reader, RemoteRequest& request) {
  request.in_step = true;
  request.way = std::make_unique<RequestWay>();
  request.way->read(reader);
  request.response.set_status(reader.get<int32_t>());
  request.way->refused_status = reader.get<int32_t>();
  request.streamed = reader.flag();
  std::string_view block = reader.text();
  while (!block.empty()) {
    const size_t name_end = block.find('\n');
    const size_t value_end = block.find('\n', name_end + 1);
    if (value_end == std::string_view::npos) break;
    request.response.set_header(block.substr(0, name_end), block.substr(name_end + 1, value_end - name_end - 1), false);
    block.remove_prefix(value_end + 1);
  }
  return read_request(lane, reader, request);
}

void write_changes(wire::Writer& writer, RemoteRequest& request) {
  request.note_overrun();
  writer.raw(request.changes.bytes()).raw(request.body_head()).raw(request.body_bytes());
}

void write_answer(wire::Writer& writer, tenon_status status, const Answer& answer, RemoteRequest& request) {
  writer.put<int32_t>(status).put(answer.accepted != nullptr);
  if (answer.accepted) {
    wire::write_identity(writer, answer.accepted->face());
    writer.put<uint32_t>(answer.cache_ms);
  }
  writer.put(static_cast<uint32_t>(answer.roles.size()));
  for (const std::string& role : answer.roles) writer.text(role);
  writer.put(answer.refused);
  if (answer.refused) writer.text(answer.message).put<uint32_t>(answer.retry_after_s);
  write_kept(writer, *request.way);
  write_changes(writer, request);
}

bool authenticate(Plugin& plugin, wire::Lane& lane, wire::Reader& reader, wire::Writer& writer) {
  const auto provider = reader.get<uint32_t>();
  const tenon_bytes_t credential = reader.bytes();
  RemoteRequest request;
  if (!read_step(lane, reader, request)) return false;
  Answer answer;
  answer.may_accept = true;
  const tenon_auth_answer_t face = face_of(answer);
  const tenon_status status = plugin.auth->authenticate(plugin.instance, provider, &request, credential, &face);
  write_answer(writer, status, answer, request);
  return true;
}

bool resolve_roles(Plugin& plugin, wire::Lane& lane, wire::Reader& reader, wire::Writer& writer) {
  const std::unique_ptr<Identity> identity = read_identity(reader);
  RemoteRequest request;
  if (!read_step(lane, reader, request) || !identity) return false;
  Answer answer;
  answer.roles_of = identity.get();
  const tenon_auth_answer_t face = face_of(answer);
  const tenon_identity_t who = identity->face();
  const tenon_status status = plugin.auth->resolve_roles(plugin.instance, &request, &who, &face);
  write_answer(writer, status, answer, request);
  return true;
}

bool authorize(Plugin& plugin, wire::Lane& lane, wire::Reader& reader, wire::Writer& writer) {
  const bool known = reader.flag();
  std::unique_ptr<Identity> identity = known ? read_identity(reader) : nullptr;
  RemoteRequest request;
  if (!read_step(lane, reader, request) || known != (identity != nullptr)) return false;
  request.way->identity = std::move(identity);
  request.way->identity_asked = true;
  Answer answer;
  const tenon_auth_answer_t face = face_of(answer);
  const tenon_identity_t who = known ? request.way->identity->face() : tenon_identity_t{};
  const tenon_status status = plugin.auth->authorize(plugin.instance, &request, known ? &who : nullptr, &face);
  write_answer(writer, status, answer, request);
  return true;
}

bool before(Plugin& plugin, wire::Lane& lane, wire::Reader& reader, wire::Writer& writer) {
  RemoteRequest request;
  if (!read_standing(lane, reader, request)) return false;
  bool answered = false;
  const tenon_status status = plugin.middleware->before(plugin.instance, &request, &request, &answered);
  writer.put<int32_t>(status).put(answered);
  write_kept(writer, *request.way);
  write_changes(writer, request);
  return true;
}

bool after(Plugin& plugin, wire::Lane& lane, wire::Reader& reader, wire::Writer& writer) {
  RemoteRequest request;
  if (!read_standing(lane, reader, request)) return false;
  plugin.middleware->after(plugin.instance, &request, &request);
  write_kept(writer, *request.way);
  write_changes(writer, request);
  return true;
}

// What a hook gives.
struct Giving {
  std::string bytes;
  std::string message;
  bool failed = false;
};

tenon_status write_output(const tenon_hook_output_t* output, tenon_bytes_t given) {
  Giving& giving = *static_cast<Giving*>(output->data);
  if (given.data == nullptr && given.size != 0) return TENON_ERROR_ARGUMENT;
  if (giving.bytes.size() > TENON_HOOK_BYTES) return TENON_ERROR_TOO_LARGE;
  // One byte over the limit is sent, for the host to say so.
  if (given.size > TENON_HOOK_BYTES - giving.bytes.size()) {
    giving.bytes.resize(TENON_HOOK_BYTES + 1);
    return TENON_ERROR_TOO_LARGE;
  }
  giving.bytes.append(view(given));
  return TENON_OK;
}

void fail_output(const tenon_hook_output_t* output, tenon_bytes_t message) {
  if (message.data == nullptr) return;
  Giving& giving = *static_cast<Giving*>(output->data);
  giving.failed = true;
  giving.message.assign(view(message).substr(0, core::Response::kMessageBytes));
}

bool call_hook(Plugin& plugin, wire::Reader& reader, wire::Writer& writer) {
  const auto index = reader.get<uint32_t>();
  const tenon_bytes_t input = reader.bytes();
  if (!reader.ended()) return false;
  Giving giving;
  const tenon_hook_output_t face = {sizeof(tenon_hook_output_t), &giving, write_output, fail_output};
  writer.put<int32_t>(plugin.hooks->call(plugin.instance, index, input, &face));
  writer.put(giving.failed).text(giving.message).text(giving.bytes);
  return true;
}

}  // namespace

bool serve_extension(Plugin& plugin, wire::Lane& lane, uint16_t code, wire::Reader& reader, wire::Writer& writer) {
  switch (code) {
    case wire::kDownAuthenticate:
      return authenticate(plugin, lane, reader, writer);
    case wire::kDownResolveRoles:
      return resolve_roles(plugin, lane, reader, writer);
    case wire::kDownAuthorize:
      return authorize(plugin, lane, reader, writer);
    case wire::kDownBefore:
      return before(plugin, lane, reader, writer);
    case wire::kDownAfter:
      return after(plugin, lane, reader, writer);
    case wire::kDownHook:
      return call_hook(plugin, reader, writer);
    default:
      return false;
  }
}

}  // namespace tenon::runner
