#ifndef TENON_CORE_TABLES_FACE_H
#define TENON_CORE_TABLES_FACE_H

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "open_store.h"
#include "permissions.h"
#include "tenon/ext/tables.h"

// The handles plugins hold.
struct tenon_table {};
struct tenon_cursor {};
struct tenon_batch {};
struct tenon_feed {};

namespace tenon::core {

class Front;
class TablesFace;

// A table as one generation has opened it.
struct OpenTable final : tenon_table {
  TablesFace* face = nullptr;
  Table* table = nullptr;
  std::shared_ptr<const Definition> definition;  // as it was then: what a key looks like never changes
  // Whatever it is granted or not.
  bool readable = false;
  bool writable = false;
  std::string name;  // "database.Table"
  // What the permissions of an epoch say of it: the epoch, shifted over two bits for reading and writing.
  mutable std::atomic<uint64_t> known{0};
};

// Which tables a generation may use.
struct TablesAccess {
  std::shared_ptr<OpenStore> store;  // null: it has no tables
  std::string database;              // its own: everything is allowed
  // What it may use whatever it is permitted: "read:db.Table", "write:db.Table", which includes reading; "*" for any
  // table.
  std::vector<std::string> grants;
};

// Whether `grants` allow to read, or to write, a table of another database.
bool is_granted(const std::vector<std::string>& grants, std::string_view database, std::string_view table, bool write);

/*
 * tenon.tables/1 for one generation.
 *
 * What the plugin is given is in a ledger, and is taken back when the face is closed and nobody is inside any more. The
 * shells of what it has not given back itself stay as long as the face, so that a thread that comes too late with one
 * meets a face that is closed.
 */
class TablesFace final : public StoreUser, public std::enable_shared_from_this<TablesFace> {
 public:
  // Null without a store, or when that is being closed.
  static std::shared_ptr<TablesFace> make(const Front& front, TablesAccess access,
                                          std::shared_ptr<Permissions> permissions);
  static const tenon_host_tables_t& functions();
  // For a plugin whose calls come from elsewhere. Whether a write could go into a batch now, of one that `needs_key`
  // with that key: what batch_put or batch_remove would answer.
  static tenon_status may_add(tenon_table_t& table, bool needs_key, const tenon_value_t* key);
  // Ends the wait for a change, and every later one. [any]
  static void cancel(tenon_feed_t& feed);

  TablesFace(const Front& front, TablesAccess access, std::shared_ptr<Permissions> permissions);
  ~TablesFace() override;
  TablesFace(const TablesFace&) = delete;
  TablesFace& operator=(const TablesFace&) = delete;

  // `ready` begins: from here on it may be used. [front] [control]
  void open();
  // Its calls are waited for: those that wait for a change in a handler are cancelled, until it serves again. [front]
  void drain();
  void serve();
  // It is being taken down: every feed is cancelled. [any]
  void retire();
  // Nothing is allowed any more; what is left is taken back. [any]
  void close();
  // The store is being closed under a plugin that runs: nothing is allowed any more but to give back what was given,
  // and what has lent memory to the plugin is waited for.
  void dismiss() override;

  // Something the plugin was given.
  class Holding {
   public:
    explicit Holding(TablesFace& owner) : face(owner) {}
    Holding(const Holding&) = delete;
    Holding& operator=(const Holding&) = delete;
    virtual ~Holding() = default;
    // Give back what is the store's; the shell stays.
    virtual void let_go() = 0;
    // Whether the plugin may be reading memory of the store through it.
    virtual bool lends() const = 0;
    // Somebody may wait with it: end that, always or only for a handler.
    virtual void cancel(bool only_handler) { static_cast<void>(only_handler); }

    TablesFace& face;

   private:
    friend class TablesFace;
    size_t shelf_ = 0;
    Holding* before_ = nullptr;
    Holding* after_ = nullptr;
  };

  // One call of the plugin. While it lasts, nothing is taken back.
  class Entry {
   public:
    enum class Purpose : uint8_t { Use, GiveBack };
    explicit Entry(TablesFace& face, Purpose purpose = Purpose::Use) : face_(face), entered_(face.enter(purpose)) {}
    ~Entry() {
      if (entered_) face_.leave();
    }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    explicit operator bool() const { return entered_; }

   private:
    TablesFace& face_;
    const bool entered_;
  };

  // Within an entry.
  OpenStore& shared() { return *access_.store; }
  Store& store() { return access_.store->store(); }
  bool on_front() const;
  bool retiring() const { return state_.load(std::memory_order_seq_cst) == State::Retiring; }
  bool draining() const { return draining_.load(std::memory_order_seq_cst); }
  tenon_status find(std::string_view name, tenon_table_t** table);
  // Whether `table` may be read, or written, now.
  bool may_read(const OpenTable& table) { return table.readable || may(table, Permit::TablesRead); }
  bool may_write(const OpenTable& table) { return table.writable || may(table, Permit::TablesWrite); }
  // A record of the store goes into the ledger, and comes back. The latter is right without an entry, too.
  class RecordHold;
  RecordHold& lend(const tenon_record_t& record);
  void give_back(RecordHold& hold);
  void keep(std::unique_ptr<Holding> holding);
  std::unique_ptr<Holding> take(Holding& holding);

 private:
  enum class State : uint8_t { Early, Open, Retiring, Dismissed, Closed };
  // By thread, so that those who read records do not wait for each other.
  static constexpr size_t kShelves = 16;
  static constexpr size_t kSpares = 64;
  struct Shelf {
    std::mutex mutex;
    Holding* first = nullptr;
    Holding* spare = nullptr;  // shells that hold nothing, by `after_`: reading a record need not make one
    size_t spares = 0;
  };

  static size_t own_shelf();
  static void link(Shelf& shelf, Holding& holding);
  static void unlink(Shelf& shelf, Holding& holding);

  bool may(const OpenTable& table, Permit permit);
  bool enter(Entry::Purpose purpose);
  void leave();
  void look_around();
  bool lends();
  void let_go();
  template <typename Visit>
  void visit(Visit visit);

  const Front& front_;
  TablesAccess access_;
  const std::shared_ptr<Permissions> permissions_;
  std::atomic<State> state_{State::Early};
  std::atomic<bool> draining_{false};
  std::atomic<bool> gone_{false};
  std::atomic<int64_t> inside_{0};
  std::array<Shelf, kShelves> shelves_;
  std::mutex tables_mutex_;
  std::vector<std::unique_ptr<OpenTable>> tables_;
};

}  // namespace tenon::core

#endif
