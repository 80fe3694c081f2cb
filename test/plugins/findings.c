/* Everything that a person should know of a library before it is reloaded; the rest comes from linker flags. */
#include "minimal.h"

__thread int counter __attribute__((tls_model("initial-exec")));
extern int __cxa_thread_atexit_impl(void (*)(void*), void*, void*);

static void done(void* data) { (void)data; }
TENON_EXPORT int use_everything(void) { return counter++ + __cxa_thread_atexit_impl(done, NULL, NULL); }

__asm__(
    ".pushsection .data\n"
    ".globl only_one\n"
    ".type only_one, @gnu_unique_object\n"
    ".size only_one, 4\n"
    "only_one: .long 1\n"
    ".popsection\n"
    ".pushsection .text\n"
    ".quad only_one\n"
    ".popsection\n");
