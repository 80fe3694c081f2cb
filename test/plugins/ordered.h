/*
 * A plugin in C++ that does what it is told, of a list of kinds: what is alike in fault.cpp and hostile.cpp. Whoever
 * publishes the library writes four words into `order` in its file, the last of which is the serial of the build.
 */
#ifndef TEST_ORDERED_H
#define TEST_ORDERED_H

#include <pthread.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include <tenon/entry.h>
#include <tenon/ext/http.h>

#define TEXT(literal) (tenon_bytes_t{(literal), sizeof(literal) - 1})

namespace {

constexpr size_t kMark = 18;
volatile char order[160] = "TENON-FAULT-ORDER:none none any 0";

const tenon_host_t* host;
const tenon_host_http_t* http;
/* The number that the host gave it. */
unsigned long generation;

/* Word `index` of `order`. */
void word(int index, char (&out)[32]) {
  size_t size = 0;
  for (size_t at = kMark; at < sizeof order && order[at] != '\0'; at++) {
    if (order[at] == ' ')
      index--;
    else if (index == 0 && size < 31)
      out[size++] = order[at];
  }
  out[size] = '\0';
}

/* "GENERATION SERIAL" */
tenon_status tell_who(tenon_response_t* response) {
  char text[64];
  char serial[32];
  word(3, serial);
  const int size = std::snprintf(text, sizeof text, "%lu %s", generation, serial);
  return http->set_body(response, {text, static_cast<size_t>(size)});
}

bool is(tenon_bytes_t name, const char* text) {
  return std::strlen(text) == name.size && std::memcmp(text, name.data, name.size) == 0;
}

/* The one of `kinds` with this name; null when there is none. */
template <typename Kind, size_t count>
const Kind* kind_of(const Kind (&kinds)[count], tenon_bytes_t name) {
  for (const Kind& kind : kinds)
    if (is(name, kind.name)) return &kind;
  return nullptr;
}

/* Have a thread of its own run `kind`, 20 ms after the answer. */
template <typename Kind, void (*run)(const Kind&)>
tenon_status run_on_own_thread(const Kind& kind, tenon_response_t* response) {
  pthread_t thread;
  const int failed = pthread_create(
      &thread, nullptr,
      [](void* own) -> void* {
        usleep(20000);
        run(*static_cast<const Kind*>(own));
        return nullptr;
      },
      const_cast<Kind*>(&kind));
  if (failed != 0) return TENON_ERROR;
  pthread_detach(thread);
  return http->set_status(response, 202);
}

tenon_route_t route_of(tenon_http_method method, tenon_bytes_t pattern, uint32_t execution, uint32_t deadline_ms) {
  tenon_route_t route{};
  route.size = sizeof route;
  route.method = method;
  route.pattern = pattern;
  route.execution = execution;
  route.deadline_ms = deadline_ms;
  route.auth = TENON_AUTH_NONE;
  return route;
}

}  // namespace

#endif
