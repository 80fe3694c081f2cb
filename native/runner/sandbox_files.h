#ifndef TENON_RUNNER_SANDBOX_FILES_H
#define TENON_RUNNER_SANDBOX_FILES_H

#include <cstdint>
#include <string>
#include <vector>

namespace tenon::runner {

// From this version on landlock keeps signals within the process and its children.
constexpr uint32_t kSignalsScopedSince = 6;
// From this one on it sees that a file is cut short.
constexpr uint32_t kCutsSeenSince = 3;

// Nothing may be changed but what is at or below `writable`, and devices that keep nothing. Everything may be read that
// is there now, but what is at or below `hidden`; the folders that these are in cannot be listed, and what is made in
// them later cannot be read. `library`, an open file, can be. Paths of `writable` are without links, and can be read as
// well, those below something hidden, too. The version of landlock that sees to it; 0: the kernel has none, and nothing
// is confined.
uint32_t confine_files(const std::vector<std::string>& writable, const std::vector<std::string>& hidden, int library);

}  // namespace tenon::runner

#endif
