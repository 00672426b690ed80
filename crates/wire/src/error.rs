//! Why bytes were refused.

/// Why bytes or a message are not what they should be. Nothing of them is used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not protobuf, or not of this kind.
    #[error("malformed message: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// Written by another version.
    #[error(
        "format {found} of the {what} is unknown (this version reads {known}): use the version of starling that wrote it, or a newer one"
    )]
    Format {
        /// `log entry` or `snapshot`.
        what: &'static str,
        /// The number found.
        found: u32,
        /// The number that is understood.
        known: u32,
    },
    /// A field that is always there is not.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A number that stands for nothing that is known.
    #[error("{what} has no value {value}")]
    UnknownEnum {
        /// The kind of value.
        what: &'static str,
        /// The number found.
        value: i32,
    },
    /// Out of range.
    #[error("{what} is out of range: {value}")]
    OutOfRange {
        /// The kind of value.
        what: &'static str,
        /// The value found.
        value: u64,
    },
}

/// A field that has to be there.
pub(crate) fn need<T>(what: &'static str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Missing(what))
}
