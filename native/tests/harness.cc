#include "harness.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace tenon::tests {

PluginUnderTest* PluginUnderTest::current_ = nullptr;

PluginUnderTest::PluginUnderTest() {
  plugin_.size = sizeof(plugin_);
  plugin_.data = this;
  plugin_.initialize = [](tenon_plugin_t* plugin) {
    PluginUnderTest& self = of(plugin);
    return self.on_initialize ? self.on_initialize() : TENON_OK;
  };
  plugin_.ready = [](tenon_plugin_t* plugin, const tenon_context_t* world) -> tenon_status {
    PluginUnderTest& self = of(plugin);
    self.context = world;
    if (self.on_ready) self.on_ready();
    return TENON_OK;
  };
  plugin_.health = [](tenon_plugin_t* plugin) {
    PluginUnderTest& self = of(plugin);
    return self.on_health ? self.on_health() : TENON_OK;
  };
  plugin_.shutdown = [](tenon_plugin_t* plugin) {
    PluginUnderTest& self = of(plugin);
    if (self.on_shutdown) self.on_shutdown();
  };
  plugin_.destroy = [](tenon_plugin_t* plugin) { of(plugin).destroyed++; };
  plugin_.get_extension = [](tenon_plugin_t* plugin, const char* id) -> const void* {
    PluginUnderTest& self = of(plugin);
    if (const auto found = self.offers.find(id); found != self.offers.end()) return found->second;
    if (std::strcmp(id, TENON_HTTP_ID) == 0) return &self.http_side_;
    if (std::strcmp(id, TENON_STATE_ID) == 0) return &self.state_side_;
    if (std::strcmp(id, TENON_EVENTS_ID) == 0 && self.on_event) return &self.events_side_;
    const auto found = self.sides.find(id);
    return found == self.sides.end() ? nullptr : found->second;
  };
  http_side_.size = sizeof(http_side_);
  http_side_.route_count = [](tenon_plugin_t* plugin) {
    PluginUnderTest& self = of(plugin);
    if (self.on_routes) self.on_routes();
    return static_cast<uint32_t>(self.routes_.size());
  };
  http_side_.route = [](tenon_plugin_t* plugin, uint32_t index) -> const tenon_route_t* {
    Declared& declared = *of(plugin).routes_[index];
    declared.route.pattern = bytes(declared.pattern);
    declared.route.roles = bytes(declared.roles);
    return &declared.route;
  };
  http_side_.handle = [](tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request, tenon_response_t* response) {
    PluginUnderTest& self = of(plugin);
    return self.routes_[index]->handler(*self.http, request, response);
  };
  events_side_ = {sizeof(events_side_), [](tenon_plugin_t* plugin, const tenon_event_t* events, size_t count,
                                           uint64_t dropped) { of(plugin).on_event(events, count, dropped); }};
  state_side_.size = sizeof(state_side_);
  state_side_.version = 3;
  state_side_.save = [](tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
    return writer->write(writer, bytes(of(plugin).state));
  };
  state_side_.load = [](tenon_plugin_t* plugin, const tenon_state_reader_t* reader) -> tenon_status {
    if (reader->version != 3) return TENON_ERROR_VERSION;
    if (!reader->dry_run) of(plugin).state.assign(core::view(reader->bytes));
    return TENON_OK;
  };
}

void PluginUnderTest::route(tenon_http_method method, std::string pattern, uint32_t execution, Handler handler,
                            uint32_t deadline_ms, uint32_t auth, std::string roles) {
  auto declared = std::make_unique<Declared>();
  declared->pattern = std::move(pattern);
  declared->route = {sizeof(tenon_route_t), method, {nullptr, 0}, execution, deadline_ms, 0, auth, {}, {}, {}, {}};
  declared->roles = std::move(roles);
  declared->handler = std::move(handler);
  routes_.push_back(std::move(declared));
}

void PluginUnderTest::leave_steps_out() {
  plugin_.initialize = nullptr;
  plugin_.ready = nullptr;
}

const tenon_plugin_descriptor_t& PluginUnderTest::descriptor() {
  http_side_.max_concurrency = max_concurrency;
  current_ = this;
  descriptor_ = {
      sizeof(descriptor_), TENON_ABI_MAJOR,         TENON_ABI_MINOR, "test", "Test", "1.0.0", nullptr, nullptr,
      TENON_TRIAL_FULL,    &PluginUnderTest::create};
  return descriptor_;
}

tenon_status PluginUnderTest::create(const tenon_host_t* host, tenon_plugin_t** out) {
  PluginUnderTest& self = *current_;
  self.host = host;
  self.http = static_cast<const tenon_host_http_t*>(host->get_extension(host, TENON_HTTP_ID));
  *out = &self.plugin_;
  return TENON_OK;
}

FrontUnderTest::FrontUnderTest() : front(std::make_shared<core::Front>("test", TENON_LOG_TRACE)) {
  front->open(wake, this);
}

FrontUnderTest::~FrontUnderTest() { front->close(); }

void FrontUnderTest::wake(void* context) {
  FrontUnderTest& self = *static_cast<FrontUnderTest*>(context);
  const std::lock_guard<std::mutex> lock(self.mutex_);
  self.due_ = true;
  self.woken_.notify_one();
}

void FrontUnderTest::turn() {
  front->begin_turn();
  for (std::shared_ptr<core::Task>& task : front->take_settled()) settled_.push_back(std::move(task));
  core::Delivery delivery;
  while (front->next(delivery)) {
    core::Call& call = *delivery.call;
    const auto found = waiting_.find(call.id);
    if (found != waiting_.end()) {
      Answer& answer = *found->second;
      answer.outcome = delivery.outcome;
      answer.status = delivery.status;
      answer.refusal = delivery.refusal;
      if (call.lease.load() != nullptr) answer.generation = call.lease.load()->generation->number();
      switch (delivery.outcome) {
        case core::Outcome::Response:
          answer.headers = call.response.header_block();
          answer.body.append(call.response.body());
          break;
        case core::Outcome::Head:
        case core::Outcome::Chunk:
          if (delivery.outcome == core::Outcome::Head) answer.headers = call.response.header_block();
          answer.body.append(delivery.chunk);
          if (on_chunk) {
            on_chunk(call, delivery.chunk.size());
          } else {
            front->acknowledge(call.id, delivery.chunk.size());
          }
          break;
        default:
          answer.headers = delivery.headers;
          answer.body.append(delivery.text);
      }
      if (delivery.outcome != core::Outcome::Head && delivery.outcome != core::Outcome::Chunk) waiting_.erase(found);
    }
    front->done(delivery);
  }
}

bool FrontUnderTest::until(const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!done()) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      woken_.wait_for(lock, std::chrono::milliseconds(20), [this] { return due_; });
      due_ = false;
    }
    turn();
    if (std::chrono::steady_clock::now() > end) return false;
  }
  return true;
}

Answer& FrontUnderTest::send(uint32_t slot, std::string url, std::string headers, std::string body) {
  answers_.push_back(std::make_unique<Answer>());
  Answer& answer = *answers_.back();
  core::Call& call = *front->take(*front->slot_at(slot));
  call.request.url().assign(url);
  call.request.header_block().assign(headers);
  call.asks_only = asks_only;
  if (!body.empty()) call.request.borrow_body(body);
  if (front->send(call)) {
    core::Delivery delivery;
    front->describe(call, delivery);
    answer.outcome = delivery.outcome;
    answer.status = delivery.status;
    answer.refusal = delivery.refusal;
    answer.body = delivery.outcome == core::Outcome::Response ? std::string(call.response.body()) : delivery.text;
    answer.headers = delivery.outcome == core::Outcome::Response ? call.response.header_block() : delivery.headers;
    if (call.lease.load() != nullptr) answer.generation = call.lease.load()->generation->number();
    front->recycle(call);
  } else {
    answer.outcome = core::Outcome::Pending;
    waiting_[call.id] = &answer;
  }
  return answer;
}

Answer FrontUnderTest::ask(uint32_t slot, std::string url, std::string headers, std::string body) {
  Answer& answer = send(slot, std::move(url), std::move(headers), std::move(body));
  until([&answer] {
    return answer.outcome != core::Outcome::Pending && answer.outcome != core::Outcome::Head &&
           answer.outcome != core::Outcome::Chunk;
  });
  return answer;
}

bool FrontUnderTest::perform(const std::shared_ptr<core::Generation>& generation, core::Step step, uint32_t deadline_ms,
                             std::string* given, std::string* message) {
  auto task = std::make_shared<core::Task>();
  task->step = step;
  task->generation = generation;
  task->deadline = core::now() + core::milliseconds(deadline_ms);
  if (given != nullptr && step == core::Step::Load) task->bytes = *given;
  task->version = 3;
  front->submit(task);
  const bool settled = until([&] { return std::find(settled_.begin(), settled_.end(), task) != settled_.end(); });
  settled_.erase(std::remove(settled_.begin(), settled_.end(), task), settled_.end());
  if (!settled || task->timed_out) {
    if (message != nullptr) *message = "timed out";
    return false;
  }
  if (message != nullptr) *message = task->message;
  if (given != nullptr && step == core::Step::Save) *given = task->bytes;
  return !task->failed && task->count == 0;
}

std::shared_ptr<core::Generation> FrontUnderTest::bring_up(core::Plugin& plugin, PluginUnderTest& code, uint64_t number,
                                                           std::string prefix,
                                                           std::shared_ptr<core::InstanceSource> source) {
  if (!source) source = std::make_shared<core::LibrarySource>(code.descriptor());
  auto generation = std::make_shared<core::Generation>(
      front, plugin, std::move(source), core::GenerationSettings{number, "", std::move(prefix), {5000, 1 << 20, 4}});
  for (const core::Step step : {core::Step::Create, core::Step::Initialize, core::Step::Routes}) {
    std::string message;
    if (perform(generation, step, 5000, nullptr, &message)) continue;
    std::fprintf(stderr, "%s of %s: %s\n", core::step_name(step), plugin.id().c_str(), message.c_str());
    return nullptr;
  }
  for (const core::Route& route : generation->routes()) {
    const uint32_t index = front->slot(plugin, route.method, generation->path_of(route));
    front->bind(*generation, index, route.index);
  }
  return perform(generation, core::Step::Ready) ? generation : nullptr;
}

bool FrontUnderTest::take_down(const std::shared_ptr<core::Generation>& generation) {
  for (const core::Step step : {core::Step::Drain, core::Step::Shutdown, core::Step::Destroy, core::Step::Stop}) {
    if (!perform(generation, step)) return false;
  }
  generation->close();
  return true;
}

uint32_t FrontUnderTest::slot(core::Plugin& plugin, const char* method, const std::string& path) {
  return front->slot(plugin, *core::method_of(method), path);
}

}  // namespace tenon::tests
