//! Slots of replicated services.

use super::World;
use model::Mode;
use store::Dirty;

#[test]
fn creates_replicas_and_then_rests() {
    let mut world = World::new();
    world.create(3, |_| {});
    world.check("1:running 2:running 3:running");
    world.dirty = Dirty::everything();
    assert!(!world.decide(), "nothing is to be done twice");
    assert_eq!(world.update_state(), None);
}

#[test]
fn scales_up_into_the_lowest_free_slots_and_down_keeping_balance() {
    let mut world = World::new();
    world.create(6, |_| {});
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(3) });
    let mut nodes: Vec<_> = world.store.tasks().filter_map(|t| t.node.clone()).collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(
        nodes.len(),
        3,
        "one copy is left on each node: {}",
        world.show()
    );
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(4) });
    assert_eq!(world.running(), 4);
    world.update(|s| s.mode = Mode::Replicated { replicas: Some(0) });
    world.check("");
    assert_eq!(world.update_state(), None, "scaling is no update");
}

#[test]
fn a_stopped_service_has_no_tasks_and_a_started_one_has_its_replicas() {
    let mut world = World::new();
    world.create(3, |_| {});
    let stop = |s: &mut model::ServiceSpec| {
        s.mode = Mode::Replicated { replicas: Some(0) };
        s.stopped = Some(3);
    };
    world.update(stop);
    world.check("");
    world.update(|s| {
        s.mode = Mode::Replicated { replicas: Some(3) };
        s.stopped = None;
    });
    world.check("1:running 2:running 3:running");
    assert_eq!(world.update_state(), None, "neither is an update");
}

#[test]
fn a_stopped_service_stays_empty_whatever_its_replicas_say() {
    let mut world = World::new();
    world.create(2, |_| {});
    world.update(|s| s.stopped = Some(2));
    world.check("");
}
