//! Text in addresses.

/// Escapes what may not stand in a path; slashes stay, since names of images have them.
pub fn escape(text: &str) -> String {
    escaped(text, b"-._~/:@")
}

/// `?a=b&c=d`, or nothing when there are no parameters.
pub(super) fn query(parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name, b"-._~"), escaped(value, b"-._~")))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

fn escaped(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        assert_eq!(
            escape("localhost:5000/a b:1@sha256:aa?#%"),
            "localhost:5000/a%20b:1@sha256:aa%3F%23%25"
        );
        assert_eq!(
            query(&[("filters", r#"{"a":{"b":true}}"#), ("x", "")]),
            "?filters=%7B%22a%22%3A%7B%22b%22%3Atrue%7D%7D&x="
        );
        assert_eq!(query(&[]), "");
    }
}
