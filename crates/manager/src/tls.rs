//! TLS between nodes: configurations that follow from an identity.
//!
//! TLS 1.3 only, since all peers are Starling; no resumption, so that a connection always shows the certificate that
//! its peer has now.

use crate::ca::Identity;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme, version,
};
use std::sync::Arc;

/// HTTP/2, which gRPC needs.
const ALPN: &[u8] = b"h2";

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A certificate or key is not what it should be.
    #[error("cannot set up TLS: {0}")]
    Config(String),
}

fn failed(error: impl std::fmt::Display) -> TlsError {
    TlsError::Config(error.to_string())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(root_pem: &str) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(root_pem.as_bytes()).map_err(failed)?;
    roots.add(root).map_err(failed)?;
    Ok(Arc::new(roots))
}

type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn chain(identity: &Identity) -> Result<Chain, TlsError> {
    let pem = identity.certificate_pem().as_bytes();
    let certificate = CertificateDer::from_pem_slice(pem).map_err(failed)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem().as_bytes()).map_err(failed)?;
    Ok((vec![certificate], key))
}

/// A server that lets everybody connect who has no certificate or one of the cluster. What they may do is
/// checked for each call.
pub(crate) fn server(identity: &Identity) -> Result<Arc<ServerConfig>, TlsError> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(identity.root_pem())?, provider())
            .allow_unauthenticated()
            .build()
            .map_err(failed)?;
    let (certificates, key) = chain(identity)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(failed)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key)
        .map_err(failed)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// A client that shows this identity.
pub(crate) fn client(identity: &Identity) -> Result<Arc<ClientConfig>, TlsError> {
    let (certificates, key) = chain(identity)?;
    let config = client_builder()?
        .with_root_certificates(roots(identity.root_pem())?)
        .with_client_auth_cert(certificates, key)
        .map_err(failed)?;
    Ok(finish(config))
}

/// A client without a certificate that knows the cluster's root: a joiner, or a node whose certificate has expired.
pub(crate) fn stranger(root_pem: &str) -> Result<Arc<ClientConfig>, TlsError> {
    let config = client_builder()?
        .with_root_certificates(roots(root_pem)?)
        .with_no_client_auth();
    Ok(finish(config))
}

/// A client that believes any server: only to fetch the root certificate, which is then checked against the digest
/// of a join token.
pub(crate) fn unverified() -> Result<Arc<ClientConfig>, TlsError> {
    let config = client_builder()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider())))
        .with_no_client_auth();
    Ok(finish(config))
}

fn client_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError>
{
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .map_err(failed)
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
