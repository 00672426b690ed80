//! Who this node is: its key, its certificate and the cluster's root, on disk and in memory.

use super::{Certificate, NodeCertificate};
use crate::files;
use model::{ClusterId, NodeId, Role};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// File names as in Docker Swarm.
const ROOT_FILE: &str = "swarm-root-ca.crt";
const CERTIFICATE_FILE: &str = "swarm-node.crt";
const KEY_FILE: &str = "swarm-node.key";
/// Part of its validity after which a certificate is renewed, at the earliest and at the latest: nodes that were
/// made together do not come back together.
const RENEWAL: std::ops::Range<f64> = 0.5..0.8;

/// The identity of this node.
#[derive(Clone)]
pub struct Identity {
    root_pem: String,
    certificate_pem: String,
    key_pem: String,
    certificate: NodeCertificate,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The key cannot be made or read.
    #[error("the key of this node is unusable: {0}")]
    Key(rcgen::Error),
    /// The certificate is none of a node, or not of this key, or not of this root.
    #[error("the certificate of this node is unusable: {0}")]
    Certificate(&'static str),
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// A new key, in PEM.
pub(crate) fn new_key() -> Result<String, IdentityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IdentityError::Key)?;
    Ok(key.serialize_pem())
}

/// A request for a certificate of this key. What it says beside the key is the CA's business.
pub(crate) fn signing_request(key_pem: &str) -> Result<String, IdentityError> {
    let key = KeyPair::from_pem(key_pem).map_err(IdentityError::Key)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "node");
    let request = params.serialize_request(&key).map_err(IdentityError::Key)?;
    request.pem().map_err(IdentityError::Key)
}

impl Identity {
    /// Puts an identity together and checks that its parts belong together.
    ///
    /// # Errors
    /// When they do not.
    pub fn new(
        root_pem: String,
        certificate_pem: String,
        key_pem: String,
    ) -> Result<Identity, IdentityError> {
        let refuse = IdentityError::Certificate;
        let key = KeyPair::from_pem(&key_pem).map_err(IdentityError::Key)?;
        let root = Certificate::from_pem(&root_pem).ok_or(refuse("the root is none"))?;
        let read = Certificate::from_pem(&certificate_pem).ok_or(refuse("it is none"))?;
        if !read.is_signed_by(&root) {
            return Err(refuse("it was not issued by the root that is kept with it"));
        }
        let certificate =
            NodeCertificate::read(read.der()).ok_or(refuse("it does not say which node it is"))?;
        if certificate.public_key != key.public_key_raw() {
            return Err(refuse("it belongs to another key"));
        }
        Ok(Identity {
            root_pem,
            certificate_pem,
            key_pem,
            certificate,
        })
    }

    /// Reads the identity below `dir`; none when there is none.
    ///
    /// # Errors
    /// When a file cannot be read or they do not belong together.
    pub fn load(dir: &Path) -> Result<Option<Identity>, IdentityError> {
        let read = |name: &str| {
            let path = dir.join(name);
            files::read_if_there(&path).map_err(|source| IdentityError::Io { path, source })
        };
        match (read(ROOT_FILE)?, read(CERTIFICATE_FILE)?, read(KEY_FILE)?) {
            (Some(root), Some(certificate), Some(key)) => {
                Identity::new(root, certificate, key).map(Some)
            }
            (_, None, _) => Ok(None),
            _ => Err(IdentityError::Certificate("its key or its root is missing")),
        }
    }

    /// Writes it below `dir`. The certificate comes last: with it the identity is complete.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn store(&self, dir: &Path) -> Result<(), IdentityError> {
        let io = |path: &Path, source| IdentityError::Io {
            path: path.to_owned(),
            source,
        };
        files::make_private_dir(dir).map_err(|e| io(dir, e))?;
        for (name, mode, content) in [
            (ROOT_FILE, 0o644, &self.root_pem),
            (KEY_FILE, 0o600, &self.key_pem),
            (CERTIFICATE_FILE, 0o644, &self.certificate_pem),
        ] {
            let path = dir.join(name);
            files::write_atomically(&path, mode, content.as_bytes()).map_err(|e| io(&path, e))?;
        }
        Ok(())
    }

    /// The same node and key with a newer certificate.
    ///
    /// # Errors
    /// When the certificate is not this node's.
    pub fn renewed(&self, certificate_pem: String) -> Result<Identity, IdentityError> {
        let renewed = Identity::new(self.root_pem.clone(), certificate_pem, self.key_pem.clone())?;
        if renewed.node() != self.node() || renewed.cluster() != self.cluster() {
            return Err(IdentityError::Certificate("it is of another node"));
        }
        Ok(renewed)
    }

    /// A request for a newer certificate, signed with the key.
    ///
    /// # Errors
    /// When the key is unusable.
    pub fn signing_request(&self) -> Result<String, IdentityError> {
        signing_request(&self.key_pem)
    }

    /// This node.
    pub fn node(&self) -> &NodeId {
        &self.certificate.node
    }
    /// Its role.
    pub fn role(&self) -> Role {
        self.certificate.role
    }
    /// Its cluster.
    pub fn cluster(&self) -> &ClusterId {
        &self.certificate.cluster
    }
    /// The cluster's root certificate in PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }
    /// Its certificate in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }
    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// How long until the certificate should be renewed; zero when that is due, or it has expired. `fraction` of
    /// `[0, 1)` spreads nodes.
    pub(crate) fn renew_in(&self, now: SystemTime, fraction: f64) -> Duration {
        let NodeCertificate {
            not_before,
            not_after,
            ..
        } = self.certificate;
        let whole = not_after.duration_since(not_before).unwrap_or_default();
        let part = RENEWAL.start + (RENEWAL.end - RENEWAL.start) * fraction;
        let due = not_before + whole.mul_f64(part);
        due.duration_since(now).unwrap_or_default()
    }
}
