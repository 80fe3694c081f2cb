#include "black_box.h"

#include <dlfcn.h>

#include <array>
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../core/black_box.h"
#include "alternate_stack.h"
#include "box_contents.h"
#include "clock.h"
#include "crash_handler.h"
#include "descriptor_guard.h"
#include "guard_notes.h"
#include "image_registry.h"
#include "import_hooks.h"
#include "loop_watch.h"
#include "plugin_gauges.h"
#include "process_audit.h"
#include "process_images.h"
#include "thread_record.h"
#include "watchdog.h"

namespace tenon::node {

namespace {

Napi::Value Misuse(Napi::Env env, const char* message) {
  Napi::TypeError::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::Value Failure(Napi::Env env, const std::string& message) {
  Napi::Error::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

Napi::String Address(Napi::Env env, uint64_t value) {
  std::array<char, 24> text;
  std::snprintf(text.data(), text.size(), "0x%" PRIx64, value);
  return Napi::String::New(env, text.data());
}

Napi::Array Addresses(Napi::Env env, const std::vector<uint64_t>& values) {
  const Napi::Array list = Napi::Array::New(env, values.size());
  for (uint32_t index = 0; index < values.size(); index++) list.Set(index, Address(env, values[index]));
  return list;
}

Napi::Object ImageValue(Napi::Env env, const core::BoxContents::Image& image) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("index", image.index);
  object.Set("plugin", image.plugin);
  object.Set("generation", static_cast<double>(image.generation));
  object.Set("sha256", image.sha256);
  object.Set("state", image.state);
  object.Set("proven", image.proven);
  object.Set("low", Address(env, image.low));
  object.Set("high", Address(env, image.high));
  return object;
}

Napi::Object WorkValue(Napi::Env env, const core::BoxContents::Work& work) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("image", work.image);
  object.Set("work", work.work);
  object.Set("route", work.route);
  object.Set("request", static_cast<double>(work.request));
  object.Set("ms", work.ms);
  return object;
}

Napi::Object ThreadValue(Napi::Env env, const core::BoxContents::Thread& thread) {
  const Napi::Object object = Napi::Object::New(env);
  object.Set("tid", thread.tid);
  object.Set("kind", thread.kind);
  if (thread.inside) object.Set("inside", WorkValue(env, *thread.inside));
  const Napi::Array before = Napi::Array::New(env, thread.before.size());
  for (uint32_t index = 0; index < thread.before.size(); index++) {
    before.Set(index, WorkValue(env, thread.before[index]));
  }
  object.Set("before", before);
  return object;
}

Napi::Object FaultValue(Napi::Env env, const core::BoxContents::Fault& fault) {
  const Napi::Object object = Napi::Object::New(env);
  const Napi::Object registers = Napi::Object::New(env);
  for (const auto& [name, value] : fault.registers) registers.Set(name, Address(env, value));
  object.Set("kind", fault.kind);
  object.Set("signal", fault.signal);
  if (fault.status >= 0) object.Set("status", fault.status);
  object.Set("code", fault.code);
  object.Set("sent", fault.sent);
  object.Set("overflow", fault.overflow);
  object.Set("address", Address(env, fault.address));
  object.Set("pc", Address(env, fault.pc));
  object.Set("tid", fault.tid);
  object.Set("caller", static_cast<double>(fault.caller));
  object.Set("message", fault.message);
  object.Set("registers", registers);
  object.Set("unwound", Addresses(env, fault.unwound));
  object.Set("scanned", Addresses(env, fault.scanned));
  object.Set("stage", fault.stage);
  return object;
}

template <typename Item, typename Make>
Napi::Array List(Napi::Env env, const std::vector<Item>& items, Make make) {
  const Napi::Array list = Napi::Array::New(env, items.size());
  for (uint32_t index = 0; index < items.size(); index++) list.Set(index, make(env, items[index]));
  return list;
}

Napi::Value CreateBlackBox(const Napi::CallbackInfo& info) {
  std::string problem;
  const int descriptor = core::create_box(problem);
  if (descriptor < 0) return Failure(info.Env(), "a black box could not be made: " + problem);
  return Napi::Number::New(info.Env(), descriptor);
}

Napi::Value ReadBlackBox(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber()) return Misuse(env, "descriptor: a number is needed");
  std::string problem;
  const std::unique_ptr<core::BoxMemory> box = core::copy_box(info[0].As<Napi::Number>().Int32Value(), problem);
  if (box == nullptr) return Failure(env, "the black box cannot be read: " + problem);
  const core::BoxContents contents = core::read_box(*box, core::now());
  const Napi::Object object = Napi::Object::New(env);
  object.Set("pid", contents.pid);
  object.Set("ended", contents.ended);
  if (contents.beat_ms) object.Set("beatMs", *contents.beat_ms);
  object.Set("images", List(env, contents.images, ImageValue));
  object.Set("threads", List(env, contents.threads, ThreadValue));
  if (contents.fault) object.Set("fault", FaultValue(env, *contents.fault));
  object.Set("files", List(env, contents.files, [](Napi::Env here, const core::BoxContents::File& file) {
               const Napi::Object entry = Napi::Object::New(here);
               entry.Set("low", Address(here, file.low));
               entry.Set("high", Address(here, file.high));
               entry.Set("file", file.name);
               return entry;
             }));
  return object;
}

Napi::Value BlackBoxBeat(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber()) return Misuse(env, "descriptor: a number is needed");
  const auto beat = core::beat_of_box(info[0].As<Napi::Number>().Int32Value(), core::now());
  if (!beat) return env.Undefined();
  return Napi::Number::New(env, *beat);
}

// The thread of an environment: of Node's first one it stays, a Worker's ends.
struct OwnThread {
  core::ThreadRecordGuard record{core::ThreadKind::Main};
  core::AlternateStack stack;
};

void KnowThread(Napi::Env env) {
  auto thread = std::make_unique<OwnThread>();
  const auto leave = [](void* own) { const std::unique_ptr<OwnThread> over(static_cast<OwnThread*>(own)); };
  if (napi_add_env_cleanup_hook(env, leave, thread.get()) == napi_ok) static_cast<void>(thread.release());
}

int Descriptor(Napi::Value value) { return value.IsNumber() ? value.As<Napi::Number>().Int32Value() : -1; }

Napi::Value OpenBlackBox(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) return Misuse(env, "options: an object is needed");
  const Napi::Object given = info[0].As<Napi::Object>();
  const Napi::Value descriptor = given.Get("descriptor");
  const Napi::Value report = given.Get("reportFile");
  for (const Napi::Value& value : {descriptor, report}) {
    if (!value.IsUndefined() && Descriptor(value) < 0) {
      return Misuse(env, "options: descriptor and reportFile must be descriptors");
    }
  }
  const Napi::Value orphan = given.Get("orphanMs");
  const double orphan_ms = orphan.IsNumber() ? orphan.As<Napi::Number>().DoubleValue() : 0;
  if (!orphan.IsUndefined() && !(orphan_ms >= 1 && orphan_ms <= 86'400'000)) {
    return Misuse(env, "options: orphanMs must be a number from 1 to 86400000");
  }
  std::string problem;
  if (!core::open_box(Descriptor(descriptor), problem)) {
    return Failure(env, "the black box cannot be written: " + problem);
  }
  KnowThread(env);
  core::list_process_images();
  core::CrashHandlerOptions options;
  options.report_file = Descriptor(report);
  // Only who has no parent process needs it: a host in a program of somebody else.
  if (options.report_file >= 0) core::ProcessAudit::instance().share(true);
  // Node's own part takes SIGSEGV for WebAssembly and hands over the rest; it is in no header.
  void* const chain = dlsym(RTLD_DEFAULT, "_ZN4node21RegisterSignalHandlerEiPFviP9siginfo_tPvEb");
  options.chain = reinterpret_cast<decltype(options.chain)>(chain);
  core::install_crash_handler(options);
  if (orphan_ms > 0 && !core::Watchdog::instance().end_without_parent(static_cast<uint64_t>(orphan_ms * 1e6))) {
    return Failure(env, "no thread can be had that would end the host when its parent is gone");
  }
  return env.Undefined();
}

void Beat(const Napi::CallbackInfo&) { core::beat_box(); }

void EndOnPurpose(const Napi::CallbackInfo&) { core::end_box_on_purpose(); }

core::ImageIndex Index(Napi::Value value) {
  const int64_t index = value.IsNumber() ? value.As<Napi::Number>().Int64Value() : -1;
  return index < 0 || index >= core::kNoImage ? core::kNoImage : static_cast<core::ImageIndex>(index);
}

Napi::Value ImageLoading(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool right = info[0].IsString() && info[1].IsNumber() && info[2].IsString() &&
                     (info[3].IsUndefined() || info[3].IsString()) && (info[4].IsUndefined() || info[4].IsBoolean());
  if (!right) {
    return Misuse(env,
                  "plugin, generation, sha256, path, proven: a string, a number, two strings and a boolean are needed");
  }
  const std::string path = info[3].IsString() ? info[3].As<Napi::String>().Utf8Value() : std::string();
  // What is open before the first plugin is the host's.
  static const bool guarded = (core::guard_present_descriptors(), true);
  static_cast<void>(guarded);
  const core::ImageIndex index = core::image_registry::loading(
      info[0].As<Napi::String>().Utf8Value(), static_cast<uint64_t>(info[1].As<Napi::Number>().Int64Value()),
      info[2].As<Napi::String>().Utf8Value(), path, info[4].IsBoolean() && info[4].As<Napi::Boolean>().Value());
  return Napi::Number::New(env, index == core::kNoImage ? -1 : static_cast<double>(index));
}

Napi::Value ProtectDescriptor(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) return Misuse(info.Env(), "descriptor: a number is needed");
  core::protect_descriptor(info[0].As<Napi::Number>().Int32Value());
  return info.Env().Undefined();
}

Napi::Value ImageOpened(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber() || !info[1].IsBigInt()) return Misuse(env, "index, inside: a number and a bigint are needed");
  bool lossless = false;
  const uint64_t address = info[1].As<Napi::BigInt>().Uint64Value(&lossless);
  const auto* const inside = reinterpret_cast<const void*>(static_cast<uintptr_t>(address));
  core::image_registry::opened(Index(info[0]), inside);
  core::import_hooks::install(Index(info[0]), inside);
  return env.Undefined();
}

Napi::Value ImageState(const Napi::CallbackInfo& info) {
  using State = core::ImageState;
  constexpr std::array<std::pair<const char*, State>, 6> kStates = {{{"loading", State::Loading},
                                                                     {"open", State::Open},
                                                                     {"serving", State::Serving},
                                                                     {"closing", State::Closing},
                                                                     {"closed", State::Closed},
                                                                     {"pinned", State::Pinned}}};
  const std::string word = info[1].IsString() ? info[1].As<Napi::String>().Utf8Value() : std::string();
  for (const auto& [name, state] : kStates) {
    if (word != name || !info[0].IsNumber()) continue;
    core::image_registry::enter(Index(info[0]), state);
    if (state == State::Closed) core::import_hooks::closed(Index(info[0]));
    return info.Env().Undefined();
  }
  return Misuse(info.Env(), "index, state: a number and the name of a state are needed");
}

Napi::Value PluginGauges(const Napi::CallbackInfo& info) {
  return List(info.Env(), core::plugin_gauges(), [](Napi::Env env, const core::PluginGauge& gauge) {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("plugin", std::string(core::image_registry::plugin_of(gauge.image)));
    object.Set("generation", static_cast<double>(core::image_registry::generation_of(gauge.image)));
    object.Set("threads", gauge.threads);
    object.Set("descriptors", gauge.descriptors);
    object.Set("memory", static_cast<double>(gauge.memory));
    return object;
  });
}

Napi::Value GuardDescriptors(const Napi::CallbackInfo& info) {
  core::guard_open_descriptors();
  return info.Env().Undefined();
}

Napi::Value TakeGuardNotes(const Napi::CallbackInfo& info) {
  core::ProcessAudit::Loop audited;
  if (uv_loop_t* loop = nullptr; napi_get_uv_event_loop(info.Env(), &loop) == napi_ok) audited = AuditedLoop(loop);
  core::ProcessAudit::instance().look_at_kept(audited);
  return List(info.Env(), core::take_guard_notes(), [](Napi::Env env, const core::GuardNote& note) {
    const Napi::Object object = Napi::Object::New(env);
    object.Set("plugin", std::string(core::image_registry::plugin_of(note.image)));
    object.Set("generation", static_cast<double>(core::image_registry::generation_of(note.image)));
    object.Set("guard", note.guard);
    object.Set("detail", note.detail);
    object.Set("restored", note.restored);
    object.Set("certain", note.certain);
    return object;
  });
}

}  // namespace

void DefineBlackBox(Napi::Env env, Napi::Object exports) {
  const auto define = [&](const char* name, auto function) { exports.Set(name, function); };
  define("createBlackBox", Napi::Function::New<CreateBlackBox>(env, "createBlackBox"));
  define("readBlackBox", Napi::Function::New<ReadBlackBox>(env, "readBlackBox"));
  define("blackBoxBeat", Napi::Function::New<BlackBoxBeat>(env, "blackBoxBeat"));
  define("openBlackBox", Napi::Function::New<OpenBlackBox>(env, "openBlackBox"));
  define("beat", Napi::Function::New<Beat>(env, "beat"));
  define("endOnPurpose", Napi::Function::New<EndOnPurpose>(env, "endOnPurpose"));
  define("protectDescriptor", Napi::Function::New<ProtectDescriptor>(env, "protectDescriptor"));
  define("imageLoading", Napi::Function::New<ImageLoading>(env, "imageLoading"));
  define("imageOpened", Napi::Function::New<ImageOpened>(env, "imageOpened"));
  define("imageState", Napi::Function::New<ImageState>(env, "imageState"));
  define("pluginGauges", Napi::Function::New<PluginGauges>(env, "pluginGauges"));
  define("guardDescriptors", Napi::Function::New<GuardDescriptors>(env, "guardDescriptors"));
  define("takeGuardNotes", Napi::Function::New<TakeGuardNotes>(env, "takeGuardNotes"));
}

}  // namespace tenon::node
