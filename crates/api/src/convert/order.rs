//! Lists whose order means nothing: an update that only brings them into another order changes nothing.
//!
//! Docker's command line sorts the mounts of a service with each update, whatever it was asked to change, and its daemon
//! then replaces every task of a service that was created with another order.

use model::ContainerSpec;

/// Longer lists are compared as they are: the search below takes the square of their length.
const LONGEST: usize = 256;

/// Keeps the order of `current` in the lists of `new` that have the same items.
pub(crate) fn keep_order(new: &mut ContainerSpec, current: &ContainerSpec) {
    keep(&mut new.mounts, &current.mounts);
    keep(&mut new.secrets, &current.secrets);
    keep(&mut new.configs, &current.configs);
    keep(&mut new.secret_env, &current.secret_env);
    keep(&mut new.cap_add, &current.cap_add);
    keep(&mut new.cap_drop, &current.cap_drop);
    keep(&mut new.ulimits, &current.ulimits);
    keep(&mut new.groups, &current.groups);
}

fn keep<T: PartialEq + Clone>(new: &mut Vec<T>, current: &[T]) {
    if new.len() != current.len() || new.len() > LONGEST || new == current {
        return;
    }
    let mut rest: Vec<&T> = new.iter().collect();
    for item in current {
        let Some(at) = rest.iter().position(|other| *other == item) else {
            return;
        };
        rest.swap_remove(at);
    }
    *new = current.to_vec();
}

#[cfg(test)]
mod tests {
    use super::keep;

    #[track_caller]
    fn check(new: &[u8], current: &[u8], kept: &[u8]) {
        let mut new = new.to_vec();
        keep(&mut new, current);
        assert_eq!(new, kept);
    }

    #[test]
    fn only_the_order_is_kept() {
        check(&[2, 1, 3], &[1, 2, 3], &[1, 2, 3]);
        check(&[2, 1, 1], &[1, 2, 1], &[1, 2, 1]);
        check(&[2, 1, 1], &[1, 2, 2], &[2, 1, 1]);
        check(&[2, 1], &[1, 2, 3], &[2, 1]);
        check(&[4, 1, 2], &[1, 2, 3], &[4, 1, 2]);
        check(&[], &[], &[]);
    }
}
