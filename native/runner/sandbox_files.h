#ifndef TENON_RUNNER_SANDBOX_FILES_H
#define TENON_RUNNER_SANDBOX_FILES_H

#include <cstdint>
#include <string>
#include <vector>

namespace tenon::runner {

// From this version on landlock keeps signals within the process and its children.
constexpr uint32_t kSignalsScopedSince = 6;

// Everything may be read and run, nothing changed but what is at or below `writable`, and devices that keep nothing.
// The version of landlock that sees to it; 0: the kernel has none, and nothing is confined.
uint32_t confine_files(const std::vector<std::string>& writable);

}  // namespace tenon::runner

#endif
