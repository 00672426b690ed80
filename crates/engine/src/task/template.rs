//! Docker's placeholders in a service's host name, environment and mounts: `{{.Service.Name}}`, `{{.Task.Slot}}`, …

use super::NodeContext;
use model::assignment::AssignedTask;

/// Replaces the placeholders of a text.
///
/// # Errors
/// When one is not known, or not closed.
pub(crate) fn expand(
    text: &str,
    task: &AssignedTask,
    node: &NodeContext,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let error = |why: &str| format!("invalid template in {text:?}: {why}");
        let (inside, after) = after
            .split_once("}}")
            .ok_or_else(|| error("{{ without }}"))?;
        expanded.push_str(before);
        let value = value(inside.trim(), task, node);
        expanded.push_str(&value.ok_or_else(|| error(&format!("{inside:?} is not known")))?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn value(path: &str, task: &AssignedTask, node: &NodeContext) -> Option<String> {
    if let Some(label) = label_name(path) {
        let labels = &task.service_labels;
        return Some(labels.get(label).cloned().unwrap_or_default());
    }
    Some(match path {
        ".Service.ID" => task.service.to_string(),
        ".Service.Name" => task.service_name.to_string(),
        ".Task.ID" => task.id.to_string(),
        ".Task.Name" => super::convert::task_name(task),
        ".Task.Slot" => task.slot.to_string(),
        ".Node.ID" => node.id.to_string(),
        ".Node.Hostname" => node.hostname.clone(),
        ".Node.Platform.OS" => node.platform.os.clone(),
        ".Node.Platform.Architecture" => node.platform.architecture.clone(),
        _ => return None,
    })
}

/// The name in `index .Service.Labels "name"`, and in `.Service.Labels.name`.
fn label_name(path: &str) -> Option<&str> {
    if let Some(name) = path.strip_prefix(".Service.Labels.") {
        return Some(name);
    }
    let rest = path.strip_prefix("index")?.trim_start();
    let quoted = rest.strip_prefix(".Service.Labels")?.trim();
    quoted.strip_prefix('"')?.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::super::convert::tests::{node, task};
    use super::expand;

    #[test]
    fn placeholders_are_replaced() {
        let task = task(|_| {});
        let cases = [
            ("plain", Ok("plain")),
            ("{{.Service.Name}}-{{ .Task.Slot }}", Ok("web-3")),
            ("{{.Node.Hostname}}.{{.Node.ID}}", Ok("box.node1")),
            ("{{.Task.Name}}", Ok("web.3.task1")),
            ("{{index .Service.Labels \"tier\"}}", Ok("front")),
            (
                "{{.Service.Labels.tier}}x{{.Service.Labels.none}}",
                Ok("frontx"),
            ),
            ("{{.Nope}}", Err(())),
            ("{{.Task.ID", Err(())),
        ];
        for (text, expected) in cases {
            let got = expand(text, &task, &node());
            assert_eq!(got.as_deref().map_err(|_| ()), expected, "{text}: {got:?}");
        }
    }
}
