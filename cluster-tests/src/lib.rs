//! Several hosts on one machine, faults, the seeded simulator, architecture rules.
