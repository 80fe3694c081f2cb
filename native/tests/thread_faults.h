#ifndef TENON_TESTS_THREAD_FAULTS_H
#define TENON_TESTS_THREAD_FAULTS_H

namespace tenon::tests {

// As long as this lives no thread of the core can be started, as where a process has all it may have. Linux; elsewhere
// threads are started.
class NoThreads {
 public:
#if defined(__linux__)
  static constexpr bool kPossible = true;
#else
  static constexpr bool kPossible = false;
#endif
  NoThreads();
  ~NoThreads();
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;
};

}  // namespace tenon::tests

#endif
