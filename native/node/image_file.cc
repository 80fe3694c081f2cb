#include "image_file.h"

#include <algorithm>

#include "../core/image_file.h"

namespace tenon::node {
namespace {

// Names of symbols are ASCII nearly always, and V8 takes those three times as fast when it is told.
Napi::Value text(Napi::Env env, std::string_view value) {
  const bool ascii = std::all_of(value.begin(), value.end(), [](char c) { return (c & 0x80) == 0; });
  napi_value string = nullptr;
  if (ascii) {
    napi_create_string_latin1(env, value.data(), value.size(), &string);
  } else {
    napi_create_string_utf8(env, value.data(), value.size(), &string);
  }
  return {env, string};
}

Napi::Array texts(Napi::Env env, const std::vector<std::string_view>& values) {
  Napi::Array array = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); i++) array.Set(i, text(env, values[i]));
  return array;
}

Napi::Object note_object(Napi::Env env, const core::ImageNote& note) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("abiMajor", Napi::Number::New(env, note.abi_major));
  object.Set("abiMinor", Napi::Number::New(env, note.abi_minor));
  object.Set("id", text(env, note.id));
  object.Set("version", text(env, note.version));
  object.Set("sdkVersion", text(env, note.sdk_version));
  object.Set("compiler", text(env, note.compiler));
  object.Set("trial", Napi::Number::New(env, note.trial));
  return object;
}

}  // namespace

Napi::Value InspectImage(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsTypedArray() ||
      info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    Napi::TypeError::New(env, "inspectImage: bytes must be a Uint8Array").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  core::ImageScope scope = core::ImageScope::kThisHost;
  if (info.Length() > 1 && !info[1].IsUndefined()) {
    const std::string word = info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : "";
    if (word != "own" && word != "any") {
      Napi::TypeError::New(env, "inspectImage: machines must be \"own\" or \"any\"").ThrowAsJavaScriptException();
      return env.Undefined();
    }
    if (word == "any") scope = core::ImageScope::kAnyMachine;
  }
  const auto bytes = info[0].As<Napi::Uint8Array>();
  core::ImageFacts facts;
  core::ImageFailure failure;
  if (!core::inspect_image(bytes.Data(), bytes.ByteLength(), facts, failure, scope)) {
    Napi::Error error = Napi::Error::New(env, failure.message);
    error.Set("code", Napi::String::New(env, failure.code));
    error.ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Napi::Array findings = Napi::Array::New(env, facts.findings.size());
  for (uint32_t i = 0; i < facts.findings.size(); i++) {
    Napi::Object finding = Napi::Object::New(env);
    finding.Set("rule", Napi::String::New(env, facts.findings[i].rule));
    finding.Set("detail", Napi::String::New(env, facts.findings[i].detail));
    finding.Set("pins", Napi::Boolean::New(env, facts.findings[i].pins));
    findings.Set(i, finding);
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("format", "elf");
  object.Set("arch", facts.arch);
  object.Set("libc", facts.libc[0] == '\0' ? env.Undefined() : Napi::String::New(env, facts.libc));
  object.Set("glibcFloor", facts.glibc_floor.empty() ? env.Undefined() : Napi::String::New(env, facts.glibc_floor));
  object.Set("note", note_object(env, facts.note));
  object.Set("buildId", Napi::String::New(env, facts.build_id));
  object.Set("needed", texts(env, facts.needed));
  object.Set("exports", texts(env, facts.exports));
  object.Set("findings", findings);
  return object;
}

}  // namespace tenon::node
