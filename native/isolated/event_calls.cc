#include <chrono>
#include <utility>
#include <vector>

#include "byte_buffer.h"
#include "front.h"
#include "host_face.h"
#include "plugin_functions.h"
#include "subscriptions.h"

namespace tenon::isolated {

namespace {

// A batch larger than that is given in pieces.
constexpr size_t kPieceBytes = 1024 * 1024;
constexpr std::chrono::milliseconds kLook(50);

void write(wire::Writer& writer, const tenon_event_t& event) {
  writer.put(event.level).put(event.time_us).put(event.duration_us).put(event.status).put(event.generation);
  writer.text(event.topic).text(event.source).text(event.message).put(event.field_count);
  for (uint32_t index = 0; index < event.field_count; index++) {
    writer.text(event.fields[index].key).text(event.fields[index].value);
  }
}

}  // namespace

std::shared_ptr<Session> PluginFunctions::pick_for_events(IsolatedPlugin& plugin) {
  core::EventPump& pump = core::HostFace::of(plugin.host_).services().events;
  std::unique_lock<std::mutex> lock(plugin.mutex_);
  for (;;) {
    for (size_t looked = 0; looked < plugin.places_.size(); looked++) {
      const IsolatedPlugin::Place& place = plugin.places_[plugin.turn_++ % plugin.places_.size()];
      if (place.session && !place.session->ended()) return place.session;
    }
    if (plugin.stage_ == IsolatedPlugin::Stage::Ended || plugin.closing_) return nullptr;
    lock.unlock();
    const bool is_serving = pump.is_serving();
    lock.lock();
    if (!is_serving) return nullptr;
    plugin.changed_.wait_for(lock, kLook);
  }
}

// What is not told, because there is no process before the plugin is replaced, or because one ends in it, counts as
// dropped: it is not told twice, for it may be what ends processes.
void PluginFunctions::on_event(tenon_plugin_t* plugin, const tenon_event_t* events, size_t count, uint64_t dropped) {
  IsolatedPlugin& own = IsolatedPlugin::of(plugin);
  std::vector<const tenon_event_t*> left;
  left.reserve(count);
  for (size_t index = 0; index < count; index++) left.push_back(&events[index]);
  dropped += std::exchange(own.untold_drops_, 0);
  wire::EndlessPatience patience;
  uint64_t lost = 0;
  while (!left.empty()) {
    const std::shared_ptr<Session> session = pick_for_events(own);
    if (!session) {
      lost += left.size();
      break;
    }
    session->subscriptions().sift(left);
    wire::Writer writer;
    uint32_t told = 0;
    while (told < left.size() && (told == 0 || writer.bytes().size() < kPieceBytes)) write(writer, *left[told++]);
    if (told == 0) break;
    wire::Writer head;
    head.put(dropped).put(told);
    std::string answer;
    const wire::Outcome outcome = session->call(wire::kDownEvents, {head.bytes(), writer.bytes()}, answer, patience);
    if (outcome == wire::Outcome::NotBegun && session->ended()) continue;
    if (outcome == wire::Outcome::Done) {
      dropped = 0;
      if (!answer.empty()) session->kill("answered events with what is no answer");
    } else {
      lost += told;
    }
    left.erase(left.begin(), left.begin() + told);
  }
  own.untold_drops_ = dropped;
  if (lost == 0) return;
  core::Plugin& subscriber = core::HostFace::of(own.host_).plugin();
  subscriber.front().events().subscriber(subscriber)->count_dropped(lost);
}

}  // namespace tenon::isolated
