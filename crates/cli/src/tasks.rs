//! Tables of tasks: `service ps` and `node ps`.

use crate::error::Result;
use crate::listing::{Format, Layout, Row, natural_order, row};
use crate::reference;
use crate::resolver::Resolver;
use crate::session::{Session, object};
use crate::table::{capitalized, ellipsis, short_id};
use crate::units::human_duration;
use api_types::Timestamp;
use api_types::swarm::Node;
use api_types::system::Info;
use api_types::task::Task;

/// The longest text in the ERROR column, unless everything is wanted.
const ERROR_WIDTH: usize = 30;

const LAYOUT: Layout = Layout {
    headings: &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Image", "IMAGE"),
        ("Node", "NODE"),
        ("DesiredState", "DESIRED STATE"),
        ("CurrentState", "CURRENT STATE"),
        ("Error", "ERROR"),
        ("Ports", "PORTS"),
    ],
    table: r"{{.ID}}\t{{.Name}}\t{{.Image}}\t{{.Node}}\t{{.DesiredState}}\t{{.CurrentState}}\t{{.Error}}\t{{.Ports}}",
};

/// Flags of both commands.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PsFlags {
    /// Only those that match, as id=, name=, node=, label= or desired-state=
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub filter: Vec<String>,
    /// Show IDs in place of names
    #[arg(long)]
    pub no_resolve: bool,
    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
    #[command(flatten)]
    pub(crate) format: Format,
}

/// The value of a filter: `node=self` means the node that answers.
pub(crate) async fn node_reference(session: &Session, filter: &str, value: &str) -> Result<String> {
    if filter == "node" {
        node_id(session, value).await
    } else {
        Ok(value.to_owned())
    }
}

/// The id of a node given by name or id, or of the one that answers for `self`.
pub(crate) async fn node_id(session: &Session, name: &str) -> Result<String> {
    if name == "self" {
        let info: Info = session.client.get("/info", &[]).await?;
        if info.swarm.node_id.is_empty() || !info.swarm.control_available {
            // Lets the daemon say in its own words that it is no manager.
            let _: Vec<Node> = session.client.get("/nodes", &[]).await?;
        }
        return Ok(info.swarm.node_id);
    }
    let node: Node = session
        .client
        .get(&object("/nodes", name, "")?, &[])
        .await?;
    Ok(node.id)
}

struct Line {
    name: String,
    node: String,
    task: Task,
}

/// Writes the table: slot by slot, newest first, those before it indented.
pub(crate) async fn write(session: &mut Session, tasks: Vec<Task>, flags: &PsFlags) -> Result<()> {
    let mut resolver = Resolver::new(flags.no_resolve);
    let mut lines = Vec::new();
    for task in tasks {
        let name = slot_name(session, &mut resolver, &task).await?;
        let node = resolver.node(session, &task.node_id).await?;
        lines.push(Line { name, node, task });
    }
    lines.sort_by(|a, b| {
        natural_order(&a.name, &b.name).then_with(|| b.task.created_at.cmp(&a.task.created_at))
    });
    let now = Timestamp::now();
    let rows = (0..lines.len()).map(|index| {
        let again =
            index > 0 && lines[index - 1].name == lines[index].name && flags.format.is_table();
        // Scripts take the whole ids.
        task_row(
            &lines[index],
            again,
            flags.no_trunc || flags.format.quiet,
            now,
        )
    });
    flags.format.write(session, &LAYOUT, rows.collect())
}

/// `web.3`, and `web.NODE` for the task of a global service.
pub(crate) async fn slot_name(
    session: &Session,
    resolver: &mut Resolver,
    task: &Task,
) -> Result<String> {
    let service = resolver.service(session, &task.service_id).await?;
    Ok(match slot(session, resolver, task).await? {
        Some(slot) => format!("{service}.{slot}"),
        None => format!("{service}.{}", task.node_id),
    })
}

/// The number of a task's slot as its container's name has it; none when its node is the slot. The API counts the slots
/// of jobs from 0, and leaves that 0 out.
pub(crate) async fn slot(
    session: &Session,
    resolver: &mut Resolver,
    task: &Task,
) -> Result<Option<i64>> {
    if task.job_iteration.is_none() {
        return Ok(Some(task.slot).filter(|slot| *slot != 0));
    }
    let numbered = task.slot != 0
        || resolver
            .is_replicated_job(session, &task.service_id)
            .await?;
    Ok(numbered.then_some(task.slot + 1))
}

fn task_row(line: &Line, again: bool, no_trunc: bool, now: Timestamp) -> Row {
    let task = &line.task;
    let image = task
        .spec
        .container_spec
        .as_ref()
        .map_or("", |container| &container.image);
    let error = if no_trunc {
        task.status.err.clone()
    } else {
        ellipsis(&task.status.err, ERROR_WIDTH)
    };
    let ports = task.status.port_status.ports.iter().map(|port| {
        format!(
            "*:{}->{}/{}",
            port.published_port, port.target_port, port.protocol
        )
    });
    row([
        (
            "ID",
            if no_trunc {
                task.id.clone()
            } else {
                short_id(&task.id)
            }
            .into(),
        ),
        (
            "Name",
            format!("{}{}", if again { r" \_ " } else { "" }, line.name).into(),
        ),
        (
            "Image",
            if no_trunc {
                image.to_owned()
            } else {
                reference::display(image)
            }
            .into(),
        ),
        ("Node", line.node.clone().into()),
        ("DesiredState", capitalized(&task.desired_state).into()),
        (
            "CurrentState",
            format!(
                "{} {} ago",
                capitalized(&task.status.state),
                human_duration(now.since(task.status.timestamp)).to_lowercase()
            )
            .into(),
        ),
        (
            "Error",
            if error.is_empty() {
                String::new()
            } else {
                format!("\"{error}\"")
            }
            .into(),
        ),
        ("Ports", ports.collect::<Vec<_>>().join(",").into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::task::{ContainerSpec, TaskSpec, TaskStatus};

    #[test]
    fn a_line() {
        let now = Timestamp::new(1_000_000, 0);
        let status = TaskStatus {
            state: "failed".into(),
            timestamp: Timestamp::new(999_995, 0),
            err: "task: non-zero exit (1): and much more than that".into(),
            ..TaskStatus::default()
        };
        let spec = TaskSpec {
            container_spec: Some(ContainerSpec {
                image: "nginx:1@sha256:aa".into(),
                ..ContainerSpec::default()
            }),
            ..TaskSpec::default()
        };
        let task = Task {
            id: "0123456789abcdef".into(),
            spec,
            status,
            desired_state: "shutdown".into(),
            ..Task::default()
        };
        let line = Line {
            name: "web.1".into(),
            node: "h1".into(),
            task,
        };
        let check = |again: bool, no_trunc: bool, expected: &str| {
            let format = Format {
                format: Some(LAYOUT.table.to_owned()),
                quiet: false,
            };
            assert_eq!(
                format
                    .render(&LAYOUT, vec![task_row(&line, again, no_trunc, now)])
                    .unwrap(),
                expected
            );
        };
        check(
            true,
            false,
            "0123456789ab\t \\_ web.1\tnginx:1\th1\tShutdown\tFailed 5 seconds ago\t\"task: non-zero exit (1): and …\"\t\n",
        );
        check(
            false,
            true,
            "0123456789abcdef\tweb.1\tnginx:1@sha256:aa\th1\tShutdown\tFailed 5 seconds ago\t\"task: non-zero exit (1): and much more than that\"\t\n",
        );
    }
}
