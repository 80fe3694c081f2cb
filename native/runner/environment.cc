#include "environment.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "wire/environment.h"

extern char** environ;

namespace tenon::runner {

void clear_environment(const std::string& temporary) {
  if (environ == nullptr) return;
  char** kept = environ;
  for (char** entry = environ; *entry != nullptr; entry++) {
    if (wire::is_passed_on(*entry))
      *kept++ = *entry;
    else
      std::memset(*entry, 0, std::strlen(*entry));
  }
  *kept = nullptr;
  setenv("TMPDIR", temporary.c_str(), 1);
}

}  // namespace tenon::runner
