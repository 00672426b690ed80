//! Settings of the daemon: flags, and a JSON file with the same names, as dockerd has them.

use anyhow::{Context, bail};
use clap::{CommandFactory, FromArgMatches, Parser};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// Where the settings are looked for when `--config-file` is not given; it need not exist.
const DEFAULT_CONFIG_FILE: &str = "/etc/starling/daemon.json";

/// Settings of the daemon, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    /// Everything that outlives a restart of the host.
    pub(crate) data_root: PathBuf,
    /// Everything that does not: sockets, pids. It must be empty after a restart of the host.
    pub(crate) exec_root: PathBuf,
    pub(crate) pidfile: PathBuf,
    /// Unix sockets of the API.
    pub(crate) sockets: Vec<PathBuf>,
    /// Parent of the containers' control groups.
    pub(crate) cgroup_parent: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) log_level: String,
    pub(crate) insecure_registries: Vec<String>,
}

/// Run the Starling daemon in the foreground.
///
/// It keeps containers running when it stops or is killed, and finds them again when it is back.
#[derive(Debug, Parser)]
#[command(
    name = "starling daemon",
    bin_name = "starling daemon",
    disable_version_flag = true
)]
struct Flags {
    /// Directory of everything that outlives a restart of the host
    #[arg(long, value_name = "DIR")]
    data_root: Option<PathBuf>,
    /// Directory of sockets and pids; on a file system that is empty after a restart of the host
    #[arg(long, value_name = "DIR")]
    exec_root: Option<PathBuf>,
    /// File that gets the daemon's process id
    #[arg(short, long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    /// Socket of the API, such as unix:///run/starling.sock (may be given several times)
    #[arg(short = 'H', long = "host", value_name = "unix://PATH")]
    hosts: Vec<String>,
    /// Parent control group of all containers
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
    /// Label of this host, for placement constraints (may be given several times)
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    /// Least important messages that are logged
    #[arg(short, long, value_name = "LEVEL", value_parser = ["debug", "info", "warn", "error", "fatal"])]
    log_level: Option<String>,
    /// Registry that may be reached by plain HTTP or without a known certificate (may be given several times)
    #[arg(long = "insecure-registry", value_name = "HOST[:PORT]|CIDR")]
    insecure_registries: Vec<String>,
    /// File with these settings as JSON
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// Check the settings and stop
    #[arg(long)]
    validate: bool,
}

/// The JSON file: dockerd's `daemon.json` as far as it goes. A key that is not known is an error, since what it asks
/// for would not happen.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    data_root: Option<PathBuf>,
    exec_root: Option<PathBuf>,
    pidfile: Option<PathBuf>,
    hosts: Option<Vec<String>>,
    cgroup_parent: Option<String>,
    labels: Option<Vec<String>>,
    log_level: Option<String>,
    insecure_registries: Option<Vec<String>>,
}

/// What to do with the settings.
pub(crate) enum Command {
    /// Run with them.
    Run(Config),
    /// They are good: say so.
    Validated,
    /// Help was printed, or the flags were wrong and that was printed: end with this code.
    Exit(i32),
}

/// Reads flags and the file. `args` begins with the word `daemon`.
pub(crate) fn read(args: &[OsString]) -> anyhow::Result<Command> {
    let matches = match Flags::command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            // Nothing can be done when the terminal is gone.
            let _ = error.print();
            return Ok(Command::Exit(error.exit_code()));
        }
    };
    let flags = Flags::from_arg_matches(&matches)?;
    let file = read_file(flags.config_file.as_ref())?;
    let validate = flags.validate;
    let config = merge(flags, file)?;
    Ok(if validate {
        Command::Validated
    } else {
        Command::Run(config)
    })
}

fn read_file(path: Option<&PathBuf>) -> anyhow::Result<File> {
    let default = PathBuf::from(DEFAULT_CONFIG_FILE);
    let text = match std::fs::read_to_string(path.unwrap_or(&default)) {
        Err(error) if path.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(File::default());
        }
        other => other,
    };
    let path = path.unwrap_or(&default).display();
    let text = text.with_context(|| format!("cannot read the settings in {path}"))?;
    serde_json::from_str(&text).with_context(|| format!("the settings in {path} are not right"))
}

fn merge(flags: Flags, file: File) -> anyhow::Result<Config> {
    let twice = [
        (
            "data-root",
            flags.data_root.is_some() && file.data_root.is_some(),
        ),
        (
            "exec-root",
            flags.exec_root.is_some() && file.exec_root.is_some(),
        ),
        ("pidfile", flags.pidfile.is_some() && file.pidfile.is_some()),
        ("hosts", !flags.hosts.is_empty() && file.hosts.is_some()),
        (
            "cgroup-parent",
            flags.cgroup_parent.is_some() && file.cgroup_parent.is_some(),
        ),
        ("labels", !flags.labels.is_empty() && file.labels.is_some()),
        (
            "log-level",
            flags.log_level.is_some() && file.log_level.is_some(),
        ),
        (
            "insecure-registries",
            !flags.insecure_registries.is_empty() && file.insecure_registries.is_some(),
        ),
    ];
    let twice: Vec<&str> = twice
        .iter()
        .filter(|(_, both)| *both)
        .map(|(name, _)| *name)
        .collect();
    if !twice.is_empty() {
        bail!(
            "the following directives are specified both as a flag and in the configuration file: {}. Remove one of each",
            twice.join(", ")
        );
    }
    let list = |flags: Vec<String>, file: Option<Vec<String>>| {
        if flags.is_empty() {
            file.unwrap_or_default()
        } else {
            flags
        }
    };
    let absolute = |path: PathBuf, name: &str| {
        if path.is_absolute() {
            Ok(path)
        } else {
            bail!("{name} must be an absolute path, not '{}'", path.display())
        }
    };
    let mut hosts = list(flags.hosts, file.hosts);
    if hosts.is_empty() {
        hosts.push("unix:///run/starling.sock".into());
    }
    let log_level = flags
        .log_level
        .or(file.log_level)
        .unwrap_or_else(|| "info".into());
    if !["debug", "info", "warn", "error", "fatal"].contains(&log_level.as_str()) {
        bail!("log-level '{log_level}' is none of debug, info, warn, error, fatal");
    }
    Ok(Config {
        data_root: absolute(
            flags
                .data_root
                .or(file.data_root)
                .unwrap_or("/var/lib/starling".into()),
            "data-root",
        )?,
        exec_root: absolute(
            flags
                .exec_root
                .or(file.exec_root)
                .unwrap_or("/run/starling".into()),
            "exec-root",
        )?,
        pidfile: absolute(
            flags
                .pidfile
                .or(file.pidfile)
                .unwrap_or("/run/starling.pid".into()),
            "pidfile",
        )?,
        sockets: hosts
            .iter()
            .map(|host| socket(host))
            .collect::<Result<_, _>>()?,
        cgroup_parent: flags
            .cgroup_parent
            .or(file.cgroup_parent)
            .unwrap_or_else(|| "/starling".into()),
        labels: labels(&list(flags.labels, file.labels))?,
        log_level,
        insecure_registries: list(flags.insecure_registries, file.insecure_registries),
    })
}

fn socket(host: &str) -> anyhow::Result<PathBuf> {
    match host.split_once("://") {
        Some(("unix", path)) if path.starts_with('/') => Ok(path.into()),
        Some(("tcp" | "fd", _)) => bail!(
            "host '{host}': only unix sockets are built yet, such as unix:///run/starling.sock"
        ),
        _ => bail!(
            "host '{host}' is not right: use unix:// and an absolute path, such as unix:///run/starling.sock"
        ),
    }
}

fn labels(texts: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    for text in texts {
        let Some((name, value)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            bail!("bad attribute format: '{text}': a label is NAME=VALUE");
        };
        if labels
            .insert(name.to_owned(), value.to_owned())
            .is_some_and(|old| old != value)
        {
            bail!("conflict labels for {name}: it is given with two values");
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(args: &[&str]) -> Flags {
        Flags::try_parse_from(std::iter::once("daemon").chain(args.iter().copied())).expect("flags")
    }

    #[test]
    fn a_wrong_flag_names_the_command_as_it_is_typed() {
        let error = Flags::try_parse_from(["daemon", "--bogus"]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("Usage: starling daemon [OPTIONS]"), "{text}");
    }

    #[track_caller]
    fn check(args: &[&str], file: &str, expected: Result<fn(&Config) -> bool, &str>) {
        let file = serde_json::from_str::<File>(file).map_err(anyhow::Error::from);
        let actual = file.and_then(|file| merge(flags(args), file));
        match (actual, expected) {
            (Ok(config), Ok(holds)) => assert!(holds(&config), "{config:?}"),
            (Err(error), Err(text)) => assert!(format!("{error:#}").contains(text), "{error:#}"),
            (actual, _) => panic!("{actual:?}"),
        }
    }

    #[test]
    fn flags_and_file_are_merged_and_checked() {
        check(
            &[],
            "{}",
            Ok(|c| c.data_root.as_os_str() == "/var/lib/starling" && c.sockets.len() == 1),
        );
        check(
            &["-H", "unix:///a", "-H", "unix:///b"],
            "{}",
            Ok(|c| c.sockets.len() == 2),
        );
        check(
            &[],
            r#"{"data-root":"/d","labels":["a=b"]}"#,
            Ok(|c| c.labels["a"] == "b"),
        );
        check(
            &["--data-root", "/x"],
            r#"{"data-root":"/d"}"#,
            Err("both as a flag and in the configuration file: data-root"),
        );
        check(&["--data-root", "x"], "{}", Err("absolute"));
        check(
            &["-H", "tcp://0.0.0.0:2375"],
            "{}",
            Err("only unix sockets"),
        );
        check(&["-H", "/run/x.sock"], "{}", Err("use unix://"));
        check(&["--label", "novalue"], "{}", Err("NAME=VALUE"));
        check(
            &["--label", "a=1", "--label", "a=2"],
            "{}",
            Err("two values"),
        );
        check(&[], r#"{"storage-driver":"zfs"}"#, Err("unknown field"));
        check(&[], r#"{"log-level":"loud"}"#, Err("none of debug"));
    }
}
