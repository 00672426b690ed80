//! `service rollback` and `service history`: specs of before.

use super::flags::flag;
use super::progress::{self, Wait};
use super::update;
use crate::error::{Error, Result};
use crate::listing::{Format, Layout, Row, row};
use crate::plan::{DRY_RUN, PlanFlags};
use crate::reference;
use crate::session::{Session, object};
use crate::units::human_duration;
use api_types::Timestamp;
use api_types::starling::Revision;
use clap::Args;

/// Flags of `service rollback`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  starling service rollback web           to the spec before the last update\n  starling service rollback --to 3 web    to revision 3 of 'starling service history web'"
)]
pub struct RollbackArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Go back to this revision (default: the spec before the last update)
    #[arg(long, value_name = "N")]
    pub to: Option<u64>,
    /// Return at once, do not wait for the service to converge
    #[arg(short = 'd', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = flag)]
    pub detach: Option<bool>,
    /// Do not show progress
    #[arg(short = 'q', long)]
    pub quiet: bool,
    #[command(flatten)]
    pub(crate) plan: PlanFlags,
}

/// Flags of `service history`.
#[derive(Debug, Clone, Default, Args)]
pub struct HistoryArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Do not shorten anything
    #[arg(long)]
    pub no_trunc: bool,
    #[command(flatten)]
    pub(crate) format: Format,
}

const LAYOUT: Layout = Layout {
    headings: &[
        ("ID", "REVISION"),
        ("Number", "REVISION"),
        ("Current", ""),
        ("CreatedAt", "CREATED AT"),
        ("Created", "CREATED"),
        ("Cause", "CAUSE"),
        ("Image", "IMAGE"),
        ("Spec", "SPEC"),
    ],
    table: r"{{.Number}}{{if .Current}} *{{end}}\t{{.Created}}\t{{.Cause}}\t{{.Image}}",
};

/// Goes back, and waits until the old spec runs.
pub(super) async fn rollback(session: &mut Session, args: &RollbackArgs) -> Result<()> {
    let service = update::read(session, &args.service).await?;
    let revision = args.to.map(|number| number.to_string());
    let mut query = vec![("rollback", "previous")];
    query.extend(revision.as_deref().map(|number| ("revision", number)));
    if args.plan.dry_run {
        query.push(DRY_RUN);
        let answer = update::post(session, &service, &query).await?;
        let of = match args.to {
            Some(number) => format!("a rollback of {} to revision {number}", args.service),
            None => format!("a rollback of {}", args.service),
        };
        return args
            .plan
            .write(session, &answer, &of, |_| String::new())
            .await;
    }
    update::write(session, &service, &query).await?;
    session.console.line(&args.service)?;
    if args.detach == Some(true) {
        return Ok(());
    }
    progress::wait(session, Wait::new(&args.service, args.quiet).of_rollback()).await
}

/// Lists the revisions, the current one last.
pub(super) async fn history(session: &mut Session, args: &HistoryArgs) -> Result<()> {
    let path = object("/services", &args.service, "/history")?;
    let revisions: Vec<Revision> = session.client.get(&path, &[]).await?;
    let last = revisions.len();
    let now = Timestamp::now();
    let rows = revisions
        .iter()
        .enumerate()
        .map(|(index, revision)| revision_row(revision, index + 1 == last, args.no_trunc, now))
        .collect::<Result<_>>()?;
    args.format.write(session, &LAYOUT, rows)
}

fn revision_row(revision: &Revision, current: bool, no_trunc: bool, now: Timestamp) -> Result<Row> {
    let container = revision.spec.task_template.container_spec.as_ref();
    let image = container.map_or("", |container| &container.image);
    let image = if no_trunc {
        image.to_owned()
    } else {
        reference::display(image)
    };
    let spec =
        serde_json::to_value(&revision.spec).map_err(|err| Error::Transport(err.to_string()))?;
    Ok(row([
        ("ID", revision.number.into()),
        ("Number", revision.number.into()),
        ("Current", current.into()),
        (
            "CreatedAt",
            crate::image::go_time(revision.created_at).into(),
        ),
        (
            "Created",
            format!("{} ago", human_duration(now.since(revision.created_at))).into(),
        ),
        ("Cause", revision.cause.clone().into()),
        ("Image", image.into()),
        ("Spec", spec),
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_is_current() {
        let now = Timestamp::new(1_000_000, 0);
        let revision = |number: u64, cause: &str, image: &str| {
            let mut revision = Revision {
                number,
                created_at: Timestamp::new(999_990, 0),
                cause: cause.into(),
                ..Revision::default()
            };
            let container = &mut revision.spec.task_template.container_spec;
            container.get_or_insert_default().image = image.into();
            revision
        };
        let rows = vec![
            revision_row(&revision(1, "create", "a:1@sha256:aa"), false, false, now).unwrap(),
            revision_row(&revision(2, "update", "a:2"), true, false, now).unwrap(),
        ];
        let text = Format::default().render(&LAYOUT, rows).unwrap();
        assert_eq!(
            text,
            "REVISION   CREATED          CAUSE     IMAGE\n1          10 seconds ago   create    a:1\n2 *        10 seconds ago   update    a:2\n"
        );
    }
}
