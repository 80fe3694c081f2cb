/* Says in a file that code of it was run. Macros: MARK, the path of the file; and those of minimal.h. */
#include <fcntl.h>
#include <unistd.h>

#include "minimal.h"

__attribute__((constructor)) static void mark(void) { close(open(MARK, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)); }
