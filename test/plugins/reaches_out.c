/*
 * Its first code makes the file OUTSIDE; it does not start where it may signal other processes, sees SECRET, or may
 * read the file SECRET_FILE.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define INITIALIZE initialize
#include "minimal.h"

__attribute__((constructor)) static void reach_out(void) {
  const int file = open(OUTSIDE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file >= 0) close(file);
}

static tenon_status initialize(tenon_plugin_t* plugin) {
  if (kill(getppid(), 0) == 0) {
    log_text(plugin->data, TENON_LOG_ERROR, TEXT("it may signal another process"));
    return TENON_ERROR_DENIED;
  }
#ifdef SECRET_FILE
  if (access(SECRET_FILE, R_OK) != 0 || open(SECRET_FILE, O_RDONLY | O_CLOEXEC) >= 0) {
    log_text(plugin->data, TENON_LOG_ERROR, TEXT("it may read a file of the host"));
    return TENON_ERROR_DENIED;
  }
#endif
  if (getenv("TENON_TEST_SECRET") != NULL) {
    log_text(plugin->data, TENON_LOG_ERROR, TEXT("it sees a secret of the host"));
    return TENON_ERROR_DENIED;
  }
  return TENON_OK;
}
