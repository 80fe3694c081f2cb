#ifndef TENON_CORE_IMAGE_THREADS_H
#define TENON_CORE_IMAGE_THREADS_H

#include <pthread.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace tenon::core {

struct ImageThread {
  pid_t id;
  std::string name;
  bool known;  // else nothing says where it is, and it may be in any image
};

/*
 * For each of `paths`, the threads of this process that run in the image opened from it, or will return into it: where
 * they are, where they came from, and every word of their stacks is compared with its executable segments. Not looked
 * at are threads that the core made, those that were there at `know_present_threads`, and the calling one: no image is
 * unmapped under them. A thread that runs is asked by a signal; one that has not answered when 10 ms are over for all,
 * or whose stack the system refuses to read, is taken for one of every image. Elsewhere than on Linux nothing is looked
 * at, and none is found.
 */
std::vector<std::vector<ImageThread>> threads_in_images(const std::vector<std::string>& paths);

// The threads that are there now are the host's. Once, before any plugin is opened, and while there are descriptors
// left.
void know_present_threads();

// pthread_create for a thread of the core, which makes a ThreadGuard first: until then nobody takes it for another's.
bool start_core_thread(pthread_t& thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument);

// This thread is, or is no longer, one of the core's.
void enter_core_thread();
void leave_core_thread();

// A thread is about to be started that runs code of a plugin, and is on its way there: until it has entered, with an
// address of its image on its stack, nothing else tells where it will be. [any]
void expect_foreign_thread();
void foreign_thread_entered();

// Open to every thread of the core, and so to those that a plugin starts from one: they inherit the mask.
int thread_probe_signal();

}  // namespace tenon::core

#endif
