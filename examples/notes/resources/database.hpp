// SQLite for one plugin: a database in memory, its statements, and the whole of it as bytes.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <string_view>

// The row a statement stands at. Texts live until the next row.
class Row {
 public:
  explicit Row(sqlite3_stmt* statement) : statement_(statement) {}
  int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }
  std::string_view text(int column) const {
    const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return {text == nullptr ? "" : text, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  sqlite3_stmt* statement_;
};

// One connection, one call at a time. A failure is an exception, which the plugin's edge turns into a 500.
class Database {
 public:
  Database() {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
    sqlite3* opened = nullptr;
    const int status = sqlite3_open_v2(":memory:", &opened, flags, nullptr);
    connection_.reset(opened);
    check(status);
  }

  void run(std::string_view sql) { change(sql, {}); }

  // Calls `visit(row)` for every row; their number.
  template <typename Visit>
  int each(std::string_view sql, std::initializer_list<std::string_view> parameters, Visit&& visit) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const Statement statement = prepare(sql, parameters);
    int rows = 0;
    for (; step(statement); ++rows) visit(Row(statement.get()));
    return rows;
  }

  // The number of rows that changed.
  int change(std::string_view sql, std::initializer_list<std::string_view> parameters) {
    const std::lock_guard<std::mutex> lock(mutex_);
    step(prepare(sql, parameters));
    return sqlite3_changes(connection_.get());
  }

  // The id of the new row.
  int64_t insert(std::string_view sql, std::initializer_list<std::string_view> parameters) {
    const std::lock_guard<std::mutex> lock(mutex_);
    step(prepare(sql, parameters));
    return sqlite3_last_insert_rowid(connection_.get());
  }

  std::string serialize() {
    const std::lock_guard<std::mutex> lock(mutex_);
    sqlite3_int64 size = 0;
    const std::unique_ptr<unsigned char, Freer> bytes(sqlite3_serialize(connection_.get(), "main", &size, 0));
    if (!bytes) throw std::runtime_error("the database could not be serialized");
    return {reinterpret_cast<const char*>(bytes.get()), static_cast<size_t>(size)};
  }

  // Take `state` for the whole database. False: it is none, and what was there is gone.
  bool deserialize(std::string_view state) {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto* const copy = static_cast<unsigned char*>(sqlite3_malloc64(state.size() + 1));
    if (copy == nullptr) throw std::bad_alloc();
    if (!state.empty()) std::memcpy(copy, state.data(), state.size());
    const auto size = static_cast<sqlite3_int64>(state.size());
    // SQLite frees the copy, also when this fails.
    const unsigned flags = SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE;
    if (sqlite3_deserialize(connection_.get(), "main", copy, size, size, flags) != SQLITE_OK) return false;
    return sqlite3_exec(connection_.get(), "SELECT count(*) FROM note", nullptr, nullptr, nullptr) == SQLITE_OK;
  }

 private:
  struct Freer {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
    void operator()(unsigned char* bytes) const { sqlite3_free(bytes); }
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Freer>;

  void check(int status) const {
    if (status != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(connection_.get()));
  }

  Statement prepare(std::string_view sql, std::initializer_list<std::string_view> parameters) {
    sqlite3_stmt* prepared = nullptr;
    check(sqlite3_prepare_v2(connection_.get(), sql.data(), static_cast<int>(sql.size()), &prepared, nullptr));
    Statement statement(prepared);
    int index = 0;
    // What is bound lives longer than the statement: both end with the call.
    for (const std::string_view each : parameters)
      check(sqlite3_bind_text(prepared, ++index, each.data() == nullptr ? "" : each.data(),
                              static_cast<int>(each.size()), SQLITE_STATIC));
    return statement;
  }

  bool step(const Statement& statement) const {
    const int status = sqlite3_step(statement.get());
    if (status != SQLITE_ROW && status != SQLITE_DONE) throw std::runtime_error(sqlite3_errmsg(connection_.get()));
    return status == SQLITE_ROW;
  }

  std::mutex mutex_;
  std::unique_ptr<sqlite3, Freer> connection_;
};
