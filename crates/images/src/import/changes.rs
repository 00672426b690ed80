//! `--change`: Dockerfile instructions that change an image's configuration.

use std::collections::BTreeSet;

use serde_json::json;

use super::instruction::{self, json_words, pairs, words};
use crate::config::ImageConfig;
use crate::error::ImportError;

/// The configuration that the instructions make, one after another.
pub(super) fn apply(changes: &[String]) -> Result<ImageConfig, ImportError> {
    let mut config = ImageConfig::default();
    for change in changes {
        let result = apply_one(&mut config, change.trim());
        result.map_err(|why| ImportError::Change {
            change: change.clone(),
            why,
        })?;
    }
    Ok(config)
}

fn apply_one(config: &mut ImageConfig, change: &str) -> Result<(), String> {
    let (name, rest) = change
        .split_once(char::is_whitespace)
        .unwrap_or((change, ""));
    let (name, rest) = (name.to_ascii_uppercase(), rest.trim());
    if rest.is_empty() {
        return Err(format!("{name} requires at least one argument"));
    }
    match name.as_str() {
        "CMD" => config.cmd = Some(command(rest)),
        "ENTRYPOINT" => config.entrypoint = Some(command(rest)),
        "ENV" => {
            for (key, value) in pairs(rest)? {
                config
                    .env
                    .retain(|entry| entry.split('=').next() != Some(&key));
                config.env.push(format!("{key}={value}"));
            }
        }
        "LABEL" => config.labels.extend(pairs(rest)?),
        "EXPOSE" => {
            for port in words(rest)? {
                config.exposed_ports.0.extend(expose(&port)?);
            }
        }
        "VOLUME" => {
            let paths = json_words(rest).map_or_else(|| words(rest), Ok)?;
            config
                .volumes
                .0
                .extend(paths.into_iter().collect::<BTreeSet<_>>());
        }
        "WORKDIR" => config.working_dir = join(&config.working_dir, rest),
        "USER" => config.user = one_word(rest)?,
        "STOPSIGNAL" => config.stop_signal = Some(one_word(rest)?),
        "ONBUILD" => config.on_build.push(rest.to_owned()),
        "HEALTHCHECK" => config.healthcheck = Some(health_check(rest)?),
        other => return Err(format!("{other} is not a valid change command")),
    }
    Ok(())
}

/// JSON words as they are, anything else through a shell.
fn command(text: &str) -> Vec<String> {
    json_words(text).unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned(), text.to_owned()])
}

fn one_word(text: &str) -> Result<String, String> {
    match words(text)?.as_slice() {
        [word] => Ok(word.clone()),
        _ => Err("exactly one argument is expected".to_owned()),
    }
}

/// A relative directory is below the one before.
fn join(before: &str, path: &str) -> String {
    let path = path.trim_matches('"');
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{before}/{path}")
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `80`, `80/udp`, `8000-8002/tcp` (both ends included).
fn expose(text: &str) -> Result<Vec<String>, String> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!(
            "invalid protocol {protocol:?}: use tcp, udp or sctp"
        ));
    }
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first..=last)
            .map(|port| format!("{port}/{protocol}"))
            .collect()),
        _ => Err(format!("invalid containerPort: {ports}")),
    }
}

/// `NONE`, or options and `CMD` with a command. Durations are kept in nanoseconds, as Docker does.
fn health_check(text: &str) -> Result<serde_json::Value, String> {
    let mut check = serde_json::Map::new();
    let mut rest = text;
    while let Some(option) = rest.strip_prefix("--") {
        let (option, after) = option
            .split_once(char::is_whitespace)
            .ok_or("a health check needs CMD or NONE")?;
        let (name, value) = option
            .split_once('=')
            .ok_or_else(|| format!("--{option} needs a value"))?;
        rest = after.trim_start();
        let key = match name {
            "interval" => "Interval",
            "timeout" => "Timeout",
            "start-period" => "StartPeriod",
            "start-interval" => "StartInterval",
            "retries" => {
                let retries: u32 = value
                    .parse()
                    .map_err(|_| format!("--retries={value} is not a number"))?;
                check.insert("Retries".to_owned(), json!(retries));
                continue;
            }
            other => return Err(format!("unknown flag: {other}")),
        };
        let nanos = instruction::duration_nanos(value)
            .ok_or_else(|| format!("--{name}={value} is not a duration"))?;
        check.insert(key.to_owned(), json!(nanos));
    }
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let test = match (kind.to_ascii_uppercase().as_str(), command.trim()) {
        ("NONE", "") => vec!["NONE".to_owned()],
        ("CMD", "") => return Err("Missing command after HEALTHCHECK CMD".to_owned()),
        ("CMD", command) => match json_words(command) {
            Some(words) => [vec!["CMD".to_owned()], words].concat(),
            None => vec!["CMD-SHELL".to_owned(), command.to_owned()],
        },
        (other, _) => return Err(format!("Unknown type {other:?} in HEALTHCHECK (try CMD)")),
    };
    check.insert("Test".to_owned(), json!(test));
    Ok(check.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration after some changes, as JSON without what is empty.
    fn check(changes: &[&str], want: &str) {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        let mut config = serde_json::to_value(apply(&changes).unwrap()).unwrap();
        let fields = config.as_object_mut().unwrap();
        fields.retain(|_, value| *value != json!("") && *value != json!([]));
        assert_eq!(config.to_string(), want, "{changes:?}");
    }

    #[test]
    fn instructions_change_the_configuration() {
        check(
            &["CMD [\"sh\", \"-c\", \"a b\"]"],
            r#"{"Cmd":["sh","-c","a b"]}"#,
        );
        check(&["cmd sleep 1"], r#"{"Cmd":["/bin/sh","-c","sleep 1"]}"#);
        check(
            &["ENTRYPOINT [\"/x\"]", "CMD [\"y\"]"],
            r#"{"Cmd":["y"],"Entrypoint":["/x"]}"#,
        );
        check(
            &["ENV A=1 B=\"2 3\"", "ENV A=4"],
            r#"{"Env":["B=2 3","A=4"]}"#,
        );
        check(&["ENV A b c"], r#"{"Env":["A=b c"]}"#);
        check(
            &["WORKDIR /a", "WORKDIR b/../c"],
            r#"{"WorkingDir":"/a/c"}"#,
        );
        check(
            &["EXPOSE 80 53/UDP 8000-8001"],
            r#"{"ExposedPorts":{"53/udp":{},"80/tcp":{},"8000/tcp":{},"8001/tcp":{}}}"#,
        );
    }

    #[test]
    fn more_instructions() {
        let changes = [
            "USER 1:2",
            "LABEL a=b c='d e'",
            "VOLUME /x /y",
            "STOPSIGNAL SIGQUIT",
            "ONBUILD RUN x",
        ];
        let config = apply(&changes.map(str::to_owned)).unwrap();
        assert_eq!(config.user, "1:2");
        assert_eq!(config.labels["c"], "d e");
        assert_eq!(config.volumes.iter().collect::<Vec<_>>(), ["/x", "/y"]);
        assert_eq!(config.stop_signal.as_deref(), Some("SIGQUIT"));
        assert_eq!(config.on_build, ["RUN x"]);
        let config =
            apply(&["HEALTHCHECK --interval=1m30s --retries=2 CMD curl x".to_owned()]).unwrap();
        let want =
            json!({"Interval": 90_000_000_000_u64, "Retries": 2, "Test": ["CMD-SHELL", "curl x"]});
        assert_eq!(config.healthcheck, Some(want));
    }

    #[test]
    fn wrong_instructions_are_refused() {
        for (change, want) in [
            ("RUN x", "RUN is not a valid change command"),
            ("CMD", "CMD requires at least one argument"),
            ("", " requires at least one argument"),
            ("EXPOSE 0", "invalid containerPort: 0"),
            (
                "EXPOSE 80/icmp",
                "invalid protocol \"icmp\": use tcp, udp or sctp",
            ),
            ("USER a b", "exactly one argument is expected"),
            ("ENV =x", "a name is empty in \"=x\""),
            (
                "HEALTHCHECK FOO",
                "Unknown type \"FOO\" in HEALTHCHECK (try CMD)",
            ),
            ("LABEL a=\"b", "a quote is not closed"),
        ] {
            let error = apply(&[change.to_owned()]).unwrap_err().to_string();
            assert_eq!(error, format!("change {change:?}: {want}"));
        }
    }
}
