// GET /tenon-telemetry/live?plugin=&level=: records of the log as they are kept, as server-sent events.
#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "query.hpp"

static std::string event_of(const tenon::Change& change) {
  return "id: " + std::to_string(change.sequence) + "\ndata: " + std::string(change.record->json()) + "\n\n";
}

struct Live : tenon::Resource {
  static constexpr uint32_t deadline_ms = 60 * 60 * 1000;

  tenon::Response get(const tenon::Request& request) override {
    if (auto refusal = tenon::extension<TelemetryExtension>().refusal(request)) return std::move(*refusal);
    constexpr std::string_view names[] = {"level", "plugin"};
    if (auto refusal = unknown_parameter(request, names)) return std::move(*refusal);
    const auto level = level_of(request.query("level").value_or("trace"));
    if (!level) return bad_request(request, std::string("level") + level_values);
    const auto seat = std::make_shared<Seat>(streams_);
    if (!*seat) return unavailable(request, "all streams are taken").header("retry-after", "10");
    const auto last = number_of(request.header("last-event-id").value_or("0"));
    const auto feed = std::make_shared<tenon::Feed>(tenon::table("Log").feed(static_cast<uint64_t>(last.value_or(0))));
    if (feed->status() != TENON_ERROR_CANCELLED && feed->ended()) *feed = tenon::table("Log").feed(); /* too long ago */
    if (feed->ended()) return unavailable(request, "there is nothing to follow");
    const std::string plugin(request.query("plugin").value_or(""));
    // The client comes again when the stream ends, as it does when this extension is replaced. The request is there
    // until then.
    return tenon::stream([seat, feed, plugin, level = *level, &request](tenon::Writer& writer) {
             if (!writer.write("retry: 2000\n\n")) return;
             auto written = std::chrono::steady_clock::now();
             while (!feed->ended() && !request.cancelled()) {
               const auto change = feed->next(500);
               const bool told = change && change->record != nullptr && change->record->integer("level") >= level &&
                                 (plugin.empty() || change->record->text("plugin") == plugin);
               const auto now = std::chrono::steady_clock::now();
               // A comment keeps the connection where nothing is to be told.
               if (!told && now - written < std::chrono::seconds(15)) continue;
               if (!writer.write(told ? event_of(*change) : std::string(":\n\n"))) return;
               written = now;
             }
           })
        .type("text/event-stream");
  }

 private:
  /* One of the few streams that may be open: each of them has a thread. */
  class Seat {
   public:
    explicit Seat(std::atomic<int>& taken) : taken_(taken), free_(++taken <= 8) {}
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    ~Seat() { --taken_; }
    explicit operator bool() const { return free_; }

   private:
    std::atomic<int>& taken_;
    bool free_;
  };

  std::atomic<int> streams_{0};
};
