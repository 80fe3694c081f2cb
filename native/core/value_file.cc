#include "value_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "descriptor_guard.h"
#include "hash64.h"

namespace tenon::core {

namespace {

constexpr std::string_view kMagic = "tnvalue1";
constexpr size_t kHeadCheckBytes = 4;
constexpr size_t kHeadBytes = 14;
constexpr size_t kBodyCheckBytes = 8;
constexpr size_t kRecordBytes = kHeadCheckBytes + kHeadBytes + kBodyCheckBytes;
// What is kept of the memory that a large record took.
constexpr size_t kKeptBytes = size_t{64} << 10;

void put_number(char* at, uint64_t number, size_t size) {
  for (size_t byte = 0; byte < size; byte++) at[byte] = static_cast<char>(number >> (8 * byte) & 0xff);
}

uint64_t number_at(const char* at, size_t size) {
  uint64_t number = 0;
  for (size_t byte = 0; byte < size; byte++) {
    number |= static_cast<uint64_t>(static_cast<unsigned char>(at[byte])) << (8 * byte);
  }
  return number;
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

bool read_all(int file, std::string& bytes) {
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t got = pread(file, &bytes[at], bytes.size() - at, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    at += static_cast<size_t>(got);
  }
  return true;
}

uint64_t body_check(std::string_view record) {
  // The head and the body are not side by side: the check of the body begins with that of the head.
  const uint64_t head = hash64(record.substr(kHeadCheckBytes, kHeadBytes));
  return hash64(record.substr(kRecordBytes)) ^ (head << 1 | head >> 63);
}

struct Read {
  enum class State { Whole, Torn, Damaged };
  State state = State::Whole;
  // Up to where all is well.
  size_t end = 0;
};

Read read_records(std::string_view text, const ValueFile::Take& take) {
  using State = Read::State;
  if (text.substr(0, kMagic.size()) != kMagic) return {State::Damaged, 0};
  uint64_t last = 0;
  size_t at = kMagic.size();
  const auto damaged = [&] {
    // So does a file system leave what it has not written at a power cut.
    const bool blank = text.find_first_not_of('\0', at) == std::string_view::npos;
    return Read{blank && at > kMagic.size() ? State::Torn : State::Damaged, at};
  };
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    const bool first = at == kMagic.size();
    if (rest.size() < kRecordBytes) return {first ? State::Damaged : State::Torn, at};
    const std::string_view head = rest.substr(kHeadCheckBytes, kHeadBytes);
    if (number_at(rest.data(), kHeadCheckBytes) != (hash64(head) & 0xffffffff)) return damaged();
    const uint64_t number = number_at(head.data(), 8);
    const size_t value_size = number_at(head.data() + 8, 4);
    const auto kind = static_cast<unsigned char>(head[12]);
    const size_t key_size = static_cast<unsigned char>(head[13]);
    if (rest.size() - kRecordBytes < key_size + value_size) return {first ? State::Damaged : State::Torn, at};
    const std::string_view record = rest.substr(0, kRecordBytes + key_size + value_size);
    if (number_at(record.data() + kHeadCheckBytes + kHeadBytes, kBodyCheckBytes) != body_check(record))
      return damaged();
    const bool ordered = first ? kind == 0 : kind == 1 || kind == 2;
    if (!ordered || (!first && number <= last)) return damaged();
    const std::string_view key = record.substr(kRecordBytes, key_size);
    if (!take(number, static_cast<ValueFile::Kind>(kind), key, record.substr(kRecordBytes + key_size)))
      return damaged();
    last = number;
    at += record.size();
  }
  return {at == kMagic.size() ? State::Damaged : State::Whole, at};
}

}  // namespace

ValueFile::Found ValueFile::use(const std::string& path, const Take& take) {
  close();
  path_ = path;
  if (!take) return {};
  using State = Found::State;
  const int file = open(path.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (file < 0 && errno == ENOENT) return {};
  const auto unreadable = [&](const std::string& why) {
    if (file >= 0) ::close(file);
    close();
    return Found{State::Unreadable, why};
  };
  if (file < 0) return unreadable(std::strerror(errno));
  struct stat facts = {};
  if (fstat(file, &facts) != 0) return unreadable(std::strerror(errno));
  if (!S_ISREG(facts.st_mode)) return unreadable("it is not a regular file");
  const auto size = static_cast<uint64_t>(facts.st_size);
  if (size > kMostBytes) {
    ::close(file);
    return {State::Damaged, "its " + std::to_string(size) + " bytes are over " + std::to_string(kMostBytes)};
  }
  std::string text(static_cast<size_t>(size), '\0');
  if (!read_all(file, text)) return unreadable(std::strerror(errno));
  const Read read = read_records(text, take);
  if (read.state == Read::State::Damaged) {
    ::close(file);
    return {State::Damaged, "it is damaged at byte " + std::to_string(read.end) + " of " + std::to_string(size)};
  }
  begin_file(file);
  size_ = read.end;
  if (read.state == Read::State::Whole) return {State::Whole, {}};
  if (ftruncate(file_, static_cast<off_t>(size_)) != 0) end_file();
  return {State::Torn, "its last " + std::to_string(size - read.end) + " bytes are the beginning of a change"};
}

bool ValueFile::write_whole(uint64_t number, std::string_view block) {
  const std::string fresh = path_ + ".new";
  unlink(fresh.c_str());
  const auto make = [&] {
    return open(fresh.c_str(), O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  };
  int file = make();
  if (file < 0 && errno == ENOENT) {
    mkdir(path_.substr(0, path_.rfind('/')).c_str(), 0700);
    file = make();
  }
  if (file < 0) return false;
  const std::string_view whole = record(number, Kind::Whole, {}, block);
  const bool written = write_all(file, kMagic) && write_all(file, whole) && rename(fresh.c_str(), path_.c_str()) == 0;
  const uint64_t size = kMagic.size() + whole.size();
  record_.clear(kKeptBytes);
  if (!written) {
    ::close(file);
    unlink(fresh.c_str());
    return false;
  }
  end_file();
  begin_file(file);
  size_ = size;
  return true;
}

bool ValueFile::append(uint64_t number, Kind kind, std::string_view key, std::string_view value) {
  const std::string_view bytes = record(number, kind, key, value);
  const bool written = write_all(file_, bytes);
  if (written) size_ += bytes.size();
  record_.clear(kKeptBytes);
  // What was written of it must not stand before what comes next.
  if (!written && ftruncate(file_, static_cast<off_t>(size_)) != 0) end_file();
  return written;
}

void ValueFile::close() {
  end_file();
  path_.clear();
}

// A plugin that closes a descriptor too many would have the values written to whoever gets the number.
void ValueFile::begin_file(int file) {
  file_ = file;
  protect_descriptor(file_);
}

void ValueFile::end_file() {
  if (file_ >= 0) {
    release_descriptor(file_);
    ::close(file_);
  }
  file_ = -1;
  size_ = 0;
}

std::string_view ValueFile::record(uint64_t number, Kind kind, std::string_view key, std::string_view value) {
  const size_t size = kRecordBytes + key.size() + value.size();
  record_.prepare(size);
  char* const at = record_.data();
  char* const head = at + kHeadCheckBytes;
  put_number(head, number, 8);
  put_number(head + 8, value.size(), 4);
  head[12] = static_cast<char>(kind);
  head[13] = static_cast<char>(key.size());
  put_number(at, hash64({head, kHeadBytes}) & 0xffffffff, kHeadCheckBytes);
  char* const body = at + kRecordBytes;
  if (!key.empty()) std::memcpy(body, key.data(), key.size());
  if (!value.empty()) std::memcpy(body + key.size(), value.data(), value.size());
  put_number(head + kHeadBytes, body_check({at, size}), kBodyCheckBytes);
  record_.set_size(size);
  return record_.text();
}

}  // namespace tenon::core
