#include "import_hooks.h"

#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "descriptor_guard.h"
#include "fork_guard.h"
#include "guard_notes.h"
#include "heap_hooks.h"
#include "import_table.h"
#include "plugin_gauges.h"
#include "thread_record.h"

namespace tenon::core {

namespace {

std::atomic<pid_t> host_process{0};  // set once, read by every wrapper

// What a slot may hold for it to be hooked. In a program that is not position-independent an address that is taken is
// that of a stub in the program, while a call goes to the function itself.
struct Hooked {
  void* wrapper = nullptr;
  void* original = nullptr;
  void* direct = nullptr;
};
using HookedByName = std::unordered_map<std::string_view, Hooked>;

// A library that is open already, whoever has opened it.
class PresentLibrary {
 public:
  explicit PresentLibrary(const char* name) : handle_(dlopen(name, RTLD_NOW | RTLD_NOLOAD)) {}
  ~PresentLibrary() {
    if (handle_ != nullptr) dlclose(handle_);
  }
  PresentLibrary(const PresentLibrary&) = delete;
  PresentLibrary& operator=(const PresentLibrary&) = delete;

  void* find(const char* name) const { return handle_ == nullptr ? nullptr : dlsym(handle_, name); }

 private:
  void* const handle_;
};

HookedByName resolve() {
  std::vector<ImportHook> hooks;
  add_end_hooks(hooks);
  add_descriptor_hooks(hooks);
  add_thread_hooks(hooks);
  add_heap_hooks(hooks);
  add_place_hooks(hooks);
  add_program_hooks(hooks);
  const PresentLibrary c("libc.so.6");
  const PresentLibrary cpp("libstdc++.so.6");
  HookedByName resolved;
  for (const ImportHook& hook : hooks) {
    void* const found = dlsym(RTLD_DEFAULT, hook.name);
    if (found == nullptr) continue;
    *hook.original = found;
    void* const direct = c.find(hook.name);
    resolved.emplace(hook.name, Hooked{hook.wrapper, found, direct != nullptr ? direct : cpp.find(hook.name)});
  }
  return resolved;
}

const HookedByName& hooked() {
  static const HookedByName& all = *std::make_unique<HookedByName>(resolve()).release();
  return all;
}

void* choose(const char* name, void* present) {
  const auto found = hooked().find(name);
  if (found == hooked().end()) return nullptr;
  const Hooked& hook = found->second;
  return present == hook.original || present == hook.direct ? hook.wrapper : nullptr;
}

}  // namespace

ImageIndex calling_image(const void* address) {
  const auto caller = reinterpret_cast<uintptr_t>(address);
  const ImageIndex entered = image_of_thread();
  if (gauges::holds(entered, caller)) return entered;
  const ImageIndex found = image_registry::find(caller);
  return found == kNoImage ? entered : found;
}

bool in_host_process() { return getpid() == host_process.load(std::memory_order_relaxed); }

namespace import_hooks {

size_t install(ImageIndex image, const void* inside) {
  if (image == kNoImage) return 0;
  pid_t nobody = 0;
  if (host_process.compare_exchange_strong(nobody, getpid(), std::memory_order_relaxed)) {
    guard_forks();
    lend_standard_streams();
  }
  ImageSpan span;
  // Counted from the first call on.
  if (!find_image(inside, span)) return 0;
  gauges::begin(image, span);
  return redirect_imports(inside, choose);
}

void closed(ImageIndex image) {
  if (!gauges::is_open(image)) return;
  const PluginGauge left = gauges::of(image);
  gauges::end(image);
  if (left.memory != 0) forget_heap_of(image);
  if (left.descriptors == 0) return;
  const std::string open = forget_descriptors_of(image);
  note_guard({image, "descriptor",
              std::to_string(left.descriptors) + (left.descriptors == 1 ? " descriptor" : " descriptors") +
                  " that it had opened stayed open when it was closed: " + open,
              false, true});
}

}  // namespace import_hooks

}  // namespace tenon::core
