// Everything that tables.hpp has, for test/67.
#include <tenon/tenon.hpp>

namespace {

tenon::Response told(const tenon::Written& written) {
  tenon::Json json;
  json.object().field("status", written.status()).field("field", written.field()).field("message", written.message());
  return tenon::json(json).status(written ? 200 : 422);
}

std::string listed(tenon::Scan scan) {
  std::string ids;
  for (const tenon::Record& note : scan) ids += note.text("id") + " ";
  if (!scan.problem()) ids += "! " + std::string(scan.problem().message());
  return ids;
}

}  // namespace

struct Note : tenon::Resource {
  static constexpr std::string_view path = "/notes/:id";

  tenon::Response get(const tenon::Request& request) override {
    const tenon::Table notes = tenon::table("Task");
    tenon_status status = TENON_OK;
    const std::optional<tenon::Record> note = notes.get(request.param("id"), status);
    if (!note) return tenon::text("none").status(status == TENON_ERROR_NOT_FOUND ? 404 : 500);
    const std::optional<uint32_t> title = notes.field("title");
    tenon::Json json;
    json.object()
        .field("title", (*note)[*title].text())
        .field("raw", (*note)["title"].json())
        .field("rank", note->integer("rank", -1))
        .field("price", note->number("price"))
        .field("done", note->boolean("done"))
        .field("at", note->date("at"))
        .field("tags", (*note)["tags"].json())
        .field("nothing", (*note)["nothing"].absent())
        .field("no rank", (*note)["rank"].null())
        .key("whole")
        .raw(note->json());
    return tenon::json(json);
  }
  tenon::Response put(const tenon::Request& request) override { return told(tenon::table("Task").put(request.body())); }
  tenon::Response post(const tenon::Request& request) override {
    tenon::Json json;
    json.object().field("id", request.param("id")).field("title", request.body());
    return told(tenon::table("Task").create(json));
  }
  tenon::Response patch(const tenon::Request& request) override {
    return told(tenon::table("Task").patch(request.param("id"), request.body()));
  }
  tenon::Response del(const tenon::Request& request) override {
    return told(tenon::table("Task").remove(request.param("id")));
  }
};

struct Lists : tenon::Resource {
  tenon::Response get(const tenon::Request&) override {
    const tenon::Table notes = tenon::table("Task");
    std::string lines;
    for (std::string line :
         {listed(notes.scan()), listed(notes.scan().reverse().limit(2)), listed(notes.scan().where("state", "open")),
          listed(notes.scan().where("state", "open").where("rank", "gt", 1)), listed(notes.scan().where("done", true)),
          listed(notes.scan().where("price", 2.5)), listed(notes.scan().where("state", nullptr)),
          listed(notes.scan().by("at").from(tenon::Operand::date(1000)).before(tenon::Operand::date(3000))),
          listed(notes.scan().by("state").where("title", "contains", "e")), listed(notes.scan().after("a").to("c")),
          listed(notes.scan().prefix("d")),
          listed(notes.scan().filter(R"({"field":"tags","op":"contains","value":"x"})")),
          listed(notes.scan().by("title")), listed(notes.scan().where("nothing", 1)),
          listed(tenon::table("Nothing").scan())}) {
      lines += line + "\n";
    }
    const auto counted = notes.count(true);
    lines += std::to_string(counted ? *counted : 0) + (notes.count() ? " about" : "");
    return tenon::text(lines);
  }
};

struct Several : tenon::Resource {
  tenon::Response post(const tenon::Request& request) override {
    const tenon::Table notes = tenon::table("Task");
    tenon::Batch batch;
    batch.put(notes, tenon::Json().object().field("id", "m1").field("title", "One"))
        .put(notes, R"({"id":"m2","title":"Two"})")
        .patch(notes, "m1", tenon::Json().object().field("rank", 7));
    if (request.query("wrong")) batch.put(tenon::table("Nothing"), "{}");
    if (request.query("missing")) batch.remove(notes, "nothing");
    if (request.query("forget")) return tenon::text("forgotten");
    return told(batch.commit());
  }
};

struct Follow : tenon::Resource {
  tenon::Response post(const tenon::Request&) override {
    return tenon::stream([](tenon::Writer& writer) {
      tenon::Feed feed = tenon::table("Task").feed();
      writer.write("following");
      while (!feed.ended()) {
        const std::optional<tenon::Change> change = feed.next(60'000);
        if (!change) continue;
        std::string line = "\n" + std::string(change->key) + " ";
        line += change->record == nullptr ? "gone" : change->record->text("title");
        writer.write(line);
      }
      writer.write("\nended " + std::to_string(feed.status()));
    });
  }
};

struct Now : tenon::Resource {
  static constexpr tenon::Execution execution = tenon::Execution::Inline;
  tenon::Response get(const tenon::Request& request) override {
    const auto note = tenon::table("Task").get(*request.query("id"));
    return tenon::text(note ? note->text("title") : std::string("none"));
  }
  tenon::Response put(const tenon::Request&) override { return told(tenon::table("Task").put("{}")); }
};

struct NotebookExtension : tenon::Extension {
  tenon::Result initialize() override {
    before = tenon::table("Task").status();
    return tenon::ok();
  }
  tenon::Result ready(const tenon::Context&) override {
    const tenon::Table notes = tenon::table("Task");
    if (!notes) return tenon::refuse("no table");
    const tenon::Written written =
        notes.put(tenon::Json().object().field("id", "ready").field("title", std::to_string(before)));
    return written ? tenon::ok() : tenon::refuse(std::string(written.message()));
  }
  tenon_status before = TENON_OK;
};
