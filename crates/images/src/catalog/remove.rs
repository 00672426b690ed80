//! Removing names and images, with the rules and texts of `docker image rm`.

use std::collections::BTreeSet;

use super::Images;
use super::state::Stored;
use crate::error::{LookupError, RemoveError};
use crate::record::ImageId;
use crate::reference::Reference;
use crate::types::{ContainerUse, Removed};

/// Hex digits of a container's ID in messages.
const SHORT_ID: usize = 12;

/// What stands against deleting an image.
struct Conflict {
    /// Force does not help.
    hard: bool,
    why: String,
}

impl Images {
    /// Takes a name away, or deletes the image, as `docker image rm` does: a name is taken away while there are others, the
    /// last one goes with the image. `in_use` tells which containers use an image. Layers that containers hold stay until
    /// they are given up and [`Images::gc`] runs. Blocks for a disk sync; `in_use` must not change images.
    pub fn remove(
        &self,
        name_or_id: &str,
        force: bool,
        in_use: &dyn Fn(&ImageId) -> Vec<ContainerUse>,
    ) -> Result<Vec<Removed>, RemoveError> {
        let write = self.inner.lock_writes();
        let id = self.inspect(name_or_id)?.id.clone();
        let mut stored = match self.inner.state().get(&id) {
            Some(known) => known.stored.clone(),
            None => return Err(LookupError::NotFound(name_or_id.to_owned()).into()),
        };
        let containers = in_use(&id);
        let mut removed = Vec::new();
        let by_id = id.as_str().starts_with(name_or_id) || id.hex().starts_with(name_or_id);
        if by_id {
            if is_single(&stored) {
                self.check(&stored, &containers, force, &[Check::Stopped])?;
                untag_all(&mut stored, &mut removed);
            }
        } else {
            let must_force = !force && is_single(&stored);
            if let Some(container) = containers.first().filter(|_| must_force) {
                return Err(RemoveError::Conflict(format!(
                    "remove repository reference {name_or_id:?} (must force) - container {} is using its referenced image {}",
                    short(&container.id),
                    id.short()
                )));
            }
            untag(&mut stored, name_or_id, &mut removed)?;
            if stored.names().next().is_some() {
                self.inner.commit(&write, vec![stored], &[])?;
                return Ok(removed);
            }
        }
        if let Err(conflict) = self.check(
            &stored,
            &containers,
            force,
            &[Check::Referenced, Check::Stopped],
        ) {
            // The name was asked for and is gone; that the image stays is no error then. The image is dangling now.
            if by_id {
                return Err(conflict);
            }
            self.inner.commit(&write, vec![stored], &[])?;
            return Ok(removed);
        }
        untag_all(&mut stored, &mut removed);
        let needs = self.inner.needs_of(&id);
        let chain = self
            .inner
            .state()
            .get(&id)
            .map(|known| known.chain.clone())
            .unwrap_or_default();
        self.inner
            .commit(&write, Vec::new(), std::slice::from_ref(&id))?;
        removed.push(Removed::Deleted(id.to_string()));
        self.inner.remove_unreferenced(needs.into_iter())?;
        let gone = chain
            .iter()
            .rev()
            .filter(|chain_id| matches!(self.inner.store.layer(chain_id), Ok(None)));
        removed.extend(gone.map(|chain_id| Removed::Deleted(chain_id.to_string())));
        Ok(removed)
    }

    /// Whether the image may be deleted; `soft` are the checks that force overrides.
    fn check(
        &self,
        stored: &Stored,
        containers: &[ContainerUse],
        force: bool,
        soft: &[Check],
    ) -> Result<(), RemoveError> {
        let state = self.inner.state();
        let has_children = state
            .records()
            .any(|image| image.parent.as_ref() == Some(&stored.id));
        let soft = if force { &[] } else { soft };
        let checks = [Check::Children, Check::Running].iter().chain(soft);
        for check in checks {
            if let Some(conflict) = check.find(stored, containers, has_children) {
                let must = if conflict.hard {
                    "cannot be forced"
                } else {
                    "must be forced"
                };
                return Err(RemoveError::Conflict(format!(
                    "delete {} ({must}) - {}",
                    stored.id.short(),
                    conflict.why
                )));
            }
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Check {
    Children,
    Running,
    Referenced,
    Stopped,
}

impl Check {
    fn find(
        self,
        stored: &Stored,
        containers: &[ContainerUse],
        has_children: bool,
    ) -> Option<Conflict> {
        let container = |running: bool| {
            containers
                .iter()
                .find(|container| container.running == running)
        };
        match self {
            Self::Children => has_children.then(|| Conflict {
                hard: true,
                why: "image has dependent child images".to_owned(),
            }),
            Self::Running => container(true).map(|container| Conflict {
                hard: true,
                why: format!(
                    "image is being used by running container {}",
                    short(&container.id)
                ),
            }),
            Self::Referenced => stored.names().next().is_some().then(|| Conflict {
                hard: false,
                why: "image is referenced in multiple repositories".to_owned(),
            }),
            Self::Stopped => container(false).map(|container| Conflict {
                hard: false,
                why: format!(
                    "image is being used by stopped container {}",
                    short(&container.id)
                ),
            }),
        }
    }
}

fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

/// Whether the names are at most one tag and digests of the same repository, so that removing by ID is not ambiguous.
fn is_single(stored: &Stored) -> bool {
    if stored.names().count() <= 1 {
        return true;
    }
    let repositories: BTreeSet<String> = stored.digests.iter().map(Reference::name).collect();
    let mut tags = stored.tags.iter();
    let first = tags.next().or(stored.digests.first()).map(Reference::name);
    tags.next().is_none()
        && repositories.len() == 1
        && first.is_some_and(|name| repositories.contains(&name))
}

/// Takes the name away, and the digests of its repository when no tag of that is left.
fn untag(stored: &mut Stored, text: &str, removed: &mut Vec<Removed>) -> Result<(), RemoveError> {
    let name = Reference::parse_normalized(text)
        .map_err(LookupError::from)?
        .or_latest();
    // A digest wins over a tag beside it.
    let exact = name
        .digest()
        .map_or_else(|| name.clone(), |digest| name.with_digest(digest.clone()));
    if !stored.forget(&exact) {
        return Err(LookupError::NotFound(name.familiar()).into());
    }
    removed.push(Removed::Untagged(exact.familiar()));
    let repository = exact.name();
    if exact.digest().is_some() || stored.tags.iter().any(|tag| tag.name() == repository) {
        return Ok(());
    }
    let orphans: Vec<Reference> = stored
        .digests
        .iter()
        .filter(|d| d.name() == repository)
        .cloned()
        .collect();
    for orphan in orphans {
        stored.forget(&orphan);
        removed.push(Removed::Untagged(orphan.familiar()));
    }
    Ok(())
}

fn untag_all(stored: &mut Stored, removed: &mut Vec<Removed>) {
    let names: Vec<Reference> = stored.names().cloned().collect();
    for name in names {
        stored.forget(&name);
        removed.push(Removed::Untagged(name.familiar()));
    }
}
