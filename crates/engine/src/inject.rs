//! What a container is given beside its record: secrets and configs. It stays in memory, is handed to the supervisor
//! when the container starts, and is forgotten then.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Files and variables whose content is never written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// Files.
    pub files: Vec<InjectedFile>,
    /// Variables.
    pub env: Vec<InjectedVariable>,
}

impl Injected {
    /// There is nothing.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.env.is_empty()
    }
}

/// A file on the container's own file system in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct InjectedFile {
    /// Absolute path inside.
    pub target: PathBuf,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub data: Arc<[u8]>,
}

impl fmt::Debug for InjectedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, length) = (self.target.display(), self.data.len());
        write!(f, "InjectedFile({target}, {length} bytes)")
    }
}

/// A variable of the container's environment.
#[derive(Clone, PartialEq, Eq)]
pub struct InjectedVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for InjectedVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InjectedVariable({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_content_is_printed() {
        let injected = Injected {
            files: vec![InjectedFile {
                target: "/run/secrets/a".into(),
                uid: 0,
                gid: 0,
                mode: 0o400,
                data: Arc::from(*b"hunter2"),
            }],
            env: vec![InjectedVariable {
                name: "PASSWORD".into(),
                value: "hunter2".into(),
            }],
        };
        let printed = format!("{injected:?}");
        assert!(!printed.contains("hunter2"), "{printed}");
        assert!(printed.contains("/run/secrets/a"), "{printed}");
    }
}
