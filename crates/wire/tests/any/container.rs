//! Container specs with all their parts.

use super::{driver, duration, id, labels, text, texts};
use model::ContainerSpec;
use model::container::{
    AppArmorMode, BindOptions, Device, DnsConfig, Healthcheck, Mount, MountKind, Privileges,
    SeccompOption, SelinuxContext, TmpfsOptions, Ulimit, VolumeOptions,
};
use model::payload::{ConfigRef, FileTarget, SecretEnv, SecretRef};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn mount() -> BoxedStrategy<Mount> {
    let bind = of(
        (text(), any::<[bool; 4]>()).prop_map(|(propagation, flags)| BindOptions {
            propagation,
            non_recursive: flags[0],
            create_mountpoint: flags[1],
            read_only_non_recursive: flags[2],
            read_only_force_recursive: flags[3],
        }),
    );
    let tmpfs = of((any::<i64>(), any::<u32>(), vec(texts(), 0..3)).prop_map(
        |(size_bytes, mode, options)| TmpfsOptions {
            size_bytes,
            mode,
            options,
        },
    ));
    let volume = of((any::<bool>(), labels(), of(driver()), text()).prop_map(
        |(no_copy, labels, driver, subpath)| VolumeOptions {
            no_copy,
            labels,
            driver,
            subpath,
        },
    ));
    let kind = prop_oneof![
        bind.prop_map(MountKind::Bind),
        volume.prop_map(MountKind::Volume),
        tmpfs.prop_map(MountKind::Tmpfs)
    ];
    (kind, text(), text(), any::<bool>(), text())
        .prop_map(|(kind, source, target, read_only, consistency)| Mount {
            kind,
            source,
            target,
            read_only,
            consistency,
        })
        .boxed()
}

fn healthcheck() -> BoxedStrategy<Healthcheck> {
    let durations = (duration(), duration(), duration(), duration());
    (texts(), durations, any::<u64>())
        .prop_map(|(test, durations, retries)| Healthcheck {
            test,
            interval: durations.0,
            timeout: durations.1,
            start_period: durations.2,
            start_interval: durations.3,
            retries,
        })
        .boxed()
}

fn file() -> impl Strategy<Value = FileTarget> {
    (text(), text(), text(), any::<u32>()).prop_map(|(name, uid, gid, mode)| FileTarget {
        name,
        uid,
        gid,
        mode,
    })
}

fn privileges() -> BoxedStrategy<Privileges> {
    let selinux = (any::<bool>(), text(), text(), text(), text()).prop_map(
        |(disable, user, role, kind, level)| SelinuxContext {
            disable,
            user,
            role,
            kind,
            level,
        },
    );
    let seccomp = prop_oneof![
        Just(SeccompOption::Default),
        Just(SeccompOption::Unconfined),
        vec(any::<u8>(), 0..9).prop_map(SeccompOption::Custom)
    ];
    let apparmor = prop_oneof![Just(AppArmorMode::Default), Just(AppArmorMode::Disabled)];
    (any::<bool>(), of(selinux), of(seccomp), of(apparmor))
        .prop_map(
            |(no_new_privileges, selinux, seccomp, apparmor)| Privileges {
                no_new_privileges,
                selinux,
                seccomp,
                apparmor,
            },
        )
        .boxed()
}

/// What refers to something outside of the container.
type Outside = (
    Vec<SecretRef>,
    Vec<ConfigRef>,
    Vec<SecretEnv>,
    Vec<Device>,
    bool,
);

fn outside() -> BoxedStrategy<Outside> {
    let secret = (id(), text(), file()).prop_map(|(id, name, file)| SecretRef { id, name, file });
    let config =
        (id(), text(), of(file())).prop_map(|(id, name, file)| ConfigRef { id, name, file });
    let variable =
        (id(), text(), text()).prop_map(|(id, name, variable)| SecretEnv { id, name, variable });
    let device =
        (text(), text(), text()).prop_map(|(host_path, container_path, permissions)| Device {
            host_path,
            container_path,
            permissions,
        });
    (
        vec(secret, 0..3),
        vec(config, 0..3),
        vec(variable, 0..3),
        vec(device, 0..3),
        any::<bool>(),
    )
        .boxed()
}

pub fn container_spec() -> BoxedStrategy<ContainerSpec> {
    let dns = (texts(), texts(), texts()).prop_map(|(nameservers, search, options)| DnsConfig {
        nameservers,
        search,
        options,
    });
    let ulimit = (text(), any::<i64>(), any::<i64>()).prop_map(|(name, soft, hard)| Ulimit {
        name,
        soft,
        hard,
    });
    let first = (
        text(),
        labels(),
        texts(),
        texts(),
        text(),
        texts(),
        text(),
        text(),
        texts(),
    );
    let second = (
        text(),
        of(duration()),
        any::<bool>(),
        vec(mount(), 0..3),
        of(any::<bool>()),
        texts(),
        of(dns),
        text(),
        labels(),
    );
    let third = (
        texts(),
        texts(),
        vec(ulimit, 0..3),
        any::<i64>(),
        of(privileges()),
        any::<[bool; 2]>(),
        of(healthcheck()),
    );
    (first, second, third, outside())
        .prop_map(|(a, b, c, d)| ContainerSpec {
            image: a.0,
            labels: a.1,
            command: a.2,
            args: a.3,
            hostname: a.4,
            env: a.5,
            dir: a.6,
            user: a.7,
            groups: a.8,
            stop_signal: b.0,
            stop_grace_period: b.1,
            read_only: b.2,
            mounts: b.3,
            init: b.4,
            hosts: b.5,
            dns: b.6,
            isolation: b.7,
            sysctls: b.8,
            cap_add: c.0,
            cap_drop: c.1,
            ulimits: c.2,
            oom_score_adj: c.3,
            privileges: c.4,
            tty: c.5[0],
            open_stdin: c.5[1],
            healthcheck: c.6,
            secrets: d.0,
            configs: d.1,
            secret_env: d.2,
            devices: d.3,
            privileged: d.4,
        })
        .boxed()
}
