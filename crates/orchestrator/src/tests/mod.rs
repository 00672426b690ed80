//! Scenarios: a small cluster whose agents do at once what they are told, and whose clock the test moves.

mod drain;
mod enforcer;
mod global;
mod invariants;
mod jobs;
mod nodes;
mod random;
mod reaper;
mod replicated;
mod restart;
mod rollback;
mod update;
mod wake;
mod world;

use crate::tests::world::{Behaviour, SECOND, World, config, force, restart};
