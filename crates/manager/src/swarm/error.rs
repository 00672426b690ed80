//! Why a swarm was not made, joined or left.

use model::control::ControlError;

/// Why this node's place in a swarm is not what was asked for. Texts are Docker's where tools match them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwarmError {
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The node is in no state for it, or it did not work out; HTTP status 503 in Docker.
    #[error("{0}")]
    Refused(String),
    /// Another manager refused, as gRPC clients print it: `rpc error: code = … desc = …`.
    #[error("rpc error: code = {code} desc = {text}")]
    Remote {
        /// The name of the code.
        code: String,
        /// Why.
        text: String,
    },
}

impl SwarmError {
    pub(super) const IN_SWARM: &str = r#"This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one."#;
    pub(super) const NO_SWARM: &str = r#"This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again."#;
    pub(super) const WORKER: &str = "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.";
    pub(super) const NOT_PART: &str = "This node is not part of a swarm";

    /// With all causes in the text: "cannot create a file" is of no use without "no space left on device".
    pub(super) fn refused(error: impl std::error::Error) -> SwarmError {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let why = error.to_string();
            if !text.contains(&why) {
                text = format!("{text}: {why}");
            }
            cause = error.source();
        }
        SwarmError::Refused(text)
    }
}

impl From<tonic::Status> for SwarmError {
    fn from(status: tonic::Status) -> SwarmError {
        SwarmError::Remote {
            code: format!("{:?}", status.code()),
            text: status.message().to_owned(),
        }
    }
}

impl From<SwarmError> for ControlError {
    /// `NotManager` is what the HTTP API answers with status 503 and nothing but the text.
    fn from(error: SwarmError) -> ControlError {
        match error {
            SwarmError::Invalid(text) => ControlError::InvalidArgument(text),
            SwarmError::Remote { ref code, ref text } if code == "InvalidArgument" => {
                ControlError::InvalidArgument(text.clone())
            }
            error => ControlError::NotManager(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot create a log segment")]
    struct Segment(#[source] io::Error);

    #[test]
    fn a_refusal_tells_its_causes() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let text = SwarmError::refused(Segment(full)).to_string();
        assert_eq!(text, "cannot create a log segment: no storage space");
    }
}
