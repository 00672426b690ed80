//! Clients that read a service, change one thing and send it back without what they do not know: nothing of it is lost.

use super::tests::read;
use super::{keep_unknown, service_spec, service_spec_out, settle_additions};
use crate::version::Version;
use model::ServiceSpec;
use model::service::Mode;
use serde_json::{Map, Value, json};

/// A service in which everything that some client may not know is set.
const RICH: &str = r#"{"Name":"w","Labels":{"l":"1"},"TaskTemplate":{"ContainerSpec":{"Image":"i","Hostname":"h","Groups":["7"],"Privileges":{"SELinuxContext":{"Disable":true},"Seccomp":{"Mode":"unconfined"},"AppArmor":{"Mode":"disabled"},"NoNewPrivileges":true},"Init":true,"TTY":true,"ReadOnly":true,"StopSignal":"SIGINT","Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rprivate","NonRecursive":true,"CreateMountpoint":true,"ReadOnlyNonRecursive":true}},{"Type":"volume","Source":"v1","Target":"/v","VolumeOptions":{"Subpath":"s"}},{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":5,"Options":[["noexec"]]}}],"Healthcheck":{"Test":["CMD","x"],"StartInterval":4000000},"Hosts":["1.2.3.4 h"],"DNSConfig":{"Search":["a"]},"Secrets":[{"File":{"Name":"s","UID":"0","GID":"0","Mode":292},"SecretID":"i","SecretName":"n"}],"Configs":[{"File":{"Name":"c","UID":"0","GID":"0","Mode":292},"ConfigID":"j","ConfigName":"m"}],"Sysctls":{"net.core.somaxconn":"1"},"CapabilityAdd":["CAP_KILL"],"CapabilityDrop":["CAP_CHOWN"],"Ulimits":[{"Name":"nofile","Hard":2,"Soft":1}],"OomScoreAdj":5},"Resources":{"Limits":{"Pids":9},"Reservations":{"GenericResources":[{"DiscreteResourceSpec":{"Kind":"gpu","Value":1}}]}},"Placement":{"Preferences":[{"Spread":{"SpreadDescriptor":"node.labels.r"}}],"MaxReplicas":2,"Platforms":[{"Architecture":"amd64","OS":"linux"}]},"ForceUpdate":7},"Mode":{"Replicated":{"Replicas":3}},"UpdateConfig":{"Parallelism":2,"Monitor":7000000000,"FailureAction":"rollback","MaxFailureRatio":0.5,"Order":"start-first"},"RollbackConfig":{"Parallelism":3,"MaxFailureRatio":0,"Order":"start-first"},"Starling":{"ProgressDeadline":120000000000,"AutoRebalance":true,"Devices":[{"HostPath":"/dev/a","ContainerPath":"/dev/b","Permissions":"rw"}],"Privileged":true,"SecretEnv":[{"SecretID":"i","SecretName":"n","Variable":"V"}]}}"#;

fn current() -> ServiceSpec {
    let mut spec = read(RICH).expect("a good spec");
    spec.registry_auth = Some(model::service::RegistryAuth("kept elsewhere".into()));
    spec
}

/// The spec after an update with `sent` by a client of this version.
fn updated(current: &ServiceSpec, sent: Value, version: Version) -> ServiceSpec {
    let printed = service_spec_out(current, false);
    let merged = keep_unknown(sent, &printed, version);
    let sent: api_types::service::ServiceSpec = api_types::from_value(merged).expect("JSON");
    let additions = sent.starling.clone();
    let mut spec = service_spec(sent).expect("a good spec");
    settle_additions(&mut spec, additions, Some(current)).expect("good additions");
    // What the route does when no credentials are sent.
    spec.registry_auth.clone_from(&current.registry_auth);
    spec
}

/// What the API answers for the current spec.
fn answered(current: &ServiceSpec) -> Value {
    serde_json::to_value(service_spec_out(current, false)).expect("JSON")
}

fn remove(value: &mut Value, path: &str) {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = vec![value];
    for step in parent.split('.').filter(|step| !step.is_empty()) {
        at = at
            .into_iter()
            .flat_map(|value| match step {
                "*" => value
                    .as_array_mut()
                    .map(|list| list.iter_mut().collect())
                    .unwrap_or_default(),
                _ => value.get_mut(step).into_iter().collect::<Vec<_>>(),
            })
            .collect();
    }
    for value in at {
        value
            .as_object_mut()
            .map(|map: &mut Map<_, _>| map.remove(key));
    }
}

/// A client that has no types for `unknown` changes the image and sends back what it has.
fn client(unknown: &[&str], version: Version) {
    let current = current();
    let mut sent = answered(&current);
    for path in unknown {
        remove(&mut sent, path);
    }
    sent["TaskTemplate"]["ContainerSpec"]["Image"] = json!("other:2");
    let mut expected = current.clone();
    std::sync::Arc::make_mut(&mut expected.task).container.image = "other:2".into();
    let actual = updated(&current, sent, version);
    assert_eq!(actual, expected, "{version:?} {unknown:?}");
}

const C: &str = "TaskTemplate.ContainerSpec";

/// What types of each age do not have, as paths below the container, and elsewhere.
const AGES: [(u32, &[&str], &[&str]); 7] = [
    (45, &["OomScoreAdj", "Mounts.*.TmpfsOptions.Options"], &[]),
    (44, &["Mounts.*.VolumeOptions.Subpath"], &[]),
    (
        43,
        &[
            "Privileges.Seccomp",
            "Privileges.AppArmor",
            "Privileges.NoNewPrivileges",
            "Healthcheck.StartInterval",
            "Mounts.*.BindOptions.ReadOnlyNonRecursive",
            "Mounts.*.BindOptions.ReadOnlyForceRecursive",
        ],
        &[],
    ),
    (41, &["Mounts.*.BindOptions.CreateMountpoint"], &[]),
    (
        40,
        &["CapabilityAdd", "CapabilityDrop", "Ulimits"],
        &["TaskTemplate.Resources.Limits.Pids"],
    ),
    (
        39,
        &["Sysctls", "Mounts.*.BindOptions.NonRecursive"],
        &["TaskTemplate.Placement.MaxReplicas"],
    ),
    (
        24,
        &[
            "Init",
            "Isolation",
            "Configs",
            "Privileges",
            "StopSignal",
            "ReadOnly",
            "Hosts",
            "Secrets",
            "Hostname",
            "DNSConfig",
            "Healthcheck",
            "Groups",
            "TTY",
            "OpenStdin",
        ],
        &[
            "TaskTemplate.Resources.Reservations.GenericResources",
            "TaskTemplate.Placement.Platforms",
            "TaskTemplate.Placement.Preferences",
            "UpdateConfig.Order",
            "UpdateConfig.Monitor",
            "UpdateConfig.MaxFailureRatio",
            "RollbackConfig",
        ],
    ),
];

#[test]
fn clients_of_any_age_lose_nothing() {
    // Docker's own CLI reads and sends all that Docker knows, whatever version it is told to speak.
    for minor in [24, 37, 40, 41, 44, 46, 50] {
        client(&["Starling"], Version(1, minor));
    }
    let mut unknown = vec!["Starling".to_owned()];
    for (minor, of_container, others) in AGES {
        unknown.extend(of_container.iter().map(|path| format!("{C}.{path}")));
        unknown.extend(others.iter().map(|path| (*path).to_owned()));
        let paths: Vec<_> = unknown.iter().map(String::as_str).collect();
        client(&paths, Version(1, minor));
    }
}

/// As docker-py's `update_service(fetch_current_spec=True)`: dictionaries, in which only what was given stands.
#[test]
fn clients_made_of_dictionaries_lose_nothing() {
    client(&["Starling", "TaskTemplate.ForceUpdate"], Version(1, 50));
    client(
        &["Starling", "TaskTemplate.ForceUpdate", "Mode"],
        Version(1, 41),
    );
    // In small letters, as Go reads them.
    let current = current();
    let mut sent = answered(&current);
    remove(&mut sent, "Starling");
    let template = sent
        .as_object_mut()
        .and_then(|map| map.remove("TaskTemplate"));
    sent["tasktemplate"] = template.expect("a template");
    sent["tasktemplate"]["forceupdate"] = json!(8);
    remove(&mut sent, "tasktemplate.ForceUpdate");
    assert_eq!(updated(&current, sent, Version(1, 24)).task.force_update, 8);
}

#[test]
fn what_is_mentioned_is_taken_as_it_is() {
    let current = current();
    let mut sent = answered(&current);
    sent["TaskTemplate"]["ForceUpdate"] = json!(0);
    sent["TaskTemplate"]["ContainerSpec"]["CapabilityAdd"] = Value::Null;
    sent["TaskTemplate"]["ContainerSpec"]["OomScoreAdj"] = json!(0);
    sent["Mode"] = json!({"Replicated": {}});
    let new = updated(&current, sent, Version(1, 30));
    assert_eq!(new.task.force_update, 0);
    assert!(new.task.container.cap_add.is_empty());
    assert_eq!(new.task.container.oom_score_adj, 0);
    let replicas = Some(1);
    assert_eq!(new.mode, Mode::Replicated { replicas });
    // A client of today that leaves out what it knows means it.
    let mut sent = answered(&current);
    for path in ["CapabilityAdd", "Secrets", "Healthcheck", "Sysctls"] {
        remove(&mut sent, &format!("{C}.{path}"));
    }
    remove(&mut sent, "TaskTemplate.Placement.MaxReplicas");
    let new = updated(&current, sent, Version(1, 50));
    let container = &new.task.container;
    assert!(container.cap_add.is_empty() && container.secrets.is_empty());
    assert!(container.healthcheck.is_none() && container.sysctls.is_empty());
    assert_eq!(
        new.task
            .placement
            .as_ref()
            .expect("a placement")
            .max_replicas,
        0
    );
    // What was removed as a whole does not come back in parts.
    let mut sent = answered(&current);
    remove(&mut sent, &format!("{C}.Healthcheck"));
    remove(&mut sent, "UpdateConfig");
    sent["TaskTemplate"]["ContainerSpec"]["Mounts"] = json!([{"Type":"tmpfs","Target":"/b"}]);
    let new = updated(&current, sent, Version(1, 41));
    assert!(new.task.container.healthcheck.is_none() && new.update.is_none());
    assert_eq!(new.task.container.mounts.len(), 1);
}

#[test]
fn additions_stay_change_and_go() {
    let current = current();
    let with = |additions: Value| {
        let mut sent = answered(&current);
        sent["Starling"] = additions;
        updated(&current, sent, Version(1, 50))
    };
    assert_eq!(with(json!({})), current);
    assert_eq!(with(Value::Null), current);
    let new = with(json!({"ProgressDeadline": null, "Devices": []}));
    assert_eq!(new.progress_deadline, None);
    assert!(new.task.container.devices.is_empty());
    assert!(new.auto_rebalance && new.task.container.privileged);
    let new = with(json!({"autorebalance": false, "Privileged": null, "SecretEnv": null}));
    assert!(!new.auto_rebalance && !new.task.container.privileged);
    assert!(new.task.container.secret_env.is_empty());
    assert_eq!(new.progress_deadline, current.progress_deadline);
}

#[test]
fn a_stopped_service_that_gets_replicas_has_started() {
    let mut stopped = current();
    stopped.mode = Mode::Replicated { replicas: Some(0) };
    stopped.stopped = Some(3);
    let mut sent = answered(&stopped);
    remove(&mut sent, "Starling");
    let same = updated(&stopped, sent.clone(), Version(1, 50));
    assert_eq!(same.stopped, Some(3));
    sent["Mode"]["Replicated"]["Replicas"] = json!(5);
    let scaled = updated(&stopped, sent, Version(1, 50));
    assert_eq!((scaled.stopped, scaled.replicas()), (None, 5));
}

#[test]
fn jobs_stay_jobs() {
    for mode in [
        r#"{"ReplicatedJob":{"MaxConcurrent":2,"TotalCompletions":4}}"#,
        r#"{"GlobalJob":{}}"#,
        r#"{"Global":{}}"#,
    ] {
        let spec = format!(
            r#"{{"Name":"j","TaskTemplate":{{"ContainerSpec":{{"Image":"i"}}}},"Mode":{mode}}}"#
        );
        let current = read(&spec).expect("a good spec");
        let mut sent = answered(&current);
        remove(&mut sent, "Mode");
        assert_eq!(updated(&current, sent.clone(), Version(1, 40)), current);
        sent["Mode"] = json!({});
        assert_eq!(updated(&current, sent, Version(1, 50)), current);
    }
}
