//! `network`: the networks that containers can have.

use crate::error::Result;
use crate::inspect::{InspectFormat, inspect};
use crate::listing::{Format, Layout, Row, natural_order, row};
use crate::session::{Session, filter_query, filters, object};
use crate::table::short_id;
use api_types::network::Network;
use clap::{Args, Subcommand};

const LAYOUT: Layout = Layout {
    headings: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("Label", ""),
        ("CreatedAt", "CREATED AT"),
    ],
    table: r"{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
};

/// The verbs of networks.
#[derive(Debug, Clone, Subcommand)]
pub enum NetworkCommand {
    /// List networks
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show all details of networks
    Inspect(InspectArgs),
}

/// Flags of `network ls`.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    /// Only those that match, as id=, name=, driver=, label=, scope= or type=
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Do not shorten IDs
    #[arg(long)]
    pub no_trunc: bool,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Flags of `network inspect`.
#[derive(Debug, Clone, Default, Args)]
pub struct InspectArgs {
    /// The networks
    #[arg(required = true, value_name = "NETWORK")]
    pub networks: Vec<String>,
    /// Show services and hosts on the network, too
    #[arg(short, long)]
    pub verbose: bool,
    #[command(flatten)]
    pub(crate) format: InspectFormat,
}

/// Does one of them.
pub async fn run(session: &mut Session, command: &NetworkCommand) -> Result<()> {
    match command {
        NetworkCommand::Ls(args) => list(session, args).await,
        NetworkCommand::Inspect(args) => {
            let query: &[(&str, &str)] = if args.verbose {
                &[("verbose", "true")]
            } else {
                &[]
            };
            inspect(
                session,
                &args.networks,
                &args.format,
                async |session: &mut Session, name: &str| {
                    session
                        .client
                        .get_bytes(&object("/networks", name, "")?, query)
                        .await
                },
            )
            .await
        }
    }
}

pub(crate) async fn inspect_one(session: &mut Session, name: &str) -> Result<bytes::Bytes> {
    session
        .client
        .get_bytes(&object("/networks", name, "")?, &[])
        .await
}

async fn list(session: &mut Session, args: &ListArgs) -> Result<()> {
    let wanted = filter_query(&filters(&args.filter)?);
    let query: Vec<(&str, &str)> = wanted
        .iter()
        .map(|filters| ("filters", filters.as_str()))
        .collect();
    let mut networks: Vec<Network> = session.client.get("/networks", &query).await?;
    networks.sort_by(|a, b| natural_order(&a.name, &b.name));
    args.format.write(
        session,
        &LAYOUT,
        networks
            .iter()
            .map(|network| network_row(network, args.no_trunc))
            .collect(),
    )
}

fn network_row(network: &Network, no_trunc: bool) -> Row {
    let labels = network
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    row([
        (
            "ID",
            if no_trunc {
                network.id.clone()
            } else {
                short_id(&network.id)
            }
            .into(),
        ),
        ("Name", network.name.clone().into()),
        ("Driver", network.driver.clone().into()),
        ("Scope", network.scope.clone().into()),
        ("IPv4", network.enable_ipv4.to_string().into()),
        ("IPv6", network.enable_ipv6.to_string().into()),
        ("Internal", network.internal.to_string().into()),
        ("Labels", labels.collect::<Vec<_>>().join(",").into()),
        ("Label", serde_json::json!(network.labels)),
        ("CreatedAt", crate::image::go_time(network.created).into()),
    ])
}
