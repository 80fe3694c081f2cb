// GET and POST /notes/notes, GET and DELETE /notes/notes/{id}, GET /notes/search?text=…: a database in memory.
// At a reload it goes to the new build whole, as the bytes that sqlite3_serialize gives.
#include "database.hpp"

#include <tenon/tenon.hpp>

struct NotesExtension : tenon::Extension {
  static constexpr uint32_t state_version = 1;

  Database database;

  tenon::Result initialize() override {
    database.run("CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
    tenon::log::info("set up", {{"sqlite", sqlite3_libversion()}});
    return tenon::ok();
  }

  std::string save() override { return database.serialize(); }

  tenon::Result accepts(std::string_view state, uint32_t) override {
    Database probe;
    return probe.deserialize(state) ? tenon::ok() : tenon::refuse("what was saved is no SQLite database");
  }

  tenon::Result load(std::string_view state, uint32_t) override {
    return database.deserialize(state) ? tenon::ok() : tenon::refuse("what was saved is no SQLite database");
  }
};

namespace {

Database& database() { return tenon::extension<NotesExtension>().database; }

void append(tenon::Json& json, const Row& row) {
  json.object().field("id", row.number(0)).field("text", row.text(1)).end();
}

tenon::Response list(std::string_view sql, std::string_view parameter) {
  tenon::Json json;
  json.array();
  database().each(sql, {parameter}, [&json](const Row& row) { append(json, row); });
  return tenon::json(json.end());
}

tenon::Response missing() { return tenon::text("There is no such note.\n").status(404); }

}  // namespace

struct Notes : tenon::Resource {
  static constexpr uint64_t body_limit = 64 * 1024;

  tenon::Response get(const tenon::Request& request) override {
    return list("SELECT id, text FROM note WHERE id > ?1 + 0 ORDER BY id LIMIT 100",
                request.query("after").value_or("0"));
  }

  tenon::Response post(const tenon::Request& request) override {
    if (request.body().empty()) return tenon::text("Send the text of the note.\n").status(400);
    const int64_t id = database().insert("INSERT INTO note (text) VALUES (?1)", {request.body()});
    return tenon::json(tenon::Json().object().field("id", id).end())
        .status(201)
        .header("location", "/notes/notes/" + std::to_string(id));
  }
};

struct Note : tenon::Resource {
  static constexpr std::string_view path = "/notes/:id";

  tenon::Response get(const tenon::Request& request) override {
    tenon::Json json;
    const int rows = database().each("SELECT id, text FROM note WHERE id = ?1 + 0", {request.param("id")},
                                     [&json](const Row& row) { append(json, row); });
    return rows == 0 ? missing() : tenon::json(json);
  }

  tenon::Response del(const tenon::Request& request) override {
    return database().change("DELETE FROM note WHERE id = ?1 + 0", {request.param("id")}) == 0 ? missing()
                                                                                               : tenon::status(204);
  }
};

struct Search : tenon::Resource {
  tenon::Response get(const tenon::Request& request) override {
    return list("SELECT id, text FROM note WHERE instr(text, ?1) > 0 ORDER BY id LIMIT 100",
                request.query("text").value_or(""));
  }
};
