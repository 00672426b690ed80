//! Starling's command line: Docker's commands, flags and tables. It talks to the daemon only, and only over its HTTP API.
//!
//! The binary calls [`run`] for everything but its own `daemon` and `supervisor`.
#![forbid(unsafe_code)]

pub mod auth;
pub mod board;
pub mod client;
pub mod console;
pub mod container;
pub mod error;
pub mod image;
pub mod inspect;
pub mod listing;
pub mod network;
pub mod node;
pub mod parse;
pub mod payload;
pub mod plan;
pub mod pretty;
pub mod reference;
pub mod resolver;
pub mod service;
pub mod session;
pub mod swarm;
pub mod system;
pub mod table;
pub mod tasks;
pub mod template;
pub mod times;
pub mod units;
pub mod volume;
pub mod wait;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use client::{Client, Environment, Host};
use console::Console;
use error::{Error, Result};
use session::Session;
use std::ffi::OsString;

/// The exit code of a command that failed, as Docker's.
const FAILURE: i32 = 1;
/// The exit code for a flag that is not known, or whose value cannot be read, as Docker's client has it.
const BAD_FLAG: i32 = 125;

/// Commands of Docker that come later; naming one is no typing error.
const NOT_YET: &[&str] = &[
    "attach",
    "build",
    "builder",
    "buildx",
    "checkpoint",
    "commit",
    "compose",
    "context",
    "cp",
    "create",
    "diff",
    "exec",
    "export",
    "kill",
    "login",
    "logout",
    "logs",
    "manifest",
    "pause",
    "plugin",
    "port",
    "push",
    "rename",
    "restart",
    "rm",
    "run",
    "search",
    "stack",
    "start",
    "stats",
    "stop",
    "top",
    "trust",
    "unpause",
    "wait",
    "unlock",
    "unlock-key",
    "ca",
    "prune",
    "df",
];

const HELP: &str = "\
{about}

{usage-heading} {usage}

Cluster:
  swarm      Begin, join, change and leave a cluster
  node       The hosts of the cluster
  service    Services and their tasks
  secret     Files that only containers see
  config     Files for containers

This host:
  image      Images (also: images, rmi, pull, load, save, import, tag, history)
  container  Containers (also: ps)
  network    Networks
  volume     Volumes
  events     Show what happens
  info       Show what this host is and has
  inspect    Show all details of anything
  version    Show versions
  daemon     Run the daemon

Options:
{options}

Run 'starling COMMAND --help' for more on a command.
";

/// A container engine and clustered service scheduler.
#[derive(Debug, Clone, Parser)]
#[command(name = "starling", version, help_template = HELP, override_usage = "starling [OPTIONS] COMMAND")]
pub struct Cli {
    /// The daemon's socket (default: STARLING_HOST, then DOCKER_HOST, then unix:///run/starling.sock)
    #[arg(short = 'H', long, value_name = "SOCKET")]
    pub host: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub command: TopCommand,
}

/// All commands.
#[derive(Debug, Clone, Subcommand)]
pub enum TopCommand {
    /// Begin, join, change and leave a cluster
    Swarm {
        /// The verb
        #[command(subcommand)]
        command: swarm::SwarmCommand,
    },
    /// The hosts of the cluster
    Node {
        /// The verb
        #[command(subcommand)]
        command: node::NodeCommand,
    },
    /// Services and their tasks
    Service {
        /// The verb
        #[command(subcommand)]
        command: service::ServiceCommand,
    },
    /// Files that only containers see
    Secret {
        /// The verb
        #[command(subcommand)]
        command: payload::SecretCommand,
    },
    /// Files for containers
    Config {
        /// The verb
        #[command(subcommand)]
        command: payload::ConfigCommand,
    },
    /// Images
    Image {
        /// The verb
        #[command(subcommand)]
        command: image::ImageCommand,
    },
    /// Containers
    Container {
        /// The verb
        #[command(subcommand)]
        command: container::ContainerCommand,
    },
    /// Networks
    Network {
        /// The verb
        #[command(subcommand)]
        command: network::NetworkCommand,
    },
    /// Volumes
    Volume {
        /// The verb
        #[command(subcommand)]
        command: volume::VolumeCommand,
    },
    /// The engine as a whole
    System {
        /// The verb
        #[command(subcommand)]
        command: system::SystemCommand,
    },
    /// List images
    Images(image::ListArgs),
    /// Remove images
    Rmi(image::RmArgs),
    /// Get an image from a registry
    Pull(image::PullArgs),
    /// Load images from a tar archive
    Load(image::LoadArgs),
    /// Save images into a tar archive
    Save(image::SaveArgs),
    /// Make an image of a file system in a tar archive
    Import(image::ImportArgs),
    /// Give an image another name
    Tag(image::TagArgs),
    /// Show how an image was made
    History(image::HistoryArgs),
    /// List containers
    Ps(container::ListArgs),
    /// Show what happens
    Events(system::EventsArgs),
    /// Show what this host is and has
    Info(system::InfoArgs),
    /// Show all details of anything
    Inspect(system::InspectArgs),
    /// Show the versions of the client and the daemon
    Version(system::VersionArgs),
}

/// The command that the binary runs itself, before it comes here; known here for help and suggestions.
const DAEMON: &str = "daemon";

/// The whole command line.
pub fn command() -> Command {
    let daemon = Command::new(DAEMON).about("Run the daemon").arg(
        clap::Arg::new("arguments")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true),
    );
    let command = Cli::command()
        .subcommand(daemon)
        .mut_subcommand("service", |service| {
            service.mut_subcommand("update", without_defaults)
        });
    read_as_docker(command)
}

/// What is not named in an update stays as it is, so that its help must not speak of defaults.
fn without_defaults(update: Command) -> Command {
    update.mut_args(|arg| {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        match help.split_once(" (default ") {
            Some((before, rest)) => {
                let after = rest.split_once(')').map_or("", |(_, after)| after);
                arg.help(format!("{before}{after}"))
            }
            None => arg,
        }
    })
}

/// A flag that is given twice counts as it was given last, and what comes behind one is its value, also `-1`.
fn read_as_docker(command: Command) -> Command {
    command
        .args_override_self(true)
        .mut_args(|arg| {
            let takes_next_word = arg.get_action().takes_values()
                && !arg.is_positional()
                && !arg.is_require_equals_set();
            if takes_next_word {
                arg.allow_hyphen_values(true)
            } else {
                arg
            }
        })
        .mut_subcommands(read_as_docker)
}

/// Runs a command line, the program's name first, and says with what code to exit.
pub fn run(args: Vec<OsString>) -> i32 {
    // Help names the program, however it is called.
    let args = std::iter::once(OsString::from("starling")).chain(args.into_iter().skip(1));
    match command().try_get_matches_from(args) {
        Ok(matches) => dispatch(&matches),
        Err(err) => usage_error(&err),
    }
}

/// Runs what was read with [`command`].
pub fn dispatch(matches: &ArgMatches) -> i32 {
    run_in(matches, &Environment::from_process(), Console::standard())
}

/// As [`dispatch`], with another environment and another place to write.
pub fn run_in(matches: &ArgMatches, environment: &Environment, mut console: Console) -> i32 {
    if matches.subcommand_name() == Some(DAEMON) {
        console.complain("the daemon's flags come behind its name: write 'starling daemon -H unix:///run/starling.sock', for example");
        return FAILURE;
    }
    let cli = match Cli::from_arg_matches(matches) {
        Ok(cli) => cli,
        Err(err) => return usage_error(&err),
    };
    let host = match Host::choose(cli.host.as_deref(), environment) {
        Ok(host) => host,
        Err(err) => {
            console.complain(err.to_string());
            return FAILURE;
        }
    };
    let mut session = Session {
        client: Client::new(host, environment.api_version.clone()),
        console,
        config: environment.config.clone(),
    };
    session.client.tell_when_slow(session.console.notices());
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(err) => {
            session.console.complain(format!("cannot start: {err}"));
            return FAILURE;
        }
    };
    let done = runtime.block_on(execute(&mut session, &cli.command));
    // A read from standard input that nobody waits for any more must not keep us from leaving.
    runtime.shutdown_background();
    finish(&mut session.console, done)
}

fn finish(console: &mut Console, done: Result<()>) -> i32 {
    match done {
        Ok(()) | Err(Error::Detached) => 0,
        Err(Error::Silent) => FAILURE,
        Err(err) if err.is_broken_pipe() => FAILURE,
        Err(err) => {
            console.complain(err.to_string());
            match err {
                Error::BadFlag(_) => BAD_FLAG,
                _ => FAILURE,
            }
        }
    }
}

async fn execute(session: &mut Session, command: &TopCommand) -> Result<()> {
    use image::ImageCommand;
    match command {
        TopCommand::Swarm { command } => swarm::run(session, command).await,
        TopCommand::Node { command } => node::run(session, command).await,
        TopCommand::Service { command } => service::run(session, command).await,
        TopCommand::Secret { command } => payload::secret(session, command).await,
        TopCommand::Config { command } => payload::config(session, command).await,
        TopCommand::Volume { command } => volume::run(session, command).await,
        TopCommand::Image { command } => image::run(session, command).await,
        TopCommand::Container { command } => container::run(session, command).await,
        TopCommand::Network { command } => network::run(session, command).await,
        TopCommand::System {
            command: system::SystemCommand::Info(args),
        }
        | TopCommand::Info(args) => system::info(session, args).await,
        TopCommand::System {
            command: system::SystemCommand::Events(args),
        }
        | TopCommand::Events(args) => system::events(session, args).await,
        TopCommand::Images(args) => image::run(session, &ImageCommand::Ls(args.clone())).await,
        TopCommand::Rmi(args) => image::run(session, &ImageCommand::Rm(args.clone())).await,
        TopCommand::Pull(args) => image::run(session, &ImageCommand::Pull(args.clone())).await,
        TopCommand::Load(args) => image::run(session, &ImageCommand::Load(args.clone())).await,
        TopCommand::Save(args) => image::run(session, &ImageCommand::Save(args.clone())).await,
        TopCommand::Import(args) => image::run(session, &ImageCommand::Import(args.clone())).await,
        TopCommand::Tag(args) => image::run(session, &ImageCommand::Tag(args.clone())).await,
        TopCommand::History(args) => {
            image::run(session, &ImageCommand::History(args.clone())).await
        }
        TopCommand::Ps(args) => container::list(session, args).await,
        TopCommand::Inspect(args) => system::inspect(session, args).await,
        TopCommand::Version(args) => system::version(session, args).await,
    }
}

/// Says what is wrong with a command line, or shows the help that was asked for; the code to exit with.
pub fn usage_error(err: &clap::Error) -> i32 {
    if let Some(name) = not_yet(err) {
        eprintln!("'{name}' is not available yet. Run 'starling --help' to see what is.");
        return FAILURE;
    }
    if let Some(text) = bad_value(err) {
        eprintln!("{text}\n\nRun the command with --help to see what it takes.");
        return BAD_FLAG;
    }
    // Nobody is left to tell when this cannot be written.
    let _ = err.print();
    match err.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        _ if is_bad_flag(err) => BAD_FLAG,
        _ => FAILURE,
    }
}

/// Whether it is a flag that nobody knows, or one without its value. A value that is none of a few words is none of these:
/// there Docker's daemon refuses, and its client exits as after any refusal.
fn is_bad_flag(err: &clap::Error) -> bool {
    let text = |kind: ContextKind| match err.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let is_flag = text(ContextKind::InvalidArg).starts_with('-');
    match err.kind() {
        ErrorKind::InvalidValue => is_flag && text(ContextKind::InvalidValue).is_empty(),
        ErrorKind::UnknownArgument | ErrorKind::NoEquals | ErrorKind::TooManyValues => is_flag,
        _ => false,
    }
}

/// What is wrong with the value of a flag, in the words that scripts for Docker look for.
fn bad_value(err: &clap::Error) -> Option<String> {
    if err.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let text = |kind: ContextKind| match err.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (flag, value) = (
        text(ContextKind::InvalidArg)?,
        text(ContextKind::InvalidValue)?,
    );
    let flag = flag.split([' ', '[']).next()?;
    let why = std::error::Error::source(err)?;
    flag.starts_with('-')
        .then(|| format!("invalid argument {value:?} for \"{flag}\" flag: {why}"))
}

/// The whole command, such as `starling swarm ca`, when it is one that comes later.
fn not_yet(err: &clap::Error) -> Option<String> {
    if err.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    match err.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(name)) if NOT_YET.contains(&name.as_str()) => {
            Some(format!("{} {name}", parent(err)))
        }
        _ => None,
    }
}

/// The command whose subcommand is meant, from "Usage: starling swarm <COMMAND>".
fn parent(err: &clap::Error) -> String {
    let usage = match err.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let words = usage
        .split_whitespace()
        .skip_while(|word| *word == "Usage:")
        .take_while(|word| !word.starts_with(['[', '<']));
    match words.collect::<Vec<_>>() {
        words if words.is_empty() => "starling".to_owned(),
        words => words.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_values_are_told_as_docker_does() {
        let told = |flag: &str, value: &str| {
            let args = ["starling", "service", "create", flag, value, "a"];
            bad_value(&command().try_get_matches_from(args).unwrap_err()).unwrap()
        };
        assert_eq!(
            told("--mount", "type=bind"),
            r#"invalid argument "type=bind" for "--mount" flag: target is required"#
        );
        assert_eq!(
            told("-l", "=x"),
            r#"invalid argument "=x" for "--label" flag: invalid label '=x': empty name"#
        );
    }

    #[test]
    fn the_help_of_an_update_has_no_defaults() {
        let help = |verb: &str| {
            let args = ["starling", "service", verb, "--help"];
            let err = command().try_get_matches_from(args).unwrap_err();
            err.to_string()
        };
        let (create, update) = (help("create"), help("update"));
        assert!(create.contains("(default stop-first)") && create.contains("(default 10s)"));
        assert!(!update.contains("(default stop-first)") && !update.contains("(default 10s)"));
        assert!(update.contains("(default: as many"));
        let image = create.find("<IMAGE>...").unwrap();
        assert!(image < create.find("Options:").unwrap(), "{create}");
    }

    #[test]
    fn what_comes_later_is_named_as_it_was_typed() {
        let named = |args: &[&str]| {
            let args = std::iter::once(&"starling").chain(args);
            not_yet(&command().try_get_matches_from(args).unwrap_err())
        };
        for typed in ["run nginx", "swarm ca", "image prune"] {
            let words: Vec<&str> = typed.split(' ').collect();
            let expected = format!("starling {}", typed.trim_end_matches(" nginx"));
            assert_eq!(named(&words), Some(expected));
        }
        assert_eq!(named(&["image", "prnue"]), None);
    }
}
