//! What Go's `omitempty` calls empty, and how Go prints numbers.

use serde::Serializer;
use std::collections::BTreeMap;

/// Go's idea of an empty value: false, 0, "", nil, and an empty slice or map. A struct is never empty.
pub(crate) trait Empty {
    fn empty(&self) -> bool;
}

pub(crate) fn is_empty<T: Empty>(value: &T) -> bool {
    value.empty()
}

impl Empty for bool {
    fn empty(&self) -> bool {
        !*self
    }
}

impl Empty for String {
    fn empty(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Empty for Vec<T> {
    fn empty(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Empty for BTreeMap<K, V> {
    fn empty(&self) -> bool {
        self.is_empty()
    }
}

impl<T> Empty for crate::starling::Change<T> {
    fn empty(&self) -> bool {
        matches!(self, crate::starling::Change::Keep)
    }
}

impl<T> Empty for Option<T> {
    fn empty(&self) -> bool {
        self.is_none()
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Empty for $type {
            fn empty(&self) -> bool {
                *self == 0
            }
        }
    )*};
}
numbers!(i32, i64, u16, u32, u64);

/// Go prints the float 0 as `0` and 0.5 as `0.5`; serde_json would print `0.0`.
pub(crate) fn float<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e9 {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f32(*value)
    }
}
