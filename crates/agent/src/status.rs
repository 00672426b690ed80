//! What the agent tells of itself.

use model::Role;

/// How the session with the leader stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentStatus {
    /// Address of the leader while a session is up.
    pub leader: Option<String>,
    /// Addresses of all managers, as last heard: what a restart should begin with.
    pub managers: Vec<String>,
    /// Why there is no session; empty while there is one.
    pub error: String,
    /// The role that the managers want of this node, as last heard: its certificate should carry it. None before the
    /// first session of this process.
    pub role: Option<Role>,
    /// Managers say, and have said for some seconds, that this node is not in the cluster any more.
    pub refused: bool,
}
