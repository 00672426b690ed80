//! Identities: the certificate authority, certificates of nodes, join tokens.
//!
//! A node's identity is its key. Its certificate says who it is (CN: node id), what it may do (OU: role) and where it
//! belongs (O: cluster id); it can be had again at any time against the last one and proof of the key.

mod identity;
mod root;
mod service;
mod token;
mod x509;

pub use identity::{Identity, IdentityError};
pub(crate) use identity::{new_key, signing_request};
pub use root::{CaError, CertificateAuthority, Issued};
pub(crate) use service::CaService;
pub use token::{InvalidToken, JoinToken};
pub(crate) use x509::{Certificate, NodeCertificate};

use model::Role;

/// Organizational unit of managers' certificates, also the name that a manager's server answers to.
pub const MANAGER_UNIT: &str = "swarm-manager";
/// Organizational unit of workers' certificates.
pub const WORKER_UNIT: &str = "swarm-worker";
/// Common name of the root certificate.
pub const ROOT_NAME: &str = "swarm-ca";

/// The role as certificates say it.
pub(crate) fn unit(role: Role) -> &'static str {
    match role {
        Role::Manager => MANAGER_UNIT,
        Role::Worker => WORKER_UNIT,
    }
}

/// The role that a certificate says.
pub(crate) fn role_of_unit(unit: &str) -> Option<Role> {
    match unit {
        MANAGER_UNIT => Some(Role::Manager),
        WORKER_UNIT => Some(Role::Worker),
        _ => None,
    }
}
