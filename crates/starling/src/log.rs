//! The daemon's own log: lines on standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Sends what is at least as important as `level` to standard error. `RUST_LOG` goes before it.
pub(crate) fn start(level: &str) {
    let level = if level == "fatal" { "error" } else { level };
    // Libraries are quiet: their troubles reach us as errors, which we log with what they mean. openraft would
    // say four lines in each heartbeat of a peer that is away.
    let ours = [
        "agent",
        "api",
        "consensus",
        "engine",
        "images",
        "manager",
        "network",
        "sandbox",
        "starling",
    ];
    let default = ours.iter().fold(
        "warn,openraft=off,sled=error".to_owned(),
        |filter, krate| format!("{filter},{krate}={level}"),
    );
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
