//! Labels, environments, secrets and other small notations.

use super::{csv, unsigned};
use crate::error::{Error, Result as CommandResult};
use api_types::StringMap;
use api_types::container::Ulimit;
use api_types::task::{
    ConfigReference, DiscreteGenericResource, FileTarget, GenericResource, PlacementPreference,
    SecretReference, SpreadOver,
};
use std::collections::BTreeSet;
use std::path::Path;

/// `key=value` or `key`, for labels and the like; the key is not empty.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.trim().is_empty() {
        return Err(format!(
            "invalid value {text:?}: the name before = is empty"
        ));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// As [`key_value`], for labels.
pub fn label(text: &str) -> Result<(String, String), String> {
    key_value(text).map_err(|_| format!("invalid label '{text}': empty name"))
}

/// A map from such pairs; the last of several wins.
pub fn map(pairs: &[(String, String)]) -> StringMap {
    pairs.iter().cloned().collect()
}

/// `KEY=value`, or `KEY` alone for the value that our own environment has (the word alone when it has none).
pub fn env(text: &str) -> Result<String, String> {
    let (key, _) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        return Err(format!("invalid environment variable: {text}"));
    }
    if text.contains('=') {
        return Ok(text.to_owned());
    }
    Ok(std::env::var(text).map_or_else(|_| text.to_owned(), |value| format!("{text}={value}")))
}

/// The lines of a file of variables: empty lines and those that begin with # mean nothing, a name alone takes our own value.
pub fn env_file(path: &Path) -> CommandResult<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File {
        what: format!("cannot read the environment file {}", path.display()),
        source,
    })?;
    let mut variables = Vec::new();
    for line in text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (key, value) = line
            .split_once('=')
            .map_or((line, None), |(key, value)| (key, Some(value)));
        if key.is_empty() {
            return Err(Error::Usage(format!(
                "invalid env file ({}): no variable name on line '{line}'",
                path.display()
            )));
        }
        if key.contains(char::is_whitespace) {
            return Err(Error::Usage(format!(
                "invalid env file ({}): variable '{key}' contains whitespaces",
                path.display()
            )));
        }
        match value {
            Some(_) => variables.push(line.to_owned()),
            None => variables.extend(
                std::env::var(key)
                    .ok()
                    .map(|value| format!("{key}={value}")),
            ),
        }
    }
    Ok(variables)
}

/// The name in `KEY=value`.
pub fn env_key(variable: &str) -> &str {
    variable.split_once('=').map_or(variable, |(key, _)| key)
}

/// One value for each name: the last one, in its place.
pub fn merge_env(variables: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut merged: Vec<String> = Vec::new();
    for variable in variables {
        merged.retain(|there| env_key(there) != env_key(&variable));
        merged.push(variable);
    }
    merged
}

/// `host:ip` into `ip host`, a line of /etc/hosts.
pub fn host(text: &str) -> Result<String, String> {
    let (name, ip) = text
        .split_once([':', '='])
        .ok_or_else(|| format!("bad format for add-host: {text:?}, expected name:address"))?;
    let bare = ip.trim_start_matches('[').trim_end_matches(']');
    if name.is_empty() {
        return Err(format!("bad format for add-host: {text:?}"));
    }
    bare.parse::<std::net::IpAddr>()
        .map_err(|_| format!("invalid IP address in add-host: {ip:?}"))?;
    Ok(format!("{bare} {name}"))
}

/// An address of a name server.
pub fn ip(text: &str) -> Result<String, String> {
    text.trim()
        .parse::<std::net::IpAddr>()
        .map(|ip| ip.to_string())
        .map_err(|_| format!("IP address is not correctly formatted: {text}"))
}

/// `spread=node.labels.zone`.
pub fn placement_preference(text: &str) -> Result<PlacementPreference, String> {
    match text.split_once('=') {
        Some(("spread", descriptor)) => Ok(PlacementPreference {
            spread: Some(SpreadOver {
                spread_descriptor: descriptor.to_owned(),
            }),
        }),
        Some((strategy, _)) if !strategy.is_empty() => Err(format!(
            "unsupported placement preference {strategy} (only spread is supported)"
        )),
        _ => Err("placement preference must be of the format \"<strategy>=<arg>\"".to_owned()),
    }
}

/// `KIND=3`.
pub fn generic_resource(text: &str) -> Result<GenericResource, String> {
    let (kind, value) = text
        .split_once('=')
        .filter(|(kind, _)| !kind.is_empty())
        .ok_or_else(|| format!("invalid generic-resource format `{text}` expected `name=value`"))?;
    let value = value.parse::<i64>().map_err(|_| format!("invalid generic-resource request `{text}`, Named Generic Resources is not supported for service create or update"))?;
    Ok(GenericResource {
        named: None,
        discrete: Some(DiscreteGenericResource {
            kind: kind.to_owned(),
            value,
        }),
    })
}

/// The limits that Docker knows, by the names of `setrlimit`.
const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// `nofile=1024:2048`; one number is both; -1 is no limit.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    let wrong = || format!("invalid ulimit argument: {text} (write for example nofile=1024:2048)");
    let (name, limits) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(wrong)?;
    if !ULIMITS.contains(&name) {
        return Err(format!(
            "invalid ulimit type: {name} (must be one of {})",
            ULIMITS.join(", ")
        ));
    }
    if limits.matches(':').count() > 1 {
        return Err(format!(
            "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        ));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| {
        text.parse::<i64>()
            .ok()
            .filter(|limit| *limit >= -1)
            .ok_or_else(wrong)
    };
    let (soft, hard) = (number(soft)?, number(hard)?);
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit {
        name: name.to_owned(),
        hard,
        soft,
    })
}

/// Stands for all capabilities.
const ALL: &str = "ALL";
/// Empties the list that the service has before anything else is done with it.
const RESET: &str = "RESET";

/// In capitals, with `CAP_` in front.
fn capability(name: &str) -> String {
    let upper = name.trim().to_ascii_uppercase();
    if upper == ALL || upper == RESET || upper.starts_with("CAP_") {
        upper
    } else {
        format!("CAP_{upper}")
    }
}

/// Changes the two lists of a container as Docker's client does: what is in the one list and asked for in the other only goes
/// from the first, so that the container gets what it has by default. Adding wins over dropping. Sorted.
pub fn change_capabilities(
    added: &mut Vec<String>,
    dropped: &mut Vec<String>,
    add: &[String],
    drop: &[String],
) {
    let set = |names: &[String]| {
        names
            .iter()
            .map(|name| capability(name))
            .collect::<BTreeSet<_>>()
    };
    let (mut now_added, mut now_dropped) = (set(added), set(dropped));
    let (mut add, mut drop) = (set(add), set(drop));
    if add.remove(RESET) {
        now_added.clear();
    }
    if drop.remove(RESET) {
        now_dropped.clear();
    }
    for name in drop.difference(&add) {
        if !now_added.remove(name) {
            now_dropped.insert(name.clone());
        }
    }
    for name in add {
        if !now_dropped.remove(&name) {
            now_added.insert(name);
        }
    }
    let list = |set: BTreeSet<String>| match set.contains(ALL) {
        true => vec![ALL.to_owned()],
        false => set.into_iter().collect(),
    };
    (*added, *dropped) = (list(now_added), list(now_dropped));
}

/// A secret or config as a flag names it, its id still unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct FileReference {
    /// The name of the secret or config.
    pub source: String,
    /// The file that it becomes.
    pub file: FileTarget,
}

impl FileReference {
    /// As a secret whose id was found.
    pub fn into_secret(self, id: String) -> SecretReference {
        SecretReference {
            file: Some(self.file),
            secret_id: id,
            secret_name: self.source,
        }
    }

    /// As a config whose id was found.
    pub fn into_config(self, id: String) -> ConfigReference {
        ConfigReference {
            file: Some(self.file),
            runtime: None,
            config_id: id,
            config_name: self.source,
        }
    }
}

/// `name` or `source=name,target=file,uid=0,gid=0,mode=0444`, for secrets.
pub fn secret(text: &str) -> Result<FileReference, String> {
    file_reference(text, "secret")
}

/// The same for configs.
pub fn config(text: &str) -> Result<FileReference, String> {
    file_reference(text, "config")
}

fn file_reference(text: &str, kind: &str) -> Result<FileReference, String> {
    const DEFAULT_MODE: u32 = 0o444;
    let mut file = FileTarget {
        name: String::new(),
        uid: "0".to_owned(),
        gid: "0".to_owned(),
        mode: DEFAULT_MODE,
    };
    let mut source = String::new();
    let fields = csv(text)?;
    if let [name] = fields.as_slice()
        && !name.contains('=')
    {
        source.clone_from(name);
    } else {
        for field in fields {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?;
            match key.to_ascii_lowercase().as_str() {
                "source" | "src" => value.clone_into(&mut source),
                "target" => value.clone_into(&mut file.name),
                "uid" => value.clone_into(&mut file.uid),
                "gid" => value.clone_into(&mut file.gid),
                "mode" => {
                    file.mode = unsigned(value)
                        .ok()
                        .and_then(|mode| u32::try_from(mode).ok())
                        .ok_or_else(|| format!("invalid mode specified: {value}"))?
                }
                _ => return Err(format!("invalid field in {kind} request: {key}")),
            }
        }
    }
    if source.is_empty() {
        return Err("source is required".to_owned());
    }
    if file.name.is_empty() {
        file.name.clone_from(&source);
    }
    Ok(FileReference { source, file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments() {
        assert_eq!(env("A=1").unwrap(), "A=1");
        assert_eq!(
            env("STARLING_TEST_NOT_SET").unwrap(),
            "STARLING_TEST_NOT_SET"
        );
        assert!(env("PATH").unwrap().starts_with("PATH="));
        assert!(env("=1").is_err() && env("").is_err());
        let merged = merge_env(["A=1", "B=2", "A=3", "C"].map(str::to_owned));
        assert_eq!(merged, ["B=2", "A=3", "C"]);
    }

    #[test]
    fn environment_files() {
        let path = std::env::temp_dir().join(format!("starling-env-{}", std::process::id()));
        std::fs::write(
            &path,
            "# words\n\nA=1 # not a comment\n  B=x\nSTARLING_TEST_NOT_SET\n",
        )
        .unwrap();
        assert_eq!(env_file(&path).unwrap(), ["A=1 # not a comment", "B=x"]);
        std::fs::write(&path, "A B=1\n").unwrap();
        assert!(
            env_file(&path)
                .unwrap_err()
                .to_string()
                .contains("contains whitespaces")
        );
        std::fs::write(&path, "=1\n").unwrap();
        assert!(env_file(&path).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(
            env_file(&path)
                .unwrap_err()
                .to_string()
                .contains("cannot read the environment file")
        );
    }

    #[test]
    fn small_notations() {
        assert_eq!(host("h:1.2.3.4").unwrap(), "1.2.3.4 h");
        assert_eq!(host("h:[::1]").unwrap(), "::1 h");
        assert!(host("h").is_err() && host("h:x").is_err() && host(":1.2.3.4").is_err());
        assert_eq!(
            ulimit("nofile=10:20").unwrap(),
            Ulimit {
                name: "nofile".into(),
                hard: 20,
                soft: 10
            }
        );
        for (text, why) in [
            (
                "nofile=30:20",
                "ulimit soft limit must be less than or equal to hard limit: 30 > 20",
            ),
            ("nofile", "invalid ulimit argument: nofile"),
            ("nofile=a", "invalid ulimit argument"),
            ("foo=1", "invalid ulimit type: foo"),
            (
                "nofile=1:2:3",
                "too many limit value arguments - 1:2:3, can only have up to two",
            ),
        ] {
            assert!(ulimit(text).unwrap_err().contains(why), "{text}");
        }
        assert!(
            placement_preference("spread=node.labels.zone").is_ok()
                && placement_preference("pack=x").is_err()
                && placement_preference("x").is_err()
        );
        assert!(
            generic_resource("gpu=2").is_ok()
                && generic_resource("gpu=a").is_err()
                && generic_resource("gpu").unwrap_err()
                    == "invalid generic-resource format `gpu` expected `name=value`"
        );
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(key_value("=b").is_err());
        assert_eq!(label("=b").unwrap_err(), "invalid label '=b': empty name");
    }

    #[test]
    fn capabilities() {
        let check = |lists: [&str; 2], flags: [&str; 2], expected: [&str; 2]| {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
            let [mut added, mut dropped]: [Vec<String>; 2] = lists.map(words);
            let [add, drop]: [Vec<String>; 2] = flags.map(words);
            change_capabilities(&mut added, &mut dropped, &add, &drop);
            assert_eq!([added.join(" "), dropped.join(" ")], expected);
        };
        check(
            ["", ""],
            ["net_admin CAP_SYS_TIME", "all net_admin"],
            ["CAP_NET_ADMIN CAP_SYS_TIME", "ALL"],
        );
        check(["", ""], ["x all", ""], ["ALL", ""]);
        // Back to what a container has by default.
        check(["", "CAP_CHOWN"], ["chown", ""], ["", ""]);
        check(["CAP_NET_ADMIN", ""], ["", "net_admin"], ["", ""]);
        check(
            ["CAP_A", "CAP_B"],
            ["reset c", "d"],
            ["CAP_C", "CAP_B CAP_D"],
        );
    }

    #[test]
    fn secrets_and_configs() {
        let reference = secret("s").unwrap();
        assert_eq!(
            (reference.file.name.as_str(), reference.file.mode),
            ("s", 0o444)
        );
        let reference = config("source=s,target=/x,uid=5,mode=0400").unwrap();
        assert_eq!(
            (
                reference.file.name.as_str(),
                reference.file.uid.as_str(),
                reference.file.mode
            ),
            ("/x", "5", 0o400)
        );
        let refused = |text: &str, why: &str| {
            assert!(secret(text).unwrap_err().contains(why), "{text}");
        };
        refused("target=x", "source is required");
        refused("", "source is required");
        refused("source=s,mode=x", "invalid mode specified");
        refused(
            "source=s,uid",
            "invalid field 'uid' must be a key=value pair",
        );
        refused("a,b", "invalid field 'a' must be a key=value pair");
        refused(
            "source=s,colour=red",
            "invalid field in secret request: colour",
        );
        assert!(
            config("source=s,colour=red")
                .unwrap_err()
                .contains("invalid field in config request: colour")
        );
    }
}
