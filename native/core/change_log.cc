#include "change_log.h"

#include <chrono>

#include "tenon/record.h"

namespace tenon::core {

namespace {

constexpr size_t kHead = 12;

// RocksDB's ValueType, as far as it may be in a log of ours or in one that it makes itself.
enum Tag : uint8_t {
  kDeletion = 0x0,
  kValue = 0x1,
  kMerge = 0x2,
  kLogData = 0x3,
  kFamilyDeletion = 0x4,
  kFamilyValue = 0x5,
  kFamilyMerge = 0x6,
  kSingleDeletion = 0x7,
  kFamilySingleDeletion = 0x8,
  kNoop = 0xd,
  kFamilyRangeDeletion = 0xe,
  kRangeDeletion = 0xf,
};

bool has_family(uint8_t tag) {
  return tag == kFamilyDeletion || tag == kFamilyValue || tag == kFamilyMerge || tag == kFamilySingleDeletion ||
         tag == kFamilyRangeDeletion;
}
bool is_value(uint8_t tag) { return tag == kValue || tag == kFamilyValue; }
bool is_deletion(uint8_t tag) {
  return tag == kDeletion || tag == kFamilyDeletion || tag == kSingleDeletion || tag == kFamilySingleDeletion;
}
bool has_second(uint8_t tag) {
  return is_value(tag) || tag == kMerge || tag == kFamilyMerge || tag == kRangeDeletion || tag == kFamilyRangeDeletion;
}
bool is_known(uint8_t tag) { return tag <= kFamilySingleDeletion || (tag >= kNoop && tag <= kRangeDeletion); }

// Tries to find a place in the log that other threads may be moving or removing.
constexpr int kTries = 8;
constexpr auto kBetweenTries = std::chrono::milliseconds(2);
// Batches of other tables that are gone through although the time is over.
constexpr int kBatches = 256;

// Whether a message of RocksDB means that a log, or what comes behind a place in it, is not there (any more): what was
// removed or archived while it was looked at is told as a missing file.
bool is_gap(std::string_view said) {
  for (const char* const sign :
       {"Gap in sequence", "Not found", "NotFound", "No such file", "try again", "Try again"}) {
    if (said.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

void BatchEntries::reset(std::string_view bytes) {
  rest_ = {};
  sequence_ = last_ = 0;
  broken_ = !bytes.empty() && bytes.size() < kHead;
  if (bytes.size() < kHead) return;
  sequence_ = tenon_load64(bytes.data());
  last_ = sequence_ + tenon_load32(bytes.data() + 8) - 1;
  rest_ = bytes.substr(kHead);
}

bool BatchEntries::fail() {
  broken_ = true;
  rest_ = {};
  return false;
}

bool BatchEntries::read_number(uint32_t& number) {
  uint64_t sum = 0;
  for (unsigned shift = 0; shift < 35 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    sum |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) != 0) continue;
    number = static_cast<uint32_t>(sum);
    return sum <= UINT32_MAX;
  }
  return false;
}

bool BatchEntries::read_bytes(std::string_view& bytes) {
  uint32_t size = 0;
  if (!read_number(size) || size > rest_.size()) return false;
  bytes = rest_.substr(0, size);
  rest_.remove_prefix(size);
  return true;
}

bool BatchEntries::next(Entry& entry) {
  while (!rest_.empty()) {
    const auto tag = static_cast<uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    if (!is_known(tag)) return fail();
    if (tag == kNoop) continue;
    entry.family = 0;
    entry.value = {};
    if (has_family(tag) && !read_number(entry.family)) return fail();
    if (!read_bytes(entry.key)) return fail();
    if (has_second(tag) && !read_bytes(entry.value)) return fail();
    if (tag == kLogData) continue;
    entry.sequence = sequence_++;
    if (entry.sequence > last_) return fail();
    if (!is_value(tag) && !is_deletion(tag)) continue;
    entry.removed = is_deletion(tag);
    return true;
  }
  return false;
}

ChangeReader::ChangeReader(Store::Body& body, const std::vector<const Table*>& tables, uint64_t from)
    : body_(body),
      library_(*body.library),
      at_(from),
      batch_(nullptr, body.library->writebatch_destroy),
      log_(nullptr, body.library->wal_iter_destroy) {
  for (const Table* const table : tables) tables_.emplace(table->layout.load()->records->id, table);
  const std::lock_guard<std::mutex> lock(body_.readers_mutex);
  body_.readers.insert(this);
}

// Not through the gate, where somebody may have to wait: a database is closed after its readers have let go, one by one
// under this mutex.
ChangeReader::~ChangeReader() {
  const std::lock_guard<std::mutex> lock(body_.readers_mutex);
  body_.readers.erase(this);
  log_.reset();
}

void ChangeReader::let_go() { log_.reset(); }

void ChangeReader::cancel() {
  cancelled_.store(true);
  const std::lock_guard<std::mutex> lock(body_.grown_mutex);
  body_.grown.notify_all();
}

bool ChangeReader::begin(StoreFailure& failure) {
  int tries = 0;
  Step step;
  do {
    const Passage passage(body_.gate);
    if (cancelled_.load()) {
      failure = store_failure(TENON_ERROR_CANCELLED, "the feed was closed");
      return false;
    }
    if (!body_.readable(failure)) return false;
    const uint64_t newest = library_.get_latest_sequence_number(body_.database);
    if (at_ > newest) {
      failure = store_failure(TENON_ERROR_VERSION, "there is no change " + std::to_string(at_) +
                                                       " yet: the newest is " + std::to_string(newest));
      return false;
    }
    if (at_ == newest) return true;
    step = open_log(failure);
  } while (step == Step::Missing && looks_again(tries));
  return step == Step::Batch;
}

// Waits a little, if there is a try left.
bool ChangeReader::looks_again(int& tries) {
  if (++tries >= kTries) return false;
  std::unique_lock<std::mutex> lock(body_.grown_mutex);
  body_.grown.wait_for(lock, kBetweenTries, [this] { return cancelled_.load(); });
  return true;
}

// The batch that the iterator stands on becomes the one that is read, if it is the one that comes after `at_`. The
// iterator gives it away: it can be had once.
bool ChangeReader::load_batch() {
  uint64_t first = 0;
  batch_.reset(library_.wal_iter_get_batch(log_.get(), &first));
  size_t size = 0;
  const char* const data = library_.writebatch_data(batch_.get(), &size);
  entries_.reset({data, size});
  return first <= at_ + 1 && entries_.last_sequence() > at_;
}

// An iterator for what comes after `at_`, which there is. Missing where it is not kept any more, where the log cannot
// be read, and where logs are archived or removed at this moment: another look finds them then.
ChangeReader::Step ChangeReader::open_log(StoreFailure& failure) {
  RocksdbError error(library_);
  log_.reset(library_.get_updates_since(body_.database, at_ + 1, nullptr, error.out()));
  if (!error && log_ != nullptr) {
    if (library_.wal_iter_valid(log_.get()) == 0) {
      library_.wal_iter_status(log_.get(), error.out());
    } else if (load_batch()) {
      return Step::Batch;
    }
  }
  log_.reset();
  entries_.reset({});
  if (error && !is_gap(error.text())) {
    failure = body_.failed("to read the log of changes", error.text());
  } else {
    failure = store_failure(TENON_ERROR_VERSION, "changes after " + std::to_string(at_) + " are not kept any more");
  }
  return Step::Missing;
}

ChangeReader::Step ChangeReader::advance(StoreFailure& failure) {
  const Passage passage(body_.gate);
  if (!body_.readable(failure)) return Step::Failed;
  // To ask the iterator only when there is more: at the end of what is written it would give up for good.
  if (library_.get_latest_sequence_number(body_.database) <= at_) return Step::Nothing;
  if (log_ != nullptr) {
    library_.wal_iter_next(log_.get());
    if (library_.wal_iter_valid(log_.get()) != 0 && load_batch()) return Step::Batch;
    log_.reset();
  }
  return open_log(failure);
}

// The next change of a batch, if one of the tables' is left in it.
bool ChangeReader::take(Store::Change& change) {
  BatchEntries::Entry entry;
  while (entries_.next(entry)) {
    if (entry.sequence <= at_) continue;
    at_ = entry.sequence;
    const auto found = tables_.find(entry.family);
    if (found == tables_.end()) continue;
    change.sequence = entry.sequence;
    change.table = found->second;
    change.removed = entry.removed;
    change.key = entry.key;
    change.record = entry.value;
    return true;
  }
  if (!entries_.broken() && entries_.last_sequence() > at_) at_ = entries_.last_sequence();
  return false;
}

bool ChangeReader::next(uint32_t timeout_ms, Store::Change& change, StoreFailure& failure) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  int tries = 0;
  for (int batches = 0;; batches++) {
    if (cancelled_.load()) {
      failure = store_failure(TENON_ERROR_CANCELLED, "the feed was closed");
      return false;
    }
    if (take(change)) return true;
    if (batch_ != nullptr && entries_.broken()) {
      failure =
          store_failure(TENON_ERROR_STORAGE, "the log of the tables is damaged after change " + std::to_string(at_));
      return false;
    }
    if (batches >= kBatches && std::chrono::steady_clock::now() >= end) {
      failure = store_failure(TENON_ERROR_AGAIN, "no change came");
      return false;
    }
    const uint64_t seen = body_.commits.load();
    const Step step = advance(failure);
    if (step == Step::Missing && looks_again(tries)) continue;
    if (step == Step::Failed || step == Step::Missing) return false;
    if (step == Step::Batch) {
      tries = 0;
      continue;
    }
    std::unique_lock<std::mutex> lock(body_.grown_mutex);
    body_.waiting.fetch_add(1);
    const bool grown =
        body_.grown.wait_until(lock, end, [this, seen] { return cancelled_.load() || body_.commits.load() != seen; });
    body_.waiting.fetch_sub(1);
    if (grown) continue;
    failure = store_failure(TENON_ERROR_AGAIN, "no change came");
    return false;
  }
}

}  // namespace tenon::core
