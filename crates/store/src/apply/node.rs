//! Changes of nodes. What changes nothing makes no event.

use super::Run;
use crate::guard::{exists, version};
use model::{Change, Node, NodeDescription, NodeId, Refusal};

impl Run<'_> {
    pub(super) fn change_node(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::CreateNode(node) => {
                if self.tables.nodes.contains_key(&node.id) {
                    return Err(exists("node", node.id.as_str()));
                }
                let mut new = Node::clone(node);
                new.meta = self.new_meta();
                self.put_node(new);
                Ok(())
            }
            Change::UpdateNodeSpec {
                id,
                if_version,
                spec,
            } => {
                let mut new = Node::clone(&*self.tables.known_node(id)?);
                version(new.meta.version, *if_version)?;
                new.spec = spec.clone();
                self.write_spec(&mut new.meta);
                self.put_node(new);
                Ok(())
            }
            Change::SetNodeDescription { id, description } => self.write_node(id, |node| {
                node.description = Some(NodeDescription::clone(description));
            }),
            Change::SetNodeStatus { id, status } => {
                self.write_node(id, |node| node.status = status.clone())
            }
            Change::SetNodeRole { id, role } => self.write_node(id, |node| node.role = *role),
            Change::SetNodeManager { id, manager } => {
                self.write_node(id, |node| node.manager = manager.clone())
            }
            Change::RemoveNode { id } => {
                let old = self.tables.known_node(id)?;
                self.tables.node_may_be_removed(&old)?;
                let event = self.tables.set_node(id.clone(), None);
                self.events.push(event);
                Ok(())
            }
            _ => unreachable!("Run::one sends only changes of nodes"),
        }
    }

    fn write_node(&mut self, id: &NodeId, write: impl FnOnce(&mut Node)) -> Result<(), Refusal> {
        let old = self.tables.known_node(id)?;
        let mut new = Node::clone(&old);
        write(&mut new);
        if new != *old {
            self.put_node(new);
        }
        Ok(())
    }
}
