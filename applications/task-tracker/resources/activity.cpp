// GET /task-tracker/activity: one line for each change of a task, as it happens, until the client goes.
#include <memory>
#include <string>
#include <tenon/tenon.hpp>

static std::string line_of(const tenon::Change& change) {
  if (change.record == nullptr) return std::string(change.key) + " is gone";
  return std::string(change.record->text("title")) + " is " + std::string(change.record->text("state"));
}

struct Activity : tenon::Resource {
  static constexpr uint32_t deadline_ms = 60 * 60 * 1000;

  tenon::Response get(const tenon::Request&) override {
    const auto feed = std::make_shared<tenon::Feed>(tenon::table("Task").feed());
    if (feed->ended()) return tenon::text("There is nothing to follow.\n").status(503);
    // The client comes again when the stream ends, as it does when this plugin is replaced.
    return tenon::stream([feed](tenon::Writer& writer) {
             while (!feed->ended()) {
               const auto change = feed->next(500);
               // A comment every now and then: only a write tells that the client has gone.
               if (!writer.write(change ? "data: " + line_of(*change) + "\n\n" : std::string(":\n\n"))) return;
             }
           })
        .type("text/event-stream");
  }
};
