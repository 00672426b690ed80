//! What is written.

use crate::client::{Client, Posted};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Kinds of write, in the order in which they are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A new service.
    Create,
    /// Another label: a client reads the service and writes it back.
    Label,
    /// Removal of the service.
    Remove,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Create, Kind::Label, Kind::Remove];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Create => "create",
            Kind::Label => "label",
            Kind::Remove => "remove",
        }
    }
}

/// Services to write, handed out one by one.
pub(crate) struct Work {
    next: AtomicUsize,
    /// Ids once they are made.
    ids: Vec<Mutex<String>>,
    /// Tells the services of this run from those of others.
    run: u32,
}

impl Work {
    pub(crate) fn new(writes: usize) -> Work {
        Work {
            next: AtomicUsize::new(0),
            ids: (0..writes).map(|_| Mutex::default()).collect(),
            run: std::process::id(),
        }
    }

    /// From the first item again.
    pub(crate) fn begin(&self) {
        self.next.store(0, Ordering::Relaxed);
    }

    pub(crate) fn next(&self) -> Option<usize> {
        let item = self.next.fetch_add(1, Ordering::Relaxed);
        (item < self.ids.len()).then_some(item)
    }

    pub(crate) async fn carry_out(
        &self,
        client: &mut Client,
        kind: Kind,
        item: usize,
    ) -> Result<()> {
        let id = self.ids[item]
            .lock()
            .expect("nobody panics with it")
            .clone();
        match kind {
            Kind::Create => {
                let name = format!("load-{}-{item}", self.run);
                let made = client.post("/services/create", &service(&name)).await?;
                let Posted::Done(made) = made else {
                    anyhow::bail!("a new service cannot be out of sequence")
                };
                let id = made["ID"].as_str().context("no id in the answer")?;
                *self.ids[item].lock().expect("nobody panics with it") = id.into();
            }
            Kind::Label => label(client, &id).await?,
            Kind::Remove => client.delete(&format!("/services/{id}")).await?,
        }
        Ok(())
    }
}

async fn label(client: &mut Client, id: &str) -> Result<()> {
    loop {
        let object = client.get(&format!("/services/{id}")).await?;
        let version = object["Version"]["Index"].as_u64().context("no version")?;
        let mut spec = object["Spec"].clone();
        spec["Labels"]["load"] = json!(version.to_string());
        let path = format!("/services/{id}/update?version={version}");
        if let Posted::Done(_) = client.post(&path, &spec).await? {
            return Ok(());
        }
    }
}

/// A service without replicas, as Docker's command line would send it.
fn service(name: &str) -> Value {
    json!({
        "Name": name,
        "Labels": {},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "busybox:1", "Args": ["sleep", "1"], "Init": false, "DNSConfig": {}},
            "Resources": {"Limits": {}, "Reservations": {}},
            "Placement": {},
            "ForceUpdate": 0
        },
        "Mode": {"Replicated": {"Replicas": 0}},
        "EndpointSpec": {"Mode": "vip"}
    })
}
