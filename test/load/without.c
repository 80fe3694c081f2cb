/*
 * Runs a program as on a kernel without some of what confines: without landlock|seccomp PROGRAM ARGUMENT...
 * Exits with 2 when it is used wrongly, and 3 when that cannot be.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define UNLESS(value, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (skipped))
#define GIVE(answer) BPF_STMT(BPF_RET | BPF_K, (answer))

static struct sock_filter landlock[] = {LOAD(nr), UNLESS(SYS_landlock_create_ruleset, 1),
                                        GIVE(SECCOMP_RET_ERRNO | ENOSYS), GIVE(SECCOMP_RET_ALLOW)};
static struct sock_filter seccomp[] = {
    LOAD(nr),      UNLESS(SYS_seccomp, 1),    GIVE(SECCOMP_RET_ERRNO | ENOSYS), UNLESS(SYS_prctl, 3),
    LOAD(args[0]), UNLESS(PR_SET_SECCOMP, 1), GIVE(SECCOMP_RET_ERRNO | EINVAL), GIVE(SECCOMP_RET_ALLOW)};

int main(int count, char** words) {
  if (count < 3) return 2;
  const int is_landlock = strcmp(words[1], "landlock") == 0;
  if (!is_landlock && strcmp(words[1], "seccomp") != 0) return 2;
  const struct sock_fprog program = {
      .len = (unsigned short)(is_landlock ? sizeof landlock / sizeof landlock[0] : sizeof seccomp / sizeof seccomp[0]),
      .filter = is_landlock ? landlock : seccomp};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    return 3;
  execvp(words[2], words + 2);
  return 3;
}
