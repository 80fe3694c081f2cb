/* Opening it never ends. */
#include <unistd.h>
#include "minimal.h"

__attribute__((constructor)) static void begin(void) {
  for (;;) pause();
}
