//! Cuts a command line into words as a shell does, without its other powers.

/// The words of `text`; quotes and backslashes keep blanks together, `#` begins a comment.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err("EOF found when expecting closing quote".to_owned()),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => {
                            word.push(chars.next().ok_or("EOF found after escape character")?)
                        }
                        Some(c) => word.push(c),
                        None => return Err("EOF found when expecting closing quote".to_owned()),
                    }
                }
            }
            '\\' => word
                .get_or_insert_default()
                .push(chars.next().ok_or("EOF found after escape character")?),
            '#' if word.is_none() => {
                chars.by_ref().find(|c| *c == '\n');
            }
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Words that came from one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

/// As [`split`], for flags.
pub fn split_all(text: &str) -> Result<Words, String> {
    split(text).map(Words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words() {
        let check = |text: &str, words: &[&str]| assert_eq!(split(text).unwrap(), words, "{text}");
        check("sh -c 'sleep 1; exit'", &["sh", "-c", "sleep 1; exit"]);
        check(r#"a "b \" c" d\ e"#, &["a", "b \" c", "d e"]);
        check("  a   b # c\nd", &["a", "b", "d"]);
        check("'' x''y", &["", "xy"]);
        check("", &[]);
        assert!(split("'a").is_err() && split("\"a").is_err() && split("a\\").is_err());
    }
}
