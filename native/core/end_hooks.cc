#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "crash_handler.h"
#include "fork_guard.h"
#include "guard_notes.h"
#include "import_hooks.h"
#include "signal_name.h"
#include "thread_guard.h"

namespace tenon::core {

namespace {

namespace original {
void (*exit)(int);
void (*exit_now)(int);
void (*exit_now_as_in_c99)(int);
void (*quick_exit)(int);
void (*abort)();
int (*kill)(pid_t, int);
int (*killpg)(pid_t, int);
int (*raise)(int);
int (*tgkill)(pid_t, pid_t, int);
int (*pthread_kill)(pthread_t, int);
int (*sigqueue)(pid_t, int, sigval);
int (*pthread_sigqueue)(pthread_t, int, sigval);
pid_t (*fork)();
int (*daemon)(int, int);
int (*execv)(const char*, char* const*);
int (*execvp)(const char*, char* const*);
int (*execve)(const char*, char* const*, char* const*);
int (*execvpe)(const char*, char* const*, char* const*);
int (*execl)(const char*, const char*, ...);
int (*execlp)(const char*, const char*, ...);
int (*execle)(const char*, const char*, ...);
int (*fexecve)(int, char* const*, char* const*);
}  // namespace original

void tell(FaultKind kind, int status, const void* caller, SentTo target = SentTo::ThisThread) {
  if (in_host_process()) report_end(kind, calling_image(caller), status, target);
}

[[noreturn]] void exit_hook(int status) {
  tell(FaultKind::Exit, status & 0xff, __builtin_return_address(0));
  original::exit(status);
  __builtin_unreachable();
}
[[noreturn]] void exit_now_hook(int status) {
  tell(FaultKind::ExitNow, status & 0xff, __builtin_return_address(0));
  original::exit_now(status);
  __builtin_unreachable();
}
[[noreturn]] void exit_now_as_in_c99_hook(int status) {
  tell(FaultKind::ExitNow, status & 0xff, __builtin_return_address(0));
  original::exit_now_as_in_c99(status);
  __builtin_unreachable();
}
[[noreturn]] void quick_exit_hook(int status) {
  tell(FaultKind::QuickExit, status & 0xff, __builtin_return_address(0));
  original::quick_exit(status);
  __builtin_unreachable();
}
[[noreturn]] void abort_hook() {
  tell(FaultKind::Abort, SIGABRT, __builtin_return_address(0));
  original::abort();
  __builtin_unreachable();
}

// Whether `signal`, sent to this process or this thread, ends it: somebody may be there for it.
bool is_deadly(int signal, bool to_thread) {
  switch (signal) {
    case SIGKILL:
      return true;
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
    case SIGABRT:
    case SIGTRAP:
    case SIGSYS:
      break;
    case 0:
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
      return false;
    default: {
      struct sigaction present = {};
      if (sigaction(signal, nullptr, &present) != 0 || present.sa_handler != SIG_DFL) return false;
    }
  }
  sigset_t blocked;
  return !to_thread || pthread_sigmask(SIG_SETMASK, nullptr, &blocked) != 0 || sigismember(&blocked, signal) != 1;
}

// A thread's number is one of its process, too.
bool is_this_process(pid_t process) {
#if defined(__linux__)
  if (process > 0 && process != getpid()) return syscall(SYS_tgkill, getpid(), process, 0) == 0;
#endif
  return process == getpid();
}

// The parent is what keeps the host; in most cases it is in the same group. -1 is everybody.
bool is_parent(pid_t process) {
  const pid_t parent = getppid();
  if (process == 0 || process == -1 || process == parent || process == -getpgrp()) return true;
  return process < -1 && process == -getpgid(parent);
}

// As whoever runs the host, or its terminal, asks it to end.
bool asks_for_end(int signal) { return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT; }

bool is_harmless(int signal) {
  return signal == 0 || signal == SIGCHLD || signal == SIGCONT || signal == SIGURG || signal == SIGWINCH;
}

bool refuse(const char* call, int signal, const char* target, const void* caller) {
  const ImageIndex image = calling_image(caller);
  if (image == kNoImage || !in_host_process()) return false;
  note_guard({image, "exit",
              std::string(call) + " of " + name_of_signal(signal) + " to " + target +
                  " was refused: whether the host ends is for those who run it to say",
              true, true});
  errno = EPERM;
  return true;
}

// Whether the host would end by it as those who run it end it, or its parent would get it.
bool is_refused(const char* call, pid_t process, int signal, const void* caller) {
  if (is_harmless(signal) || !in_host_process()) return false;
  if (is_this_process(process)) return asks_for_end(signal) && refuse(call, signal, "the host", caller);
  const char* const target = process == getppid() ? "the host's parent process" : "the host's group of processes";
  return is_parent(process) && refuse(call, signal, target, caller);
}
bool is_refused_of_thread(const char* call, int signal, const void* caller) {
  return asks_for_end(signal) && refuse(call, signal, "a thread of the host", caller);
}

// Sends a signal. That the call comes back says that it has ended nothing: the system has blocked or refused it.
template <typename Send>
int send(bool is_end, int signal, SentTo target, const void* caller, Send send_it) {
  if (!is_end || !in_host_process()) return send_it();
  tell(FaultKind::Kill, signal, caller, target);
  const int result = send_it();
  const int kept_errno = errno;
  take_end_back(result == 0);
  errno = kept_errno;
  return result;
}

int kill_hook(pid_t process, int signal) {
  const void* const caller = __builtin_return_address(0);
  if (is_refused("kill", process, signal, caller)) return -1;
  return send(is_this_process(process) && is_deadly(signal, false), signal, SentTo::Process, caller,
              [=] { return original::kill(process, signal); });
}
int killpg_hook(pid_t group, int signal) {
  if (group >= 0 && is_refused("killpg", -group, signal, __builtin_return_address(0))) return -1;
  return original::killpg(group, signal);
}
int raise_hook(int signal) {
  const void* const caller = __builtin_return_address(0);
  if (is_refused_of_thread("raise", signal, caller)) return -1;
  return send(is_deadly(signal, true), signal, SentTo::ThisThread, caller, [=] { return original::raise(signal); });
}
int tgkill_hook(pid_t process, pid_t thread, int signal) {
  const void* const caller = __builtin_return_address(0);
  if (is_refused("tgkill", process, signal, caller)) return -1;
  return send(process == getpid() && is_deadly(signal, false), signal, SentTo::AThread, caller,
              [=] { return original::tgkill(process, thread, signal); });
}
int pthread_kill_hook(pthread_t thread, int signal) {
  const void* const caller = __builtin_return_address(0);
  if (is_refused_of_thread("pthread_kill", signal, caller)) return EPERM;
  return send(is_deadly(signal, false), signal, SentTo::AThread, caller,
              [=] { return original::pthread_kill(thread, signal); });
}
int sigqueue_hook(pid_t process, int signal, sigval value) {
  const void* const caller = __builtin_return_address(0);
  if (is_refused("sigqueue", process, signal, caller)) return -1;
  return send(is_this_process(process) && is_deadly(signal, false), signal, SentTo::Process, caller,
              [=] { return original::sigqueue(process, signal, value); });
}
int pthread_sigqueue_hook(pthread_t thread, int signal, sigval value) {
  const void* const caller = __builtin_return_address(0);
  if (is_refused_of_thread("pthread_sigqueue", signal, caller)) return EPERM;
  return send(is_deadly(signal, false), signal, SentTo::AThread, caller,
              [=] { return original::pthread_sigqueue(thread, signal, value); });
}

pid_t fork_hook() {
  enter_fork(calling_image(__builtin_return_address(0)));
  const pid_t child = original::fork();
  enter_fork(kNoImage);
  return child;
}

// Whether a call that would put another program in the place of the host, or take it away from its parent, is refused:
// in a child of vfork it is what that is for.
bool is_refused(const char* call, const void* caller) {
  const ImageIndex image = calling_image(caller);
  if (image == kNoImage || !in_host_process()) return false;
  note_guard({image, "exit", std::string(call) + " was refused: it would end the host; posix_spawn starts a program",
              true, true});
  errno = EPERM;
  return true;
}

int daemon_hook(int keeps_directory, int keeps_files) {
  if (is_refused("daemon", __builtin_return_address(0))) return -1;
  return original::daemon(keeps_directory, keeps_files);
}

// A child of vfork has this process's memory: a handler of the host that ran in it, once its signals are open, would
// change that. exec forgets handlers, and keeps what is blocked.
void begin_program() {
  if (in_host_process() || !has_signals_of_host()) return;
  for (int signal = 1; signal < NSIG; signal++) {
    struct sigaction present = {};
    if (sigaction(signal, nullptr, &present) != 0 || present.sa_handler == SIG_IGN) continue;
    present.sa_flags = 0;
    present.sa_handler = SIG_DFL;
    sigaction(signal, &present, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

template <auto& function, typename Program, typename... Rest>
int exec_hook(Program program, Rest... rest) {
  if (is_refused("exec", __builtin_return_address(0))) return -1;
  begin_program();
  return function(program, rest...);
}

// Its arguments are a list that ends with a null; behind it `environment` may follow.
template <auto& with_array, bool has_environment = false>
int exec_list_hook(const char* program, const char* first, ...) {
  if (is_refused("exec", __builtin_return_address(0))) return -1;
  constexpr size_t kMost = 1024;
  std::array<char*, kMost + 1> arguments = {};
  va_list rest;
  va_start(rest, first);
  size_t count = 0;
  for (const char* next = first; next != nullptr && count < kMost; next = va_arg(rest, const char*)) {
    arguments[count++] = const_cast<char*>(next);
  }
  char* const* environment = nullptr;
  if (has_environment && count < kMost) environment = va_arg(rest, char* const*);
  va_end(rest);
  if (count == kMost) {
    errno = E2BIG;
    return -1;
  }
  begin_program();
  if constexpr (has_environment) {
    return with_array(program, arguments.data(), environment);
  } else {
    return with_array(program, arguments.data());
  }
}

}  // namespace

void add_end_hooks(std::vector<ImportHook>& hooks) {
  hooks.insert(
      hooks.end(),
      {
          import_hook("exit", &exit_hook, original::exit),
          import_hook("_exit", &exit_now_hook, original::exit_now),
          import_hook("_Exit", &exit_now_as_in_c99_hook, original::exit_now_as_in_c99),
          import_hook("quick_exit", &quick_exit_hook, original::quick_exit),
          import_hook("abort", &abort_hook, original::abort),
          import_hook("kill", &kill_hook, original::kill),
          import_hook("killpg", &killpg_hook, original::killpg),
          import_hook("raise", &raise_hook, original::raise),
          import_hook("tgkill", &tgkill_hook, original::tgkill),
          import_hook("pthread_kill", &pthread_kill_hook, original::pthread_kill),
          import_hook("sigqueue", &sigqueue_hook, original::sigqueue),
          import_hook("pthread_sigqueue", &pthread_sigqueue_hook, original::pthread_sigqueue),
          import_hook("fork", &fork_hook, original::fork),
          import_hook("daemon", &daemon_hook, original::daemon),
          import_hook("execv", &exec_hook<original::execv, const char*, char* const*>, original::execv),
          import_hook("execvp", &exec_hook<original::execvp, const char*, char* const*>, original::execvp),
          import_hook("execve", &exec_hook<original::execve, const char*, char* const*, char* const*>,
                      original::execve),
          import_hook("execvpe", &exec_hook<original::execvpe, const char*, char* const*, char* const*>,
                      original::execvpe),
          import_hook("fexecve", &exec_hook<original::fexecve, int, char* const*, char* const*>, original::fexecve),
          import_hook("execle", &exec_list_hook<original::execve, true>, original::execle),
          import_hook("execl", &exec_list_hook<original::execv>, original::execl),
          import_hook("execlp", &exec_list_hook<original::execvp>, original::execlp),
      });
}

}  // namespace tenon::core
