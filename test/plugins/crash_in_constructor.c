/* Dies by SIGSEGV as soon as it is opened. */
#include "minimal.h"

static int* volatile nowhere;
__attribute__((constructor)) static void begin(void) { *nowhere = 1; }
