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

// As long as this lives, or until it says otherwise, threads of the core that others than this thread make wait before
// they are made. One at a time. Linux; elsewhere they are made.
class HeldThreads {
 public:
  HeldThreads();
  ~HeldThreads();
  HeldThreads(const HeldThreads&) = delete;
  HeldThreads& operator=(const HeldThreads&) = delete;

  // They cannot be made, those that wait included.
  void refuse();
  void release();
  // Threads that this thread has made itself meanwhile.
  int made_here() const;
  // Threads that others have.
  int made_elsewhere() const;
  // Threads that wait.
  int waiting() const;
};

}  // namespace tenon::tests

#endif
