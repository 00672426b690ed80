//! Raft: openraft behind a narrow interface, its log and snapshots on disk, its transport.
