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
    fn leads(&self) -> bool {
        self.here.raft.leadership().borrow().i_lead
    }
}

fn not_leading<T>() -> Result<T, ControlError> {
    Err(ControlError::Unavailable(
        "this manager does not lead".into(),
    ))
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
        let result = if self.leads() {
            self.here.write(request).await
        } else {
            not_leading()
        };
        Ok(Response::new((&result).into()))
    }

    async fn query(
        &self,
        request: Request<pb::QueryRequest>,
    ) -> Result<Response<pb::QueryReply>, Status> {
        self.gate.manager(&request)?;
        let query = Query::try_from(request.into_inner()).map_err(invalid)?;
        let result = if self.leads() {
            self.here.query(&query).await
        } else {
            not_leading()
        };
        Ok(Response::new((&result).into()))
    }
}
