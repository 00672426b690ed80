//! Docker's placeholders in a service's host name, environment, mounts and payloads: what they see.

use super::NodeContext;
use crate::template::{self, Value};
use model::Labels;
use model::assignment::AssignedTask;

/// Replaces the placeholders of a text.
///
/// # Errors
/// When one is not known, or the template is not well-formed.
pub(crate) fn expand(text: &str, context: &Value) -> Result<String, String> {
    template::expand(text, context, &template::no_functions)
        .map_err(|why| format!("invalid template in {text:?}: {why}"))
}

/// What a task's templates see.
pub(crate) fn context(task: &AssignedTask, node: &NodeContext) -> Value {
    let platform = Value::map([
        ("Architecture", Value::text(&node.platform.architecture)),
        ("OS", Value::text(&node.platform.os)),
    ]);
    Value::map([
        (
            "Service",
            Value::map([
                ("ID", Value::text(task.service.as_str())),
                ("Name", Value::text(&*task.service_name)),
                ("Labels", labels(&task.service_labels)),
            ]),
        ),
        (
            "Node",
            Value::map([
                ("ID", Value::text(node.id.as_str())),
                ("Hostname", Value::text(&node.hostname)),
                ("Platform", platform),
            ]),
        ),
        (
            "Task",
            Value::map([
                ("ID", Value::text(task.id.as_str())),
                ("Name", Value::text(super::convert::task_name(task, node))),
                ("Slot", Value::text(super::convert::slot(task, node))),
            ]),
        ),
    ])
}

fn labels(labels: &Labels) -> Value {
    let labels = labels.iter();
    Value::Map(labels.map(|(k, v)| (k.clone(), Value::text(v))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::convert::tests::{node, task};
    use super::*;

    #[test]
    fn placeholders_are_replaced() {
        let context = context(&task(|_| {}), &node());
        let cases = [
            ("plain", Ok("plain")),
            ("{{.Service.Name}}-{{ .Task.Slot }}", Ok("web-3")),
            ("{{.Node.Hostname}}.{{.Node.ID}}", Ok("box.node1")),
            ("{{.Node.Platform.Architecture}}", Ok("x86_64")),
            ("{{.Task.Name}}", Ok("web.3.task1")),
            ("{{index .Service.Labels \"tier\"}}", Ok("front")),
            ("{{.Service.Labels.tier}}", Ok("front")),
            ("{{.Service.Labels.none}}", Err(())),
            ("{{.Nope}}", Err(())),
            ("{{.Task.ID", Err(())),
        ];
        for (text, expected) in cases {
            let got = expand(text, &context);
            assert_eq!(got.as_deref().map_err(|_| ()), expected, "{text}: {got:?}");
        }
    }

    #[test]
    fn the_slot_of_a_global_service_is_its_node() {
        let mut task = task(|_| {});
        task.slot = 0;
        let context = context(&task, &node());
        let text = expand("{{.Task.Slot}} {{.Task.Name}}", &context).unwrap();
        assert_eq!(text, "node1 web.node1.task1");
    }
}
