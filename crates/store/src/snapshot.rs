//! The whole state at one index, to be written to disk or sent to a member that is behind.

use crate::Store;
use model::snapshot::Snapshot;

impl Store {
    /// The whole state.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            index: self.index,
            cluster: self.tables.cluster.clone(),
            services: self.tables.services.values().cloned().collect(),
            tasks: self.tables.tasks.values().cloned().collect(),
            nodes: self.tables.nodes.values().cloned().collect(),
            payloads: self.tables.payloads.values().cloned().collect(),
            requests: self.requests.iter().cloned().collect(),
            failures: self.failures.iter().collect(),
        }
    }

    /// A store in the state of `snapshot`.
    pub fn restore(snapshot: Snapshot) -> Store {
        let mut store = Store {
            index: snapshot.index,
            touched: crate::Touched::from(snapshot.index),
            ..Store::default()
        };
        store.tables.cluster = snapshot.cluster;
        for service in snapshot.services {
            store.tables.set_service(service.id.clone(), Some(service));
        }
        for task in snapshot.tasks {
            store.tables.set_task(task.id.clone(), Some(task));
        }
        for node in snapshot.nodes {
            store.tables.set_node(node.id.clone(), Some(node));
        }
        for payload in snapshot.payloads {
            store.tables.set_payload(payload.id.clone(), Some(payload));
        }
        for request in snapshot.requests {
            store.requests.insert(request);
        }
        for failures in snapshot.failures {
            store.failures.restore(failures);
        }
        store
    }
}
