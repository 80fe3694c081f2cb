#include "state_store.h"

#include <doctest/doctest.h>

#include <string>

#include "byte_buffer.h"

using namespace tenon::core;

namespace {

std::string value_of(const StateStore& store, std::string_view key) {
  char buffer[64];
  size_t size = 0;
  if (store.get(bytes(key), buffer, sizeof buffer, &size) != TENON_OK) return "none";
  return std::string(buffer, size);
}

}  // namespace

TEST_CASE("values that are exported are the same after their import, and nothing else is there") {
  StateStore store;
  const std::string key(255, 'k');
  CHECK(store.put(bytes("one"), bytes("1")) == TENON_OK);
  CHECK(store.put(bytes("empty"), bytes("")) == TENON_OK);
  CHECK(store.put(bytes(key), bytes(std::string_view("a\0b", 3))) == TENON_OK);
  StateStore other;
  CHECK(other.put(bytes("stranger"), bytes("x")) == TENON_OK);
  CHECK(other.import_values(store.export_values()).empty());
  CHECK(value_of(other, "one") == "1");
  CHECK(value_of(other, "empty").empty());
  CHECK(value_of(other, key) == std::string("a\0b", 3));
  CHECK(value_of(other, "stranger") == "none");
  CHECK(other.import_values(StateStore().export_values()).empty());
  CHECK(value_of(other, "one") == "none");
}

TEST_CASE("what is imported counts towards the limit") {
  StateStore store;
  CHECK(store.put(bytes("big"), bytes(std::string(TENON_STATE_LIMIT - 3, 'x'))) == TENON_OK);
  StateStore other;
  CHECK(other.import_values(store.export_values()).empty());
  CHECK(other.put(bytes("a"), bytes("b")) == TENON_ERROR_TOO_LARGE);
  CHECK(other.remove(bytes("big")) == TENON_OK);
  CHECK(other.put(bytes("a"), bytes("b")) == TENON_OK);
}

TEST_CASE("a block that is none is refused, and changes nothing") {
  StateStore whole;
  CHECK(whole.put(bytes("key"), bytes("value")) == TENON_OK);
  const std::string block = whole.export_values();
  StateStore store;
  CHECK(store.put(bytes("kept"), bytes("1")) == TENON_OK);
  std::string wrong_version = block;
  wrong_version[0] = 2;
  std::string no_key = block;
  no_key[1] = 0;
  std::string long_value = block;
  long_value[5] = static_cast<char>(0xff);
  const std::string twice = block + block.substr(1);
  for (const std::string& bad : {std::string(), wrong_version, no_key, long_value, twice, block + "x"}) {
    CHECK_FALSE(store.import_values(bad).empty());
  }
  for (size_t size = 2; size < block.size(); size++) CHECK_FALSE(store.import_values(block.substr(0, size)).empty());
  CHECK(value_of(store, "kept") == "1");
  CHECK(value_of(store, "key") == "none");
}
