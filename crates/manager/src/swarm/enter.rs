//! How a stranger becomes a node: the root certificate, its digest, a certificate of its own.

use super::SwarmError;
use crate::ca::{Identity, JoinToken, new_key, signing_request};
use crate::connector::connect_with;
use crate::tls;
use model::{Availability, Role};
use std::time::Duration;
use tonic::transport::Channel;
use wire::pb::ca as pb;
use wire::pb::ca::ca_client::CaClient;

/// Time for a manager to answer: it may have to wait for a leader.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(25);

/// A manager that proved to be one of the token's cluster.
pub(super) struct Door {
    pub(super) remote: String,
    root_pem: String,
    channel: Channel,
    token: String,
}

/// Finds a manager of the token's cluster among `remotes`.
pub(super) async fn find(remotes: &[String], token: &str) -> Result<Door, SwarmError> {
    let parsed = JoinToken::parse(token).map_err(|e| SwarmError::Invalid(e.to_string()))?;
    if remotes.is_empty() {
        let text = "at least 1 RemoteAddr is required to join";
        return Err(SwarmError::Invalid(text.into()));
    }
    let mut failure = None;
    for remote in remotes {
        match knock(remote, &parsed, token).await {
            Ok(door) => return Ok(door),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| SwarmError::Refused("no manager answers".into())))
}

async fn knock(remote: &str, parsed: &JoinToken, token: &str) -> Result<Door, SwarmError> {
    let refused = |e: std::io::Error| SwarmError::refused(e);
    // Nobody is believed yet, and nothing is told.
    let config = tls::unverified().map_err(SwarmError::refused)?;
    let channel = connect_with(remote, config).await.map_err(refused)?;
    let root = CaClient::new(channel)
        .root(timed(pb::RootRequest {}))
        .await?;
    let root_pem = root.into_inner().cert_pem;
    parsed.check_root(&root_pem).map_err(SwarmError::Refused)?;
    // From here on only who has a certificate of this root is talked to.
    let config = tls::stranger(&root_pem).map_err(SwarmError::refused)?;
    let channel = connect_with(remote, config).await.map_err(refused)?;
    Ok(Door {
        remote: remote.into(),
        root_pem,
        channel,
        token: token.into(),
    })
}

fn timed<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(ANSWER_TIMEOUT);
    request
}

impl Door {
    /// The role that the token gives.
    pub(super) async fn role(&self) -> Result<Role, SwarmError> {
        let request = pb::IssueRequest {
            token: self.token.clone(),
            check_only: true,
            ..Default::default()
        };
        let reply = CaClient::new(self.channel.clone())
            .issue(timed(request))
            .await?;
        let role = wire::pb::objects::Role::try_from(reply.into_inner().role);
        match role {
            Ok(wire::pb::objects::Role::Worker) => Ok(Role::Worker),
            Ok(wire::pb::objects::Role::Manager) => Ok(Role::Manager),
            _ => Err(SwarmError::Refused(
                "the manager answered with an unknown role".into(),
            )),
        }
    }

    /// Becomes a node of the cluster. Returns its identity and the managers' addresses.
    pub(super) async fn enter(
        &self,
        availability: Availability,
    ) -> Result<(Identity, Vec<String>), SwarmError> {
        use wire::pb::objects::Availability as Wire;
        let key_pem = new_key().map_err(SwarmError::refused)?;
        let request = pb::IssueRequest {
            csr_pem: signing_request(&key_pem).map_err(SwarmError::refused)?,
            token: self.token.clone(),
            availability: match availability {
                Availability::Active => Wire::Active.into(),
                Availability::Pause => Wire::Pause.into(),
                Availability::Drain => Wire::Drain.into(),
            },
            ..Default::default()
        };
        let reply = CaClient::new(self.channel.clone())
            .issue(timed(request))
            .await?;
        let reply = reply.into_inner();
        let identity = Identity::new(self.root_pem.clone(), reply.cert_pem, key_pem);
        let mut managers = reply.managers;
        if !managers.contains(&self.remote) {
            managers.push(self.remote.clone());
        }
        Ok((identity.map_err(SwarmError::refused)?, managers))
    }
}

/// Renews a certificate at one of `managers`, with proof of the key.
pub(super) async fn renew(
    identity: &Identity,
    managers: &[String],
) -> Result<Identity, SwarmError> {
    let mut failure = SwarmError::Refused("no manager is known".into());
    for manager in managers {
        match renew_at(identity, manager).await {
            Ok(identity) => return Ok(identity),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

async fn renew_at(identity: &Identity, manager: &str) -> Result<Identity, SwarmError> {
    // Without a client certificate: the one that we have may have expired.
    let config = tls::stranger(identity.root_pem()).map_err(SwarmError::refused)?;
    let channel = connect_with(manager, config)
        .await
        .map_err(SwarmError::refused)?;
    let request = pb::RenewRequest {
        csr_pem: identity.signing_request().map_err(SwarmError::refused)?,
        cert_pem: identity.certificate_pem().into(),
        forwarded: false,
    };
    let reply = CaClient::new(channel).renew(timed(request)).await?;
    identity
        .renewed(reply.into_inner().cert_pem)
        .map_err(SwarmError::refused)
}
