//! Cuts a template into text and the words between braces.

use serde_json::{Number, Value};

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Outside of braces.
    Text(String),
    /// Two opening braces.
    Open,
    /// Two closing braces.
    Close,
    /// `.Name`, without the dot; `true` when it hangs directly on what is before it.
    Field(String, bool),
    /// A dot alone.
    Dot,
    /// `$name`, without the dollar sign.
    Variable(String),
    /// A function or a word of the language.
    Word(String),
    /// Text in quotes or a number.
    Literal(Value),
    /// One of `|`, `(`, `)`, `,`, `:=` and `=`.
    Symbol(&'static str),
}

pub(super) fn lex(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut trim_next = false;
    while let Some(open) = rest.find("{{") {
        let mut before = &rest[..open];
        if trim_next {
            before = before.trim_start();
        }
        let mut inside = &rest[open + 2..];
        if trims(inside) {
            before = before.trim_end();
            inside = &inside[1..];
        }
        if !before.is_empty() {
            tokens.push(Token::Text(before.to_owned()));
        }
        let (length, trim) = action(inside, &mut tokens)?;
        trim_next = trim;
        rest = &inside[length..];
    }
    let tail = if trim_next { rest.trim_start() } else { rest };
    if !tail.is_empty() {
        tokens.push(Token::Text(tail.to_owned()));
    }
    Ok(tokens)
}

/// Whether an action begins with `- `, which takes the blanks before it away.
fn trims(inside: &str) -> bool {
    inside.starts_with('-') && inside[1..].starts_with(char::is_whitespace)
}

/// Reads up to and with the closing braces; how long that is, and whether the blanks behind go away.
fn action(inside: &str, tokens: &mut Vec<Token>) -> Result<(usize, bool), String> {
    let start = inside.len() - inside.trim_start().len();
    if inside[start..].starts_with("/*") {
        let end = inside.find("*/").ok_or("unclosed comment")? + 2;
        return closing(inside, end)
            .ok_or_else(|| "comment ends before closing delimiter".to_owned());
    }
    tokens.push(Token::Open);
    let mut at = 0;
    loop {
        if let Some(end) = closing(inside, at) {
            tokens.push(Token::Close);
            return Ok(end);
        }
        let next = inside[at..]
            .chars()
            .next()
            .ok_or("unclosed action: }} is missing")?;
        if next.is_whitespace() {
            at += next.len_utf8();
            continue;
        }
        let joined = at > 0
            && !inside[..at]
                .ends_with(|c: char| c.is_whitespace() || matches!(c, '(' | '|' | ',' | '='));
        at += token(&inside[at..], next, joined, tokens)?;
    }
}

fn closing(inside: &str, at: usize) -> Option<(usize, bool)> {
    let rest = &inside[at..];
    let trimmed = rest.trim_start();
    let skipped = at + rest.len() - trimmed.len();
    if trimmed.starts_with("}}") {
        return Some((skipped + 2, false));
    }
    (trimmed.starts_with("-}}") && (skipped > at || inside[..at].ends_with(char::is_whitespace)))
        .then_some((skipped + 3, true))
}

fn token(rest: &str, next: char, joined: bool, tokens: &mut Vec<Token>) -> Result<usize, String> {
    let symbols = [
        (":=", ":="),
        ("|", "|"),
        ("(", "("),
        (")", ")"),
        (",", ","),
        ("=", "="),
    ];
    if let Some((symbol, name)) = symbols.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
        tokens.push(Token::Symbol(name));
        return Ok(symbol.len());
    }
    match next {
        '.' => {
            let name = word(&rest[1..]);
            tokens.push(if name.is_empty() {
                Token::Dot
            } else {
                Token::Field(name.to_owned(), joined)
            });
            Ok(1 + name.len())
        }
        '$' => {
            let name = word(&rest[1..]);
            tokens.push(Token::Variable(name.to_owned()));
            Ok(1 + name.len())
        }
        '"' => quoted(rest, tokens),
        '`' => {
            let end = rest[1..]
                .find('`')
                .ok_or("unterminated raw quoted string")?;
            tokens.push(Token::Literal(Value::String(rest[1..=end].to_owned())));
            Ok(end + 2)
        }
        _ if next.is_ascii_digit() || matches!(next, '-' | '+') => number(rest, tokens),
        _ => {
            let name = word(rest);
            if name.is_empty() {
                return Err(format!("unexpected {next:?} in action"));
            }
            tokens.push(match name {
                "true" => Token::Literal(Value::Bool(true)),
                "false" => Token::Literal(Value::Bool(false)),
                "nil" => Token::Literal(Value::Null),
                _ => Token::Word(name.to_owned()),
            });
            Ok(name.len())
        }
    }
}

fn word(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

/// Go's quoted strings look like JSON's for everything that a command line has.
fn quoted(rest: &str, tokens: &mut Vec<Token>) -> Result<usize, String> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let text: String = serde_json::from_str(&rest[..=at])
                    .map_err(|_| format!("bad string {}", &rest[..=at]))?;
                tokens.push(Token::Literal(Value::String(text)));
                return Ok(at + 1);
            }
            '\n' => break,
            _ => {}
        }
    }
    Err("unterminated quoted string".to_owned())
}

fn number(rest: &str, tokens: &mut Vec<Token>) -> Result<usize, String> {
    let end = rest
        .char_indices()
        .skip(1)
        .find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '.')
        .map_or(rest.len(), |(at, _)| at);
    let text = &rest[..end];
    let number = text
        .parse::<i64>()
        .ok()
        .map(Number::from)
        .or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64));
    tokens.push(Token::Literal(Value::Number(
        number.ok_or_else(|| format!("bad number syntax: {text:?}"))?,
    )));
    Ok(end)
}
