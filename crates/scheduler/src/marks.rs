//! What a group has to do with single hosts: found by number without a search, and forgotten without looking at all.

use crate::class::HostNo;

/// What a group has to do with a host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    pub(crate) of_service: u32,
    pub(crate) keeps_failing: bool,
    /// Tasks that the search placed there.
    pub(crate) taken: u32,
}

/// The hosts that a group has something to do with. It is used again for the next group: a place for each host
/// is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    /// By number of the host: one more than the position in the list, or 0.
    at: Vec<u32>,
    list: Vec<(HostNo, Own)>,
}

impl Marks {
    pub(crate) fn get(&self, no: HostNo) -> Option<&Own> {
        let at = self.at.get(no as usize)?.checked_sub(1)?;
        Some(&self.list[at as usize].1)
    }

    pub(crate) fn entry(&mut self, no: HostNo) -> &mut Own {
        let slot = no as usize;
        if self.at.len() <= slot {
            self.at.resize(slot + 1, 0);
        }
        if self.at[slot] == 0 {
            self.list.push((no, Own::default()));
            self.at[slot] = u32::try_from(self.list.len()).expect("fewer hosts than 2^32");
        }
        &mut self.list[self.at[slot] as usize - 1].1
    }

    /// In no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (HostNo, &Own)> {
        self.list.iter().map(|(no, own)| (*no, own))
    }

    /// How many they are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        for (no, _) in &self.list {
            self.at[*no as usize] = 0;
        }
        self.list.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cleared_is_gone_and_may_come_again() {
        let mut marks = Marks::default();
        marks.entry(7).of_service = 2;
        marks.entry(3).keeps_failing = true;
        marks.entry(7).of_service += 1;
        assert_eq!(marks.len(), 2);
        assert_eq!(marks.get(7).map(|own| own.of_service), Some(3));
        assert!(marks.get(4).is_none() && marks.get(99).is_none());
        marks.clear();
        assert!(marks.get(7).is_none() && marks.iter().next().is_none());
        assert_eq!(marks.entry(7).of_service, 0);
    }
}
