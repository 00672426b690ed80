//! Fills a template in.

use super::Missing;
use super::functions::{self, Context};
use super::parser::{Base, Node, Operand, Pipeline};
use serde_json::Value;

/// A value and, when it is not there at all, the name that was looked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    pub(super) value: Value,
    pub(super) absent: Option<String>,
}

impl From<Value> for Found {
    fn from(value: Value) -> Self {
        Found {
            value,
            absent: None,
        }
    }
}

pub(super) fn render(nodes: &[Node], data: &Value, missing: Missing) -> Result<String, String> {
    run(
        nodes,
        data,
        Context {
            missing,
            headings: false,
        },
    )
}

pub(super) fn render_headings(nodes: &[Node], headings: &Value) -> Result<String, String> {
    run(
        nodes,
        headings,
        Context {
            missing: Missing::Error,
            headings: true,
        },
    )
}

fn run(nodes: &[Node], data: &Value, context: Context) -> Result<String, String> {
    let mut state = State {
        out: String::new(),
        variables: vec![(String::new(), data.clone().into())],
        context,
    };
    state.nodes(nodes, data)?;
    Ok(state.out)
}

struct State {
    out: String,
    /// Innermost last; the first is `$`.
    variables: Vec<(String, Found)>,
    context: Context,
}

impl State {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        let scope = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let found = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    let text = functions::print_found(&found, self.context)?;
                    self.out.push_str(&text);
                }
            }
            Node::If(condition, yes, no) => {
                let scope = self.variables.len();
                let found = self.pipeline(condition, dot)?;
                self.nodes(
                    if functions::truth(&found.value) {
                        yes
                    } else {
                        no
                    },
                    dot,
                )?;
                self.variables.truncate(scope);
            }
            Node::With(pipeline, yes, no) => {
                let scope = self.variables.len();
                let found = self.pipeline(pipeline, dot)?;
                if functions::truth(&found.value) {
                    self.nodes(yes, &found.value)?;
                } else {
                    self.nodes(no, dot)?;
                }
                self.variables.truncate(scope);
            }
            Node::Range(pipeline, body, otherwise) => self.range(pipeline, body, otherwise, dot)?,
        }
        Ok(())
    }

    fn range(
        &mut self,
        pipeline: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<(), String> {
        let found = self.commands(pipeline, dot)?;
        let items: Vec<(Value, Value)> = match found.value {
            Value::Array(list) => list
                .into_iter()
                .enumerate()
                .map(|(index, value)| (index.into(), value))
                .collect(),
            Value::Object(map) => map
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
            Value::Null => Vec::new(),
            other => {
                return Err(format!(
                    "range can't iterate over {}",
                    functions::print(&other)
                ));
            }
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        for (key, value) in items {
            let scope = self.variables.len();
            match pipeline.variables.as_slice() {
                [one] => self.variables.push((one.clone(), value.clone().into())),
                [first, second] => {
                    self.variables.push((first.clone(), key.into()));
                    self.variables.push((second.clone(), value.clone().into()));
                }
                _ => {}
            }
            self.nodes(body, &value)?;
            self.variables.truncate(scope);
        }
        Ok(())
    }

    /// The value of a pipeline, which its variable takes too.
    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Found, String> {
        let found = self.commands(pipeline, dot)?;
        if let Some(name) = pipeline.variables.first() {
            if pipeline.declares {
                self.variables.push((name.clone(), found.clone()));
            } else {
                let slot = self
                    .variables
                    .iter_mut()
                    .rev()
                    .find(|(there, _)| there == name);
                slot.ok_or_else(|| format!("undefined variable: ${name}"))?
                    .1 = found.clone();
            }
        }
        Ok(found)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Found, String> {
        let mut last: Option<Found> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        last.ok_or_else(|| "missing value for command".to_owned())
    }

    fn command(
        &mut self,
        command: &[Operand],
        dot: &Value,
        piped: Option<Found>,
    ) -> Result<Found, String> {
        let (first, rest) = command.split_first().ok_or("missing value for command")?;
        match first {
            Operand::Function(name) => {
                let mut arguments = rest
                    .iter()
                    .map(|operand| self.operand(operand, dot))
                    .collect::<Result<Vec<_>, _>>()?;
                arguments.extend(piped);
                functions::call(name, arguments, self.context)
            }
            operand => {
                let found = self.operand(operand, dot)?;
                let mut arguments = rest
                    .iter()
                    .map(|operand| self.operand(operand, dot))
                    .collect::<Result<Vec<_>, _>>()?;
                arguments.extend(piped);
                match (operand, arguments.as_slice()) {
                    (_, []) => Ok(found),
                    (Operand::Fields(_, names), [argument])
                        if names.last().is_some_and(|name| name == "Label") =>
                    {
                        functions::label(&found.value, &argument.value)
                    }
                    _ => Err("can't give argument to non-function".to_owned()),
                }
            }
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Found, String> {
        match operand {
            Operand::Literal(value) => Ok(value.clone().into()),
            Operand::Dot => Ok(dot.clone().into()),
            Operand::Function(name) => functions::call(name, Vec::new(), self.context),
            Operand::Fields(base, names) => {
                let start = match base.as_ref() {
                    Base::Dot => dot.clone().into(),
                    Base::Variable(name) => {
                        let found = self.variables.iter().rev().find(|(there, _)| there == name);
                        found
                            .ok_or_else(|| format!("undefined variable: ${name}"))?
                            .1
                            .clone()
                    }
                    Base::Group(pipeline) => self.commands(pipeline, dot)?,
                };
                names
                    .iter()
                    .try_fold(start, |found, name| self.field(found, name))
            }
        }
    }

    fn field(&self, found: Found, name: &str) -> Result<Found, String> {
        match found.value {
            Value::Object(mut map) => match map.remove(name).or_else(|| go_field(&map, name)) {
                Some(value) => Ok(value.into()),
                None if self.context.missing == Missing::Error => Err(format!(
                    "can't evaluate field {name}: there is no such field, try --format json to see all of them"
                )),
                None => Ok(Found {
                    value: Value::Null,
                    absent: Some(name.to_owned()),
                }),
            },
            Value::Null => Ok(Found {
                value: Value::Null,
                absent: Some(match found.absent {
                    Some(above) => format!("{above}.{name}"),
                    None => name.to_owned(),
                }),
            }),
            other => Err(format!(
                "can't evaluate field {name} in {}",
                functions::print(&other)
            )),
        }
    }
}

/// Templates for Docker name the fields of Go's types, which begin with a capital: `.Scope` of an event, which is `scope` in JSON,
/// or `.ID` of an image, which is `Id`.
fn go_field(map: &serde_json::Map<String, Value>, name: &str) -> Option<Value> {
    if !name.starts_with(|first: char| first.is_ascii_uppercase()) {
        return None;
    }
    let mut same = map.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    match (same.next(), same.next()) {
        (Some((_, value)), None) => Some(value.clone()),
        _ => None,
    }
}
