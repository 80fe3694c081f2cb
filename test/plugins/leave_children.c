/* Leaves two processes behind, one in its session and one that left it, and passes. They sleep under a name of their
 * own, given as MARK, so that a test can look for them. */
#define INITIALIZE initialize
#include <unistd.h>
#include "minimal.h"

static tenon_status initialize(tenon_plugin_t* plugin) {
  (void)plugin;
  if (fork() == 0) execl("/bin/sleep", MARK, "60", (char*)NULL);
  if (fork() == 0) {
    setsid();
    if (fork() == 0) execl("/bin/sleep", MARK, "60", (char*)NULL);
    _exit(0);
  }
  usleep(20000);
  return TENON_OK;
}
