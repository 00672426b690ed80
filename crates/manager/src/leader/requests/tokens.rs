//! Join tokens with labels.

use super::cluster::new_secret;
use super::{Desk, Planned, Rejected, not_found, precondition};
use model::cluster::{CLUSTER_NAME, LabelledToken, MAX_LABELLED_TOKENS};
use model::control::{ControlError, Written};
use model::{Change, Labels, Role, validate};

pub(super) fn create(desk: &mut Desk<'_>, name: String, role: Role, labels: Labels) -> Planned {
    validate::token(&name, &labels)?;
    let Some(cluster) = desk.view.cluster() else {
        return not_found("cluster", CLUSTER_NAME);
    };
    if cluster.tokens.iter().any(|t| t.name == name) {
        let text = format!("join token {name} already exists");
        return Err(Rejected(ControlError::AlreadyExists(text)));
    }
    if cluster.tokens.len() >= MAX_LABELLED_TOKENS {
        return precondition(format!(
            "there are {MAX_LABELLED_TOKENS} join tokens with labels already: remove those that are not used any more"
        ));
    }
    let mut tokens = cluster.tokens.clone();
    tokens.push(LabelledToken {
        name,
        role,
        labels,
        secret: new_secret(desk.ids),
    });
    let change = Change::SetTokens {
        if_version: cluster.meta.version,
        tokens,
    };
    Ok((vec![change], Written::Done))
}

pub(super) fn remove(desk: &Desk<'_>, name: &str) -> Planned {
    let Some(cluster) = desk.view.cluster() else {
        return not_found("cluster", CLUSTER_NAME);
    };
    let mut tokens = cluster.tokens.clone();
    tokens.retain(|t| t.name != name);
    if tokens.len() == cluster.tokens.len() {
        return not_found("join token", name);
    }
    let change = Change::SetTokens {
        if_version: cluster.meta.version,
        tokens,
    };
    Ok((vec![change], Written::Done))
}
