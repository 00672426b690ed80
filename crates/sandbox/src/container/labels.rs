//! Labels of Linux security modules, which the program gets when it is executed.

use std::io;

use super::error::{Context, SetupError};
use crate::spec::ContainerSpec;

/// There while SELinux is active.
const SELINUX: &str = "/sys/fs/selinux/enforce";
/// `Y` while AppArmor is active.
const APPARMOR: &str = "/sys/module/apparmor/parameters/enabled";
const UNCONFINED: &str = "unconfined";

fn apparmor_is_active() -> bool {
    std::fs::read(APPARMOR).is_ok_and(|text| text.starts_with(b"Y"))
}

/// In words, why the spec's labels cannot be: nothing may run with less confinement than was asked
/// for.
pub(crate) fn validate(spec: &ContainerSpec) -> Result<(), String> {
    if let Some(label) = &spec.selinux_label {
        if label.is_empty() || label.contains('\0') {
            return Err("the SELinux label is empty or contains a NUL byte".into());
        }
        if !std::path::Path::new(SELINUX).exists() {
            return Err(format!(
                "the SELinux label \"{label}\" cannot be set: SELinux is not active on this host"
            ));
        }
    }
    if let Some(profile) = &spec.apparmor_profile {
        if profile.is_empty() || profile.contains(['\0', '\n']) {
            return Err("the AppArmor profile's name is empty or has a NUL or newline".into());
        }
        if profile != UNCONFINED && !apparmor_is_active() {
            return Err(format!(
                "the AppArmor profile \"{profile}\" cannot be set: AppArmor is not active on this host"
            ));
        }
    }
    Ok(())
}

/// Asks the kernel to change the labels at the next exec. `/proc` is the container's own.
pub(super) fn apply(spec: &ContainerSpec) -> Result<(), SetupError> {
    if let Some(label) = &spec.selinux_label {
        write(
            &["/proc/self/attr/selinux/exec", "/proc/self/attr/exec"],
            label,
        )
        .context(|| format!("cannot set the SELinux label \"{label}\""))?;
    }
    if let Some(profile) = &spec.apparmor_profile {
        // Where the module is not active, validate let only "unconfined" pass, which holds then.
        let files = ["/proc/self/attr/apparmor/exec", "/proc/self/attr/exec"];
        match write(&files, &format!("exec {profile}")) {
            Err(_) if profile == UNCONFINED => {}
            other => other.context(|| {
                format!("cannot set the AppArmor profile \"{profile}\" (is it loaded?)")
            })?,
        }
    }
    Ok(())
}

/// To the first of the files that is there: older kernels have only one for all modules.
fn write(files: &[&str], text: &str) -> io::Result<()> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for file in files {
        result = std::fs::OpenOptions::new()
            .write(true)
            .open(file)
            .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
        match &result {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            _ => break,
        }
    }
    result
}
