#include "lane.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "pause.h"

namespace tenon::wire {

namespace {

// Where looking has not been worth it, it is tried again after so many sleeps.
constexpr int kSleepsBetweenTries = 64;

// The host gives a payload memory as its bytes come, not as they are announced.
constexpr size_t kPieceBytes = RingMemory::kBytes;
// What one large message has taken is not kept for the next.
constexpr size_t kKeptBytes = 256 * 1024;

// Frames that call each other deeper than this are none that plugins make.
constexpr int kDepth = 32;

}  // namespace

bool Lane::fail(Outcome outcome) {
  if (state_ == Outcome::Done) state_ = outcome;
  return false;
}

void Lane::flush() {
  if (out_.publish()) other_.ring();
}

template <typename Prepare, typename End>
bool Lane::sleep(Prepare prepare, End end, bool reads, Patience& patience) {
  const int ms = patience.wait_ms();
  if (ms <= 0) return fail(Outcome::GivenUp);
  if (!prepare()) return true;
  std::array<pollfd, 2> wait = {{{own_.waiting(), POLLIN, 0}, {ended_, POLLIN, 0}}};
  const int woken = poll(wait.data(), ended_ < 0 ? 1 : 2, ms);
  end();
  // A plugin has closed what is not its own.
  if (woken > 0 && (wait[0].revents & POLLNVAL) != 0) return fail(Outcome::Ended);
  if (woken > 0 && wait[0].revents != 0) own_.hush();
  // What it wrote before its end is still read. Its bell says nothing then: others may have it, and ring it for ever.
  if (woken > 0 && wait[1].revents != 0 && !(reads && in_.has_some())) return fail(Outcome::Ended);
  return true;
}

// While bytes come this side never sleeps. Of one that has ended no more can come than the ring holds.
bool Lane::go_on(size_t taken, Patience& patience) {
  unasked_ += taken;
  if (unasked_ < RingMemory::kBytes) return true;
  unasked_ = 0;
  if (patience.wait_ms() <= 0) return fail(Outcome::GivenUp);
  pollfd end = {ended_, POLLIN, 0};
  const bool is_over = ended_ >= 0 && poll(&end, 1, 0) > 0;
  return !std::exchange(was_over_, is_over) || fail(Outcome::Ended);
}

bool Lane::write(std::string_view bytes, Patience& patience) {
  while (!bytes.empty()) {
    const size_t taken = out_.write(bytes.data(), bytes.size());
    if (out_.violated()) return fail(Outcome::Violated);
    bytes.remove_prefix(taken);
    if (bytes.empty()) break;
    flush();
    if (taken > 0) continue;
    if (!sleep([this] { return out_.prepare_sleep(); }, [this] { out_.end_sleep(); }, false, patience)) return false;
  }
  return true;
}

bool Lane::send(Kind kind, uint16_t code, uint32_t sequence, Parts parts, Patience& patience) {
  if (state_ != Outcome::Done) return false;
  Head head = {sequence, code, kind, 0, 0};
  for (const std::string_view part : parts) head.size += part.size();
  if (!write({reinterpret_cast<const char*>(&head), sizeof head}, patience)) return false;
  for (const std::string_view part : parts) {
    if (!write(part, patience)) return false;
  }
  flush();
  return true;
}

bool Lane::read(char* bytes, size_t size, Patience& patience) {
  int looks = 0;
  while (size > 0) {
    const size_t taken = in_.read(bytes, size);
    if (in_.violated()) return fail(Outcome::Violated);
    bytes += taken;
    size -= taken;
    if (taken > 0) {
      if (looks > 0 && looks <= looks_) looks_ = std::min(kMostLooks, looks_ * 2 + 1);
      looks = 0;
      if (in_.release()) other_.ring();
      if (!go_on(taken, patience)) return false;
      continue;
    }
    if (looks++ < looks_) {
      pause();
      continue;
    }
    looks_ /= 2;
    if (++sleeps_ % kSleepsBetweenTries == 0) looks_ = kMostLooks;
    if (!sleep([this] { return in_.prepare_sleep(); }, [this] { in_.end_sleep(); }, true, patience)) return false;
  }
  return true;
}

bool Lane::receive(Head& head, Patience& patience) {
  if (state_ != Outcome::Done) return false;
  if (!read(reinterpret_cast<char*>(&head), sizeof head, patience)) return false;
  return head.size <= limit_ || fail(Outcome::Violated);
}

bool Lane::receive(const Head& head, std::string& payload, size_t slack, Patience& patience) {
  payload.clear();
  if (trusts_) payload.reserve(head.size + slack);
  while (payload.size() < head.size) {
    const size_t before = payload.size();
    const size_t piece = std::min<uint64_t>(kPieceBytes, head.size - before);
    payload.resize(before + piece);
    if (!read(&payload[before], piece, patience)) return false;
  }
  payload.append(slack, '\0');
  return true;
}

bool Lane::handle(const Head& head, std::string& payload, Server& server, Patience& patience) {
  if (head.kind != Kind::Call && head.kind != Kind::Post) return fail(Outcome::Violated);
  if (!receive(head, payload, kSlackBytes, patience)) return false;
  if (head.sequence != received_++) return fail(Outcome::Violated);
  std::string answer = std::exchange(spare_, {});
  std::string* const outer = std::exchange(serving_, &payload);
  const bool kept = server.serve(*this, head.code, std::string_view(payload).substr(0, head.size), answer);
  serving_ = outer;
  const Tail tail = std::exchange(tail_, {{}, nullptr, nullptr});
  if (!kept) fail(Outcome::Violated);
  if (state_ == Outcome::Done && head.kind == Kind::Call) {
    send(Kind::Return, head.code, head.sequence, {answer, tail.bytes}, patience);
  }
  if (tail.release != nullptr) tail.release(tail.owner);
  forget(answer);
  spare_ = std::move(answer);
  return state_ == Outcome::Done;
}

void Lane::forget(std::string& payload) const {
  payload.clear();
  if (payload.capacity() > kKeptBytes) payload = std::string();
}

Outcome Lane::call(uint16_t code, Parts parts, std::string& answer, Server& server, Patience& patience) {
  if (depth_ >= kDepth) return Outcome::GivenUp;
  const uint32_t sequence = sent_++;
  if (!send(Kind::Call, code, sequence, parts, patience)) return state_;
  depth_++;
  Head head = {};
  std::string payload;
  while (receive(head, patience)) {
    if (head.kind == Kind::Return) {
      if (head.sequence != sequence || head.code != code) {
        fail(Outcome::Violated);
      } else {
        receive(head, answer, 0, patience);
      }
      break;
    }
    if (!handle(head, payload, server, patience)) break;
    // One that asks without end never lets this side sleep.
    if (patience.wait_ms() <= 0) {
      fail(Outcome::GivenUp);
      break;
    }
  }
  depth_--;
  return state_;
}

Outcome Lane::post(uint16_t code, Parts parts, Patience& patience) {
  send(Kind::Post, code, sent_++, parts, patience);
  return state_;
}

Outcome Lane::serve(Server& server, Patience& patience) {
  Head head = {};
  std::string payload;
  while (receive(head, patience) && handle(head, payload, server, patience)) forget(payload);
  return state_;
}

}  // namespace tenon::wire
