//! `Debug` of generated messages with secrets: what names the object, and nothing else.

use crate::pb::{ca, log, objects};
use crate::raft::{Entry, SnapshotRequest, entry, snapshot_request};
use std::fmt::{Debug, Formatter, Result};

impl Debug for ca::IssueRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("IssueRequest")
            .field("availability", &self.availability)
            .field("forwarded", &self.forwarded)
            .field("check_only", &self.check_only)
            .finish_non_exhaustive()
    }
}

impl Debug for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Entry")
            .field("log_id", &self.log_id)
            .field("payload", &self.payload)
            .finish()
    }
}

impl Debug for entry::Payload {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            entry::Payload::Data(data) => write!(f, "Data({} bytes)", data.len()),
            entry::Payload::Membership(members) => {
                f.debug_tuple("Membership").field(members).finish()
            }
        }
    }
}

impl Debug for SnapshotRequest {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("SnapshotRequest")
            .field("part", &self.part)
            .finish()
    }
}

impl Debug for snapshot_request::Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            snapshot_request::Part::Header(header) => {
                f.debug_tuple("Header").field(header).finish()
            }
            snapshot_request::Part::Chunk(chunk) => write!(f, "Chunk({} bytes)", chunk.len()),
        }
    }
}

impl Debug for objects::Cluster {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("Cluster")
            .field("id", &self.id)
            .field("meta", &self.meta)
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

impl Debug for objects::LabelledToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("LabelledToken")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Debug for objects::PayloadSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("PayloadSpec")
            .field("name", &self.name)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

impl Debug for objects::RegistryAuth {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("RegistryAuth(…)")
    }
}

impl Debug for objects::RootCa {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("RootCa").finish_non_exhaustive()
    }
}

impl Debug for log::UpdateCluster {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.debug_struct("UpdateCluster")
            .field("if_version", &self.if_version)
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
