#ifndef TENON_CORE_OWN_MEMORY_H
#define TENON_CORE_OWN_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <optional>

namespace tenon::core {

// Copies `size` bytes of this process, or those up to the end of the page that `address` is in, whatever is there: it
// does not fault. How many; 0 where nothing can be read; nothing where the system does not let it look. Any thread,
// also from within the handler of a signal.
std::optional<size_t> read_own_memory(uintptr_t address, void* place, size_t size);

}  // namespace tenon::core

#endif
