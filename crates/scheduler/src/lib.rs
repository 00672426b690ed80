//! Which node for each pending task, or the reason there is none. Pure.
#![forbid(unsafe_code)]
