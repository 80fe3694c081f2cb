#include "trial.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/prctl.h>
#include <sys/syscall.h>
#endif

#include "../core/route.h"
#include "crash_place.h"
#include "environment.h"
#include "inert_host.h"
#include "sandbox.h"
#include "tenon/entry.h"
#include "tenon/ext/http.h"

namespace tenon::runner {
namespace {

using Clock = std::chrono::steady_clock;
using Nonce = std::array<uint8_t, 16>;

constexpr size_t kTailBytes = 4096;
constexpr size_t kReadBytes = 65536;
constexpr size_t kMessageBytes = 3584;
constexpr size_t kLineBytes = 2 << 20;
constexpr rlim_t kOpenFiles = 64;
constexpr rlim_t kFileBytes = 1 << 20;
constexpr rlim_t kStackBytes = 1 << 20;      // that of a control thread; the host opens libraries on one of 2 MiB
constexpr int kLowestDescriptor = 200;       // of the child's own: above what a library is allowed to open
constexpr std::chrono::seconds kEndTime(1);  // of a killed child: one that waits for a device may never end
constexpr int kQuietMs = 5;                  // before a child is made ready: an answer just given is worth more

enum class Stage : uint8_t { Start, Open, Entry, Create, Initialize, Routes, Health, Destroy };
constexpr const char* kStages[] = {"start", "open", "entry", "create", "initialize", "routes", "health", "destroy"};

enum class Outcome : uint8_t {
  Passed,
  OpenFailed,
  Mismatch,
  Unconfined,
  Refused,
  Crashed,
  Exited,
  Timeout,
  Unavailable
};
constexpr const char* kOutcomes[] = {"passed",  "openFailed", "mismatch", "unconfined", "refused",
                                     "crashed", "exited",     "timeout",  "unavailable"};

// What a child tells: where it is, or crashes (no verdict), or, on a way of its own, its verdict. One write of at most
// PIPE_BUF bytes, so never in pieces.
struct Frame {
  Nonce nonce;
  Stage stage;
  uint8_t is_verdict;
  Outcome outcome;
  uint8_t is_call;  // of a crash: as CrashPlace
  int32_t status;
  uint32_t message_size;
  uint64_t offset;  // of a crash: as CrashPlace
};

// What the child of an isolated plugin is held to.
struct Confined {
  wire::RunnerSettings settings;
  std::string temporary;
};

struct Request {
  std::string id;
  long deadline_ms = 0;
  rlim_t memory_bytes = 0;
  rlim_t cpu_seconds = 0;
  std::string plugin;
  std::string path;
  std::optional<Confined> confined;
  std::string line;  // all of it, as it came
};

// A descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      close();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { close(); }

  int get() const { return number_; }
  void close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_ = -1;
};

struct Pipe {
  Descriptor read;
  Descriptor write;
};

bool adopt(const int (&ends)[2], Pipe& result) {
  result.read = Descriptor(ends[0]);
  result.write = Descriptor(ends[1]);
  return fcntl(ends[0], F_SETFD, FD_CLOEXEC) == 0 && fcntl(ends[1], F_SETFD, FD_CLOEXEC) == 0 &&
         fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0;
}

// The read end never blocks.
bool open_pipe(Pipe& result) {
  int ends[2];
  return pipe(ends) == 0 && adopt(ends, result);
}

// The same, but both ends read and write.
bool open_channel(Pipe& result) {
  int ends[2];
  return socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && adopt(ends, result);
}

std::string signal_name(int number) {
  struct Name {
    int number;
    const char* text;
  };
  constexpr Name kNames[] = {{SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},
                             {SIGILL, "SIGILL"},   {SIGKILL, "SIGKILL"}, {SIGTRAP, "SIGTRAP"}, {SIGSYS, "SIGSYS"},
                             {SIGTERM, "SIGTERM"}, {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGXFSZ, "SIGXFSZ"}};
  for (const Name& name : kNames)
    if (name.number == number) return name.text;
  return "SIG" + std::to_string(number);
}

// Requests -------------------------------------------------------------------------------------------------------

std::optional<std::string> unhex(std::string_view text) {
  std::string bytes;
  if (text.empty() || text.size() % 2 != 0) return std::nullopt;
  for (size_t i = 0; i < text.size(); i += 2) {
    uint8_t byte = 0;
    const auto [end, error] = std::from_chars(text.data() + i, text.data() + i + 2, byte, 16);
    if (error != std::errc() || end != text.data() + i + 2 || byte == 0) return std::nullopt;
    bytes += static_cast<char>(byte);
  }
  return bytes;
}

template <typename Number>
bool parse(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> words;
  for (size_t from = 0; from <= text.size();) {
    const size_t to = std::min(text.find(separator, from), text.size());
    words.push_back(text.substr(from, to - from));
    from = to + 1;
  }
  return words;
}

std::optional<Confined> parse_confined(std::string_view text) {
  const auto words = split(text, ',');
  uint32_t sandbox = 0;
  size_t hidden = 0;
  Confined confined;
  wire::RunnerSettings& settings = confined.settings;
  if (words.size() < 4 || !parse(words[0], sandbox) || sandbox > 2 || !parse(words[1], settings.processes) ||
      !parse(words[2], hidden) || hidden > words.size() - 4)
    return std::nullopt;
  settings.sandbox = sandbox > 0;
  settings.needs_all = sandbox == 2;
  for (size_t index = 3; index < words.size(); index++) {
    auto path = unhex(words[index]);
    if (!path || path->front() != '/') return std::nullopt;
    (index < 3 + hidden ? settings.hidden : settings.writable).push_back(std::move(*path));
  }
  confined.temporary = settings.writable.front();
  return confined;
}

std::optional<Request> parse_request(std::string_view line) {
  const auto words = split(line, ' ');
  Request request;
  if (words.size() < 7 || words.size() > 8 || words[0] != "try") return std::nullopt;
  if (words.size() == 8) {
    request.confined = parse_confined(words[7]);
    if (!request.confined) return std::nullopt;
  }
  const auto path = unhex(words[6]);
  if (words[1].empty() || !path || path->front() != '/' || !parse(words[2], request.deadline_ms) ||
      request.deadline_ms < 1 || request.deadline_ms > 3'600'000 || !parse(words[3], request.memory_bytes) ||
      !parse(words[4], request.cpu_seconds))
    return std::nullopt;
  request.id = words[1];
  request.plugin = words[5];
  request.path = *path;
  request.line.assign(line).push_back('\n');
  return request;
}

// The child ------------------------------------------------------------------------------------------------------

// The child's ends.
struct Ends {
  int channel;  // the request comes from here, the verdict goes there
  int stages;
  int output;
  int null;
};

class Child {
 public:
  explicit Child(const Nonce& nonce) : nonce_(nonce) {}

  [[noreturn]] void run(pid_t parent, const Ends& ends, bool early) {
    if (!confine(parent, ends)) _exit(127);
    if (early) warm_up();
    if (!await_request()) _exit(0);
    if (!confine_further()) _exit(127);
    running_ = this;
    tell_crash_place(request_.path.c_str(),
                     [](int signal, const CrashPlace& place) { running_->tell_crash(signal, place); });
    run_stages();
    await_end();
    _exit(0);
  }

 private:
  bool confine(pid_t parent, const Ends& ends) {
    setsid();
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#endif
    if (getppid() != parent) return false;
    signal(SIGCHLD, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN);  // a write past the limit fails and kills nobody
    if (dup2(ends.null, 0) < 0 || dup2(ends.output, 1) < 0 || dup2(ends.output, 2) < 0) return false;
    channel_ = fcntl(ends.channel, F_DUPFD_CLOEXEC, kLowestDescriptor);
    stages_ = fcntl(ends.stages, F_DUPFD_CLOEXEC, channel_ + 1);
    if (channel_ < 0 || stages_ < 0) return false;
    close_others();
    umask(077);
    limit(RLIMIT_CORE, 0, 0);
    limit(RLIMIT_NOFILE, kOpenFiles, kOpenFiles);
    limit(RLIMIT_FSIZE, kFileBytes, kFileBytes);
    limit(RLIMIT_STACK, kStackBytes, kStackBytes);
    return true;
  }

  // After a fork each page costs a fault when it is first touched: better now than while somebody waits.
  static void warm_up() {
#if defined(MADV_POPULATE_WRITE)
    constexpr uintptr_t kMostBytes = 8 << 20;
    const Descriptor file(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
    std::array<char, 4096> buffer;
    std::string text;
    for (ssize_t size; file.get() >= 0 && (size = read(file.get(), buffer.data(), buffer.size())) > 0;)
      text.append(buffer.data(), static_cast<size_t>(size));
    for (size_t at = 0; at < text.size(); at = std::min(text.find('\n', at), text.size() - 1) + 1) {
      uintptr_t from = 0;
      uintptr_t to = 0;
      char access[5] = "";
      if (std::sscanf(text.c_str() + at, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, access) != 3) continue;
      if (access[0] != 'r' || to - from > kMostBytes) continue;
      madvise(reinterpret_cast<void*>(from), to - from, access[1] == 'w' ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
    }
#endif
  }

  // False when there will be none.
  bool await_request() {
    std::array<char, 4096> buffer;
    std::string line;
    while (line.empty() || line.back() != '\n') {
      const ssize_t size = read(channel_, buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return false;
      line.append(buffer.data(), static_cast<size_t>(size));
    }
    line.pop_back();
    auto request = parse_request(line);
    if (!request) return false;
    request_ = std::move(*request);
    return true;
  }

  // The end of a process is work, and who is to hear the verdict may need this processor: it ends this one, or dies.
  void await_end() const {
    char byte = 0;
    while (read(channel_, &byte, 1) > 0 || errno == EINTR) errno = 0;
  }

  bool confine_further() const {
    if (request_.cpu_seconds != 0) limit(RLIMIT_CPU, request_.cpu_seconds, request_.cpu_seconds + 1);
    if (request_.memory_bytes != 0) {
      // DATA counts what is really written; AS stops reservations without end, which allocators and stacks make freely.
      limit(RLIMIT_DATA, request_.memory_bytes, request_.memory_bytes);
      const rlim_t reserved = request_.memory_bytes > RLIM_INFINITY / 4 ? RLIM_INFINITY : request_.memory_bytes * 4;
      limit(RLIMIT_AS, reserved, reserved);
    }
    if (!request_.confined) return true;
    clear_environment(request_.confined->temporary);
    const Descriptor library(open(request_.path.c_str(), O_RDONLY | O_CLOEXEC));
    wire::Confinement confinement;
    std::string problem;
    const wire::RunnerSettings& settings = request_.confined->settings;
    if (!enter_sandbox(settings, library.get(), confinement, problem)) return false;
    const std::string what = lacking(settings, confinement);
    if (!what.empty()) end(Outcome::Unconfined, 0, what);
    return what.empty();
  }

  static void limit(decltype(RLIMIT_CORE) what, rlim_t soft, rlim_t hard) {
    rlimit now;
    if (getrlimit(what, &now) != 0) return;
    const rlimit wanted = {std::min(soft, now.rlim_max), std::min(hard, now.rlim_max)};
    setrlimit(what, &wanted);
  }

  void close_others() const {
    const auto first = static_cast<unsigned>(channel_);
    const auto second = static_cast<unsigned>(stages_);
#if defined(__linux__) && defined(SYS_close_range)
    const auto close_range = [](unsigned from, unsigned to) {
      return from > to || syscall(SYS_close_range, from, to, 0u) == 0;
    };
    if (close_range(3, first - 1) && close_range(first + 1, second - 1) && close_range(second + 1, ~0u)) return;
#endif
    const long most = sysconf(_SC_OPEN_MAX);
    for (long i = 3; i < (most > 0 ? most : 1024); i++)
      if (i != static_cast<long>(first) && i != static_cast<long>(second)) close(static_cast<int>(i));
  }

  void tell(bool is_verdict, Outcome outcome, int32_t status, std::string_view message) const {
    message = message.substr(0, kMessageBytes);
    std::array<char, sizeof(Frame) + kMessageBytes> bytes;
    const Frame frame = {nonce_, stage_, is_verdict, outcome, 0, status, static_cast<uint32_t>(message.size()), 0};
    std::memcpy(bytes.data(), &frame, sizeof frame);
    if (!message.empty()) std::memcpy(bytes.data() + sizeof frame, message.data(), message.size());
    // When it cannot be written the trial has not passed, which is what the other end concludes.
    [[maybe_unused]] const ssize_t written =
        write(is_verdict ? channel_ : stages_, bytes.data(), sizeof frame + message.size());
  }
  void tell_crash(int signal, const CrashPlace& place) const {
    const Frame frame = {nonce_, stage_, 0, Outcome::Crashed, place.is_call, signal, 0, place.offset};
    [[maybe_unused]] const ssize_t written = write(stages_, &frame, sizeof frame);
  }
  void begin(Stage stage) {
    stage_ = stage;
    tell(false, Outcome::Passed, 0, {});
  }
  void end(Outcome outcome, int32_t status, std::string_view message) const { tell(true, outcome, status, message); }
  void broke(std::string_view rule) const { end(Outcome::Refused, TENON_ERROR_ARGUMENT, rule); }
  bool accepted(tenon_status status) const {
    if (status == TENON_OK) return true;
    end(Outcome::Refused, status, last_log_message());
    return false;
  }

  void run_stages() {
    begin(Stage::Open);
    void* const library = dlopen(request_.path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* const reason = dlerror();
      return end(Outcome::OpenFailed, 0, reason == nullptr ? "no reason was given" : reason);
    }
    begin(Stage::Entry);
    void* const symbol = dlsym(library, TENON_ENTRY_SYMBOL);
    if (symbol == nullptr) return end(Outcome::OpenFailed, 0, TENON_ENTRY_SYMBOL " was not found in the open library");
    decltype(&tenon_plugin_entry) entry = nullptr;
    static_assert(sizeof entry == sizeof symbol);
    std::memcpy(&entry, &symbol, sizeof entry);
    const tenon_plugin_descriptor_t* const descriptor = entry();
    if (!descriptor_is_sound(descriptor)) return;
    if (descriptor->trial == TENON_TRIAL_OPEN) return end(Outcome::Passed, 0, {});

    begin(Stage::Create);
    tenon_plugin_t* plugin = nullptr;
    if (!accepted(descriptor->create(inert_host(), &plugin))) return;
    if (plugin == nullptr) return broke("create answered TENON_OK without a plugin");
    if (plugin->size < sizeof(tenon_plugin_t)) return broke("the size of tenon_plugin_t is too small");
    if (plugin->destroy == nullptr) return broke("the plugin has no destroy");
    if (plugin->get_extension == nullptr) return broke("the plugin has no get_extension");
    begin(Stage::Initialize);
    if (plugin->initialize != nullptr && !accepted(plugin->initialize(plugin))) return;
    begin(Stage::Routes);
    if (!routes_are_sound(plugin)) return;
    begin(Stage::Health);
    if (plugin->health != nullptr && !accepted(plugin->health(plugin))) return;
    begin(Stage::Destroy);
    plugin->destroy(plugin);
    end(Outcome::Passed, 0, routes_);
  }

  bool routes_are_sound(tenon_plugin_t* plugin) {
    const auto* const http = static_cast<const tenon_plugin_http_t*>(plugin->get_extension(plugin, TENON_HTTP_ID));
    if (http == nullptr) return true;
    std::string problem = "its tenon.http/1 lacks route_count, route or handle";
    // The settings of a host are not known here, and decide over none.
    constexpr core::RouteDefaults kAny = {1, 1, 1};
    const bool whole = TENON_HAS(http, route_count) && TENON_HAS(http, route) && TENON_HAS(http, handle);
    if (const auto table = whole ? core::check_routes(plugin, *http, kAny, problem) : std::nullopt) {
      list(table->routes);
      return true;
    }
    return broke(problem), false;
  }

  // As many as a verdict takes, and how many more there are.
  void list(const std::vector<core::Route>& routes) {
    constexpr size_t kCountBytes = 8;
    for (size_t index = 0; index < routes.size(); index++) {
      const core::Route& route = routes[index];
      const std::string line = std::string(core::method_name(route.method)) + " " + route.pattern + "\n";
      if (routes_.size() + line.size() + kCountBytes > kMessageBytes) {
        routes_ += "+" + std::to_string(routes.size() - index) + "\n";
        return;
      }
      routes_ += line;
    }
  }

  bool descriptor_is_sound(const tenon_plugin_descriptor_t* descriptor) const {
    if (descriptor == nullptr) return broke(TENON_ENTRY_SYMBOL " answered NULL"), false;
    if (descriptor->abi_major != TENON_ABI_MAJOR || descriptor->abi_minor > TENON_ABI_MINOR) {
      const std::string built = std::to_string(descriptor->abi_major) + "." + std::to_string(descriptor->abi_minor);
      const std::string spoken = std::to_string(TENON_ABI_MAJOR) + "." + std::to_string(TENON_ABI_MINOR);
      end(Outcome::Mismatch, 0, "plugin built for ABI " + built + ", this host speaks " + spoken);
      return false;
    }
    if (descriptor->size < sizeof(tenon_plugin_descriptor_t))
      return broke("the size of the descriptor is too small"), false;
    if (descriptor->id == nullptr || descriptor->name == nullptr || descriptor->version == nullptr)
      return broke("the descriptor lacks id, name or version"), false;
    const std::string_view id(descriptor->id, strnlen(descriptor->id, TENON_NOTE_ID_SIZE));
    if (id != request_.plugin) {
      end(Outcome::Mismatch, 1,
          "the descriptor says \"" + std::string(id) + "\", expected is \"" + request_.plugin + "\"");
      return false;
    }
    const size_t version_size = strnlen(descriptor->version, TENON_NOTE_VERSION_SIZE);
    if (version_size == 0 || version_size == TENON_NOTE_VERSION_SIZE)
      return broke("the version of the descriptor is not 1 to 31 bytes long"), false;
    if (descriptor->trial > TENON_TRIAL_OPEN)
      return broke("the descriptor asks for a trial that does not exist"), false;
    if (descriptor->create == nullptr) return broke("the descriptor has no create"), false;
    return true;
  }

  static inline const Child* running_ = nullptr;  // for the handler of signals

  Request request_;
  const Nonce nonce_;
  int channel_ = -1;
  int stages_ = -1;
  Stage stage_ = Stage::Start;
  std::string routes_;
};

// The parent -----------------------------------------------------------------------------------------------------

// A child, with the trial it has been given.
struct Trial {
  Request request;
  pid_t pid = 0;
  Nonce nonce{};
  Descriptor channel;
  Descriptor stages;
  Descriptor output;
  Clock::time_point deadline;
  Stage stage = Stage::Start;
  int crash_signal = 0;  // that the child has told of
  CrashPlace crash_place = {};
  std::string frames;  // bytes of the channel that are not a whole frame yet
  std::string tail;
  bool early = false;  // it was there before its request
  std::string answer;  // that is still to be given
  bool answered = false;
  bool killed = false;
};

std::string hex(std::string_view bytes) {
  if (bytes.empty()) return "-";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    text += "0123456789abcdef"[static_cast<uint8_t>(c) >> 4];
    text += "0123456789abcdef"[static_cast<uint8_t>(c) & 15];
  }
  return text;
}

int child_signal_pipe = -1;  // a signal handler sees nothing but this
void on_child_signal(int) {
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(child_signal_pipe, "", 1);
  errno = error;
}

class Trials {
 public:
  int run() {
    if (!set_up()) {
      const std::string reason = std::string("tenon-runner: ") + std::strerror(errno) + "\n";
      [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, reason.data(), reason.size());
      return 1;
    }
    int status = 0;
    for (bool open = true; open;) {
      if (!wait() && lacks_spare()) make_spare();
      reap();
      for (const auto& trial : trials_) listen(*trial);
      expire();
      open = read_requests(status) && write_answers();
      for (const auto& trial : trials_)
        if (trial->answered && !trial->killed) kill_session(*trial);
    }
    end_all();
    return status;
  }

 private:
  bool set_up() {
    if (!open_pipe(signals_) || fcntl(signals_.write.get(), F_SETFL, O_NONBLOCK) != 0) return false;
    child_signal_pipe = signals_.write.get();
    struct sigaction action = {};
    action.sa_handler = on_child_signal;
    action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
    if (sigaction(SIGCHLD, &action, nullptr) != 0) return false;
    prepare_crash_place();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);  // of a terminal: the host decides when this process ends
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
#if defined(__linux__)
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#endif
    null_ = Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC));
    return null_.get() >= 0 && fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0 &&
           fcntl(STDOUT_FILENO, F_SETFL, O_NONBLOCK) == 0;
  }

  // False when nothing came.
  bool wait() {
    polls_.clear();
    polls_.push_back({STDIN_FILENO, POLLIN, 0});
    polls_.push_back({signals_.read.get(), POLLIN, 0});
    if (!answers_.empty()) polls_.push_back({STDOUT_FILENO, POLLOUT, 0});
    long timeout = lacks_spare() ? kQuietMs : -1;
    for (const auto& trial : trials_) {
      if (trial->channel.get() >= 0) polls_.push_back({trial->channel.get(), POLLIN, 0});
      if (trial->output.get() >= 0) polls_.push_back({trial->output.get(), POLLIN, 0});
      if (trial->answered && trial->answer.empty()) continue;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(trial->deadline - Clock::now()).count();
      const long bounded = std::max<long>(static_cast<long>(left), 0);
      timeout = timeout < 0 ? bounded : std::min(timeout, bounded);
    }
    return poll(polls_.data(), static_cast<nfds_t>(polls_.size()), static_cast<int>(timeout)) != 0;
  }

  // Take what the child has sent. What it writes without end is taken a piece at a time.
  void listen(Trial& trial) {
    std::array<char, kReadBytes> buffer;
    if (trial.output.get() >= 0) {
      const ssize_t size = read(trial.output.get(), buffer.data(), buffer.size());
      if (size > 0) {
        trial.tail.append(buffer.data(), static_cast<size_t>(size));
        if (trial.tail.size() > kTailBytes) trial.tail.erase(0, trial.tail.size() - kTailBytes);
      } else if (size == 0 || errno != EAGAIN) {
        trial.output.close();
      }
    }
    if (trial.channel.get() >= 0) {
      const ssize_t size = read(trial.channel.get(), buffer.data(), buffer.size());
      if (size > 0) {
        trial.frames.append(buffer.data(), static_cast<size_t>(size));
        take_verdict(trial);
      } else if (size == 0 || errno != EAGAIN) {
        trial.channel.close();
      }
    }
  }

  static bool is_sound(const Trial& trial, const Frame& frame) {
    const bool is_crash = frame.is_verdict == 0 && frame.outcome == Outcome::Crashed;
    return frame.nonce == trial.nonce && frame.stage <= Stage::Destroy &&
           (frame.outcome <= Outcome::Refused || is_crash) && frame.message_size <= kMessageBytes;
  }

  // After the first bytes that are not ours nothing on the channel is believed.
  void take_verdict(Trial& trial) {
    if (trial.answered || trial.frames.size() < sizeof(Frame)) return;
    Frame frame;
    std::memcpy(&frame, trial.frames.data(), sizeof frame);
    if (!is_sound(trial, frame) || frame.is_verdict == 0) {
      trial.channel.close();
      trial.frames.clear();
      return;
    }
    if (trial.frames.size() < sizeof frame + frame.message_size) return;
    trial.stage = frame.stage;
    const std::string message = trial.frames.substr(sizeof frame, frame.message_size);
    std::string code = "-";
    if (frame.outcome == Outcome::Mismatch) code = frame.status == 0 ? "abi" : "id";
    if (frame.outcome == Outcome::Refused) code = std::to_string(frame.status);
    answer(trial, frame.outcome, code, message);
  }

  // How far it got: asked only when there is no verdict, because each look at it would wake this process.
  static void read_stages(Trial& trial) {
    Frame frame;
    while (read(trial.stages.get(), &frame, sizeof frame) == static_cast<ssize_t>(sizeof frame) &&
           is_sound(trial, frame) && frame.is_verdict == 0 && frame.message_size == 0) {
      trial.stage = frame.stage;
      if (frame.outcome != Outcome::Crashed) continue;
      trial.crash_signal = frame.status;
      trial.crash_place = {frame.offset, frame.is_call != 0};
    }
  }

  void answer(Trial& trial, Outcome outcome, std::string_view code, std::string_view message) {
    if (trial.answered) return;
    trial.answered = true;
    std::string& text = trial.answer;
    text += trial.request.id;
    text += ' ';
    text += kOutcomes[static_cast<size_t>(outcome)];
    text += ' ';
    text += kStages[static_cast<size_t>(trial.stage)];
    text += ' ';
    text += code;
    text += ' ' + hex(message) + ' ' + hex(trial.tail) + '\n';
    // Whoever hears it removes the temporary folder, in which nothing is to be made any more.
    if (trial.request.confined)
      trial.deadline = Clock::now() + kEndTime;
    else
      give_answer(trial);
  }

  void give_answer(Trial& trial) {
    answers_ += trial.answer;
    trial.answer.clear();
  }

  // Before the child is reaped: until then its number cannot belong to anybody else.
  static void kill_session(Trial& trial) {
    trial.killed = true;
    kill(-trial.pid, SIGKILL);
    kill(trial.pid, SIGKILL);  // it may not lead a session yet
  }

  void end_all() const {
    for (const auto& trial : trials_) kill_session(*trial);
    if (spare_) kill_session(*spare_);
    kill_strays();
    alarm(2);  // no child may keep this process from ending
    while (waitpid(-1, nullptr, 0) > 0 || errno == EINTR) kill_strays();
  }

  // Descendants that left their session and lost their parent are children of this process, its reaper.
  void kill_strays() const {
#if defined(__linux__)
    const std::string place = "/proc/self/task/" + std::to_string(getpid()) + "/children";
    const Descriptor file(open(place.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 4096> buffer;
    std::string text;
    for (ssize_t size; file.get() >= 0 && (size = read(file.get(), buffer.data(), buffer.size())) > 0;)
      text.append(buffer.data(), static_cast<size_t>(size));
    for (size_t from = 0; from < text.size();) {
      const size_t to = std::min(text.find(' ', from), text.size());
      pid_t pid = 0;
      if (parse(std::string_view(text).substr(from, to - from), pid) && find(pid) == nullptr) {
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
      }
      from = to + 1;
    }
#endif
  }

  Trial* find(pid_t pid) const {
    if (spare_ && spare_->pid == pid) return spare_.get();
    for (const auto& trial : trials_)
      if (trial->pid == pid) return trial.get();
    return nullptr;
  }

  void reap() {
    std::array<char, 64> buffer;
    bool told = false;
    while (read(signals_.read.get(), buffer.data(), buffer.size()) > 0) told = true;
    if (!told) return;
    bool ended = false;
    for (;;) {
      siginfo_t info = {};
      if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) break;
      Trial* const trial = find(info.si_pid);
      if (trial != nullptr) kill_session(*trial);
      int status = 0;
      rusage usage = {};
      wait4(info.si_pid, &status, 0, &usage);
      ended = true;
      if (trial == nullptr) continue;
      if (trial == spare_.get())
        spare_.reset();
      else
        conclude(*trial, status, usage);
    }
    if (ended) kill_strays();
  }

  void conclude(Trial& trial, int status, const rusage& usage) {
    if (!trial.answered) listen(trial);
    if (!trial.answered) read_stages(trial);
    // It may have died before it was asked, and has not touched the library: no answer yet.
    const bool again = trial.early && !trial.answered && trial.stage == Stage::Start;
    const Request request = again ? std::move(trial.request) : Request();
    if (!again) judge(trial, status, usage);
    give_answer(trial);
    const auto gone = [&trial](const std::unique_ptr<Trial>& other) { return other.get() == &trial; };
    trials_.erase(std::remove_if(trials_.begin(), trials_.end(), gone), trials_.end());
    spare_wanted_ = true;
    if (again) start_in(make_child(false), request);
  }

  void judge(Trial& trial, int status, const rusage& usage) {
    const auto used = static_cast<rlim_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
    const bool out_of_time = trial.request.cpu_seconds != 0 && used >= trial.request.cpu_seconds;
    if (WIFEXITED(status) && trial.stage == Stage::Start) {
      answer(trial, Outcome::Unavailable, "-", "the child could not be confined");
    } else if (WIFEXITED(status)) {
      answer(trial, Outcome::Exited, std::to_string(WEXITSTATUS(status)), {});
    } else if (WTERMSIG(status) == SIGXCPU || (WTERMSIG(status) == SIGKILL && out_of_time)) {
      answer(trial, Outcome::Timeout, "cpu", {});
    } else {
      crashed(trial, WTERMSIG(status));
    }
  }

  void crashed(Trial& trial, int signal) {
    const auto [offset, is_call] = trial.crash_place;
    // A plugin may have survived one fault, and the handler of another one be ended by its alarm.
    const bool is_told = trial.crash_signal == signal || (trial.crash_signal > 0 && signal == SIGALRM);
    std::array<char, 32> place = {};
    if (is_told && offset != 0) {
      std::snprintf(place.data(), place.size(), "%s %" PRIx64, is_call ? "call" : "pc", offset);
    }
    answer(trial, Outcome::Crashed, signal_name(is_told ? trial.crash_signal : signal), place.data());
  }

  void expire() {
    const auto now = Clock::now();
    for (const auto& trial : trials_) {
      if (trial->deadline > now) continue;
      if (trial->answered) {
        give_answer(*trial);
        continue;
      }
      kill_session(*trial);
      read_stages(*trial);
      answer(*trial, Outcome::Timeout, "deadline", {});
    }
  }

  // False when there are no more.
  bool read_requests(int& status) {
    std::array<char, kReadBytes> buffer;
    const ssize_t size = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (size == 0) return false;
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    requests_.append(buffer.data(), static_cast<size_t>(size));
    for (size_t end; (end = requests_.find('\n')) != std::string::npos; requests_.erase(0, end + 1)) {
      const auto request = parse_request(std::string_view(requests_).substr(0, end));
      if (!request) return bad_request(status);
      start(*request);
    }
    return requests_.size() <= kLineBytes || bad_request(status);
  }

  static bool bad_request(int& status) {
    constexpr std::string_view kReason = "tenon-runner: a line on standard input is not a request\n";
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kReason.data(), kReason.size());
    status = 2;
    return false;
  }

  // False when nobody listens any more.
  bool write_answers() {
    while (!answers_.empty()) {
      const ssize_t size = write(STDOUT_FILENO, answers_.data(), answers_.size());
      if (size < 0) return errno == EAGAIN || errno == EINTR;
      answers_.erase(0, static_cast<size_t>(size));
    }
    return true;
  }

  // A child of nothing: it has confined itself, or is about to, and waits for its request; `early` when there is none
  // yet.
  std::unique_ptr<Trial> make_child(bool early) const {
    auto trial = std::make_unique<Trial>();
    trial->early = early;
    Pipe channel;
    Pipe stages;
    Pipe output;
    const pid_t parent = getpid();
    trial->pid = getentropy(trial->nonce.data(), trial->nonce.size()) == 0 && open_channel(channel) &&
                         open_pipe(stages) && open_pipe(output)
                     ? fork()
                     : -1;
    if (trial->pid == 0)
      Child(trial->nonce)
          .run(parent, {channel.write.get(), stages.write.get(), output.write.get(), null_.get()}, early);
    trial->channel = std::move(channel.read);
    trial->stages = std::move(stages.read);
    trial->output = std::move(output.read);
    return trial;
  }

  bool lacks_spare() const { return spare_wanted_ && !spare_ && trials_.empty(); }

  // While nothing is tried, so that it has nothing of anybody. One that cannot be made, or dies, is not missed.
  void make_spare() {
    spare_wanted_ = false;
    spare_ = make_child(true);
    if (spare_->pid < 0) spare_.reset();
  }

  void start(const Request& request) {
    if (!spare_ || !start_in(std::move(spare_), request)) start_in(make_child(false), request);
  }

  // Always true for a child that was not there before: it has its answer then.
  bool start_in(std::unique_ptr<Trial> trial, const Request& request) {
    const std::string& line = request.line;
    const bool given =
        trial->pid > 0 && write(trial->channel.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size());
    const int reason = errno;
    if (!given && trial->pid > 0) kill_session(*trial);
    if (!given && trial->early) return false;
    trial->request = request;
    trial->deadline = Clock::now() + std::chrono::milliseconds(request.deadline_ms);
    if (given) {
      trials_.push_back(std::move(trial));
    } else {
      answer(*trial, Outcome::Unavailable, "-", std::strerror(reason));
      give_answer(*trial);
    }
    return true;
  }

  std::vector<std::unique_ptr<Trial>> trials_;
  std::unique_ptr<Trial> spare_;  // a child that waits for the next request
  bool spare_wanted_ = true;
  std::vector<pollfd> polls_;
  std::string requests_;
  std::string answers_;
  Pipe signals_;
  Descriptor null_;
};

}  // namespace

int run_trials() { return Trials().run(); }

}  // namespace tenon::runner
