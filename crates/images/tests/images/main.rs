//! The image store as a whole, on real directories, tars, tools and registries.
//!
//! Needs root: layers have owners, devices, whiteouts and `trusted.` attributes. Needs GNU tar, gzip, skopeo, umoci and
//! docker-registry, as Debian has them. Registries listen on loopback only.

mod archives;
mod importing;
mod metadata;
mod names;
mod pulling;
mod registry;
mod support;
mod unpacking;
