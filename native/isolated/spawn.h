#ifndef TENON_ISOLATED_SPAWN_H
#define TENON_ISOLATED_SPAWN_H

#include <sys/types.h>

#include <array>
#include <string>

namespace tenon::isolated {

// A runner that has been started, and the host's ends of what it has with it. Its owner closes the descriptors, unmaps
// the memory, and reaps the process.
struct Spawned {
  pid_t pid = -1;
  int process = -1;  // pidfd; -1 where the system has none
  int control = -1;
  std::array<int, 2> output = {-1, -1};  // what it prints
  void* memory = nullptr;                // wire::kSharedBytes
};

// Start `runner` for the library at the descriptor `library`, which stays its owner's; `id` is for those who look at
// processes, `temporary` the path of its temporary folder, or empty. Everything it inherits is said in wire/protocol.h.
// False and why in `problem`; `spawned` then has what there is. [control] [keeper]
bool spawn_runner(const std::string& runner, int library, std::string id, const std::string& temporary,
                  Spawned& spawned, std::string& problem);

// "what: why", of errno.
std::string told(const char* what);
void close_if_open(int& descriptor);

}  // namespace tenon::isolated

#endif
