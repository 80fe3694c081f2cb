#include "isolation_object.h"

#include <fcntl.h>

#include <cstdio>

#include <string>
#include <utility>

namespace tenon::node {

namespace {
constexpr size_t kMostEnds = 64;
constexpr napi_type_tag kTag = {0x74656e6f6e2d6973ULL, 0x6f6c6174696f6e00ULL};

std::string Hexadecimal(uint64_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(number));
  return text;
}

Napi::Object EndValue(Napi::Env env, const isolated::Ending& ending) {
  const isolated::ProcessEnd& end = ending.end;
  const Napi::Object value = Napi::Object::New(env);
  value.Set("pid", static_cast<double>(end.pid));
  value.Set("at", static_cast<double>(end.at));
  value.Set("uptimeMs", static_cast<double>(end.uptime_ms));
  value.Set("how", end.how);
  value.Set("killed", end.by_host);
  value.Set("replaced", ending.replaced);
  if (end.signal != 0) {
    value.Set("signal", isolated::name_of_signal(end.signal));
  } else {
    value.Set("status", static_cast<double>(end.status));
  }
  const isolated::Doing* doing = end.doing.empty() ? nullptr : &end.doing.front();
  if (end.fault) {
    value.Set("code", static_cast<double>(end.fault->code));
    value.Set("address", Hexadecimal(end.fault->address));
    value.Set("overflow", end.fault->overflow);
    // What the thread that faulted was in; a thread of the plugin's own was in nothing of the host's.
    doing = nullptr;
    for (const isolated::Doing& one : end.doing) {
      if (one.lane == end.fault->lane) doing = &one;
    }
    const Napi::Array frames = Napi::Array::New(env);
    uint32_t index = 0;
    for (const isolated::CodePlace& place : end.fault->frames) {
      const Napi::Object frame = Napi::Object::New(env);
      frame.Set("address", Hexadecimal(place.address));
      if (!place.file.empty()) {
        frame.Set("file", place.in_library ? std::string("plugin") : place.file);
        frame.Set("offset", Hexadecimal(place.offset));
      }
      frames.Set(index++, frame);
    }
    value.Set("frames", frames);
  }
  if (doing != nullptr) {
    value.Set("step", isolated::name_of_step(doing->code));
    if (doing->request != 0) value.Set("request", static_cast<double>(doing->request));
  }
  const Napi::Array output = Napi::Array::New(env);
  uint32_t line = 0;
  for (const std::string& said : end.said) output.Set(line++, said);
  value.Set("output", output);
  return value;
}
}  // namespace

Napi::Function IsolationObject::Define(Napi::Env env) {
  return DefineClass(
      env, "Isolation",
      {InstanceAccessor<&IsolationObject::Processes>("processes"),
       InstanceMethod<&IsolationObject::TakeEnds>("takeEnds"), InstanceMethod<&IsolationObject::Abandon>("abandon")});
}

IsolationObject* IsolationObject::From(Napi::Value value) {
  const Napi::Env env = value.Env();
  bool ours = false;
  if (value.IsObject()) napi_check_object_type_tag(env, value, &kTag, &ours);
  if (ours) return Unwrap(value.As<Napi::Object>());
  Napi::TypeError::New(env, "options.isolation: an Isolation is needed").ThrowAsJavaScriptException();
  return nullptr;
}

IsolationObject::IsolationObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  napi_type_tag_object(env, info.This(), &kTag);
  const auto misuse = [env](const char* message) { Napi::TypeError::New(env, message).ThrowAsJavaScriptException(); };
  if (!info[0].IsObject()) {
    misuse("options: an object is needed");
    return;
  }
  const Napi::Object options = info[0].As<Napi::Object>();
  for (const char* name : {"runner", "library", "id", "temporary"}) {
    if (!options.Get(name).IsString()) {
      misuse("options: runner, library, id and temporary must be strings");
      return;
    }
  }
  for (const char* name : {"generation", "processes", "lifecycleMs", "graceMs", "memoryBytes", "processorPercent",
                           "descriptors", "childProcesses"}) {
    if (!options.Get(name).IsNumber()) {
      misuse(
          "options: generation, processes, lifecycleMs, graceMs, memoryBytes, processorPercent, descriptors and "
          "childProcesses must be "
          "numbers");
      return;
    }
  }
  if (!options.Get("sandbox").IsBoolean() || !options.Get("requireConfinement").IsBoolean() ||
      !options.Get("writable").IsArray() || !options.Get("hidden").IsArray()) {
    misuse("options: sandbox and requireConfinement must be booleans, writable and hidden lists of strings");
    return;
  }
  const auto text = [&options](const char* name) { return options.Get(name).As<Napi::String>().Utf8Value(); };
  const auto number = [&options](const char* name) { return options.Get(name).As<Napi::Number>().Int64Value(); };
  isolated::IsolationSettings settings;
  settings.processes = static_cast<uint32_t>(number("processes"));
  settings.lifecycle_ms = static_cast<uint32_t>(number("lifecycleMs"));
  settings.grace_ms = static_cast<uint32_t>(number("graceMs"));
  settings.processor_percent = static_cast<uint32_t>(number("processorPercent"));
  settings.on_end = [ends = ends_](const isolated::Ending& ending) {
    if (ending.expected) return;
    const std::lock_guard<std::mutex> lock(ends->mutex);
    if (ends->list.size() == kMostEnds) ends->list.pop_front();
    ends->list.push_back(ending);
  };
  isolated::Launch& launch = settings.launch;
  launch.runner = text("runner");
  launch.library_path = text("library");
  launch.temporary = text("temporary");
  wire::RunnerSettings& own = launch.settings;
  own.protocol = wire::kProtocol;
  own.id = text("id");
  own.generation = static_cast<uint64_t>(number("generation"));
  own.memory_bytes = static_cast<uint64_t>(number("memoryBytes"));
  own.descriptors = static_cast<uint32_t>(number("descriptors"));
  own.processes = static_cast<uint32_t>(number("childProcesses"));
  own.sandbox = options.Get("sandbox").As<Napi::Boolean>().Value();
  own.needs_all = options.Get("requireConfinement").As<Napi::Boolean>().Value();
  for (const auto& [name, paths] : {std::pair("writable", &own.writable), std::pair("hidden", &own.hidden)}) {
    const Napi::Array list = options.Get(name).As<Napi::Array>();
    for (uint32_t index = 0; index < list.Length(); index++) {
      const Napi::Value path = list.Get(index);
      if (!path.IsString()) {
        misuse("options.writable and hidden: lists of strings are needed");
        return;
      }
      paths->push_back(path.As<Napi::String>().Utf8Value());
    }
  }
  launch.library = open(launch.library_path.c_str(), O_RDONLY | O_CLOEXEC);
  if (launch.library < 0) {
    misuse("options.library: it cannot be opened");
    return;
  }
  plugin_ = std::make_shared<isolated::IsolatedPlugin>(std::move(settings));
}

Napi::Value IsolationObject::Processes(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Array list = Napi::Array::New(env);
  if (!plugin_) return list;
  uint32_t index = 0;
  for (const isolated::ProcessFacts& facts : plugin_->facts()) {
    const Napi::Object process = Napi::Object::New(env);
    process.Set("pid", static_cast<double>(facts.pid));
    process.Set("restarts", static_cast<double>(facts.restarts));
    process.Set("residentBytes", static_cast<double>(facts.resident_bytes));
    process.Set("processorMs", static_cast<double>(facts.processor_ms));
    process.Set("threads", static_cast<double>(facts.threads));
    process.Set("descriptors", static_cast<double>(facts.descriptors));
    process.Set("lastEnd", facts.last_end);
    if (facts.last_end_at != 0) process.Set("lastEndAt", static_cast<double>(facts.last_end_at));
    if (facts.confinement) {
      const Napi::Object confinement = Napi::Object::New(env);
      confinement.Set("noNewPrivileges", facts.confinement->no_new_privileges);
      confinement.Set("seccomp", facts.confinement->seccomp);
      confinement.Set("landlock", static_cast<double>(facts.confinement->landlock));
      process.Set("confinement", confinement);
    }
    list.Set(index++, process);
  }
  return list;
}

void IsolationObject::Abandon(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) {
    Napi::TypeError::New(info.Env(), "reason: a string is needed").ThrowAsJavaScriptException();
    return;
  }
  if (plugin_) plugin_->abandon(info[0].As<Napi::String>().Utf8Value());
}

Napi::Value IsolationObject::TakeEnds(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::deque<isolated::Ending> taken;
  {
    const std::lock_guard<std::mutex> lock(ends_->mutex);
    taken.swap(ends_->list);
  }
  const Napi::Array list = Napi::Array::New(env);
  uint32_t index = 0;
  for (const isolated::Ending& ending : taken) list.Set(index++, EndValue(env, ending));
  return list;
}

}  // namespace tenon::node
