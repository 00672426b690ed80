//! What other managers ask of the leader.

use super::Here;
use crate::auth::Gate;
use model::control::{ControlError, Query, WriteRequest};
use tonic::{Request, Response, Status};
use wire::pb::control as pb;
use wire::pb::control::control_server::Control;

/// Serves managers that do not lead. Nothing is forwarded again: who does not lead says so.
#[derive(Clone)]
pub(crate) struct ControlService {
    pub(crate) gate: Gate,
    pub(crate) here: Here,
}

impl ControlService {
    /// Refuses unless this manager leads. A leader that has lost its quorum says that nobody leads: whoever asks would
    /// come back for ever otherwise, since it is not silent.
    fn leads(&self) -> Result<(), ControlError> {
        let leadership = self.here.raft.leadership();
        let state = leadership.borrow();
        if state.i_lead {
            return Ok(());
        }
        let text = match state.leader {
            Some(_) => "this manager does not lead",
            None => ControlError::NO_LEADER,
        };
        Err(ControlError::Unavailable(text.into()))
    }
}

fn invalid(error: wire::DecodeError) -> Status {
    Status::invalid_argument(error.to_string())
}

#[tonic::async_trait]
impl Control for ControlService {
    async fn write(
        &self,
        request: Request<pb::WriteRequest>,
    ) -> Result<Response<pb::WriteReply>, Status> {
        self.gate.manager(&request)?;
        let request = WriteRequest::try_from(request.into_inner()).map_err(invalid)?;
        let result = match self.leads() {
            Ok(()) => self.here.write(request).await,
            Err(error) => Err(error),
        };
        Ok(Response::new((&result).into()))
    }

    async fn query(
        &self,
        request: Request<pb::QueryRequest>,
    ) -> Result<Response<pb::QueryReply>, Status> {
        self.gate.manager(&request)?;
        let query = Query::try_from(request.into_inner()).map_err(invalid)?;
        let result = match self.leads() {
            Ok(()) => self.here.query(&query).await,
            Err(error) => Err(error),
        };
        Ok(Response::new((&result).into()))
    }
}
