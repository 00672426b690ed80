//! Docker's json-file logs: from a container's pipes to rotated files.

mod json;
mod splitter;
mod writer;

pub(crate) use splitter::Splitter;
pub(crate) use writer::LogWriter;

/// Which of the program's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamName {
    Stdout,
    Stderr,
}

impl StreamName {
    fn as_str(self) -> &'static str {
        match self {
            StreamName::Stdout => "stdout",
            StreamName::Stderr => "stderr",
        }
    }
}
