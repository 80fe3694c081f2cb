#include "generation_object.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "isolation_object.h"
#include "lease.h"
#include "plugin.h"
#include "plugin_pointer_object.h"
#include "store_object.h"
#include "watchdog.h"

namespace tenon::node {

namespace {
constexpr napi_type_tag kTag = {0x74656e6f6e2d6765ULL, 0x6e65726174696f6eULL};

// `store`, `database` and `grants` of the options; false with a TypeError pending.
bool ReadAccess(const Napi::Object& options, core::TablesAccess& access) {
  const Napi::Value store = options.Get("store");
  if (store.IsUndefined()) return true;
  const StoreObject* const object = StoreObject::From(store);
  if (object == nullptr) return false;
  const Napi::Value grants = options.Get("grants");
  bool right = options.Get("database").IsString() && grants.IsArray();
  if (right) {
    access.database = options.Get("database").As<Napi::String>().Utf8Value();
    const Napi::Array list = grants.As<Napi::Array>();
    for (uint32_t index = 0; right && index < list.Length(); index++) {
      const Napi::Value grant = list.Get(index);
      right = grant.IsString();
      if (right) access.grants.push_back(grant.As<Napi::String>().Utf8Value());
    }
  }
  if (!right) {
    Napi::TypeError::New(options.Env(), "options: with a store, database must be a string, grants a list of strings")
        .ThrowAsJavaScriptException();
    return false;
  }
  access.store = object->shared();
  return true;
}

// `config` and `consumers` of the options; false with a TypeError pending.
bool ReadConfig(const Napi::Object& options, core::ConfigValues& config) {
  const Napi::Value own = options.Get("config");
  const Napi::Value consumers = options.Get("consumers");
  bool right = (own.IsUndefined() || own.IsString()) && (consumers.IsUndefined() || consumers.IsArray());
  if (right && own.IsString()) config.own = own.As<Napi::String>().Utf8Value();
  if (right && consumers.IsArray()) {
    const Napi::Array list = consumers.As<Napi::Array>();
    for (uint32_t index = 0; right && index < list.Length(); index++) {
      const Napi::Value item = list.Get(index);
      right = item.IsObject() && item.As<Napi::Object>().Get("application").IsString() &&
              item.As<Napi::Object>().Get("settings").IsString();
      if (!right) break;
      const Napi::Object consumer = item.As<Napi::Object>();
      config.consumers[consumer.Get("application").As<Napi::String>().Utf8Value()] =
          consumer.Get("settings").As<Napi::String>().Utf8Value();
    }
  }
  if (!right) {
    Napi::TypeError::New(options.Env(),
                         "options: config must be a string, consumers a list of application and settings")
        .ThrowAsJavaScriptException();
  }
  return right;
}
bool ReadLines(Napi::Value value, std::vector<std::string>& lines) {
  if (!value.IsArray()) return false;
  const Napi::Array list = value.As<Napi::Array>();
  for (uint32_t index = 0; index < list.Length(); index++) {
    const Napi::Value line = list.Get(index);
    if (!line.IsString()) return false;
    lines.push_back(line.As<Napi::String>().Utf8Value());
  }
  return true;
}

// Permissions as GenerationOptions has them; false with a TypeError pending.
bool ReadPermissions(Napi::Value value, std::optional<core::PermissionLines>& permissions) {
  if (value.IsUndefined() || value.IsNull()) return true;
  bool right = value.IsObject();
  if (right) {
    const Napi::Object object = value.As<Napi::Object>();
    permissions.emplace();
    right =
        ReadLines(object.Get("granted"), permissions->granted) && ReadLines(object.Get("asked"), permissions->asked);
    const Napi::Value by = object.Get("by");
    right = right && by.IsString();
    if (right) permissions->by_manifest = by.As<Napi::String>().Utf8Value() == "manifest";
  }
  if (!right) {
    Napi::TypeError::New(value.Env(), "permissions: granted and asked must be lists of strings, by manifest or config")
        .ThrowAsJavaScriptException();
  }
  return right;
}

// The library whose descriptor is at `descriptor`, or the processes of `isolation`; null with a TypeError pending.
std::shared_ptr<core::InstanceSource> ReadSource(const Napi::Object& options) {
  if (const Napi::Value isolation = options.Get("isolation"); !isolation.IsUndefined()) {
    IsolationObject* const object = IsolationObject::From(isolation);
    return object == nullptr ? nullptr : object->plugin();
  }
  const Napi::Value address = options.Get("descriptor");
  bool lossless = false;
  const uint64_t number = address.IsBigInt() ? address.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  const auto* const descriptor = reinterpret_cast<const tenon_plugin_descriptor_t*>(static_cast<uintptr_t>(number));
  if (!lossless || descriptor == nullptr || descriptor->size < sizeof(tenon_plugin_descriptor_t) ||
      descriptor->abi_major != TENON_ABI_MAJOR || descriptor->create == nullptr) {
    Napi::TypeError::New(options.Env(), "options.descriptor: not the address of a descriptor of this contract")
        .ThrowAsJavaScriptException();
    return nullptr;
  }
  return std::make_shared<core::LibrarySource>(*descriptor);
}
}  // namespace

Napi::Function GenerationObject::Define(Napi::Env env) {
  using core::Step;
  return DefineClass(env, "GenerationHandle",
                     {InstanceMethod<&GenerationObject::Perform<Step::Create>>("create"),
                      InstanceMethod<&GenerationObject::Perform<Step::Initialize>>("initialize"),
                      InstanceMethod<&GenerationObject::Perform<Step::Routes>>("routes"),
                      InstanceMethod<&GenerationObject::Perform<Step::Ready>>("ready"),
                      InstanceMethod<&GenerationObject::Perform<Step::Health>>("health"),
                      InstanceMethod<&GenerationObject::Perform<Step::Quiesce>>("quiesce"),
                      InstanceMethod<&GenerationObject::Perform<Step::Resume>>("resume"),
                      InstanceMethod<&GenerationObject::Perform<Step::Save>>("save"),
                      InstanceMethod<&GenerationObject::Perform<Step::Shutdown>>("shutdown"),
                      InstanceMethod<&GenerationObject::Perform<Step::Destroy>>("destroy"),
                      InstanceMethod<&GenerationObject::Perform<Step::Drain>>("drain"),
                      InstanceMethod<&GenerationObject::Perform<Step::Stop>>("stop"),
                      InstanceMethod<&GenerationObject::Load>("load"),
                      InstanceMethod<&GenerationObject::Configure>("configure"),
                      InstanceMethod<&GenerationObject::Permit>("permit"),
                      InstanceMethod<&GenerationObject::Bind>("bind"),
                      InstanceMethod<&GenerationObject::Close>("close"),
                      InstanceAccessor<&GenerationObject::HasState>("hasState"),
                      InstanceAccessor<&GenerationObject::CanQuiesce>("canQuiesce"),
                      InstanceAccessor<&GenerationObject::Offers>("offers"),
                      InstanceAccessor<&GenerationObject::Leases>("leases"),
                      InstanceAccessor<&GenerationObject::Threads>("threads"),
                      InstanceAccessor<&GenerationObject::Counters>("counters"),
                      InstanceAccessor<&GenerationObject::Ledger>("ledger"),
                      InstanceAccessor<&GenerationObject::Streams>("streams"),
                      InstanceMethod<&GenerationObject::Retire>("retire"),
                      InstanceMethod<&GenerationObject::GiveUpQueued>("giveUpQueued"),
                      InstanceMethod<&GenerationObject::EndStreams>("endStreams")});
}

core::Generation* GenerationObject::From(Napi::Value value, const core::Plugin& plugin) {
  const Napi::Env env = value.Env();
  bool ours = false;
  if (value.IsObject()) napi_check_object_type_tag(env, value, &kTag, &ours);
  if (ours) {
    core::Generation* const generation = Unwrap(value.As<Napi::Object>())->generation_.get();
    if (generation != nullptr && &generation->plugin() == &plugin) return generation;
  }
  Napi::TypeError::New(env, "generation: an open generation of " + plugin.id() + " is needed")
      .ThrowAsJavaScriptException();
  return nullptr;
}

GenerationObject::GenerationObject(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  const Napi::Env env = info.Env();
  napi_type_tag_object(env, info.This(), &kTag);
  const auto misuse = [env](const char* message) { Napi::TypeError::New(env, message).ThrowAsJavaScriptException(); };
  if (!info[0].IsObject() || !info[1].IsObject()) {
    misuse("plugin, options: objects are needed");
    return;
  }
  PluginPointerObject* const pointer = PluginPointerObject::From(info[0]);
  if (pointer == nullptr) return;
  const Napi::Object options = info[1].As<Napi::Object>();
  for (const char* name : {"number", "deadlineMs", "bodyLimit", "concurrency"}) {
    if (!options.Get(name).IsNumber()) {
      misuse("options: number, deadlineMs, bodyLimit and concurrency must be numbers");
      return;
    }
  }
  const auto number = [&options](const char* name) { return options.Get(name).As<Napi::Number>(); };
  if (!options.Get("root").IsString() || !options.Get("prefix").IsString()) {
    misuse("options: root and prefix must be strings");
    return;
  }
  const std::shared_ptr<core::InstanceSource> source = ReadSource(options);
  if (!source) return;
  core::TablesAccess access;
  if (!ReadAccess(options, access)) return;
  core::ConfigValues config;
  if (!ReadConfig(options, config)) return;
  std::optional<core::PermissionLines> permissions;
  if (!ReadPermissions(options.Get("permissions"), permissions)) return;
  const Napi::Value index = options.Get("image");
  const int64_t given = index.IsNumber() ? index.As<Napi::Number>().Int64Value() : -1;
  const core::ImageIndex image = given < 0 ? core::kNoImage : static_cast<core::ImageIndex>(given);
  owner_ = &pointer->owner();
  owner_reference_ = Napi::Persistent(owner_->Value());
  generation_ = std::make_shared<core::Generation>(
      owner_->front(), pointer->plugin(), source,
      core::GenerationSettings{
          static_cast<uint64_t>(number("number").Int64Value()),
          options.Get("root").As<Napi::String>().Utf8Value(),
          options.Get("prefix").As<Napi::String>().Utf8Value(),
          {number("deadlineMs").Uint32Value(), static_cast<uint64_t>(number("bodyLimit").Int64Value()),
           number("concurrency").Uint32Value()},
          std::move(access),
          std::move(config),
          std::move(permissions),
          image});
}

GenerationObject::~GenerationObject() {
  if (generation_) core::Watchdog::instance().abandon(std::move(generation_));
}

Napi::Value GenerationObject::Start(const Napi::CallbackInfo& info, core::Step step, Napi::Value deadline,
                                    std::shared_ptr<core::Task> task) {
  const Napi::Env env = info.Env();
  if (!generation_) {
    Napi::TypeError::New(env, "the generation is closed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  if (!deadline.IsNumber() || deadline.As<Napi::Number>().Int64Value() <= 0) {
    Napi::TypeError::New(env, "deadlineMs: milliseconds above 0 are needed").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  if (!task) task = std::make_shared<core::Task>();
  task->step = step;
  task->generation = generation_;
  return owner_->Perform(env, std::move(task), deadline.As<Napi::Number>().Uint32Value());
}

Napi::Value GenerationObject::Load(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber() || !info[1].IsTypedArray() || !info[2].IsBoolean()) {
    Napi::TypeError::New(info.Env(), "version, bytes, dryRun: a number, a Uint8Array and a boolean are needed")
        .ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  auto task = std::make_shared<core::Task>();
  task->version = info[0].As<Napi::Number>().Uint32Value();
  const Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
  task->bytes.assign(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
  task->dry_run = info[2].As<Napi::Boolean>().Value();
  return Start(info, core::Step::Load, info[3], std::move(task));
}

Napi::Value GenerationObject::Configure(const Napi::CallbackInfo& info) {
  if (!info[0].IsString() || !info[1].IsString()) {
    Napi::TypeError::New(info.Env(), "application, json: strings are needed").ThrowAsJavaScriptException();
    return info.Env().Undefined();
  }
  auto task = std::make_shared<core::Task>();
  task->application = info[0].As<Napi::String>().Utf8Value();
  task->bytes = info[1].As<Napi::String>().Utf8Value();
  return Start(info, core::Step::Configure, info[2], std::move(task));
}

void GenerationObject::Permit(const Napi::CallbackInfo& info) {
  std::optional<core::PermissionLines> permissions;
  if (generation_ && ReadPermissions(info[0], permissions)) generation_->permit(std::move(permissions));
}

void GenerationObject::Bind(const Napi::CallbackInfo& info) {
  const auto misuse = [&info](const char* message) {
    Napi::TypeError::New(info.Env(), message).ThrowAsJavaScriptException();
  };
  if (!generation_) return misuse("the generation is closed");
  if (!info[0].IsNumber() || !info[1].IsNumber()) return misuse("slot, index: numbers are needed");
  const core::Front::Slot* const slot = owner_->front()->slot_at(info[0].As<Napi::Number>().Uint32Value());
  const uint32_t index = info[1].As<Napi::Number>().Uint32Value();
  if (slot == nullptr || slot->gate != nullptr || slot->plugin != &generation_->plugin())
    return misuse("slot: not a slot of this plugin");
  if (index >= generation_->routes().size()) return misuse("index: no route has this number");
  if (generation_->plugin().live() == generation_->lease()) return misuse("the generation is live");
  const core::Route& route = generation_->routes()[index];
  if (slot->method != route.method || slot->path != generation_->path_of(route)) {
    return misuse("slot: it stands for another method or path than the route");
  }
  owner_->front()->bind(*generation_, info[0].As<Napi::Number>().Uint32Value(), index);
}

Napi::Value GenerationObject::HasState(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), generation_ && generation_->has_state());
}

Napi::Value GenerationObject::CanQuiesce(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), generation_ && generation_->can_quiesce());
}

Napi::Value GenerationObject::Offers(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const core::Offers none;
  const core::Offers& offers = generation_ ? generation_->offers() : none;
  const Napi::Object object = Napi::Object::New(env);
  object.Set("events", offers.events != nullptr);
  object.Set("config", offers.config != nullptr);
  if (offers.auth != nullptr) {
    const Napi::Object auth = Napi::Object::New(env);
    const Napi::Array providers = Napi::Array::New(env, offers.providers.size());
    for (uint32_t index = 0; index < offers.providers.size(); index++) {
      const Napi::Object provider = Napi::Object::New(env);
      provider.Set("scheme", offers.providers[index].scheme);
      provider.Set("header", offers.providers[index].header);
      provider.Set("challenge", offers.providers[index].challenge);
      providers.Set(index, provider);
    }
    auth.Set("providers", providers);
    auth.Set("authorizes", offers.authorizes);
    auth.Set("resolvesRoles", offers.resolves_roles);
    object.Set("auth", auth);
  }
  if (offers.middleware != nullptr) {
    const Napi::Object middleware = Napi::Object::New(env);
    middleware.Set("order", offers.order);
    object.Set("middleware", middleware);
  }
  const Napi::Array hooks = Napi::Array::New(env, offers.hook_list.size());
  for (uint32_t index = 0; index < offers.hook_list.size(); index++) {
    const Napi::Object hook = Napi::Object::New(env);
    hook.Set("name", offers.hook_list[index].name);
    hook.Set("version", offers.hook_list[index].version);
    hook.Set("order", offers.hook_list[index].order);
    hooks.Set(index, hook);
  }
  object.Set("hooks", hooks);
  return object;
}

Napi::Value GenerationObject::Leases(const Napi::CallbackInfo& info) {
  const int64_t leases = generation_ ? generation_->lease()->count.load(std::memory_order_acquire) : 0;
  return Napi::Number::New(info.Env(), static_cast<double>(leases));
}

Napi::Value GenerationObject::Streams(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), generation_ ? owner_->front()->streams(*generation_) : 0);
}

Napi::Value GenerationObject::EndStreams(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), generation_ ? owner_->front()->end_streams(*generation_) : 0);
}

void GenerationObject::Retire(const Napi::CallbackInfo&) {
  if (generation_) generation_->retire();
}

void GenerationObject::GiveUpQueued(const Napi::CallbackInfo&) {
  if (generation_) generation_->pool().give_up_queued();
}

Napi::Value GenerationObject::Counters(const Napi::CallbackInfo& info) {
  const core::CallCounters none;
  const core::CallCounters& counters = generation_ ? generation_->counters() : none;
  const Napi::Object object = Napi::Object::New(info.Env());
  const core::VisitCounters no_visits;
  const core::VisitCounters& visits = generation_ ? generation_->visits() : no_visits;
  object.Set("calls", static_cast<double>(counters.calls() + visits.calls.load(std::memory_order_relaxed)));
  object.Set("faults", static_cast<double>(counters.faults() + visits.faults.load(std::memory_order_relaxed)));
  object.Set("samples", static_cast<double>(counters.samples()));
  if (counters.samples() == 0) return object;
  object.Set("p50Us", counters.quantile(0.5) / 1000);
  object.Set("p95Us", counters.quantile(0.95) / 1000);
  return object;
}

Napi::Value GenerationObject::Ledger(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const core::Ledger ledger = generation_ ? generation_->ledger() : core::Ledger();
  const auto list = [env](const std::vector<std::string>& texts) {
    const Napi::Array array = Napi::Array::New(env, texts.size());
    for (uint32_t index = 0; index < texts.size(); index++) array.Set(index, texts[index]);
    return array;
  };
  const Napi::Object object = Napi::Object::New(env);
  object.Set("timers", static_cast<double>(ledger.timers));
  object.Set("tasks", static_cast<double>(ledger.tasks));
  object.Set("requests", static_cast<double>(ledger.requests));
  object.Set("subscriptions", list(ledger.subscriptions));
  object.Set("series", static_cast<double>(ledger.series));
  object.Set("running", list(ledger.running));
  return object;
}

Napi::Value GenerationObject::Threads(const Napi::CallbackInfo& info) {
  const Napi::Object threads = Napi::Object::New(info.Env());
  threads.Set("alive", generation_ ? generation_->threads_alive() : 0);
  threads.Set("lost", generation_ ? generation_->threads_lost() : 0);
  return threads;
}

void GenerationObject::Close(const Napi::CallbackInfo& info) {
  if (!generation_) return;
  const char* flaw = nullptr;
  if (generation_->plugin().live() == generation_->lease())
    flaw = "the generation is live";
  else if (generation_->lease()->count.load(std::memory_order_acquire) != 0)
    flaw = "the generation has leases";
  else if (generation_->threads_alive() != 0)
    flaw = "the generation has threads";
  if (flaw != nullptr) {
    Napi::Error::New(info.Env(), flaw).ThrowAsJavaScriptException();
    return;
  }
  generation_->close();
  generation_.reset();
  owner_reference_.Reset();
}

}  // namespace tenon::node
