//! Where the daemon listens.

use crate::error::{Error, Result};
use std::fmt;
use std::path::PathBuf;

/// Where our own daemon listens when nothing else is said.
const DEFAULT_SOCKET: &str = "/run/starling.sock";
/// Where Docker's clients look, and our daemon may listen too.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// What of the environment matters, so that tests need not change the process's own.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `STARLING_HOST`.
    pub starling_host: Option<String>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `DOCKER_API_VERSION`.
    pub api_version: Option<String>,
    /// `DOCKER_CONFIG`, else `.docker` at home: where `docker login` leaves credentials.
    pub config: Option<PathBuf>,
}

impl Environment {
    /// The process's own; empty variables count as not set.
    pub fn from_process() -> Self {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Environment {
            starling_host: variable("STARLING_HOST"),
            docker_host: variable("DOCKER_HOST"),
            api_version: variable("DOCKER_API_VERSION"),
            config: variable("DOCKER_CONFIG")
                .map(PathBuf::from)
                .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".docker"))),
        }
    }
}

/// A unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    pub(super) path: PathBuf,
}

impl Host {
    /// The flag, else the environment, else the socket that is there.
    pub fn choose(flag: Option<&str>, environment: &Environment) -> Result<Self> {
        if let Some(text) = flag
            .or(environment.starling_host.as_deref())
            .or(environment.docker_host.as_deref())
        {
            return Host::parse(text);
        }
        let there = [DEFAULT_SOCKET, DOCKER_SOCKET]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists());
        Ok(Host {
            path: there.unwrap_or(DEFAULT_SOCKET).into(),
        })
    }

    /// Reads `unix:///path` or `/path`.
    pub fn parse(text: &str) -> Result<Self> {
        let path = match text.split_once("://") {
            Some(("unix", path)) => path,
            None if text.starts_with('/') => text,
            Some((scheme @ ("tcp" | "http" | "https" | "ssh" | "npipe" | "fd"), _)) => {
                return Err(Error::Host(format!(
                    "cannot reach {text}: {scheme} is not available yet, name a unix socket as unix:///run/starling.sock"
                )));
            }
            _ => {
                return Err(Error::Host(format!(
                    "unable to parse docker host `{text}`: write unix:///run/starling.sock, for example"
                )));
            }
        };
        if path.is_empty() {
            Err(Error::Host(format!(
                "unable to parse docker host `{text}`: it has no path"
            )))
        } else {
            Ok(Host { path: path.into() })
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "unix://{}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment() {
        let environment = Environment {
            starling_host: Some("unix:///s".into()),
            docker_host: Some("unix:///d".into()),
            api_version: None,
            config: None,
        };
        let chosen = |flag: Option<&str>, environment: &Environment| {
            Host::choose(flag, environment).unwrap().to_string()
        };
        assert_eq!(chosen(Some("/f"), &environment), "unix:///f");
        assert_eq!(chosen(None, &environment), "unix:///s");
        assert_eq!(
            chosen(
                None,
                &Environment {
                    starling_host: None,
                    ..environment
                }
            ),
            "unix:///d"
        );
    }

    #[test]
    fn bad_addresses() {
        for text in [
            "tcp://1.2.3.4:2375",
            "ssh://a",
            "nonsense",
            "unix://",
            "x://y",
        ] {
            assert!(Host::parse(text).is_err(), "{text}");
        }
        assert!(
            Host::parse("tcp://a")
                .unwrap_err()
                .to_string()
                .contains("not available yet")
        );
    }
}
