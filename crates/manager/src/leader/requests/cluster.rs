//! The cluster object.

use super::{Desk, Planned, in_sequence, not_found};
use model::cluster::{CLUSTER_NAME, JoinSecret};
use model::control::Written;
use model::{Change, ClusterSpec, IdSource, id, validate};

/// The secret part of a new join token.
pub(super) fn new_secret(ids: &mut dyn IdSource) -> JoinSecret {
    JoinSecret(id::encode(ids.next_id()))
}

pub(super) fn update(
    desk: &mut Desk<'_>,
    version: u64,
    spec: ClusterSpec,
    rotate_worker: bool,
    rotate_manager: bool,
) -> Planned {
    let Some(cluster) = desk.view.cluster() else {
        return not_found("cluster", CLUSTER_NAME);
    };
    validate::cluster(&spec)?;
    in_sequence(cluster.meta.version, version)?;
    let mut secret = |wanted: bool| wanted.then(|| new_secret(desk.ids));
    let change = Change::UpdateCluster {
        if_version: version,
        spec,
        worker_token: secret(rotate_worker),
        manager_token: secret(rotate_manager),
    };
    Ok((vec![change], Written::Done))
}
