//! Tests of the whole: the store against openraft's suite, members over loopback, faults.

mod at_rest;
mod cluster;
mod faults;
mod full_disk;
mod group;
mod links;
mod store;
mod toy;
