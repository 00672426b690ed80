//! Majorities, also of a configuration that is being changed.

use std::time::Instant;

use crate::types::Membership;

/// Votes needed among `voters`.
pub(crate) fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

/// Whether those for whom `has` holds are a majority of each set of voters.
pub(crate) fn is_quorum(membership: &Membership, has: impl Fn(u64) -> bool) -> bool {
    let configs = membership.get_joint_config();
    !configs.is_empty()
        && configs
            .iter()
            .all(|config| config.iter().filter(|id| has(**id)).count() >= majority(config.len()))
}

/// The newest moment at which a majority of each set of voters was heard; `None` when there was none.
pub(crate) fn heard_since(
    membership: &Membership,
    heard: impl Fn(u64) -> Option<Instant>,
) -> Option<Instant> {
    let of_config = |config: &std::collections::BTreeSet<u64>| {
        let mut times: Vec<Option<Instant>> = config.iter().map(|id| heard(*id)).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        times.get(majority(config.len()) - 1).copied().flatten()
    };
    membership
        .get_joint_config()
        .iter()
        .map(of_config)
        .min()
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use super::*;

    fn membership(configs: &[&[u64]]) -> Membership {
        let configs = configs
            .iter()
            .map(|config| config.iter().copied().collect::<BTreeSet<_>>())
            .collect();
        Membership::new(configs, BTreeMap::new())
    }

    #[test]
    fn majorities_of_one_and_of_two_sets() {
        assert!(is_quorum(&membership(&[&[1]]), |id| id == 1));
        assert!(!is_quorum(&membership(&[&[1, 2]]), |id| id == 1));
        assert!(is_quorum(&membership(&[&[1, 2, 3]]), |id| id < 3));
        assert!(!is_quorum(&membership(&[&[1, 2, 3], &[3, 4]]), |id| id < 4));
        assert!(is_quorum(&membership(&[&[1, 2, 3], &[3, 4]]), |id| id > 1));
        assert!(
            !is_quorum(&membership(&[]), |_| true),
            "nobody decides without a configuration"
        );
    }

    #[test]
    fn the_time_of_the_slowest_needed_member_counts() {
        let start = Instant::now();
        let at = |seconds| Some(start + Duration::from_secs(seconds));
        let heard = |id| match id {
            1 => at(9),
            2 => at(5),
            3 => at(7),
            _ => None,
        };
        assert_eq!(heard_since(&membership(&[&[1, 2, 3]]), heard), at(7));
        assert_eq!(
            heard_since(&membership(&[&[1, 2, 3], &[1, 2]]), heard),
            at(5)
        );
        assert_eq!(heard_since(&membership(&[&[1, 4]]), heard), None);
        assert_eq!(heard_since(&membership(&[]), heard), None);
    }
}
