#include <pthread.h>
#include <unistd.h>

#include <memory>
#include <new>
#include <thread>
#include <utility>

#include "guard_notes.h"
#include "image_threads.h"
#include "import_hooks.h"
#include "own_thread.h"
#include "tenon/types.h"
#include "thread_exit.h"
#include "thread_priority.h"
#include "thread_record.h"

namespace tenon::core {

namespace {

namespace original {
int (*pthread_create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
int (*thrd_create)(unsigned long*, int (*)(void*), void*);
void (*pthread_exit)(void*);
#if defined(__GLIBCXX__)
void (*start_thread)(std::thread*, std::unique_ptr<std::thread::_State>*, void (*)());
#endif
}  // namespace original

template <typename Result>
struct Start {
  Result (*routine)(void*);
  void* argument;
  ImageIndex image;
};

template <typename Result>
Result run_own_thread(void* given) {
  const Start<Result> start = *std::unique_ptr<Start<Result>>(static_cast<Start<Result>*>(given));
  // Whoever looks for threads of the image finds its address on this stack, from here on and to the end.
  Result (*volatile const routine)(void*) = start.routine;
  begin_own_thread(start.image, reinterpret_cast<void*>(start.routine));
  foreign_thread_entered();
  const Result result = routine(start.argument);
  static_cast<void>(routine);
  return result;
}

// `create` starts a thread with the function and the argument that it is given, and answers 0 when it has.
template <typename Result, typename Create>
int start_own_thread(ImageIndex image, Result (*routine)(void*), void* argument, Create create) {
  if (image == kNoImage) return create(routine, argument);
  std::unique_ptr<Start<Result>> start(new (std::nothrow) Start<Result>{routine, argument, image});
  if (!start) return create(routine, argument);
  expect_foreign_thread();
  const int result = create(run_own_thread<Result>, static_cast<void*>(start.get()));
  if (result == 0) {
    static_cast<void>(start.release());
  } else {
    foreign_thread_entered();
  }
  return result;
}

int pthread_create_hook(pthread_t* thread, const pthread_attr_t* attributes, void* (*routine)(void*), void* argument) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  return start_own_thread(image, routine, argument, [=](void* (*main)(void*), void* given) {
    if (ThreadEffort::is_current_lowered()) return create_thread(*thread, attributes, main, given);
    return original::pthread_create(thread, attributes, main, given);
  });
}

// Of C11: a thread is a number.
int thrd_create_hook(unsigned long* thread, int (*routine)(void*), void* argument) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  return start_own_thread(image, routine, argument,
                          [=](int (*main)(void*), void* given) { return original::thrd_create(thread, main, given); });
}

// The host's threads are not a plugin's to end: the call that it is in ends instead, with an error. Where that cannot
// be done the thread waits, until its deadline gives it up.
[[noreturn]] void pthread_exit_hook(void* result) {
  const void* const caller = __builtin_return_address(0);
  const ImageIndex image = calling_image(caller);
  if (is_own_thread() || image_of_thread() == kNoImage) {
    original::pthread_exit(result);
    __builtin_unreachable();
  }
  note_guard(
      {image, "exit", "pthread_exit on a thread of the host: the call was ended with an error instead", true, true});
  leave_plugin(caller, TENON_ERROR);
  for (;;) pause();
}

#if defined(__GLIBCXX__)
// What libstdc++ runs in a std::thread; it calls pthread_create where no hook sees it.
class OwnState : public std::thread::_State {
 public:
  OwnState(std::unique_ptr<std::thread::_State>& state, ImageIndex image) : state_(std::move(state)), image_(image) {
    expect_foreign_thread();
  }
  OwnState(const OwnState&) = delete;
  OwnState& operator=(const OwnState&) = delete;
  ~OwnState() override {
    if (!entered_) foreign_thread_entered();
  }

  void _M_run() override {
    // In its table of functions it comes after the two that destroy it.
    void* volatile const routine = (*reinterpret_cast<void***>(state_.get()))[2];
    begin_own_thread(image_, routine);
    entered_ = true;
    foreign_thread_entered();
    state_->_M_run();
    static_cast<void>(routine);
  }

 private:
  const std::unique_ptr<std::thread::_State> state_;
  const ImageIndex image_;
  bool entered_ = false;
};

void* run_state(void* given) {
  const std::unique_ptr<std::thread::_State> state(static_cast<std::thread::_State*>(given));
  state->_M_run();
  return nullptr;
}

// As libstdc++ does it, on a thread that was lowered; false: not done.
bool start_at_usual_priority(std::thread* thread, std::unique_ptr<std::thread::_State>& state) {
  static_assert(sizeof(std::thread) == sizeof(pthread_t));
  if (!ThreadEffort::is_current_lowered()) return false;
  auto& made = *reinterpret_cast<pthread_t*>(thread);
  if (create_thread(made, nullptr, run_state, state.get()) != 0) return false;
  static_cast<void>(state.release());
  return true;
}

// It throws where there is no thread to be had, past this frame; `state` is its caller's to destroy then.
void start_thread_hook(std::thread* thread, std::unique_ptr<std::thread::_State>* state, void (*depend)()) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  if (image != kNoImage && *state) {
    if (auto* const own = new (std::nothrow) OwnState(*state, image)) state->reset(own);
    if (start_at_usual_priority(thread, *state)) return;
  }
  original::start_thread(thread, state, depend);
}
#endif

}  // namespace

void add_thread_hooks(std::vector<ImportHook>& hooks) {
  hooks.push_back(import_hook("pthread_create", &pthread_create_hook, original::pthread_create));
  hooks.push_back(import_hook("thrd_create", &thrd_create_hook, original::thrd_create));
  hooks.push_back(import_hook("pthread_exit", &pthread_exit_hook, original::pthread_exit));
#if defined(__GLIBCXX__)
  hooks.push_back(import_hook("_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE",
                              &start_thread_hook, original::start_thread));
#endif
}

}  // namespace tenon::core
