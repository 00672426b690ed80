//! From flags to the JSON of specs, next to captures of docker 28.2.2.

use super::{ServiceCommand, UpdateArgs};
use crate::{Cli, TopCommand};
use api_types::service::ServiceSpec;
use clap::{CommandFactory, FromArgMatches};

fn parse(line: &str) -> Result<ServiceCommand, clap::Error> {
    let words = crate::parse::words::split(line).unwrap();
    let matches = crate::command()
        .try_get_matches_from(std::iter::once("starling".to_owned()).chain(words))?;
    match Cli::from_arg_matches(&matches)?.command {
        TopCommand::Service { command } => Ok(command),
        other => panic!("{other:?}"),
    }
}

fn created(line: &str) -> ServiceSpec {
    match parse(&format!("service create {line}")).unwrap_or_else(|err| panic!("{line}: {err}")) {
        ServiceCommand::Create(args) => args.spec().unwrap_or_else(|err| panic!("{line}: {err}")),
        other => panic!("{other:?}"),
    }
}

fn check(line: &str, json: &str) {
    assert_eq!(
        serde_json::to_string(&created(line)).unwrap(),
        json,
        "{line}"
    );
}

fn refused(line: &str, why: &str) {
    let text = match parse(line) {
        Err(err) => err.to_string(),
        Ok(ServiceCommand::Create(args)) => args.spec().expect_err(line).to_string(),
        Ok(other) => panic!("{line} was taken as {other:?}"),
    };
    assert!(text.contains(why), "{line}: {text}");
}

fn update_args(line: &str) -> UpdateArgs {
    match parse(&format!("service update {line}")).unwrap_or_else(|err| panic!("{line}: {err}")) {
        ServiceCommand::Update(args) => *args,
        other => panic!("{other:?}"),
    }
}

fn updated(before: &ServiceSpec, line: &str) -> ServiceSpec {
    let mut spec = before.clone();
    update_args(line)
        .apply(&mut spec)
        .unwrap_or_else(|err| panic!("{line}: {err}"));
    spec
}

#[test]
fn the_command_tree_is_sound() {
    Cli::command().debug_assert();
    crate::command().debug_assert();
}

#[test]
fn create_sends_what_docker_sends() {
    check(
        "--name web -p 8080:80 --replicas 2 -d nginx",
        r#"{"Name":"web","Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"nginx","Init":false,"DNSConfig":{}},"Resources":{"Limits":{},"Reservations":{}},"Placement":{},"ForceUpdate":0},"Mode":{"Replicated":{"Replicas":2}},"EndpointSpec":{"Mode":"vip","Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"ingress"}]}}"#,
    );
    check(
        "--env A=1 --mount source=v,target=/v --stop-grace-period 30s --health-cmd true --host h:1.2.3.4 --cap-add net_admin --ulimit nofile=10:20 --limit-cpu .5 --reserve-memory 64M --restart-condition on-failure --update-parallelism 2 a sh -c x",
        r#"{"Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"a","Args":["sh","-c","x"],"Env":["A=1"],"Init":false,"Mounts":[{"Type":"volume","Source":"v","Target":"/v"}],"StopGracePeriod":30000000000,"Healthcheck":{"Test":["CMD-SHELL","true"]},"Hosts":["1.2.3.4 h"],"DNSConfig":{},"CapabilityAdd":["CAP_NET_ADMIN"],"Ulimits":[{"Name":"nofile","Hard":20,"Soft":10}]},"Resources":{"Limits":{"NanoCPUs":500000000},"Reservations":{"MemoryBytes":67108864}},"RestartPolicy":{"Condition":"on-failure","Delay":5000000000,"MaxAttempts":0},"Placement":{},"ForceUpdate":0},"Mode":{"Replicated":{}},"UpdateConfig":{"Parallelism":2,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"stop-first"},"EndpointSpec":{"Mode":"vip"}}"#,
    );
    let job = created("--mode replicated-job --replicas 4 --max-concurrent 2 a");
    assert_eq!(
        serde_json::to_string(&job.mode).unwrap(),
        r#"{"ReplicatedJob":{"MaxConcurrent":2,"TotalCompletions":4}}"#
    );
}

#[test]
fn flags_end_at_the_image() {
    let container = created("--name x alpine -e --name y --replicas=3")
        .task_template
        .container_spec
        .unwrap();
    assert_eq!(container.args, ["-e", "--name", "y", "--replicas=3"]);
    let container = created("alpine -- sh")
        .task_template
        .container_spec
        .unwrap();
    assert_eq!(container.args, ["--", "sh"]);
    let container = created("--entrypoint 'sh -c \"a b\"' --tty --init --read-only=false alpine")
        .task_template
        .container_spec
        .unwrap();
    assert_eq!(
        (
            container.command,
            container.tty,
            container.init,
            container.read_only
        ),
        (
            vec!["sh".into(), "-c".into(), "a b".into()],
            true,
            Some(true),
            false
        )
    );
}

#[test]
fn create_refuses_mistakes() {
    refused("service create", "required");
    refused("service create --replicas -1 a", "-1");
    refused("service create --replicas x a", "whole number");
    refused("service create --limit-memory 5X a", "invalid suffix: 'x'");
    refused(
        "service create --update-delay 5 a",
        "missing unit in duration",
    );
    refused("service create --update-order sideways a", "start-first");
    refused(
        "service create --update-max-failure-ratio 2 a",
        "from 0 to 1",
    );
    refused("service create --mount type=bind a", "target is required");
    refused("service create --nmae x a", "--name");
    refused(
        "service create --mode global --replicas 2 a",
        "replicas can only be used with replicated",
    );
    refused("service create --mode sideways a", "Unknown mode");
    refused("service create --max-concurrent 2 a", "replicated-job");
    refused(
        "service create --mode global-job --update-delay 1s a",
        "not supported for jobs",
    );
    refused(
        "service create --env-file /does/not/exist a",
        "cannot read the environment file",
    );
    refused(
        "service create --no-healthcheck --health-cmd x a",
        "conflicts",
    );
    refused("service crate a", "create");
}

#[test]
fn force_only_counts_up() {
    let before = created("--name web --replicas 2 nginx");
    for flag in ["-f", "--force"] {
        let mut after = updated(&before, &format!("{flag} web"));
        assert_eq!(after.task_template.force_update, 1);
        after.task_template.force_update = 0;
        assert_eq!(after, before);
    }
    assert_eq!(updated(&before, "web"), before);
}

#[test]
fn update_changes_what_it_is_told_to() {
    let before = created(
        "--name web -l a=1 -e A=1 -e B=2 --mount type=bind,source=/a,target=/x --constraint node.role==worker --limit-cpu 1 -p 80:80 --cap-add SYS_TIME nginx x",
    );
    let after = updated(
        &before,
        "--image nginx:2 --args 'a b' --replicas 5 --label-add b=2 --label-rm a --env-add B=3 --env-add C --env-rm A --mount-add type=tmpfs,target=/x --constraint-add b==1 --constraint-rm node.role==worker --limit-memory 64M --publish-rm 80 --publish-add 90:90 --cap-drop SYS_TIME --user u --update-parallelism 0 --restart-delay 1s --dns-add 1.1.1.1 --update-order start-first web",
    );
    let container = after.task_template.container_spec.clone().unwrap();
    assert_eq!(
        (
            container.image.as_str(),
            container.args.clone(),
            container.user.as_str()
        ),
        ("nginx:2", vec!["a".to_owned(), "b".to_owned()], "u")
    );
    assert_eq!(container.env, ["B=3", "C"]);
    assert_eq!(
        (container.mounts.len(), container.mounts[0].kind.as_str()),
        (1, "tmpfs")
    );
    assert_eq!(
        (
            container.capability_add.len(),
            container.capability_drop.as_slice()
        ),
        (0, &[][..])
    );
    assert_eq!(container.dns_config.unwrap().nameservers, ["1.1.1.1"]);
    assert_eq!(after.labels, [("b".to_owned(), "2".to_owned())].into());
    assert_eq!(after.mode.replicated.unwrap().replicas, Some(5));
    assert_eq!(after.task_template.placement.unwrap().constraints, ["b==1"]);
    let limits = after.task_template.resources.unwrap().limits.unwrap();
    assert_eq!(
        (limits.nano_cpus, limits.memory_bytes),
        (1_000_000_000, 64 << 20)
    );
    assert_eq!(
        after
            .endpoint_spec
            .unwrap()
            .ports
            .iter()
            .map(|port| port.published_port)
            .collect::<Vec<_>>(),
        [90]
    );
    let config = after.update_config.unwrap();
    assert_eq!(
        (config.parallelism, config.order.as_str(), config.monitor),
        (0, "start-first", 5_000_000_000)
    );
    assert_eq!(
        after.task_template.restart_policy.unwrap().delay,
        Some(1_000_000_000)
    );
}

#[test]
fn what_is_removed_and_added_is_there() {
    let before = created(
        "--name web -e A=1 -p 8080:80 --ulimit nofile=1:2 --host h1:1.1.1.1 --host h2:2.2.2.2 --generic-resource gpu=2 a",
    );
    let after = updated(
        &before,
        "--env-rm A --env-add A=2 --publish-rm 80 --publish-add 8081:80 --ulimit-rm nofile --ulimit-add nofile=3 --host-rm h1 --host-rm h2:9.9.9.9 --host-add h1:3.3.3.3 --generic-resource-add cat=1 web",
    );
    let container = after.task_template.container_spec.unwrap();
    assert_eq!(container.env, ["A=2"]);
    assert_eq!(container.ulimits[0].soft, 3);
    assert_eq!(container.hosts, ["2.2.2.2 h2", "3.3.3.3 h1"]);
    let ports = after.endpoint_spec.unwrap().ports;
    assert_eq!((ports.len(), ports[0].published_port), (1, 8081));
    let kinds = after.task_template.resources.unwrap().reservations.unwrap();
    let kinds = kinds.generic_resources.into_iter();
    let kinds: Vec<String> = kinds.map(|kind| kind.discrete.unwrap().kind).collect();
    assert_eq!(kinds, ["cat", "gpu"]);
    let twice = "--mount-add type=tmpfs,target=/a --mount-add type=tmpfs,target=/a web";
    let why = update_args(twice).apply(&mut before.clone()).unwrap_err();
    assert_eq!(why.to_string(), "duplicate mount target");
    let why = update_args("--generic-resource-rm dog web").apply(&mut before.clone());
    assert!(
        why.unwrap_err()
            .to_string()
            .contains("could not find generic-resource `dog`")
    );
}

#[test]
fn what_docker_does_not_have_stays_in_the_spec() {
    let before = created("--device /dev/a --progress-deadline 1m --secret-env s=V a");
    let after = updated(
        &before,
        "--device-add /dev/b:/dev/c:r --device-rm /dev/a --progress-deadline 0s --privileged --secret-env-rm V web",
    );
    assert_eq!(
        serde_json::to_string(&after.starling).unwrap(),
        r#"{"ProgressDeadline":null,"Devices":[{"HostPath":"/dev/b","ContainerPath":"/dev/c","Permissions":"r"}],"Privileged":true,"SecretEnv":[]}"#
    );
    assert_eq!(updated(&before, "--user x web").starling, before.starling);
    refused("service create --format json a", "--dry-run");
    refused("service create --device a a", "invalid device");
    refused("service update --device /dev/a web", "'--device-");
}

#[test]
fn the_last_of_several_scalars_wins() {
    assert_eq!(created("--name a --name b x").name, "b");
    assert_eq!(
        created("-e A=1 -e A=2 x")
            .task_template
            .container_spec
            .unwrap()
            .env,
        ["A=2"]
    );
}
