/* Does what the last segment of the path says, with the body as its argument, and answers how that ended. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <tenon/entry.h>
#include <tenon/ext/http.h>
#include <tenon/ext/log.h>
#include <tenon/ext/state.h>

static const tenon_host_t* host;
static const tenon_host_http_t* http;
static char kept[64] = "new";
static int quiet;

static const char* result(long value) { return value < 0 ? strerrorname_np(errno) : "done"; }

static void* nothing(void* argument) { return argument; }

static void* spin(void* argument) {
  for (volatile unsigned count = 0;; count++) (void)count;
  return argument;
}

static void fault(void) { *(volatile int*)8 = 1; }

static int begin_child(void) {
  const pid_t child = fork();
  if (child == 0)
    for (;;) pause();
  return child;
}

/* It has ended, and nobody has waited for it. */
static void begin_ended_child(void) {
  siginfo_t ended;
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT);
}

static void* wait_on(void* argument) {
  for (;;) pause();
  return argument;
}

static void begin_threads(int much) {
  pthread_t thread;
  for (int count = 0; count < much; count++) pthread_create(&thread, NULL, wait_on, NULL);
}

static const char* attempt(const char* what, const char* argument, char* text, size_t size) {
  const pid_t other = (pid_t)atoi(argument);
#define IS(name) (strcmp(what, name) == 0)
  if (IS("pid")) {
    snprintf(text, size, "%d", (int)getpid());
    return text;
  }
  if (IS("temporary")) return getenv("TMPDIR") == NULL ? "none" : getenv("TMPDIR");
  if (IS("kill")) return result(kill(other, 0));
  if (IS("kill-group")) return result(kill(-getpgid(other), 0));
  if (IS("kill-own")) return result(kill(getpid(), 0));
  if (IS("signal-thread")) return result(syscall(SYS_tkill, other, 0));
  if (IS("system-v")) return result(shmget(IPC_PRIVATE, 1, 0600));
  if (IS("ptrace")) return result(ptrace(PTRACE_ATTACH, other, 0, 0));
  if (IS("prlimit")) {
    const struct rlimit limit = {1, 1};
    return result(prlimit(other, RLIMIT_NOFILE, &limit, NULL));
  }
  if (IS("priority")) return result(setpriority(PRIO_PROCESS, (id_t)other, 19));
  if (IS("join-group")) return result(setpgid(0, getpgid(other)));
  if (IS("fork")) return result(begin_child());
  if (IS("fork-many")) {
    for (int count = 0; count < other; count++) begin_child();
    return "done";
  }
  if (IS("fork-orphans")) {
    for (int count = 0; count < other; count++) {
      const pid_t parent = fork();
      if (parent == 0) {
        begin_child();
        _exit(0);
      }
      waitpid(parent, NULL, 0);
    }
    return "done";
  }
  if (IS("fork-ended")) {
    for (int count = 0; count < other; count++) begin_ended_child();
    return "done";
  }
  if (IS("fork-ended-orphans")) {
    for (int count = 0; count < other; count++) {
      const pid_t parent = fork();
      if (parent == 0) {
        begin_ended_child();
        _exit(0);
      }
      waitpid(parent, NULL, 0);
    }
    return "done";
  }
  if (IS("fork-headless")) {
    for (int count = 0; count < other; count++) {
      if (fork() != 0) continue;
      begin_threads(1);
      syscall(SYS_exit, 0);  // of this thread only
    }
    return "done";
  }
  if (IS("fork-threads")) {
    if (fork() != 0) return "done";
    begin_threads(other);
    for (;;) pause();
  }
  if (IS("execute")) return result(execl("/bin/true", "true", NULL));
  if (IS("unshare")) return result(syscall(SYS_unshare, 0));
  if (IS("clone-sibling")) return result(syscall(SYS_clone, 0x8000 | SIGCHLD, 0, 0, 0, 0));
  if (IS("io-uring")) return result(syscall(425, 1, NULL));
  if (IS("own-signals")) return result(fcntl(1, F_SETOWN, other));
  if (IS("setuid")) return result(setuid(getuid()));
  if (IS("thread")) {
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0 ? "done" : "failed";
  }
  if (IS("read")) return result(open(argument, O_RDONLY | O_CLOEXEC));
  if (IS("write")) return result(open(argument, O_WRONLY | O_CLOEXEC));
  if (IS("create")) return result(open(argument, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (IS("remove")) return result(unlink(argument));
  if (IS("chmod")) return result(chmod(argument, 0777));
  if (IS("link")) return result(link(argument, P_tmpdir "/tenon-confined-link"));
  if (IS("allocate")) {
    const size_t bytes = (size_t)atol(argument);
    static char* volatile memory;
    memory = malloc(bytes);
    if (memory == NULL) return "ENOMEM";
    memset(memory, 1, bytes);
    return "done";
  }
  if (IS("share")) {
    const size_t bytes = (size_t)atol(argument);
    char* const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return "ENOMEM";
    memset(memory, 1, bytes);
    return "done";
  }
  if (IS("descriptors")) {
    int count = 0;
    while (dup(1) >= 0) count++;
    snprintf(text, size, "%d", count);
    return text;
  }
  if (IS("spin")) {
    pthread_t thread;
    return pthread_create(&thread, NULL, spin, NULL) == 0 ? "done" : "failed";
  }
  if (IS("processor")) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    snprintf(text, size, "%ld", (long)(used.tv_sec * 1000 + used.tv_nsec / 1000000));
    return text;
  }
  if (IS("fault")) fault();
  if (IS("abort")) abort();
  if (IS("exit")) _exit(other);
  if (IS("kill-itself")) kill(getpid(), SIGKILL);
  if (IS("close-all")) {
    for (int descriptor = 0; descriptor < 1000; descriptor++) close(descriptor);
    return "done";
  }
  if (IS("flood-socket")) {
    for (int count = 0; count < 100000; count++) send(3, "flood", 5, MSG_NOSIGNAL);
    for (;;) pause();
  }
  if (IS("flood-output")) {
    static const char line[] = "a line that is printed again and again and again and again and again\n";
    for (int count = 0; count < other; count++) {
      const ssize_t written = write(1, line, sizeof line - 1);
      if (written < 0) return result(-1);
    }
    return "done";
  }
  if (IS("say")) {
    dprintf(2, "%s", argument);
    return "done";
  }
  if (IS("shout")) {
    // More than is read at once, in a pipe that holds it.
    static char line[256 * 1024];
    memset(line, 'x', sizeof line);
    for (size_t at = 1023; at < sizeof line; at += 1024) line[at] = '\n';
    fcntl(2, F_SETPIPE_SZ, 1024 * 1024);
    const ssize_t written = write(2, line, sizeof line);
    if (written < 0) return result(-1);
    dprintf(2, "%s\n", argument);
    kill(getpid(), SIGKILL);
  }
  if (IS("pass")) {
    char space[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {text, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr* const control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(control), &(int){1}, sizeof(int));
    return result(sendmsg(3, &message, MSG_NOSIGNAL));
  }
  if (IS("sleep"))
    for (;;) pause();
  if (IS("keep")) {
    snprintf(kept, sizeof kept, "%s", argument);
    return kept;
  }
  if (IS("kept")) return kept;
  if (IS("quiet")) return quiet ? "quiet" : "awake";
  if (IS("log")) {
    const tenon_host_log_t* const log = host->get_extension(host, TENON_LOG_ID);
    log->write(host, TENON_LOG_DEBUG, (tenon_bytes_t){argument, strlen(argument)}, NULL, 0);
    return "done";
  }
  return "unknown";
}

static uint32_t route_count(tenon_plugin_t* plugin) {
  (void)plugin;
  return 1;
}

static const tenon_route_t* route(tenon_plugin_t* plugin, uint32_t index) {
  (void)plugin;
  (void)index;
  static const tenon_route_t only = {
      .size = sizeof only, .method = TENON_HTTP_POST, .pattern = {"/:what", 6}, .execution = TENON_EXECUTION_POOL};
  return &only;
}

static tenon_status handle(tenon_plugin_t* plugin, uint32_t index, tenon_request_t* request,
                           tenon_response_t* response) {
  (void)plugin;
  (void)index;
  tenon_bytes_t what = {NULL, 0};
  http->param(request, (tenon_bytes_t){"what", 4}, &what);
  const tenon_bytes_t body = http->body(request);
  char name[64];
  char argument[1024];
  char text[64];
  snprintf(name, sizeof name, "%.*s", (int)what.size, what.data);
  snprintf(argument, sizeof argument, "%.*s", (int)body.size, body.data);
  const char* const answer = attempt(name, argument, text, sizeof text);
  return http->set_body(response, (tenon_bytes_t){answer, strlen(answer)});
}

static tenon_status save(tenon_plugin_t* plugin, const tenon_state_writer_t* writer) {
  (void)plugin;
  return writer->write(writer, (tenon_bytes_t){kept, strlen(kept)});
}

static tenon_status load(tenon_plugin_t* plugin, const tenon_state_reader_t* state) {
  (void)plugin;
  if (!state->dry_run) snprintf(kept, sizeof kept, "%.*s", (int)state->bytes.size, state->bytes.data);
  return TENON_OK;
}

static tenon_status quiesce(tenon_plugin_t* plugin) {
  (void)plugin;
  quiet = 1;
  return TENON_OK;
}

static tenon_status resume(tenon_plugin_t* plugin) {
  (void)plugin;
  quiet = 0;
  return TENON_OK;
}

static void destroy(tenon_plugin_t* plugin) { (void)plugin; }

static const void* get_extension(tenon_plugin_t* plugin, const char* id) {
  (void)plugin;
  static const tenon_plugin_http_t serves = {
      .size = sizeof serves, .route_count = route_count, .route = route, .handle = handle};
  static const tenon_plugin_state_t keeps = {.size = sizeof keeps, .version = 1, .save = save, .load = load};
  if (strcmp(id, TENON_HTTP_ID) == 0) return &serves;
  return strcmp(id, TENON_STATE_ID) == 0 ? &keeps : NULL;
}

static tenon_status create(const tenon_host_t* given, tenon_plugin_t** out) {
  static tenon_plugin_t plugin;
  host = given;
  http = host->get_extension(host, TENON_HTTP_ID);
  plugin = (tenon_plugin_t){
      .size = sizeof plugin, .quiesce = quiesce, .resume = resume, .destroy = destroy, .get_extension = get_extension};
  *out = &plugin;
  return TENON_OK;
}

TENON_PLUGIN("test", "Test", "1.0.0", "Tries what it may.", NULL, TENON_TRIAL_FULL, create)
