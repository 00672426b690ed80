//! Names of images as people write them and as they like to see them.

/// The registry that a name without one means.
const DEFAULT_DOMAIN: &str = "docker.io";
/// Where that registry keeps the images without an owner.
const OFFICIAL_PREFIX: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// The parts of an image's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Without registry and `library/` where these are the default.
    pub name: String,
    /// Behind the colon.
    pub tag: Option<String>,
    /// Behind the at sign, with its algorithm.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads `[registry/]name[:tag][@algorithm:hex]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("invalid reference format: {text:?} {why}");
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if digest.contains(':') => (rest, Some(digest.to_owned())),
            Some(_) => {
                return Err(wrong(
                    "has no algorithm in its digest, expected for instance name@sha256:...",
                ));
            }
            None => (text, None),
        };
        let last = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[last..].find(':') {
            Some(colon) => (
                &rest[..last + colon],
                Some(rest[last + colon + 1..].to_owned()),
            ),
            None => (rest, None),
        };
        let name = familiar(name);
        check_name(&name).map_err(|why| wrong(&why))?;
        if let Some(tag) = &tag
            && (tag.is_empty()
                || tag.len() > 128
                || !tag
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-')))
        {
            return Err(wrong(
                "has a bad tag: letters, digits, dots, dashes and underscores, at most 128",
            ));
        }
        Ok(Reference { name, tag, digest })
    }

    /// The registry, unless it is the default one.
    pub fn domain(&self) -> Option<&str> {
        let (first, _) = self.name.split_once('/')?;
        is_domain(first).then_some(first)
    }

    /// With `latest` when there is neither tag nor digest.
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

fn familiar(name: &str) -> String {
    match name.split_once('/') {
        Some((domain, rest)) if domain == DEFAULT_DOMAIN || domain == "index.docker.io" => rest
            .strip_prefix(OFFICIAL_PREFIX)
            .unwrap_or(rest)
            .to_owned(),
        _ => name.to_owned(),
    }
}

/// Whether the first part of a name is a registry.
fn is_domain(part: &str) -> bool {
    part.contains(['.', ':']) || part == "localhost" || part.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("has no name".to_owned());
    }
    let parts: Vec<&str> = name.split('/').collect();
    let has_domain = parts.len() > 1 && is_domain(parts[0]);
    let path = if has_domain { &parts[1..] } else { &parts[..] };
    for part in path {
        if part.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err("must be lowercase".to_owned());
        }
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'.' | b'-');
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !part.bytes().all(allowed)
            || !edge(part.as_bytes().first())
            || !edge(part.as_bytes().last())
        {
            return Err("may only have small letters, digits and, between them, dots, dashes and underscores".to_owned());
        }
    }
    Ok(())
}

/// A service's image for tables: without the digest when there is a tag.
pub fn display(image: &str) -> String {
    match Reference::parse(image) {
        Ok(reference) if reference.tag.is_some() => Reference {
            digest: None,
            ..reference
        }
        .to_string(),
        _ => image.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let check = |text: &str, printed: &str| {
            assert_eq!(
                Reference::parse(text)
                    .unwrap()
                    .with_default_tag()
                    .to_string(),
                printed,
                "{text}"
            )
        };
        check("nginx", "nginx:latest");
        check("docker.io/library/nginx:1", "nginx:1");
        check("localhost:5000/a/b", "localhost:5000/a/b:latest");
        check(
            "localhost:5000/a/b:1@sha256:aa",
            "localhost:5000/a/b:1@sha256:aa",
        );
        check("a@sha256:aa", "a@sha256:aa");
    }

    #[test]
    fn bad_names() {
        for text in [
            "", "Nginx", "a b", "a:", "a:b c", "a@aa", "-a", "a/", "a//b",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn for_tables() {
        assert_eq!(display("docker.io/library/nginx:1@sha256:aa"), "nginx:1");
        assert_eq!(display("nginx@sha256:aa"), "nginx@sha256:aa");
        assert_eq!(display("?"), "?");
    }
}
