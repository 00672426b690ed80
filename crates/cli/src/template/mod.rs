//! The part of Go's text/template that people use in `--format`: fields, pipelines, `if`, `range`, `with`, variables and the
//! functions that Docker adds.

mod eval;
mod functions;
mod lexer;
mod parser;

use crate::error::{Error, Result};
use serde_json::Value;

pub use functions::print;

/// A template, ready to be used any number of times.
#[derive(Debug, Clone)]
pub struct Template {
    nodes: Vec<parser::Node>,
}

/// What a field that is not there means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A mistake: the data have all their fields.
    Error,
    /// The daemon left it out because it is empty.
    Empty,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self> {
        let tokens = lexer::lex(text).map_err(Error::Template)?;
        let nodes = parser::parse(tokens).map_err(Error::Template)?;
        Ok(Template { nodes })
    }

    /// Fills it in.
    pub fn render(&self, data: &Value, missing: Missing) -> Result<String> {
        eval::render(&self.nodes, data, missing).map_err(Error::Template)
    }

    /// Fills it in with the headings of a table: functions that change values leave headings alone.
    pub fn render_headings(&self, headings: &Value) -> Result<String> {
        eval::render_headings(&self.nodes, headings).map_err(Error::Template)
    }
}

/// Turns the `\t` and `\n` that shells pass on literally into what they mean.
pub fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

#[cfg(test)]
mod tests;
