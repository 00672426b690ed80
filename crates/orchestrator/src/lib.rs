//! Which tasks should exist: replicated services, updates, restarts, reaping, drain. Pure.
#![forbid(unsafe_code)]
