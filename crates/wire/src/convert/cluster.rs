//! The cluster.

use super::each;
use super::enums::Enumeration;
use crate::DecodeError;
use crate::error::need;
use crate::pb::objects as pb;
use model::cluster::{JoinSecret, LabelledToken, RootCa};
use model::{Cluster, ClusterId, ClusterSpec};

impl From<&Cluster> for pb::Cluster {
    fn from(cluster: &Cluster) -> Self {
        pb::Cluster {
            id: cluster.id.as_str().into(),
            meta: Some(cluster.meta.into()),
            spec: Some((&cluster.spec).into()),
            ca: Some((&cluster.ca).into()),
            worker_token: cluster.worker_token.0.clone(),
            manager_token: cluster.manager_token.0.clone(),
            tokens: cluster.tokens.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<pb::Cluster> for Cluster {
    type Error = DecodeError;
    fn try_from(cluster: pb::Cluster) -> Result<Self, DecodeError> {
        Ok(Cluster {
            id: ClusterId::from(cluster.id),
            meta: need("the meta data of the cluster", cluster.meta)?.into(),
            spec: need("the spec of the cluster", cluster.spec)?.try_into()?,
            ca: need("the CA of the cluster", cluster.ca)?.into(),
            worker_token: JoinSecret(cluster.worker_token),
            manager_token: JoinSecret(cluster.manager_token),
            tokens: each(cluster.tokens)?,
        })
    }
}

impl From<&LabelledToken> for pb::LabelledToken {
    fn from(token: &LabelledToken) -> Self {
        pb::LabelledToken {
            name: token.name.clone(),
            role: token.role.to_wire(),
            labels: token.labels.clone(),
            secret: token.secret.0.clone(),
        }
    }
}

impl TryFrom<pb::LabelledToken> for LabelledToken {
    type Error = DecodeError;
    fn try_from(token: pb::LabelledToken) -> Result<Self, DecodeError> {
        Ok(LabelledToken {
            name: token.name,
            role: Enumeration::from_wire(token.role)?,
            labels: token.labels,
            secret: JoinSecret(token.secret),
        })
    }
}

impl From<&ClusterSpec> for pb::ClusterSpec {
    fn from(spec: &ClusterSpec) -> Self {
        pb::ClusterSpec {
            name: spec.name.clone(),
            labels: spec.labels.clone(),
            task_history_limit: spec.task_history_limit,
            snapshot_interval: spec.snapshot_interval,
            keep_old_snapshots: spec.keep_old_snapshots,
            log_entries_for_slow_followers: spec.log_entries_for_slow_followers,
            election_tick: spec.election_tick,
            heartbeat_tick: spec.heartbeat_tick,
            log_driver: spec.log_driver.as_ref().map(Into::into),
            heartbeat_period: Some(spec.heartbeat_period.into()),
            node_cert_expiry: Some(spec.node_cert_expiry.into()),
        }
    }
}

impl TryFrom<pb::ClusterSpec> for ClusterSpec {
    type Error = DecodeError;
    fn try_from(spec: pb::ClusterSpec) -> Result<Self, DecodeError> {
        Ok(ClusterSpec {
            name: spec.name,
            labels: spec.labels,
            task_history_limit: spec.task_history_limit,
            snapshot_interval: spec.snapshot_interval,
            keep_old_snapshots: spec.keep_old_snapshots,
            log_entries_for_slow_followers: spec.log_entries_for_slow_followers,
            election_tick: spec.election_tick,
            heartbeat_tick: spec.heartbeat_tick,
            log_driver: spec.log_driver.map(Into::into),
            heartbeat_period: need("the heartbeat period", spec.heartbeat_period)?.try_into()?,
            node_cert_expiry: need("the validity of certificates", spec.node_cert_expiry)?
                .try_into()?,
        })
    }
}

impl From<&RootCa> for pb::RootCa {
    fn from(ca: &RootCa) -> Self {
        pb::RootCa {
            cert_pem: ca.cert_pem.clone(),
            key_pem: ca.key_pem.clone(),
        }
    }
}

impl From<pb::RootCa> for RootCa {
    fn from(ca: pb::RootCa) -> Self {
        RootCa {
            cert_pem: ca.cert_pem,
            key_pem: ca.key_pem,
        }
    }
}
