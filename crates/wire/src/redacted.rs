//! `Debug` of generated messages with secrets: what names the object, and nothing else.

use crate::pb::{log, objects};
use std::fmt::{Debug, Formatter, Result};

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
