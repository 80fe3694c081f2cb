#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "change_log.h"
#include "store_body.h"

namespace tenon::core {

namespace {

// Of RocksDB's C interface.
constexpr int kPointInTimeRecovery = 2;
constexpr int kLz4 = 4;
constexpr int kMemoryTier = 1;

// The newest format that RocksDB 7.8 reads.
constexpr int kTableFormat = 5;
constexpr int kOpenFiles = 512;
constexpr int kBloomBits = 10;
constexpr uint64_t kMebibyte = 1u << 20;
constexpr uint64_t kTotalLogBytes = 64 * kMebibyte;
constexpr size_t kWriteBufferBytes = 32 * kMebibyte;
constexpr size_t kInfoLogs = 4;
constexpr size_t kInfoLogBytes = 4 * kMebibyte;
constexpr uint32_t kPatienceMs = 1'000;
constexpr uint64_t kSpareBytes = 16 * kMebibyte;
constexpr const char* kIdentityFile = "TENON_IDENTITY";

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Every folder of the path that is missing, for nobody else to look into.
bool make_directories(const std::string& path) {
  for (size_t at = 1; at <= path.size(); at++) {
    if (at < path.size() && path[at] != '/') continue;
    if (mkdir(path.substr(0, at).c_str(), 0700) != 0 && errno != EEXIST) return false;
  }
  struct stat facts;
  return stat(path.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode);
}

std::vector<std::string> files_of(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(opendir(directory.c_str()), closedir);
  if (listing == nullptr) return names;
  while (const dirent* const entry = readdir(listing.get())) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// To open the database is to write what is in its logs into tables, which takes as much room again at most.
uint64_t opening_bytes(const std::string& directory) {
  uint64_t bytes = kSpareBytes;
  for (const std::string& name : files_of(directory)) {
    struct stat facts;
    if (ends_with(name, ".log") && stat((directory + "/" + name).c_str(), &facts) == 0) {
      bytes += static_cast<uint64_t>(facts.st_size);
    }
  }
  return bytes;
}

// RocksDB takes a folder without CURRENT for a new one, and removes what is in it.
std::string lost_database(const std::string& directory) {
  for (const std::string& name : files_of(directory)) {
    if (name == "CURRENT") return {};
  }
  for (const std::string& name : files_of(directory)) {
    if (name.rfind("MANIFEST-", 0) == 0 || ends_with(name, ".sst") || ends_with(name, ".log")) return name;
  }
  return {};
}

// Who holds the lock on `file`, if that is another process. Not to be asked by the process that holds it: to close any
// descriptor of a file is to give up its locks.
pid_t lock_holder(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return 0;
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  const bool asked = fcntl(descriptor, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  ::close(descriptor);
  return asked ? lock.l_pid : 0;
}

StoreFailure opening_failure(const std::string& directory, std::string_view said) {
  if (contains(said, "lock hold by current process")) {
    return store_failure(TENON_ERROR_STATE, "the tables in " + directory + " are open in this process already");
  }
  if (contains(said, "While lock file")) {
    const pid_t holder = lock_holder(directory + "/LOCK");
    const std::string who = holder > 0 ? "process " + std::to_string(holder) : "another process";
    return store_failure(TENON_ERROR_STATE, "the tables in " + directory + " are open in " + who);
  }
  const bool missing = contains(said, "No such file") || contains(said, "NotFound");
  const bool damaged = contains(said, "Corruption") || missing;
  return store_failure(
      damaged ? TENON_ERROR_INVALID : TENON_ERROR_STORAGE,
      "the tables in " + directory + (damaged ? " are damaged: " : " cannot be opened: ") + std::string(said));
}

// What RocksDB calls itself in the first lines of its log.
std::string version_of(const std::string& directory) {
  std::ifstream log(directory + "/LOG");
  std::string line;
  constexpr std::string_view kLabel = "RocksDB version: ";
  for (int count = 0; count < 20 && std::getline(log, line); count++) {
    const size_t at = line.find(kLabel);
    if (at != std::string::npos) return line.substr(at + kLabel.size());
  }
  return "unknown";
}

// Whether the disk has room for so many bytes.
bool reserve(int descriptor, off_t size) {
#if defined(__linux__)
  return posix_fallocate(descriptor, 0, size) == 0;
#else
  const std::string zeros(static_cast<size_t>(1) << 20, '\0');
  for (off_t done = 0; done < size; done += static_cast<off_t>(zeros.size())) {
    if (::write(descriptor, zeros.data(), zeros.size()) != static_cast<ssize_t>(zeros.size())) return false;
  }
  return fsync(descriptor) == 0;
#endif
}

bool is_identity(std::string_view text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A file of ours, which is not part of a checkpoint: a copy that is opened gets a name of its own.
bool read_identity(const std::string& directory, std::string& identity) {
  const std::string file = directory + "/" + kIdentityFile;
  std::ifstream present(file);
  if (present && std::getline(present, identity) && is_identity(identity)) return true;
  identity.clear();
  unsigned char bytes[16];
  if (getentropy(bytes, sizeof bytes) != 0) return false;
  for (const unsigned char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned>(byte));
    identity += digits;
  }
  const std::string fresh = file + ".new";
  const int descriptor = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return false;
  const std::string line = identity + "\n";
  const bool written =
      ::write(descriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && fsync(descriptor) == 0;
  ::close(descriptor);
  return written && std::rename(fresh.c_str(), file.c_str()) == 0;
}

}  // namespace

StoreFailure store_failure(tenon_status status, std::string message, std::string field) {
  StoreFailure failure;
  failure.status = status;
  failure.problem.message = std::move(message);
  failure.problem.field = std::move(field);
  return failure;
}

Store::Body::~Body() {
  stop_threads();
  close_database();
}

bool Store::Body::open(StoreFailure& failure) {
  std::string why;
  library = Rocksdb::load(options.libraries, why);
  if (library == nullptr) {
    failure = store_failure(TENON_ERROR_UNSUPPORTED, why);
    return false;
  }
  if (!make_directories(options.directory)) {
    failure = store_failure(TENON_ERROR_STORAGE,
                            "the folder " + options.directory + " cannot be made: " + std::strerror(errno));
    return false;
  }
  const Rocksdb& rocks = *library;
  const auto own = [](auto* object, auto destroy) {
    return std::unique_ptr<std::remove_pointer_t<decltype(object)>, decltype(destroy)>(object, destroy);
  };
  cache = own(rocks.cache_create_lru(options.cache_bytes), rocks.cache_destroy);
  database_options = own(rocks.options_create(), rocks.options_destroy);
  read_options = own(rocks.readoptions_create(), rocks.readoptions_destroy);
  cached_options = own(rocks.readoptions_create(), rocks.readoptions_destroy);
  write_options = own(rocks.writeoptions_create(), rocks.writeoptions_destroy);
  sync_options = own(rocks.writeoptions_create(), rocks.writeoptions_destroy);
  rocks.readoptions_set_read_tier(cached_options.get(), kMemoryTier);
  rocks.writeoptions_set_sync(write_options.get(), options.sync ? 1 : 0);
  rocks.writeoptions_set_sync(sync_options.get(), 1);

  rocksdb_options_t* const set = database_options.get();
  const auto table = own(rocks.block_based_options_create(), rocks.block_based_options_destroy);
  rocks.block_based_options_set_format_version(table.get(), kTableFormat);
  rocks.block_based_options_set_block_cache(table.get(), cache.get());
  rocks.block_based_options_set_filter_policy(table.get(), rocks.filterpolicy_create_bloom_full(kBloomBits));
  rocks.options_set_block_based_table_factory(set, table.get());
  rocks.options_set_create_if_missing(set, 1);
  rocks.options_set_paranoid_checks(set, 1);
  rocks.options_set_max_open_files(set, kOpenFiles);
  rocks.options_set_compression(set, kLz4);
  rocks.options_set_max_background_jobs(set, 2);
  rocks.options_set_write_buffer_size(set,
                                      options.write_buffer_bytes == 0 ? kWriteBufferBytes : options.write_buffer_bytes);
  rocks.options_set_max_total_wal_size(set,
                                       options.write_buffer_bytes == 0 ? kTotalLogBytes : options.write_buffer_bytes);
  rocks.options_set_wal_recovery_mode(set, kPointInTimeRecovery);
  rocks.options_set_recycle_log_file_num(set, 0);
  // With a limit RocksDB keeps old logs in archive/. It looks after that limit once in ten minutes only: what is kept
  // is bounded by purge_logs, and this is for when that cannot.
  rocks.options_set_WAL_size_limit_MB(set, 2 * options.feed_bytes / kMebibyte + 256);
  rocks.options_set_keep_log_file_num(set, kInfoLogs);
  rocks.options_set_max_log_file_size(set, kInfoLogBytes);

  const std::string lost = lost_database(options.directory);
  if (!lost.empty()) {
    failure = store_failure(TENON_ERROR_INVALID, "the tables in " + options.directory +
                                                     " are damaged: the file CURRENT is missing, but there is " + lost);
    return false;
  }
  std::vector<std::string> names = {"default"};
  const bool present = access((options.directory + "/CURRENT").c_str(), F_OK) == 0;
  if (present && !list_families(names, failure)) return false;
  if (!open_database(names, failure)) return false;
  version = version_of(options.directory);
  if (!read_identity(options.directory, identity)) {
    failure = store_failure(TENON_ERROR_STORAGE, "the file " + options.directory + "/" + kIdentityFile +
                                                     " cannot be written: " + std::strerror(errno));
    return false;
  }
  return read_catalogue(failure) && start_threads(failure);
}

bool Store::Body::list_families(std::vector<std::string>& names, StoreFailure& failure) {
  size_t count = 0;
  RocksdbError error(*library);
  char** const list =
      library->list_column_families(database_options.get(), options.directory.c_str(), &count, error.out());
  if (!error) names.assign(list, list + count);
  // There is a list to give back when it failed, too.
  if (list != nullptr) library->list_column_families_destroy(list, count);
  if (!error) return true;
  failure = opening_failure(options.directory, error.text());
  return false;
}

// With these families; a handle that is known already is replaced.
bool Store::Body::open_database(const std::vector<std::string>& names, StoreFailure& failure) {
  std::vector<const char*> texts;
  for (const std::string& name : names) texts.push_back(name.c_str());
  const std::vector<const rocksdb_options_t*> settings(names.size(), database_options.get());
  std::vector<rocksdb_column_family_handle_t*> handles(names.size(), nullptr);
  RocksdbError error(*library);
  rocksdb_t* const opened =
      library->open_column_families(database_options.get(), options.directory.c_str(), static_cast<int>(names.size()),
                                    texts.data(), settings.data(), handles.data(), error.out());
  if (error) {
    failure = opening_failure(options.directory, error.text());
    return false;
  }
  {
    const std::lock_guard<std::mutex> lock(newest_mutex);
    database = opened;
  }
  for (size_t at = 0; at < names.size(); at++) {
    Family* family = find_family(names[at]);
    if (family == nullptr) {
      families.push_back(std::make_unique<Family>());
      family = families.back().get();
      family->name = names[at];
      family->id = library->column_family_handle_get_id(handles[at]);
    }
    family->handle = handles[at];
    if (names[at] == "default") notes = family;
  }
  return true;
}

void Store::Body::close_database() {
  if (database == nullptr) return;
  rocksdb_t* closed = nullptr;
  {
    const std::lock_guard<std::mutex> lock(newest_mutex);
    newest = library->get_latest_sequence_number(database);
    closed = std::exchange(database, nullptr);
  }
  for (const auto& family : families) {
    if (family->handle != nullptr) library->column_family_handle_destroy(family->handle);
    family->handle = nullptr;
  }
  library->close(closed);
}

// RocksDB has no way back from a full disk in its C interface; what was acknowledged is in its log.
bool Store::Body::reopen(StoreFailure& failure) {
  if (!gate.shut(kPatienceMs)) {
    failure = store_failure(TENON_ERROR_AGAIN, "the tables are in use: a scan or a query has not ended");
    return false;
  }
  {
    const std::lock_guard<std::mutex> lock(readers_mutex);
    for (ChangeReader* const reader : readers) reader->let_go();
  }
  const std::lock_guard<std::mutex> files(files_mutex);
  close_database();
  // Not what is known of here: a change that failed may be on the disk all the same.
  std::vector<std::string> names;
  const bool opened = list_families(names, failure) && open_database(names, failure) && settle_families(failure);
  if (opened) {
    const std::lock_guard<std::mutex> lock(trouble_mutex_);
    trouble_.reset();
    troubled_.store(false);
  }
  gate.open();
  return opened;
}

bool Store::Body::settle_families(StoreFailure& failure) {
  for (const auto& table : tables) {
    if (table->dropped.load()) continue;
    const Layout& layout = *table->layout.load();
    const bool whole =
        layout.records->handle != nullptr && (layout.expiry == nullptr || layout.expiry->handle != nullptr);
    if (!whole) {
      failure = store_failure(TENON_ERROR_INVALID, "the records of the table " + table->path + " are missing");
      close_database();
      return false;
    }
    for (Index* const index : layout.indexes) {
      if (index->family->handle == nullptr) index->retired.store(true);
    }
  }
  for (const auto& family : families) {
    if (family->handle == nullptr) family->dropped = true;
  }
  return true;
}

// A full disk is not tried for by closing what still can be read.
bool Store::Body::resume(StoreFailure& failure) {
  const std::lock_guard<std::mutex> lock(resume_mutex_);
  const std::optional<StoreFailure> present = trouble();
  if (!present) return true;
  if (!present->full) {
    failure = *present;
    return false;
  }
  const std::string probe = options.directory + "/tenon-probe";
  const int descriptor = ::open(probe.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  const bool room = descriptor >= 0 && reserve(descriptor, static_cast<off_t>(opening_bytes(options.directory)));
  if (descriptor >= 0) ::close(descriptor);
  unlink(probe.c_str());
  if (!room) {
    failure = *present;
    return false;
  }
  return reopen(failure);
}

StoreFailure Store::Body::failed(const char* doing, std::string_view said) const {
  StoreFailure failure = store_failure(TENON_ERROR_STORAGE, std::string(doing) + " failed: " + std::string(said));
  failure.full = contains(said, "No space left on device") || contains(said, "Disk quota exceeded");
  return failure;
}

bool Store::Body::readable(StoreFailure& failure) const {
  if (database != nullptr) return true;
  const std::optional<StoreFailure> present = trouble();
  failure = present ? *present : store_failure(TENON_ERROR_STORAGE, "the tables are not open");
  return false;
}

bool Store::Body::writable(StoreFailure& failure) const {
  if (!readable(failure)) return false;
  if (!troubled_.load(std::memory_order_relaxed)) return true;
  const std::optional<StoreFailure> present = trouble();
  if (!present) return true;
  failure = *present;
  return false;
}

// The first one stays, but for one that is worse than a full disk.
void Store::Body::set_trouble(const StoreFailure& failure) {
  const std::lock_guard<std::mutex> lock(trouble_mutex_);
  if (trouble_ && (!trouble_->full || failure.full)) return;
  trouble_ = failure;
  troubled_.store(true);
}

std::optional<StoreFailure> Store::Body::trouble() const {
  if (!troubled_.load()) return std::nullopt;
  const std::lock_guard<std::mutex> lock(trouble_mutex_);
  return trouble_;
}

}  // namespace tenon::core
