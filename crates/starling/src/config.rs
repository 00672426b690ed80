//! Settings of the daemon: flags, and a JSON file with the same names, as dockerd has them.

use anyhow::{Context, bail};
use clap::{CommandFactory, FromArgMatches, Parser};
use model::task::{GenericResource, GenericValue};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the settings are looked for when `--config-file` is not given; it need not exist.
const DEFAULT_CONFIG_FILE: &str = "/etc/starling/daemon.json";
const DEFAULT_DATA_ROOT: &str = "/var/lib/starling";
const DEFAULT_EXEC_ROOT: &str = "/run/starling";
const DEFAULT_PIDFILE: &str = "/run/starling.pid";
const DEFAULT_HOST: &str = "unix:///run/starling.sock";
const DEFAULT_CGROUP_PARENT: &str = "/starling";
const DEFAULT_LOG_LEVEL: &str = "info";
const LOG_LEVELS: [&str; 5] = ["debug", "info", "warn", "error", "fatal"];

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
    /// What this host has of resources that only their users know, such as GPUs.
    pub(crate) generic_resources: Vec<GenericResource>,
    /// Services may ask for devices of this host and for privileges.
    pub(crate) allow_privileged_services: bool,
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
    #[arg(long, value_name = "DIR", help = with_default("Directory of everything that outlives a restart of the host", DEFAULT_DATA_ROOT))]
    data_root: Option<PathBuf>,
    #[arg(long, value_name = "DIR", help = with_default("Directory of sockets and pids; on a file system that is empty after a restart of the host", DEFAULT_EXEC_ROOT))]
    exec_root: Option<PathBuf>,
    #[arg(short, long, value_name = "FILE", help = with_default("File that gets the daemon's process id", DEFAULT_PIDFILE))]
    pidfile: Option<PathBuf>,
    #[arg(short = 'H', long = "host", value_name = "unix://PATH", help = with_default("Socket of the API (may be given several times)", DEFAULT_HOST))]
    hosts: Vec<String>,
    #[arg(long, value_name = "PATH", help = with_default("Parent control group of all containers", DEFAULT_CGROUP_PARENT))]
    cgroup_parent: Option<String>,
    /// Label of this host, for placement constraints (may be given several times)
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<String>,
    #[arg(short, long, value_name = "LEVEL", value_parser = LOG_LEVELS, help = with_default("Least important messages that are logged", DEFAULT_LOG_LEVEL))]
    log_level: Option<String>,
    /// Registry that may be reached by plain HTTP or without a known certificate (may be given several times)
    #[arg(long = "insecure-registry", value_name = "HOST[:PORT]|CIDR")]
    insecure_registries: Vec<String>,
    /// Resource of this host that services may reserve: KIND=NUMBER, or KIND=NAME for each thing with a name (may be given several times)
    #[arg(long = "node-generic-resource", value_name = "KIND=VALUE")]
    generic_resources: Vec<String>,
    /// Let services ask for devices of this host and for privileges: whoever may create services is root here then
    #[arg(long)]
    allow_privileged_services: bool,
    #[arg(long, value_name = "FILE", help = with_default("File with these settings as JSON", DEFAULT_CONFIG_FILE))]
    config_file: Option<PathBuf>,
    /// Check the settings and stop
    #[arg(long)]
    validate: bool,
}

/// The default is chosen after the file was read, so clap does not know it.
fn with_default(help: &str, default: &str) -> String {
    format!("{help} [default: {default}]")
}

/// The JSON file: dockerd's `daemon.json` as far as it goes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    data_root: Option<PathBuf>,
    exec_root: Option<PathBuf>,
    pidfile: Option<PathBuf>,
    hosts: Option<Vec<String>>,
    cgroup_parent: Option<String>,
    labels: Option<Vec<String>>,
    log_level: Option<String>,
    insecure_registries: Option<Vec<String>>,
    node_generic_resources: Option<Vec<String>>,
    allow_privileged_services: Option<bool>,
}

impl File {
    const KEYS: [&str; 10] = [
        "data-root",
        "exec-root",
        "pidfile",
        "hosts",
        "cgroup-parent",
        "labels",
        "log-level",
        "insecure-registries",
        "node-generic-resources",
        "allow-privileged-services",
    ];
}

/// What to do with the settings.
pub(crate) enum Command {
    /// Run with them.
    Run(Box<Config>),
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
    let path = flags.config_file.clone();
    let config = merge(flags, file).with_context(|| match path {
        Some(path) => refusal(&path),
        None => "unable to configure the daemon".to_owned(),
    })?;
    Ok(if validate {
        Command::Validated
    } else {
        Command::Run(Box::new(config))
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
    text.map_err(anyhow::Error::from)
        .and_then(|text| parse_file(&text))
        .with_context(|| refusal(path.unwrap_or(&default)))
}

fn refusal(path: &Path) -> String {
    format!(
        "unable to configure the daemon with file {}",
        path.display()
    )
}

/// A key that is not known is an error, since what it asks for would not happen; all such keys are named at once.
fn parse_file(text: &str) -> anyhow::Result<File> {
    let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)?;
    let unknown: Vec<&str> = keys
        .keys()
        .map(String::as_str)
        .filter(|key| !File::KEYS.contains(key))
        .collect();
    if !unknown.is_empty() {
        bail!(
            "the following directives don't match any configuration option: {}",
            unknown.join(", ")
        );
    }
    Ok(serde_json::from_str(text)?)
}

/// A setting that is given twice has no meaning, not even with the same value. The text is dockerd's.
fn refuse_twice(flags: &Flags, file: &File) -> anyhow::Result<()> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
    let list = |list: &[String]| format!("[{}]", list.join(" "));
    let flag_list = |texts: &[String]| (!texts.is_empty()).then(|| list(texts));
    let file_list = |texts: &Option<Vec<String>>| texts.as_deref().map(list);
    let settings = [
        ("data-root", path(&flags.data_root), path(&file.data_root)),
        ("exec-root", path(&flags.exec_root), path(&file.exec_root)),
        ("pidfile", path(&flags.pidfile), path(&file.pidfile)),
        ("hosts", flag_list(&flags.hosts), file_list(&file.hosts)),
        (
            "cgroup-parent",
            flags.cgroup_parent.clone(),
            file.cgroup_parent.clone(),
        ),
        ("labels", flag_list(&flags.labels), file_list(&file.labels)),
        ("log-level", flags.log_level.clone(), file.log_level.clone()),
        (
            "insecure-registries",
            flag_list(&flags.insecure_registries),
            file_list(&file.insecure_registries),
        ),
        (
            "node-generic-resources",
            flag_list(&flags.generic_resources),
            file_list(&file.node_generic_resources),
        ),
        (
            "allow-privileged-services",
            flags.allow_privileged_services.then(|| "true".to_owned()),
            file.allow_privileged_services.map(|on| on.to_string()),
        ),
    ];
    let twice = settings.into_iter().filter_map(|(name, flag, file)| {
        let (flag, file) = (flag?, file?);
        Some(format!("{name}: (from flag: {flag}, from file: {file})"))
    });
    let twice: Vec<String> = twice.collect();
    if !twice.is_empty() {
        bail!(
            "the following directives are specified both as a flag and in the configuration file: {}",
            twice.join(", ")
        );
    }
    Ok(())
}

fn merge(flags: Flags, file: File) -> anyhow::Result<Config> {
    refuse_twice(&flags, &file)?;
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
        hosts.push(DEFAULT_HOST.into());
    }
    let log_level = flags
        .log_level
        .or(file.log_level)
        .unwrap_or_else(|| DEFAULT_LOG_LEVEL.into());
    if !LOG_LEVELS.contains(&log_level.as_str()) {
        bail!(
            "log-level '{log_level}' is none of {}",
            LOG_LEVELS.join(", ")
        );
    }
    Ok(Config {
        data_root: absolute(
            flags
                .data_root
                .or(file.data_root)
                .unwrap_or(DEFAULT_DATA_ROOT.into()),
            "data-root",
        )?,
        exec_root: absolute(
            flags
                .exec_root
                .or(file.exec_root)
                .unwrap_or(DEFAULT_EXEC_ROOT.into()),
            "exec-root",
        )?,
        pidfile: absolute(
            flags
                .pidfile
                .or(file.pidfile)
                .unwrap_or(DEFAULT_PIDFILE.into()),
            "pidfile",
        )?,
        sockets: hosts
            .iter()
            .map(|host| socket(host))
            .collect::<Result<_, _>>()?,
        cgroup_parent: flags
            .cgroup_parent
            .or(file.cgroup_parent)
            .unwrap_or_else(|| DEFAULT_CGROUP_PARENT.into()),
        labels: labels(&list(flags.labels, file.labels))?,
        log_level,
        insecure_registries: list(flags.insecure_registries, file.insecure_registries),
        generic_resources: generic_resources(&list(
            flags.generic_resources,
            file.node_generic_resources,
        ))?,
        allow_privileged_services: flags.allow_privileged_services
            || file.allow_privileged_services.unwrap_or(false),
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

/// Docker's notation: `gpu=2`, or `gpu=a` and `gpu=b`, also several in one text with commas.
fn generic_resources(texts: &[String]) -> anyhow::Result<Vec<GenericResource>> {
    let mut resources: Vec<GenericResource> = Vec::new();
    for term in texts.iter().flat_map(|text| text.split(',')) {
        let pair = term.split_once('=').map(|(k, v)| (k.trim(), v.trim()));
        let well_formed = |(kind, value): &(&str, &str)| {
            !kind.is_empty() && !value.is_empty() && !value.contains('=')
        };
        let Some((kind, value)) = pair.filter(well_formed) else {
            bail!(
                "could not parse GenericResource: incorrect term {term}, missing '=' or malformed expression"
            );
        };
        let resource = GenericResource {
            kind: kind.to_owned(),
            value: match value.parse::<i64>() {
                Ok(number) if number < 0 => {
                    bail!(
                        "could not parse GenericResource: cannot ask for negative resource {kind}"
                    )
                }
                Ok(number) => GenericValue::Discrete(number),
                Err(_) => GenericValue::Named(value.to_owned()),
            },
        };
        let named = matches!(resource.value, GenericValue::Named(_));
        let mut same = resources.iter().filter(|other| other.kind == kind);
        if same.any(|other| !named || !matches!(other.value, GenericValue::Named(_))) {
            bail!(
                "mixed discrete and named resources in expression '{kind}={value}': a kind is one number, or names"
            );
        }
        if resources.contains(&resource) {
            bail!("the generic resource {kind}={value} is given twice");
        }
        resources.push(resource);
    }
    Ok(resources)
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

    #[test]
    fn every_key_is_known_and_help_tells_defaults() {
        let all = r#"{"data-root":"/d","exec-root":"/e","pidfile":"/p","hosts":[],"cgroup-parent":"/c","labels":[],
                      "log-level":"warn","insecure-registries":[],"node-generic-resources":[],
                      "allow-privileged-services":false}"#;
        let file = parse_file(all).expect("all keys");
        assert!(file.exec_root.is_some() && file.insecure_registries.is_some());
        let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(all).unwrap();
        assert_eq!(keys.len(), File::KEYS.len());
        let help = Flags::command().render_help().to_string();
        for default in [DEFAULT_DATA_ROOT, DEFAULT_HOST, DEFAULT_LOG_LEVEL] {
            assert!(help.contains(&format!("[default: {default}]")), "{help}");
        }
    }

    #[track_caller]
    fn check(args: &[&str], file: &str, expected: Result<fn(&Config) -> bool, &str>) {
        let actual = parse_file(file).and_then(|file| merge(flags(args), file));
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
            Err(
                "the following directives are specified both as a flag and in the configuration file: \
                 data-root: (from flag: /x, from file: /d)",
            ),
        );
        check(
            &["--label", "a=1", "--label", "b=2", "-l", "warn"],
            r#"{"labels":[],"log-level":"warn"}"#,
            Err(
                "labels: (from flag: [a=1 b=2], from file: []), log-level: (from flag: warn, from file: warn)",
            ),
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
        check(
            &[],
            r#"{"storage-driver":"zfs","debug":true}"#,
            Err(
                "the following directives don't match any configuration option: debug, storage-driver",
            ),
        );
        check(&[], r#"{"labels":"a=b"}"#, Err("expected a sequence"));
        check(&[], r#"{"log-level":"loud"}"#, Err("none of debug"));
        check(&[], "{}", Ok(|c| !c.allow_privileged_services));
        check(
            &["--allow-privileged-services"],
            "{}",
            Ok(|c| c.allow_privileged_services),
        );
        check(
            &["--allow-privileged-services"],
            r#"{"allow-privileged-services":false}"#,
            Err("allow-privileged-services: (from flag: true, from file: false)"),
        );
    }

    #[test]
    fn generic_resources_are_read() {
        check(
            &[
                "--node-generic-resource",
                "gpu=a,gpu=b",
                "--node-generic-resource",
                "fpga=2",
            ],
            "{}",
            Ok(|c| {
                let named = |name: &str| GenericValue::Named(name.into());
                let values: Vec<_> = c
                    .generic_resources
                    .iter()
                    .map(|r| r.value.clone())
                    .collect();
                values == [named("a"), named("b"), GenericValue::Discrete(2)]
            }),
        );
        for (bad, text) in [
            ("gpu", "missing '='"),
            ("gpu=-1", "negative"),
            ("gpu=1,gpu=a", "mixed"),
            ("gpu=1,gpu=2", "mixed"),
            ("gpu=a,gpu=a", "twice"),
        ] {
            check(&["--node-generic-resource", bad], "{}", Err(text));
        }
    }
}
