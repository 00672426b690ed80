//! Finding an image by what a user calls it.

use std::sync::Arc;

use super::state::{Known, State};
use crate::error::LookupError;
use crate::record::{ImageId, ImageRecord};
use crate::reference::{AnyReference, Reference};

/// The image of a name, an ID or the beginning of an ID; a name wins over the beginning of an ID.
pub(super) fn find(state: &State, text: &str) -> Result<Arc<ImageRecord>, LookupError> {
    let known = match AnyReference::parse(text)? {
        AnyReference::Id(digest) => state
            .get(&ImageId(digest))
            .ok_or_else(|| LookupError::NotFound(text.to_owned())),
        AnyReference::Name(name) => match by_name(state, &name) {
            Some(known) => Ok(known),
            None => by_prefix(state, text)?
                .ok_or_else(|| LookupError::NotFound(name.or_latest().familiar())),
        },
    }?;
    Ok(known.record.clone())
}

/// With a digest, the image that was pulled by it, or the tag's if that has it; a tag alone is taken as it is.
fn by_name<'a>(state: &'a State, name: &Reference) -> Option<&'a Known> {
    let Some(digest) = name.digest() else {
        return state.named(&name.clone().or_latest());
    };
    if let Some(known) = state.named(&name.with_digest(digest.clone())) {
        return Some(known);
    }
    let tagged = name.with_tag(name.tag()?).ok()?;
    state.named(&tagged).filter(|known| {
        let stored = &known.stored;
        stored.manifests.contains(digest)
            || stored
                .digests
                .iter()
                .any(|other| other.digest() == Some(digest))
    })
}

fn by_prefix<'a>(state: &'a State, text: &str) -> Result<Option<&'a Known>, LookupError> {
    let prefix = text.strip_prefix("sha256:").unwrap_or(text);
    if prefix.is_empty()
        || !prefix
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    {
        return Ok(None);
    }
    let mut matches = state
        .images()
        .filter(|known| known.stored.id.hex().starts_with(prefix));
    let first = matches.next();
    match matches.count() {
        0 => Ok(first),
        more => Err(LookupError::Ambiguous {
            prefix: text.to_owned(),
            count: more + 1,
        }),
    }
}
