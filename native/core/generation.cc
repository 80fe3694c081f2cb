#include "generation.h"

#include <algorithm>
#include <cstddef>

#include "byte_buffer.h"
#include "front.h"
#include "guard_notes.h"
#include "lease.h"
#include "lent_memory.h"
#include "plugin.h"
#include "thread_visits.h"

namespace tenon::core {

namespace {

struct Saving {
  std::string* bytes;
  std::string message;
  bool too_large = false;
};

tenon_status write_state(const tenon_state_writer_t* writer, tenon_bytes_t bytes) {
  Saving& saving = *static_cast<Saving*>(writer->data);
  if (bytes.data == nullptr && bytes.size != 0) return TENON_ERROR_ARGUMENT;
  if (bytes.size > TENON_STATE_LIMIT - saving.bytes->size()) {
    saving.too_large = true;
    return TENON_ERROR_TOO_LARGE;
  }
  saving.bytes->append(view(bytes));
  return TENON_OK;
}

void fail_saving(const tenon_state_writer_t* writer, tenon_bytes_t message) {
  static_cast<Saving*>(writer->data)->message.assign(view(message).substr(0, Response::kMessageBytes));
}

void fail_loading(const tenon_state_reader_t* reader, tenon_bytes_t message) {
  static_cast<std::string*>(reader->data)->assign(view(message).substr(0, Response::kMessageBytes));
}

}  // namespace

Generation::Generation(std::shared_ptr<Front> front, Plugin& plugin, std::shared_ptr<InstanceSource> source,
                       GenerationSettings settings)
    : front_(std::move(front)),
      plugin_(plugin),
      source_(std::move(source)),
      settings_(std::move(settings)),
      prefix_segments_(static_cast<size_t>(std::count(settings_.prefix.begin(), settings_.prefix.end(), '/'))),
      context_{sizeof(tenon_context_t), bytes(plugin.id()), bytes(settings_.root), settings_.number},
      face_(std::make_unique<HostFace>(plugin, settings_.number, std::move(settings_.tables),
                                       std::move(settings_.config), std::move(settings_.permissions))),
      lease_(plugin.take_lease(*this)),
      pool_(settings_.defaults.concurrency, plugin.queue_limit()) {}

std::string Generation::path_of(const Route& route) const {
  if (route.pattern != "/") return settings_.prefix + route.pattern;
  return settings_.prefix.empty() ? "/" : settings_.prefix;
}

void Generation::bind(uint32_t local_slot, uint32_t index) {
  if (local_slot >= by_slot_.size()) by_slot_.resize(local_slot + 1, nullptr);
  by_slot_[local_slot] = &routes_[index];
}

void Generation::log(int32_t level, std::string_view message, const tenon_log_field_t* fields,
                     size_t field_count) const {
  if (face_ && level >= plugin_.log_level()) write_log(plugin_, number(), level, bytes(message), fields, field_count);
}

template <typename Change>
void Generation::change_tables(Change change) {
  if (face_ && face_->tables() != nullptr) (face_->tables()->*change)();
}

void Generation::drain() {
  change_tables(&TablesFace::drain);
  if (!face_) return;
  face_->services().drain();
  face_->http_client().drain();
}

bool Generation::end_drain() {
  if (lease_->count.load(std::memory_order_seq_cst) != 0) return false;
  return !face_ || face_->http_client().end_drain(*lease_);
}

void Generation::serve() {
  change_tables(&TablesFace::serve);
  if (!face_) return;
  face_->services().serve();
  face_->http_client().serve();
}

void Generation::retire() {
  change_tables(&TablesFace::retire);
  if (!face_) return;
  face_->services().retire();
  face_->http_client().retire();
}

void Generation::open_services() {
  change_tables(&TablesFace::open);
  face_->services().open(*lease_);
  face_->http_client().open(*lease_, face_->services().tasks);
}

void Generation::perform(Task& task) {
  tenon_status status = TENON_OK;
  face_->take_remembered();
  const uint64_t denials = face_->permissions().denials();
  if (task.step != Step::Create && instance_ == nullptr) {
    task.failed = true;
    task.message = "there is no instance: create comes first";
    return;
  }
  switch (task.step) {
    case Step::Create:
      status = create(task.message);
      break;
    case Step::Initialize:
      if (TENON_HAS(instance_, initialize)) status = instance_->initialize(instance_);
      break;
    case Step::Routes:
      if (reading_.load(std::memory_order_acquire) == Reading::None) read_routes();
      status = give_routes(task.message);
      break;
    case Step::Ready:
      open_services();
      if (TENON_HAS(instance_, ready)) {
        status = instance_->ready(instance_, &context_);
      }
      break;
    case Step::Health:
      if (TENON_HAS(instance_, health)) status = instance_->health(instance_);
      break;
    case Step::Quiesce:
      if (TENON_HAS(instance_, quiesce)) status = instance_->quiesce(instance_);
      break;
    case Step::Resume:
      if (TENON_HAS(instance_, resume)) status = instance_->resume(instance_);
      break;
    case Step::Save:
      status = save(task);
      break;
    case Step::Load:
      status = load(task);
      break;
    case Step::Configure:
      status = configure(task);
      break;
    case Step::Shutdown:
      change_tables(&TablesFace::retire);
      face_->http_client().finish();
      face_->services().shut();
      if (TENON_HAS(instance_, shutdown)) instance_->shutdown(instance_);
      change_tables(&TablesFace::close);
      face_->services().close();
      break;
    case Step::Destroy:
      face_->services().close();
      instance_->destroy(instance_);
      instance_ = nullptr;
      can_initialize_.store(true, std::memory_order_release);
      can_ready_.store(true, std::memory_order_release);
      http_ = nullptr;
      state_ = nullptr;
      face_->close();
      change_tables(&TablesFace::close);
      break;
    case Step::Drain:
    case Step::Stop:
      break;
  }
  if (status == TENON_OK) return;
  task.failed = true;
  if (task.message.empty()) task.message = face_->take_remembered();
  if (status == TENON_ERROR_DENIED) {
    if (auto denial = face_->permissions().denied(denials, false)) {
      task.missing = std::move(denial->line);
      task.message += (task.message.empty() ? "" : "; ") + denial->sentence;
    }
  }
  if (task.message.empty()) task.message = "it returned status " + std::to_string(status);
}

tenon_status Generation::create(std::string& message) {
  if (instance_ != nullptr) return message = "it has been created before", TENON_ERROR_STATE;
  tenon_plugin_t* plugin = nullptr;
  const tenon_status status = source_->create(face_->host(), plugin);
  if (status != TENON_OK) return status;
  if (plugin == nullptr || plugin->size < sizeof(tenon_plugin_t)) {
    return message = "create gave no plugin, or one smaller than version 1 of the struct", TENON_ERROR;
  }
  if (plugin->destroy == nullptr || plugin->get_extension == nullptr) {
    return message = "create gave a plugin without destroy or get_extension", TENON_ERROR;
  }
  const auto* const http = static_cast<const tenon_plugin_http_t*>(plugin->get_extension(plugin, TENON_HTTP_ID));
  const auto* const state = static_cast<const tenon_plugin_state_t*>(plugin->get_extension(plugin, TENON_STATE_ID));
  const char* flaw = nullptr;
  if (http != nullptr && !(TENON_HAS(http, route_count) && TENON_HAS(http, route) && TENON_HAS(http, handle))) {
    flaw = "its tenon.http/1 lacks route_count, route or handle";
  } else if (state != nullptr && !(TENON_HAS(state, save) && TENON_HAS(state, load))) {
    flaw = "its tenon.state/1 lacks save or load";
  }
  if (flaw != nullptr) {
    plugin->destroy(plugin);
    return message = flaw, TENON_ERROR;
  }
  instance_ = plugin;
  http_ = http;
  state_ = state;
  has_state_.store(state != nullptr, std::memory_order_release);
  can_quiesce_.store(TENON_HAS(plugin, quiesce), std::memory_order_release);
  can_initialize_.store(TENON_HAS(plugin, initialize), std::memory_order_release);
  can_ready_.store(TENON_HAS(plugin, ready), std::memory_order_release);
  return TENON_OK;
}

bool Generation::are_routes_next(const Task& task) const {
  const bool next =
      task.step == Step::Initialize || (task.step == Step::Create && !can_initialize_.load(std::memory_order_acquire));
  return next && reading_.load(std::memory_order_acquire) == Reading::None;
}

bool Generation::perform_at_once(Task& task) {
  if (!control_.alive() || control_.lost()) return false;
  if (task.step == Step::Initialize) return !can_initialize_.load(std::memory_order_acquire);
  if (task.step == Step::Ready) {
    if (can_ready_.load(std::memory_order_acquire)) return false;
    open_services();
    return true;
  }
  if (task.step != Step::Routes || reading_.load(std::memory_order_acquire) != Reading::Done) return false;
  task.failed = give_routes(task.message) != TENON_OK;
  return true;
}

void Generation::read_routes() {
  reading_.store(Reading::Begun, std::memory_order_release);
  routes_status_ = read_routes(routes_message_);
  reading_.store(Reading::Done, std::memory_order_release);
}

tenon_status Generation::give_routes(std::string& message) {
  if (reading_.exchange(Reading::Given, std::memory_order_acq_rel) == Reading::Given)
    return message = "its routes have been read before", TENON_ERROR_STATE;
  message = routes_message_;
  return routes_status_;
}

tenon_status Generation::read_routes(std::string& message) {
  std::optional<Offers> offers = check_offers(instance_, message);
  if (!offers) return TENON_ERROR;
  offers_ = std::move(*offers);
  face_->services().attach(instance_);
  if (http_ == nullptr) return TENON_OK;
  std::optional<RouteTable> table = check_routes(instance_, *http_, settings_.defaults, message);
  if (!table) return TENON_ERROR;
  pool_.set_thread_limit(table->concurrency);
  routes_ = std::move(table->routes);
  return TENON_OK;
}

tenon_status Generation::save(Task& task) {
  if (state_ == nullptr) return task.message = "it has no state", TENON_ERROR_UNSUPPORTED;
  task.bytes.clear();
  Saving saving;
  saving.bytes = &task.bytes;
  const tenon_state_writer_t writer = {sizeof(tenon_state_writer_t), &saving, write_state, fail_saving};
  const tenon_status status = state_->save(instance_, &writer);
  task.version = state_->version;
  task.message = std::move(saving.message);
  if (saving.too_large) return task.message = "its state is over 64 MiB", TENON_ERROR_TOO_LARGE;
  return status;
}

tenon_status Generation::load(Task& task) {
  if (state_ == nullptr) return task.message = "it has no state", TENON_ERROR_UNSUPPORTED;
  const size_t size = task.bytes.size();
  task.bytes.append(kMark, kMarkBytes);
  const tenon_bytes_t lent = {task.bytes.data(), size};
  const tenon_state_reader_t reader = {
      sizeof(tenon_state_reader_t), task.dry_run, task.version, lent, &task.message, fail_loading};
  const tenon_status status = state_->load(instance_, &reader);
  const bool whole = is_end_marked(&task.bytes[size]);
  task.bytes.resize(size);
  if (!whole) {
    note_guard({image(), "overrun", "it wrote beyond the state that it was lent to load", true, true});
    return task.message = "it wrote beyond the state that it was lent", TENON_ERROR;
  }
  if (status == TENON_ERROR_VERSION) {
    const std::string versions =
        "state of version " + std::to_string(task.version) + ", its own is version " + std::to_string(state_->version);
    task.message = task.message.empty() ? "it cannot read " + versions : task.message + " (" + versions + ")";
  }
  return status;
}

tenon_status Generation::configure(Task& task) {
  const auto* const config =
      static_cast<const tenon_plugin_config_t*>(instance_->get_extension(instance_, TENON_CONFIG_ID));
  tenon_status status = face_->config().was_read() ? TENON_ERROR_UNSUPPORTED : TENON_OK;
  if (TENON_HAS(config, changed)) status = config->changed(instance_, bytes(task.application), bytes(task.bytes));
  if (status == TENON_OK) face_->config().take(task.application, std::move(task.bytes));
  task.must_reload = status == TENON_ERROR_UNSUPPORTED;
  return task.must_reload ? TENON_OK : status;
}

uint32_t Generation::stop(uint64_t until) {
  stopping_.store(true, std::memory_order_release);
  const uint32_t left =
      pool_.stop(until) + (face_ ? face_->services().stop(until) : 0) + (control_.stop(until) ? 0 : 1);
  return left + dismiss_visitors(*this, until);
}

Ledger Generation::ledger() const {
  if (!face_) return {};
  Ledger ledger = face_->services().ledger();
  const HttpClientFace& client = face_->http_client();
  ledger.requests = client.count();
  if (const uint64_t number = client.running(); number != 0) {
    ledger.running.push_back("done of request " + std::to_string(number));
  }
  return ledger;
}

uint32_t Generation::threads_alive() const {
  const uint32_t own = pool_.alive() + (face_ ? face_->services().alive() : 0) + (control_.alive() ? 1 : 0);
  return stopping_.load(std::memory_order_acquire) ? own + visitors_of(*this) : own;
}

void Generation::close() {
  if (closed_) return;
  closed_ = true;
  plugin_.return_lease(lease_);
  front_->retire(std::move(face_));
}

}  // namespace tenon::core
