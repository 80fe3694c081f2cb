#include "front_object.h"

#include <unistd.h>
#include <uv.h>

#include <utility>

#include "clock.h"
#include "generation.h"
#include "log_output.h"
#include "outgoing_values.h"

namespace tenon::node {

namespace {

// A string of one character per byte costs less than a buffer up to about this size.
constexpr size_t kStringBytes = 16 * 1024;

constexpr size_t kKeyBytes = 32;

// Tells objects of this class from others: an unwrap of a foreign object would be a wild cast.
constexpr napi_type_tag kTag = {0x74656e6f6e2d6672ULL, 0x6f6e740000000000ULL};

struct Waiter {
  Napi::Promise::Deferred promise;
  uint32_t deadline_ms;
};

// The characters of `value`, one byte each, into `bytes`; false when it is not a string.
bool ReadBytes(napi_env env, napi_value value, core::ByteBuffer& bytes) {
  size_t size = 0;
  bytes.prepare(512);
  if (napi_get_value_string_latin1(env, value, bytes.data(), bytes.capacity(), &size) != napi_ok) return false;
  if (size + 1 == bytes.capacity()) {
    size_t whole = 0;
    napi_get_value_string_latin1(env, value, nullptr, 0, &whole);
    bytes.prepare(whole + 1);
    napi_get_value_string_latin1(env, value, bytes.data(), bytes.capacity(), &size);
  }
  bytes.set_size(size);
  return true;
}

struct RawHeaders {
  napi_env env;
  napi_value list;
};

// Headers as a block, or as node:http has them, [name, value, …]. Runs inside the call that brought them.
void ReadHeaders(void* context, core::ByteBuffer& block) {
  const auto [env, list] = *static_cast<const RawHeaders*>(context);
  if (ReadBytes(env, list, block)) return;
  uint32_t count = 0;
  napi_get_array_length(env, list, &count);
  std::string text;
  for (uint32_t index = 0; index < count; index++) {
    napi_value item = nullptr;
    size_t size = 0;
    if (napi_get_element(env, list, index, &item) != napi_ok ||
        napi_get_value_string_latin1(env, item, nullptr, 0, &size) != napi_ok) {
      break;
    }
    if (index > 0) text.push_back('\n');
    const size_t begin = text.size();
    text.resize(begin + size + 1);
    napi_get_value_string_latin1(env, item, &text[begin], size + 1, &size);
    text.resize(begin + size);
  }
  block.assign(text);
}

// Body and method, which most calls have not. What is wrong with them, or `misuse`.
const char* ReadRest(napi_env env, const napi_value* arguments, size_t count, core::Request& request,
                     const char* misuse) {
  napi_valuetype type = napi_undefined;
  napi_typeof(env, arguments[0], &type);
  if (type != napi_undefined) {
    void* body = nullptr;
    size_t size = 0;
    if (napi_get_buffer_info(env, arguments[0], &body, &size) != napi_ok) {
      return "body: a Uint8Array or undefined is needed";
    }
    request.borrow_body({static_cast<const char*>(body), size});
  }
  uint32_t method = 0;
  if (count > 1 && napi_get_value_uint32(env, arguments[1], &method) == napi_ok && method != 0) {
    request.method = static_cast<tenon_http_method>(method);
  }
  return misuse;
}

// A request that comes again has the number that it had.
void RenumberRequest(napi_env env, napi_value value, core::Request& request) {
  int64_t number = 0;
  if (napi_get_value_int64(env, value, &number) == napi_ok && number > 0)
    request.number = static_cast<uint64_t>(number);
}

napi_value Bytes(napi_env env, std::string_view text) {
  napi_value value = nullptr;
  napi_create_string_latin1(env, text.data(), text.size(), &value);
  return value;
}

// Bytes a plugin wrote as text: UTF-8, what is not is replaced by V8.
napi_value Text(napi_env env, std::string_view text) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &value);
  return value;
}

const char* AuthName(uint32_t auth) {
  switch (auth) {
    case TENON_AUTH_OPEN:
      return "open";
    case TENON_AUTH_IDENTITY:
      return "identity";
    case TENON_AUTH_ROLES:
      return "roles";
    default:
      return "none";
  }
}

std::string FrontName() {
  constexpr char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
  uint64_t seed = core::now() ^ (static_cast<uint64_t>(getpid()) << 40);
  std::string name;
  for (int index = 0; index < 8; index++, seed /= 36) name.push_back(digits[seed % 36]);
  return name;
}

}  // namespace

Napi::Function FrontObject::Define(Napi::Env env) {
  return DefineClass(
      env, "Front",
      {InstanceMethod<&FrontObject::Headers>("headers"), InstanceMethod<&FrontObject::Cancel>("cancel"),
       InstanceMethod<&FrontObject::Acknowledge>("acknowledge"), InstanceMethod<&FrontObject::Fetched>("fetched"),
       InstanceMethod<&FrontObject::Close>("close"), InstanceMethod<&FrontObject::Emit>("emit"),
       InstanceMethod<&FrontObject::EndStart>("endStart"), InstanceMethod<&FrontObject::SetLogLevel>("setLogLevel"),
       InstanceMethod<&FrontObject::TagOutput>("tagOutput"), InstanceMethod<&FrontObject::MetricsText>("metricsText")});
}

FrontObject* FrontObject::From(Napi::Value value) {
  const Napi::Env env = value.Env();
  bool ours = false;
  if (value.IsObject()) napi_check_object_type_tag(env, value, &kTag, &ours);
  if (ours) {
    FrontObject* const object = Unwrap(value.As<Napi::Object>());
    if (!object->closed_) return object;
  }
  Napi::TypeError::New(env, "front: an open Front is needed").ThrowAsJavaScriptException();
  return nullptr;
}

FrontObject::FrontObject(const Napi::CallbackInfo& info) : ObjectWrap(info), env_(info.Env()) {
  const Napi::Env env = info.Env();
  napi_type_tag_object(env, info.This(), &kTag);
  closed_ = true;
  if (!info[0].IsObject() || !info[0].As<Napi::Object>().Get("onReady").IsFunction() ||
      !info[0].As<Napi::Object>().Get("onLog").IsFunction()) {
    Napi::TypeError::New(env, "options: onReady and onLog must be functions").ThrowAsJavaScriptException();
    return;
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  const Napi::Value level = options.Get("logLevel");
  const Napi::Value fetch = options.Get("onFetch");
  const Napi::Value key = options.Get("tokenKey");
  if (!fetch.IsUndefined() && !fetch.IsFunction()) {
    Napi::TypeError::New(env, "options.onFetch: a function is needed").ThrowAsJavaScriptException();
    return;
  }
  if (!key.IsUndefined() && (!key.IsBuffer() || key.As<Napi::Buffer<char>>().Length() != kKeyBytes)) {
    Napi::TypeError::New(env, "options.tokenKey: a Buffer of 32 bytes is needed").ThrowAsJavaScriptException();
    return;
  }
  const Napi::Value token = options.Get("operatorToken");
  if (!token.IsUndefined() && !token.IsString()) {
    Napi::TypeError::New(env, "options.operatorToken: a string is needed").ThrowAsJavaScriptException();
    return;
  }
  on_ready_ = Napi::Persistent(options.Get("onReady").As<Napi::Function>());
  on_log_ = Napi::Persistent(options.Get("onLog").As<Napi::Function>());
  front_ = std::make_shared<core::Front>(FrontName(),
                                         level.IsNumber() ? level.As<Napi::Number>().Int32Value() : TENON_LOG_INFO);

  if (key.IsBuffer()) front_->set_token_key({key.As<Napi::Buffer<char>>().Data(), kKeyBytes});
  if (fetch.IsFunction()) {
    on_fetch_ = Napi::Persistent(fetch.As<Napi::Function>());
    front_->outgoing().offer();
  }
  if (token.IsString()) front_->set_operator_token(token.As<Napi::String>().Utf8Value());
  front_->set_strict(options.Get("strict").ToBoolean());

  const Napi::ArrayBuffer memory = Napi::ArrayBuffer::New(env, kWords * sizeof(int32_t));
  words_ = static_cast<int32_t*>(const_cast<Napi::ArrayBuffer&>(memory).Data());
  const Napi::Int32Array result = Napi::Int32Array::New(env, kWords, memory, 0);
  result_ = Napi::Persistent(result.As<Napi::Object>());

  napi_value resource_name = nullptr;
  napi_create_string_utf8(env, "tenon:front", NAPI_AUTO_LENGTH, &resource_name);
  if (napi_create_threadsafe_function(env, nullptr, nullptr, resource_name, 0, 1, nullptr, nullptr, this, Turn,
                                      &wake_) != napi_ok) {
    Napi::Error::New(env, "the front could not get a way to wake the event loop").ThrowAsJavaScriptException();
    return;
  }
  napi_unref_threadsafe_function(env, wake_);
  napi_add_env_cleanup_hook(env, CleanUp, this);
  closed_ = false;
  Ref();

  // `call` and `next` are plain functions with this object as their data: unwrapping `this` costs as much as the rest.
  napi_value call = nullptr;
  napi_value next = nullptr;
  napi_create_function(env, "call", NAPI_AUTO_LENGTH, Call, this, &call);
  napi_create_function(env, "next", NAPI_AUTO_LENGTH, Next, this, &next);
  const Napi::Object self = info.This().As<Napi::Object>();
  for (const napi_value function : {call, next}) {
    const napi_property_descriptor owner = {"front", nullptr, nullptr, nullptr, nullptr, self, napi_default, nullptr};
    napi_define_properties(env, function, 1, &owner);
  }
  const napi_property_descriptor members[] = {
      {"call", nullptr, nullptr, nullptr, nullptr, call, napi_enumerable, nullptr},
      {"next", nullptr, nullptr, nullptr, nullptr, next, napi_enumerable, nullptr},
      {"result", nullptr, nullptr, nullptr, nullptr, result, napi_enumerable, nullptr},
      {"name", nullptr, nullptr, nullptr, nullptr, Napi::String::New(env, front_->name()), napi_enumerable, nullptr}};
  napi_define_properties(env, self, std::size(members), members);

  if (uv_loop_t* loop = nullptr; napi_get_uv_event_loop(env, &loop) == napi_ok) {
    front_->set_loop(AuditedLoop(loop));
    watch_ = std::make_unique<LoopWatch>(loop, *front_);
    front_->set_attention({Attend, Neglect, this});
  }
  front_->open(Wake, this);
}

FrontObject::~FrontObject() { CleanUp(this); }

// The environment is going: nobody can be told any more.
void FrontObject::CleanUp(void* self) {
  for (const std::shared_ptr<core::Task>& task : static_cast<FrontObject*>(self)->End()) {
    const std::unique_ptr<Waiter> waiter(static_cast<Waiter*>(task->waiter));
  }
}

std::vector<std::shared_ptr<core::Task>> FrontObject::End() {
  if (closed_) return {};
  closed_ = true;
  std::vector<std::shared_ptr<core::Task>> open = front_->close();
  watch_.reset();
  napi_remove_env_cleanup_hook(env_, CleanUp, this);
  napi_release_threadsafe_function(wake_, napi_tsfn_abort);
  return open;
}

bool FrontObject::Attend(void* self, core::Attended& attended) {
  return static_cast<FrontObject*>(self)->watch_->Attend(attended);
}

void FrontObject::Neglect(void* self, core::Attended& attended) {
  static_cast<FrontObject*>(self)->watch_->Neglect(attended);
}

void FrontObject::Close(const Napi::CallbackInfo& info) {
  if (closed_) return;
  for (const std::shared_ptr<core::Task>& task : End()) Settle(info.Env(), *task);
  Unref();
}

// Under the front's own lock, which `close` takes too: never after `End`.
void FrontObject::Wake(void* self) {
  napi_call_threadsafe_function(static_cast<FrontObject*>(self)->wake_, nullptr, napi_tsfn_nonblocking);
}

void FrontObject::Turn(napi_env raw_env, napi_value, void* context, void*) {
  FrontObject& self = *static_cast<FrontObject*>(context);
  if (raw_env == nullptr || self.closed_) return;
  const Napi::Env env(raw_env);
  const Napi::HandleScope scope(env);
  self.front_->begin_turn();
  for (const std::shared_ptr<core::Task>& task : self.front_->take_settled()) self.Settle(env, *task);
  // Answers first: an exception of the log's must not leave them behind.
  if (self.front_->has_ready()) self.on_ready_.Call({});
  if (!env.IsExceptionPending() && !self.front_->log().empty()) self.Log(env);
  if (!env.IsExceptionPending() && !self.front_->outgoing().empty()) self.Fetch(env);
  self.KeepLoopAlive();
}

// A call or a task that is under way keeps the process alive, nothing else here does.
void FrontObject::KeepLoopAlive() {
  const bool wanted = tasks_ > 0 || front_->pending() > 0;
  if (wanted == holds_loop_ || closed_) return;
  holds_loop_ = wanted;
  if (wanted) {
    napi_ref_threadsafe_function(env_, wake_);
  } else {
    napi_unref_threadsafe_function(env_, wake_);
  }
}

void FrontObject::Log(Napi::Env env) {
  const std::vector<std::unique_ptr<core::LogRecord>> records = front_->log().take();
  const Napi::Array list = Napi::Array::New(env, records.size());
  for (uint32_t index = 0; index < records.size(); index++) {
    const core::LogRecord& record = *records[index];
    const Napi::Object object = Napi::Object::New(env);
    const Napi::Object fields = Napi::Object::New(env);
    for (const auto& [key, value] : record.fields) {
      // Defined, not set: a key like __proto__ is a plain key.
      fields.DefineProperty(Napi::PropertyDescriptor::Value(Napi::Value(env, Text(env, key)).As<Napi::Name>(),
                                                            Napi::Value(env, Text(env, value)),
                                                            napi_default_jsproperty));
    }
    object.Set("plugin", record.plugin);
    object.Set("generation", static_cast<double>(record.generation));
    object.Set("level", record.level);
    object.Set("message", Napi::Value(env, Text(env, record.message)));
    object.Set("fields", fields);
    object.Set("time", static_cast<double>(record.time_ms));
    if (record.request != 0) object.Set("requestId", front_->name() + "-" + std::to_string(record.request));
    if (!record.work.empty()) object.Set("during", record.work);
    list.Set(index, object);
  }
  on_log_.Call({list, Napi::Number::New(env, static_cast<double>(front_->log().take_dropped()))});
}

void FrontObject::SetLogLevel(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber() || !(info[1].IsUndefined() || info[1].IsString())) {
    Napi::TypeError::New(info.Env(), "level, plugin: a number, and a string or undefined, are needed")
        .ThrowAsJavaScriptException();
    return;
  }
  if (closed_) return;
  const int32_t level = info[0].As<Napi::Number>().Int32Value();
  if (info[1].IsString()) {
    front_->plugin(info[1].As<Napi::String>().Utf8Value()).set_log_level(level);
  } else {
    front_->set_log_level(level);
  }
}

Napi::Value FrontObject::TagOutput(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) {
    Napi::TypeError::New(env, "mark: a string is needed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  return Napi::Boolean::New(env, !closed_ && core::tag_output(front_, info[0].As<Napi::String>().Utf8Value()));
}

void FrontObject::Fetch(Napi::Env env) {
  const std::vector<std::unique_ptr<core::OutgoingRequest>> requests = front_->outgoing().take();
  if (!requests.empty()) on_fetch_.Call({RequestList(env, requests)});
}

void FrontObject::Fetched(const Napi::CallbackInfo& info) {
  core::OutgoingAnswer answer;
  if (!info[0].IsNumber() || !info[1].IsObject() || !ReadAnswer(info[1].As<Napi::Object>(), answer)) {
    Napi::TypeError::New(info.Env(), "number, answer: a number, and status, headers and body, or a message, are needed")
        .ThrowAsJavaScriptException();
    return;
  }
  if (!closed_)
    front_->outgoing().answer(static_cast<uint64_t>(info[0].As<Napi::Number>().Int64Value()), std::move(answer));
}

napi_value FrontObject::Call(napi_env env, napi_callback_info info) {
  napi_value arguments[7];
  size_t count = 7;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  FrontObject& self = *static_cast<FrontObject*>(data);
  int32_t* const words = self.words_;
  uint32_t index = 0;
  if (self.closed_ || napi_get_value_uint32(env, arguments[0], &index) != napi_ok) {
    napi_throw_type_error(env, nullptr, "slot: a number, on an open front, is needed");
    return nullptr;
  }
  core::Front& front = *self.front_;
  const core::Front::Slot* const slot = front.slot_at(index);
  if (slot == nullptr) {
    napi_throw_type_error(env, nullptr, "slot: no route has this number");
    return nullptr;
  }
  core::Call* const call = front.take(*slot);
  if (call == nullptr) {
    words[kOutcome] = static_cast<int32_t>(core::Outcome::Refused);
    words[kStatus] = 503;
    words[kRefusal] = static_cast<int32_t>(core::Refusal::PluginBusy);
    words[kGeneration] = 0;
    words[kHeaders] = 0;
    self.headers_.clear();
    return Text(env, "the host has too many calls under way");
  }
  RawHeaders raw = {env, arguments[2]};
  call->request.borrow_headers(ReadHeaders, &raw);
  const char* misuse = ReadBytes(env, arguments[1], call->request.url()) ? nullptr : "url: a string is needed";
  if (count > 3) misuse = ReadRest(env, arguments + 3, count - 3, call->request, misuse);
  if (count > 5) napi_get_value_bool(env, arguments[5], &call->asks_only);
  if (count > 6) RenumberRequest(env, arguments[6], call->request);
  if (misuse != nullptr) {
    front.recycle(*call);
    napi_throw_type_error(env, nullptr, misuse);
    return nullptr;
  }
  words[kRequestLow] = static_cast<int32_t>(call->request.number);
  words[kRequestHigh] = static_cast<int32_t>(call->request.number >> 32);
  if (!front.send(*call)) {
    words[kOutcome] = static_cast<int32_t>(core::Outcome::Pending);
    words[kCall] = static_cast<int32_t>(call->id);
    self.KeepLoopAlive();
    return nullptr;
  }
  if (call->refusal == core::Refusal::None) {
    words[kOutcome] = static_cast<int32_t>(core::Outcome::Response);
    words[kStatus] = call->response.status();
    words[kGeneration] = static_cast<int32_t>(call->lease.load(std::memory_order_relaxed)->generation->number());
    self.headers_ = call->response.header_block();
    words[kHeaders] = self.headers_.empty() ? 0 : static_cast<int32_t>(front.identify_headers(*call));
  } else {
    core::Delivery& delivery = self.delivery_;
    delivery.call = call;
    delivery.headers.clear();
    front.describe(*call, delivery);
    const napi_value message = self.Tell(env, delivery);
    front.recycle(*call);
    return message;
  }
  const napi_value body = self.Body(env, *call);
  front.recycle(*call);
  return body;
}

napi_value FrontObject::Next(napi_env env, napi_callback_info info) {
  void* data = nullptr;
  napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &data);
  FrontObject& self = *static_cast<FrontObject*>(data);
  if (self.closed_ || !self.front_->next(self.delivery_)) {
    self.words_[kOutcome] = static_cast<int32_t>(core::Outcome::None);
    return nullptr;
  }
  const napi_value value = self.Tell(env, self.delivery_);
  self.front_->done(self.delivery_);
  return value;
}

napi_value FrontObject::Tell(napi_env env, core::Delivery& delivery) {
  core::Call& call = *delivery.call;
  const core::Lease* const lease = call.lease.load(std::memory_order_relaxed);
  words_[kOutcome] = static_cast<int32_t>(delivery.outcome);
  words_[kStatus] = delivery.status;
  words_[kCall] = static_cast<int32_t>(call.id);
  words_[kHeaders] = 0;
  words_[kRefusal] = static_cast<int32_t>(delivery.refusal);
  words_[kRequestLow] = static_cast<int32_t>(call.request.number);
  words_[kRequestHigh] = static_cast<int32_t>(call.request.number >> 32);
  words_[kGeneration] = lease == nullptr ? 0 : static_cast<int32_t>(lease->generation->number());
  switch (delivery.outcome) {
    case core::Outcome::Response:
    case core::Outcome::Head:
      headers_ = call.response.header_block();
      words_[kHeaders] = headers_.empty() ? 0 : static_cast<int32_t>(front_->identify_headers(call));
      break;
    case core::Outcome::Refused:
      headers_ = delivery.headers;
      words_[kHeaders] = headers_.empty() ? 0 : static_cast<int32_t>(front_->identify_headers());
      return Text(env, delivery.text);
    case core::Outcome::Abort:
      return Text(env, delivery.text);
    case core::Outcome::End:
    case core::Outcome::None:
    case core::Outcome::Pending:
      return nullptr;
    case core::Outcome::Chunk:
      break;
  }
  if (delivery.outcome == core::Outcome::Response) return Body(env, call);
  napi_value chunk = nullptr;
  void* copy = nullptr;
  napi_create_buffer_copy(env, delivery.chunk.size(), delivery.chunk.data(), &copy, &chunk);
  return chunk;
}

napi_value FrontObject::Body(napi_env env, core::Call& call) {
  const std::string_view body = call.response.body();
  if (body.size() <= kStringBytes) return Bytes(env, body);
  napi_value value = nullptr;
  if (call.response.body_is_given()) {
    // The plugin's memory goes back to it here, under the lease: V8 would hold it for longer than the generation lives.
    void* copy = nullptr;
    napi_create_buffer_copy(env, body.size(), body.data(), &copy, &value);
    return value;
  }
  auto own = std::make_unique<core::ByteBuffer>(call.response.take_body());
  const auto release = [](napi_env, void*, void* buffer) {
    const std::unique_ptr<core::ByteBuffer> freed(static_cast<core::ByteBuffer*>(buffer));
  };
  core::ByteBuffer& bytes = *own;
  if (napi_create_external_buffer(env, bytes.size(), bytes.data(), release, own.get(), &value) == napi_ok) {
    own.release();
  } else {
    void* copy = nullptr;
    napi_create_buffer_copy(env, bytes.size(), bytes.data(), &copy, &value);
  }
  return value;
}

Napi::Value FrontObject::Headers(const Napi::CallbackInfo& info) {
  return Napi::Value(info.Env(), Bytes(info.Env(), headers_));
}

void FrontObject::Cancel(const Napi::CallbackInfo& info) {
  if (!closed_ && info[0].IsNumber()) front_->cancel(info[0].As<Napi::Number>().Uint32Value());
}

void FrontObject::Acknowledge(const Napi::CallbackInfo& info) {
  if (closed_ || !info[0].IsNumber() || !info[1].IsNumber()) return;
  front_->acknowledge(info[0].As<Napi::Number>().Uint32Value(), info[1].As<Napi::Number>().Uint32Value());
}

void FrontObject::Emit(const Napi::CallbackInfo& info) {
  if (closed_) return;
  if (!info[0].IsString() || !info[1].IsString() || (!info[2].IsUndefined() && !info[2].IsObject())) {
    Napi::TypeError::New(info.Env(), "topic, message, fields: two strings and an object are needed")
        .ThrowAsJavaScriptException();
    return;
  }
  const std::string topic = info[0].As<Napi::String>().Utf8Value();
  const std::string message = info[1].As<Napi::String>().Utf8Value();
  core::EventBus& events = front_->events();
  if (!events.wanted(topic, nullptr)) return;
  std::vector<std::pair<std::string, std::string>> texts;
  if (info[2].IsObject()) {
    const Napi::Object given = info[2].As<Napi::Object>();
    const Napi::Array names = given.GetPropertyNames();
    for (uint32_t index = 0; index < names.Length(); index++) {
      const Napi::Value name = names.Get(index);
      texts.emplace_back(name.ToString().Utf8Value(), given.Get(name).ToString().Utf8Value());
    }
  }
  std::vector<tenon_log_field_t> fields;
  for (const auto& [key, value] : texts) fields.push_back({core::bytes(key), core::bytes(value)});
  core::EventParts parts;
  parts.topic = topic;
  parts.message = message;
  parts.fields = fields.data();
  parts.field_count = fields.size();
  events.publish(core::Event::make(parts, TENON_EVENT_LIMIT), nullptr);
}

void FrontObject::EndStart(const Napi::CallbackInfo&) {
  if (!closed_) front_->events().end_start();
}

Napi::Value FrontObject::MetricsText(const Napi::CallbackInfo& info) {
  const auto exposition = info[0].ToBoolean() ? core::Exposition::OpenMetrics : core::Exposition::Prometheus;
  return Napi::String::New(info.Env(), closed_ ? std::string() : front_->metrics_text(exposition));
}

Napi::Value FrontObject::Perform(Napi::Env env, std::shared_ptr<core::Task> task, uint32_t deadline_ms) {
  if (closed_) {
    Napi::TypeError::New(env, "the front is closed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  auto waiter = std::make_unique<Waiter>(Waiter{Napi::Promise::Deferred::New(env), deadline_ms});
  const Napi::Promise promise = waiter->promise.Promise();
  task->deadline = core::now() + core::milliseconds(deadline_ms);
  task->waiter = waiter.release();
  tasks_++;
  if (task->generation->perform_at_once(*task)) {
    Settle(env, *task);
  } else {
    front_->submit(task);
    KeepLoopAlive();
  }
  return promise;
}

void FrontObject::Settle(Napi::Env env, core::Task& task) {
  const std::unique_ptr<Waiter> waiter(static_cast<Waiter*>(task.waiter));
  tasks_--;
  const std::string& plugin = task.generation->plugin().id();
  const std::string step = core::step_name(task.step);
  if (task.abandoned) {
    Napi::Error error = Napi::Error::New(env, step + " of " + plugin + " was not waited for: the front is closed");
    error.Set("code", Napi::String::New(env, "HostClosing"));
    waiter->promise.Reject(error.Value());
    return;
  }
  if (task.step == core::Step::Drain) {
    waiter->promise.Resolve(Napi::Boolean::New(env, !task.timed_out));
    return;
  }
  if (task.timed_out || task.failed) {
    const char* code = task.timed_out                    ? "LifecycleTimeout"
                       : task.step == core::Step::Routes ? "RouteInvalid"
                       : !task.missing.empty()           ? "PermissionDenied"
                                                         : "LifecycleFailed";
    const std::string message = task.timed_out ? step + " of " + plugin + " did not return within " +
                                                     std::to_string(waiter->deadline_ms) + " ms"
                                               : step + " of " + plugin + " failed: " + task.message;
    const Napi::Error error = Napi::Error::New(env, message);
    const_cast<Napi::Error&>(error).Set("code", Napi::String::New(env, code));
    if (!task.timed_out && !task.missing.empty())
      const_cast<Napi::Error&>(error).Set("permission", Napi::String::New(env, task.missing));
    waiter->promise.Reject(error.Value());
    return;
  }
  switch (task.step) {
    case core::Step::Save: {
      const Napi::Object saved = Napi::Object::New(env);
      saved.Set("version", task.version);
      saved.Set("bytes", Napi::Buffer<char>::Copy(env, task.bytes.data(), task.bytes.size()));
      waiter->promise.Resolve(saved);
      break;
    }
    case core::Step::Routes: {
      const std::vector<core::Route>& routes = task.generation->routes();
      const Napi::Array list = Napi::Array::New(env, routes.size());
      for (const core::Route& route : routes) {
        const Napi::Object object = Napi::Object::New(env);
        object.Set("index", route.index);
        object.Set("method", core::method_name(route.method));
        object.Set("pattern", route.pattern);
        object.Set("execution", route.inline_ ? "inline" : "pool");
        object.Set("deadlineMs", route.deadline_ms);
        object.Set("bodyLimit", static_cast<double>(route.body_limit));
        object.Set("auth", AuthName(route.auth));
        const Napi::Array roles = Napi::Array::New(env, route.roles.size());
        for (uint32_t index = 0; index < route.roles.size(); index++) roles.Set(index, route.roles[index]);
        object.Set("roles", roles);
        const core::RouteWords& words = route.words;
        if (!words.summary.empty()) object.Set("summary", words.summary);
        if (!words.description.empty()) object.Set("description", words.description);
        if (!words.openapi.empty()) object.Set("openapi", words.openapi);
        if (!words.flaw.empty()) object.Set("flaw", words.flaw);
        list.Set(route.index, object);
      }
      waiter->promise.Resolve(list);
      break;
    }
    case core::Step::Configure:
      waiter->promise.Resolve(Napi::String::New(env, task.must_reload ? "reload" : "taken"));
      break;
    case core::Step::Stop:
      waiter->promise.Resolve(Napi::Number::New(env, task.count));
      break;
    default:
      waiter->promise.Resolve(env.Undefined());
  }
}

}  // namespace tenon::node
