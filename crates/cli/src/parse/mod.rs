//! Flags whose value is more than one word: what people write, into what the API wants.

pub mod lists;
pub mod mount;
pub mod network;
pub mod words;

/// Cuts a line at its commas, as a spreadsheet does: a field in quotes may have commas, two quotes in it are one.
pub fn csv(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, tail) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted, line)?
        } else {
            plain_field(rest)
        };
        fields.push(field);
        match tail {
            Some(tail) => rest = tail,
            None => return Ok(fields),
        }
    }
}

fn plain_field(text: &str) -> (String, Option<&str>) {
    text.split_once(',').map_or_else(
        || (text.to_owned(), None),
        |(field, tail)| (field.to_owned(), Some(tail)),
    )
}

fn quoted_field<'a>(text: &'a str, line: &str) -> Result<(String, Option<&'a str>), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let quote = rest
            .find('"')
            .ok_or_else(|| format!("a quote is not closed in {line:?}"))?;
        field.push_str(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.chars().next() {
            Some('"') => {
                field.push('"');
                rest = &rest[1..];
            }
            Some(',') => return Ok((field, Some(&rest[1..]))),
            None => return Ok((field, None)),
            Some(_) => return Err(format!("text follows a closed quote in {line:?}")),
        }
    }
}

/// A yes or no as Go's ParseBool reads it.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A number as Go's ParseUint with base 0 reads it: decimal, 0x hexadecimal, 0 or 0o octal, 0b binary.
pub fn unsigned(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a whole number of zero or more");
    let lower = text.to_ascii_lowercase();
    let (digits, base) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if digits.starts_with('+') {
        Err(wrong())
    } else {
        u64::from_str_radix(digits, base).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        assert_eq!(csv("a=b,c").unwrap(), ["a=b", "c"]);
        assert_eq!(
            csv(r#"a,"volume-opt=o=x,y ""z""",b"#).unwrap(),
            ["a", r#"volume-opt=o=x,y "z""#, "b"]
        );
        assert_eq!(csv("").unwrap(), [""]);
        assert!(csv("\"a").is_err() && csv("\"a\"b").is_err());
    }

    #[test]
    fn numbers() {
        assert_eq!(
            (
                unsigned("10"),
                unsigned("0x10"),
                unsigned("010"),
                unsigned("0")
            ),
            (Ok(10), Ok(16), Ok(8), Ok(0))
        );
        for text in ["", "-1", "+1", "a", "1.5", "99999999999999999999"] {
            assert!(unsigned(text).is_err(), "{text}");
        }
    }
}
