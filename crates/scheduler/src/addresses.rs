//! Hosts by where the text of their id is: ids that are copied share their text, so that most need not be read.
//! An open table: nothing ever depends on the order in it, so addresses decide nothing.

use crate::class::HostNo;
use model::NodeId;

/// Slots of the smallest table.
const MIN_SLOTS: usize = 16;
/// 2^64 divided by the golden ratio: spreads numbers that lie close together.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hosts by the address of their id's text. Whoever adds one keeps the id, so that nothing else can come to lie
/// at its address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    /// A power of two of them, at most half in use; 0 is no address.
    slots: Vec<(usize, HostNo)>,
    used: usize,
}

/// Where the text of this id is.
pub(crate) fn address(id: &NodeId) -> usize {
    id.as_str().as_ptr().addr()
}

impl Addresses {
    pub(crate) fn get(&self, address: usize) -> Option<HostNo> {
        if self.slots.is_empty() {
            return None;
        }
        let (found, no) = self.slots[self.slot_of(address)];
        (found == address).then_some(no)
    }

    pub(crate) fn insert(&mut self, address: usize, no: HostNo) {
        if self.slots.len() < 2 * (self.used + 1) {
            self.grow();
        }
        let slot = self.slot_of(address);
        self.used += usize::from(self.slots[slot].0 == 0);
        self.slots[slot] = (address, no);
    }

    pub(crate) fn remove(&mut self, address: usize) {
        if self.get(address).is_none() {
            return;
        }
        let mut gap = self.slot_of(address);
        self.slots[gap] = (0, 0);
        self.used -= 1;
        // What comes after it without a free slot between may have been pushed here: each is put back anew.
        loop {
            gap = (gap + 1) & (self.slots.len() - 1);
            let (address, no) = std::mem::take(&mut self.slots[gap]);
            if address == 0 {
                return;
            }
            let slot = self.slot_of(address);
            self.slots[slot] = (address, no);
        }
    }

    /// Its slot, or the free one where it would be.
    fn slot_of(&self, address: usize) -> usize {
        let mask = self.slots.len() - 1;
        let spread = (address as u64).wrapping_mul(SPREAD);
        let mut slot = (spread >> 32) as usize & mask;
        while self.slots[slot].0 != 0 && self.slots[slot].0 != address {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(MIN_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![(0, 0); slots]);
        for (address, no) in old.into_iter().filter(|(address, _)| *address != 0) {
            let slot = self.slot_of(address);
            self.slots[slot] = (address, no);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Few addresses, so that they meet often.
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 1..60usize, any::<HostNo>()), 1..300)) {
            let (mut table, mut map) = (Addresses::default(), BTreeMap::new());
            for (adds, address, no) in steps {
                if adds {
                    table.insert(address, no);
                    map.insert(address, no);
                } else {
                    table.remove(address);
                    map.remove(&address);
                }
                for address in 1..60 {
                    prop_assert_eq!(table.get(address), map.get(&address).copied());
                }
                prop_assert_eq!(table.used, map.len());
            }
        }
    }
}
