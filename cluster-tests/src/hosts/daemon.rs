//! What a host runs: the `starling` daemon, or any program for tests of this library itself.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Variable that names another `starling` binary than the one beside the tests.
const BINARY_VARIABLE: &str = "STARLING_BIN";

/// The program that is a host's daemon.
#[derive(Clone, Debug)]
pub enum Daemon {
    /// The engine, with further arguments for its `daemon` command.
    Starling {
        /// The binary.
        binary: PathBuf,
        /// Appended to the usual arguments.
        args: Vec<String>,
    },
    /// Any program; it counts as ready when it runs.
    Program(Vec<OsString>),
}

impl Daemon {
    /// The engine that was built with these tests, or the one that `STARLING_BIN` names.
    pub fn starling() -> Result<Daemon> {
        let binary = match env::var_os(BINARY_VARIABLE) {
            Some(path) => PathBuf::from(path),
            None => built_binary("starling")?,
        };
        if !binary.is_file() {
            bail!(
                "no starling binary at {}: build it with `cargo build -p starling`, or name one in {BINARY_VARIABLE}",
                binary.display()
            );
        }
        Ok(Daemon::Starling {
            binary: binary.canonicalize()?,
            args: Vec::new(),
        })
    }

    /// The engine's binary, which is also its command line.
    pub(super) fn binary(&self) -> Result<&Path> {
        match self {
            Daemon::Starling { binary, .. } => Ok(binary),
            Daemon::Program(_) => bail!("this host does not run starling"),
        }
    }

    /// Whether the daemon answers `/_ping` when it is ready.
    pub(super) fn has_api(&self) -> bool {
        matches!(self, Daemon::Starling { .. })
    }

    /// The whole command line for a host with this directory and this parent of control groups.
    pub(super) fn command(&self, host_dir: &Path, cgroup: &str) -> Vec<OsString> {
        match self {
            Daemon::Program(command) => command.clone(),
            Daemon::Starling { binary, args } => {
                let mut command: Vec<OsString> = vec![binary.into(), "daemon".into()];
                command.extend(["--data-root".into(), host_dir.join("data").into()]);
                command.extend(["--exec-root".into(), "/run/starling".into()]);
                command.extend(["--pidfile".into(), "/run/starling.pid".into()]);
                command.extend([
                    "-H".into(),
                    format!("unix://{}", socket(host_dir).display()).into(),
                ]);
                command.extend(["--cgroup-parent".into(), cgroup.into()]);
                command.extend(args.iter().map(OsString::from));
                command
            }
        }
    }
}

/// The daemon's socket: on the shared disk, so that the outside reaches it without a network.
pub(super) fn socket(host_dir: &Path) -> PathBuf {
    host_dir.join("starling.sock")
}

/// The program `starling-hosts`, which makes hosts; it may be the running program itself.
pub(super) fn helper() -> Result<PathBuf> {
    const NAME: &str = "starling-hosts";
    let me = env::current_exe()?;
    if me.file_name().is_some_and(|name| name == NAME) {
        return Ok(me);
    }
    let helper = built_binary(NAME)?;
    if !helper.is_file() {
        bail!(
            "no {}: build it with `cargo build -p cluster-tests`",
            helper.display()
        );
    }
    Ok(helper)
}

/// Where cargo puts a binary, seen from a test (`target/…/debug/deps/NAME-HASH`) or another binary beside it.
fn built_binary(name: &str) -> Result<PathBuf> {
    let me = env::current_exe()?;
    let dir = me.parent().context("this program has no directory")?;
    let dir = if dir.ends_with("deps") {
        dir.parent().unwrap_or(dir)
    } else {
        dir
    };
    Ok(dir.join(name))
}
