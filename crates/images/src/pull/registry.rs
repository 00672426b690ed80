//! One registry, as one pull talks to it. The HTTP is oci-client's; digests are checked here again.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::StreamExt;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciError, OciErrorCode};
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, RegistryOperation};

use super::insecure::Insecure;
use crate::digest::Digest;
use crate::document::{Descriptor, FetchedManifest, MANIFEST_TYPES, Manifest};
use crate::error::PullError;
use crate::reference::Reference;
use crate::store::{BlobWriter, MAX_DOCUMENT};
use crate::types::Auth;

/// A registry that does not accept a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// A registry that sends nothing for so long has gone.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How this daemon introduces itself.
const USER_AGENT: &str = concat!("starling/", env!("CARGO_PKG_VERSION"));

/// Whether a blob's transfer may be tried again.
pub(super) enum BlobError {
    /// The connection broke.
    Broken(PullError),
    /// Trying again would not help.
    Final(PullError),
}

/// A repository of a registry that has answered.
pub(super) struct Registry {
    client: Client,
    auth: RegistryAuth,
    reference: Reference,
}

impl Registry {
    /// Finds out how the registry is reached and authenticates. An insecure one is tried by unverified TLS and then by plain
    /// HTTP, as Docker does.
    pub(super) async fn connect(
        reference: &Reference,
        auth: Option<&Auth>,
        insecure: &Insecure,
    ) -> Result<Self, PullError> {
        let auth = match auth {
            None => RegistryAuth::Anonymous,
            Some(Auth::Basic { username, password }) => {
                RegistryAuth::Basic(username.clone(), password.clone())
            }
            Some(Auth::Bearer(token)) => RegistryAuth::Bearer(token.clone()),
        };
        let attempts: &[(ClientProtocol, bool)] = if insecure.allows(reference.domain()).await {
            &[(ClientProtocol::Https, true), (ClientProtocol::Http, false)]
        } else {
            &[(ClientProtocol::Https, false)]
        };
        let mut failure = None;
        for attempt in attempts {
            // With a ready token nothing would be asked, so another client asks without one.
            let probe = match &auth {
                RegistryAuth::Bearer(_) => {
                    Self::new(reference, RegistryAuth::Anonymous, attempt)?
                        .authenticate()
                        .await
                }
                _ => Ok(()),
            };
            let registry = Self::new(reference, auth.clone(), attempt)?;
            let answer = match probe {
                Err(error @ OciDistributionError::RequestError(_)) => Err(error),
                _ => registry.authenticate().await,
            };
            match answer {
                Ok(()) => return Ok(registry),
                Err(error @ OciDistributionError::RequestError(_)) => {
                    failure = Some(registry.explain(error))
                }
                Err(error) => return Err(registry.explain(error)),
            }
        }
        Err(failure.expect("there is at least one attempt"))
    }

    fn new(
        reference: &Reference,
        auth: RegistryAuth,
        (protocol, unverified): &(ClientProtocol, bool),
    ) -> Result<Self, PullError> {
        let config = ClientConfig {
            protocol: protocol.clone(),
            accept_invalid_certificates: *unverified,
            read_timeout: Some(READ_TIMEOUT),
            connect_timeout: Some(CONNECT_TIMEOUT),
            user_agent: USER_AGENT,
            ..ClientConfig::default()
        };
        let failed = |error| PullError::Registry(format!("cannot set up TLS: {}", causes(&error)));
        let client = Client::try_from(config).map_err(failed)?;
        Ok(Self {
            client,
            auth,
            reference: reference.clone(),
        })
    }

    async fn authenticate(&self) -> Result<(), OciDistributionError> {
        self.client
            .auth(&self.image(None), &self.auth, RegistryOperation::Pull)
            .await
            .map(drop)
    }

    /// The manifest or list that the reference means, or that of `digest`.
    pub(super) async fn manifest(
        &self,
        digest: Option<&Digest>,
    ) -> Result<FetchedManifest, PullError> {
        let wanted = digest.or(self.reference.digest());
        let image = self.image(wanted);
        let failed = |source| match source {
            OciDistributionError::DigestError(_) => self.manifest_verification(wanted),
            other => self.explain(other),
        };
        let pulled = self
            .client
            .pull_manifest_raw(&image, &self.auth, &MANIFEST_TYPES)
            .await;
        let (bytes, _) = pulled.map_err(failed)?;
        if bytes.len() as u64 > MAX_DOCUMENT {
            let text = format!(
                "the manifest of {} is larger than 8 MiB",
                self.reference.familiar()
            );
            return Err(PullError::Registry(text));
        }
        let got = Digest::of(&bytes);
        if wanted.is_some_and(|wanted| *wanted != got) {
            return Err(self.manifest_verification(wanted));
        }
        let (manifest, media_type) = Manifest::parse(&bytes)?;
        Ok(FetchedManifest {
            manifest,
            media_type,
            digest: got,
            bytes: bytes.to_vec(),
        })
    }

    fn manifest_verification(&self, digest: Option<&Digest>) -> PullError {
        let digest = digest.map_or_else(|| self.reference.familiar(), Digest::to_string);
        PullError::Verification {
            what: "manifest",
            digest,
        }
    }

    /// A small blob, whole.
    pub(super) async fn document(
        &self,
        descriptor: &Descriptor,
        what: &'static str,
    ) -> Result<Vec<u8>, PullError> {
        if descriptor.size > MAX_DOCUMENT {
            let text = format!("the {what} {} is larger than 8 MiB", descriptor.digest);
            return Err(PullError::Registry(text));
        }
        let mut bytes = Vec::new();
        let collect = |chunk: &[u8]| {
            bytes.extend_from_slice(chunk);
            Ok(())
        };
        match self.transfer(descriptor, what, collect).await {
            Ok(()) => {}
            Err(BlobError::Broken(error) | BlobError::Final(error)) => return Err(error),
        }
        if Digest::of(&bytes) != descriptor.digest {
            return Err(PullError::Verification {
                what,
                digest: descriptor.digest.to_string(),
            });
        }
        Ok(bytes)
    }

    /// Receives a layer's blob; `progress` hears how many bytes are there. The caller checks the digest.
    pub(super) async fn layer(
        &self,
        descriptor: &Descriptor,
        blob: &mut BlobWriter,
        mut progress: impl FnMut(u64),
    ) -> Result<(), BlobError> {
        let store = |chunk: &[u8]| {
            blob.write(chunk)?;
            progress(blob.size());
            Ok(())
        };
        self.transfer(descriptor, LAYER, store).await
    }

    /// Hands a blob's bytes to `take`, never more than its descriptor says.
    async fn transfer(
        &self,
        descriptor: &Descriptor,
        what: &'static str,
        mut take: impl FnMut(&[u8]) -> Result<(), PullError>,
    ) -> Result<(), BlobError> {
        let verification = || PullError::Verification {
            what,
            digest: descriptor.digest.to_string(),
        };
        let wanted = OciDescriptor {
            digest: descriptor.digest.to_string(),
            ..OciDescriptor::default()
        };
        let opened = self
            .client
            .pull_blob_stream(&self.image(None), &wanted)
            .await;
        let mut stream = opened.map_err(|error| match error {
            OciDistributionError::RequestError(_) => BlobError::Broken(self.explain(error)),
            error => BlobError::Final(self.explain(error)),
        })?;
        let mut left = descriptor.size;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| match error.get_ref() {
                // oci-client checks the digest, too, and says so at the end of the stream.
                Some(cause) if cause.is::<oci_client::errors::DigestError>() => {
                    BlobError::Final(verification())
                }
                _ => BlobError::Broken(PullError::Registry(format!(
                    "the transfer of {} from {} broke: {}",
                    descriptor.digest,
                    self.reference.domain(),
                    causes(&error)
                ))),
            })?;
            left = left
                .checked_sub(chunk.len() as u64)
                .ok_or_else(|| BlobError::Final(verification()))?;
            take(&chunk).map_err(BlobError::Final)?;
        }
        if left > 0 {
            Err(BlobError::Final(verification()))
        } else {
            Ok(())
        }
    }

    /// The reference in oci-client's form. Blobs need only the repository.
    fn image(&self, digest: Option<&Digest>) -> oci_client::Reference {
        let (domain, path) = (
            self.reference.domain().to_owned(),
            self.reference.path().to_owned(),
        );
        match digest {
            Some(digest) => oci_client::Reference::with_digest(domain, path, digest.to_string()),
            None => {
                let tag = self
                    .reference
                    .tag()
                    .unwrap_or(crate::reference::DEFAULT_TAG);
                oci_client::Reference::with_tag(domain, path, tag.to_owned())
            }
        }
    }

    /// The registry's refusal in Docker's words.
    fn explain(&self, error: OciDistributionError) -> PullError {
        let name = self.reference.familiar_name();
        let denied = format!(
            "pull access denied for {name}, repository does not exist or may require 'docker login'"
        );
        match error {
            OciDistributionError::RegistryError { envelope, url } => {
                match envelope.errors.first() {
                    Some(first) => self.explain_code(first, &denied),
                    None => {
                        PullError::Registry(format!("{url}: the registry refused without a reason"))
                    }
                }
            }
            OciDistributionError::UnauthorizedError { .. }
                if self.auth == RegistryAuth::Anonymous =>
            {
                PullError::Unauthorized(format!("{denied}: unauthorized: authentication required"))
            }
            OciDistributionError::UnauthorizedError { .. }
            | OciDistributionError::AuthenticationFailure(_) => PullError::Unauthorized(format!(
                "unauthorized: the registry {} does not accept these credentials for {name}",
                self.reference.domain()
            )),
            OciDistributionError::ServerError { code: 404, .. } => {
                let familiar = self.reference.familiar();
                PullError::NotFound(format!(
                    "manifest for {familiar} not found: manifest unknown"
                ))
            }
            OciDistributionError::ServerError { code, url, .. } => {
                PullError::Registry(format!("received unexpected HTTP status {code} from {url}"))
            }
            OciDistributionError::RequestError(error) => {
                let domain = self.reference.domain();
                let why = not_reached(domain, causes(&error));
                PullError::Registry(format!("Get \"https://{domain}/v2/\": {why}"))
            }
            other => {
                PullError::Registry(format!("{}: {}", self.reference.domain(), causes(&other)))
            }
        }
    }

    fn explain_code(&self, error: &OciError, denied: &str) -> PullError {
        let message = &error.message;
        let familiar = self.reference.familiar();
        match &error.code {
            OciErrorCode::ManifestUnknown | OciErrorCode::NotFound => PullError::NotFound(format!(
                "manifest for {familiar} not found: manifest unknown: {message}"
            )),
            OciErrorCode::NameUnknown => {
                let name = self.reference.familiar_name();
                PullError::NotFound(format!(
                    "repository {name} not found: name unknown: {message}"
                ))
            }
            OciErrorCode::Denied => PullError::NotFound(format!("{denied}: denied: {message}")),
            OciErrorCode::Unauthorized => {
                PullError::Unauthorized(format!("{denied}: unauthorized: {message}"))
            }
            OciErrorCode::BlobUnknown => PullError::Registry(format!("blob unknown: {message}")),
            OciErrorCode::Toomanyrequests => {
                PullError::Registry(format!("toomanyrequests: {message}"))
            }
            code => {
                PullError::Registry(format!("{}: {message}", format!("{code:?}").to_lowercase()))
            }
        }
    }
}

/// What is verified, in Docker's words.
pub(super) const LAYER: &str = "filesystem layer";

/// What rustls says when the other side does not speak TLS.
const NO_TLS: &str = "InvalidContentType";

/// Why a registry was not reached; of one without TLS in Docker's words, and what to do.
fn not_reached(domain: &str, causes: String) -> String {
    if causes.contains(NO_TLS) {
        format!(
            "http: server gave HTTP response to HTTPS client (if this registry has no TLS, start the daemon with --insecure-registry {domain})"
        )
    } else {
        causes
    }
}

/// The error with all of its causes: reqwest tells only "error sending request" itself.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_without_tls_gets_an_advice() {
        let said = |causes: &str| not_reached("r:5000", causes.to_owned());
        assert_eq!(
            said("client error (Connect): received corrupt message of type InvalidContentType"),
            "http: server gave HTTP response to HTTPS client (if this registry has no TLS, start the daemon with --insecure-registry r:5000)"
        );
        assert_eq!(said("connection refused"), "connection refused");
    }
}
