//! From text to pieces: plain text, and the tokens of each action.

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// A word of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// `.A.B`, without the first dot; empty is the dot itself.
    Field(Vec<String>),
    /// `$x.A`: name without the dollar, and fields.
    Variable(String, Vec<String>),
    Word(String),
    Text(String),
    Number(i64),
    Open,
    /// With the fields that follow it.
    Close(Vec<String>),
    Pipe,
    Comma,
    Declare,
    Assign,
}

pub(super) fn lex(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let trims_before = after.starts_with("- ");
        let after = after
            .strip_prefix('-')
            .filter(|_| trims_before)
            .unwrap_or(after);
        text_piece(&mut pieces, before, trim, trims_before);
        let (inside, trims_after, after) = action(after)?;
        if let Some(inside) = inside {
            pieces.push(Piece::Action(tokens(inside)?));
        }
        trim = trims_after;
        rest = after;
    }
    text_piece(&mut pieces, rest, trim, false);
    Ok(pieces)
}

fn text_piece(pieces: &mut Vec<Piece>, text: &str, trim_start: bool, trim_end: bool) {
    let text = if trim_start { text.trim_start() } else { text };
    let text = if trim_end { text.trim_end() } else { text };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.into()));
    }
}

/// What is inside (none for a comment), whether the text after it is trimmed, and that text.
fn action(text: &str) -> Result<(Option<&str>, bool, &str), String> {
    if let Some(comment) = text.trim_start().strip_prefix("/*") {
        let (_, after) = comment.split_once("*/").ok_or("unclosed comment")?;
        if let Some(after) = after.strip_prefix(" -}}") {
            return Ok((None, true, after));
        }
        let after = after
            .strip_prefix("}}")
            .ok_or("comment ends before closing delimiter")?;
        return Ok((None, false, after));
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(c),
            (None, '}') if text[at..].starts_with("}}") => {
                let inside = &text[..at];
                let after = &text[at + 2..];
                return Ok(match inside.strip_suffix(" -") {
                    Some(inside) => (Some(inside), true, after),
                    None => (Some(inside), false, after),
                });
            }
            (None, _) => {}
        }
    }
    Err(match quote {
        Some(_) => "unterminated quoted string".into(),
        None => "unclosed action".into(),
    })
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, after) = token(first, rest)?;
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

fn token(first: char, text: &str) -> Result<(Token, &str), String> {
    let after = &text[first.len_utf8()..];
    Ok(match first {
        '(' => (Token::Open, after),
        ')' => {
            let (fields, after) = fields(after);
            (Token::Close(fields), after)
        }
        '|' => (Token::Pipe, after),
        ',' => (Token::Comma, after),
        '=' => (Token::Assign, after),
        ':' => {
            let after = after.strip_prefix('=').ok_or("expected :=")?;
            (Token::Declare, after)
        }
        '"' => quoted(after)?,
        '`' => {
            let (text, after) = after.split_once('`').ok_or("unterminated raw string")?;
            (Token::Text(text.into()), after)
        }
        '.' => {
            let (path, after) = fields(text);
            if path.is_empty() {
                (Token::Field(path), &text[1..])
            } else {
                (Token::Field(path), after)
            }
        }
        '$' => {
            let (name, after) = word(after);
            let (path, after) = fields(after);
            (Token::Variable(name.into(), path), after)
        }
        c if c.is_ascii_digit() || c == '-' => {
            let end = after
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(after.len());
            let digits = &text[..=end];
            let number = digits
                .parse()
                .map_err(|_| format!("bad number syntax: {digits:?}"))?;
            (Token::Number(number), &after[end..])
        }
        _ => match word(text) {
            ("", _) => return Err(format!("unexpected {first:?} in action")),
            (name, after) => (Token::Word(name.into()), after),
        },
    })
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'));
    text.split_at(end.unwrap_or(text.len()))
}

/// `.A.B`
fn fields(text: &str) -> (Vec<String>, &str) {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(after) = rest.strip_prefix('.') {
        let (name, after) = word(after);
        if name.is_empty() {
            break;
        }
        names.push(name.to_owned());
        rest = after;
    }
    (names, rest)
}

fn quoted(text: &str) -> Result<(Token, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Token::Text(value), &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, c @ ('"' | '\\' | '\''))) => value.push(c),
                _ => return Err("invalid escape in quoted string".into()),
            },
            c => value.push(c),
        }
    }
    Err("unterminated quoted string".into())
}
