//! Parts of container specs: health, secrets and configs, devices, privileges.

use super::enums::Enumeration;
use crate::DecodeError;
use crate::error::need;
use crate::pb::objects as pb;
use model::container::{Device, Healthcheck, Privileges, SeccompOption, SelinuxContext};
use model::payload::{ConfigRef, FileTarget, SecretEnv, SecretRef};

impl From<&Healthcheck> for pb::Healthcheck {
    fn from(check: &Healthcheck) -> Self {
        pb::Healthcheck {
            test: check.test.clone(),
            interval: Some(check.interval.into()),
            timeout: Some(check.timeout.into()),
            start_period: Some(check.start_period.into()),
            start_interval: Some(check.start_interval.into()),
            retries: check.retries,
        }
    }
}

impl TryFrom<pb::Healthcheck> for Healthcheck {
    type Error = DecodeError;
    fn try_from(check: pb::Healthcheck) -> Result<Self, DecodeError> {
        Ok(Healthcheck {
            test: check.test,
            interval: need("the interval of a health check", check.interval)?.try_into()?,
            timeout: need("the timeout of a health check", check.timeout)?.try_into()?,
            start_period: need("the start period of a health check", check.start_period)?
                .try_into()?,
            start_interval: need("the start interval of a health check", check.start_interval)?
                .try_into()?,
            retries: check.retries,
        })
    }
}

impl From<&SecretRef> for pb::SecretRef {
    fn from(secret: &SecretRef) -> Self {
        pb::SecretRef {
            id: secret.id.as_str().into(),
            name: secret.name.clone(),
            file: Some((&secret.file).into()),
        }
    }
}

impl TryFrom<pb::SecretRef> for SecretRef {
    type Error = DecodeError;
    fn try_from(secret: pb::SecretRef) -> Result<Self, DecodeError> {
        Ok(SecretRef {
            id: secret.id.into(),
            name: secret.name,
            file: need("the file of a secret", secret.file)?.into(),
        })
    }
}

impl From<&ConfigRef> for pb::ConfigRef {
    fn from(config: &ConfigRef) -> Self {
        pb::ConfigRef {
            id: config.id.as_str().into(),
            name: config.name.clone(),
            file: config.file.as_ref().map(Into::into),
        }
    }
}

impl From<pb::ConfigRef> for ConfigRef {
    fn from(config: pb::ConfigRef) -> Self {
        ConfigRef {
            id: config.id.into(),
            name: config.name,
            file: config.file.map(Into::into),
        }
    }
}

impl From<&FileTarget> for pb::FileTarget {
    fn from(file: &FileTarget) -> Self {
        pb::FileTarget {
            name: file.name.clone(),
            uid: file.uid.clone(),
            gid: file.gid.clone(),
            mode: file.mode,
        }
    }
}

impl From<pb::FileTarget> for FileTarget {
    fn from(file: pb::FileTarget) -> Self {
        FileTarget {
            name: file.name,
            uid: file.uid,
            gid: file.gid,
            mode: file.mode,
        }
    }
}

impl From<&SecretEnv> for pb::SecretEnv {
    fn from(secret: &SecretEnv) -> Self {
        pb::SecretEnv {
            id: secret.id.as_str().into(),
            name: secret.name.clone(),
            variable: secret.variable.clone(),
        }
    }
}

impl From<pb::SecretEnv> for SecretEnv {
    fn from(secret: pb::SecretEnv) -> Self {
        SecretEnv {
            id: secret.id.into(),
            name: secret.name,
            variable: secret.variable,
        }
    }
}

impl From<&Device> for pb::Device {
    fn from(device: &Device) -> Self {
        pb::Device {
            host_path: device.host_path.clone(),
            container_path: device.container_path.clone(),
            permissions: device.permissions.clone(),
        }
    }
}

impl From<pb::Device> for Device {
    fn from(device: pb::Device) -> Self {
        Device {
            host_path: device.host_path,
            container_path: device.container_path,
            permissions: device.permissions,
        }
    }
}

impl From<&Privileges> for pb::Privileges {
    fn from(privileges: &Privileges) -> Self {
        pb::Privileges {
            no_new_privileges: privileges.no_new_privileges,
            selinux: privileges.selinux.as_ref().map(Into::into),
            seccomp: privileges.seccomp.as_ref().map(Into::into),
            apparmor: privileges.apparmor.map(Enumeration::to_wire),
        }
    }
}

impl TryFrom<pb::Privileges> for Privileges {
    type Error = DecodeError;
    fn try_from(privileges: pb::Privileges) -> Result<Self, DecodeError> {
        Ok(Privileges {
            no_new_privileges: privileges.no_new_privileges,
            selinux: privileges.selinux.map(Into::into),
            seccomp: super::maybe(privileges.seccomp)?,
            apparmor: privileges
                .apparmor
                .map(Enumeration::from_wire)
                .transpose()?,
        })
    }
}

impl From<&SelinuxContext> for pb::SelinuxContext {
    fn from(context: &SelinuxContext) -> Self {
        pb::SelinuxContext {
            disable: context.disable,
            user: context.user.clone(),
            role: context.role.clone(),
            kind: context.kind.clone(),
            level: context.level.clone(),
        }
    }
}

impl From<pb::SelinuxContext> for SelinuxContext {
    fn from(context: pb::SelinuxContext) -> Self {
        SelinuxContext {
            disable: context.disable,
            user: context.user,
            role: context.role,
            kind: context.kind,
            level: context.level,
        }
    }
}

impl From<&SeccompOption> for pb::Seccomp {
    fn from(option: &SeccompOption) -> Self {
        use pb::seccomp::Option as Kind;
        let option = match option {
            SeccompOption::Default => Kind::Default(pb::Nothing {}),
            SeccompOption::Unconfined => Kind::Unconfined(pb::Nothing {}),
            SeccompOption::Custom(profile) => Kind::Custom(profile.clone().into()),
        };
        pb::Seccomp {
            option: Some(option),
        }
    }
}

impl TryFrom<pb::Seccomp> for SeccompOption {
    type Error = DecodeError;
    fn try_from(seccomp: pb::Seccomp) -> Result<Self, DecodeError> {
        use pb::seccomp::Option as Kind;
        let option = need("the seccomp option (or it is unknown)", seccomp.option)?;
        Ok(match option {
            Kind::Default(pb::Nothing {}) => SeccompOption::Default,
            Kind::Unconfined(pb::Nothing {}) => SeccompOption::Unconfined,
            Kind::Custom(profile) => SeccompOption::Custom(profile.into()),
        })
    }
}
