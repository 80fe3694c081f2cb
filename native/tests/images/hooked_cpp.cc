// What the tests of import hooks call in C++.
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {
std::atomic<bool> leave{false};
std::vector<std::thread> threads;

}  // namespace

extern "C" {

void* create(size_t size) { return ::operator new(size); }
void destroy(void* block) { ::operator delete(block); }
bool catch_bad_alloc() {
  try {
    void* volatile block = ::operator new(SIZE_MAX / 4);
    ::operator delete(block);
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}
void start_std_thread() {
  leave = false;
  threads.emplace_back([] {
    while (!leave) std::this_thread::yield();
  });
}
void end_std_threads() {
  leave = true;
  for (std::thread& thread : threads) thread.join();
  threads.clear();
}
int priority_of_std_thread() {
  int priority = 0;
  std::thread([&priority] { priority = getpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid))); }).join();
  return priority;
}
bool catch_what_a_thread_throws() {
  bool caught = false;
  std::thread([&caught] {
    try {
      throw std::runtime_error("thrown");
    } catch (const std::runtime_error&) {
      caught = true;
    }
  }).join();
  return caught;
}
}
