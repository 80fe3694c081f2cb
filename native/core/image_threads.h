#ifndef TENON_CORE_IMAGE_THREADS_H
#define TENON_CORE_IMAGE_THREADS_H

#include <sys/types.h>

#include <string>
#include <vector>

namespace tenon::core {

struct ImageThread {
  pid_t id;
  std::string name;
};

/*
 * Threads of this process that run in the image opened from `path`, or will return into it: where they are, where they
 * came from, and every word of their stacks is compared with its executable segments. Not looked at are threads that
 * the core made, those that were there at `know_present_threads`, and the calling one: no image is unmapped under them.
 * A thread that runs is asked by a signal; one that is a second old and has not answered when 10 ms are over for all
 * is taken for one of the image. Elsewhere than on Linux nothing is looked at, and none is found.
 */
std::vector<ImageThread> threads_in_image(const std::string& path);

// The threads that are there now are the host's. Once, before any plugin is opened.
void know_present_threads();

// This thread is, or is no longer, one of the core's.
void enter_core_thread();
void leave_core_thread();

// Open to every thread of the core, and so to those that a plugin starts from one: they inherit the mask.
int thread_probe_signal();

}  // namespace tenon::core

#endif
