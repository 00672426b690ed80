//! `node`: the hosts of the cluster.

mod drain;
mod pretty;

use crate::error::{Error, Result};
use crate::inspect::{InspectFormat, Pretty, inspect_pretty};
use crate::listing::{Format, Layout, Row, natural_order, row};
use crate::parse::lists::label;
use crate::plan::{DRY_RUN, PlanFlags};
use crate::session::{Session, filter_query, filters, object};
use crate::table::capitalized;
use crate::tasks::{self, PsFlags, node_id};
use api_types::Filters;
use api_types::starling::{Change, Drain};
use api_types::swarm::{Node, TlsInfo};
use api_types::system::Info;
use api_types::task::Task;
use clap::{Args, Subcommand};

const LAYOUT: Layout = Layout {
    headings: &[
        ("ID", "ID"),
        ("Self", ""),
        ("Hostname", "HOSTNAME"),
        ("Status", "STATUS"),
        ("Availability", "AVAILABILITY"),
        ("ManagerStatus", "MANAGER STATUS"),
        ("EngineVersion", "ENGINE VERSION"),
        ("TLSStatus", "TLS STATUS"),
    ],
    table: r"{{.ID}} {{if .Self}}*{{else}} {{end}}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t{{.ManagerStatus}}\t{{.EngineVersion}}",
};

/// The verbs of nodes.
#[derive(Debug, Clone, Subcommand)]
pub enum NodeCommand {
    /// List the nodes of the cluster
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show all details of nodes
    Inspect(InspectArgs),
    /// List the tasks on nodes
    Ps(PsArgs),
    /// Change a node
    #[command(
        after_help = "Examples:\n  starling node update --availability drain w1\n  starling node update --label-add disk=ssd w1"
    )]
    Update(UpdateArgs),
    /// Remove nodes from the cluster
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
    /// Make nodes managers
    Promote(RoleArgs),
    /// Make managers workers
    Demote(RoleArgs),
    /// Move all tasks away from nodes, and let no new ones come
    #[command(
        after_help = "Example:\n  starling node drain --wait --parallelism 1 --order start-first w1"
    )]
    Drain(DrainArgs),
    /// Let tasks run on nodes again
    Activate(ActivateArgs),
}

/// Flags of `node ls`.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    /// Only those that match, as id=, name=, label=, node.label=, membership= or role=
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Flags of `node inspect`.
#[derive(Debug, Clone, Default, Args)]
pub struct InspectArgs {
    /// The nodes; 'self' is the one that answers
    #[arg(required = true, value_name = "self|NODE")]
    pub nodes: Vec<String>,
    /// A form for people
    #[arg(long)]
    pub pretty: bool,
    #[command(flatten)]
    pub(crate) format: InspectFormat,
}

/// Flags of `node ps`.
#[derive(Debug, Clone, Default, Args)]
pub struct PsArgs {
    /// The nodes (default: the one that answers)
    #[arg(value_name = "NODE", default_value = "self")]
    pub nodes: Vec<String>,
    #[command(flatten)]
    pub(crate) flags: PsFlags,
}

/// Flags of `node update`.
#[derive(Debug, Clone, Default, Args)]
pub struct UpdateArgs {
    /// The node
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Whether tasks may run there: active, pause (no new ones) or drain (none)
    #[arg(long, value_name = "AVAILABILITY", value_parser = ["active", "pause", "drain"])]
    pub availability: Option<String>,
    /// worker or manager
    #[arg(long, value_name = "ROLE", value_parser = ["worker", "manager"])]
    pub role: Option<String>,
    /// Add or change a label, as NAME=VALUE
    #[arg(long, value_name = "LABEL", value_parser = label)]
    pub label_add: Vec<(String, String)>,
    /// Remove a label
    #[arg(long, value_name = "NAME")]
    pub label_rm: Vec<String>,
    #[command(flatten)]
    pub(crate) plan: PlanFlags,
}

/// Flags of `node drain`.
#[derive(Debug, Clone, Default, Args)]
pub struct DrainArgs {
    /// The nodes
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Stay until no task runs there any more
    #[arg(long)]
    pub wait: bool,
    /// Tasks of a node that move at the same time, 0 for all (default 0)
    #[arg(long, value_name = "N", value_parser = crate::parse::unsigned)]
    pub parallelism: Option<u64>,
    /// Whether a task stops before its successor runs, or after (default stop-first)
    #[arg(long, value_name = "ORDER", value_parser = ["start-first", "stop-first"])]
    pub order: Option<String>,
    /// Longest time to wait, e.g. 10m (default: as long as it takes)
    #[arg(long, value_name = "DURATION", value_parser = crate::units::parse_positive_duration, requires = "wait")]
    pub timeout: Option<i64>,
    #[command(flatten)]
    pub(crate) plan: PlanFlags,
}

/// Flags of `node activate`.
#[derive(Debug, Clone, Default, Args)]
pub struct ActivateArgs {
    /// The nodes
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
}

/// Flags of `node rm`.
#[derive(Debug, Clone, Default, Args)]
pub struct RmArgs {
    /// The nodes
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
    /// Remove a node also when it is not down
    #[arg(short, long)]
    pub force: bool,
}

/// Flags of `node promote` and `node demote`.
#[derive(Debug, Clone, Default, Args)]
pub struct RoleArgs {
    /// The nodes
    #[arg(required = true, value_name = "NODE")]
    pub nodes: Vec<String>,
}

/// Does one of them.
pub async fn run(session: &mut Session, command: &NodeCommand) -> Result<()> {
    match command {
        NodeCommand::Ls(args) => list(session, args).await,
        NodeCommand::Inspect(args) => {
            let pretty = args.pretty.then_some(pretty::node as Pretty);
            inspect_pretty(session, &args.nodes, &args.format, pretty, inspect_one).await
        }
        NodeCommand::Ps(args) => ps(session, args).await,
        NodeCommand::Update(args) => update(session, args).await,
        NodeCommand::Rm(args) => {
            let query: &[(&str, &str)] = if args.force { &[("force", "1")] } else { &[] };
            session
                .each(&args.nodes, async |session: &mut Session, name: &str| {
                    session
                        .client
                        .delete(&object("/nodes", name, "")?, query)
                        .await?;
                    Ok(name.to_owned())
                })
                .await
        }
        NodeCommand::Promote(args) => change_role(session, &args.nodes, "manager").await,
        NodeCommand::Demote(args) => change_role(session, &args.nodes, "worker").await,
        NodeCommand::Drain(args) => drain::drain(session, args).await,
        NodeCommand::Activate(args) => {
            session
                .each(&args.nodes, async |session: &mut Session, name: &str| {
                    let mut node = read(session, name).await?;
                    "active".clone_into(&mut node.spec.availability);
                    set_drain(&mut node, None);
                    write(session, &node).await?;
                    Ok(name.to_owned())
                })
                .await
        }
    }
}

pub(crate) async fn inspect_one(session: &mut Session, name: &str) -> Result<bytes::Bytes> {
    let id = if name == "self" {
        node_id(session, name).await?
    } else {
        name.to_owned()
    };
    session
        .client
        .get_bytes(&object("/nodes", &id, "")?, &[])
        .await
}

async fn list(session: &mut Session, args: &ListArgs) -> Result<()> {
    let filters = filter_query(&filters(&args.filter)?);
    let query: Vec<(&str, &str)> = filters
        .iter()
        .map(|filters| ("filters", filters.as_str()))
        .collect();
    let mut nodes: Vec<Node> = session.client.get("/nodes", &query).await?;
    let info: Info = if nodes.is_empty() || args.format.quiet {
        Info::default()
    } else {
        session.client.get("/info", &[]).await?
    };
    nodes.sort_by(|a, b| natural_order(&a.description.hostname, &b.description.hostname));
    args.format.write(
        session,
        &LAYOUT,
        nodes.iter().map(|node| node_row(node, &info)).collect(),
    )
}

fn node_row(node: &Node, info: &Info) -> Row {
    let manager = match &node.manager_status {
        Some(status) if status.leader => "Leader".to_owned(),
        Some(status) => capitalized(&status.reachability),
        None => String::new(),
    };
    let root = info.swarm.cluster.as_ref().map(|cluster| &cluster.tls_info);
    let unknown = TlsInfo::default();
    let tls = match root {
        Some(root) if *root != unknown && node.description.tls_info != unknown => {
            if *root == node.description.tls_info {
                "Ready"
            } else {
                "Needs Rotation"
            }
        }
        _ => "Unknown",
    };
    row([
        ("ID", node.id.clone().into()),
        (
            "Self",
            (!node.id.is_empty() && node.id == info.swarm.node_id).into(),
        ),
        ("Hostname", node.description.hostname.clone().into()),
        ("Status", capitalized(&node.status.state).into()),
        ("Availability", capitalized(&node.spec.availability).into()),
        ("ManagerStatus", manager.into()),
        (
            "EngineVersion",
            node.description.engine.engine_version.clone().into(),
        ),
        ("TLSStatus", tls.into()),
    ])
}

async fn ps(session: &mut Session, args: &PsArgs) -> Result<()> {
    let asked = filters(&args.flags.filter)?;
    let mut found: Vec<Task> = Vec::new();
    let mut complaints = Vec::new();
    for name in &args.nodes {
        let id = match node_id(session, name).await {
            Ok(id) => id,
            Err(err) if err.is_not_found() => {
                complaints.push(err.to_string());
                continue;
            }
            Err(err) => return Err(err),
        };
        let mut wanted: Filters = asked.clone();
        wanted.add("node", id);
        let tasks: Vec<Task> = session
            .client
            .get("/tasks", &[("filters", &wanted.to_json())])
            .await?;
        found.extend(tasks);
    }
    if complaints.len() < args.nodes.len() {
        tasks::write(session, found, &args.flags).await?;
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Error::Failed(complaints.join("\n")))
    }
}

async fn read(session: &Session, name: &str) -> Result<Node> {
    let id = if name == "self" {
        node_id(session, name).await?
    } else {
        name.to_owned()
    };
    session.client.get(&object("/nodes", &id, "")?, &[]).await
}

async fn post(session: &Session, node: &Node, more: &[(&str, &str)]) -> Result<bytes::Bytes> {
    let version = node.version.index.to_string();
    let query = [more, &[("version", version.as_str())]].concat();
    let path = object("/nodes", &node.id, "/update")?;
    session.client.post(&path, &query, Some(&node.spec)).await
}

async fn write(session: &Session, node: &Node) -> Result<()> {
    post(session, node, &[]).await.map(drop)
}

/// How tasks leave the node; none clears what was said before, and says nothing when there was nothing.
fn set_drain(node: &mut Node, drain: Option<Drain>) {
    match drain {
        Some(drain) => node.spec.starling.get_or_insert_default().drain = Change::Set(drain),
        None => {
            if let Some(ours) = &mut node.spec.starling {
                ours.drain = Change::Clear;
            }
        }
    }
}

async fn update(session: &mut Session, args: &UpdateArgs) -> Result<()> {
    let mut node = read(session, &args.node).await?;
    if let Some(availability) = &args.availability {
        node.spec.availability.clone_from(availability);
    }
    if let Some(role) = &args.role {
        node.spec.role.clone_from(role);
    }
    for name in &args.label_rm {
        if node.spec.labels.remove(name).is_none() {
            return Err(Error::usage(format!(
                "key {name} doesn't exist in node's labels"
            )));
        }
    }
    node.spec.labels.extend(args.label_add.iter().cloned());
    if args.plan.dry_run {
        let answer = post(session, &node, &[DRY_RUN]).await?;
        let of = format!("a change of node {}", args.node);
        return args
            .plan
            .write(session, &answer, &of, |_| String::new())
            .await;
    }
    write(session, &node).await?;
    session.console.line(&args.node)
}

async fn change_role(session: &mut Session, nodes: &[String], role: &str) -> Result<()> {
    for name in nodes {
        let mut node = read(session, name).await?;
        if node.spec.role == role {
            session
                .console
                .line(format!("Node {name} is already a {role}."))?;
            continue;
        }
        role.clone_into(&mut node.spec.role);
        write(session, &node).await?;
        let done = if role == "manager" {
            "promoted to a manager"
        } else {
            "demoted"
        };
        session.console.line(format!(
            "{} {name} {done} in the swarm.",
            if role == "manager" { "Node" } else { "Manager" }
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::swarm::ManagerStatus;

    #[test]
    fn the_star_is_where_we_are() {
        let node = |id: &str, status: Option<ManagerStatus>| {
            let mut node = Node {
                id: id.into(),
                manager_status: status,
                ..Node::default()
            };
            node.description.hostname = format!("host-{id}");
            node.status.state = "ready".into();
            node.spec.availability = "drain".into();
            node
        };
        let mut info = Info::default();
        info.swarm.node_id = "a".into();
        let rows = vec![
            node_row(
                &node(
                    "a",
                    Some(ManagerStatus {
                        leader: true,
                        ..ManagerStatus::default()
                    }),
                ),
                &info,
            ),
            node_row(
                &node(
                    "b",
                    Some(ManagerStatus {
                        reachability: "reachable".into(),
                        ..ManagerStatus::default()
                    }),
                ),
                &info,
            ),
            node_row(&node("c", None), &info),
        ];
        let text = Format::default().render(&LAYOUT, rows).unwrap();
        let expected = [
            "ID        HOSTNAME   STATUS    AVAILABILITY   MANAGER STATUS   ENGINE VERSION",
            "a *       host-a     Ready     Drain          Leader           ",
            "b         host-b     Ready     Drain          Reachable        ",
            "c         host-c     Ready     Drain                           ",
            "",
        ];
        assert_eq!(text, expected.join("\n"));
    }
}
