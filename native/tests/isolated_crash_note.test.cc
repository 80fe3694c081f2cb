#include <doctest/doctest.h>
#include <signal.h>

#include <memory>
#include <optional>
#include <string>

#include "isolated/process_end.h"

using namespace tenon;

TEST_CASE("the name of a file in a crash note ends with its place, whatever is there") {
  const auto note = std::make_unique<wire::CrashNote>();
  note->stage.store(wire::CrashNote::kPlace);
  note->signal = SIGSEGV;
  note->pc = 0x1010;
  note->files_count = 1;
  note->files[0].low = 0x1000;
  note->files[0].high = 0x2000;
  for (char& one : note->files[0].name) one = 'x';
  const std::optional<isolated::Fault> fault = isolated::read_fault(*note);
  REQUIRE(fault.has_value());
  CHECK(fault->frames.at(0).file == std::string(sizeof wire::MappedFile::name - 1, 'x'));
  CHECK(fault->frames.at(0).offset == 0x10);
}
