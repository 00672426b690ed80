//! `objects.proto` to and from the model. Conversions follow the order of the model's fields.

mod cluster;
mod container;
mod container_parts;
pub(crate) mod enums;
mod node;
mod payload;
mod service;
mod task;

use crate::DecodeError;
use crate::pb::objects as pb;
use model::{Driver, Meta, Timestamp};

/// Nanoseconds in a second.
const NANOS_PER_SECOND: u32 = 1_000_000_000;

impl From<std::time::Duration> for pb::Duration {
    fn from(duration: std::time::Duration) -> Self {
        pb::Duration {
            seconds: duration.as_secs(),
            nanos: duration.subsec_nanos(),
        }
    }
}

impl TryFrom<pb::Duration> for std::time::Duration {
    type Error = DecodeError;
    fn try_from(duration: pb::Duration) -> Result<Self, DecodeError> {
        if duration.nanos >= NANOS_PER_SECOND {
            return Err(DecodeError::OutOfRange {
                what: "the nanoseconds of a duration",
                value: duration.nanos.into(),
            });
        }
        Ok(std::time::Duration::new(duration.seconds, duration.nanos))
    }
}

impl From<Meta> for pb::Meta {
    fn from(meta: Meta) -> Self {
        pb::Meta {
            version: meta.version,
            changed: meta.changed,
            created_at: meta.created_at.0,
            updated_at: meta.updated_at.0,
        }
    }
}

impl From<pb::Meta> for Meta {
    fn from(meta: pb::Meta) -> Self {
        Meta {
            version: meta.version,
            changed: meta.changed,
            created_at: Timestamp(meta.created_at),
            updated_at: Timestamp(meta.updated_at),
        }
    }
}

impl From<&Driver> for pb::Driver {
    fn from(driver: &Driver) -> Self {
        pb::Driver {
            name: driver.name.clone(),
            options: driver.options.clone(),
        }
    }
}

impl From<pb::Driver> for Driver {
    fn from(driver: pb::Driver) -> Self {
        Driver {
            name: driver.name,
            options: driver.options,
        }
    }
}

/// Converts what is there.
pub(crate) fn maybe<A, B>(value: Option<A>) -> Result<Option<B>, DecodeError>
where
    B: TryFrom<A, Error = DecodeError>,
{
    value.map(B::try_from).transpose()
}

/// Converts each.
pub(crate) fn each<A, B>(values: Vec<A>) -> Result<Vec<B>, DecodeError>
where
    B: TryFrom<A, Error = DecodeError>,
{
    values.into_iter().map(B::try_from).collect()
}
