#ifndef TENON_CORE_SERVICE_MANAGER_H
#define TENON_CORE_SERVICE_MANAGER_H

#include <sys/types.h>

#include <string>
#include <vector>

namespace tenon::core {

// Send `text` as one datagram to the socket of a service manager: a path, or after '@' a name that is in no file system
// (Linux). Never waits. Busy: it has not read what it was told before, and may be told this later. Failed: `problem`
// says why.
enum class Told { Yes, Busy, Failed };
Told notify_system(const std::string& socket, const std::string& text, std::string& problem);

// Take the exit statuses of children that nobody waits for, all but those of `own`: those that a first process is given
// when their parents end. How many.
int reap_strangers(const std::vector<pid_t>& own);

}  // namespace tenon::core

#endif
