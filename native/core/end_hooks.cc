#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>

#include "crash_handler.h"
#include "fork_guard.h"
#include "guard_notes.h"
#include "import_hooks.h"

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
pid_t (*fork)();
int (*daemon)(int, int);
int (*execv)(const char*, char* const*);
int (*execvp)(const char*, char* const*);
int (*execve)(const char*, char* const*, char* const*);
int (*execvpe)(const char*, char* const*, char* const*);
int (*execl)(const char*, const char*, ...);
int (*execlp)(const char*, const char*, ...);
}  // namespace original

void tell(FaultKind kind, int status, const void* caller, SentTo target = SentTo::ThisThread) {
  if (in_host_process()) report_end(kind, calling_image(caller), status, target);
}

[[noreturn]] void exit_hook(int status) {
  tell(FaultKind::Exit, status, __builtin_return_address(0));
  original::exit(status);
  __builtin_unreachable();
}
[[noreturn]] void exit_now_hook(int status) {
  tell(FaultKind::ExitNow, status, __builtin_return_address(0));
  original::exit_now(status);
  __builtin_unreachable();
}
[[noreturn]] void exit_now_as_in_c99_hook(int status) {
  tell(FaultKind::ExitNow, status, __builtin_return_address(0));
  original::exit_now_as_in_c99(status);
  __builtin_unreachable();
}
[[noreturn]] void quick_exit_hook(int status) {
  tell(FaultKind::QuickExit, status, __builtin_return_address(0));
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

// Of -1, everybody, the sender is none.
bool is_this_process(pid_t process) { return process == getpid() || process == 0 || process == -getpgrp(); }

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
  return send(is_this_process(process) && is_deadly(signal, false), signal, SentTo::Process,
              __builtin_return_address(0), [=] { return original::kill(process, signal); });
}
int killpg_hook(pid_t group, int signal) {
  return send((group == 0 || group == getpgrp()) && is_deadly(signal, false), signal, SentTo::Process,
              __builtin_return_address(0), [=] { return original::killpg(group, signal); });
}
int raise_hook(int signal) {
  return send(is_deadly(signal, true), signal, SentTo::ThisThread, __builtin_return_address(0),
              [=] { return original::raise(signal); });
}
int tgkill_hook(pid_t process, pid_t thread, int signal) {
  return send(process == getpid() && is_deadly(signal, false), signal, SentTo::AThread, __builtin_return_address(0),
              [=] { return original::tgkill(process, thread, signal); });
}
int pthread_kill_hook(pthread_t thread, int signal) {
  return send(is_deadly(signal, false), signal, SentTo::AThread, __builtin_return_address(0),
              [=] { return original::pthread_kill(thread, signal); });
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

template <auto& function, typename... Rest>
int exec_hook(const char* program, Rest... rest) {
  if (is_refused("exec", __builtin_return_address(0))) return -1;
  return function(program, rest...);
}

// Its arguments are a list that ends with a null.
template <auto& with_array>
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
  va_end(rest);
  if (count < kMost) return with_array(program, arguments.data());
  errno = E2BIG;
  return -1;
}

}  // namespace

void add_end_hooks(std::vector<ImportHook>& hooks) {
  hooks.insert(hooks.end(),
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
                   import_hook("fork", &fork_hook, original::fork),
                   import_hook("daemon", &daemon_hook, original::daemon),
                   import_hook("execv", &exec_hook<original::execv, char* const*>, original::execv),
                   import_hook("execvp", &exec_hook<original::execvp, char* const*>, original::execvp),
                   import_hook("execve", &exec_hook<original::execve, char* const*, char* const*>, original::execve),
                   import_hook("execvpe", &exec_hook<original::execvpe, char* const*, char* const*>, original::execvpe),
                   import_hook("execl", &exec_list_hook<original::execv>, original::execl),
                   import_hook("execlp", &exec_list_hook<original::execvp>, original::execlp),
               });
}

}  // namespace tenon::core
