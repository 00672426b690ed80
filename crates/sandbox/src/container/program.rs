//! The container's program: environment, working directory, look-up in `PATH`, and exec.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;

use super::error::{NOT_EXECUTABLE, NOT_FOUND, SetupError};
use crate::spec::ContainerSpec;

/// Docker's.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The environment with what Docker adds when it is absent.
pub(super) fn environment(spec: &ContainerSpec, asked: &[String], home: &str) -> Vec<String> {
    let has = |name: &str| {
        let value = |entry: &String| entry.strip_prefix(name)?.strip_prefix('=').map(str::len);
        asked.iter().find_map(value)
    };
    let mut env = Vec::with_capacity(asked.len() + 4);
    if has("PATH").is_none() {
        env.push(format!("PATH={DEFAULT_PATH}"));
    }
    if has("HOSTNAME").is_none() {
        env.push(format!("HOSTNAME={}", spec.hostname));
    }
    let no_home = has("HOME").is_none_or(|length| length == 0);
    if spec.tty && has("TERM").is_none() {
        env.push("TERM=xterm".into());
    }
    let kept = asked
        .iter()
        .filter(|entry| !(no_home && entry.as_str() == "HOME="));
    env.extend(kept.cloned());
    if no_home {
        env.push(format!("HOME={home}"));
    }
    env
}

/// Enters the working directory. `chdir` may follow links only inside the root that was entered; a
/// directory outside of it could only come from a leaked descriptor, which this refuses.
pub(super) fn enter_directory(cwd: &str) -> Result<(), SetupError> {
    let cwd = if cwd.is_empty() { "/" } else { cwd };
    let fail = |error: &dyn std::fmt::Display| {
        SetupError::new(format!(
            "cannot change to the working directory \"{cwd}\": {error}"
        ))
    };
    rustix::process::chdir(cwd).map_err(|error| fail(&error))?;
    let inside =
        rustix::process::getcwd(Vec::new()).is_ok_and(|path| path.to_bytes().starts_with(b"/"));
    if !inside {
        return Err(fail(&"it is outside of the container's root"));
    }
    Ok(())
}

/// Finds the program in the container, with the rights of its user.
pub(super) fn find(name: &str, env: &[String]) -> Result<String, SetupError> {
    if name.is_empty() {
        return Err(SetupError::with_code(
            NOT_FOUND,
            "exec: \"\": executable file not found in $PATH",
        ));
    }
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(name.to_owned()),
            Err(error) => Err(exec_error(name, error)),
        };
    }
    let path = env.iter().find_map(|entry| entry.strip_prefix("PATH="));
    let mut denied = false;
    for directory in path.unwrap_or(DEFAULT_PATH).split(':') {
        let directory = if directory.is_empty() { "." } else { directory };
        let candidate = format!("{directory}/{name}");
        match executable(Path::new(&candidate)) {
            Ok(()) => return Ok(candidate),
            Err(Errno::ACCESS) => denied = true,
            Err(_) => {}
        }
    }
    // Go's exec.LookPath, which makes Docker's text, calls a file that may not be executed not
    // found.
    let code = if denied { NOT_EXECUTABLE } else { NOT_FOUND };
    Err(SetupError::with_code(
        code,
        format!("exec: \"{name}\": executable file not found in $PATH"),
    ))
}

fn executable(path: &Path) -> rustix::io::Result<()> {
    let status = rustix::fs::stat(path)?;
    if FileType::from_raw_mode(status.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

fn exec_error(name: &str, error: Errno) -> SetupError {
    let (code, reason) = match error {
        Errno::NOENT => (NOT_FOUND, format!("stat {name}: no such file or directory")),
        Errno::NOTDIR => (NOT_EXECUTABLE, format!("stat {name}: not a directory")),
        Errno::ISDIR => (NOT_EXECUTABLE, "is a directory".to_owned()),
        Errno::ACCESS | Errno::PERM => (NOT_EXECUTABLE, "permission denied".to_owned()),
        other => (NOT_EXECUTABLE, other.to_string()),
    };
    SetupError::with_code(code, format!("exec: \"{name}\": {reason}"))
}

/// Becomes the program; returns only when the kernel refuses it.
pub(super) fn exec(path: &str, args: &[String], env: &[String]) -> Result<Infallible, SetupError> {
    let strings = |list: &[String]| -> Result<Vec<CString>, SetupError> {
        list.iter()
            .map(|text| CString::new(text.as_str()))
            .collect::<Result<_, _>>()
            .map_err(|_| SetupError::new("an argument or variable contains a NUL byte"))
    };
    let (args, env) = (strings(args)?, strings(env)?);
    let program = strings(&[path.to_owned()])?.remove(0);
    let error = execve(&program, &args, &env);
    let reason = match error.raw_os_error() {
        Some(libc::ENOENT) => "no such file or directory (its interpreter is missing)".to_owned(),
        Some(libc::ENOEXEC) => "exec format error".to_owned(),
        Some(libc::EACCES) => "permission denied".to_owned(),
        Some(libc::E2BIG) => "argument list too long".to_owned(),
        _ => error.to_string(),
    };
    let code = if error.kind() == io::ErrorKind::NotFound {
        NOT_FOUND
    } else {
        NOT_EXECUTABLE
    };
    Err(SetupError::with_code(
        code,
        format!("exec {path}: {reason}"),
    ))
}

fn execve(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        let pointers = list.iter().map(|text| text.as_ptr());
        pointers.chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: `program` and all strings live until the call returns, which is when it failed; both lists end
    // with a null pointer.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// In words, what is wrong with the spec's program.
pub(crate) fn validate(spec: &ContainerSpec) -> Result<(), String> {
    if spec.args.is_empty() {
        return Err("no command specified".into());
    }
    let texts = spec
        .args
        .iter()
        .chain(&spec.env)
        .chain([&spec.cwd, &spec.user]);
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err("an argument, variable, user or working directory contains a NUL byte".into());
    }
    if !spec.cwd.is_empty() && !spec.cwd.starts_with('/') {
        return Err(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            spec.cwd
        ));
    }
    if spec.hostname.len() > 64 || spec.hostname.contains('\0') {
        return Err(format!("invalid hostname: \"{}\"", spec.hostname));
    }
    Ok(())
}
