//! What a change would lead to: the daemon runs its own loops on a copy of the state, we show what they did.

use crate::error::{Error, Result};
use crate::resolver::Resolver;
use crate::session::Session;
use crate::table::align;
use crate::template::{Missing, Template, unescape};
use api_types::starling::{Difference, Plan, PlannedReplacement, PlannedTask};
use bytes::Bytes;
use clap::Args;
use serde_json::Value;

/// Longer values of a spec are cut in the text form; JSON has them whole.
const VALUE_WIDTH: usize = 60;

/// Flags of commands that can be tried out.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanFlags {
    /// Change nothing; show what would start, stop and move, and what would find no node
    #[arg(long)]
    pub dry_run: bool,
    /// Format that: 'json', or a Go TEMPLATE such as '{{len .Replace}}'
    #[arg(long, value_name = "FORMAT", requires = "dry_run")]
    pub format: Option<String>,
}

/// The query parameter that asks for a plan.
pub const DRY_RUN: (&str, &str) = ("dryRun", "1");

impl PlanFlags {
    /// Writes a plan as the user wants it. `of` says what it is a plan for, `apply` how to do it for good.
    pub async fn write(
        &self,
        session: &mut Session,
        answer: &Bytes,
        of: &str,
        apply: impl FnOnce(&Plan) -> String,
    ) -> Result<()> {
        let wrong = |why: api_types::DecodeError| Error::Answer {
            path: "the dry run".to_owned(),
            why: why.to_string(),
        };
        match self.format.as_deref().filter(|format| !format.is_empty()) {
            Some("json") => session
                .console
                .line(String::from_utf8_lossy(answer).trim_end()),
            Some(template) => {
                let value: Value = api_types::from_json(answer).map_err(wrong)?;
                let template = Template::parse(&unescape(template))?;
                session
                    .console
                    .line(template.render(&value, Missing::Empty)?)
            }
            None => {
                let plan: Plan = api_types::from_json(answer).map_err(wrong)?;
                let text = text(session, &plan, of, &apply(&plan)).await?;
                session.console.write(text.as_bytes())
            }
        }
    }
}

/// The plan in words.
async fn text(session: &Session, plan: &Plan, of: &str, apply: &str) -> Result<String> {
    let mut out = format!("Plan for {of}; nothing was changed.\n");
    if !plan.diff.is_empty() {
        out.push_str("\nSpec:\n");
        for difference in &plan.diff {
            out.push_str(&format!("  {}\n", changed(difference)));
        }
    }
    out.push_str("\nTasks:\n");
    out.push_str(&tasks(session, plan).await?);
    out.push_str(&format!("  {}\n", summary(plan)));
    if !plan.notes.is_empty() {
        out.push_str("\nNotes:\n");
        for note in &plan.notes {
            out.push_str(&format!("  {note}\n"));
        }
    }
    if !apply.is_empty() {
        out.push_str(&format!("\n{apply}\n"));
    }
    Ok(out)
}

fn changed(difference: &Difference) -> String {
    let short = |value: &Value| crate::table::ellipsis(&value.to_string(), VALUE_WIDTH);
    let Difference { path, old, new } = difference;
    match (old.is_null(), new.is_null()) {
        (true, _) => format!("+ {path}: {}", short(new)),
        (_, true) => format!("- {path}: {}", short(old)),
        _ => format!("~ {path}: {} -> {}", short(old), short(new)),
    }
}

async fn tasks(session: &Session, plan: &Plan) -> Result<String> {
    let mut resolver = Resolver::new(false);
    let mut lines = String::new();
    for replacement in &plan.replace {
        let old = &replacement.old;
        let name = slot_name(session, &mut resolver, old).await?;
        let from = node_name(session, &mut resolver, &old.node_id).await?;
        let to = node_name(session, &mut resolver, &replacement.new_node_id).await?;
        let verb = if moves(replacement) {
            "move"
        } else {
            "replace"
        };
        lines.push_str(&format!("  {verb}\t{name}\t{from} -> {to}\n"));
    }
    for (verb, list) in [("start", &plan.start), ("stop", &plan.stop)] {
        for task in list {
            let name = slot_name(session, &mut resolver, task).await?;
            let node = node_name(session, &mut resolver, &task.node_id).await?;
            lines.push_str(&format!("  {verb}\t{name}\ton {node}\n"));
        }
    }
    for unplaced in &plan.unplaced {
        let slot = match unplaced.slot {
            0 => String::new(),
            slot => format!(".{slot}"),
        };
        lines.push_str(&format!(
            "  no node\t{}{slot}\t{}\n",
            unplaced.service_name, unplaced.reason
        ));
    }
    Ok(align(&lines))
}

/// `web.3`, and `web.h1` for the task of a global service on h1.
async fn slot_name(
    session: &Session,
    resolver: &mut Resolver,
    task: &PlannedTask,
) -> Result<String> {
    let slot = match task.slot {
        0 => node_name(session, resolver, &task.node_id).await?,
        slot => slot.to_string(),
    };
    Ok(format!("{}.{slot}", task.service_name))
}

async fn node_name(session: &Session, resolver: &mut Resolver, id: &str) -> Result<String> {
    if id.is_empty() {
        Ok("(no node)".to_owned())
    } else {
        resolver.node(session, id).await
    }
}

/// Whether a task comes back on another node. One that finds none at all does not move.
fn moves(replacement: &PlannedReplacement) -> bool {
    let (from, to) = (&replacement.old.node_id, &replacement.new_node_id);
    !from.is_empty() && !to.is_empty() && from != to
}

fn summary(plan: &Plan) -> String {
    let moves = plan.replace.iter().filter(|one| moves(one)).count();
    format!(
        "{} to replace, {moves} to move, {} to start, {} to stop, {} without a node, {} unchanged",
        plan.replace.len() - moves,
        plan.start.len(),
        plan.stop.len(),
        plan.unplaced.len(),
        plan.unchanged
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences() {
        let check = |old: Value, new: Value, expected: &str| {
            let difference = Difference {
                path: "A.B".into(),
                old,
                new,
            };
            assert_eq!(changed(&difference), expected);
        };
        check(json!("a"), json!("b"), r#"~ A.B: "a" -> "b""#);
        check(json!(null), json!(["x"]), r#"+ A.B: ["x"]"#);
        check(json!(1), json!(null), "- A.B: 1");
        check(
            json!(null),
            json!("x".repeat(100)),
            &format!("+ A.B: \"{}…", "x".repeat(58)),
        );
    }

    #[test]
    fn counts() {
        let task = |node: &str| PlannedTask {
            node_id: node.into(),
            ..PlannedTask::default()
        };
        let replace = |from: &str, to: &str| api_types::starling::PlannedReplacement {
            old: task(from),
            new_node_id: to.into(),
        };
        let plan = Plan {
            replace: vec![replace("a", "a"), replace("a", "b"), replace("a", "")],
            start: vec![task("a")],
            unchanged: 3,
            ..Plan::default()
        };
        assert_eq!(
            summary(&plan),
            "2 to replace, 1 to move, 1 to start, 0 to stop, 0 without a node, 3 unchanged"
        );
    }
}
