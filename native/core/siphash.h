#ifndef TENON_CORE_SIPHASH_H
#define TENON_CORE_SIPHASH_H

#include <array>
#include <cstdint>
#include <string_view>

namespace tenon::core {

using Hash128 = std::array<uint64_t, 2>;

// SipHash-2-4 with 128 bits of output: who does not know `key` cannot find two texts of one hash. Aumasson and
// Bernstein, "SipHash: a fast short-input PRF", 2012.
Hash128 siphash(const Hash128& key, std::string_view bytes);

}  // namespace tenon::core

#endif
