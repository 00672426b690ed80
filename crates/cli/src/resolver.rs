//! Names for ids, each asked for once.

use crate::error::Result;
use crate::session::{Session, object};
use api_types::service::Service;
use api_types::swarm::Node;
use std::collections::BTreeMap;

/// Remembers names. What is gone keeps its id.
pub struct Resolver {
    off: bool,
    services: BTreeMap<String, KnownService>,
    nodes: BTreeMap<String, String>,
}

#[derive(Clone)]
struct KnownService {
    name: String,
    replicated_job: bool,
}

impl Resolver {
    /// One that asks, or one that leaves ids as they are.
    pub fn new(off: bool) -> Self {
        Resolver {
            off,
            services: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// The name of a service.
    pub async fn service(&mut self, session: &Session, id: &str) -> Result<String> {
        if self.off || id.is_empty() {
            return Ok(id.to_owned());
        }
        Ok(self.known_service(session, id).await?.name)
    }

    /// Whether a service is a replicated job; also asked for when names are not resolved.
    pub async fn is_replicated_job(&mut self, session: &Session, id: &str) -> Result<bool> {
        Ok(self.known_service(session, id).await?.replicated_job)
    }

    async fn known_service(&mut self, session: &Session, id: &str) -> Result<KnownService> {
        if let Some(known) = self.services.get(id) {
            return Ok(known.clone());
        }
        let found: Result<Service> = session.client.get(&object("/services", id, "")?, &[]).await;
        let known = match found {
            Ok(service) => KnownService {
                name: service.spec.name,
                replicated_job: service.spec.mode.replicated_job.is_some(),
            },
            Err(err) if err.is_not_found() => KnownService {
                name: id.to_owned(),
                replicated_job: false,
            },
            Err(err) => return Err(err),
        };
        self.services.insert(id.to_owned(), known.clone());
        Ok(known)
    }

    /// The name of a node: the one that users gave it, else that of the host.
    pub async fn node(&mut self, session: &Session, id: &str) -> Result<String> {
        if self.off || id.is_empty() {
            return Ok(id.to_owned());
        }
        if let Some(name) = self.nodes.get(id) {
            return Ok(name.clone());
        }
        let found: Result<Node> = session.client.get(&object("/nodes", id, "")?, &[]).await;
        let name = match found {
            Ok(node) => [node.spec.name, node.description.hostname]
                .into_iter()
                .find(|name| !name.is_empty())
                .unwrap_or_else(|| id.to_owned()),
            Err(err) if err.is_not_found() => id.to_owned(),
            Err(err) => return Err(err),
        };
        self.nodes.insert(id.to_owned(), name.clone());
        Ok(name)
    }
}
