#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "import_hooks.h"
#include "process_audit.h"

namespace tenon::core {

namespace {

namespace original {
int (*chdir)(const char*);
int (*fchdir)(int);
mode_t (*umask)(mode_t);
}  // namespace original

void note(ProcessPart part, const void* caller) {
  if (in_host_process()) note_changer(part, calling_image(caller));
}

int chdir_hook(const char* path) {
  note(ProcessPart::Directory, __builtin_return_address(0));
  return original::chdir(path);
}
int fchdir_hook(int directory) {
  note(ProcessPart::Directory, __builtin_return_address(0));
  return original::fchdir(directory);
}
mode_t umask_hook(mode_t mask) {
  note(ProcessPart::Mask, __builtin_return_address(0));
  return original::umask(mask);
}

}  // namespace

void add_place_hooks(std::vector<ImportHook>& hooks) {
  hooks.insert(hooks.end(), {
                                import_hook("chdir", &chdir_hook, original::chdir),
                                import_hook("fchdir", &fchdir_hook, original::fchdir),
                                import_hook("umask", &umask_hook, original::umask),
                            });
}

}  // namespace tenon::core
