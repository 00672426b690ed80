//! The functions that every template has.

use super::Value;
use std::cmp::Ordering;

/// None when there is no such function.
pub(super) fn call(name: &str, args: &[Value]) -> Option<Result<Value, String>> {
    Some(match name {
        "and" => first(args, |value| !value.is_true()),
        "or" => first(args, Value::is_true),
        "not" => match args {
            [value] => Ok(Value::Bool(!value.is_true())),
            _ => wrong(name),
        },
        "eq" => match args {
            [value, others @ ..] if !others.is_empty() => Ok(Value::Bool(others.contains(value))),
            _ => wrong(name),
        },
        "ne" => compare(name, args, Ordering::is_ne),
        "lt" => compare(name, args, Ordering::is_lt),
        "le" => compare(name, args, Ordering::is_le),
        "gt" => compare(name, args, Ordering::is_gt),
        "ge" => compare(name, args, Ordering::is_ge),
        "index" => index(args),
        "join" => join(args),
        "len" => match args {
            [Value::Text(text)] => Ok(number(text.len())),
            [Value::Map(map)] => Ok(number(map.len())),
            _ => wrong(name),
        },
        "print" => Ok(Value::Text(args.iter().map(Value::print).collect())),
        "println" => {
            let words: Vec<String> = args.iter().map(Value::print).collect();
            Ok(Value::Text(words.join(" ") + "\n"))
        }
        "printf" => printf(args),
        _ => return None,
    })
}

fn wrong(name: &str) -> Result<Value, String> {
    Err(format!("wrong number or type of args for {name}"))
}

fn number(length: usize) -> Value {
    Value::Number(i64::try_from(length).unwrap_or(i64::MAX))
}

/// The first for which it holds, else the last.
fn first(args: &[Value], holds: impl Fn(&Value) -> bool) -> Result<Value, String> {
    let found = args.iter().find(|value| holds(value)).or(args.last());
    found
        .cloned()
        .ok_or_else(|| "wrong number of args: want at least 1".into())
}

fn compare(name: &str, args: &[Value], holds: fn(Ordering) -> bool) -> Result<Value, String> {
    let order = match args {
        [Value::Text(a), Value::Text(b)] => a.cmp(b),
        [Value::Number(a), Value::Number(b)] => a.cmp(b),
        [Value::Bool(a), Value::Bool(b)] if name == "ne" => a.cmp(b),
        _ => return Err(format!("incompatible types for comparison in {name}")),
    };
    Ok(Value::Bool(holds(order)))
}

fn index(args: &[Value]) -> Result<Value, String> {
    match args {
        [value] => Ok(value.clone()),
        [Value::Map(map), Value::Text(key), rest @ ..] => {
            let value = map.get(key).cloned().unwrap_or_else(|| Value::text(""));
            index(&[&[value], rest].concat())
        }
        _ => Err("cannot index what is no map by what is no text".into()),
    }
}

fn join(args: &[Value]) -> Result<Value, String> {
    let texts: Option<Vec<&str>> = args
        .iter()
        .map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    match texts.as_deref() {
        Some([separator, words @ ..]) => Ok(Value::Text(words.join(separator))),
        _ => wrong("join"),
    }
}

fn printf(args: &[Value]) -> Result<Value, String> {
    let Some((Value::Text(format), mut args)) = args.split_first() else {
        return wrong("printf");
    };
    let mut text = String::new();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| c.is_ascii_digit() || *c == '-') {
            flags.push(flag);
        }
        let verb = chars.next().ok_or("printf: the format ends with %")?;
        if verb == '%' {
            text.push('%');
            continue;
        }
        let Some((value, rest)) = args.split_first() else {
            return Err(format!("printf: no argument for %{verb}"));
        };
        args = rest;
        let shown = match (verb, value) {
            ('s' | 'v', value) => value.print(),
            ('d', Value::Number(number)) => number.to_string(),
            ('q', Value::Text(text)) => format!("{text:?}"),
            ('t', Value::Bool(yes)) => yes.to_string(),
            _ => return Err(format!("printf: %{verb} does not fit its argument")),
        };
        text.push_str(&padded(&flags, shown)?);
    }
    Ok(Value::Text(text))
}

/// `-` aligns to the left, a leading `0` fills with zeros.
fn padded(flags: &str, text: String) -> Result<String, String> {
    /// Wider than anything that is read on a screen, narrow enough to hold.
    const MAX_WIDTH: usize = 1000;
    let left = flags.starts_with('-');
    let digits = flags.trim_start_matches('-');
    if digits.is_empty() {
        return Ok(text);
    }
    let width = digits.parse().ok().filter(|width| *width <= MAX_WIDTH);
    let width = width.ok_or_else(|| format!("printf: bad width {flags:?}"))?;
    Ok(match (left, digits.starts_with('0')) {
        (true, _) => format!("{text:<width$}"),
        (false, true) => format!("{text:0>width$}"),
        (false, false) => format!("{text:>width$}"),
    })
}
