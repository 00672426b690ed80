//! Secrets and configs: bytes with a name that containers find as files. One shape for both, in two name spaces.
//!
//! Docker's limits and texts (`swarmkit/api/validation/secrets.go`, `controlapi/{secret,config}.go`).

use crate::{Driver, Labels, Meta, PayloadId};
use std::fmt;
use std::sync::Arc;

/// Most bytes of a secret, as in Docker.
pub const MAX_SECRET_BYTES: usize = 500 * 1024;
/// Most bytes of a config, as in Docker.
pub const MAX_CONFIG_BYTES: usize = 1000 * 1024;
/// Longest name of either, as in Docker.
pub const MAX_NAME_LEN: usize = 64;
/// The only templating driver that Docker knows: Go's text templates.
pub const TEMPLATING_GOLANG: &str = "golang";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PayloadKind {
    /// Never given back by the API; on workers in memory only.
    Secret,
    /// Given back by the API.
    Config,
}

impl PayloadKind {
    /// The word in Docker's API and texts.
    pub fn name(self) -> &'static str {
        match self {
            PayloadKind::Secret => "secret",
            PayloadKind::Config => "config",
        }
    }
    /// Most bytes.
    pub fn max_bytes(self) -> usize {
        match self {
            PayloadKind::Secret => MAX_SECRET_BYTES,
            PayloadKind::Config => MAX_CONFIG_BYTES,
        }
    }
}

/// A secret or a config in the replicated state. Everything but its labels is written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Written once at creation.
    pub id: PayloadId,
    /// Which of the two. Written once at creation.
    pub kind: PayloadKind,
    /// Written by the store.
    pub meta: Meta,
    /// Written by the API; only labels may change.
    pub spec: Arc<PayloadSpec>,
}

/// What the user gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PayloadSpec {
    /// Unique among its kind, compared without case.
    pub name: String,
    /// Labels.
    pub labels: Labels,
    /// The content.
    pub data: PayloadData,
    /// An external secret store. None is built: asking for one is refused.
    pub driver: Option<Driver>,
    /// How the content is expanded where it is used; `golang` or none.
    pub templating: Option<Driver>,
}

/// Bytes that are never printed: the same type for configs, which may hold passwords as often.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PayloadData(pub Arc<[u8]>);

impl fmt::Debug for PayloadData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadData({} bytes)", self.0.len())
    }
}

/// The file that a secret or a config becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTarget {
    /// Path; relative ones are below `/run/secrets` for a secret and `/` for a config.
    pub name: String,
    /// Owner, as a number in text.
    pub uid: String,
    /// Group, as a number in text.
    pub gid: String,
    /// Permission bits, Docker's default 0444.
    pub mode: u32,
}

/// A secret in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRef {
    /// Which.
    pub id: PayloadId,
    /// Its name: checked against the id.
    pub name: String,
    /// Where.
    pub file: FileTarget,
}

/// A config in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRef {
    /// Which.
    pub id: PayloadId,
    /// Its name: checked against the id.
    pub name: String,
    /// Where; none for a config that only the runtime uses (a credential spec).
    pub file: Option<FileTarget>,
}

/// A secret as an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEnv {
    /// Which.
    pub id: PayloadId,
    /// Its name: checked against the id.
    pub name: String,
    /// Name of the variable.
    pub variable: String,
}

/// Ids of all secrets and configs that a container uses, each once, in order.
pub fn used_by(container: &crate::ContainerSpec) -> Vec<PayloadId> {
    let secrets = container.secrets.iter().map(|s| &s.id);
    let configs = container.configs.iter().map(|c| &c.id);
    let variables = container.secret_env.iter().map(|s| &s.id);
    let mut ids: Vec<PayloadId> = secrets.chain(configs).chain(variables).cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
