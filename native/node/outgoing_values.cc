#include "outgoing_values.h"

#include <string>
#include <utility>

#include "clock.h"

namespace tenon::node {

namespace {

// One character per byte.
Napi::Value Latin1(Napi::Env env, const std::string& text) {
  napi_value value = nullptr;
  napi_create_string_latin1(env, text.data(), text.size(), &value);
  return {env, value};
}

std::string Latin1(const Napi::Value& value) {
  size_t size = 0;
  napi_get_value_string_latin1(value.Env(), value, nullptr, 0, &size);
  std::string text(size + 1, '\0');
  napi_get_value_string_latin1(value.Env(), value, text.data(), text.size(), &size);
  text.resize(size);
  return text;
}

Napi::Value Body(Napi::Env env, std::string body) {
  auto own = std::make_unique<std::string>(std::move(body));
  const auto release = [](napi_env, void*, void* text) {
    const std::unique_ptr<std::string> freed(static_cast<std::string*>(text));
  };
  napi_value value = nullptr;
  if (napi_create_external_buffer(env, own->size(), own->data(), release, own.get(), &value) == napi_ok) {
    own.release();
  } else {
    void* copy = nullptr;
    napi_create_buffer_copy(env, own->size(), own->data(), &copy, &value);
  }
  return {env, value};
}

bool ReadHeaders(const Napi::Array& list, core::HeaderList& headers) {
  if (list.Length() % 2 != 0) return false;
  for (uint32_t index = 0; index < list.Length(); index += 2) {
    const Napi::Value name = list.Get(index);
    const Napi::Value value = list.Get(index + 1);
    if (!name.IsString() || !value.IsString()) return false;
    headers.emplace_back(Latin1(name), Latin1(value));
  }
  return true;
}

bool ReadBody(const Napi::Array& pieces, std::string& body) {
  size_t size = 0;
  for (uint32_t index = 0; index < pieces.Length(); index++) {
    const Napi::Value piece = pieces.Get(index);
    if (!piece.IsBuffer()) return false;
    size += piece.As<Napi::Buffer<char>>().Length();
  }
  body.reserve(size);
  for (uint32_t index = 0; index < pieces.Length(); index++) {
    const Napi::Buffer<char> piece = static_cast<Napi::Value>(pieces.Get(index)).As<Napi::Buffer<char>>();
    body.append(piece.Data(), piece.Length());
  }
  return true;
}

}  // namespace

Napi::Array RequestList(Napi::Env env, const std::vector<std::unique_ptr<core::OutgoingRequest>>& requests) {
  const uint64_t time = core::now();
  const Napi::Array list = Napi::Array::New(env, requests.size());
  for (uint32_t index = 0; index < requests.size(); index++) {
    core::OutgoingRequest& request = *requests[index];
    const Napi::Object object = Napi::Object::New(env);
    object.Set("number", static_cast<double>(request.number));
    object.Set("cancelled", request.given_up);
    if (!request.given_up) {
      const Napi::Array headers = Napi::Array::New(env, request.headers.size() * 2);
      uint32_t at = 0;
      for (const auto& [name, value] : request.headers) {
        headers.Set(at++, Latin1(env, name));
        headers.Set(at++, Latin1(env, value));
      }
      const uint64_t left = request.deadline > time ? request.deadline - time : 0;
      object.Set("plugin", request.plugin);
      object.Set("generation", static_cast<double>(request.generation));
      object.Set("request", static_cast<double>(request.request));
      object.Set("deadlineMs", static_cast<double>(left / core::milliseconds(1)));
      object.Set("method", request.method);
      object.Set("url", request.url);
      object.Set("headers", headers);
      object.Set("body", Body(env, std::move(request.body)));
    }
    list.Set(index, object);
  }
  return list;
}

bool ReadAnswer(const Napi::Object& object, core::OutgoingAnswer& answer) {
  const Napi::Value message = object.Get("message");
  if (message.IsString()) {
    answer.outcome = object.Get("cancelled").ToBoolean() ? TENON_ERROR_CANCELLED : TENON_ERROR;
    answer.message = message.As<Napi::String>().Utf8Value();
    return true;
  }
  const Napi::Value status = object.Get("status");
  const Napi::Value headers = object.Get("headers");
  const Napi::Value body = object.Get("body");
  if (!status.IsNumber() || !headers.IsArray() || !body.IsArray()) return false;
  answer.outcome = TENON_OK;
  answer.status = status.As<Napi::Number>().Int32Value();
  return ReadHeaders(headers.As<Napi::Array>(), answer.headers) && ReadBody(body.As<Napi::Array>(), answer.body);
}

}  // namespace tenon::node
