#include "http_client_face.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "byte_buffer.h"
#include "clock.h"
#include "front.h"
#include "generation.h"
#include "host_face.h"
#include "lease.h"
#include "log_origin.h"
#include "plugin.h"
#include "tasks.h"
#include "thread_record.h"

namespace tenon::core {

namespace {

constexpr size_t kUrlBytes = 8 * 1024;
constexpr size_t kHeaders = 100;
constexpr size_t kHeaderBytes = 64 * 1024;
constexpr size_t kMethodBytes = 32;
constexpr uint32_t kUsualDeadlineMs = 30'000;

// Those that say where a message ends and what becomes of its connection are the host's to write.
constexpr std::string_view kOfTheHost[] = {"connection", "content-length",   "expect", "host",
                                           "keep-alive", "proxy-connection", "te",     "trailer",
                                           "upgrade",    "transfer-encoding"};

bool is_wrong(tenon_bytes_t bytes) { return bytes.data == nullptr && bytes.size != 0; }

char lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character | 0x20) : character;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char character) { return lower(character); });
  return result;
}

// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  const auto in_token = [](char character) {
    const bool letter = lower(character) >= 'a' && lower(character) <= 'z';
    const bool digit = character >= '0' && character <= '9';
    return letter || digit ||
           (character != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(character) != std::string_view::npos);
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), in_token);
}

bool is_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char character) {
    const auto octet = static_cast<unsigned char>(character);
    return octet == '\t' || (octet >= 0x20 && octet != 0x7f);
  });
}

bool is_url(std::string_view url) {
  if (url.size() > kUrlBytes) return false;
  const bool printable =
      std::all_of(url.begin(), url.end(), [](char character) { return character > ' ' && character < 0x7f; });
  const std::string scheme = lower(url.substr(0, 8));
  const size_t begin = scheme == "https://" ? 8 : scheme.rfind("http://", 0) == 0 ? 7 : 0;
  const std::string_view host = url.substr(begin, url.find_first_of("/?#\\", begin) - begin);
  // A password in front of a host would end in logs and messages.
  return printable && begin != 0 && !host.empty() && host.find('@') == std::string_view::npos;
}

bool read_headers(const tenon_http_client_request_t& request, HeaderList& headers) {
  if (request.header_count > kHeaders || (request.headers == nullptr && request.header_count != 0)) return false;
  size_t bytes = 0;
  for (size_t index = 0; index < request.header_count; index++) {
    const tenon_log_field_t& field = request.headers[index];
    if (is_wrong(field.key) || is_wrong(field.value)) return false;
    bytes += field.key.size + field.value.size;
    if (bytes > kHeaderBytes || !is_token(view(field.key)) || !is_value(view(field.value))) return false;
    std::string name = lower(view(field.key));
    if (std::find(std::begin(kOfTheHost), std::end(kOfTheHost), name) != std::end(kOfTheHost)) return false;
    headers.emplace_back(std::move(name), view(field.value));
  }
  return true;
}

// Null for what is outside the bounds of `send`.
std::unique_ptr<OutgoingRequest> read(const tenon_http_client_request_t& given) {
  if (given.size < sizeof(tenon_http_client_request_t) || given.deadline_ms > TENON_HTTP_CLIENT_DEADLINE_MS ||
      is_wrong(given.method) || is_wrong(given.url) || is_wrong(given.body) ||
      given.body.size > TENON_HTTP_CLIENT_BODY || given.method.size > kMethodBytes) {
    return nullptr;
  }
  auto request = std::make_unique<OutgoingRequest>();
  request->method = view(given.method);
  request->url = view(given.url);
  // CONNECT asks for a connection, not for an answer.
  if (!is_token(request->method) || lower(request->method) == "connect" || !is_url(request->url) ||
      !read_headers(given, request->headers)) {
    return nullptr;
  }
  request->body = view(given.body);
  request->deadline = now() + milliseconds(given.deadline_ms == 0 ? kUsualDeadlineMs : given.deadline_ms);
  return request;
}

HttpClientFace& face_of(const tenon_host_t* host) { return HostFace::of(host).http_client(); }

tenon_status send(const tenon_host_t* host, const tenon_http_client_request_t* request, tenon_http_client_done_fn done,
                  void* context, uint64_t* number) {
  if (request == nullptr || done == nullptr) return TENON_ERROR_ARGUMENT;
  return face_of(host).send(*request, done, context, number);
}

tenon_status cancel(const tenon_host_t* host, uint64_t number) { return face_of(host).cancel(number); }

constexpr tenon_host_http_client_t kHttpClient = {sizeof(tenon_host_http_client_t), send, cancel};

void call(tenon_http_client_done_fn done, void* context, const OutgoingAnswer& answer) {
  std::vector<tenon_log_field_t> headers;
  headers.reserve(answer.headers.size());
  for (const auto& [name, value] : answer.headers) headers.push_back({bytes(name), bytes(value)});
  const tenon_http_client_response_t response = {sizeof(tenon_http_client_response_t),
                                                 answer.outcome,
                                                 answer.status,
                                                 static_cast<uint32_t>(headers.size()),
                                                 headers.data(),
                                                 bytes(answer.body),
                                                 bytes(answer.message)};
  done(context, &response);
}

OutgoingAnswer without_answer(tenon_status outcome, const char* message) { return {outcome, 0, {}, {}, message}; }

}  // namespace

const tenon_host_http_client_t& HttpClientFace::functions() { return kHttpClient; }

void HttpClientFace::open(Lease& lease, Tasks& tasks) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ != State::Early) return;
  lease_ = &lease;
  tasks_ = &tasks;
  state_ = State::Open;
}

void HttpClientFace::drain() {
  const std::lock_guard<std::mutex> lock(mutex_);
  draining_ = true;
}

void HttpClientFace::serve() {
  const std::lock_guard<std::mutex> lock(mutex_);
  draining_ = false;
  drained_ = false;
  summon();
}

bool HttpClientFace::end_drain(const Lease& lease) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (lease.count.load(std::memory_order_seq_cst) != 0) return false;
  drained_ = true;
  return true;
}

void HttpClientFace::retire() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (state_ == State::Retiring) return;
  state_ = State::Retiring;
  for (auto& [number, request] : requests_) {
    if (request.state == Request::Done::Waiting) give_up(number, request, "the plugin is being replaced or stopped");
  }
  summon();
}

void HttpClientFace::finish() {
  retire();
  std::unique_lock<std::mutex> lock(mutex_);
  idle_.wait(lock, [this] { return !running_; });
  if (due_.empty()) return;
  take_turn();
  lock.unlock();
  run_due();
}

tenon_status HttpClientFace::send(const tenon_http_client_request_t& given, tenon_http_client_done_fn done,
                                  void* context, uint64_t* number) {
  std::unique_ptr<OutgoingRequest> request = read(given);
  if (request == nullptr) return TENON_ERROR_ARGUMENT;
  if (permissions_->bound() && !permissions_->allow(Permit::HttpClient, host_and_port(request->url)))
    return TENON_ERROR_DENIED;
  Front& front = plugin_.front();
  bool wake = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (state_ != State::Open) return TENON_ERROR_STATE;
    const size_t size = request->body.size();
    if (requests_.size() >= TENON_HTTP_CLIENT_REQUESTS || bytes_ + size > TENON_HTTP_CLIENT_BYTES) {
      return TENON_ERROR_TOO_LARGE;
    }
    request->number = front.outgoing().take_number();
    request->plugin = plugin_.id();
    request->generation = generation_;
    request->request = origin_of_thread(front).request;
    request->face = shared_from_this();
    if (number != nullptr) *number = request->number;
    Request& own = requests_[request->number];
    own.done = done;
    own.context = context;
    own.bytes = size;
    bytes_ += size;
    wake = front.outgoing().push(std::move(request));
  }
  if (wake) front.wake();
  return TENON_OK;
}

tenon_status HttpClientFace::cancel(uint64_t number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = requests_.find(number);
  if (found == requests_.end()) return TENON_ERROR_NOT_FOUND;
  Request& request = found->second;
  constexpr const char* kWhy = "it was cancelled";
  switch (request.state) {
    case Request::Done::Waiting:
      give_up(number, request, kWhy);
      summon();
      return TENON_OK;
    case Request::Done::Due:
      request.answer = without_answer(TENON_ERROR_CANCELLED, kWhy);
      return TENON_OK;
    case Request::Done::Running:
    case Request::Done::Over:
      break;
  }
  return TENON_ERROR_NOT_FOUND;
}

size_t HttpClientFace::count() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<size_t>(std::count_if(requests_.begin(), requests_.end(), [](const auto& request) {
    return request.second.state != Request::Done::Over;
  }));
}

uint64_t HttpClientFace::running() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return current_;
}

void HttpClientFace::answer(uint64_t number, OutgoingAnswer answer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = requests_.find(number);
  if (found == requests_.end()) return;
  Request& request = found->second;
  request.with_front = false;
  if (request.state == Request::Done::Waiting) {
    const size_t size = answer.body.size();
    if (bytes_ + size > TENON_HTTP_CLIENT_BYTES) {
      answer = without_answer(TENON_ERROR, "the bodies of the plugin's requests are too large together");
    } else {
      request.bytes += size;
      bytes_ += size;
    }
    make_due(number, request, std::move(answer));
    summon();
  }
  erase_if_over(found);
}

void HttpClientFace::let_go(uint64_t number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = requests_.find(number);
  if (found == requests_.end()) return;
  found->second.with_front = false;
  erase_if_over(found);
}

void HttpClientFace::make_due(uint64_t number, Request& request, OutgoingAnswer answer) {
  request.state = Request::Done::Due;
  request.answer = std::move(answer);
  due_.push_back(number);
}

void HttpClientFace::give_up(uint64_t number, Request& request, const char* why) {
  make_due(number, request, without_answer(TENON_ERROR_CANCELLED, why));
  auto word = std::make_unique<OutgoingRequest>();
  word->number = number;
  word->given_up = true;
  Front& front = plugin_.front();
  if (front.outgoing().push(std::move(word))) front.wake();
}

void HttpClientFace::erase_if_over(Requests::iterator request) {
  if (request->second.with_front || request->second.state != Request::Done::Over) return;
  bytes_ -= request->second.bytes;
  requests_.erase(request);
}

bool HttpClientFace::may_run(int64_t own) const {
  if (state_ != State::Open) return state_ == State::Retiring;
  return !draining_ || (!drained_ && lease_->count.load(std::memory_order_seq_cst) > own);
}

// The lease is taken before anybody can look at it who waits for calls to end: `retire` and `serve` come before that,
// while the generation serves nobody waits, and `end_drain` looks under the mutex.
void HttpClientFace::summon() {
  if (running_ || due_.empty() || !may_run(0)) return;
  take_turn();
  auto self = std::make_unique<std::shared_ptr<HttpClientFace>>(shared_from_this());
  if (tasks_->owe(run, self.get())) {
    self.release();
    return;
  }
  running_ = false;
  plugin_.leave(*lease_);
  ask_again();
}

// No thread can be had. `finish` does without one, but it is not reached while somebody waits for what is due.
void HttpClientFace::ask_again() {
  if (state_ != State::Open && lease_->count.load(std::memory_order_seq_cst) == 0) return;
  if (std::exchange(asking_, true)) return;
  plugin_.front().try_again([face = weak_from_this()] {
    const std::shared_ptr<HttpClientFace> self = face.lock();
    if (!self) return;
    const std::lock_guard<std::mutex> lock(self->mutex_);
    self->asking_ = false;
    self->summon();
  });
}

void HttpClientFace::take_turn() {
  running_ = true;
  lease_->count.fetch_add(1, std::memory_order_seq_cst);
}

void HttpClientFace::run(void* context) {
  const std::unique_ptr<std::shared_ptr<HttpClientFace>> self(static_cast<std::shared_ptr<HttpClientFace>*>(context));
  (*self)->run_due();
}

void HttpClientFace::run_due() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!due_.empty() && may_run(1)) {
    const auto found = requests_.find(due_.front());
    due_.pop_front();
    Request& request = found->second;
    request.state = Request::Done::Running;
    current_ = found->first;
    lock.unlock();
    {
      const Inside inside(lease_->generation->image(), Work::Complete, 0, kNoSlot, now());
      call(request.done, request.context, request.answer);
    }
    lock.lock();
    current_ = 0;
    request.state = Request::Done::Over;
    request.answer = {};
    erase_if_over(found);
  }
  running_ = false;
  // Under the mutex: `may_run` is to see leases of others only.
  plugin_.leave(*lease_);
  idle_.notify_all();
}

}  // namespace tenon::core
