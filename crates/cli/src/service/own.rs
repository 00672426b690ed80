//! The flags of `service create` and `service update` that Docker does not have, and what they do to a spec.

use super::flags::flag;
use crate::error::{Error, Result};
use crate::plan::PlanFlags;
use crate::session::Session;
use crate::units::parse_positive_duration;
use api_types::service::ServiceSpec;
use api_types::starling::{Change, Device, SecretEnv, StarlingServiceSpec};
use clap::Args;

/// What both commands have.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Beyond Docker")]
pub(super) struct OwnFlags {
    /// Give the containers all rights on their hosts, whose daemons must allow it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flag)]
    pub privileged: Option<bool>,
    /// Time without progress after which an update has failed, 0 for none (default 0s)
    #[arg(long, value_name = "DURATION", value_parser = parse_positive_duration)]
    pub progress_deadline: Option<i64>,
    /// Let tasks move, slowly, to nodes that join later (default false)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flag)]
    pub auto_rebalance: Option<bool>,
    #[command(flatten)]
    pub plan: PlanFlags,
}

/// What only `service create` has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Beyond Docker")]
pub(super) struct OwnCreateFlags {
    /// Devices of the hosts, as HOST[:CONTAINER[:rwm]]; the hosts' daemons must allow it
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    pub device: Vec<Device>,
    /// Secrets in environment variables, as SECRET=VARIABLE
    #[arg(long, value_name = "SECRET=VARIABLE", value_parser = secret_env)]
    pub secret_env: Vec<SecretEnv>,
}

/// What only `service update` has.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Beyond Docker")]
pub(super) struct OwnUpdateFlags {
    /// Update only if the service still has this version, as a dry run or 'service inspect' shows it
    #[arg(long, value_name = "N")]
    pub if_version: Option<u64>,
    /// Add or change a device of the hosts, as HOST[:CONTAINER[:rwm]]
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    pub device_add: Vec<Device>,
    /// Remove a device by its path in the container
    #[arg(long, value_name = "PATH")]
    pub device_rm: Vec<String>,
    /// Add or change a secret in an environment variable, as SECRET=VARIABLE
    #[arg(long, value_name = "SECRET=VARIABLE", value_parser = secret_env)]
    pub secret_env_add: Vec<SecretEnv>,
    /// Remove a secret from its environment variable
    #[arg(long, value_name = "VARIABLE")]
    pub secret_env_rm: Vec<String>,
}

/// `/dev/a`, `/dev/a:/dev/b`, `/dev/a:rw` or `/dev/a:/dev/b:rw`.
fn device(text: &str) -> std::result::Result<Device, String> {
    let wrong = |why: &str| {
        format!("invalid device {text:?}: {why} (write for example /dev/fuse:/dev/fuse:rw)")
    };
    let is_mode = |text: &str| {
        !text.is_empty() && text.chars().all(|c| "rwm".contains(c)) && text.len() <= "rwm".len()
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, mode) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, mode] if is_mode(mode) => (*host, *host, *mode),
        [host, container] => (*host, *container, "rwm"),
        [host, container, mode] if is_mode(mode) => (*host, *container, *mode),
        [_, _, _] => return Err(wrong("the permissions are some of r, w and m")),
        _ => return Err(wrong("expected HOST[:CONTAINER[:PERMISSIONS]]")),
    };
    if !host.starts_with('/') || !container.starts_with('/') {
        return Err(wrong("paths are absolute"));
    }
    Ok(Device {
        host_path: host.to_owned(),
        container_path: container.to_owned(),
        permissions: mode.to_owned(),
    })
}

/// `SECRET=VARIABLE`, the secret's id still unknown.
fn secret_env(text: &str) -> std::result::Result<SecretEnv, String> {
    let (secret, variable) = text.split_once('=').ok_or_else(|| {
        format!("invalid value {text:?}: write SECRET=VARIABLE, for example db-password=PGPASSWORD")
    })?;
    if secret.is_empty() || variable.is_empty() {
        return Err(format!("invalid value {text:?}: neither side may be empty"));
    }
    if variable.contains(['=', '\0']) || variable.contains(char::is_whitespace) {
        return Err(format!("invalid environment variable: {variable}"));
    }
    Ok(SecretEnv {
        secret_id: String::new(),
        secret_name: secret.to_owned(),
        variable: variable.to_owned(),
    })
}

fn ours(spec: &mut ServiceSpec) -> &mut StarlingServiceSpec {
    spec.starling.get_or_insert_default()
}

impl OwnFlags {
    pub(super) fn apply(&self, spec: &mut ServiceSpec) {
        if let Some(privileged) = self.privileged {
            ours(spec).privileged = Change::Set(privileged);
        }
        if let Some(deadline) = self.progress_deadline {
            ours(spec).progress_deadline = match deadline {
                0 => Change::Clear,
                nanos => Change::Set(nanos),
            };
        }
        if let Some(auto) = self.auto_rebalance {
            ours(spec).auto_rebalance = Change::Set(auto);
        }
    }
}

impl OwnCreateFlags {
    pub(super) fn apply(&self, spec: &mut ServiceSpec) {
        if !self.device.is_empty() {
            ours(spec).devices = Change::Set(self.device.clone());
        }
        if !self.secret_env.is_empty() {
            ours(spec).secret_env = Change::Set(self.secret_env.clone());
        }
    }
}

/// Takes out what is to go, then puts in what is new, in place of what has the same key.
fn changed<T: Clone>(
    old: &Change<Vec<T>>,
    add: &[T],
    remove: &[String],
    key: impl Fn(&T) -> &str,
) -> Result<Change<Vec<T>>> {
    let mut list = old.value().cloned().unwrap_or_default();
    for gone in remove {
        let before = list.len();
        list.retain(|item| key(item) != gone);
        if list.len() == before {
            return Err(Error::usage(format!(
                "could not find {gone} to remove it: the service does not have it"
            )));
        }
    }
    for item in add {
        match list.iter_mut().find(|there| key(there) == key(item)) {
            Some(there) => *there = item.clone(),
            None => list.push(item.clone()),
        }
    }
    Ok(Change::Set(list))
}

impl OwnUpdateFlags {
    pub(super) fn apply(&self, spec: &mut ServiceSpec) -> Result<()> {
        if !self.device_add.is_empty() || !self.device_rm.is_empty() {
            let ours = ours(spec);
            ours.devices = changed(&ours.devices, &self.device_add, &self.device_rm, |device| {
                &device.container_path
            })?;
        }
        if !self.secret_env_add.is_empty() || !self.secret_env_rm.is_empty() {
            let ours = ours(spec);
            ours.secret_env = changed(
                &ours.secret_env,
                &self.secret_env_add,
                &self.secret_env_rm,
                |secret| &secret.variable,
            )?;
        }
        Ok(())
    }
}

/// Finds the ids of secrets that are to be variables and do not have theirs yet.
pub(super) async fn resolve_secret_env(session: &Session, spec: &mut ServiceSpec) -> Result<()> {
    let Some(Change::Set(list)) = spec.starling.as_mut().map(|ours| &mut ours.secret_env) else {
        return Ok(());
    };
    for secret in list.iter_mut().filter(|secret| secret.secret_id.is_empty()) {
        secret.secret_id =
            crate::payload::id_of(session, crate::payload::SECRETS, &secret.secret_name).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        let parts = |text: &str| {
            let device = device(text).unwrap();
            format!(
                "{} {} {}",
                device.host_path, device.container_path, device.permissions
            )
        };
        assert_eq!(parts("/dev/a"), "/dev/a /dev/a rwm");
        assert_eq!(parts("/dev/a:/dev/b"), "/dev/a /dev/b rwm");
        assert_eq!(parts("/dev/a:r"), "/dev/a /dev/a r");
        assert_eq!(parts("/dev/a:/dev/b:rw"), "/dev/a /dev/b rw");
        for text in ["", "a", "/a:b", "/a:/b:x", "/a:/b:rw:c", "/a:/b:"] {
            assert!(device(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_in_variables() {
        let secret = secret_env("db=PGPASSWORD").unwrap();
        assert_eq!(
            (secret.secret_name.as_str(), secret.variable.as_str()),
            ("db", "PGPASSWORD")
        );
        for text in ["db", "=X", "db=", "db=A B", "db=A=B"] {
            assert!(secret_env(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_change_by_key() {
        let flags = OwnUpdateFlags {
            device_add: vec![device("/dev/x:/dev/a:r").unwrap()],
            device_rm: vec!["/dev/b".into()],
            ..OwnUpdateFlags::default()
        };
        let mut spec = ServiceSpec::default();
        ours(&mut spec).devices =
            Change::Set(vec![device("/dev/a").unwrap(), device("/dev/b").unwrap()]);
        flags.apply(&mut spec).unwrap();
        assert_eq!(
            spec.starling.clone().unwrap().devices.value().unwrap(),
            &flags.device_add
        );
        let why = flags.apply(&mut spec).unwrap_err().to_string();
        assert!(why.contains("could not find /dev/b"), "{why}");
    }

    #[test]
    fn a_deadline_of_zero_is_none() {
        let flags = OwnFlags {
            progress_deadline: Some(0),
            ..OwnFlags::default()
        };
        let mut spec = ServiceSpec::default();
        flags.apply(&mut spec);
        assert_eq!(
            serde_json::to_string(&spec.starling).unwrap(),
            r#"{"ProgressDeadline":null}"#
        );
    }
}
