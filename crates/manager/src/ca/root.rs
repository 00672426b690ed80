//! The certificate authority itself.

use super::{Certificate, NodeCertificate, ROOT_NAME, unit};
use crate::random;
use model::cluster::RootCa;
use model::{ClusterId, NodeId, Role};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber,
};
use std::time::{Duration, SystemTime};

/// Validity of the root certificate, as in Docker Swarm: 20 years.
const ROOT_VALIDITY: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Certificates are valid from this long before they are made: clocks of nodes differ.
pub(super) const BACKDATE: Duration = Duration::from_secs(3600);

/// Why a certificate was not made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The CA's own certificate or key cannot be read.
    #[error("the certificate authority of the cluster is unusable: {0}")]
    Authority(rcgen::Error),
    /// The certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Make(rcgen::Error),
    /// The request for a certificate is not signed with its key, or is none.
    #[error("invalid certificate signing request: {0}")]
    Request(rcgen::Error),
    /// The last certificate is not of this cluster.
    #[error("the certificate to be renewed was not issued by the CA of this cluster")]
    Foreign,
    /// The request is signed with another key than the last certificate's.
    #[error("the certificate to be renewed belongs to another key")]
    OtherKey,
}

/// Signs certificates of nodes.
pub struct CertificateAuthority {
    root: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Issued<'a> {
    /// For whom.
    pub node: &'a NodeId,
    /// What it may do.
    pub role: Role,
    /// Where it belongs.
    pub cluster: &'a ClusterId,
    /// From now on.
    pub validity: Duration,
}

impl CertificateAuthority {
    /// Makes the CA of a new cluster.
    ///
    /// # Errors
    /// When the random numbers or the signature fail.
    pub fn create() -> Result<RootCa, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(CaError::Make)?;
        let mut params = params(ROOT_VALIDITY);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, ROOT_NAME);
        let certificate = params.self_signed(&key).map_err(CaError::Make)?;
        Ok(RootCa {
            cert_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    /// The CA as it lies in the replicated state.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn load(ca: &RootCa) -> Result<CertificateAuthority, CaError> {
        let key = KeyPair::from_pem(&ca.key_pem).map_err(CaError::Authority)?;
        let unreadable = CaError::Authority(rcgen::Error::CouldNotParseCertificate);
        let root = Certificate::from_pem(&ca.cert_pem).ok_or(unreadable)?;
        let issuer = Issuer::from_ca_cert_der(root.der(), key).map_err(CaError::Authority)?;
        Ok(CertificateAuthority { root, issuer })
    }

    /// Signs the key of a request; subject and names are ours, not the request's.
    ///
    /// # Errors
    /// When the request is not signed with its own key.
    pub fn issue(&self, csr_pem: &str, issued: &Issued<'_>) -> Result<String, CaError> {
        let request =
            CertificateSigningRequestParams::from_pem(csr_pem).map_err(CaError::Request)?;
        let names = vec![issued.node.to_string(), unit(issued.role).to_owned()];
        let mut params = CertificateParams::new(names).map_err(CaError::Make)?;
        set_validity(&mut params, issued.validity);
        params.distinguished_name = DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, issued.cluster.as_str());
        name.push(DnType::OrganizationalUnitName, unit(issued.role));
        name.push(DnType::CommonName, issued.node.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&request.public_key, &self.issuer);
        Ok(certificate.map_err(CaError::Make)?.pem())
    }

    /// Whom a request for renewal comes from: proved by the last certificate, which may have expired, and a request
    /// that is signed with its key.
    ///
    /// # Errors
    /// When the proof does not hold.
    pub fn check_renewal(&self, csr_pem: &str, cert_pem: &str) -> Result<NodeId, CaError> {
        let request =
            CertificateSigningRequestParams::from_pem(csr_pem).map_err(CaError::Request)?;
        let last = Certificate::from_pem(cert_pem).ok_or(CaError::Foreign)?;
        if !last.is_signed_by(&self.root) {
            return Err(CaError::Foreign);
        }
        let last = NodeCertificate::read(last.der()).ok_or(CaError::Foreign)?;
        if last.public_key != request.public_key.der_bytes() {
            return Err(CaError::OtherKey);
        }
        Ok(last.node)
    }
}

fn params(validity: Duration) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    set_validity(&mut params, validity);
    params
}

fn set_validity(params: &mut CertificateParams, validity: Duration) {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = epoch + since_epoch.unwrap_or_default();
    params.not_before = now - BACKDATE;
    params.not_after = now + validity;
    params.serial_number = Some(SerialNumber::from_slice(&random::bytes::<16>()));
}
