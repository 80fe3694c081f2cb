// What a library file says of itself, read from its bytes: nothing is mapped, opened or run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::core {

// Why an image is refused: a code of src/base/errors.ts and one sentence with the rule and the offset in the file.
struct ImageFailure {
  const char* code = "";
  std::string message;
};

struct ImageNote {
  uint16_t abi_major = 0;
  uint16_t abi_minor = 0;
  std::string_view id;
  std::string_view version;
  std::string_view sdk_version;
  std::string_view compiler;
  uint32_t trial = 0;
};

// Something a person should know. `pins`: the image would stay mapped after dlclose.
struct ImageFinding {
  const char* rule = "";
  std::string detail;
  bool pins = false;
};

// Texts point into the bytes that were inspected and live as long as they do.
struct ImageFacts {
  const char* arch = "";  // Node's name
  const char* libc = "";  // of its needed libraries: "glibc", "musl", or empty when it needs neither
  // Lowest glibc that has every version of a symbol it cannot do without, e.g. "2.34"; empty when it asks for none.
  std::string glibc_floor;
  ImageNote note;
  std::string build_id;  // hexadecimal
  std::vector<std::string_view> needed;
  std::vector<std::string_view> exports;
  std::vector<ImageFinding> findings;
};

// Libraries of which machines are read, and of which contracts.
enum class ImageScope {
  kThisHost,    // what this host could open: another machine or contract is a failure
  kAnyMachine,  // x86-64 and aarch64, any contract; of one with another major number only the version is read of the
                // note
};

// Inspect an ELF library. True: `facts` is filled and the file is whole as far as the dynamic loader reads it. False:
// `failure` is. The bytes may be anything; they must not change during the call. Any thread.
bool inspect_image(const uint8_t* bytes, size_t size, ImageFacts& facts, ImageFailure& failure,
                   ImageScope scope = ImageScope::kThisHost);

}  // namespace tenon::core
