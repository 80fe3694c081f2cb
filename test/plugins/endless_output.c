/* Writes without end to its standard output. */
#include <unistd.h>
#include "minimal.h"

__attribute__((constructor)) static void begin(void) {
  for (;;) {
    if (write(1, "more and more and more and more and more and more\n", 50) < 0) _exit(3);
  }
}
