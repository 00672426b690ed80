//! Names of images, as Docker reads them: `busybox`, `localhost:5000/team/app:1.2@sha256:…`.
//!
//! The grammar is that of the distribution project (`[domain[:port]/]path[:tag][@digest]`); the familiar form leaves out
//! `docker.io/` and `library/`. A reference that was parsed is always the normalized one.

mod grammar;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::{Digest, DigestError};

/// The registry of a name that names none.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// The tag of a name that has neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";
/// What the index of Docker Hub was called once; still accepted.
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
/// The namespace of Docker Hub's official images, which familiar names leave out.
const OFFICIAL_PREFIX: &str = "library/";
/// The longest repository path, in bytes (the distribution project's limit).
const MAX_PATH: usize = 255;
/// An image ID in full, in hex digits.
const ID_HEX: usize = 64;

/// Why a text is not a reference, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReferenceError {
    /// It does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// The repository has an upper-case letter.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// 64 hex digits are an image ID, not a name.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    IsId(String),
    /// The path is longer than 255 bytes.
    #[error("repository name must not be more than {MAX_PATH} characters")]
    TooLong,
    /// The tag does not follow the grammar.
    #[error("invalid tag format")]
    Tag,
    /// The part after `@` is not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// A normalized reference: it always has a domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a familiar or a full name. It adds the default domain and `library/`, but no tag: see [`Reference::or_latest`].
    ///
    /// ```
    /// # use images::Reference;
    /// let busybox = Reference::parse_normalized("busybox")?.or_latest();
    /// assert_eq!(busybox.to_string(), "docker.io/library/busybox:latest");
    /// assert_eq!(busybox.familiar(), "busybox:latest");
    /// # Ok::<(), images::ReferenceError>(())
    /// ```
    pub fn parse_normalized(text: &str) -> Result<Self, ReferenceError> {
        if is_full_id(text) {
            return Err(ReferenceError::IsId(text.to_owned()));
        }
        let (domain, remainder) = split_domain(text);
        let repository = remainder.split(':').next().unwrap_or_default();
        if repository.chars().any(char::is_uppercase) {
            return Err(ReferenceError::Uppercase(repository.to_owned()));
        }
        let (rest, digest) = match remainder.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (remainder.as_str(), None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        if !grammar::is_domain(&domain)
            || !grammar::is_path(path)
            || tag.is_some_and(|tag| !grammar::is_tag(tag))
            || digest.is_some_and(|digest| !grammar::is_digest(digest))
        {
            return Err(ReferenceError::Format);
        }
        if path.len() > MAX_PATH {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self {
            domain,
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(Digest::parse).transpose()?,
        })
    }

    /// The registry with its port: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within the registry: `library/busybox`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Domain and path without tag and digest: `docker.io/library/busybox`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The tag, if one was given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The name as a user writes it, without tag and digest: `busybox`, `localhost:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The reference as a user writes it, with its tag and its digest.
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    /// With the tag `latest` if it has neither a tag nor a digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository with this tag and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !grammar::is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// Whether it has neither a tag nor a digest.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// `:tag@digest`, what is there of it.
    fn suffix(&self) -> String {
        let tag = self
            .tag
            .as_ref()
            .map(|tag| format!(":{tag}"))
            .unwrap_or_default();
        let digest = self
            .digest
            .as_ref()
            .map(|digest| format!("@{digest}"))
            .unwrap_or_default();
        tag + &digest
    }
}

/// The full, canonical form: `docker.io/library/busybox:1@sha256:…`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.path, self.suffix())
    }
}

/// [`Reference::parse_normalized`].
impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        Self::parse_normalized(text)
    }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;
    fn try_from(text: String) -> Result<Self, ReferenceError> {
        Self::parse_normalized(&text)
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

/// What a user may name an image by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AnyReference {
    /// An image ID in full, with or without `sha256:`.
    Id(Digest),
    /// A name; it may still turn out to be the beginning of an ID.
    Name(Reference),
}

impl AnyReference {
    pub(crate) fn parse(text: &str) -> Result<Self, ReferenceError> {
        if is_full_id(text) {
            return Ok(Self::Id(Digest::from_hex(text)?));
        }
        if let Ok(digest) = Digest::parse(text) {
            return Ok(Self::Id(digest));
        }
        Reference::parse_normalized(text).map(Self::Name)
    }
}

fn is_full_id(text: &str) -> bool {
    text.len() == ID_HEX && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Splits off the registry. The first element is one if it has a dot or a colon, is `localhost`, or has an upper-case letter
/// (which no namespace of Docker Hub can have).
fn split_domain(text: &str) -> (String, String) {
    let official = |name: &str| {
        (
            DEFAULT_DOMAIN.to_owned(),
            format!("{OFFICIAL_PREFIX}{name}"),
        )
    };
    let Some((first, rest)) = text.split_once('/') else {
        return official(text);
    };
    match first {
        DEFAULT_DOMAIN | LEGACY_DEFAULT_DOMAIN if rest.contains('/') => {
            (DEFAULT_DOMAIN.to_owned(), rest.to_owned())
        }
        DEFAULT_DOMAIN | LEGACY_DEFAULT_DOMAIN => official(rest),
        "localhost" => (first.to_owned(), rest.to_owned()),
        _ if first.contains(['.', ':']) || first.chars().any(char::is_uppercase) => {
            (first.to_owned(), rest.to_owned())
        }
        _ => (DEFAULT_DOMAIN.to_owned(), text.to_owned()),
    }
}
