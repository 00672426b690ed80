//! Secrets and configs come before the tasks that need them, and go with the last.

use super::*;
use model::service::RegistryAuth;

fn agent<'a>(lab: &'a Lab, id: &str) -> &'a Agent {
    &lab.agents[&NodeId::from(id)]
}

#[test]
fn a_secret_is_on_the_nodes_that_need_it_as_long_as_they_do() {
    let mut lab = Lab::new(&["a", "b"]);
    let (one, two) = (lab.secret("one", 10), lab.secret("two", 20));
    let plain = replicated("web", 1);
    let web = lab.create(with_secret(&plain, &one, "one"));
    lab.settle();
    let running: Vec<_> = lab.spread(&web).into_keys().collect();
    let [home] = running.as_slice() else {
        panic!("{running:?}")
    };
    let other = if home == "a" { "b" } else { "a" };
    assert_eq!(
        agent(&lab, home).payloads.keys().collect::<Vec<_>>(),
        [&one]
    );
    assert_eq!(agent(&lab, home).payloads[&one].spec.data.0.len(), 10);
    assert!(agent(&lab, other).payloads.is_empty());

    // A second task on the same node: the secret is sent once (the agent checks that).
    lab.update(&web, with_secret(&replicated("web", 4), &one, "one"))
        .unwrap();
    lab.settle();
    assert_eq!(lab.running(&web).len(), 4);
    // Another secret instead: the old one goes with the last task that has it.
    lab.update(&web, with_secret(&replicated("web", 4), &two, "two"))
        .unwrap();
    lab.settle();
    lab.pass(Duration::from_secs(20));
    for id in ["a", "b"] {
        assert_eq!(
            agent(&lab, id).payloads.keys().collect::<Vec<_>>(),
            [&two],
            "{id}"
        );
    }
    lab.ask(Write::RemoveService(web)).unwrap();
    lab.settle();
    for id in ["a", "b"] {
        assert!(agent(&lab, id).payloads.is_empty(), "{id}");
    }
}

#[test]
fn an_agent_that_comes_back_is_told_all_that_it_needs() {
    let mut lab = Lab::new(&["a"]);
    let secret = lab.secret("one", 10);
    lab.create(with_secret(&replicated("web", 2), &secret, "one"));
    lab.settle();
    lab.agents.get_mut("a").expect("there").payloads.clear();
    lab.connect(&"a".into());
    lab.settle();
    assert_eq!(agent(&lab, "a").payloads.len(), 1);
    assert_eq!(agent(&lab, "a").tasks.len(), 2);
}

#[test]
fn what_is_too_much_for_one_message_comes_in_several() {
    let mut lab = Lab::new(&["a"]);
    let size = 400 * 1024;
    let mut spec = replicated("web", 1);
    for number in 0..45 {
        let name = format!("s{number}");
        let secret = lab.secret(&name, size);
        spec = with_secret(&spec, &secret, &name);
    }
    lab.payloads_may_follow = true;
    let before = agent(&lab, "a").messages;
    let web = lab.create(spec);
    lab.settle();
    assert_eq!(agent(&lab, "a").payloads.len(), 45);
    assert!(agent(&lab, "a").messages >= before + 3);
    lab.connect(&"a".into());
    lab.settle();
    assert_eq!(agent(&lab, "a").payloads.len(), 45);
    lab.ask(Write::RemoveService(web)).unwrap();
    lab.settle();
    assert!(agent(&lab, "a").payloads.is_empty());
}

#[test]
fn credentials_are_those_that_the_service_has_now() {
    let mut lab = Lab::new(&["a"]);
    let auth = |text: &str| Some(RegistryAuth(text.into()));
    let with = |text: &str, replicas| ServiceSpec {
        registry_auth: auth(text),
        ..replicated("web", replicas)
    };
    let web = lab.create(with("first", 1));
    lab.settle();
    lab.update(&web, with("second", 2)).unwrap();
    lab.settle();
    let auths: Vec<_> = agent(&lab, "a")
        .tasks
        .values()
        .map(|t| (t.slot, t.registry_auth.clone()))
        .collect();
    assert!(auths.contains(&(1, auth("first"))), "{auths:?}");
    assert!(auths.contains(&(2, auth("second"))), "{auths:?}");
    // After a change of session the older task gets the present ones, too.
    lab.connect(&"a".into());
    let tasks = agent(&lab, "a").tasks.values();
    let all: BTreeSet<_> = tasks
        .map(|t| t.registry_auth.clone().map(|a| a.0))
        .collect();
    assert_eq!(all, BTreeSet::from([Some("second".to_owned())]));
}
