#ifndef TENON_CORE_FEED_SERVER_H
#define TENON_CORE_FEED_SERVER_H

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "open_store.h"

namespace tenon::core {

// A change that was read, with what it says copied.
struct FeedChange {
  uint64_t sequence = 0;
  const Table* table = nullptr;
  std::string key;     // as text
  std::string record;  // empty when it was removed
};

// One feed and who reads it. Its members belong to the server between `ask` and `take_done`, to the reader otherwise.
struct FeedReader {
  FeedReader(std::unique_ptr<Feed> source, void* reader) : feed(std::move(source)), owner(reader) {}

  std::unique_ptr<Feed> feed;
  void* const owner;
  bool begun = false;  // the feed
  size_t most = 1;
  std::vector<FeedChange> changes;
  std::atomic<uint64_t> position{0};  // up to which all changes have been taken, as far as is known; on any thread
  bool failed = false;
  StoreFailure failure;
};

// Waits for the changes of any number of feeds on one thread, which is started when it is first needed. Functions
// without a note run on the front's thread.
class FeedServer {
 public:
  using Wake = void (*)(void* context);

  // `wake` is called when there is something to take; not after `stop`.
  FeedServer(OpenStore& store, Wake wake, void* context) : store_(store), wake_(wake), context_(context) {}
  ~FeedServer() { stop(); }
  FeedServer(const FeedServer&) = delete;
  FeedServer& operator=(const FeedServer&) = delete;

  // Read the next changes, at most `reader->most` and about 64 MiB; with 0 see only that the feed can begin. False when
  // there is no thread for it.
  bool ask(std::shared_ptr<FeedReader> reader);
  // Nobody reads it any more: it is cancelled, and not taken after this.
  void drop(const FeedReader& reader);
  // Readers that have got something.
  std::vector<std::shared_ptr<FeedReader>> take_done();
  // End the thread; what is waited for never comes. Twice is fine.
  void stop();

 private:
  // How often the store is asked for what it has written itself.
  static constexpr uint32_t kLookMs = 100;
  static constexpr uint32_t kRestMs = 60'000;
  // Of records that are told at once.
  static constexpr size_t kBytes = 64u << 20;

  static void* main(void* server);
  void run();
  bool tell(std::shared_ptr<FeedReader>& reader);
  bool begin(FeedReader& reader);
  bool read(FeedReader& reader, bool& behind);

  OpenStore& store_;
  const Wake wake_;
  void* const context_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<FeedReader>> waiting_;
  std::vector<std::shared_ptr<FeedReader>> done_;
  pthread_t thread_ = {};
  bool started_ = false;
  bool stopping_ = false;
};

}  // namespace tenon::core

#endif
