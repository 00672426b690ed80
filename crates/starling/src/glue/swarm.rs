//! The swarm, as the HTTP API uses it.

use crate::glue::address;
use api::backend::{self, Init, Join, Local, LocalState};
use api_types::swarm::TlsInfo;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::Engine;
use futures_util::stream::BoxStream;
use manager::Swarm;
use manager::swarm;
use model::cluster::LabelledToken;
use model::control::{ControlError, Found, Query, Write, Written};
use model::logs::{LogMessage, LogOptions, LogSelector};
use model::{Cluster, NodeId};
use std::time::Duration;
use tokio::sync::watch;
use x509_parser::pem::parse_x509_pem;

/// The swarm, and the engine whose tasks go when the swarm is left.
pub(crate) struct SwarmBackend {
    swarm: Swarm,
    engine: Engine,
    agent_runs: watch::Receiver<bool>,
}

/// An agent ends within milliseconds; a container that is just being started takes a little longer.
const AGENT_END: Duration = Duration::from_secs(10);

impl SwarmBackend {
    /// `agent_runs` says whether the agent of a membership still runs.
    pub(crate) fn new(
        swarm: Swarm,
        engine: Engine,
        agent_runs: watch::Receiver<bool>,
    ) -> SwarmBackend {
        SwarmBackend {
            swarm,
            engine,
            agent_runs,
        }
    }
}

#[async_trait]
impl backend::Swarm for SwarmBackend {
    async fn write(&self, write: Write) -> Result<Written, ControlError> {
        self.swarm.write(write).await
    }

    async fn query(&self, query: Query) -> Result<Found, ControlError> {
        self.swarm.query(query).await
    }

    async fn init(&self, request: Init) -> Result<NodeId, ControlError> {
        let Init {
            listen_addr,
            advertise_addr,
            spec,
            availability,
        } = request;
        self.swarm.must_be_outside()?;
        let (listen, advertise) = address::at_init(&listen_addr, &advertise_addr).await?;
        let init = swarm::Init {
            listen,
            advertise,
            spec,
            availability,
        };
        Ok(self.swarm.init(init).await?)
    }

    async fn join(&self, request: Join) -> Result<(), ControlError> {
        let Join {
            listen_addr,
            advertise_addr,
            remote_addrs,
            token,
            availability,
        } = request;
        self.swarm.must_be_outside()?;
        let (listen, advertise) = address::at_join(&listen_addr, &advertise_addr).await?;
        let join = swarm::Join {
            listen,
            advertise,
            remote_addrs: remote_addrs
                .iter()
                .map(|remote| network::resolve_remote(remote))
                .collect(),
            token,
            availability,
        };
        Ok(self.swarm.join(join).await?)
    }

    /// In a task of its own: what has begun goes on when the client does not wait for it.
    async fn leave(&self, force: bool) -> Result<(), ControlError> {
        let (swarm, engine) = (self.swarm.clone(), self.engine.clone());
        let mut agent_runs = self.agent_runs.clone();
        let left = tokio::spawn(async move {
            swarm.leave(force).await?;
            // The agent ends with the membership; what it ran is nobody's any more.
            if tokio::time::timeout(AGENT_END, agent_runs.wait_for(|runs| !runs))
                .await
                .is_err()
            {
                tracing::warn!("the agent does not end; its containers are removed all the same");
            }
            engine.remove_all_tasks().await;
            Ok::<_, ControlError>(())
        });
        left.await
            .unwrap_or_else(|error| Err(ControlError::Unavailable(error.to_string())))
    }

    fn local(&self) -> Local {
        let info = self.swarm.info();
        Local {
            state: match info.state {
                swarm::LocalState::Inactive => LocalState::Inactive,
                swarm::LocalState::Pending => LocalState::Pending,
                swarm::LocalState::Active => LocalState::Active,
                swarm::LocalState::Error => LocalState::Error,
            },
            error: info.error,
            node_id: info.node.map(|id| id.to_string()).unwrap_or_default(),
            node_addr: info.addr,
            control_available: info.control_available,
            managers: info.managers,
        }
    }

    async fn logs(
        &self,
        selector: LogSelector,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogMessage, String>>, ControlError> {
        self.swarm.logs(selector, options).await
    }

    fn join_tokens(&self, cluster: &Cluster) -> (String, String) {
        swarm::join_tokens(cluster)
    }

    fn labelled_token(&self, cluster: &Cluster, token: &LabelledToken) -> String {
        swarm::labelled_token(cluster, token)
    }

    /// Clients compare these texts to see whether a node has a certificate of the cluster's root.
    fn tls_info(&self, cluster: &Cluster) -> TlsInfo {
        let root = &cluster.ca.cert_pem;
        let mut info = TlsInfo {
            trust_root: root.clone(),
            ..Default::default()
        };
        if let Ok((_, pem)) = parse_x509_pem(root.as_bytes())
            && let Ok(certificate) = pem.parse_x509()
        {
            info.cert_issuer_subject = STANDARD.encode(certificate.subject().as_raw());
            info.cert_issuer_public_key = STANDARD.encode(certificate.public_key().raw);
        }
        info
    }
}
