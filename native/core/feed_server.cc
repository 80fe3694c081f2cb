#include "feed_server.h"

#include <algorithm>
#include <utility>

#include "image_threads.h"
#include "key.h"
#include "thread_guard.h"

namespace tenon::core {

bool FeedServer::ask(std::shared_ptr<FeedReader> reader) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) return false;
    if (!started_) started_ = start_core_thread(thread_, nullptr, &FeedServer::main, this);
    if (!started_) return false;
    waiting_.push_back(std::move(reader));
  }
  store_.bell().ring();
  return true;
}

void FeedServer::drop(const FeedReader& reader) {
  reader.feed->cancel();
  const auto is_it = [&reader](const std::shared_ptr<FeedReader>& one) { return one.get() == &reader; };
  const std::lock_guard<std::mutex> lock(mutex_);
  waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(), is_it), waiting_.end());
  done_.erase(std::remove_if(done_.begin(), done_.end(), is_it), done_.end());
}

std::vector<std::shared_ptr<FeedReader>> FeedServer::take_done() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(done_, {});
}

void FeedServer::stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    // The thread may be going through a long log for one of them.
    for (const std::shared_ptr<FeedReader>& reader : waiting_) reader->feed->cancel();
    waiting_.clear();
    done_.clear();
    if (!std::exchange(started_, false)) return;
  }
  store_.bell().ring();
  pthread_join(thread_, nullptr);
}

void* FeedServer::main(void* argument) {
  const ThreadGuard guard(ThreadKind::Store);
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "tenon:feeds");
#else
  pthread_setname_np("tenon:feeds");
#endif
  static_cast<FeedServer*>(argument)->run();
  return nullptr;
}

void FeedServer::run() {
  for (;;) {
    const uint64_t seen = store_.bell().rung();
    std::vector<std::shared_ptr<FeedReader>> readers;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (stopping_) return;
      readers = waiting_;
    }
    bool told = false;
    bool behind = false;
    bool looked = false;
    for (std::shared_ptr<FeedReader>& reader : readers) {
      if (!reader->begun) {
        // One at a time: to look for the begin takes long, and the others have waited for this.
        behind = behind || looked;
        if (std::exchange(looked, true)) continue;
        if (!begin(*reader)) {
          told = tell(reader) || told;
          continue;
        }
      }
      if (reader->most == 0 || read(*reader, behind)) told = tell(reader) || told;
    }
    if (told) wake_(context_);
    const bool waits = !readers.empty();
    readers.clear();
    if (!behind) store_.bell().wait(seen, waits ? kLookMs : kRestMs);
  }
}

// False when it was dropped meanwhile.
bool FeedServer::tell(std::shared_ptr<FeedReader>& reader) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto place = std::find(waiting_.begin(), waiting_.end(), reader);
  if (place == waiting_.end()) return false;
  waiting_.erase(place);
  done_.push_back(std::move(reader));
  return true;
}

bool FeedServer::begin(FeedReader& reader) {
  reader.begun = reader.feed->begin(reader.failure);
  reader.failed = !reader.begun;
  return reader.begun;
}

// True when there is something to tell. It is `behind` when it has not come to the end of what is written.
bool FeedServer::read(FeedReader& reader, bool& behind) {
  Store::Change change;
  size_t bytes = 0;
  for (const FeedChange& one : reader.changes) bytes += one.key.size() + one.record.size();
  while (reader.changes.size() < reader.most && bytes < kBytes) {
    StoreFailure failure;
    if (!reader.feed->next(0, change, failure)) {
      if (failure.status == TENON_ERROR_AGAIN) {
        if (!reader.changes.empty()) break;
        reader.position.store(reader.feed->position());
        if (reader.feed->position() < store_.store().sequence()) behind = true;
        break;
      }
      // What was read before it is told first; the feed will say the same again.
      if (!reader.changes.empty()) break;
      reader.failed = true;
      reader.failure = std::move(failure);
      return true;
    }
    const std::shared_ptr<const Definition> definition = store_.store().definition(*change.table);
    reader.changes.push_back(
        {change.sequence, change.table, key_text(*definition, change.key), std::string(change.record)});
    bytes += change.key.size() + change.record.size();
  }
  return !reader.changes.empty();
}

}  // namespace tenon::core
