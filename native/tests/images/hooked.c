/* What the tests of import hooks call: each function does one thing that a plugin may do. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Addresses in data: one more way in which a function is imported. */
int (*const kept_close)(int) = close;
void* (*volatile kept_malloc)(size_t) = malloc;

void* get_memory(size_t size) {
  void* volatile block = malloc(size);
  return block;
}
void* get_memory_by_address(size_t size) {
  void* volatile block = kept_malloc(size);
  return block;
}
void* resize_memory(void* block, size_t size) {
  void* volatile moved = realloc(block, size);
  return moved;
}
void give_memory(void* block) {
  free(block);
  atomic_signal_fence(memory_order_seq_cst);
}
int get_file(const char* path) {
  volatile int descriptor = open(path, O_RDONLY | O_CLOEXEC);
  return descriptor;
}
int get_pipe(int* pair) {
  volatile int result = pipe2(pair, O_CLOEXEC);
  return result;
}
int make_file(const char* path, int mode) {
  volatile int descriptor = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode);
  return descriptor;
}
int give_file(int descriptor) {
  volatile int result = close(descriptor);
  return result;
}
int give_file_by_address(int descriptor) {
  volatile int result = kept_close(descriptor);
  return result;
}
int replace_file(int from, int to) {
  volatile int result = dup2(from, to);
  return result;
}
int replace_file_with(int from, int to, int flags) {
  volatile int result = dup3(from, to, flags);
  return result;
}
int give_range(unsigned first, unsigned last, unsigned flags) {
  volatile int result = close_range(first, last, (int)flags);
  return result;
}
int give_all_from(unsigned first) {
  volatile int result = close_range(first, ~0U, 0);
  return result;
}
int fork_and_wait(void) {
  const pid_t child = fork();
  if (child == 0) {
    volatile int alive = 1;
    while (alive) usleep(1000);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child ? status : -1;
}
int spawn_and_wait(void) {
  char* arguments[] = {"true", NULL};
  char* none[] = {NULL};
  pid_t child = 0;
  int status = -1;
  if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, none) != 0) return -1;
  return waitpid(child, &status, 0) == child ? status : -1;
}
int run_and_wait(void) {
  volatile int status = system("exit 3");
  return status;
}
int vfork_and_wait(void) {
  const pid_t child = vfork();
  if (child == 0) {
    close(2);
    execl("/bin/sh", "sh", "-c", "exit 7", (char*)NULL);
    _exit(8);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child ? status : -1;
}

/* How a program ends that sends itself SIGTERM: by that, or, where it is blocked, with status 9. */
#define ENDS_ITSELF "kill -TERM $$; exit 9"
int spawn_ending(void) {
  char* arguments[] = {"sh", "-c", ENDS_ITSELF, NULL};
  char* none[] = {NULL};
  pid_t child = 0;
  int status = -1;
  if (posix_spawnp(&child, "/bin/sh", NULL, NULL, arguments, none) != 0) return -1;
  return waitpid(child, &status, 0) == child ? status : -1;
}
/* Its attributes are its own: the group is to be there. */
int spawn_ending_apart(void) {
  char* arguments[] = {"sh", "-c", "[ $(ps -o pgid= -p $$) = $$ ] || exit 10; " ENDS_ITSELF, NULL};
  char* none[] = {"PATH=/usr/bin:/bin", NULL};
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t child = 0;
  int status = -1;
  const int refused = posix_spawn(&child, "/bin/sh", NULL, &attributes, arguments, none);
  posix_spawnattr_destroy(&attributes);
  if (refused != 0) return -1;
  return waitpid(child, &status, 0) == child ? status : -1;
}
int run_ending(void) {
  volatile int status = system(ENDS_ITSELF);
  return status;
}
int read_ending(void) {
  FILE* const from = popen(ENDS_ITSELF, "r");
  return from == NULL ? -1 : pclose(from);
}
int vfork_ending(void) {
  const pid_t child = vfork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", ENDS_ITSELF, (char*)NULL);
    _exit(8);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child ? status : -1;
}

static int ends[2];
static void* wait_for_end(void* given) {
  char byte;
  while (read(ends[0], &byte, 1) < 0 && errno == EINTR) continue;
  return given;
}
static void* leave(void* given) { pthread_exit(given); }
int start_thread(pthread_t* thread, int leaves) {
  if (leaves == 0 && pipe(ends) != 0) return -1;
  volatile int result = pthread_create(thread, NULL, leaves != 0 ? leave : wait_for_end, thread);
  return result;
}
int end_thread(pthread_t thread) {
  void* result = NULL;
  if (write(ends[1], "x", 1) != 1 || pthread_join(thread, &result) != 0) return -1;
  close(ends[0]);
  close(ends[1]);
  return 0;
}
static void* tell_priority(void* priority) {
  sigset_t blocked;
  const int kept = pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0 && sigismember(&blocked, SIGUSR2);
  *(int*)priority = kept ? getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid)) : -100;
  return NULL;
}
/* Of a thread that is started here, which has the signal mask of this one. */
int priority_of_thread(void) {
  pthread_t thread;
  int priority = -101;
  return pthread_create(&thread, NULL, tell_priority, &priority) == 0 && pthread_join(thread, NULL) == 0 ? priority
                                                                                                         : -102;
}
int join_thread(pthread_t thread, void** result) {
  volatile int status = pthread_join(thread, result);
  return status;
}
void end_this_thread(void) { pthread_exit(NULL); }
int send_nothing(void) {
  volatile int result = raise(0);
  return result;
}
/* The same, with its environment in the list. */
int vfork_ending_in(void) {
  char* own[] = {"CODE=9", NULL};
  const pid_t child = vfork();
  if (child == 0) {
    execle("/bin/sh", "sh", "-c", "kill -TERM $$; exit $CODE", (char*)NULL, own);
    _exit(8);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child ? status : -1;
}
int become_another_program_in(void) {
  char* none[] = {NULL};
  volatile int result = execle("/bin/true", "true", (char*)NULL, none);
  return result;
}
int become_another_program(void) {
  volatile int result = execl("/bin/true", "true", (char*)NULL);
  return result;
}
int become_a_daemon(void) {
  volatile int result = daemon(1, 1);
  return result;
}
