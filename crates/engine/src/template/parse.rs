//! From tokens to a tree.

use super::Value;
use super::lex::{Piece, Token};

/// A part of the tree.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    Print(Pipeline),
    /// `$x := …` or `$x = …`.
    Set {
        name: String,
        new: bool,
        value: Pipeline,
    },
    If {
        condition: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        value: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    /// Names of the variables for key and value, if any.
    Range {
        names: Vec<String>,
        value: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// Commands; the result of each is the last argument of the next.
pub(super) type Pipeline = Vec<Vec<Operand>>;

/// An argument, or a function's name in the first place.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    Group(Pipeline, Vec<String>),
}

/// How deep blocks and parentheses may be nested: far above what is of use, far below what the stack bears.
const MAX_DEPTH: usize = 64;

pub(super) fn parse(pieces: Vec<Piece>) -> Result<Vec<Node>, String> {
    let mut parser = Parser {
        pieces: pieces.into_iter(),
        depth: 0,
    };
    match parser.block()? {
        (nodes, None) => Ok(nodes),
        (_, Some(end)) => Err(format!("unexpected {{{{{}}}}}", end.word())),
    }
}

/// What ended a block.
enum Ended {
    Block,
    Else,
    /// `else if` with what follows.
    ElseIf(Vec<Token>),
}

impl Ended {
    fn word(&self) -> &'static str {
        match self {
            Ended::Block => "end",
            Ended::Else | Ended::ElseIf(_) => "else",
        }
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    depth: usize,
}

impl Parser {
    fn block(&mut self) -> Result<(Vec<Node>, Option<Ended>), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deeply".into());
        }
        let mut nodes = Vec::new();
        let mut end = None;
        while let Some(piece) = self.pieces.next() {
            match piece {
                Piece::Text(text) => nodes.push(Node::Text(text)),
                Piece::Action(tokens) => match self.action(tokens)? {
                    Ok(node) => nodes.push(node),
                    Err(ended) => {
                        end = Some(ended);
                        break;
                    }
                },
            }
        }
        self.depth -= 1;
        Ok((nodes, end))
    }

    /// A node, or the end of the block.
    fn action(&mut self, tokens: Vec<Token>) -> Result<Result<Node, Ended>, String> {
        let word = match tokens.first() {
            None => return Err("missing value for command".into()),
            Some(Token::Word(word)) => word.clone(),
            Some(_) => String::new(),
        };
        let rest = || tokens[1..].to_vec();
        Ok(Ok(match word.as_str() {
            "end" => return Ok(Err(Ended::Block)),
            "else" => match &tokens[1..] {
                [] => return Ok(Err(Ended::Else)),
                [Token::Word(word), condition @ ..] if word == "if" => {
                    return Ok(Err(Ended::ElseIf(condition.to_vec())));
                }
                _ => return Err("unexpected words after else".into()),
            },
            "if" => self.condition(rest())?,
            "with" => {
                let value = pipeline(rest())?;
                let (body, otherwise) = self.branches()?;
                Node::With {
                    value,
                    body,
                    otherwise,
                }
            }
            "range" => self.range(rest())?,
            _ => statement(tokens)?,
        }))
    }

    fn condition(&mut self, tokens: Vec<Token>) -> Result<Node, String> {
        let condition = pipeline(tokens)?;
        let (body, otherwise) = self.branches()?;
        Ok(Node::If {
            condition,
            body,
            otherwise,
        })
    }

    fn branches(&mut self) -> Result<(Vec<Node>, Vec<Node>), String> {
        let (body, end) = self.block()?;
        let otherwise = match end.ok_or("unexpected end of the template: {{end}} is missing")? {
            Ended::Block => Vec::new(),
            Ended::ElseIf(tokens) => vec![self.condition(tokens)?],
            Ended::Else => match self.block()? {
                (nodes, Some(Ended::Block)) => nodes,
                (_, Some(_)) => return Err("unexpected {{else}}".into()),
                (_, None) => {
                    return Err("unexpected end of the template: {{end}} is missing".into());
                }
            },
        };
        Ok((body, otherwise))
    }

    fn range(&mut self, tokens: Vec<Token>) -> Result<Node, String> {
        let declared = tokens.iter().position(|token| *token == Token::Declare);
        let (names, value) = match declared {
            None => (Vec::new(), tokens),
            Some(at) => (names(&tokens[..at])?, tokens[at + 1..].to_vec()),
        };
        let value = pipeline(value)?;
        let (body, otherwise) = self.branches()?;
        Ok(Node::Range {
            names,
            value,
            body,
            otherwise,
        })
    }
}

fn names(tokens: &[Token]) -> Result<Vec<String>, String> {
    match tokens {
        [Token::Variable(value, _)] => Ok(vec![value.clone()]),
        [
            Token::Variable(key, _),
            Token::Comma,
            Token::Variable(value, _),
        ] => Ok(vec![key.clone(), value.clone()]),
        _ => Err("range can only initialize variables".into()),
    }
}

fn statement(tokens: Vec<Token>) -> Result<Node, String> {
    match tokens.as_slice() {
        [
            Token::Variable(name, path),
            sign @ (Token::Declare | Token::Assign),
            value @ ..,
        ] if path.is_empty() => Ok(Node::Set {
            name: name.clone(),
            new: *sign == Token::Declare,
            value: pipeline(value.to_vec())?,
        }),
        _ => Ok(Node::Print(pipeline(tokens)?)),
    }
}

fn pipeline(tokens: Vec<Token>) -> Result<Pipeline, String> {
    let mut tokens = tokens.into_iter();
    match group(&mut tokens, 0)? {
        (pipeline, None) => Ok(pipeline),
        (_, Some(_)) => Err("unexpected right paren".into()),
    }
}

/// Up to the closing parenthesis, whose fields are returned.
fn group(
    tokens: &mut std::vec::IntoIter<Token>,
    depth: usize,
) -> Result<(Pipeline, Option<Vec<String>>), String> {
    if depth > MAX_DEPTH {
        return Err("nested too deeply".into());
    }
    let mut commands = vec![Vec::new()];
    let mut closed = None;
    while let Some(token) = tokens.next() {
        let operand = match token {
            Token::Pipe => {
                commands.push(Vec::new());
                continue;
            }
            Token::Close(fields) => {
                closed = Some(fields);
                break;
            }
            Token::Open => {
                let (inner, fields) = group(tokens, depth + 1)?;
                Operand::Group(inner, fields.ok_or("unclosed left paren")?)
            }
            Token::Field(path) => Operand::Field(path),
            Token::Variable(name, path) => Operand::Variable(name, path),
            Token::Text(text) => Operand::Literal(Value::Text(text)),
            Token::Number(number) => Operand::Literal(Value::Number(number)),
            Token::Word(word) => match word.as_str() {
                "true" => Operand::Literal(Value::Bool(true)),
                "false" => Operand::Literal(Value::Bool(false)),
                _ => Operand::Function(word),
            },
            Token::Comma | Token::Declare | Token::Assign => {
                return Err("unexpected comma or assignment in command".into());
            }
        };
        if let Some(command) = commands.last_mut() {
            command.push(operand);
        }
    }
    if commands.iter().any(Vec::is_empty) {
        return Err("missing value for command".into());
    }
    Ok((commands, closed))
}
