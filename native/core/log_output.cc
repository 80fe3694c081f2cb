#include "log_output.h"

#if defined(__GLIBC__)

#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ext/stdio_sync_filebuf.h>
#include <iostream>
#include <string_view>

#include "front.h"
#include "log_origin.h"
#include "plugin.h"

namespace tenon::core {

namespace {

// One of the two streams, for the life of the process.
struct TaggedStream {
  std::shared_ptr<Front> front;
  std::string mark;
  int descriptor;
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

// Null when there is no memory for it.
FILE* open_tagged(const std::shared_ptr<Front>& front, const std::string& mark, int descriptor, int buffering) {
  TaggedStream* const stream =
      std::unique_ptr<TaggedStream>(new TaggedStream{front, mark, descriptor}).release();  // never given back
  cookie_io_functions_t functions = {};
  functions.write = write_tagged;
  FILE* const file = fopencookie(stream, "w", functions);
  if (file == nullptr) return nullptr;
  setvbuf(file, nullptr, buffering, 0);
  // Who asks for the descriptor, as sync_with_stdio(false) does, writes to it as it is; without one it would be lost.
  file->_fileno = descriptor;
  return file;
}

// The streams of a libstdc++ that were there before still write to what these variables were.
void redirect(std::ostream& stream, FILE* file) {
  stream.flush();
  stream.rdbuf(std::make_unique<__gnu_cxx::stdio_sync_filebuf<char>>(file).release());
}

}  // namespace

bool tag_output(const std::shared_ptr<Front>& front, const std::string& mark) {
  FILE* const out = open_tagged(front, mark, STDOUT_FILENO, _IOLBF);
  FILE* const err = open_tagged(front, mark, STDERR_FILENO, _IONBF);
  if (out == nullptr || err == nullptr) return false;
  fflush(stdout);
  stdout = out;
  stderr = err;
  redirect(std::cout, out);
  redirect(std::cerr, err);
  redirect(std::clog, err);
  return true;
}

}  // namespace tenon::core

#else

namespace tenon::core {

bool tag_output(const std::shared_ptr<Front>&, const std::string&) { return false; }

}  // namespace tenon::core

#endif
