#ifndef TENON_CORE_LOG_OUTPUT_H
#define TENON_CORE_LOG_OUTPUT_H

#include <memory>
#include <string>

namespace tenon::core {

class Front;

/*
 * From here on what code of plugins writes through stdout, stderr, std::cout, std::cerr and std::clog of this process
 * is told apart: each piece goes to descriptor 1 or 2 behind a head,
 *
 *   0x1e `mark` ` ` thread ` ` generation ` ` plugin ` ` request or `-` ` ` size `\n`
 *
 * (numbers are decimal, the request is an id) which is followed by `size` bytes; a head and its bytes are written at
 * once. What the host writes, what a thread of a plugin's own writes, and what passes the streams by goes there as it
 * is. The streams of C have no buffer, as one would mix what threads have begun. When one is closed, a new one takes
 * its place and the descriptor stays open; a thread that is writing to it meanwhile uses what is freed. For a process
 * of its own: there is no way back. False where the C library is not glibc: everything goes as it is. Once, on the
 * thread of `front`.
 */
bool tag_output(const std::shared_ptr<Front>& front, const std::string& mark);

}  // namespace tenon::core

#endif
