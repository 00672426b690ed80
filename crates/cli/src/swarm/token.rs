//! `swarm token`: join tokens of their own name, which bring labels along.

use super::join_command;
use crate::error::Result;
use crate::listing::{Format, Layout, Row, natural_order, row};
use crate::parse::lists::{label, map};
use crate::session::{Session, object};
use api_types::starling::Token;
use api_types::swarm::{Node, Swarm};
use api_types::system::Info;
use clap::{Args, Subcommand};

const LAYOUT: Layout = Layout {
    headings: &[
        ("ID", "NAME"),
        ("Name", "NAME"),
        ("Role", "ROLE"),
        ("Labels", "LABELS"),
        ("Label", ""),
        ("Token", "TOKEN"),
    ],
    table: r"{{.Name}}\t{{.Role}}\t{{.Labels}}",
};

/// The verbs of tokens.
#[derive(Debug, Clone, Subcommand)]
pub enum TokenCommand {
    /// Make a token; the hosts that join with it get its labels
    #[command(
        after_help = "Example:\n  starling swarm token create rack7 --role worker --label rack=7"
    )]
    Create(CreateArgs),
    /// List the tokens that have a name; -q shows only the names
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Make tokens void; hosts that joined with them stay
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
}

/// Flags of `swarm token create`.
#[derive(Debug, Clone, Default, Args)]
pub struct CreateArgs {
    /// Its name
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What hosts become that join with it
    #[arg(long, value_name = "ROLE", default_value = "worker", value_parser = ["worker", "manager"])]
    pub role: String,
    /// Labels of the hosts that join with it, as NAME=VALUE
    #[arg(short, long, value_name = "LABEL", value_parser = label)]
    pub label: Vec<(String, String)>,
    /// Only the token
    #[arg(short, long)]
    pub quiet: bool,
}

/// Flags of `swarm token ls`.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Flags of `swarm token rm`.
#[derive(Debug, Clone, Default, Args)]
pub struct RmArgs {
    /// Their names
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
}

pub(super) async fn run(session: &mut Session, command: &TokenCommand) -> Result<()> {
    match command {
        TokenCommand::Create(args) => create(session, args).await,
        TokenCommand::Ls(args) => {
            let swarm: Swarm = session.client.get("/swarm", &[]).await?;
            let mut tokens = swarm.starling.unwrap_or_default().tokens;
            tokens.sort_by(|a, b| natural_order(&a.name, &b.name));
            let rows = tokens.iter().map(token_row).collect();
            args.format.write(session, &LAYOUT, rows)
        }
        TokenCommand::Rm(args) => {
            session
                .each(&args.names, async |session: &mut Session, name: &str| {
                    let path = object("/swarm/tokens", name, "")?;
                    session.client.delete(&path, &[]).await?;
                    Ok(name.to_owned())
                })
                .await
        }
    }
}

fn token_row(token: &Token) -> Row {
    let labels = token
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    row([
        ("ID", token.name.clone().into()),
        ("Name", token.name.clone().into()),
        ("Role", token.role.clone().into()),
        ("Labels", labels.collect::<Vec<_>>().join(",").into()),
        ("Label", serde_json::json!(token.labels)),
        ("Token", token.token.clone().into()),
    ])
}

async fn create(session: &mut Session, args: &CreateArgs) -> Result<()> {
    let request = Token {
        name: args.name.clone(),
        role: args.role.clone(),
        labels: map(&args.label),
        token: String::new(),
    };
    let created: Token = session
        .client
        .post_json("/swarm/tokens", &[], Some(&request))
        .await?;
    if args.quiet {
        return session.console.line(&created.token);
    }
    let info: Info = session.client.get("/info", &[]).await?;
    let path = object("/nodes", &info.swarm.node_id, "")?;
    let node: Node = session.client.get(&path, &[]).await?;
    match node.manager_status {
        Some(manager) => {
            session
                .console
                .line(join_command(&args.role, &created.token, &manager.addr))
        }
        None => session.console.line(&created.token),
    }
}
