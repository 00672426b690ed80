//! From the tree to text.

use super::parse::{Node, Operand, Pipeline};
use super::{Functions, Value, functions};

/// Bytes that a template may make: payloads are at most 1000 KiB, and what they quote is smaller still.
const MAX_OUTPUT: usize = 16 << 20;

pub(super) fn run(
    nodes: &[Node],
    dot: &Value,
    functions: &Functions<'_>,
) -> Result<String, String> {
    let mut machine = Machine {
        functions,
        variables: vec![(String::new(), dot.clone())],
        output: String::new(),
    };
    machine.nodes(nodes, dot)?;
    Ok(machine.output)
}

struct Machine<'a> {
    functions: &'a Functions<'a>,
    /// The last one of a name counts; the first is `$`.
    variables: Vec<(String, Value)>,
    output: String,
}

impl Machine<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        for node in nodes {
            self.node(node, dot)?;
            if self.output.len() > MAX_OUTPUT {
                return Err(format!("the result is larger than {MAX_OUTPUT} bytes"));
            }
        }
        Ok(())
    }

    /// What is declared inside is gone afterwards.
    fn scope(&mut self, nodes: &[Node], dot: &Value) -> Result<(), String> {
        let outer = self.variables.len();
        let result = self.nodes(nodes, dot);
        self.variables.truncate(outer);
        result
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<(), String> {
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                self.output.push_str(&value.print());
            }
            Node::Set { name, new, value } => {
                let value = self.pipeline(value, dot)?;
                let known = self
                    .variables
                    .iter_mut()
                    .rev()
                    .find(|(known, _)| known == name);
                match known {
                    Some((_, place)) if !new => *place = value,
                    None if !new => return Err(undefined(name)),
                    _ => self.variables.push((name.clone(), value)),
                }
            }
            Node::If {
                condition,
                body,
                otherwise,
            } => {
                let holds = self.pipeline(condition, dot)?.is_true();
                self.scope(if holds { body } else { otherwise }, dot)?;
            }
            Node::With {
                value,
                body,
                otherwise,
            } => {
                let value = self.pipeline(value, dot)?;
                if value.is_true() {
                    self.scope(body, &value)?;
                } else {
                    self.scope(otherwise, dot)?;
                }
            }
            Node::Range {
                names,
                value,
                body,
                otherwise,
            } => match self.pipeline(value, dot)? {
                Value::Map(map) if map.is_empty() => self.scope(otherwise, dot)?,
                Value::Map(map) => {
                    for (key, value) in map {
                        self.round(names, key, value, body)?;
                    }
                }
                // Its value may be a secret.
                _ => return Err("range can't iterate over what is no map".into()),
            },
        }
        Ok(())
    }

    fn round(
        &mut self,
        names: &[String],
        key: String,
        value: Value,
        body: &[Node],
    ) -> Result<(), String> {
        let outer = self.variables.len();
        match names {
            [] => {}
            [name] => self.variables.push((name.clone(), value.clone())),
            [first, second, ..] => {
                self.variables.push((first.clone(), Value::Text(key)));
                self.variables.push((second.clone(), value.clone()));
            }
        }
        let result = self.nodes(body, &value);
        self.variables.truncate(outer);
        result
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last: Option<Value> = None;
        for command in pipeline {
            last = Some(self.command(command, dot, last)?);
        }
        last.ok_or_else(|| "missing value for command".into())
    }

    fn command(
        &mut self,
        command: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, String> {
        let Some((first, rest)) = command.split_first() else {
            return Err("missing value for command".into());
        };
        let Operand::Function(name) = first else {
            if !rest.is_empty() || piped.is_some() {
                return Err("can't give argument to non-function".into());
            }
            return self.operand(first, dot);
        };
        let args: Result<Vec<Value>, String> = rest
            .iter()
            .map(|operand| self.operand(operand, dot))
            .collect();
        let mut args = args?;
        args.extend(piped);
        if let Some(result) = (self.functions)(name, &args) {
            return result;
        }
        functions::call(name, &args)
            .unwrap_or_else(|| Err(format!("function {name:?} not defined")))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Field(path) => field(dot, path),
            Operand::Variable(name, path) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let (_, value) = known.ok_or_else(|| undefined(name))?;
                field(value, path)
            }
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Function(_) => self.command(std::slice::from_ref(operand), dot, None),
            Operand::Group(pipeline, path) => field(&self.pipeline(pipeline, dot)?, path),
        }
    }
}

fn undefined(name: &str) -> String {
    format!("undefined variable \"${name}\"")
}

fn field(value: &Value, path: &[String]) -> Result<Value, String> {
    let mut value = value;
    for name in path {
        let Value::Map(map) = value else {
            return Err(format!("can't evaluate field {name}: there are no fields"));
        };
        value = map
            .get(name)
            .ok_or_else(|| format!("map has no entry for key {name:?}"))?;
    }
    Ok(value.clone())
}
