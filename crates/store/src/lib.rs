//! Replicated tables with indexes: applies changes at a log index, emits events, gives read views. Pure.
#![forbid(unsafe_code)]
