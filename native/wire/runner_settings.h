#ifndef TENON_WIRE_RUNNER_SETTINGS_H
#define TENON_WIRE_RUNNER_SETTINGS_H

#include <cstdint>
#include <string>
#include <vector>

#include "message.h"

namespace tenon::wire {

// What a runner is started with, beside its library: who it is, and what it may. A limit of 0 is none.
struct RunnerSettings {
  uint32_t protocol = 0;
  std::string id;
  std::string host_name;  // begins the ids of requests
  uint64_t generation = 0;
  uint64_t memory_bytes = 0;          // of data: RLIMIT_DATA, and RLIMIT_AS where the system has no other
  uint32_t descriptors = 0;           // beside those of the runner itself
  uint32_t processes = 0;             // that the plugin may have beside its own; 0: none
  bool sandbox = true;                // seccomp and landlock where the kernel has them
  bool needs_all = false;             // and nothing is begun where it lacks one of them
  std::vector<std::string> writable;  // folders and files that it may change
  std::vector<std::string> hidden;    // absolute: of these and of what is below nothing may be read

  void write(Writer& writer) const {
    writer.put(protocol).text(id).text(host_name).put(generation).put(memory_bytes).put(descriptors).put(processes);
    writer.put(sandbox).put(needs_all);
    for (const std::vector<std::string>* const paths : {&writable, &hidden}) {
      writer.put(static_cast<uint32_t>(paths->size()));
      for (const std::string& path : *paths) writer.text(path);
    }
  }
  bool read(Reader& reader) {
    protocol = reader.get<uint32_t>();
    id = reader.text();
    host_name = reader.text();
    generation = reader.get<uint64_t>();
    memory_bytes = reader.get<uint64_t>();
    descriptors = reader.get<uint32_t>();
    processes = reader.get<uint32_t>();
    sandbox = reader.flag();
    needs_all = reader.flag();
    for (std::vector<std::string>* const paths : {&writable, &hidden}) {
      const uint32_t count = reader.count(8);
      for (uint32_t index = 0; index < count; index++) paths->emplace_back(reader.text());
    }
    return reader.ended();
  }
};

// What the kernel sees to, as the runner says before its library is opened.
struct Confinement {
  bool no_new_privileges = false;
  bool seccomp = false;
  uint32_t landlock = 0;  // the version of it; 0: none

  void write(Writer& writer) const { writer.put(no_new_privileges).put(seccomp).put(landlock); }
  bool read(Reader& reader) {
    no_new_privileges = reader.flag();
    seccomp = reader.flag();
    landlock = reader.get<uint32_t>();
    return reader.ended();
  }
};

}  // namespace tenon::wire

#endif
