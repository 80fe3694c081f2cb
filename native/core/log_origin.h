#ifndef TENON_CORE_LOG_ORIGIN_H
#define TENON_CORE_LOG_ORIGIN_H

#include <cstdint>

namespace tenon::core {

class Front;
class Plugin;

// For what code of a plugin runs: what it logs and writes is tagged with it.
struct LogOrigin {
  const Plugin* plugin = nullptr;  // null: nobody's code
  uint64_t generation = 0;
  uint64_t request = 0;   // 0: none
  const char* work = "";  // for what else: "initialize", "task", "on_event"
  uint64_t number = 0;    // of a task
};

// What this thread runs code of a plugin for, beside requests, as long as this lives. `work` is static.
class WorkOfThread {
 public:
  WorkOfThread(const Plugin& plugin, uint64_t generation, const char* work, uint64_t number = 0);
  ~WorkOfThread();
  WorkOfThread(const WorkOfThread&) = delete;
  WorkOfThread& operator=(const WorkOfThread&) = delete;

 private:
  friend LogOrigin origin_of_thread(const Front& front);
  const LogOrigin origin_;
  const WorkOfThread* const before_;
};

// Of the thread that asks. A thread that a plugin has started by itself runs nobody's code.
LogOrigin origin_of_thread(const Front& front);

}  // namespace tenon::core

#endif
