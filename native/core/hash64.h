#ifndef TENON_CORE_HASH64_H
#define TENON_CORE_HASH64_H

#include <cstdint>
#include <string_view>

namespace tenon::core {

// XXH64 with seed 0, the same on every machine: Yann Collet, "xxHash fast digest algorithm", specification 0.1.1.
uint64_t hash64(std::string_view bytes);

}  // namespace tenon::core

#endif
