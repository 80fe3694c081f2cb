#include "sandbox_calls.h"

#include "sandbox_files.h"

#if defined(__linux__)

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#endif

namespace tenon::runner {

#if defined(__linux__) && (defined(__x86_64__) || defined(__aarch64__))

namespace {

#if defined(__x86_64__)
constexpr uint32_t kMachine = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kMachine = AUDIT_ARCH_AARCH64;
#endif

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kDeny = SECCOMP_RET_ERRNO | EPERM;
constexpr uint32_t kUnknown = SECCOMP_RET_ERRNO | ENOSYS;
constexpr uint32_t kKill = 0x80000000u;  // SECCOMP_RET_KILL_PROCESS

// Numbers that are the same on both machines, and that headers may be too old for.
enum Newer : uint32_t {
  kPidfdSendSignal = 424,
  kIoUringSetup = 425,
  kIoUringRegister = 427,
  kOpenTree = 428,
  kMoveMount = 429,
  kFsopen = 430,
  kFspick = 433,
  kClone3 = 435,
  kOpenat2 = 437,
  kPidfdGetfd = 438,
  kProcessMadvise = 440,
  kMountSetattr = 442,
  kQuotactlFd = 443,
  kProcessMrelease = 448,
  kFchmodat2 = 452,
  kSetxattrat = 463,
  kRemovexattrat = 466,
  kOpenTreeAttr = 467,
  kFileSetattr = 469,
};

constexpr uint32_t kNewNamespaces = 0x7e020000u;  // CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET
constexpr uint32_t kCloneParent = 0x8000u;
constexpr uint32_t kCloneThread = 0x10000u;

// Answered at once, also by kernels that do not remember what a filter always allows.
constexpr std::array kHot = {SYS_read, SYS_write, SYS_ppoll, SYS_futex, SYS_recvmsg, SYS_sendmsg, SYS_munmap};

constexpr std::array kDenied = {
    // other processes
    SYS_ptrace,
    SYS_kcmp,
    SYS_tkill,
    SYS_migrate_pages,
    SYS_move_pages,
    // its process group, by which the host counts and ends what it has begun
    SYS_setpgid,
    SYS_setsid,
    // its own privileges
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_capset,
    SYS_setns,
    SYS_unshare,
    SYS_chroot,
    SYS_pivot_root,
    // what landlock does not see: who may do what with a file
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_fanotify_init,
    // memory and messages that outlive it, and that none of its limits count
    SYS_shmget,
    SYS_semget,
    SYS_msgget,
    SYS_mq_open,
    // the system
    SYS_mount,
    SYS_umount2,
    SYS_swapon,
    SYS_swapoff,
    SYS_reboot,
    SYS_kexec_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    SYS_acct,
    SYS_quotactl,
    SYS_syslog,
    SYS_vhangup,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_sethostname,
    SYS_setdomainname,
#if defined(SYS_kexec_file_load)
    SYS_kexec_file_load,
#endif
#if defined(__x86_64__)
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_iopl,
    SYS_ioperm,
    SYS_uselib,
    SYS_modify_ldt,
#endif
};

struct Span {
  uint32_t first, last;
};
constexpr std::array kDeniedSpans = {
    Span{kIoUringSetup, kIoUringRegister},
    Span{kOpenTree, kMoveMount},
    Span{kFsopen, kFspick},
    Span{kPidfdGetfd, kPidfdGetfd},
    Span{kProcessMadvise, kProcessMadvise},
    Span{kMountSetattr, kQuotactlFd},
    Span{kProcessMrelease, kProcessMrelease},
    Span{kFchmodat2, kFchmodat2},
    Span{kSetxattrat, kSetxattrat},
    Span{kRemovexattrat, kOpenTreeAttr},
    Span{kFileSetattr, kFileSetattr},
};

// Calls that name a process by their first argument, and may name none but this one.
constexpr std::array kOfOneself = {SYS_prlimit64,         SYS_sched_setaffinity, SYS_sched_setscheduler,
                                   SYS_sched_setparam,    SYS_sched_setattr,     SYS_process_vm_readv,
                                   SYS_process_vm_writev, SYS_get_robust_list};
constexpr std::array kSignalling = {SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo};

constexpr std::array kOwnership = {uint32_t{F_SETOWN}, 15u /* F_SETOWN_EX */};
constexpr std::array kControls = {0x8901u /* FIOSETOWN */, 0x8902u /* SIOCSPGRP */, 0x5412u /* TIOCSTI */,
                                  0x541cu /* TIOCLINUX */};

class Filter {
 public:
  Filter(bool may_start, uint32_t landlock) {
    load(offsetof(seccomp_data, arch));
    unless_equal(kMachine, kKill);
    load(offsetof(seccomp_data, nr));
#if defined(__x86_64__)
    // The calls of x32 have numbers of their own.
    add({BPF_JMP | BPF_JGE | BPF_K, 0, 1, 0x40000000u});
    give(kKill);
#endif
    for (const long call : kHot) on(call, kAllow);
    for (const long call : kDenied) on(call, kDeny);
    for (const Span& span : kDeniedSpans) {
      add({BPF_JMP | BPF_JGE | BPF_K, 0, 2, span.first});
      add({BPF_JMP | BPF_JGT | BPF_K, 1, 0, span.last});
      give(kDeny);
    }
    for (const long call : kOfOneself) of_oneself(call, 0);
    ranked(SYS_setpriority, PRIO_PROCESS);
    ranked(SYS_ioprio_set, 1);
    // Where the kernel keeps signals among its own processes, they may have those.
    if (!may_start || landlock < kSignalsScopedSince) {
      for (const long call : kSignalling) of_oneself(call, 0);
      on(kPidfdSendSignal, kDeny);
    }
    if (landlock < kCutsSeenSince) {
      on(SYS_truncate, kDeny);
      // With flags in memory; the C library has none that needs it.
      on(kOpenat2, kUnknown);
      cuts_nothing(SYS_openat, 2);
#if defined(__x86_64__)
      cuts_nothing(SYS_open, 1);
#endif
    }
    // A signal by way of a descriptor.
    none_of(SYS_fcntl, 1, kOwnership.data(), kOwnership.size());
    none_of(SYS_ioctl, 1, kControls.data(), kControls.size());
    // Its flags are in memory, where no filter looks; the C library then takes the other one.
    on(kClone3, kUnknown);
    begins(may_start);
    give(kAllow);
  }

  bool install() {
    const sock_fprog program = {static_cast<unsigned short>(size_), code_.data()};
    return size_ <= code_.size() && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
  }

 private:
  void add(const sock_filter& step) {
    if (size_ < code_.size()) code_[size_] = step;
    size_++;
  }
  void load(size_t offset) { add({BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(offset)}); }
  void load_argument(size_t index) { load(offsetof(seccomp_data, args) + 8 * index); }
  void give(uint32_t verdict) { add({BPF_RET | BPF_K, 0, 0, verdict}); }
  void if_equal(uint32_t value, uint32_t verdict) {
    add({BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value});
    give(verdict);
  }
  void unless_equal(uint32_t value, uint32_t verdict) {
    add({BPF_JMP | BPF_JEQ | BPF_K, 1, 0, value});
    give(verdict);
  }
  void if_any(uint32_t bits, uint32_t verdict) {
    add({BPF_JMP | BPF_JSET | BPF_K, 0, 1, bits});
    give(verdict);
  }
  void on(long call, uint32_t verdict) { if_equal(static_cast<uint32_t>(call), verdict); }
  // What follows until `end` is for `call`, and ends in a verdict.
  size_t begin(long call) {
    add({BPF_JMP | BPF_JEQ | BPF_K, 0, 0, static_cast<uint32_t>(call)});
    return size_;
  }
  void end(size_t body) {
    if (size_ <= code_.size()) code_[body - 1].jf = static_cast<uint8_t>(size_ - body);
  }

  void of_oneself(long call, size_t argument) {
    const size_t body = begin(call);
    load_argument(argument);
    self_only();
    end(body);
  }
  void self_only() {
    const auto self = static_cast<uint32_t>(getpid());
    for (const uint32_t own : {0u, self, 0u - self}) if_equal(own, kAllow);
    give(kDeny);
  }
  void ranked(long call, uint32_t kind) {
    const size_t body = begin(call);
    load_argument(0);
    unless_equal(kind, kDeny);
    load_argument(1);
    self_only();
    end(body);
  }
  void none_of(long call, size_t argument, const uint32_t* values, size_t count) {
    const size_t body = begin(call);
    load_argument(argument);
    for (size_t index = 0; index < count; index++) if_equal(values[index], kDeny);
    give(kAllow);
    end(body);
  }
  // To cut a file short it must be opened for writing, which landlock sees.
  void cuts_nothing(long call, size_t argument) {
    const size_t body = begin(call);
    load_argument(argument);
    add({BPF_JMP | BPF_JSET | BPF_K, 1, 0, uint32_t{O_TRUNC}});
    give(kAllow);
    add({BPF_ALU | BPF_AND | BPF_K, 0, 0, uint32_t{O_ACCMODE}});
    if_equal(uint32_t{O_WRONLY}, kAllow);
    if_equal(uint32_t{O_RDWR}, kAllow);
    give(kDeny);
    end(body);
  }
  void begins(bool may_start) {
    const size_t body = begin(SYS_clone);
    load_argument(0);
    if_any(kNewNamespaces | kCloneParent, kDeny);
    if_any(kCloneThread, kAllow);
    give(may_start ? kAllow : kDeny);
    end(body);
    if (may_start) return;
    on(SYS_execve, kDeny);
    on(SYS_execveat, kDeny);
#if defined(__x86_64__)
    on(SYS_fork, kDeny);
    on(SYS_vfork, kDeny);
#endif
  }

  std::array<sock_filter, 512> code_ = {};
  size_t size_ = 0;
};

}  // namespace

bool confine_calls(bool may_start, uint32_t landlock) { return Filter(may_start, landlock).install(); }

#else

bool confine_calls(bool, uint32_t) { return false; }

#endif

}  // namespace tenon::runner
