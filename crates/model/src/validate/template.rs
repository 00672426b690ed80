//! Go's templates in environment, host name and mounts, checked with nothing to expand them with: the node would refuse the
//! task for what is wrong here.
//!
//! It looks at the form: closed braces and blocks, functions that there are, fields that there are. What depends on values
//! (an index into what is no map) only the node finds out.

use super::{Invalid, invalid};

/// Fields that templates of services have (`swarmkit/template/context.go`).
const FIELDS: [&str; 9] = [
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
const LABELS: &str = ".Service.Labels";
/// Functions that nodes have, and values with a name.
const FUNCTIONS: [&str; 18] = [
    "and", "eq", "false", "ge", "gt", "index", "join", "le", "len", "lt", "ne", "nil", "not", "or",
    "print", "printf", "println", "true",
];

/// Whether there is a placeholder in `text`.
pub(super) fn is_in(text: &str) -> bool {
    text.contains("{{")
}

/// Every `{{…}}` of `text` is one that a node can expand; `what` names the field as Docker does.
pub(super) fn check(what: &str, text: &str) -> Result<(), Invalid> {
    let mut blocks = Blocks::default();
    let mut rest = text;
    let outcome = loop {
        let Some((_, after)) = rest.split_once("{{") else {
            break blocks.close();
        };
        match action(after, &mut blocks) {
            Ok(after) => rest = after,
            Err(why) => break Err(why),
        }
    };
    outcome.or_else(|why| invalid(format!("expanding {what} failed: {text:?}: {why}")))
}

/// Blocks that are open.
#[derive(Default)]
struct Blocks {
    /// For each, whether the dot means something else in it.
    open: Vec<bool>,
}

impl Blocks {
    fn keyword(&mut self, word: &str) -> Result<bool, String> {
        match word {
            "if" => self.open.push(false),
            "with" | "range" => self.open.push(true),
            "else" if self.open.is_empty() => return Err("unexpected {{else}}".into()),
            "end" if self.open.pop().is_none() => return Err("unexpected {{end}}".into()),
            "else" | "end" => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn close(&self) -> Result<(), String> {
        if self.open.is_empty() {
            Ok(())
        } else {
            Err("unexpected EOF: a block has no {{end}}".into())
        }
    }

    fn has_own_dot(&self) -> bool {
        self.open.contains(&true)
    }
}

/// Reads an action behind its braces and returns what follows it.
fn action<'a>(text: &'a str, blocks: &mut Blocks) -> Result<&'a str, String> {
    let unclosed = || "unclosed action: {{ without }}".to_owned();
    let mut rest = text.strip_prefix("- ").unwrap_or(text);
    let mut words = 0;
    let mut is_else = false;
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("}}").or_else(|| rest.strip_prefix("-}}")) {
            return if words > 0 {
                Ok(after)
            } else {
                Err("missing value for command".into())
            };
        }
        let first = rest.chars().next().ok_or_else(unclosed)?;
        words += 1;
        rest = match first {
            '/' if rest.starts_with("/*") => rest.split_once("*/").ok_or_else(unclosed)?.1,
            '"' | '`' | '\'' => literal(first, &rest[1..]).ok_or_else(unclosed)?,
            '.' | '$' => {
                let (path, after) = word(rest);
                if first == '.' && !blocks.has_own_dot() {
                    field(path)?;
                }
                after
            }
            first if first.is_ascii_alphabetic() => {
                let (name, after) = word(rest);
                // `else if` goes on with the same block.
                let goes_on = is_else && name == "if";
                if !goes_on && !blocks.keyword(name)? && !FUNCTIONS.contains(&name) {
                    return Err(format!("function {name:?} not defined"));
                }
                is_else = name == "else";
                after
            }
            first if first.is_ascii_digit() => word(rest).1,
            '(' | ')' | '|' | ',' | ':' | '=' | '-' | '+' => &rest[1..],
            other => return Err(format!("unexpected {other:?} in an action")),
        };
    }
}

/// A field or a name, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '$');
    text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()))
}

/// What follows a literal behind its opening quote.
fn literal(quote: char, text: &str) -> Option<&str> {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' && quote != '`' {
            is_escaped = true;
        } else if c == quote {
            return Some(&text[at + 1..]);
        }
    }
    None
}

/// A field that there is, or one that has fields.
fn field(path: &str) -> Result<(), String> {
    let begins = |whole: &str| {
        let rest = whole.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || path == ".")
    };
    let label = path
        .strip_prefix(LABELS)
        .is_some_and(|rest| rest.len() > 1 && rest.starts_with('.'));
    if label || begins(LABELS) || FIELDS.iter().any(|f| begins(f)) {
        return Ok(());
    }
    Err(format!(
        "the field {path} is not known, use {LABELS} or one of {}",
        FIELDS.join(", ")
    ))
}
