//! A manager node: the leader loops, the control interface, the dispatcher, the CA.
#![forbid(unsafe_code)]
