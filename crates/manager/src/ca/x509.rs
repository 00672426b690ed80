//! What certificates say.

use super::role_of_unit;
use model::{ClusterId, NodeId, Role};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// A certificate in DER.
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
}

/// What a certificate of a node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeCertificate {
    pub(crate) node: NodeId,
    pub(crate) role: Role,
    pub(crate) cluster: ClusterId,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// The public key, as the certificate has it.
    pub(crate) public_key: Vec<u8>,
}

impl Certificate {
    pub(crate) fn from_pem(pem: &str) -> Option<Certificate> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
        X509Certificate::from_der(&der).ok()?;
        Some(Certificate { der })
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whether `root` signed it. Its validity in time is not asked.
    pub(crate) fn is_signed_by(&self, root: &Certificate) -> bool {
        let (Ok((_, certificate)), Ok((_, root))) = (
            X509Certificate::from_der(&self.der),
            X509Certificate::from_der(&root.der),
        ) else {
            return false;
        };
        certificate.issuer() == root.subject()
            && certificate
                .verify_signature(Some(root.public_key()))
                .is_ok()
    }
}

impl NodeCertificate {
    /// Reads a certificate that was checked by TLS or by [`Certificate::is_signed_by`].
    pub(crate) fn read(der: &[u8]) -> Option<NodeCertificate> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let validity = certificate.validity();
        Some(NodeCertificate {
            node: NodeId::from(only(subject, X509Name::iter_common_name)?),
            role: role_of_unit(only(subject, X509Name::iter_organizational_unit)?)?,
            cluster: ClusterId::from(only(subject, X509Name::iter_organization)?),
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
            public_key: certificate.public_key().subject_public_key.data.to_vec(),
        })
    }
}

/// The value of an attribute that is there once.
fn only<'a, I>(name: &'a X509Name<'a>, attribute: impl Fn(&'a X509Name<'a>) -> I) -> Option<&'a str>
where
    I: Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>,
{
    let mut values = attribute(name);
    match (values.next(), values.next()) {
        (Some(value), None) => value.as_str().ok(),
        _ => None,
    }
}

fn time(unix: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(unix).unwrap_or(0))
}
