#include "siphash.h"

#include "tenon/record.h"

namespace tenon::core {

namespace {

uint64_t rotate(uint64_t value, unsigned bits) { return value << bits | value >> (64 - bits); }

class State {
 public:
  explicit State(const Hash128& key)
      : v0_(key[0] ^ 0x736f6d6570736575u),
        v1_(key[1] ^ 0x646f72616e646f6du ^ 0xeeu),
        v2_(key[0] ^ 0x6c7967656e657261u),
        v3_(key[1] ^ 0x7465646279746573u) {}

  void take(uint64_t word) {
    v3_ ^= word;
    turn(2);
    v0_ ^= word;
  }

  Hash128 end() {
    v2_ ^= 0xee;
    turn(4);
    const uint64_t first = v0_ ^ v1_ ^ v2_ ^ v3_;
    v1_ ^= 0xdd;
    turn(4);
    return {first, v0_ ^ v1_ ^ v2_ ^ v3_};
  }

 private:
  void turn(int rounds) {
    for (int round = 0; round < rounds; round++) {
      v0_ += v1_;
      v1_ = rotate(v1_, 13) ^ v0_;
      v0_ = rotate(v0_, 32);
      v2_ += v3_;
      v3_ = rotate(v3_, 16) ^ v2_;
      v0_ += v3_;
      v3_ = rotate(v3_, 21) ^ v0_;
      v2_ += v1_;
      v1_ = rotate(v1_, 17) ^ v2_;
      v2_ = rotate(v2_, 32);
    }
  }
  uint64_t v0_;
  uint64_t v1_;
  uint64_t v2_;
  uint64_t v3_;
};

}  // namespace

Hash128 siphash(const Hash128& key, std::string_view bytes) {
  State state(key);
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) state.take(tenon_load64(at));
  uint64_t last = static_cast<uint64_t>(bytes.size()) << 56;
  for (size_t index = 0; index < left; index++) {
    last |= static_cast<uint64_t>(static_cast<unsigned char>(at[index])) << (8 * index);
  }
  state.take(last);
  return state.end();
}

}  // namespace tenon::core
