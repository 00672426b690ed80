//! The nouns: ids, specs, objects, the task ladder, validation and defaults. Pure.
#![forbid(unsafe_code)]
