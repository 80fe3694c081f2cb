/* Wants 2 GB as soon as it is opened, and gives up without. */
#include <stdlib.h>
#include <string.h>
#include "minimal.h"

__attribute__((constructor)) static void begin(void) {
  const size_t size = (size_t)2 << 30;
  char* volatile memory = malloc(size);
  if (memory == NULL) abort();
  memset(memory, 1, size);
}
