//! This host's packets and addresses.
