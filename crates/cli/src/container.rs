//! `container`: what runs on this host.

use crate::error::Result;
use crate::image::go_time;
use crate::inspect::{InspectFormat, inspect};
use crate::listing::{Format, Layout, Row, row};
use crate::reference::display;
use crate::session::{Session, filter_query, filters, object};
use crate::table::{ellipsis, short_id};
use crate::units::{human_duration, human_size};
use api_types::Timestamp;
use api_types::container::{Port, Summary};
use clap::{Args, Subcommand};

const HEADINGS: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("State", "STATE"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Label", ""),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
];
const LAYOUT: Layout = Layout {
    headings: HEADINGS,
    table: r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
};
const SIZE_LAYOUT: Layout = Layout {
    headings: HEADINGS,
    table: r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}",
};
const COMMAND_WIDTH: usize = 20;
const MOUNT_WIDTH: usize = 15;
const SIZE_DIGITS: usize = 3;

/// The verbs of containers.
#[derive(Debug, Clone, Subcommand)]
pub enum ContainerCommand {
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(ListArgs),
    /// Show all details of containers
    Inspect(InspectArgs),
}

/// Flags of `container ls`.
#[derive(Debug, Clone, Default, Args)]
pub struct ListArgs {
    /// Show those that do not run, too
    #[arg(short, long)]
    pub all: bool,
    /// Only those that match, as id=, name=, label=, status=, ancestor=, is-task= ...
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Only the last ones, running or not
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true)]
    pub last: Option<i64>,
    /// Only the last one, running or not
    #[arg(short, long)]
    pub latest: bool,
    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
    /// Show sizes
    #[arg(short, long)]
    pub size: bool,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// Flags of `container inspect`.
#[derive(Debug, Clone, Default, Args)]
pub struct InspectArgs {
    /// The containers
    #[arg(required = true, value_name = "CONTAINER")]
    pub containers: Vec<String>,
    /// Show sizes
    #[arg(short, long)]
    pub size: bool,
    #[command(flatten)]
    pub(crate) format: InspectFormat,
}

/// Does one of them.
pub async fn run(session: &mut Session, command: &ContainerCommand) -> Result<()> {
    match command {
        ContainerCommand::Ls(args) => list(session, args).await,
        ContainerCommand::Inspect(args) => {
            let query: &[(&str, &str)] = if args.size { &[("size", "1")] } else { &[] };
            inspect(
                session,
                &args.containers,
                &args.format,
                async |session: &mut Session, name: &str| {
                    session
                        .client
                        .get_bytes(&object("/containers", name, "/json")?, query)
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
        .get_bytes(&object("/containers", name, "/json")?, &[])
        .await
}

/// Lists containers.
pub async fn list(session: &mut Session, args: &ListArgs) -> Result<()> {
    let wanted = filter_query(&filters(&args.filter)?);
    let limit = if args.latest {
        Some(1)
    } else {
        args.last.filter(|last| *last > 0)
    }
    .map(|last| last.to_string());
    let size = args.size
        || args
            .format
            .format
            .as_deref()
            .is_some_and(|format| format.contains(".Size"));
    let mut query: Vec<(&str, &str)> = wanted
        .iter()
        .map(|filters| ("filters", filters.as_str()))
        .collect();
    query.extend(
        [("all", args.all), ("size", size)]
            .into_iter()
            .filter(|(_, on)| *on)
            .map(|(name, _)| (name, "1")),
    );
    query.extend(limit.iter().map(|limit| ("limit", limit.as_str())));
    let containers: Vec<Summary> = session.client.get("/containers/json", &query).await?;
    let now = Timestamp::now();
    let rows = containers
        .iter()
        .map(|container| container_row(container, args.no_trunc, now))
        .collect();
    args.format.write(
        session,
        if args.size { &SIZE_LAYOUT } else { &LAYOUT },
        rows,
    )
}

fn container_row(container: &Summary, no_trunc: bool, now: Timestamp) -> Row {
    let created = Timestamp::new(container.created, 0);
    let cut = |text: &str, width: usize| {
        if no_trunc {
            text.to_owned()
        } else {
            ellipsis(text, width)
        }
    };
    let image = match () {
        () if container.image.is_empty() => "<no image>".to_owned(),
        () if no_trunc => container.image.clone(),
        () if short_id(&container.image) == short_id(&container.image_id) => {
            short_id(&container.image_id)
        }
        () => display(&container.image),
    };
    let mounts = container.mounts.iter().map(|mount| {
        cut(
            if mount.name.is_empty() {
                &mount.source
            } else {
                &mount.name
            },
            MOUNT_WIDTH,
        )
    });
    let size = human_size(container.size_rw, SIZE_DIGITS);
    let size = if container.size_root_fs > 0 {
        format!(
            "{size} (virtual {})",
            human_size(container.size_root_fs, SIZE_DIGITS)
        )
    } else {
        size
    };
    let labels = container
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let networks = container
        .network_settings
        .as_ref()
        .map(|settings| settings.networks.keys().cloned().collect::<Vec<_>>())
        .unwrap_or_default();
    row([
        (
            "ID",
            if no_trunc {
                container.id.clone()
            } else {
                short_id(&container.id)
            }
            .into(),
        ),
        ("Image", image.into()),
        (
            "Command",
            format!("{:?}", cut(&container.command, COMMAND_WIDTH)).into(),
        ),
        ("CreatedAt", go_time(created).into()),
        (
            "RunningFor",
            format!("{} ago", human_duration(now.since(created))).into(),
        ),
        ("Status", container.status.clone().into()),
        ("State", container.state.clone().into()),
        ("Ports", ports(&container.ports).into()),
        (
            "Names",
            container
                .names
                .iter()
                .map(|name| name.trim_start_matches('/'))
                .collect::<Vec<_>>()
                .join(",")
                .into(),
        ),
        ("Size", size.into()),
        ("Labels", labels.collect::<Vec<_>>().join(",").into()),
        ("Label", serde_json::json!(container.labels)),
        ("Mounts", mounts.collect::<Vec<_>>().join(",").into()),
        (
            "LocalVolumes",
            container
                .mounts
                .iter()
                .filter(|mount| mount.driver == "local")
                .count()
                .to_string()
                .into(),
        ),
        ("Networks", networks.join(",").into()),
    ])
}

fn ports(ports: &[Port]) -> String {
    let one = |port: &Port| match port.ip.as_str() {
        "" => format!("{}/{}", port.private_port, port.kind),
        ip if ip.contains(':') => format!(
            "[{ip}]:{}->{}/{}",
            port.public_port, port.private_port, port.kind
        ),
        ip => format!(
            "{ip}:{}->{}/{}",
            port.public_port, port.private_port, port.kind
        ),
    };
    ports.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let container = Summary {
            id: "0123456789abcdef".into(),
            names: vec!["/web.1.x".into()],
            image: "nginx:1@sha256:aa".into(),
            command: "sh -c 'a very long command'".into(),
            created: 100,
            status: "Up 5 seconds".into(),
            state: "running".into(),
            labels: [("a".to_owned(), "1".to_owned())].into(),
            ports: vec![Port {
                ip: "0.0.0.0".into(),
                private_port: 80,
                public_port: 8080,
                kind: "tcp".into(),
            }],
            ..Summary::default()
        };
        let format = |text: &str| Format {
            format: Some(text.to_owned()),
            quiet: false,
        };
        let render = |text: &str| {
            format(text)
                .render(
                    &LAYOUT,
                    vec![container_row(&container, false, Timestamp::new(105, 0))],
                )
                .unwrap()
        };
        assert_eq!(
            render(LAYOUT.table),
            "0123456789ab\tnginx:1\t\"sh -c 'a very long …\"\t5 seconds ago\tUp 5 seconds\t0.0.0.0:8080->80/tcp\tweb.1.x\n"
        );
        assert_eq!(
            render("{{.Labels}} {{.Label \"a\"}}{{.Label \"b\"}}"),
            "a=1 1\n"
        );
        assert!(!render("json").contains("\"Label\""));
    }
}
