//! Go's text templates as far as services use them: in environments, host names, mounts and payloads.
//!
//! Built: fields, variables, literals, pipelines, parentheses, `if`, `with`, `range`, comments, trim markers, the
//! functions `and or not eq ne lt le gt ge index join len print printf println`, and what the caller adds. A field
//! that is not there is an error, as in Docker (`missingkey=error`).

mod functions;
mod lex;
mod parse;
mod run;

use std::collections::BTreeMap;

/// What a template works on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Bool(bool),
    /// Fields, or a map.
    Map(BTreeMap<String, Value>),
}

impl Value {
    pub(crate) fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
        Value::Map(fields.map(|(name, value)| (name.to_owned(), value)).into())
    }

    pub(crate) fn text(text: impl Into<String>) -> Value {
        Value::Text(text.into())
    }

    fn is_true(&self) -> bool {
        match self {
            Value::Text(text) => !text.is_empty(),
            Value::Number(number) => *number != 0,
            Value::Bool(yes) => *yes,
            Value::Map(map) => !map.is_empty(),
        }
    }

    fn print(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            Value::Map(map) => {
                let fields = map
                    .iter()
                    .map(|(name, value)| format!("{name}:{}", value.print()));
                format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
            }
        }
    }
}

/// Functions of the caller: none when it does not know the name.
pub(crate) type Functions<'a> = dyn Fn(&str, &[Value]) -> Option<Result<Value, String>> + 'a;

/// Replaces what stands in braces.
///
/// # Errors
/// When the template is not well-formed, or asks for what is not there. The text does not repeat the template: it
/// may be a secret.
pub(crate) fn expand(text: &str, dot: &Value, functions: &Functions<'_>) -> Result<String, String> {
    if !text.contains("{{") {
        return Ok(text.to_owned());
    }
    let nodes = parse::parse(lex::lex(text)?)?;
    run::run(&nodes, dot, functions)
}

/// For templates without functions of their own.
pub(crate) fn no_functions(_: &str, _: &[Value]) -> Option<Result<Value, String>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, String> {
        let labels = Value::map([("tier", Value::text("front")), ("zone", Value::text("a"))]);
        let service = Value::map([("Name", Value::text("web")), ("Labels", labels)]);
        let task = Value::map([("Slot", Value::Number(3))]);
        let dot = Value::map([("Service", service), ("Task", task)]);
        let functions = |name: &str, args: &[Value]| match (name, args) {
            ("env", [Value::Text(name)]) => Some(Ok(Value::text(format!("<{name}>")))),
            ("secret", _) => Some(Err("secret target x not found".into())),
            _ => None,
        };
        expand(text, &dot, &functions)
    }

    #[test]
    fn templates_are_expanded_as_go_does() {
        for (text, expected) in [
            ("plain } }} {", "plain } }} {"),
            ("{{.Service.Name}}-{{ .Task.Slot }}", "web-3"),
            (r#"{{index .Service.Labels "tier"}}"#, "front"),
            (r#"{{index .Service.Labels "none"}}|"#, "|"),
            (r#"a {{- /* note */ -}}  b"#, "ab"),
            (r#"{{env "A"}}{{"B" | env}}{{env `C`}}"#, "<A><B><C>"),
            (
                r#"{{if eq .Service.Name "web"}}yes{{else}}no{{end}}"#,
                "yes",
            ),
            (
                r#"{{if not true}}1{{else if gt .Task.Slot 2}}2{{else}}3{{end}}"#,
                "2",
            ),
            (r#"{{with .Service}}{{.Name}}{{end}}"#, "web"),
            (r#"{{with ""}}x{{else}}none{{end}}"#, "none"),
            (
                "{{range $k, $v := .Service.Labels}}{{$k}}={{$v}};{{end}}",
                "tier=front;zone=a;",
            ),
            ("{{range .Service.Labels}}{{.}},{{end}}", "front,a,"),
            (r#"{{$n := .Service.Name}}{{$n}}{{$.Task.Slot}}"#, "web3"),
            (
                r#"{{printf "%s-%03d-%q-%v%%" "a" 7 "b" true}}"#,
                "a-007-\"b\"-true%",
            ),
            (r#"{{join "-" "a" "b"}}{{len "four"}}"#, "a-b4"),
            (
                r#"{{(index .Service.Labels "tier") | printf "%s!"}}"#,
                "front!",
            ),
            (r#"{{or "" .Service.Name}}{{and "a" "b"}}"#, "webb"),
            ("{{\"a\\n\\\"\"}}", "a\n\""),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, why) in [
            ("{{.Nope}}", "Nope"),
            ("{{.Service.Labels.none}}", "no entry for key \"none\""),
            ("{{.Task.ID", "unclosed action"),
            ("{{if true}}", "unexpected end"),
            ("{{end}}", "unexpected {{end}}"),
            ("{{nope 1}}", "function \"nope\" not defined"),
            ("{{$x}}", "undefined variable \"$x\""),
            (r#"{{secret "x"}}"#, "secret target x not found"),
            ("{{\"a}}", "unterminated"),
            ("{{index \"a\" 1}}", "index"),
        ] {
            let error = expanded(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn values_are_not_repeated_in_errors() {
        let error = expanded(r#"{{range env "hunter2"}}{{end}}"#).unwrap_err();
        assert!(error.contains("range"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
