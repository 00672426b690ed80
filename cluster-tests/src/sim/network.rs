//! Who reaches whom, and how long it takes.

use super::events::Id;
use super::rng::Rng;
use super::{HOSTS, MANAGERS};
use std::time::Duration;

/// The network between the hosts. A cut host keeps its messages until it is mended or the connection is given up.
pub(super) struct Network {
    /// Hosts in the same group reach one another.
    groups: [u8; HOSTS],
    /// Powered hosts; a host without power reaches nobody.
    powered: [bool; HOSTS],
    /// Everything takes this many times longer.
    slowness: u32,
}

impl Network {
    pub(super) fn new() -> Network {
        Network {
            groups: [0; HOSTS],
            powered: [true; HOSTS],
            slowness: 1,
        }
    }

    pub(super) fn reaches(&self, a: Id, b: Id) -> bool {
        self.powered[a] && self.powered[b] && (a == b || self.groups[a] == self.groups[b])
    }

    pub(super) fn set_groups(&mut self, groups: [u8; HOSTS]) {
        self.groups = groups;
    }

    /// Moves a host to the other side of a cut.
    pub(super) fn change_side(&mut self, host: Id) {
        self.groups[host] ^= 1;
    }

    pub(super) fn set_power(&mut self, host: Id, on: bool) {
        self.powered[host] = on;
    }

    pub(super) fn set_slowness(&mut self, slowness: u32) {
        self.slowness = slowness;
    }

    /// One way.
    pub(super) fn latency(&self, rng: &mut Rng) -> Duration {
        rng.millis(1, 8) * self.slowness
    }

    /// From a proposal to its commit: a round trip and a sync.
    pub(super) fn commit_time(&self, rng: &mut Rng) -> Duration {
        rng.millis(2, 25) * self.slowness
    }

    /// Whether `manager` reaches a majority of the managers that `is_up`, itself included.
    pub(super) fn has_majority(&self, manager: Id, is_up: impl Fn(Id) -> bool) -> bool {
        let reached = (0..MANAGERS).filter(|other| is_up(*other) && self.reaches(manager, *other));
        is_up(manager) && reached.count() * 2 > MANAGERS
    }
}
