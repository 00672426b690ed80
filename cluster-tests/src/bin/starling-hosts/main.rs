//! Makes hosts out of namespaces on this machine, and tells the demo on them. Needs root.
#![forbid(unsafe_code)]

mod demo;

use std::convert::Infallible;
use std::path::Path;
use std::process::ExitStatus;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use cluster_tests::hosts::{
    Boot, Cluster, Enter, Keep, ProcessId, exit_code, kept, run_boot, run_enter, run_init,
    run_keep, sweep,
};

/// Several hosts on one machine, made of namespaces, running starling.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Tell the story: a cluster, a service, a forced update, a lost leader, a lost host
    Demo(demo::Demo),
    /// Show the clusters that were left up
    List,
    /// Run a command inside of a host of a cluster that was left up
    Exec {
        /// Name of the host, as in m1
        host: String,
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Take down the clusters that were left up, and what killed runs left
    Down,
    #[command(hide = true)]
    Boot(Boot),
    #[command(hide = true)]
    Init {
        #[arg(long)]
        hostname: String,
    },
    #[command(hide = true)]
    Enter(Enter),
    #[command(hide = true)]
    Keep(Keep),
}

fn main() {
    let code = match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("starling-hosts: {error:#}");
            1
        }
    };
    std::process::exit(code);
}

fn run(command: Command) -> Result<i32> {
    let ended = |status: ExitStatus| exit_code(status);
    match command {
        Command::Demo(arguments) => demo::tell(&arguments).map(|()| 0),
        Command::List => list().map(|()| 0),
        Command::Exec { host, command } => exec(&host, &command),
        Command::Down => down().map(|()| 0),
        Command::Boot(arguments) => run_boot(&arguments).map(ended),
        Command::Init { hostname } => run_init(&hostname).map(|never: Infallible| match never {}),
        Command::Enter(arguments) => run_enter(&arguments).map(ended),
        Command::Keep(arguments) => run_keep(&arguments).map(|()| 0),
    }
}

fn list() -> Result<()> {
    for dir in kept()? {
        println!("{}", dir.display());
    }
    Ok(())
}

fn down() -> Result<()> {
    for dir in kept()? {
        Cluster::take_down_kept(&dir)?;
        println!("took down {}", dir.display());
    }
    for dir in sweep()? {
        println!("swept {}", dir.display());
    }
    Ok(())
}

fn exec(host: &str, command: &[String]) -> Result<i32> {
    let dirs = kept()?;
    let dir = dirs
        .iter()
        .map(|dir| dir.join(host))
        .find(|dir| dir.is_dir());
    let dir = dir.with_context(|| format!("no host {host} in a cluster that was left up"))?;
    let init = ProcessId::recorded(&dir.join("init")).filter(|init| init.alive());
    let init = init.with_context(|| format!("host {host} is down"))?;
    let cluster = dir
        .parent()
        .and_then(Path::file_name)
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let enter = Enter::new(
        init.pid,
        &format!("/starling-test-{cluster}/{host}/sys"),
        command,
    );
    Ok(exit_code(run_enter(&enter)?))
}
