//! Certificates are renewed in time.

use super::place::{Place, TRY_AGAIN};
use super::{SwarmError, enter};
use crate::ca::{CertificateAuthority, Identity, Issued};
use crate::random;
use model::Role;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// Longest wait before a certificate's end is looked at again: the clock may have been set.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);

impl Place {
    /// Renews the certificate in time, as long as the node is in the swarm.
    pub(super) async fn renew_for_ever(self: Arc<Self>) {
        let fraction = random::fraction();
        loop {
            let due = self.identity().renew_in(SystemTime::now(), fraction);
            if !due.is_zero() {
                sleep(due.min(LOOK_AGAIN)).await;
                continue;
            }
            if let Err(error) = self.renew().await {
                tracing::warn!(%error, "the certificate of this node was not renewed; trying again");
                sleep(TRY_AGAIN).await;
            }
        }
    }

    pub(super) async fn renew(&self) -> Result<(), SwarmError> {
        let identity = self.identity();
        let renewed = match self.renew_here(&identity) {
            Some(renewed) => renewed?,
            None => {
                let managers = self.state().managers.clone();
                enter::renew(&identity, &managers).await?
            }
        };
        if renewed.role() != identity.role() {
            // A manager's certificate without its place in the Raft group would not survive a restart.
            let text = "the role of this node is being changed, which brings a certificate";
            return Err(SwarmError::Refused(text.into()));
        }
        renewed
            .store(&self.paths.certificates())
            .map_err(SwarmError::refused)?;
        self.credentials()
            .replace(renewed)
            .map_err(SwarmError::refused)?;
        tracing::info!("the certificate of this node was renewed");
        Ok(())
    }

    /// A manager has the CA in its state and asks nobody: managers that were all asleep for too long could not even
    /// talk to each other.
    fn renew_here(&self, identity: &Identity) -> Option<Result<Identity, SwarmError>> {
        let manager = self.manager.as_ref()?;
        let known = manager.local(|view| {
            let cluster = view.cluster()?.clone();
            // A role that changes is the others' to certify.
            let role = view.node(identity.node())?.role;
            (role == Role::Manager).then_some((cluster, role))
        });
        let (cluster, role) = known?;
        let renew = || {
            let ca = CertificateAuthority::load(&cluster.ca).map_err(SwarmError::refused)?;
            let request = identity.signing_request().map_err(SwarmError::refused)?;
            let issued = Issued {
                node: identity.node(),
                role,
                cluster: &cluster.id,
                validity: cluster.spec.node_cert_expiry,
            };
            let certificate = ca.issue(&request, &issued).map_err(SwarmError::refused)?;
            identity.renewed(certificate).map_err(SwarmError::refused)
        };
        Some(renew())
    }
}
