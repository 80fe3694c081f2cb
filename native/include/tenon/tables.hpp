/*
 * The application's tables for authors in C++17; part of <tenon/tenon.hpp>.
 *
 *     tenon::Table tasks = tenon::table("Task");
 *     if (const auto task = tasks.get(request.param("id"))) return tenon::json(task->json());
 *     const tenon::Written written = tasks.put(tenon::Json().object().field("title", "Buy bread"));
 *     if (!written) return tenon::text(written.message()).status(422);
 *     for (const tenon::Record& task : tasks.scan().where("state", "open").limit(10)) titles += task.text("title");
 *
 * From Extension::ready on, in handlers that run in the pool; an inline one may only get(), and is given what is in
 * memory. Nothing here throws; what fails says so in what it returns. A Table may be kept and used by any number of
 * threads; a Record, Scan, Batch or Feed by one at a time, and none of them may outlive shutdown().
 */
#include "tenon.hpp" /* first, and outside: it includes this one where it belongs */

#ifndef TENON_TABLES_HPP
#define TENON_TABLES_HPP

#include "ext/tables.h"

namespace tenon {

class Table;

namespace detail {

inline const tenon_host_tables_t& tables() noexcept { return *services.tables; }

/* JSON text without its escapes. */
inline std::string unescape(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  const auto unit = [text](size_t at) {
    unsigned code = 0;
    for (size_t index = at; index < at + 4 && index < text.size(); ++index) {
      const char digit = text[index];
      const int value = digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
      code = code << 4 | (static_cast<unsigned>(value) & 15u);
    }
    return code;
  };
  const auto append = [&plain](unsigned code) {
    const auto put = [&plain](unsigned byte) { plain.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
      put(code);
    } else if (code < 0x800) {
      put(0xC0u | code >> 6);
      put(0x80u | (code & 0x3Fu));
    } else if (code < 0x10000) {
      put(0xE0u | code >> 12);
      put(0x80u | (code >> 6 & 0x3Fu));
      put(0x80u | (code & 0x3Fu));
    } else {
      put(0xF0u | code >> 18);
      put(0x80u | (code >> 12 & 0x3Fu));
      put(0x80u | (code >> 6 & 0x3Fu));
      put(0x80u | (code & 0x3Fu));
    }
  };
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      plain.push_back(text[at]);
      continue;
    }
    switch (const char kind = text[++at]) {
      case 'n':
        plain.push_back('\n');
        break;
      case 't':
        plain.push_back('\t');
        break;
      case 'r':
        plain.push_back('\r');
        break;
      case 'b':
        plain.push_back('\b');
        break;
      case 'f':
        plain.push_back('\f');
        break;
      case 'u': {
        unsigned code = unit(at + 1);
        at += 4;
        if (code >= 0xD800 && code < 0xDC00 && at + 6 < text.size() && text[at + 1] == '\\' && text[at + 2] == 'u') {
          code = 0x10000 + ((code - 0xD800) << 10) + (unit(at + 3) - 0xDC00);
          at += 6;
        }
        append(code);
        break;
      }
      default:
        plain.push_back(kind);
    }
  }
  return plain;
}

}  // namespace detail

/* A primary key or the value of a field: text, a number, a truth, nullptr, date(ms). Text stays the caller's. */
class Operand {
 public:
  Operand(std::string_view text) noexcept { value_.kind = TENON_VALUE_TEXT, value_.text = detail::bytes(text); }
  Operand(const char* text) noexcept : Operand(std::string_view(text)) {}
  Operand(const std::string& text) noexcept : Operand(std::string_view(text)) {}
  Operand(bool truth) noexcept { value_.kind = TENON_VALUE_BOOLEAN, value_.integer = truth ? 1 : 0; }
  Operand(double number) noexcept { value_.kind = TENON_VALUE_FLOAT, value_.number = number; }
  template <typename Integer, std::enable_if_t<std::is_integral_v<Integer>, int> = 0>
  Operand(Integer number) noexcept {
    value_.kind = TENON_VALUE_INTEGER, value_.integer = static_cast<int64_t>(number);
  }
  Operand(std::nullptr_t) noexcept { value_.kind = TENON_VALUE_NULL; }
  /* Milliseconds since the epoch. */
  static Operand date(int64_t ms) noexcept {
    Operand operand(ms);
    operand.value_.kind = TENON_VALUE_DATE;
    return operand;
  }
  const tenon_value_t& value() const noexcept { return value_; }
  void write(Json& json) const {
    if (value_.kind == TENON_VALUE_TEXT) {
      json.value(detail::view(value_.text));
    } else if (value_.kind == TENON_VALUE_BOOLEAN) {
      json.value(value_.integer != 0);
    } else if (value_.kind == TENON_VALUE_FLOAT) {
      json.value(value_.number);
    } else if (value_.kind == TENON_VALUE_NULL) {
      json.value(nullptr);
    } else {
      json.value(value_.integer);
    }
  }

 private:
  tenon_value_t value_{};
};

/* What became of a write: true when it was done, and then it outlives the process. */
class [[nodiscard]] Written {
 public:
  explicit Written(tenon_status status = TENON_OK) noexcept : status_(status) {
    problem_.size = sizeof problem_;
    problem_.field[0] = problem_.message[0] = '\0';
  }
  explicit operator bool() const noexcept { return status_ == TENON_OK; }
  /* TENON_OK or TENON_ERROR_…: INVALID when it breaks the schema, NOT_FOUND, EXISTS, DENIED, STORAGE … */
  tenon_status status() const noexcept { return status_; }
  /* Which field is to blame, "tags[2]" or "address.city"; empty when it is none. */
  std::string_view field() const noexcept { return problem_.field; }
  /* One sentence. */
  std::string_view message() const noexcept { return problem_.message; }

 private:
  friend class Table;
  friend class Batch;
  friend class Scan;
  tenon_status status_;
  tenon_table_problem_t problem_;
};

/* The value of one field, as long as its record. */
class Value {
 public:
  explicit Value(const tenon_value_t& value) noexcept : value_(value) {}
  /* Not in the record: a field that came later, or none of that name. */
  bool absent() const noexcept { return value_.kind == TENON_VALUE_ABSENT; }
  bool null() const noexcept { return absent() || value_.kind == TENON_VALUE_NULL; }
  /* A String, ID or Enum; of any other kind what stands in the JSON text. */
  std::string text() const { return value_.escaped != 0 ? detail::unescape(json()) : std::string(json()); }
  int64_t integer(int64_t otherwise = 0) const noexcept {
    if (value_.kind == TENON_VALUE_INTEGER || value_.kind == TENON_VALUE_BOOLEAN) return value_.integer;
    return value_.kind == TENON_VALUE_DATE ? value_.integer : otherwise;
  }
  double number(double otherwise = 0) const noexcept {
    if (value_.kind == TENON_VALUE_INTEGER) return static_cast<double>(value_.integer);
    return value_.kind == TENON_VALUE_FLOAT ? value_.number : otherwise;
  }
  bool boolean(bool otherwise = false) const noexcept {
    return value_.kind == TENON_VALUE_BOOLEAN ? value_.integer != 0 : otherwise;
  }
  /* Milliseconds since the epoch. */
  int64_t date(int64_t otherwise = 0) const noexcept {
    return value_.kind == TENON_VALUE_DATE ? value_.integer : otherwise;
  }
  /* What stands in the JSON text; of a text what is between the quotes, with its escapes. */
  std::string_view json() const noexcept { return detail::view(value_.text); }
  const tenon_value_t& value() const noexcept { return value_; }

 private:
  tenon_value_t value_;
};

/* A record as it was when it was read. Nothing is copied: every view lives as long as the record. */
class Record {
 public:
  Record(Record&& other) noexcept
      : table_(other.table_),
        record_(std::exchange(other.record_, tenon_record_t{sizeof(tenon_record_t), 0, {}, {}})) {}
  Record& operator=(Record&& other) noexcept {
    std::swap(table_, other.table_);
    std::swap(record_, other.record_);
    return *this;
  }
  ~Record() {
    if (record_.hold != nullptr) detail::tables().release(&record_);
  }

  /* The whole record. */
  std::string_view json() const noexcept { return detail::view(tenon_record_json(&record_)); }
  /* Another one with every change. */
  uint64_t revision() const noexcept { return tenon_record_revision(&record_); }
  Value operator[](std::string_view field) const noexcept {
    const int32_t number = detail::tables().field(table_, detail::bytes(field));
    return number < 0 ? Value(tenon_value_t{}) : (*this)[static_cast<uint32_t>(number)];
  }
  /* By number, see Table::field. */
  Value operator[](uint32_t field) const noexcept { return Value(tenon_record_value(&record_, field)); }
  std::string text(std::string_view field) const { return (*this)[field].text(); }
  int64_t integer(std::string_view field, int64_t otherwise = 0) const noexcept {
    return (*this)[field].integer(otherwise);
  }
  double number(std::string_view field, double otherwise = 0) const noexcept {
    return (*this)[field].number(otherwise);
  }
  bool boolean(std::string_view field, bool otherwise = false) const noexcept {
    return (*this)[field].boolean(otherwise);
  }
  int64_t date(std::string_view field, int64_t otherwise = 0) const noexcept { return (*this)[field].date(otherwise); }

 private:
  friend class Table;
  friend class Scan;
  friend class Feed;
  explicit Record(const tenon_table_t* table) noexcept : table_(table), record_{sizeof(tenon_record_t), 0, {}, {}} {}

  const tenon_table_t* table_;
  tenon_record_t record_;
};

/*
 * Records in order, as they are when it begins: `for (const tenon::Record& task : tasks.scan().where("state",
 * "open"))`. Each record lasts until the next one. Keep it in a variable to ask for problem() afterwards.
 */
class Scan {
 public:
  Scan(Scan&& other) noexcept { swap(other); }
  Scan& operator=(Scan&& other) noexcept { return swap(other), *this; }
  ~Scan() {
    if (cursor_ != nullptr) detail::tables().scan_end(cursor_);
  }

  /* In the order of an indexed field instead of the primary key; bounds are of this field then. */
  Scan by(std::string_view field) && { return order(field), std::move(*this); }
  /* Only records with this value: by an index where `field` has one, else every record is looked at. */
  Scan where(std::string_view field, Operand value) && { return compare(field, "eq", value), std::move(*this); }
  /* `op` as in docs/tables.md, "Filters": eq ne lt le gt ge contains starts ends like. */
  Scan where(std::string_view field, std::string_view op, Operand value) && {
    return compare(field, op, value), std::move(*this);
  }
  /* A filter in JSON; all of several must be met. */
  Scan filter(std::string_view json) && { return condition(json), std::move(*this); }
  /* Bounds, included or not, and the beginning of a text. */
  Scan from(Operand value) && { return bound(lower_, value, false), std::move(*this); }
  Scan after(Operand value) && { return bound(lower_, value, true), std::move(*this); }
  Scan to(Operand value) && { return bound(upper_, value, false), std::move(*this); }
  Scan before(Operand value) && { return bound(upper_, value, true), std::move(*this); }
  Scan prefix(std::string_view text) && { return prefix_.assign(text), std::move(*this); }
  Scan reverse() && { return reverse_ = true, std::move(*this); }
  Scan limit(uint64_t count) && { return limit_ = count, std::move(*this); }

  /* Why it could not begin, or ended early. */
  const Written& problem() const noexcept { return problem_; }

  class Iterator {
   public:
    explicit Iterator(Scan* scan) noexcept : scan_(scan) {}
    const Record& operator*() const noexcept { return scan_->record_; }
    const Record* operator->() const noexcept { return &scan_->record_; }
    Iterator& operator++() {
      if (!scan_->advance()) scan_ = nullptr;
      return *this;
    }
    bool operator!=(const Iterator& other) const noexcept { return scan_ != other.scan_; }

   private:
    Scan* scan_;
  };
  Iterator begin() { return Iterator(open() && advance() ? this : nullptr); }
  Iterator end() noexcept { return Iterator(nullptr); }

 private:
  friend class Table;
  struct Bound {
    tenon_value_t value{};
    std::string text;
    bool excluded = false;
  };

  Scan(tenon_table_t* table, tenon_status status) noexcept : table_(table), problem_(status), record_(table) {}

  void swap(Scan& other) noexcept {
    std::swap(table_, other.table_);
    std::swap(problem_, other.problem_);
    std::swap(field_, other.field_);
    std::swap(lower_, other.lower_);
    std::swap(upper_, other.upper_);
    std::swap(guess_, other.guess_);
    std::swap(guessed_, other.guessed_);
    std::swap(prefix_, other.prefix_);
    std::swap(filter_, other.filter_);
    std::swap(reverse_, other.reverse_);
    std::swap(limit_, other.limit_);
    std::swap(cursor_, other.cursor_);
    std::swap(record_, other.record_);
  }

  int32_t number(std::string_view field) {
    const int32_t found = table_ == nullptr ? -1 : detail::tables().field(table_, detail::bytes(field));
    if (found < 0 && problem_) {
      problem_.status_ = TENON_ERROR_INVALID;
      std::snprintf(problem_.problem_.message, sizeof problem_.problem_.message, "the table has no field %.*s",
                    static_cast<int>(field.size() < 100 ? field.size() : 100), field.data());
    }
    return found;
  }
  void order(std::string_view field) { field_ = number(field); }
  void compare(std::string_view field, std::string_view op, const Operand& value) {
    if (op == "eq" && guessed_ < 0 && value.value().kind != TENON_VALUE_NULL) {
      guessed_ = number(field);
      bound(guess_, value, false);
    }
    Json json;
    json.object().field("field", field).field("op", op).key("value");
    value.write(json);
    condition(json.take());
  }
  void condition(std::string_view json) {
    if (!filter_.empty()) filter_.push_back(',');
    filter_.append(json);
  }
  static void bound(Bound& bound, const Operand& operand, bool excluded) {
    bound.value = operand.value();
    if (bound.value.kind == TENON_VALUE_TEXT) bound.text.assign(detail::view(bound.value.text));
    bound.excluded = excluded;
  }
  static tenon_value_t value_of(const Bound& bound) noexcept {
    tenon_value_t value = bound.value;
    if (value.kind == TENON_VALUE_TEXT) value.text = detail::bytes(bound.text);
    return value;
  }

  bool open() {
    if (cursor_ != nullptr) detail::tables().scan_end(std::exchange(cursor_, nullptr));
    if (!problem_) return false;
    const std::string all = filter_.empty() ? std::string() : "{\"and\":[" + filter_ + "]}";
    tenon_scan_t wanted{};
    wanted.size = sizeof wanted;
    wanted.field = field_;
    wanted.lower = value_of(lower_);
    wanted.upper = value_of(upper_);
    wanted.lower_excluded = lower_.excluded;
    wanted.upper_excluded = upper_.excluded;
    wanted.reverse = reverse_;
    wanted.prefix = detail::bytes(prefix_);
    wanted.filter = detail::bytes(all);
    /* Within one value of an index the order is that of the primary key: the same records in the same order. */
    const bool free = field_ < 0 && prefix_.empty() && wanted.lower.kind == TENON_VALUE_ABSENT &&
                      wanted.upper.kind == TENON_VALUE_ABSENT;
    if (free && guessed_ >= 0) {
      tenon_scan_t indexed = wanted;
      indexed.field = guessed_;
      indexed.lower = indexed.upper = value_of(guess_);
      if (detail::tables().scan(table_, &indexed, &cursor_, nullptr) == TENON_OK) return true;
    }
    problem_.status_ = detail::tables().scan(table_, &wanted, &cursor_, &problem_.problem_);
    return static_cast<bool>(problem_);
  }
  bool advance() {
    if (limit_ == 0) return false;
    --limit_;
    const tenon_status status = detail::tables().next(cursor_, &record_.record_);
    if (status != TENON_OK && status != TENON_ERROR_NOT_FOUND) problem_.status_ = status;
    return status == TENON_OK;
  }

  tenon_table_t* table_ = nullptr;
  Written problem_;
  int32_t field_ = -1;
  Bound lower_;
  Bound upper_;
  Bound guess_;
  int32_t guessed_ = -1;
  std::string prefix_;
  std::string filter_;
  bool reverse_ = false;
  uint64_t limit_ = UINT64_MAX;
  tenon_cursor_t* cursor_ = nullptr;
  Record record_{nullptr};
};

/* One change of a table; its views last until the next call on its feed. */
struct Change {
  uint64_t sequence;           /* where to resume after it */
  std::string_view key;        /* the primary key as text */
  const tenon::Record* record; /* NULL: it was deleted */
};

/* Changes in the order in which they became true, each once. Not for handlers that answer at once: next() waits. */
class Feed {
 public:
  Feed(Feed&& other) noexcept
      : status_(other.status_), feed_(std::exchange(other.feed_, nullptr)), record_(std::move(other.record_)) {}
  Feed& operator=(Feed&& other) noexcept {
    std::swap(status_, other.status_);
    std::swap(feed_, other.feed_);
    std::swap(record_, other.record_);
    return *this;
  }
  ~Feed() {
    if (feed_ != nullptr) detail::tables().feed_end(feed_);
  }

  /* The next change, waited for at most `timeout_ms`; nothing when none came, or none will come any more: see ended().
   */
  std::optional<Change> next(uint32_t timeout_ms) {
    if (feed_ == nullptr) return std::nullopt;
    tenon_change_t change{};
    change.size = sizeof change;
    status_ = detail::tables().feed_next(feed_, timeout_ms, &change);
    if (status_ != TENON_OK) return std::nullopt;
    record_.record_ = change.record;
    return Change{change.sequence, detail::view(change.key), change.deleted != 0 ? nullptr : &record_};
  }
  /* True once it is over: the application is being replaced, or so old a change is not kept any more. */
  bool ended() const noexcept { return status_ != TENON_OK && status_ != TENON_ERROR_AGAIN; }
  /* TENON_ERROR_CANCELLED: being replaced. TENON_ERROR_VERSION: read the table, then begin from now on. */
  tenon_status status() const noexcept { return status_; }

 private:
  friend class Table;
  Feed(const tenon_table_t* table, tenon_status status) noexcept : status_(status), record_(table) {}

  tenon_status status_;
  tenon_feed_t* feed_ = nullptr;
  Record record_;
};

/* One table. Made by tenon::table(). */
class Table {
 public:
  /* Whether it could be opened. Every function of one that could not answers with status(). */
  explicit operator bool() const noexcept { return table_ != nullptr; }
  /* TENON_OK, TENON_ERROR_NOT_FOUND, _DENIED (`permissions` of config.yaml), _STATE (before ready), _UNSUPPORTED. */
  tenon_status status() const noexcept { return status_; }
  /* Number of a field, to read it from many records faster than by name; nothing when there is none of that name. */
  std::optional<uint32_t> field(std::string_view name) const noexcept {
    const int32_t number = table_ == nullptr ? -1 : detail::tables().field(table_, detail::bytes(name));
    return number < 0 ? std::nullopt : std::optional<uint32_t>(static_cast<uint32_t>(number));
  }

  std::optional<Record> get(Operand key) const {
    tenon_status status;
    return get(key, status);
  }
  /* `status` tells why there is none: TENON_ERROR_NOT_FOUND, or TENON_ERROR_AGAIN in an inline handler. */
  std::optional<Record> get(Operand key, tenon_status& status) const {
    std::optional<Record> found;
    if (table_ == nullptr) return status = status_, std::move(found);
    Record record(table_);
    status = detail::tables().get(table_, &key.value(), &record.record_);
    if (status == TENON_OK) found.emplace(std::move(record));
    return found;
  }

  /* Create or replace; create() and replace() want that there was none, or one. */
  Written put(std::string_view json) const { return write(json, TENON_PUT_ANY); }
  Written put(Json& json) const { return put(std::string_view(json.take())); }
  Written put(Json&& json) const { return put(json); }
  Written create(std::string_view json) const { return write(json, TENON_PUT_CREATE); }
  Written create(Json& json) const { return create(std::string_view(json.take())); }
  Written create(Json&& json) const { return create(json); }
  Written replace(std::string_view json) const { return write(json, TENON_PUT_REPLACE); }
  Written replace(Json& json) const { return replace(std::string_view(json.take())); }
  Written replace(Json&& json) const { return replace(json); }
  /* Change some fields. */
  Written patch(Operand key, std::string_view json) const {
    Written written(status_);
    if (table_ != nullptr) {
      written.status_ = detail::tables().patch(table_, &key.value(), detail::bytes(json), &written.problem_);
    }
    return written;
  }
  Written patch(Operand key, Json& json) const { return patch(key, std::string_view(json.take())); }
  Written patch(Operand key, Json&& json) const { return patch(key, json); }
  Written remove(Operand key) const {
    Written written(status_);
    if (table_ != nullptr) written.status_ = detail::tables().remove(table_, &key.value(), &written.problem_);
    return written;
  }

  Scan scan() const noexcept { return Scan(table_, status_); }
  /* About how many records there are, or exactly, by counting. */
  std::optional<uint64_t> count(bool exact = false) const noexcept {
    uint64_t count = 0;
    if (table_ == nullptr || detail::tables().count(table_, exact, &count) != TENON_OK) return std::nullopt;
    return count;
  }
  /* Changes from now on, or after `from`, the sequence of an earlier change. */
  Feed feed(uint64_t from = 0) const noexcept {
    Feed feed(table_, status_);
    if (table_ != nullptr) feed.status_ = detail::tables().feed_begin(table_, from, &feed.feed_);
    return feed;
  }

 private:
  friend class Batch;
  friend Table table(std::string_view name) noexcept;
  Written write(std::string_view json, uint32_t mode) const {
    Written written(status_);
    if (table_ != nullptr) {
      written.status_ = detail::tables().put(table_, detail::bytes(json), mode, &written.problem_);
    }
    return written;
  }

  tenon_table_t* table_ = nullptr;
  tenon_status status_ = TENON_ERROR_UNSUPPORTED;
};

/* The table `name` of this application, or "app.Table" of another one that `permissions` of config.yaml name. */
inline Table table(std::string_view name) noexcept {
  Table table;
  const detail::Services& to = detail::services;
  if (to.tables != nullptr) table.status_ = to.tables->open(to.host, detail::bytes(name), &table.table_);
  return table;
}

/* Writes that come true together or not at all, of one table or several. Not committed, they are forgotten. */
class Batch {
 public:
  Batch() noexcept {
    if (detail::services.tables != nullptr) {
      problem_.status_ = detail::tables().batch_begin(detail::services.host, &batch_);
    } else {
      problem_.status_ = TENON_ERROR_UNSUPPORTED;
    }
  }
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;
  ~Batch() {
    if (batch_ != nullptr) detail::tables().batch_discard(batch_);
  }

  Batch& put(const Table& table, std::string_view json, uint32_t mode = TENON_PUT_ANY) noexcept {
    if (may_add(table)) {
      note(detail::tables().batch_put(batch_, table.table_, detail::bytes(json), mode));
    }
    return *this;
  }
  Batch& put(const Table& table, Json& json) { return put(table, std::string_view(json.take())); }
  Batch& put(const Table& table, Json&& json) { return put(table, json); }
  Batch& patch(const Table& table, Operand key, std::string_view json) noexcept {
    if (may_add(table)) {
      note(detail::tables().batch_patch(batch_, table.table_, &key.value(), detail::bytes(json)));
    }
    return *this;
  }
  Batch& patch(const Table& table, Operand key, Json& json) { return patch(table, key, std::string_view(json.take())); }
  Batch& patch(const Table& table, Operand key, Json&& json) { return patch(table, key, json); }
  Batch& remove(const Table& table, Operand key) noexcept {
    if (may_add(table)) note(detail::tables().batch_remove(batch_, table.table_, &key.value()));
    return *this;
  }
  /* All of them or none; what was refused first says why. The batch is empty and of no more use then. */
  Written commit() noexcept {
    if (!problem_ || batch_ == nullptr) return problem_ ? Written(TENON_ERROR_STATE) : problem_;
    problem_.status_ = detail::tables().batch_commit(std::exchange(batch_, nullptr), &problem_.problem_);
    return problem_;
  }

 private:
  bool may_add(const Table& table) noexcept {
    if (problem_ && table.table_ == nullptr) problem_.status_ = table.status_;
    return problem_ && batch_ != nullptr;
  }
  void note(tenon_status status) noexcept {
    if (status != TENON_OK) problem_.status_ = status;
  }

  tenon_batch_t* batch_ = nullptr;
  Written problem_;
};

}  // namespace tenon

#endif
