//! Tests of the whole: the store against openraft's suite, members over loopback, faults.

mod store;
