//! What a user writes for an object: a full id, else a full name, else a unique prefix of an id (Docker's rule).

use crate::Store;
use model::{Node, Payload, PayloadKind, Service, Task};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Why a reference names no object. The texts are Docker's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FindError {
    /// Nothing has this id, name, or prefix.
    #[error("{kind} {reference} not found")]
    NotFound {
        /// `service`, `task`, `node`, `secret`, `config`.
        kind: &'static str,
        /// What was looked for.
        reference: String,
    },
    /// More than one object has it as its name, or begins with it.
    #[error("{kind} {reference} is ambiguous ({matches} matches found)")]
    Ambiguous {
        /// `service`, `task`, `node`, `secret`, `config`.
        kind: &'static str,
        /// What was looked for.
        reference: String,
        /// How many there are.
        matches: usize,
    },
}

impl Store {
    /// The service that `reference` names.
    pub fn find_service(&self, reference: &str) -> Result<&Arc<Service>, FindError> {
        let named = |_: &str| self.service_by_name(reference).into_iter().collect();
        find("service", reference, &self.tables.services, |_| true, named)
    }
    /// The task that `reference` names; a task's name is `service.slot.id`.
    pub fn find_task(&self, reference: &str) -> Result<&Arc<Task>, FindError> {
        let named = |name: &str| {
            let id = name.rsplit('.').next().unwrap_or(name);
            let task = self.tables.tasks.get(id);
            task.filter(|t| t.name() == name).into_iter().collect()
        };
        find("task", reference, &self.tables.tasks, |_| true, named)
    }
    /// The node that `reference` names; a node's name is its host name.
    pub fn find_node(&self, reference: &str) -> Result<&Arc<Node>, FindError> {
        let has_name = |n: &&Arc<Node>| {
            let description = n.description.as_ref();
            description.is_some_and(|d| d.hostname.eq_ignore_ascii_case(reference))
        };
        let named = |_: &str| self.nodes().filter(has_name).collect();
        find("node", reference, &self.tables.nodes, |_| true, named)
    }
    /// The secret or config that `reference` names.
    pub fn find_payload(
        &self,
        kind: PayloadKind,
        reference: &str,
    ) -> Result<&Arc<Payload>, FindError> {
        let named = |_: &str| {
            let named = self.payload_by_name(kind, reference);
            named.into_iter().collect()
        };
        let is_kind = |p: &Payload| p.kind == kind;
        find(
            kind.name(),
            reference,
            &self.tables.payloads,
            is_kind,
            named,
        )
    }
}

fn find<'a, K: Ord + Borrow<str>, V>(
    kind: &'static str,
    reference: &str,
    objects: &'a BTreeMap<K, Arc<V>>,
    is_one: impl Fn(&V) -> bool,
    named: impl Fn(&str) -> Vec<&'a Arc<V>>,
) -> Result<&'a Arc<V>, FindError> {
    let not_found = || FindError::NotFound {
        kind,
        reference: reference.into(),
    };
    if reference.is_empty() {
        return Err(not_found());
    }
    if let Some(object) = objects.get(reference).filter(|o| is_one(o)) {
        return Ok(object);
    }
    let mut matches = named(reference);
    if matches.is_empty() {
        let from = objects.range::<str, _>((
            std::ops::Bound::Included(reference),
            std::ops::Bound::Unbounded,
        ));
        let with_prefix = from.take_while(|(id, _)| {
            let id: &str = (*id).borrow();
            id.starts_with(reference)
        });
        let objects = with_prefix.map(|(_, object)| object);
        matches = objects.filter(|o| is_one(o)).collect();
    }
    match matches.as_slice() {
        [] => Err(not_found()),
        [object] => Ok(object),
        many => Err(FindError::Ambiguous {
            kind,
            reference: reference.into(),
            matches: many.len(),
        }),
    }
}
