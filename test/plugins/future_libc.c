/* Needs a version of a symbol that no libc has yet. */
#include "minimal.h"

extern int future_of_libc(void);

__attribute__((visibility("default"))) int uses_the_future(void);
int uses_the_future(void) { return future_of_libc(); }
