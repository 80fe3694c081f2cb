#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/types.h>

#include <cerrno>
#include <type_traits>

#include "descriptor_guard.h"
#include "import_hooks.h"
#include "thread_guard.h"

struct sockaddr;
struct itimerspec;

namespace tenon::core {

namespace {

// The functions themselves. Declared here, because not every system has them all.
namespace original {
int (*open)(const char*, int, ...);
int (*open64)(const char*, int, ...);
int (*openat)(int, const char*, int, ...);
int (*openat64)(int, const char*, int, ...);
int (*open_2)(const char*, int);
int (*open64_2)(const char*, int);
int (*openat_2)(int, const char*, int);
int (*openat64_2)(int, const char*, int);
int (*creat)(const char*, mode_t);
int (*creat64)(const char*, mode_t);
int (*mkstemp)(char*);
int (*mkstemp64)(char*);
int (*mkostemp)(char*, int);
int (*mkostemp64)(char*, int);
int (*socket)(int, int, int);
int (*accept)(int, sockaddr*, void*);
int (*accept4)(int, sockaddr*, void*, int);
int (*dup)(int);
int (*eventfd)(unsigned, int);
int (*epoll_create)(int);
int (*epoll_create1)(int);
int (*timerfd_create)(int, int);
int (*signalfd)(int, const void*, int);
int (*memfd_create)(const char*, unsigned);
int (*shm_open)(const char*, int, mode_t);
int (*inotify_init)();
int (*inotify_init1)(int);
int (*pidfd_open)(pid_t, unsigned);
int (*posix_openpt)(int);
int (*getpt)();
int (*pipe)(int*);
int (*pipe2)(int*, int);
int (*socketpair)(int, int, int, int*);
FILE* (*fopen)(const char*, const char*);
FILE* (*fopen64)(const char*, const char*);
FILE* (*tmpfile)();
FILE* (*tmpfile64)();
FILE* (*popen)(const char*, const char*);
DIR* (*opendir)(const char*);
int (*fcntl)(int, int, ...);
int (*fcntl64)(int, int, ...);
int (*dup2)(int, int);
int (*dup3)(int, int, int);
int (*close)(int);
int (*fclose)(FILE*);
int (*pclose)(FILE*);
int (*closedir)(DIR*);
int (*close_range)(unsigned, unsigned, int);
void (*closefrom)(int);
}  // namespace original

int refused() {
  errno = EBADF;
  return -1;
}

int count(int descriptor, const void* caller) {
  if (descriptor >= 0) descriptors::opened(descriptor, calling_image(caller));
  return descriptor;
}

// Wrappers of functions that answer with one new descriptor, with a stream that has one, and with a pair.
template <auto& function, typename Function = std::remove_pointer_t<std::remove_reference_t<decltype(function)>>>
struct Opens;

template <auto& function, typename... Arguments>
struct Opens<function, int(Arguments...)> {
  static int call(Arguments... arguments) { return count(function(arguments...), __builtin_return_address(0)); }
};

template <auto& function, typename... Arguments>
struct Opens<function, FILE*(Arguments...)> {
  static FILE* call(Arguments... arguments) {
    FILE* const stream = function(arguments...);
    if (stream != nullptr) count(fileno(stream), __builtin_return_address(0));
    return stream;
  }
};

template <auto& function, typename... Arguments>
struct Opens<function, DIR*(Arguments...)> {
  static DIR* call(Arguments... arguments) {
    DIR* const directory = function(arguments...);
    if (directory != nullptr) count(dirfd(directory), __builtin_return_address(0));
    return directory;
  }
};

int count_pair(int result, const int* pair, const void* caller) {
  if (result != 0) return result;
  count(pair[0], caller);
  count(pair[1], caller);
  return result;
}

int pipe_hook(int* pair) { return count_pair(original::pipe(pair), pair, __builtin_return_address(0)); }
int pipe2_hook(int* pair, int flags) {
  return count_pair(original::pipe2(pair, flags), pair, __builtin_return_address(0));
}
int socketpair_hook(int domain, int type, int protocol, int* pair) {
  return count_pair(original::socketpair(domain, type, protocol, pair), pair, __builtin_return_address(0));
}

// There is a mode when a file may be made; reading one that is not there does no harm on these machines.
template <auto& function>
int open_hook(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = va_arg(rest, unsigned);
  va_end(rest);
  return count(function(path, flags, mode), __builtin_return_address(0));
}

template <auto& function>
int openat_hook(int directory, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = va_arg(rest, unsigned);
  va_end(rest);
  return count(function(directory, path, flags, mode), __builtin_return_address(0));
}

template <auto& function>
int fcntl_hook(int descriptor, int command, ...) {
  va_list rest;
  va_start(rest, command);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  const int result = function(descriptor, command, argument);
  const bool opens = command == F_DUPFD || command == F_DUPFD_CLOEXEC;
  return opens ? count(result, __builtin_return_address(0)) : result;
}

// What program_hooks.cc does for programs that leave no descriptor.
FILE* popen_with_open_signals(const char* command, const char* mode) {
  const OpenSignals open;
  return original::popen(command, mode);
}
FILE* popen_hook(const char* command, const char* mode) {
  FILE* const stream = popen_with_open_signals(command, mode);
  if (stream != nullptr) count(fileno(stream), __builtin_return_address(0));
  return stream;
}

// A signalfd may be asked to change one that there is.
int signalfd_hook(int descriptor, const void* mask, int flags) {
  const int result = original::signalfd(descriptor, mask, flags);
  return descriptor == -1 ? count(result, __builtin_return_address(0)) : result;
}

template <typename Duplicate>
int replace(int to, ImageIndex image, const char* call, Duplicate duplicate) {
  const descriptors::Closing closing = descriptors::begin_close(to, image, call);
  if (!closing.is_allowed) return refused();
  const int result = duplicate();
  if (result >= 0) {
    descriptors::opened(result, image);
  } else {
    descriptors::not_closed(to, image, closing);
  }
  return result;
}

int dup2_hook(int from, int to) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  if (from == to) return original::dup2(from, to);
  return replace(to, image, "dup2", [=] { return original::dup2(from, to); });
}

int dup3_hook(int from, int to, int flags) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  return replace(to, image, "dup3", [=] { return original::dup3(from, to, flags); });
}

int close_hook(int descriptor) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  return descriptors::begin_close(descriptor, image, "close").is_allowed ? original::close(descriptor) : refused();
}

template <auto& function>
int close_stream_hook(FILE* stream) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  const int before = errno;
  const int descriptor = stream == nullptr ? -1 : fileno(stream);
  errno = before;
  return descriptors::begin_close(descriptor, image, "fclose").is_allowed ? function(stream) : refused();
}

int closedir_hook(DIR* directory) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  const int before = errno;
  const int descriptor = directory == nullptr ? -1 : dirfd(directory);
  errno = before;
  return descriptors::begin_close(descriptor, image, "closedir").is_allowed ? original::closedir(directory) : refused();
}

int close_range_hook(unsigned first, unsigned last, int flags) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  constexpr int kOnlyMarks = 4;  // CLOSE_RANGE_CLOEXEC
  const bool closes = (flags & kOnlyMarks) == 0 && first <= last;
  if (closes && !descriptors::may_close_range(first, last, image, "close_range")) return refused();
  const int result = original::close_range(first, last, flags);
  if (closes && result == 0) descriptors::closed_range(first, last, image);
  return result;
}

void closefrom_hook(int first) {
  const ImageIndex image = calling_image(__builtin_return_address(0));
  const unsigned begin = first < 0 ? 0 : static_cast<unsigned>(first);
  if (!descriptors::may_close_range(begin, ~0U, image, "closefrom")) return;
  original::closefrom(first);
  descriptors::closed_range(begin, ~0U, image);
}

template <auto& function>
ImportHook opens(const char* name) {
  return import_hook(name, &Opens<function>::call, function);
}

}  // namespace

void add_descriptor_hooks(std::vector<ImportHook>& hooks) {
  hooks.insert(hooks.end(), {
                                import_hook("open", &open_hook<original::open>, original::open),
                                import_hook("open64", &open_hook<original::open64>, original::open64),
                                import_hook("openat", &openat_hook<original::openat>, original::openat),
                                import_hook("openat64", &openat_hook<original::openat64>, original::openat64),
                                import_hook("fcntl", &fcntl_hook<original::fcntl>, original::fcntl),
                                import_hook("fcntl64", &fcntl_hook<original::fcntl64>, original::fcntl64),
                                opens<original::open_2>("__open_2"),
                                opens<original::open64_2>("__open64_2"),
                                opens<original::openat_2>("__openat_2"),
                                opens<original::openat64_2>("__openat64_2"),
                                opens<original::creat>("creat"),
                                opens<original::creat64>("creat64"),
                                opens<original::mkstemp>("mkstemp"),
                                opens<original::mkstemp64>("mkstemp64"),
                                opens<original::mkostemp>("mkostemp"),
                                opens<original::mkostemp64>("mkostemp64"),
                                opens<original::socket>("socket"),
                                opens<original::accept>("accept"),
                                opens<original::accept4>("accept4"),
                                opens<original::dup>("dup"),
                                opens<original::eventfd>("eventfd"),
                                opens<original::epoll_create>("epoll_create"),
                                opens<original::epoll_create1>("epoll_create1"),
                                opens<original::timerfd_create>("timerfd_create"),
                                opens<original::memfd_create>("memfd_create"),
                                opens<original::shm_open>("shm_open"),
                                opens<original::inotify_init>("inotify_init"),
                                opens<original::inotify_init1>("inotify_init1"),
                                opens<original::pidfd_open>("pidfd_open"),
                                opens<original::posix_openpt>("posix_openpt"),
                                opens<original::getpt>("getpt"),
                                opens<original::fopen>("fopen"),
                                opens<original::fopen64>("fopen64"),
                                opens<original::tmpfile>("tmpfile"),
                                opens<original::tmpfile64>("tmpfile64"),
                                import_hook("popen", &popen_hook, original::popen),
                                opens<original::opendir>("opendir"),
                                import_hook("signalfd", &signalfd_hook, original::signalfd),
                                import_hook("pipe", &pipe_hook, original::pipe),
                                import_hook("pipe2", &pipe2_hook, original::pipe2),
                                import_hook("socketpair", &socketpair_hook, original::socketpair),
                                import_hook("dup2", &dup2_hook, original::dup2),
                                import_hook("dup3", &dup3_hook, original::dup3),
                                import_hook("close", &close_hook, original::close),
                                import_hook("fclose", &close_stream_hook<original::fclose>, original::fclose),
                                import_hook("pclose", &close_stream_hook<original::pclose>, original::pclose),
                                import_hook("closedir", &closedir_hook, original::closedir),
                                import_hook("close_range", &close_range_hook, original::close_range),
                                import_hook("closefrom", &closefrom_hook, original::closefrom),
                            });
}

}  // namespace tenon::core
