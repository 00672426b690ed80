//! What clients ask of the cluster through this node.

use super::{Swarm, SwarmError};
use crate::logs::LogStream;
use crate::manager::Manager;
use crate::random;
use model::change::RequestId;
use model::control::{ControlError, Found, Query, Write, WriteRequest, Written};
use model::logs::{LogOptions, LogSelector};

impl Swarm {
    /// The manager, or why there is none, in Docker's words.
    fn control(&self) -> Result<Manager, ControlError> {
        let place = self.place();
        let text = match place.as_ref().map(|place| &place.manager) {
            Some(Some(manager)) => return Ok(manager.clone()),
            Some(None) => SwarmError::WORKER,
            None => SwarmError::NO_SWARM,
        };
        Err(ControlError::NotManager(text.into()))
    }

    /// Carries out a change under a new request id: see [`Manager::write`].
    ///
    /// # Errors
    /// [`ControlError::NotManager`] on a node that is none, with Docker's text.
    pub async fn write(&self, write: Write) -> Result<Written, ControlError> {
        let id = RequestId(u128::from_ne_bytes(random::bytes()));
        self.control()?.write(WriteRequest { id, write }).await
    }

    /// Answers a question: see [`Manager::query`].
    ///
    /// # Errors
    /// [`ControlError::NotManager`] on a node that is none, with Docker's text.
    pub async fn query(&self, query: Query) -> Result<Found, ControlError> {
        self.control()?.query(query).await
    }

    /// Logs of tasks: see [`Manager::logs`].
    ///
    /// # Errors
    /// [`ControlError::NotManager`] on a node that is none, with Docker's text.
    pub async fn logs(
        &self,
        selector: LogSelector,
        options: LogOptions,
    ) -> Result<LogStream, ControlError> {
        self.control()?.logs(selector, options).await
    }
}
