#ifndef TENON_ISOLATED_HOST_THREAD_H
#define TENON_ISOLATED_HOST_THREAD_H

#include <functional>
#include <memory>
#include <utility>
#include <vector>

// In place of isolated/host_thread.h, which has the same guard: what a thread would do, the only one does when its turn
// comes. An execution costs no thread, and is the same each time.
namespace tenon::isolated {

class HostThread {
 public:
  bool start(std::function<void()> main) {
    main_ = std::make_shared<std::function<void()>>(std::move(main));
    begun().push_back(main_);
    return true;
  }
  bool joinable() const { return main_ != nullptr; }
  void join() { run(*std::exchange(main_, nullptr)); }

  // Those that have begun and not had their turn.
  static void run_begun() {
    for (const auto& main : std::exchange(begun(), {})) run(*main);
  }

 private:
  static std::vector<std::shared_ptr<std::function<void()>>>& begun() {
    static std::vector<std::shared_ptr<std::function<void()>>> all;
    return all;
  }
  static void run(std::function<void()>& main) {
    if (const std::function<void()> once = std::exchange(main, {})) once();
  }

  std::shared_ptr<std::function<void()>> main_;
};

}  // namespace tenon::isolated

#endif
