#include "fork_guard.h"

#include <pthread.h>
#include <unistd.h>

#include "guard_notes.h"
#include "thread_record.h"

namespace tenon::core {

namespace {

constexpr int kForkedStatus = 121;

thread_local ImageIndex forking = kNoImage;

ImageIndex image_that_forks() { return forking == kNoImage ? image_of_thread() : forking; }

void in_parent() {
  const ImageIndex image = image_that_forks();
  if (image == kNoImage) return;
  note_guard({image, "fork",
              "fork: a child would be a second host, and is ended with status 121; posix_spawn starts a program", true,
              true});
}

void in_child() {
  if (image_that_forks() != kNoImage) _exit(kForkedStatus);
}

}  // namespace

void guard_forks() {
  static const int registered = pthread_atfork(nullptr, in_parent, in_child);
  static_cast<void>(registered);
}

void enter_fork(ImageIndex image) { forking = image; }

}  // namespace tenon::core
