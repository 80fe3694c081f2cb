#ifndef TENON_CORE_IMPORT_HOOKS_H
#define TENON_CORE_IMPORT_HOOKS_H

#include <vector>

#include "image_registry.h"

namespace tenon::core {

/*
 * Functions of the system that are answered here when the own code of a plugin calls them: the slots of its import
 * table are pointed at wrappers, which do what was asked, and keep count of it or refuse it. What a plugin reaches by
 * dlsym or a system call of its own, and what libraries do for it, is not seen; nor what runs before the image is open.
 * Where the system has no ELF (macOS) nothing is hooked.
 */
namespace import_hooks {

// `inside` is an address in the image. Returns how many of its imports are hooked. [front]
size_t install(ImageIndex image, const void* inside);
// The image is closed: what it has left open is told. [front]
void closed(ImageIndex image);

}  // namespace import_hooks

// One function that is answered here. `original` is what the wrapper calls; it is filled in before a wrapper runs.
struct ImportHook {
  const char* name;
  void* wrapper;
  void** original;
};

template <typename Function>
ImportHook import_hook(const char* name, Function* wrapper, Function*& original) {
  return {name, reinterpret_cast<void*>(wrapper), reinterpret_cast<void**>(&original)};
}

// One list for each kind of them.
void add_end_hooks(std::vector<ImportHook>& hooks);
void add_descriptor_hooks(std::vector<ImportHook>& hooks);
void add_thread_hooks(std::vector<ImportHook>& hooks);
void add_heap_hooks(std::vector<ImportHook>& hooks);
void add_place_hooks(std::vector<ImportHook>& hooks);
void add_program_hooks(std::vector<ImportHook>& hooks);

// Node closes the standard streams for programs that are not started by it: those that plugins start would open their
// first files in that place. Node's own are given streams in any case. [front]
void lend_standard_streams();

// The image whose code has called a wrapper that returns to `address`. One that was called by a jump returns to the
// caller of its caller: then it is the image that the thread is in. [any]
ImageIndex calling_image(const void* address);
// False in a child of vfork, which has this memory and another process's descriptors. [any]
bool in_host_process();

}  // namespace tenon::core

#endif
