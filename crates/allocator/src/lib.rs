//! What each task may use of the network before it can be placed. Pure.
#![forbid(unsafe_code)]
