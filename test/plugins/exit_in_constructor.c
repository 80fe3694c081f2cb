/* Ends the process, with success, as soon as it is opened. */
#include <stdlib.h>
#include "minimal.h"

__attribute__((constructor)) static void begin(void) { exit(0); }
