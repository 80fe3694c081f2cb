#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "store_body.h"

namespace tenon::core {

namespace {

struct OldLog {
  uint64_t number;
  uint64_t size;
  std::string file;
};

// Logs that RocksDB no longer needs itself, oldest first.
std::vector<OldLog> old_logs(const std::string& directory) {
  std::vector<OldLog> logs;
  const std::string archive = directory + "/archive";
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(opendir(archive.c_str()), closedir);
  if (listing == nullptr) return logs;
  while (const dirent* const entry = readdir(listing.get())) {
    char* end = nullptr;
    const uint64_t number = std::strtoull(entry->d_name, &end, 10);
    if (end == entry->d_name || std::string_view(end) != ".log") continue;
    const std::string file = archive + "/" + entry->d_name;
    struct stat facts;
    if (stat(file.c_str(), &facts) != 0) continue;
    logs.push_back({number, static_cast<uint64_t>(facts.st_size), file});
  }
  std::sort(logs.begin(), logs.end(), [](const OldLog& one, const OldLog& other) { return one.number < other.number; });
  return logs;
}

uint64_t size_of(const std::vector<OldLog>& logs) {
  uint64_t size = 0;
  for (const OldLog& log : logs) size += log.size;
  return size;
}

}  // namespace

void Store::Body::keep_log() {
  sync_log();
  purge_logs();
}

// A log whose sync has failed is not synced again: what the disk has taken of it nobody knows any more.
void Store::Body::sync_log() {
  const Passage passage(gate);
  StoreFailure failure;
  const uint64_t done = commits.load();
  if (options.sync || done == synced_ || !writable(failure)) return;
  RocksdbError error(*library);
  library->flush_wal(database, 1, error.out());
  if (error) {
    set_trouble(failed("to bring writes to the disk", error.text()));
    return;
  }
  synced_ = done;
}

void Store::Body::purge_logs() {
  const std::lock_guard<std::mutex> lock(files_mutex);
  const std::vector<OldLog> logs = old_logs(options.directory);
  uint64_t size = size_of(logs);
  for (const OldLog& log : logs) {
    if (size <= options.feed_bytes) return;
    if (unlink(log.file.c_str()) == 0) size -= log.size;
  }
}

uint64_t Store::Body::kept_log_bytes() const { return size_of(old_logs(options.directory)); }

}  // namespace tenon::core
