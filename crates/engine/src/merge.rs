//! What really runs: what was asked for, with the gaps filled by the image, as Docker does it.

use crate::config::{ContainerConfig, NetworkMode};
use crate::error::CreateError;
use crate::health;
use crate::record::Process;
use crate::signal;
use images::ImageConfig;

/// Docker's search path when neither the image nor the user sets one.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Digits of the id that make a default host name.
const SHORT_ID: usize = 12;

/// Joins a container's configuration with its image's.
pub(crate) fn merge(
    id: &str,
    config: &ContainerConfig,
    image: &ImageConfig,
    host_name: &str,
) -> Result<Process, CreateError> {
    let (entrypoint, command) = program(config, image);
    if entrypoint.is_empty() && command.is_empty() {
        return Err(CreateError::Invalid("no command specified".into()));
    }
    let hostname = match (config.hostname.as_str(), config.network) {
        ("", NetworkMode::Host) => host_name.to_owned(),
        ("", NetworkMode::Loopback) => id.chars().take(SHORT_ID).collect(),
        (name, _) => name.to_owned(),
    };
    let mut labels = image.labels.clone();
    labels.extend(config.labels.clone());
    Ok(Process {
        entrypoint,
        command,
        env: environment(config, image, &hostname),
        working_dir: cleaned(&first_of(&config.working_dir, &image.working_dir)),
        user: first_of(&config.user, &image.user),
        hostname,
        stop_signal: stop_signal(config, image)?,
        labels,
        probe: health::probe(config.healthcheck.as_ref(), image)
            .map_err(|why| CreateError::Invalid(format!("invalid health check: {why}")))?,
    })
}

fn first_of(asked: &str, image: &str) -> String {
    if asked.is_empty() { image } else { asked }.to_owned()
}

/// Without `.`, `..` and double slashes, by the text alone, as Docker does it with paths inside: no link is looked at.
/// One that does not begin with a slash is left for others to refuse.
pub(crate) fn cleaned(path: &str) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// An entrypoint of one's own does away with the image's command, too. An empty word takes the image's away.
fn program(config: &ContainerConfig, image: &ImageConfig) -> (Vec<String>, Vec<String>) {
    let of_image = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    if matches!(config.entrypoint.as_slice(), [only] if only.is_empty()) {
        return (Vec::new(), config.command.clone());
    }
    if !config.entrypoint.is_empty() {
        return (config.entrypoint.clone(), config.command.clone());
    }
    let command = if config.command.is_empty() {
        of_image(&image.cmd)
    } else {
        config.command.clone()
    };
    (of_image(&image.entrypoint), command)
}

fn name_of(variable: &str) -> &str {
    variable.split_once('=').map_or(variable, |(name, _)| name)
}

/// Defaults first, then the image's, then the user's; a later one takes the place of an earlier one of its name, a
/// name without a value takes it away.
fn environment(config: &ContainerConfig, image: &ImageConfig, hostname: &str) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    for variable in image.env.iter().chain(&config.env) {
        let known = env
            .iter()
            .position(|other| name_of(other) == name_of(variable));
        match (known, variable.contains('=')) {
            (Some(at), true) => env[at].clone_from(variable),
            (None, true) => env.push(variable.clone()),
            (Some(at), false) => {
                env.remove(at);
            }
            (None, false) => {}
        }
    }
    env
}

fn stop_signal(config: &ContainerConfig, image: &ImageConfig) -> Result<i32, CreateError> {
    let of_image = image.stop_signal.as_deref().unwrap_or_default();
    match first_of(&config.stop_signal, of_image).as_str() {
        "" => Ok(signal::TERM),
        text => signal::parse(text).map_err(CreateError::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn image(entrypoint: &str, cmd: &str) -> ImageConfig {
        ImageConfig {
            entrypoint: Some(words(entrypoint)),
            cmd: Some(words(cmd)),
            ..ImageConfig::default()
        }
    }

    #[test]
    fn entrypoint_and_command_are_chosen_as_docker_does() {
        // asked entrypoint, asked command, image's entrypoint, image's command, what runs
        let cases = [
            ("", "", "", "sh", "sh"),
            ("", "", "init", "-x", "init -x"),
            ("", "-y", "init", "-x", "init -y"),
            ("mine", "", "init", "-x", "mine"),
            ("mine", "-z", "init", "-x", "mine -z"),
        ];
        for (entrypoint, command, i_entrypoint, i_cmd, expected) in cases {
            let config = ContainerConfig {
                entrypoint: words(entrypoint),
                command: words(command),
                ..ContainerConfig::default()
            };
            let process = merge("c0ffee", &config, &image(i_entrypoint, i_cmd), "h").unwrap();
            assert_eq!(process.args(), words(expected), "{entrypoint}|{command}");
        }
        let config = ContainerConfig {
            entrypoint: vec![String::new()],
            command: words("mine -z"),
            ..ContainerConfig::default()
        };
        let process = merge("c0ffee", &config, &image("init", "-x"), "h").unwrap();
        assert_eq!(process.args(), words("mine -z"));
        let nothing = merge("c0ffee", &ContainerConfig::default(), &image("", ""), "h");
        assert_eq!(nothing.unwrap_err().to_string(), "no command specified");
    }

    #[test]
    fn paths_are_cleaned_by_their_text() {
        let cases = [
            ("/", "/"),
            ("/srv//app/", "/srv/app"),
            ("/a/./b/../c", "/a/c"),
            ("/../../x", "/x"),
            ("relative/..", "relative/.."),
            ("", ""),
        ];
        for (path, expected) in cases {
            assert_eq!(cleaned(path), expected, "{path}");
        }
    }

    #[test]
    fn the_environment_is_joined_by_name() {
        let image = ImageConfig {
            env: words("PATH=/bin A=image B=image"),
            ..image("", "sh")
        };
        let config = ContainerConfig {
            env: words("B=mine C=1 A NOPE"),
            ..ContainerConfig::default()
        };
        let process = merge("0123456789abcdef", &config, &image, "h").unwrap();
        assert_eq!(
            process.env,
            words("PATH=/bin HOSTNAME=0123456789ab B=mine C=1")
        );
    }

    #[test]
    fn the_host_network_brings_the_hosts_name() {
        let config = ContainerConfig {
            network: NetworkMode::Host,
            ..ContainerConfig::default()
        };
        let process = merge("0123456789abcdef", &config, &image("", "sh"), "box").unwrap();
        assert_eq!(process.hostname, "box");
    }

    #[test]
    fn the_stop_signal_is_the_users_then_the_images_then_term() {
        for (mine, images, expected) in [("INT", "QUIT", 2), ("", "QUIT", 3), ("", "", 15)] {
            let config = ContainerConfig {
                stop_signal: mine.into(),
                ..ContainerConfig::default()
            };
            let image = ImageConfig {
                stop_signal: Some(images.into()),
                ..image("", "sh")
            };
            assert_eq!(
                merge("c", &config, &image, "h").unwrap().stop_signal,
                expected
            );
        }
    }
}
