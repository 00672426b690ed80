//! Placeholders in environment, host name and mounts, checked with nothing to expand them with: the node would refuse the
//! task for what is wrong here.

use super::{Invalid, invalid};

/// Placeholders that stand for one word each.
const KNOWN: [&str; 9] = [
    ".Service.ID",
    ".Service.Name",
    ".Task.ID",
    ".Task.Name",
    ".Task.Slot",
    ".Node.ID",
    ".Node.Hostname",
    ".Node.Platform.OS",
    ".Node.Platform.Architecture",
];

/// Whether there is a placeholder in `text`.
pub(super) fn is_in(text: &str) -> bool {
    text.contains("{{")
}

/// Every `{{…}}` of `text` is one that a node can expand; `what` names the field as Docker does.
pub(super) fn check(what: &str, text: &str) -> Result<(), Invalid> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("{{") {
        let Some((inside, after)) = after.split_once("}}") else {
            return invalid(format!(
                "expanding {what} failed: {text:?} has {{{{ without }}}}"
            ));
        };
        let path = inside.trim();
        if !KNOWN.contains(&path) && !is_label(path) {
            return invalid(format!(
                "expanding {what} failed: the placeholder {path:?} is not known, use {} or index .Service.Labels \"NAME\"",
                KNOWN.join(", ")
            ));
        }
        rest = after;
    }
    Ok(())
}

/// `.Service.Labels.NAME` or `index .Service.Labels "NAME"`.
fn is_label(path: &str) -> bool {
    if let Some(name) = path.strip_prefix(".Service.Labels.") {
        return !name.is_empty() && !name.contains(char::is_whitespace);
    }
    path.strip_prefix("index")
        .map(str::trim_start)
        .and_then(|rest| rest.strip_prefix(".Service.Labels"))
        .and_then(|rest| rest.trim().strip_prefix('"')?.strip_suffix('"'))
        .is_some_and(|name| !name.contains('"'))
}
