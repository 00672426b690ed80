//! Secrets and configs: names, users, and what is refused.

use crate::testing::*;
use crate::{Event, Kind, Store};
use model::change::RequestId;
use model::control::Written;
use model::payload::{FileTarget, PayloadData, SecretEnv, SecretRef};
use model::service::RevisionCause;
use model::{
    Change, ContainerSpec, Labels, Meta, Payload, PayloadId, PayloadKind, PayloadSpec, ServiceSpec,
    TaskSpec,
};
use std::sync::Arc;

fn create(id: &str, kind: PayloadKind, name: &str) -> Change {
    Change::CreatePayload(Box::new(Payload {
        id: id.into(),
        kind,
        meta: Meta::default(),
        spec: Arc::new(PayloadSpec {
            name: name.into(),
            data: PayloadData(b"word".as_slice().into()),
            ..Default::default()
        }),
    }))
}

fn remove(id: &str) -> Change {
    Change::RemovePayload { id: id.into() }
}

/// A service that uses a secret as a file and as a variable.
fn user(name: &str, secret: &str) -> Arc<ServiceSpec> {
    let container = ContainerSpec {
        secrets: vec![SecretRef {
            id: secret.into(),
            name: "key".into(),
            file: FileTarget {
                name: "key".into(),
                uid: "0".into(),
                gid: "0".into(),
                mode: 0o444,
            },
        }],
        secret_env: vec![SecretEnv {
            id: secret.into(),
            name: "key".into(),
            variable: "KEY".into(),
        }],
        ..Default::default()
    };
    Arc::new(ServiceSpec {
        task: Arc::new(TaskSpec {
            container,
            ..Default::default()
        }),
        ..ServiceSpec::clone(&spec(name))
    })
}

fn update(lab: &Lab, spec: Arc<ServiceSpec>, cause: RevisionCause) -> Change {
    let service = lab.store.service_by_name(&spec.name).expect("service");
    Change::UpdateService {
        id: service.id.clone(),
        if_version: service.meta.version,
        spec,
        cause,
        status: None,
    }
}

fn users(lab: &Lab, id: &str) -> Vec<String> {
    let users = lab.store.services_using(&PayloadId::from(id));
    users.map(|s| s.spec.name.clone()).collect()
}

#[test]
fn names_are_unique_among_a_kind_without_case() {
    let mut lab = Lab::new();
    lab.must([create("a", PayloadKind::Secret, "Key")]);
    lab.must([create("b", PayloadKind::Config, "key")]);
    lab.refused(
        [create("c", PayloadKind::Secret, "KEY")],
        "secret KEY already exists",
    );
    lab.refused([create("a", PayloadKind::Config, "x")], "secret a exists");
    let by_name = |kind, name| {
        let payload = lab.store.payload_by_name(kind, name);
        payload.map(|p| p.id.as_str())
    };
    assert_eq!(by_name(PayloadKind::Secret, "key"), Some("a"));
    assert_eq!(by_name(PayloadKind::Config, "KEY"), Some("b"));
    assert_eq!(lab.store.payloads(PayloadKind::Config).count(), 1);
    lab.must([remove("a")]);
    lab.must([create("c", PayloadKind::Secret, "KEY")]);
    lab.refused([remove("a")], "secret or config a not found");
}

#[test]
fn only_labels_change_and_from_their_version() {
    let mut lab = Lab::new();
    lab.must([create("a", PayloadKind::Secret, "key")]);
    let version = lab.store.index();
    let labels = Labels::from([("x".into(), "y".into())]);
    let update = |if_version| Change::UpdatePayload {
        id: "a".into(),
        if_version,
        labels: labels.clone(),
    };
    lab.refused([update(version - 1)], "update out of sequence");
    lab.must([update(version)]);
    let Event::Payload { kind, old, new, .. } = &lab.last.events[0] else {
        panic!("{:?}", lab.last.events)
    };
    assert_eq!(*kind, Kind::Updated { spec: true });
    let (old, new) = (old.as_ref().unwrap(), new.as_ref().unwrap());
    assert_eq!(old.spec.labels, Labels::new());
    assert_eq!(new.spec.labels, labels);
    assert!(Arc::ptr_eq(&old.spec.data.0, &new.spec.data.0));
    assert_eq!(lab.store.payload(&"a".into()), Some(new));
}

#[test]
fn what_a_service_uses_is_there_and_stays() {
    let mut lab = Lab::new();
    let create_user = || Change::CreateService {
        id: "u".into(),
        spec: user("user", "a"),
    };
    lab.refused([create_user()], "secret or config a not found");
    lab.must([create("a", PayloadKind::Secret, "key"), create_user()]);
    lab.must([create("b", PayloadKind::Secret, "newer")]);
    assert_eq!(
        (users(&lab, "a"), users(&lab, "b")),
        (vec!["user".into()], vec![])
    );
    lab.refused([remove("a")], "a service uses cannot be removed");
    lab.refused(
        [update(&lab, user("user", "x"), RevisionCause::Update)],
        "secret or config x not found",
    );
    lab.must([update(&lab, user("user", "b"), RevisionCause::Update)]);
    assert_eq!(
        (users(&lab, "a"), users(&lab, "b")),
        (vec![], vec!["user".into()])
    );
    lab.must([remove("a")]);
    lab.refused(
        [update(&lab, user("user", "a"), RevisionCause::Rollback(0))],
        "secret or config a not found",
    );
    lab.must([update(&lab, user("user", "a"), RevisionCause::FailedUpdate)]);
    lab.must([Change::RemoveService { id: "u".into() }]);
    assert_eq!((users(&lab, "a"), users(&lab, "b")), (vec![], vec![]));
    lab.must([remove("b")]);
}

#[test]
fn references_name_one_kind_only() {
    let mut lab = Lab::new();
    lab.must([
        create("abc", PayloadKind::Secret, "one"),
        create("abd", PayloadKind::Config, "one"),
        create("abe", PayloadKind::Config, "two"),
    ]);
    let find = |kind, reference| match lab.store.find_payload(kind, reference) {
        Ok(payload) => payload.id.to_string(),
        Err(error) => error.to_string(),
    };
    assert_eq!(find(PayloadKind::Secret, "ONE"), "abc");
    assert_eq!(find(PayloadKind::Config, "one"), "abd");
    assert_eq!(find(PayloadKind::Secret, "ab"), "abc");
    assert_eq!(find(PayloadKind::Config, "abc"), "config abc not found");
    assert_eq!(
        find(PayloadKind::Config, "ab"),
        "config ab is ambiguous (2 matches found)"
    );
}

#[test]
fn a_repeated_request_finds_the_payload_that_it_made() {
    let mut lab = Lab::new();
    let made = lab.propose(Some(5), [create("a", PayloadKind::Secret, "key")]);
    assert_eq!(made, Ok(()));
    let restored = Store::restore(lab.store.snapshot());
    for store in [&lab.store, &restored] {
        let known = store.applied_request(RequestId(5)).expect("known");
        assert_eq!(known.written, Written::Payload("a".into()));
        assert!(store.payload_by_name(PayloadKind::Secret, "key").is_some());
    }
}
