#include "process_audit.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "clock.h"
#include "guard_notes.h"
#include "image_threads.h"
#include "signal_name.h"

#if defined(__linux__)
#include <sys/auxv.h>
extern char** environ;
#elif defined(__APPLE__)
#include <crt_externs.h>
#include <mach-o/dyld.h>
#endif

namespace tenon::core {

namespace {

// What was seen so lately is still so.
constexpr uint64_t kFreshNs = 1'000'000;
constexpr size_t kMostVariables = 65536;
constexpr size_t kNamed = 8;

char** environment() {
#if defined(__APPLE__)
  return *_NSGetEnviron();
#else
  return environ;
#endif
}

const void* base_of_image(const void* address) {
  Dl_info found = {};
  return address != nullptr && dladdr(address, &found) != 0 ? found.dli_fbase : nullptr;
}

const void* main_image() {
#if defined(__linux__)
  const unsigned long headers = getauxval(AT_PHDR);
  const void* address = nullptr;
  std::memcpy(&address, &headers, sizeof address);
  return base_of_image(address);
#elif defined(__APPLE__)
  return _dyld_get_image_header(0);
#else
  return nullptr;
#endif
}

const void* handler_of(const struct sigaction& action) {
  const void* address = nullptr;
  if ((action.sa_flags & SA_SIGINFO) != 0) {
    std::memcpy(&address, &action.sa_sigaction, sizeof address);
  } else {
    std::memcpy(&address, &action.sa_handler, sizeof address);
  }
  return address;
}

// SIG_DFL and SIG_IGN are none.
bool is_function(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 || (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN);
}

bool is_same(const struct sigaction& one, const struct sigaction& other) {
  constexpr auto kMatters = static_cast<unsigned>(SA_SIGINFO | SA_ONSTACK | SA_NODEFER) | SA_RESETHAND;
  return handler_of(one) == handler_of(other) && is_function(one) == is_function(other) &&
         (static_cast<unsigned>(one.sa_flags) & kMatters) == (static_cast<unsigned>(other.sa_flags) & kMatters);
}

int open_directory() {
#if defined(O_PATH)
  return open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
#else
  return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
#endif
}

// What Node and libuv never let go of, once they have it.
bool is_kept(int signal) {
  switch (signal) {
    case SIGILL:
    case SIGTRAP:
    case SIGABRT:
    case SIGBUS:
    case SIGFPE:
    case SIGSEGV:
    case SIGSYS:
    case SIGPIPE:
      return true;
    default:
      return signal == thread_probe_signal();
  }
}

bool is_watched(int signal, const ProcessAudit::Loop& loop) {
  return loop.watches != nullptr && loop.watches(loop.context, signal);
}

// Of signals that the host has a use for: what it has put there is gone.
bool is_gone(int signal, const struct sigaction& before, const struct sigaction& after,
             const ProcessAudit::Loop& loop) {
  const bool had_none = (before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_DFL;
  if (had_none || is_function(after) || is_same(before, after)) return false;
  return is_kept(signal) || (is_function(before) && is_watched(signal, loop));
}

ImageIndex image_of_handler(const struct sigaction& action) {
  if (!is_function(action)) return kNoImage;
  const void* const handler = handler_of(action);
  uintptr_t address = 0;
  std::memcpy(&address, &handler, sizeof address);
  return image_registry::find(address);
}

// The last one of each part.
std::array<std::atomic<ImageIndex>, 2> changers = {{{kNoImage}, {kNoImage}}};

void forget_changers() {
  for (std::atomic<ImageIndex>& changer : changers) changer.store(kNoImage, std::memory_order_relaxed);
}

std::string octal(mode_t mask) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mask & 07777u));
  return text;
}

std::string name_of_variable(const char* variable) {
  const size_t size = strnlen(variable, 64);
  const char* const end = static_cast<const char*>(std::memchr(variable, '=', size));
  std::string name(variable, end == nullptr ? size : static_cast<size_t>(end - variable));
  for (char& letter : name) {
    if (letter < 0x20 || letter > 0x7e) letter = '?';
  }
  return name;
}

}  // namespace

void note_changer(ProcessPart part, ImageIndex image) {
  changers[static_cast<size_t>(part)].store(image, std::memory_order_relaxed);
}

ProcessAudit& ProcessAudit::instance() {
  static ProcessAudit& audit = *std::unique_ptr<ProcessAudit>(new ProcessAudit()).release();
  return audit;
}

ProcessAudit::ProcessAudit() {
  const void* own = nullptr;
  const auto function = &base_of_image;
  std::memcpy(&own, &function, sizeof own);
  // Node may be the program, or a library of another one.
  for (const void* image : {base_of_image(own), main_image(), base_of_image(dlsym(RTLD_DEFAULT, "uv_run")),
                            base_of_image(dlsym(RTLD_DEFAULT, "napi_create_function"))}) {
    if (image != nullptr) host_code_.push_back(image);
  }
}

bool ProcessAudit::is_host_code(const void* address) const {
  const void* const image = base_of_image(address);
  return image != nullptr && std::find(host_code_.begin(), host_code_.end(), image) != host_code_.end();
}

#if defined(__linux__)

// The descriptor is kept, and no longer ours when a plugin has closed it: then it is opened again.
bool ProcessAudit::read_mask(mode_t& mask) {
  for (const bool again : {false, true}) {
    if (status_ < 0 || again) status_ = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (status_ < 0) return false;
    char text[256];
    const ssize_t size = pread(status_, text, sizeof text - 1, 0);
    if (size > 0) {
      text[size] = 0;
      const char* const line = std::strstr(text, "\nUmask:");
      if (line != nullptr) return mask = static_cast<mode_t>(std::strtoul(line + 7, nullptr, 8)), true;
    }
  }
  return false;
}

#else

// There is no way to ask without setting it. What other threads make meanwhile is nobody else's.
bool ProcessAudit::read_mask(mode_t& mask) {
  mask = umask(077);
  umask(mask);
  return true;
}

#endif

void ProcessAudit::read(Facts& facts) {
  struct stat directory = {};
  facts.has_directory = stat(".", &directory) == 0;
  facts.device = directory.st_dev;
  facts.directory = directory.st_ino;
  facts.has_mask = read_mask(facts.mask);
  const char* const locale = setlocale(LC_ALL, nullptr);
  facts.locale.assign(locale == nullptr ? "" : locale);
  facts.environment.clear();
  char** variable = environment();
  for (size_t count = 0; variable != nullptr && *variable != nullptr && count < kMostVariables; count++) {
    facts.environment.push_back(*variable++);
  }
  const auto read_action = [&facts](int signal) {
    const auto index = static_cast<size_t>(signal);
    facts.has_action[index] = sigaction(signal, nullptr, &facts.actions[index]) == 0;
  };
  for (int signal = 1; signal < 32; signal++) {
    if (signal != SIGKILL && signal != SIGSTOP) read_action(signal);
  }
  if (const int probe = thread_probe_signal(); probe >= 32 && probe < kSignals) read_action(probe);
}

// A descriptor that a plugin has closed may be anything by now.
bool ProcessAudit::has_home() const {
  struct stat home = {};
  return home_ >= 0 && fstat(home_, &home) == 0 && home.st_dev == before_.device && home.st_ino == before_.directory;
}

// What is there is as the host wants it.
void ProcessAudit::settle(Facts& facts) {
  const bool moved = !before_.has_directory || facts.device != before_.device || facts.directory != before_.directory;
  const bool had_home = has_home();
  std::swap(before_, facts);
  looked_ = now();
  forget_changers();
  entries_.take();
  if (!moved && had_home) return;
  if (had_home) close(home_);
  home_ = open_directory();
}

ProcessAudit::Section ProcessAudit::begin(ImageIndex image, const Loop& loop) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (under_way_ == 0) {
    const bool first = looked_ == 0;
    if (later_ && latest_.image != image) {
      latest_.certain = false;
      compare(latest_, loop);
    }
    if (!later_ && now() - looked_ > kFreshNs) {
      read(after_);
      // What has come in meanwhile and cannot be the host's.
      for (int signal = 1; !first && signal < kSignals; signal++) put_back_strange(signal, loop);
      settle(after_);
    }
  }
  Section section;
  section.image = image;
  section.number = ++begun_;
  section.alone = under_way_++ == 0;
  section.open = true;
  return section;
}

// Put back of `signal` what nobody but a plugin can have made of it.
void ProcessAudit::put_back_strange(int signal, const Loop& loop) {
  const auto index = static_cast<size_t>(signal);
  const struct sigaction& before = before_.actions[index];
  struct sigaction& after = after_.actions[index];
  if (!before_.has_action[index] || !after_.has_action[index] || is_same(before, after)) return;
  if (!is_gone(signal, before, after, loop) && image_of_handler(after) == kNoImage) return;
  compare_action(signal, {kNoImage, "", false}, loop);
  after = before;
}

void ProcessAudit::look_at_kept(const Loop& loop) {
  const std::lock_guard<std::mutex> lock(mutex_);
  // The look after a step is for what is done in it. Of two steps with one look the second may never come: a plugin
  // need not have it.
  if (looked_ == 0 || under_way_ > 0) return;
  if (later_) return compare(latest_, loop);
  for (int signal = 1; signal < kSignals; signal++) {
    const auto index = static_cast<size_t>(signal);
    struct sigaction& before = before_.actions[index];
    const struct sigaction& after = after_.actions[index];
    if (!before_.has_action[index]) continue;
    after_.has_action[index] = sigaction(signal, nullptr, &after_.actions[index]) == 0;
    if (!after_.has_action[index] || is_same(before, after)) continue;
    // The host has begun to wait for it since.
    if (!is_kept(signal) && is_function(after) && is_host_code(handler_of(after))) {
      before = after;
      continue;
    }
    // What nobody waits for a plugin may have a use for in a call: the look of the next step is for that.
    if (is_kept(signal) || is_watched(signal, loop)) put_back_strange(signal, loop);
  }
}

void ProcessAudit::end(Section& section, const char* step, Look look, const Loop& loop) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!std::exchange(section.open, false)) return;
  under_way_--;
  const bool alone = section.alone && begun_ == section.number;
  if (later_ && latest_.image == section.image) {
    latest_.certain = latest_.certain && alone;
  } else {
    latest_ = {section.image, step, alone && !later_};
  }
  latest_.step = step;
  later_ = look == Look::Later;
  if (!later_) compare(latest_, loop);
}

void ProcessAudit::compare(const Culprit& suspect, const Loop& loop) {
  later_ = false;
  read(after_);
  Culprit culprit = suspect;
  culprit.certain = culprit.certain && entries_.is_only(culprit.image);
  if (before_.has_directory && after_.has_directory &&
      (before_.device != after_.device || before_.directory != after_.directory)) {
    compare_directory(culprit);
  }
  if (before_.has_mask && after_.has_mask && before_.mask != after_.mask) compare_mask(culprit);
  if (before_.locale != after_.locale) compare_locale(culprit);
  if (before_.environment != after_.environment) compare_environment(culprit);
  for (int signal = 1; signal < kSignals; signal++) {
    const auto index = static_cast<size_t>(signal);
    if (!before_.has_action[index] || !after_.has_action[index]) continue;
    if (!is_same(before_.actions[index], after_.actions[index])) compare_action(signal, culprit, loop);
  }
  looked_ = now();
  forget_changers();
  entries_.take();
}

// Whether it is a plugin that has changed it, and then which one. In a process that is shared nothing else says so.
bool ProcessAudit::is_known_change(ProcessPart part, Culprit& culprit) const {
  const ImageIndex changer = changers[static_cast<size_t>(part)].load(std::memory_order_relaxed);
  if (changer != kNoImage) {
    culprit.image = changer;
    culprit.certain = true;
    return true;
  }
  if (!shared_.load(std::memory_order_relaxed)) return true;
  culprit.certain = false;
  return false;
}

void ProcessAudit::compare_directory(Culprit culprit) {
  char path[512];
  const std::string found = getcwd(path, sizeof path) == nullptr ? "another" : path;
  const bool restored = is_known_change(ProcessPart::Directory, culprit) && has_home() && fchdir(home_) == 0;
  note_guard({culprit.image, "directory",
              std::string("after ") + culprit.step + " the working directory of the process was " + found, restored,
              culprit.certain});
  if (restored) return;
  if (has_home()) close(home_);
  before_.device = after_.device;
  before_.directory = after_.directory;
  home_ = open_directory();
}

void ProcessAudit::compare_mask(Culprit culprit) {
  const bool restored = is_known_change(ProcessPart::Mask, culprit);
  if (restored) umask(before_.mask);
  note_guard({culprit.image, "umask",
              std::string("after ") + culprit.step + " the umask of the process was " + octal(after_.mask) +
                  " in place of " + octal(before_.mask),
              restored, culprit.certain});
  if (!restored) before_.mask = after_.mask;
}

void ProcessAudit::compare_locale(const Culprit& culprit) {
  const bool restored = setlocale(LC_ALL, before_.locale.c_str()) != nullptr;
  note_guard({culprit.image, "locale",
              std::string("after ") + culprit.step + " the locale of the process was " + after_.locale.substr(0, 128) +
                  " in place of " + before_.locale.substr(0, 128),
              restored, culprit.certain});
  if (!restored) before_.locale = after_.locale;
}

void ProcessAudit::compare_environment(const Culprit& culprit) {
  std::vector<const char*> known = before_.environment;
  std::sort(known.begin(), known.end());
  std::string names;
  size_t fresh = 0;
  for (const char* const variable : after_.environment) {
    if (std::binary_search(known.begin(), known.end(), variable)) continue;
    if (fresh++ < kNamed) names += (names.empty() ? "" : ", ") + name_of_variable(variable);
  }
  if (fresh > kNamed) names += " and " + std::to_string(fresh - kNamed) + " more";
  std::string text = std::string("after ") + culprit.step + " the environment of the process had ";
  text += fresh == 0 ? "fewer variables" : "set or changed: " + names;
  before_.environment = after_.environment;
  note_guard({culprit.image, "environment", std::move(text), false, culprit.certain});
}

void ProcessAudit::compare_action(int signal, const Culprit& culprit, const Loop& loop) {
  const auto index = static_cast<size_t>(signal);
  struct sigaction& before = before_.actions[index];
  const struct sigaction& after = after_.actions[index];
  const bool handled = is_function(after);
  ImageIndex image = culprit.image;
  bool certain = culprit.certain;
  bool is_strange = false;
  if (handled) {
    // Named by the handler itself.
    if (const ImageIndex owner = image_of_handler(after); owner != kNoImage) {
      image = owner;
      certain = true;
    } else if (is_host_code(handler_of(after))) {
      before = after;
      return;
    } else {
      // It may be that of another addon, or of a library of a plugin.
      is_strange = true;
      certain = false;
    }
  } else if (after.sa_handler == SIG_DFL && is_function(before) && !is_kept(signal)) {
    // As libuv leaves it when nobody waits for it any more.
    if (!is_watched(signal, loop)) {
      before = after;
      return;
    }
  }
  const bool restored = !is_strange && sigaction(signal, &before, nullptr) == 0;
  // Children have ended meanwhile, and nobody was told.
  if (restored && signal == SIGCHLD && is_function(before)) kill(getpid(), SIGCHLD);
  std::string text = *culprit.step == 0 ? std::string("meanwhile ") : std::string("after ") + culprit.step + " ";
  text += name_of_signal(signal);
  text += handled                       ? " had a handler that is not the host's"
          : after.sa_handler == SIG_IGN ? " was ignored"
                                        : " was at its default";
  note_guard({image, "signals", std::move(text), restored, certain});
  if (!restored) before = after;
}

SignalMaskAudit::SignalMaskAudit() { pthread_sigmask(SIG_SETMASK, nullptr, &mask_); }

void SignalMaskAudit::look(ImageIndex image, bool certain) {
  sigset_t mask;
  if (pthread_sigmask(SIG_SETMASK, nullptr, &mask) != 0) return;
  bool same = true;
  for (int signal = 1; signal < 32; signal++) same = same && sigismember(&mask, signal) == sigismember(&mask_, signal);
  if (same) return;
  const bool restored = pthread_sigmask(SIG_SETMASK, &mask_, nullptr) == 0;
  note_guard({image, "signals", "it left the thread of the event loop with other signals blocked than before", restored,
              certain});
}

}  // namespace tenon::core
