//! The system calls of Docker's default profile (moby/profiles of 2026), for the architectures that
//! we build for. Facts only: which call, under which condition.

use libc::c_long;

use crate::container::capabilities::Capability;

/// The highest system call number that the profile's authors knew (`removexattrat`, Linux 6.13;
/// from 424 on, numbers are the same on all architectures). What is newer gets ENOSYS, so that
/// libraries fall back to an older call as they would on an older kernel; EPERM would make them
/// give up.
pub(super) const NEWEST_KNOWN: c_long = 466;

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

/// Allowed to everybody, whatever the arguments, on all architectures.
pub(super) const ALLOWED: &[c_long] = calls! {
    SYS_accept SYS_accept4 SYS_adjtimex SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir
    SYS_clock_adjtime SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range
    SYS_connect SYS_copy_file_range SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait
    SYS_epoll_pwait2 SYS_eventfd2 SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_faccessat
    SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fanotify_mark SYS_fchdir SYS_fchmod SYS_fchmodat
    SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr SYS_flistxattr SYS_flock
    SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex
    SYS_futex_waitv SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid
    SYS_getgroups SYS_getitimer SYS_getpeername SYS_getpgid SYS_getpid SYS_getppid SYS_getpriority
    SYS_getrandom SYS_getresgid SYS_getresuid SYS_get_robust_list SYS_getrusage SYS_getsid
    SYS_getsockname SYS_getsockopt SYS_gettid SYS_gettimeofday SYS_getuid SYS_getxattr
    SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch SYS_io_cancel SYS_ioctl SYS_io_destroy
    SYS_io_getevents SYS_ioprio_get SYS_ioprio_set SYS_io_setup SYS_io_submit SYS_kill
    SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lgetxattr
    SYS_linkat SYS_listen SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr
    SYS_madvise SYS_membarrier SYS_memfd_create SYS_memfd_secret SYS_mincore SYS_mkdirat SYS_mknodat
    SYS_mlock SYS_mlock2 SYS_mlockall SYS_mmap SYS_mprotect SYS_mq_getsetattr SYS_mq_notify SYS_mq_open
    SYS_mq_timedreceive SYS_mq_timedsend SYS_mq_unlink SYS_mremap SYS_msgctl SYS_msgget SYS_msgrcv
    SYS_msgsnd SYS_msync SYS_munlock SYS_munlockall SYS_munmap SYS_name_to_handle_at SYS_nanosleep
    SYS_newfstatat SYS_openat SYS_openat2 SYS_pidfd_open SYS_pidfd_send_signal SYS_pipe2 SYS_pkey_alloc
    SYS_pkey_free SYS_pkey_mprotect SYS_ppoll SYS_prctl SYS_pread64 SYS_preadv SYS_preadv2 SYS_prlimit64
    SYS_process_mrelease SYS_pselect6 SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read SYS_readahead
    SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_remap_file_pages SYS_removexattr
    SYS_renameat2 SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask
    SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo
    SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam SYS_sched_get_priority_max
    SYS_sched_get_priority_min SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity
    SYS_sched_setattr SYS_sched_setparam SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_semctl
    SYS_semget SYS_semop SYS_semtimedop SYS_sendfile SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setfsgid
    SYS_setfsuid SYS_setgid SYS_setgroups SYS_setitimer SYS_setpgid SYS_setpriority SYS_setregid
    SYS_setresgid SYS_setresuid SYS_setreuid SYS_set_robust_list SYS_setsid SYS_setsockopt
    SYS_set_tid_address SYS_setuid SYS_setxattr SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget SYS_shutdown
    SYS_sigaltstack SYS_signalfd4 SYS_socketpair SYS_splice SYS_statfs SYS_statx SYS_symlinkat SYS_sync
    SYS_syncfs SYS_sysinfo SYS_tee SYS_tgkill SYS_timer_create SYS_timer_delete SYS_timer_getoverrun
    SYS_timer_gettime SYS_timer_settime SYS_timerfd_create SYS_timerfd_gettime SYS_timerfd_settime
    SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat SYS_utimensat SYS_vmsplice
    SYS_wait4 SYS_waitid SYS_write SYS_writev SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace
};

/// Allowed to everybody; numbers that libc does not name: cachestat, fchmodat2, map_shadow_stack,
/// futex_wake, futex_wait, futex_requeue, statmount, listmount, mseal, and the four xattrat calls.
pub(super) const ALLOWED_NEW: &[c_long] = &[
    451, 452, 453, 454, 455, 456, 457, 458, 462, 463, 464, 465, 466,
];

/// Allowed to everybody; calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
pub(super) const ALLOWED_NATIVE: &[c_long] = calls! {
    SYS_access SYS_alarm SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_ctl_old
    SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat SYS_getdents SYS_getpgrp
    SYS_getrlimit SYS_get_thread_area SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_mknod
    SYS_open SYS_pause SYS_pipe SYS_poll SYS_readlink SYS_rename SYS_renameat SYS_rmdir SYS_select
    SYS_setrlimit SYS_set_thread_area SYS_signalfd SYS_stat SYS_symlink SYS_sync_file_range SYS_time
    SYS_unlink SYS_utime SYS_utimes SYS_vfork SYS_arch_prctl SYS_modify_ldt
};

/// Allowed to everybody; numbers that libc does not name on this architecture.
#[cfg(target_arch = "x86_64")]
pub(super) const ALLOWED_NATIVE_NEW: &[c_long] = &[
    333, // io_pgetevents
    335, // uretprobe
];

/// Allowed to everybody; calls that only this architecture has.
#[cfg(target_arch = "aarch64")]
pub(super) const ALLOWED_NATIVE: &[c_long] = &[];

/// Allowed to everybody; numbers that libc does not name on this architecture.
#[cfg(target_arch = "aarch64")]
pub(super) const ALLOWED_NATIVE_NEW: &[c_long] = &[
    38,  // renameat
    84,  // sync_file_range
    163, // getrlimit
    164, // setrlimit
    292, // io_pgetevents
];

/// Allowed to whoever has the capability.
pub(super) const BY_CAPABILITY: &[(Capability, &[c_long])] = &[
    (Capability::DacReadSearch, calls! { SYS_open_by_handle_at }),
    (
        Capability::SysAdmin,
        calls! {
            SYS_bpf SYS_clone SYS_clone3 SYS_fanotify_init SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick
            SYS_lookup_dcookie SYS_mount SYS_mount_setattr SYS_move_mount SYS_open_tree SYS_perf_event_open
            SYS_quotactl SYS_quotactl_fd SYS_setdomainname SYS_sethostname SYS_setns SYS_syslog SYS_umount2
            SYS_unshare
        },
    ),
    // lsm_get_self_attr, lsm_set_self_attr, lsm_list_modules
    (Capability::SysAdmin, &[459, 460, 461]),
    (Capability::SysBoot, calls! { SYS_reboot }),
    (Capability::SysChroot, calls! { SYS_chroot }),
    (
        Capability::SysModule,
        calls! { SYS_delete_module SYS_init_module SYS_finit_module },
    ),
    (Capability::SysPacct, calls! { SYS_acct }),
    (
        Capability::SysPtrace,
        calls! { SYS_kcmp SYS_pidfd_getfd SYS_process_madvise },
    ),
    (Capability::SysRawio, RAW_IO),
    (
        Capability::SysTime,
        calls! { SYS_settimeofday SYS_clock_settime },
    ),
    (Capability::SysTtyConfig, calls! { SYS_vhangup }),
    (
        Capability::SysNice,
        calls! {
            SYS_get_mempolicy SYS_mbind SYS_set_mempolicy SYS_set_mempolicy_home_node
        },
    ),
    (Capability::Syslog, calls! { SYS_syslog }),
    (Capability::Bpf, calls! { SYS_bpf }),
    (Capability::Perfmon, calls! { SYS_perf_event_open }),
];

#[cfg(target_arch = "x86_64")]
const RAW_IO: &[c_long] = calls! { SYS_iopl SYS_ioperm };
#[cfg(target_arch = "aarch64")]
const RAW_IO: &[c_long] = &[];

/// `personality(2)` arguments that are allowed: Linux, Linux32, either with the old uname, and the query.
pub(super) const PERSONALITIES: &[u32] = &[0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// `clone(2)` flags that need CAP_SYS_ADMIN: each makes a namespace.
pub(super) const NAMESPACE_FLAGS: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u32;

/// `socket(2)` families that are refused: the kernel's crypto (a large attack surface that no
/// container needs) and virtual machine sockets (not separated by network namespaces).
pub(super) const REFUSED_FAMILIES: &[u32] = &[libc::AF_ALG as u32, libc::AF_VSOCK as u32];
