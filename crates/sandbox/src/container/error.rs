//! Why a container could not be set up, in words for the user.

use std::fmt::Display;

/// Docker's exit code when the program is not there.
pub(crate) const NOT_FOUND: i32 = 127;
/// Docker's exit code when the program may not be executed.
pub(crate) const NOT_EXECUTABLE: i32 = 126;
/// Docker's exit code for every other failure to start.
pub(crate) const START_FAILED: i32 = 128;

/// What went wrong between clone and exec. It crosses a pipe to the supervisor, so it is text.
#[derive(Debug)]
pub(crate) struct SetupError {
    pub(crate) exit_code: i32,
    pub(crate) message: String,
}

impl SetupError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        SetupError {
            exit_code: START_FAILED,
            message: message.into(),
        }
    }

    pub(crate) fn with_code(exit_code: i32, message: impl Into<String>) -> Self {
        SetupError {
            exit_code,
            message: message.into(),
        }
    }
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    fn context<D: Display>(self, doing: impl FnOnce() -> D) -> Result<T, SetupError>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context<D: Display>(self, doing: impl FnOnce() -> D) -> Result<T, SetupError> {
        self.map_err(|error| SetupError::new(format!("{}: {error}", doing())))
    }
}
