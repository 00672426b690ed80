//! Changes of the cluster object.

use super::Run;
use crate::guard::{exists, tokens_are_sound, version};
use model::{Change, Cluster, Refusal};

impl Run<'_> {
    pub(super) fn change_cluster(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::CreateCluster(cluster) => {
                if let Some(old) = &self.tables.cluster {
                    return Err(exists("cluster", old.id.as_str()));
                }
                let mut new = Cluster::clone(cluster);
                new.meta = self.new_meta();
                self.put_cluster(new);
            }
            Change::UpdateCluster {
                if_version,
                spec,
                worker_token,
                manager_token,
            } => {
                let old = self.tables.known_cluster()?;
                version(old.meta.version, *if_version)?;
                let mut new = Cluster::clone(&old);
                new.spec = spec.clone();
                if let Some(token) = worker_token {
                    new.worker_token = token.clone();
                }
                if let Some(token) = manager_token {
                    new.manager_token = token.clone();
                }
                self.write_spec(&mut new.meta);
                self.put_cluster(new);
            }
            Change::SetTokens { if_version, tokens } => {
                let old = self.tables.known_cluster()?;
                version(old.meta.version, *if_version)?;
                tokens_are_sound(tokens)?;
                let mut new = Cluster::clone(&old);
                new.tokens = tokens.clone();
                self.write_spec(&mut new.meta);
                self.put_cluster(new);
            }
            _ => unreachable!("Run::one sends only changes of the cluster"),
        }
        Ok(())
    }
}
