#ifndef TENON_WIRE_ENVIRONMENT_H
#define TENON_WIRE_ENVIRONMENT_H

#include <string_view>

namespace tenon::wire {

// What a plugin may know of the host's environment, as `NAME=value`: not its secrets.
inline bool is_passed_on(std::string_view entry) {
  const std::string_view name = entry.substr(0, entry.find('='));
  return name == "PATH" || name == "HOME" || name == "LANG" || name == "TZ" || name == "LD_LIBRARY_PATH" ||
         name == "DYLD_LIBRARY_PATH" || name.substr(0, 3) == "LC_" || name.substr(0, 5) == "ASAN_" ||
         name.substr(0, 5) == "TSAN_" || name.substr(0, 6) == "UBSAN_";
}

}  // namespace tenon::wire

#endif
