//! Errors as HTTP answers: a status and Docker's `{"message": …}`.

use crate::body::{Body, json_bytes};
use api_types::ErrorResponse;
use http::{HeaderValue, Response, StatusCode, header};
use images::ErrorKind;
use model::control::ControlError;

/// An error that becomes an HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// Status.
    pub status: StatusCode,
    /// What was wrong and what to do.
    pub message: String,
}

impl ApiError {
    /// An error of this status.
    pub fn new(status: StatusCode, message: impl Into<String>) -> ApiError {
        ApiError {
            status,
            message: message.into(),
        }
    }
    /// 400.
    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }
    /// 404.
    pub fn not_found(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, message)
    }
    /// 500.
    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
    /// 501 for something that a client asked for by this name.
    pub fn not_built(what: &str) -> ApiError {
        ApiError::new(
            StatusCode::NOT_IMPLEMENTED,
            format!("{what} is not built yet in this version of Starling"),
        )
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let mut response = Response::new(json_bytes(&ErrorResponse {
            message: self.message.clone(),
        }));
        *response.status_mut() = self.status;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response
    }
}

impl From<ControlError> for ApiError {
    /// Status and text as Docker's daemon makes them of swarmkit's errors.
    fn from(error: ControlError) -> ApiError {
        let text = error.to_string();
        let rpc =
            |status, code| ApiError::new(status, format!("rpc error: code = {code} desc = {text}"));
        match error {
            ControlError::InvalidArgument(_) => rpc(StatusCode::BAD_REQUEST, "InvalidArgument"),
            // Docker looks objects up itself, so this text has no wrapper there.
            ControlError::NotFound(_) => ApiError::not_found(text),
            ControlError::AlreadyExists(_) => rpc(StatusCode::CONFLICT, "AlreadyExists"),
            ControlError::FailedPrecondition(_) => {
                rpc(StatusCode::BAD_REQUEST, "FailedPrecondition")
            }
            ControlError::Unimplemented(_) => rpc(StatusCode::NOT_IMPLEMENTED, "Unimplemented"),
            ControlError::OutOfSequence | ControlError::Unavailable(_) => {
                rpc(StatusCode::INTERNAL_SERVER_ERROR, "Unknown")
            }
            ControlError::NotManager(_) => ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text),
        }
    }
}

/// The status of an error of the image store.
pub(crate) fn image_error(kind: ErrorKind, text: String) -> ApiError {
    let status = match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::Unavailable | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiError::new(status, text)
}
