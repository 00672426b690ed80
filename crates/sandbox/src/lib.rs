//! One container: namespaces, cgroups, mounts, seccomp, capabilities; and the supervisor.
