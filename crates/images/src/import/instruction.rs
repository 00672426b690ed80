//! The arguments of Dockerfile instructions: words with quotes, pairs, JSON arrays, durations.

/// The words of a JSON array of strings; none if it is no such array.
pub(super) fn json_words(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

/// Words with single and double quotes and backslashes, as a shell reads them.
pub(super) fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

/// `a=b c="d e"`, or the old form `a b c` that sets `a` to `b c`.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (name, value) = text
            .split_once(char::is_whitespace)
            .ok_or("a name must have a value")?;
        return Ok(vec![(words(name)?.concat(), value.trim().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some(("", _)) => Err(format!("a name is empty in {word:?}")),
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!(
            "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
        )),
    };
    words(text)?.into_iter().map(pair).collect()
}

/// Go's durations: `1m30s`, `1.5h`, `300ms`.
pub(super) fn duration_nanos(text: &str) -> Option<u64> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = rest.split_at(number);
        let end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let nanos = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += digits.parse::<f64>().ok()? * nanos;
        rest = after;
    }
    // A health check's times are far below the 104 days at which nanoseconds in a f64 get inexact.
    (total > 0.0 && total < 9e15).then_some(total as u64)
}
