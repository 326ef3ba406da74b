#include "executors/process/seccomp_filter.h"

#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>

#include <array>
#include <cerrno>
#include <memory>

namespace spool::process {
namespace {

struct FilterRelease {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, FilterRelease>;

// Memory, files that are open already, time, threads and signals of its own.
constexpr std::array kAllowed{
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "preadv",
    "preadv2",
    "pwritev",
    "pwritev2",
    "close",
    "close_range",
    "lseek",
    "fstat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "fstatfs",
    "statfs",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getcwd",
    "getdents64",
    "fcntl",
    "dup",
    "dup2",
    "dup3",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fallocate",
    "fadvise64",
    "sync_file_range",
    "copy_file_range",
    "sendfile",
    "pipe",
    "pipe2",
    "eventfd2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "sendmsg",
    "recvmsg",
    "sendto",
    "recvfrom",
    "shutdown",
    "mmap",
    "mprotect",
    "munmap",
    "mremap",
    "madvise",
    "brk",
    "membarrier",
    "futex",
    "set_robust_list",
    "get_robust_list",
    "rseq",
    "set_tid_address",
    "sched_yield",
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getparam",
    "sched_getscheduler",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "getpriority",
    "setpriority",
    "nanosleep",
    "pause",
    "rt_sigsuspend",
    "clock_nanosleep",
    "clock_gettime",
    "clock_getres",
    "gettimeofday",
    "time",
    "times",
    "getrusage",
    "getrlimit",
    "sysinfo",
    "uname",
    "getrandom",
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getpgrp",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigpending",
    "rt_sigtimedwait",
    "sigaltstack",
    "tgkill",
    "restart_syscall",
    "arch_prctl",
    "exit",
    "exit_group",
};

constexpr std::array kRefused{
    "socket",
    "socketpair",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "fork",
    "vfork",
    "kill",
    "tkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "open",
    "creat",
    "mkdir",
    "mkdirat",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "truncate",
    "setrlimit",
    "memfd_create",
    "sched_setscheduler",
    "sched_setparam",
    "sched_setattr",
    "setsid",
    "setpgid",
    "mlock",
    "mlockall",
    "shmget",
    "shmat",
    "msgget",
    "semget",
    "mq_open",
    "inotify_init1",
    "fanotify_init",
    "personality",
    "ioctl",
};

constexpr std::array kDeadly{
    "execve",
    "execveat",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kcmp",
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "fsconfig",
    "fspick",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "add_key",
    "request_key",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "iopl",
    "ioperm",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
    "mknod",
    "mknodat",
    "open_by_handle_at",
    "name_to_handle_at",
    "acct",
    "quotactl",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "lookup_dcookie",
    "uselib",
    "vhangup",
    "syslog",
    "nfsservctl",
};

class Rules {
 public:
  explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

  // Names that this machine's kernel or libseccomp does not know are left to the default.
  template <class Names>
  void add_all(std::uint32_t action, const Names& names) {
    for (const char* name : names) add(action, name);
  }
  void add(std::uint32_t action, const char* name) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number >= 0) note(seccomp_rule_add(filter_, action, number, 0));
  }
  void add_if(std::uint32_t action, const char* name, scmp_arg_cmp condition) {
    const int number = seccomp_syscall_resolve_name(name);
    if (number >= 0) note(seccomp_rule_add_array(filter_, action, number, 1, &condition));
  }
  [[nodiscard]] int error() const { return error_; }

 private:
  void note(int result) {
    if (result < 0 && error_ == 0) error_ = -result;
  }
  scmp_filter_ctx filter_;
  int error_ = 0;
};

constexpr std::uint32_t refuse(int error) {
  return SCMP_ACT_ERRNO(static_cast<std::uint16_t>(error));
}

// Those that depend on an argument.
void add_conditions(Rules& rules) {
  // Files may be opened to be read; the file system is read-only anyway, but for what was handed over.
  constexpr scmp_datum_t kWriting = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC;
  rules.add_if(SCMP_ACT_ALLOW, "openat", SCMP_A2(SCMP_CMP_MASKED_EQ, kWriting, 0));
  rules.add_if(refuse(EPERM), "openat", SCMP_A2(SCMP_CMP_MASKED_EQ, O_WRONLY, O_WRONLY));
  rules.add_if(refuse(EPERM), "openat", SCMP_A2(SCMP_CMP_MASKED_EQ, O_RDWR, O_RDWR));
  rules.add_if(refuse(EPERM), "openat", SCMP_A2(SCMP_CMP_MASKED_EQ, O_CREAT, O_CREAT));
  // Threads, never processes. clone3 hides its flags in memory: ENOSYS, the default, makes the C library use
  // clone.
  rules.add_if(SCMP_ACT_ALLOW, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
  rules.add_if(refuse(EPERM), "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
  // Limits may be read (a null pointer to new ones), a thread may be named.
  rules.add_if(SCMP_ACT_ALLOW, "prlimit64", SCMP_A2(SCMP_CMP_EQ, 0, 0));
  for (const int option : {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_SECCOMP})
    rules.add_if(SCMP_ACT_ALLOW, "prctl", SCMP_A0(SCMP_CMP_EQ, static_cast<scmp_datum_t>(option), 0));
}

}  // namespace

Result<void> apply_seccomp_filter() {
  const Filter filter(seccomp_init(refuse(ENOSYS)));
  if (!filter) return fail(Code::kUnavailable, "no memory for a seccomp filter");
  Rules rules(filter.get());
  rules.add_all(SCMP_ACT_ALLOW, kAllowed);
  rules.add_all(refuse(EPERM), kRefused);
  rules.add_all(SCMP_ACT_KILL_PROCESS, kDeadly);
  add_conditions(rules);
  if (rules.error() != 0) return fail_errno(rules.error(), "cannot build the seccomp filter");
  if (const int error = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1); error < 0)
    return fail_errno(-error, "cannot build the seccomp filter");
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (const int error = seccomp_load(filter.get()); error < 0)
    return fail(Code::kUnsupported, "this kernel takes no seccomp filter (CONFIG_SECCOMP_FILTER)", -error);
  return {};
}

bool seccomp_available() {
  // EFAULT: the kernel knows filters and looked at our null pointer (seccomp(2), prctl(2)).
  return prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, nullptr, 0, 0) == -1 && errno == EFAULT;
}

}  // namespace spool::process
