//! This host's containers: life cycle, logs.
