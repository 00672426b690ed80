//! Builds the tree of a template.

use super::functions;
use super::lexer::Token;
use serde_json::Value;

/// A part of a template that prints something or decides what is printed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// Prints its pipeline, unless that declares a variable.
    Print(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Pipeline {
    /// Names of variables that take the value (two only in `range`).
    pub(super) variables: Vec<String>,
    /// Whether the variable is new here.
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// A value in a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Literal(Value),
    Dot,
    Function(String),
    /// Names hanging on something.
    Fields(Box<Base>, Vec<String>),
}

/// On what names hang.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Group(Pipeline),
}

pub(super) fn parse(tokens: Vec<Token>) -> Result<Vec<Node>, String> {
    let mut parser = Parser {
        tokens: tokens.into_iter().peekable(),
        depth: 0,
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        None => Ok(nodes),
        Some(word) => Err(format!("unexpected {{{{{word}}}}}")),
    }
}

/// Deeper templates are refused: nobody writes them, and they would use up the stack.
const MAX_DEPTH: usize = 100;

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

impl Parser {
    /// Nodes up to `{{end}}` or `{{else}}`, and which of them it was; none at the end of the template.
    fn nodes(&mut self) -> Result<(Vec<Node>, Option<String>), String> {
        self.deeper()?;
        let mut nodes = Vec::new();
        while let Some(token) = self.tokens.next() {
            match token {
                Token::Text(text) => nodes.push(Node::Text(text)),
                Token::Open => match self.tokens.peek() {
                    Some(Token::Word(word)) if matches!(word.as_str(), "end" | "else") => {
                        let word = word.clone();
                        self.tokens.next();
                        self.depth -= 1;
                        return Ok((nodes, Some(word)));
                    }
                    Some(Token::Word(word)) if matches!(word.as_str(), "if" | "with" | "range") => {
                        let word = word.clone();
                        self.tokens.next();
                        nodes.push(self.control(&word)?);
                    }
                    _ => {
                        let pipeline = self.pipeline()?;
                        self.close()?;
                        nodes.push(Node::Print(pipeline));
                    }
                },
                other => return Err(format!("unexpected {other:?}")),
            }
        }
        self.depth -= 1;
        Ok((nodes, None))
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            Err(format!("more than {MAX_DEPTH} levels"))
        } else {
            Ok(())
        }
    }

    fn control(&mut self, word: &str) -> Result<Node, String> {
        let pipeline = self.pipeline()?;
        self.close()?;
        let (yes, end) = self.nodes()?;
        let no = match end.as_deref() {
            Some("end") => {
                self.close()?;
                Vec::new()
            }
            Some("else") => self.otherwise(word)?,
            _ => return Err(format!("{{{{{word}}}}} without {{{{end}}}}")),
        };
        Ok(match word {
            "if" => Node::If(pipeline, yes, no),
            "with" => Node::With(pipeline, yes, no),
            _ => Node::Range(pipeline, yes, no),
        })
    }

    /// What follows `else`: another condition, or plain nodes.
    fn otherwise(&mut self, word: &str) -> Result<Vec<Node>, String> {
        if let Some(Token::Word(next)) = self.tokens.peek()
            && next == word
            && word != "range"
        {
            self.tokens.next();
            self.deeper()?;
            let node = self.control(word)?;
            self.depth -= 1;
            return Ok(vec![node]);
        }
        self.close()?;
        let (nodes, end) = self.nodes()?;
        if end.as_deref() != Some("end") {
            return Err(format!("{{{{{word}}}}} without {{{{end}}}}"));
        }
        self.close()?;
        Ok(nodes)
    }

    fn close(&mut self) -> Result<(), String> {
        match self.tokens.next() {
            Some(Token::Close) => Ok(()),
            other => Err(format!("unexpected {other:?} in command")),
        }
    }

    fn pipeline(&mut self) -> Result<Pipeline, String> {
        self.deeper()?;
        let mut pipeline = Pipeline::default();
        self.declaration(&mut pipeline)?;
        loop {
            let command = self.command()?;
            if command.is_empty() {
                return Err("missing value for command".to_owned());
            }
            pipeline.commands.push(command);
            if self.tokens.next_if_eq(&Token::Symbol("|")).is_none() {
                break;
            }
        }
        self.depth -= 1;
        Ok(pipeline)
    }

    fn declaration(&mut self, pipeline: &mut Pipeline) -> Result<(), String> {
        let mut ahead = self.tokens.clone();
        let mut names = Vec::new();
        while let Some(Token::Variable(name)) =
            ahead.next_if(|token| matches!(token, Token::Variable(_)))
        {
            names.push(name);
            if ahead.next_if_eq(&Token::Symbol(",")).is_none() {
                break;
            }
        }
        if let Some(Token::Symbol(symbol)) =
            ahead.next_if(|token| matches!(token, Token::Symbol(":=" | "=")))
            && !names.is_empty()
        {
            if names.len() > 2 {
                return Err("too many declarations".to_owned());
            }
            pipeline.variables = names;
            pipeline.declares = symbol == ":=";
            self.tokens = ahead;
        }
        Ok(())
    }

    fn command(&mut self) -> Result<Vec<Operand>, String> {
        let mut operands = Vec::new();
        loop {
            let operand = match self.tokens.peek() {
                Some(Token::Literal(value)) => {
                    let value = value.clone();
                    self.tokens.next();
                    Operand::Literal(value)
                }
                Some(Token::Dot) => {
                    self.tokens.next();
                    Operand::Dot
                }
                Some(Token::Field(name, _)) => {
                    let name = name.clone();
                    self.tokens.next();
                    let names = self.chain(vec![name]);
                    Operand::Fields(Box::new(Base::Dot), names)
                }
                Some(Token::Variable(name)) => {
                    let name = name.clone();
                    self.tokens.next();
                    let names = self.chain(Vec::new());
                    Operand::Fields(Box::new(Base::Variable(name)), names)
                }
                Some(Token::Word(name)) => {
                    let name = name.clone();
                    self.tokens.next();
                    if !functions::is_known(&name) {
                        return Err(format!("function {name:?} not defined"));
                    }
                    Operand::Function(name)
                }
                Some(Token::Symbol("(")) => {
                    self.tokens.next();
                    let pipeline = self.pipeline()?;
                    if self.tokens.next() != Some(Token::Symbol(")")) {
                        return Err("unclosed left paren".to_owned());
                    }
                    let names = self.chain(Vec::new());
                    Operand::Fields(Box::new(Base::Group(pipeline)), names)
                }
                _ => return Ok(operands),
            };
            operands.push(operand);
        }
    }

    /// Names that hang on what was just read.
    fn chain(&mut self, mut names: Vec<String>) -> Vec<String> {
        while let Some(Token::Field(name, _)) = self
            .tokens
            .next_if(|token| matches!(token, Token::Field(_, true)))
        {
            names.push(name);
        }
        names
    }
}
