//! Each refusal in words, with nothing proposed and nothing changed.

use super::*;
use model::cluster::MAX_LABELLED_TOKENS;
use model::node::ManagerStatus;
use model::payload::{ConfigRef, SecretEnv};
use model::service::UpdateConfig;

/// What the cases need: a service `web` at its second revision, a global one, secrets, a config, managers.
struct Case {
    lab: Lab,
    web: ServiceId,
    agent: ServiceId,
    used: PayloadId,
    config: PayloadId,
}

fn manager(id: &str, raft_id: u64) -> Node {
    let mut node = node(id);
    node.spec.role = Role::Manager;
    node.role = Role::Manager;
    node.manager = Some(ManagerStatus {
        raft_id,
        addr: format!("{id}:2377"),
    });
    node
}

fn case(nodes: Vec<Node>) -> Case {
    let mut lab = Lab::with(nodes);
    let used = lab.secret("used", 4);
    let write = Write::CreatePayload {
        kind: PayloadKind::Config,
        spec: payload_spec("conf", 4),
    };
    let Ok(Written::Payload(config)) = lab.ask(write) else {
        panic!("no config")
    };
    let plain = with_secret(&replicated("web", 2), &used, "used");
    let web = lab.create(plain.clone());
    lab.settle();
    lab.update(&web, changed(&plain, |t| t.force_update = 1))
        .unwrap();
    lab.settle();
    let agent = lab.create(spec("agent", Mode::Global));
    lab.settle();
    Case {
        lab,
        web,
        agent,
        used,
        config,
    }
}

impl Case {
    fn new() -> Case {
        case(vec![manager("m", 1), node("a"), node("b")])
    }

    /// The request is refused at once with this answer; nothing is proposed, nothing changes.
    fn refused(&mut self, write: Write, expected: &ControlError) {
        let before = self.lab.store.clone();
        let token = self.lab.send(write.clone());
        let answer = self.lab.replies.remove(&token);
        assert_eq!(answer, Some(Err(expected.clone())), "{write:?}");
        assert!(self.lab.queue.is_empty(), "{write:?}");
        assert_eq!(self.lab.store.snapshot(), before.snapshot(), "{write:?}");
    }

    fn update(&self, spec: ServiceSpec) -> Write {
        Write::UpdateService {
            id: self.web.clone(),
            version: self.lab.service(&self.web).meta.version,
            spec: Arc::new(spec),
        }
    }

    fn node_update(&self, id: &str, change: impl FnOnce(&mut NodeSpec)) -> Write {
        let node = self.lab.store.node(&id.into()).expect("there");
        let mut spec = node.spec.clone();
        change(&mut spec);
        Write::UpdateNode {
            id: id.into(),
            version: node.meta.version,
            spec,
        }
    }
}

fn invalid(text: &str) -> ControlError {
    ControlError::InvalidArgument(text.into())
}
fn missing(text: &str) -> ControlError {
    ControlError::NotFound(text.into())
}
fn exists(text: &str) -> ControlError {
    ControlError::AlreadyExists(text.into())
}
fn precondition(text: &str) -> ControlError {
    ControlError::FailedPrecondition(text.into())
}
fn unimplemented(text: &str) -> ControlError {
    ControlError::Unimplemented(text.into())
}

#[test]
fn services() {
    let mut case = Case::new();
    let create = |spec: ServiceSpec| Write::CreateService(Arc::new(spec));
    let taken = "name conflicts with an existing object: service WEB already exists";
    case.refused(create(replicated("WEB", 1)), &exists(taken));
    case.refused(
        create(replicated("", 1)),
        &invalid("meta: name must be provided"),
    );
    let job = ServiceSpec {
        update: Some(UpdateConfig::default()),
        ..spec("job", Mode::GlobalJob)
    };
    case.refused(create(job), &invalid("Jobs may not have an update config"));

    let web = replicated("web", 2);
    let renamed = case.update(replicated("new", 2));
    case.refused(
        renamed,
        &unimplemented("renaming services is not supported"),
    );
    let global = case.update(spec("web", Mode::Global));
    case.refused(global, &unimplemented("service mode change is not allowed"));
    let stale = Write::UpdateService {
        id: case.web.clone(),
        version: 1,
        spec: Arc::new(web.clone()),
    };
    case.refused(stale, &ControlError::OutOfSequence);
    let nowhere = Write::UpdateService {
        id: "none".into(),
        version: 1,
        spec: Arc::new(web),
    };
    case.refused(nowhere, &missing("service none not found"));
    case.refused(
        Write::RemoveService("none".into()),
        &missing("service none not found"),
    );
}

#[test]
fn references_to_secrets_and_configs() {
    let mut case = Case::new();
    let web = replicated("other", 2);
    let none = PayloadId::from("none");
    let create = |spec: ServiceSpec| Write::CreateService(Arc::new(spec));
    let unknown = with_secret(&web, &none, "key");
    case.refused(create(unknown.clone()), &invalid("secret not found: key"));
    let two = with_secret(&unknown, &"nil".into(), "salt");
    case.refused(create(two), &invalid("secrets not found: key, salt"));
    let (used, config) = (case.used.clone(), case.config.clone());
    let other_name = with_secret(&web, &used, "unused");
    case.refused(create(other_name), &invalid("secret not found: unused"));
    let other_kind = with_secret(&web, &config, "conf");
    case.refused(create(other_kind), &invalid("secret not found: conf"));
    let variable = changed(&web, |task| {
        task.container.secret_env.push(SecretEnv {
            id: none.clone(),
            name: "key".into(),
            variable: "KEY".into(),
        });
    });
    case.refused(create(variable), &invalid("secret not found: key"));
    let no_config = changed(&replicated("web", 2), |task| {
        let file = with_secret(&web, &none, "conf").task.container.secrets[0]
            .file
            .clone();
        task.container.configs.push(ConfigRef {
            id: none.clone(),
            name: "conf".into(),
            file: Some(file),
        });
    });
    let update = case.update(no_config);
    case.refused(update, &invalid("config not found: conf"));
}

#[test]
fn rollbacks() {
    let mut case = Case::new();
    let rollback = |case: &Case, id: &ServiceId, to| Write::RollbackService {
        id: id.clone(),
        version: case.lab.service(id).meta.version,
        to,
    };
    let agent = case.agent.clone();
    let text = format!("service {agent} does not have a previous spec");
    case.refused(rollback(&case, &agent, None), &precondition(&text));
    let web = case.web.clone();
    let unknown = rollback(&case, &web, Some(9));
    case.refused(
        unknown,
        &invalid("service web has no revision 9: it keeps 1, 2"),
    );
    let current = rollback(&case, &web, Some(2));
    case.refused(
        current,
        &precondition("service web is at revision 2 already: it keeps 1, 2"),
    );
    let stale = Write::RollbackService {
        id: web.clone(),
        version: 1,
        to: None,
    };
    case.refused(stale, &ControlError::OutOfSequence);
    // What the old revision used is gone.
    let without = case.update(changed(&replicated("web", 2), |t| t.force_update = 7));
    case.lab.ask(without).unwrap();
    case.lab.settle();
    let (id, kind) = (case.used.clone(), PayloadKind::Secret);
    case.lab.ask(Write::RemovePayload { id, kind }).unwrap();
    let back = rollback(&case, &web, Some(1));
    case.refused(back, &invalid("secret not found: used"));
}

#[test]
fn tasks() {
    let mut case = Case::new();
    case.refused(
        Write::RestartTasks(vec![]),
        &invalid("no task to restart: name at least one"),
    );
    case.refused(
        Write::RestartTasks(vec!["none".into()]),
        &missing("task none not found"),
    );
    let over = case.lab.store.tasks_of_service(&case.web);
    let over = over.filter(|t| !t.is_wanted()).map(|t| t.id.clone());
    let over = over.min().expect("the update replaced some");
    let text = format!(
        "task {over} cannot be restarted: it is shutdown and its desired state is shutdown; only a task that is to run can be"
    );
    case.refused(Write::RestartTasks(vec![over]), &precondition(&text));
    case.refused(
        Write::Rebalance(vec!["none".into()]),
        &missing("service none not found"),
    );
    let agent = case.agent.clone();
    case.refused(
        Write::Rebalance(vec![agent]),
        &precondition("service agent is global: only tasks of replicated services can be moved"),
    );
}

#[test]
fn secrets_and_configs() {
    let mut case = Case::new();
    let secret = PayloadKind::Secret;
    let config = PayloadKind::Config;
    let create = |kind, name: &str, bytes| Write::CreatePayload {
        kind,
        spec: payload_spec(name, bytes),
    };
    case.refused(
        create(secret, "Used", 4),
        &exists("secret Used already exists"),
    );
    case.refused(
        create(config, "conf", 4),
        &exists("config conf already exists"),
    );
    case.refused(
        create(secret, "new", 0),
        &invalid("secret data must be larger than 0 and less than 512000 bytes"),
    );
    let used = case.used.clone();
    let remove = |id: &PayloadId, kind| Write::RemovePayload {
        id: id.clone(),
        kind,
    };
    case.refused(
        remove(&used, secret),
        &invalid("secret 'used' is in use by the following service: web"),
    );
    let again = with_secret(&replicated("again", 0), &used, "used");
    case.lab.create(again);
    let users = match case.lab.ask(remove(&used, secret)) {
        Err(ControlError::InvalidArgument(text)) => text,
        other => panic!("{other:?}"),
    };
    let begin = "secret 'used' is in use by the following services: ";
    assert!(users.starts_with(begin) && users.contains("web") && users.contains("again"));
    let text = format!("config {used} not found");
    case.refused(remove(&used, config), &missing(&text));
    case.refused(
        remove(&"none".into(), secret),
        &missing("secret none not found"),
    );
    let version = case.lab.store.payload(&used).unwrap().meta.version;
    let update = |version, spec: Arc<PayloadSpec>| Write::UpdatePayload {
        id: used.clone(),
        kind: secret,
        version,
        spec,
    };
    let labels_only = invalid("only updates to Labels are allowed");
    case.refused(update(version, payload_spec("other", 4)), &labels_only);
    case.refused(update(version, payload_spec("used", 5)), &labels_only);
    case.refused(
        update(version + 1, payload_spec("used", 4)),
        &ControlError::OutOfSequence,
    );
}

#[test]
fn nodes_and_demotions() {
    let mut case = Case::new();
    let demote = |case: &Case, id: &str| case.node_update(id, |spec| spec.role = Role::Worker);
    let last = precondition("attempting to demote the last manager of the swarm");
    let only = demote(&case, "m");
    case.refused(only, &last);
    // Somebody is on his way to become one, and is none yet.
    let promote = case.node_update("a", |spec| spec.role = Role::Manager);
    case.lab.ask(promote).unwrap();
    let only = demote(&case, "m");
    case.refused(only, &last);
    let remove = |id: &str, force| Write::RemoveNode {
        id: id.into(),
        force,
    };
    case.refused(
        remove("m", true),
        &precondition(
            "node m is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal",
        ),
    );
    case.refused(
        remove("b", false),
        &precondition("node b is not down and can't be removed"),
    );
    case.refused(remove("none", true), &missing("node none not found"));
    let mut stale = case.node_update("b", |_| {});
    if let Write::UpdateNode { version, .. } = &mut stale {
        *version += 1;
    }
    case.refused(stale, &ControlError::OutOfSequence);
}

#[test]
fn a_demotion_that_would_cost_the_quorum() {
    let mut case = case(vec![manager("m", 1), manager("n", 2), manager("o", 3)]);
    case.lab.agents.get_mut("o").expect("there").silent = true;
    case.lab.pass(Duration::from_secs(5));
    assert_eq!(case.lab.state("o"), NodeState::Down);
    let one = case.node_update("n", |spec| spec.role = Role::Worker);
    case.refused(
        one,
        &precondition("can't remove member from the raft: this would result in a loss of quorum"),
    );
    // The one that is down may go.
    let down = case.node_update("o", |spec| spec.role = Role::Worker);
    case.lab.ask(down).unwrap();
}

#[test]
fn the_cluster_and_its_tokens() {
    let mut case = Case::new();
    let version = case.lab.store.cluster().unwrap().meta.version;
    let update = |version, spec: ClusterSpec| Write::UpdateCluster {
        version,
        spec,
        rotate_worker_token: false,
        rotate_manager_token: false,
    };
    case.refused(
        update(version + 1, ClusterSpec::default()),
        &ControlError::OutOfSequence,
    );
    let named = ClusterSpec {
        name: "mine".into(),
        ..ClusterSpec::default()
    };
    case.refused(
        update(version, named),
        &invalid(r#"swarm spec must be named "default""#),
    );
    let token = |name: String| Write::CreateToken {
        name,
        role: Role::Worker,
        labels: BTreeMap::new(),
    };
    for number in 0..MAX_LABELLED_TOKENS {
        case.lab.ask(token(format!("t{number}"))).unwrap();
    }
    case.refused(token("t0".into()), &exists("join token t0 already exists"));
    case.refused(
        token("more".into()),
        &precondition(
            "there are 100 join tokens with labels already: remove those that are not used any more",
        ),
    );
    let name = "none".to_owned();
    case.refused(
        Write::RemoveToken { name },
        &missing("join token none not found"),
    );
}

#[test]
fn who_does_not_lead_says_so() {
    let mut case = Case::new();
    case.lab.step(Input::LostLeadership);
    case.lab.queue.clear();
    let refusal = ControlError::Unavailable(ControlError::NO_LEADER.into());
    let remove = Write::RemoveService(case.web.clone());
    case.refused(remove, &refusal);
}
