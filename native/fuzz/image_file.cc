// Fuzzes the reading of image files:
//   clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -Inative/include native/core/image_file.cc \
//     native/fuzz/image_file.cc -o image_file_fuzz && ./image_file_fuzz -max_len=65536 CORPUS
// The corpus is a directory with plugins as test/plugins/build.ts makes them.
#include "../core/image_file.h"

#include <cstdlib>
#include <memory>
#include <string_view>

namespace {

// Every text must lie in the bytes that were given; the sanitizers see a read beyond them.
void touch(std::string_view text) {
  size_t sum = 0;
  for (const char c : text) sum += static_cast<unsigned char>(c);
  static volatile size_t sink;
  sink = sum;
}

void inspect(const uint8_t* bytes, size_t size, tenon::core::ImageScope scope) {
  tenon::core::ImageFacts facts;
  tenon::core::ImageFailure failure;
  if (!tenon::core::inspect_image(bytes, size, facts, failure, scope)) {
    if (failure.code[0] == '\0' || failure.message.empty()) std::abort();
    return;
  }
  touch(facts.glibc_floor);
  for (const std::string_view text : facts.needed) touch(text);
  for (const std::string_view text : facts.exports) touch(text);
  touch(facts.note.id);
  touch(facts.note.version);
  touch(facts.note.sdk_version);
  touch(facts.note.compiler);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A copy of the exact size: the fuzzer's own buffer may be followed by readable bytes.
  const auto bytes = std::make_unique<uint8_t[]>(size);
  for (size_t i = 0; i < size; i++) bytes[i] = data[i];
  inspect(bytes.get(), size, tenon::core::ImageScope::kThisHost);
  inspect(bytes.get(), size, tenon::core::ImageScope::kAnyMachine);
  return 0;
}
