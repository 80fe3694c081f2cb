#include "log_output.h"

#if defined(__GLIBC__)

#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ext/stdio_sync_filebuf.h>
#include <iostream>
#include <memory>
#include <string_view>
#include <utility>

#include "front.h"
#include "log_origin.h"
#include "plugin.h"

namespace tenon::core {

namespace {

// One of the two, for the life of the process.
struct TaggedStream {
  std::shared_ptr<Front> front;
  std::string mark;
  int descriptor;
  FILE** variable;
  FILE* before;
  std::array<std::ostream*, 2> streams;
  std::streambuf* buffer;  // of the streams
};

// A pipe takes so much at once.
constexpr size_t kPieceBytes = 4096;
constexpr int kPatienceMs = 1000;

// Node makes a pipe that does not block of a standard stream that it uses itself.
bool wait_for_room(int descriptor) {
  pollfd one = {descriptor, POLLOUT, 0};
  return poll(&one, 1, kPatienceMs) == 1;
}

bool write_whole(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN && wait_for_room(descriptor)) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// Called by the C library on the thread that writes.
ssize_t write_tagged(void* cookie, const char* data, size_t size) {
  const TaggedStream& stream = *static_cast<const TaggedStream*>(cookie);
  const LogOrigin origin = origin_of_thread(*stream.front);
  std::string_view left(data, size);
  if (origin.plugin == nullptr) return write_whole(stream.descriptor, left) ? static_cast<ssize_t>(size) : -1;
  std::string head = "\x1e" + stream.mark + ' ' + std::to_string(syscall(SYS_gettid)) + ' ' +
                     std::to_string(origin.generation) + ' ' + origin.plugin->id() + ' ';
  head += origin.request == 0 ? "-" : stream.front->name() + '-' + std::to_string(origin.request);
  head += ' ';
  while (!left.empty()) {
    const std::string_view piece = left.substr(0, kPieceBytes - head.size() - 8);
    const std::string whole = head + std::to_string(piece.size()) + '\n' + std::string(piece);
    if (!write_whole(stream.descriptor, whole)) return -1;
    left.remove_prefix(piece.size());
  }
  return static_cast<ssize_t>(size);
}

int reopen(void* cookie);

// Null when there is no memory for it.
FILE* open_tagged(TaggedStream& stream) {
  cookie_io_functions_t functions = {};
  functions.write = write_tagged;
  functions.close = reopen;
  FILE* const file = fopencookie(&stream, "w", functions);
  if (file == nullptr) return nullptr;
  // One buffer for all threads would give what one has begun to whoever ends the line.
  setvbuf(file, nullptr, _IONBF, 0);
  // Who asks for the descriptor, as sync_with_stdio(false) does, writes to it as it is; without one it would be lost.
  file->_fileno = stream.descriptor;
  return file;
}

void put_in_place(TaggedStream& stream, FILE* file) {
  *stream.variable = file;
  // What was there is never given back: another thread may be in it.
  std::streambuf* const buffer = std::make_unique<__gnu_cxx::stdio_sync_filebuf<char>>(file).release();
  for (std::ostream* const one : stream.streams) {
    if (one != nullptr && one->rdbuf() == stream.buffer) one->rdbuf(buffer);
  }
  stream.buffer = buffer;
}

// Called by fclose, which frees the file: what a plugin has closed is still to be written to by all others.
int reopen(void* cookie) {
  TaggedStream& stream = *static_cast<TaggedStream*>(cookie);
  FILE* const file = open_tagged(stream);
  put_in_place(stream, file == nullptr ? stream.before : file);
  return 0;
}

bool tag(TaggedStream whole) {
  TaggedStream& stream = *std::make_unique<TaggedStream>(std::move(whole)).release();  // never given back
  FILE* const file = open_tagged(stream);
  if (file == nullptr) return false;
  fflush(stream.before);
  // The streams of a libstdc++ that were there before still write to what the variable was.
  for (std::ostream* const one : stream.streams) {
    if (one == nullptr) continue;
    one->flush();
    one->rdbuf(nullptr);
  }
  put_in_place(stream, file);
  return true;
}

}  // namespace

bool tag_output(const std::shared_ptr<Front>& front, const std::string& mark) {
  return tag({front, mark, STDOUT_FILENO, &stdout, stdout, {&std::cout, nullptr}, nullptr}) &&
         tag({front, mark, STDERR_FILENO, &stderr, stderr, {&std::cerr, &std::clog}, nullptr});
}

}  // namespace tenon::core

#else

namespace tenon::core {

bool tag_output(const std::shared_ptr<Front>&, const std::string&) { return false; }

}  // namespace tenon::core

#endif
