//! Health checks: what is checked and when, and what the results mean. The monitor that runs them is in [`monitor`].
//!
//! Names, defaults and rules are Docker's (`moby/daemon/health.go`).

mod monitor;

pub(crate) use monitor::watch;

use crate::config::HealthConfig;
use images::ImageConfig;
use model::container::Healthcheck;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Results that are kept of each container, as in Docker.
const KEPT_RESULTS: usize = 5;
/// Bytes of output that are kept of each probe, as in Docker.
pub(crate) const MAX_OUTPUT: usize = 4096;
/// The shell of `CMD-SHELL` when the image names none.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// Docker's exit code of a probe that could not be run, or took too long.
pub const PROBE_FAILED: i32 = -1;

/// A health check in effect, with all defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Program and arguments.
    pub args: Vec<String>,
    /// As in Docker's `Healthcheck`, after the image has filled the gaps.
    pub config: HealthConfig,
}

impl Probe {
    pub(crate) fn timeout(&self) -> Duration {
        or(self.config.timeout, Healthcheck::DEFAULT_TIMEOUT)
    }

    /// Failures in a row that make it unhealthy.
    pub fn retries(&self) -> u64 {
        match self.config.retries {
            0 => Healthcheck::DEFAULT_RETRIES,
            retries => retries,
        }
    }

    /// Pause before the next probe of a container that runs for so long.
    fn pause(&self, health: &Health, running: Duration) -> Duration {
        let starting = health.status == HealthStatus::Starting;
        if starting && running < self.config.start_period {
            or(
                self.config.start_interval,
                Healthcheck::DEFAULT_START_INTERVAL,
            )
        } else {
            or(self.config.interval, Healthcheck::DEFAULT_INTERVAL)
        }
    }
}

fn or(asked: Duration, default: Duration) -> Duration {
    if asked.is_zero() { default } else { asked }
}

/// The check that a container gets: what was asked for, each gap filled by the image's.
pub(crate) fn probe(
    asked: Option<&HealthConfig>,
    image: &ImageConfig,
) -> Result<Option<Probe>, String> {
    let of_image = match &image.healthcheck {
        Some(value) => of_image(value).ok_or("the image's cannot be read")?,
        None => HealthConfig::default(),
    };
    let config = match asked {
        Some(asked) => filled(asked.clone(), of_image),
        None => of_image,
    };
    let Some((kind, words)) = config.test.split_first() else {
        return Ok(None);
    };
    let args = match kind.as_str() {
        "NONE" => return Ok(None),
        "CMD" => words.to_vec(),
        "CMD-SHELL" => {
            let shell = image.shell.clone().filter(|shell| !shell.is_empty());
            let mut args = shell.unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec());
            args.extend_from_slice(words);
            args
        }
        other => {
            return Err(format!(
                "its test begins with {other:?} instead of CMD, CMD-SHELL or NONE"
            ));
        }
    };
    if words.is_empty() {
        return Err(format!("there is nothing after {kind}"));
    }
    Ok(Some(Probe { args, config }))
}

fn filled(mut asked: HealthConfig, image: HealthConfig) -> HealthConfig {
    if asked.test.is_empty() {
        asked.test = image.test;
    }
    asked.interval = or(asked.interval, image.interval);
    asked.timeout = or(asked.timeout, image.timeout);
    asked.start_period = or(asked.start_period, image.start_period);
    asked.start_interval = or(asked.start_interval, image.start_interval);
    if asked.retries == 0 {
        asked.retries = image.retries;
    }
    asked
}

/// The image's own, as `HEALTHCHECK` wrote it: durations in nanoseconds.
fn of_image(value: &serde_json::Value) -> Option<HealthConfig> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "PascalCase", default)]
    struct Raw {
        test: Option<Vec<String>>,
        interval: u64,
        timeout: u64,
        start_period: u64,
        start_interval: u64,
        retries: u64,
    }
    let raw: Option<Raw> = serde_json::from_value(value.clone()).ok()?;
    let raw = raw.unwrap_or_default();
    Some(HealthConfig {
        test: raw.test.unwrap_or_default(),
        interval: Duration::from_nanos(raw.interval),
        timeout: Duration::from_nanos(raw.timeout),
        start_period: Duration::from_nanos(raw.start_period),
        start_interval: Duration::from_nanos(raw.start_interval),
        retries: raw.retries,
    })
}

/// The health of a container that has a check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// What is thought of it.
    pub status: HealthStatus,
    /// Failures in a row.
    pub failing_streak: u64,
    /// The last results, the oldest first.
    pub log: VecDeque<ProbeResult>,
}

/// What is thought of a container's health.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HealthStatus {
    /// No probe has succeeded, and not enough have failed.
    #[default]
    Starting,
    /// The last probes succeeded, or too few in a row have failed since.
    Healthy,
    /// Too many in a row have failed.
    Unhealthy,
}

impl HealthStatus {
    /// The name in Docker's API.
    pub fn name(self) -> &'static str {
        match self {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

/// What came of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// When it began, nanoseconds since 1970.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// 0 is healthy; [`PROBE_FAILED`] when it could not be run, or took too long.
    pub exit_code: i32,
    /// The first [`MAX_OUTPUT`] bytes of what it wrote.
    pub output: String,
}

impl Health {
    /// Takes in a result. Failures of a container that is starting do not count in its start period.
    fn take(&mut self, result: ProbeResult, probe: &Probe, running: Duration) {
        let good = result.exit_code == 0;
        if self.log.len() >= KEPT_RESULTS {
            self.log.pop_front();
        }
        self.log.push_back(result);
        if good {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
            return;
        }
        if self.status == HealthStatus::Starting && running < probe.config.start_period {
            return;
        }
        self.failing_streak += 1;
        if self.failing_streak >= probe.retries() {
            self.status = HealthStatus::Unhealthy;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn image() -> ImageConfig {
        ImageConfig {
            healthcheck: Some(serde_json::json!({
                "Test": ["CMD-SHELL", "curl -f localhost"],
                "Interval": 7_000_000_000_u64,
                "Retries": 5,
            })),
            ..ImageConfig::default()
        }
    }

    #[test]
    fn gaps_are_filled_by_the_image_field_by_field() {
        let probe_of = |asked: Option<HealthConfig>| probe(asked.as_ref(), &image());
        let inherited = probe_of(None).unwrap().unwrap();
        assert_eq!(inherited.args, ["/bin/sh", "-c", "curl -f localhost"]);
        assert_eq!(inherited.config.interval, Duration::from_secs(7));
        let asked = HealthConfig {
            test: words("CMD true"),
            retries: 2,
            ..HealthConfig::default()
        };
        let mixed = probe_of(Some(asked)).unwrap().unwrap();
        assert_eq!(mixed.args, ["true"]);
        assert_eq!(
            (mixed.retries(), mixed.config.interval),
            (2, Duration::from_secs(7))
        );
        assert_eq!(mixed.timeout(), Duration::from_secs(30));
        let none = HealthConfig {
            test: words("NONE"),
            ..HealthConfig::default()
        };
        assert_eq!(probe_of(Some(none)), Ok(None));
        assert_eq!(probe(None, &ImageConfig::default()), Ok(None));
        for bad in ["WHAT x", "CMD"] {
            let bad = HealthConfig {
                test: words(bad),
                ..HealthConfig::default()
            };
            assert!(probe_of(Some(bad)).is_err());
        }
        let own_shell = ImageConfig {
            shell: Some(words("/bin/ash -c")),
            ..image()
        };
        let args = probe(None, &own_shell).unwrap().unwrap().args;
        assert_eq!(args, ["/bin/ash", "-c", "curl -f localhost"]);
    }

    #[test]
    fn results_are_judged_as_docker_does() {
        let probe = Probe {
            args: words("x"),
            config: HealthConfig {
                start_period: Duration::from_secs(10),
                ..HealthConfig::default()
            },
        };
        let mut health = Health::default();
        let mut takes = |exit_code: i32, seconds: u64| {
            let result = ProbeResult {
                start: 0,
                end: 0,
                exit_code,
                output: String::new(),
            };
            health.take(result, &probe, Duration::from_secs(seconds));
            (health.status, health.failing_streak, health.log.len())
        };
        use HealthStatus::{Healthy, Starting, Unhealthy};
        assert_eq!(takes(1, 1), (Starting, 0, 1));
        assert_eq!(takes(PROBE_FAILED, 11), (Starting, 1, 2));
        assert_eq!(takes(1, 12), (Starting, 2, 3));
        assert_eq!(takes(0, 13), (Healthy, 0, 4));
        assert_eq!(takes(1, 14), (Healthy, 1, 5));
        assert_eq!(takes(1, 15), (Healthy, 2, 5));
        assert_eq!(takes(1, 16), (Unhealthy, 3, 5));
        assert_eq!(takes(0, 17), (Healthy, 0, 5));
    }

    #[test]
    fn the_pause_is_shorter_in_the_start_period() {
        let mut probe = Probe {
            args: vec![],
            config: HealthConfig {
                start_period: Duration::from_secs(10),
                ..HealthConfig::default()
            },
        };
        let mut health = Health::default();
        let seconds = |probe: &Probe, health: &Health, running| {
            probe.pause(health, Duration::from_secs(running)).as_secs()
        };
        assert_eq!(seconds(&probe, &health, 0), 5);
        assert_eq!(seconds(&probe, &health, 10), 30);
        health.status = HealthStatus::Healthy;
        assert_eq!(seconds(&probe, &health, 0), 30);
        health.status = HealthStatus::Starting;
        probe.config.start_period = Duration::ZERO;
        assert_eq!(seconds(&probe, &health, 0), 30);
    }
}
