/* Opening it never ends, and takes a whole processor. */
#include "minimal.h"

static volatile unsigned turns;
__attribute__((constructor)) static void begin(void) {
  for (;;) turns++;
}
