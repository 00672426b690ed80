//! `inspect`: all that the daemon says of some things, as it says it.

use crate::error::{Error, Result};
use crate::session::Session;
use crate::template::{Missing, Template, unescape};
use bytes::Bytes;
use serde_json::Value;

/// Flags of `inspect` commands.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct InspectFormat {
    /// Format the output: 'json', or a Go TEMPLATE such as '{{.Spec.Name}}'
    #[arg(short = 'f', long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Writes what `fetch` finds for each name: an array of JSON (over lines, or on one with the format `json`), or a line of the
/// template each.
pub async fn inspect(
    session: &mut Session,
    names: &[String],
    format: &InspectFormat,
    fetch: impl AsyncFnMut(&mut Session, &str) -> Result<Bytes>,
) -> Result<()> {
    inspect_pretty(session, names, format, None, fetch).await
}

/// A form for people, made of what the daemon answered.
pub type Pretty = fn(&Bytes) -> std::result::Result<String, api_types::DecodeError>;

/// As [`inspect`], in the form for people when one is given.
pub async fn inspect_pretty(
    session: &mut Session,
    names: &[String],
    format: &InspectFormat,
    pretty: Option<Pretty>,
    mut fetch: impl AsyncFnMut(&mut Session, &str) -> Result<Bytes>,
) -> Result<()> {
    if pretty.is_some() && format.format.is_some() {
        return Err(Error::usage(
            "--format is incompatible with human friendly format: leave --pretty or --format out",
        ));
    }
    let is_compact = format.format.as_deref() == Some("json");
    let template = match format.format.as_deref().filter(|format| !format.is_empty()) {
        None | Some("json") => None,
        Some(text) => Some(Template::parse(&unescape(text))?),
    };
    let mut found = Vec::new();
    let mut complaints = Vec::new();
    for name in names {
        match fetch(session, name).await {
            Ok(bytes) => found.push(bytes),
            Err(err @ (Error::Connect { .. } | Error::Permission { .. } | Error::Output(_))) => {
                return Err(err);
            }
            Err(err) => complaints.push(err.to_string()),
        }
    }
    let wrong = |err: api_types::DecodeError| Error::Transport(err.to_string());
    match (&template, pretty) {
        (_, Some(pretty)) => {
            for bytes in &found {
                session.console.line(pretty(bytes).map_err(wrong)?)?;
            }
        }
        (None, None) if is_compact => session.console.line(array(&found))?,
        (None, None) => session.console.line(indent_json(&array(&found)))?,
        (Some(template), None) => {
            for bytes in &found {
                let value: Value = api_types::from_json(bytes).map_err(wrong)?;
                session
                    .console
                    .line(template.render(&value, Missing::Empty)?)?;
            }
        }
    }
    for complaint in &complaints {
        session.console.complain(complaint);
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Error::Silent)
    }
}

/// An array of the things as the daemon sent them.
fn array(things: &[Bytes]) -> String {
    let things = things
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_owned());
    format!("[{}]", things.collect::<Vec<_>>().join(","))
}

/// Sets JSON out over lines, four blanks deeper for each level, without reading it into a tree, which would sort its keys.
pub fn indent_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = 0usize;
    let mut chars = json.chars().filter({
        let (mut in_text, mut escaped) = (false, false);
        move |c| {
            let keep = in_text || !c.is_ascii_whitespace();
            match c {
                _ if escaped => escaped = false,
                '\\' if in_text => escaped = true,
                '"' => in_text = !in_text,
                _ => {}
            }
            keep
        }
    });
    let mut chars = std::iter::from_fn(move || chars.next()).peekable();
    let (mut in_text, mut escaped) = (false, false);
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    };
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if let Some(close) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_over_lines() {
        let json = r#"{"b":[1, 2],"a":{},"c":[],"d":{"x, y":"a \" { : [,"},"e":null}"#;
        let expected = "{\n    \"b\": [\n        1,\n        2\n    ],\n    \"a\": {},\n    \"c\": [],\n    \"d\": {\n        \"x, y\": \"a \\\" { : [,\"\n    },\n    \"e\": null\n}";
        assert_eq!(indent_json(json), expected);
        assert_eq!(indent_json(&array(&[])), "[]");
        let both = array(&[Bytes::from("{}\n"), Bytes::from("1")]);
        assert_eq!(both, "[{},1]");
        assert_eq!(indent_json(&both), "[\n    {},\n    1\n]");
    }
}
