//! What a client sends comes back as it was sent, or is refused by the name of the field.

use super::{service, service_spec, settle_additions};
use crate::ApiError;
use api_types::service::ServiceSpec;
use http::StatusCode;
use model::{Meta, Service, ServiceId};
use serde_json::Value;
use std::sync::Arc;

pub(super) fn read(text: &str) -> Result<model::ServiceSpec, ApiError> {
    let sent: ServiceSpec = api_types::from_json(text.as_bytes()).expect("JSON");
    let additions = sent.starling.clone();
    let mut spec = service_spec(sent)?;
    settle_additions(&mut spec, additions, None)?;
    Ok(spec)
}

pub(super) fn object(spec: model::ServiceSpec) -> Service {
    Service {
        id: ServiceId::from("s"),
        meta: Meta::default(),
        spec: Arc::new(spec),
        previous_spec: None,
        spec_version: 1,
        update_status: None,
        history: Vec::new(),
        job: None,
    }
}

/// The spec as it is answered after it was sent.
fn echo(text: &str) -> Value {
    let spec = read(text).expect("a good spec");
    serde_json::to_value(service(&object(spec), None, false).spec).expect("JSON")
}

#[track_caller]
fn check_echo(text: &str) {
    assert_eq!(
        echo(text),
        serde_json::from_str::<Value>(text).expect("JSON")
    );
}

#[test]
fn what_dockers_cli_sends_is_echoed() {
    check_echo(
        r#"{"Name":"web","Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"nginx:latest@sha256:0123456789012345678901234567890123456789012345678901234567890123","Init":false,"DNSConfig":{}},"Resources":{"Limits":{},"Reservations":{}},"Placement":{"Platforms":[{"Architecture":"amd64","OS":"linux"}]},"ForceUpdate":0},"Mode":{"Replicated":{"Replicas":2}},"EndpointSpec":{"Mode":"vip"}}"#,
    );
    check_echo(
        r#"{"Name":"rich","Labels":{"a":"b"},"TaskTemplate":{"ContainerSpec":{"Image":"busybox:1","Args":["sh","-c","x"],"Command":["/bin/sh"],"Hostname":"h","Env":["A=1"],"Dir":"/d","User":"1:2","Privileges":{"CredentialSpec":null,"SELinuxContext":null,"NoNewPrivileges":true},"Init":false,"StopSignal":"SIGINT","ReadOnly":true,"Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}},{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":65536,"Mode":448}}],"StopGracePeriod":30000000000,"Hosts":["1.2.3.4 h"],"Sysctls":{"net.ipv4.ip_forward":"1"},"CapabilityAdd":["CAP_NET_ADMIN"],"CapabilityDrop":["CAP_CHOWN"],"Ulimits":[{"Name":"nofile","Hard":20,"Soft":10}]},"Resources":{"Limits":{"NanoCPUs":500000000,"Pids":7},"Reservations":{"MemoryBytes":67108864}},"RestartPolicy":{"Condition":"on-failure","Delay":5000000000,"MaxAttempts":0,"Window":1000000000},"Placement":{"Constraints":["node.role==worker"],"MaxReplicas":3},"Networks":[{"Target":"hostnetwork00000000000000"}],"LogDriver":{"Name":"json-file","Options":{"max-size":"1m"}},"ForceUpdate":3},"Mode":{"Replicated":{"Replicas":1}},"UpdateConfig":{"Parallelism":2,"Delay":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0.5,"Order":"stop-first"},"RollbackConfig":{"Parallelism":1,"FailureAction":"continue","MaxFailureRatio":0,"Order":"start-first"},"EndpointSpec":{"Mode":"dnsrr"}}"#,
    );
}

#[test]
fn everything_that_a_container_can_be_is_echoed() {
    check_echo(
        r#"{"Name":"all","Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"busybox:1","Hostname":"{{.Service.Name}}","Groups":["7","wheel"],"Privileges":{"CredentialSpec":null,"SELinuxContext":{"Disable":false,"User":"u","Role":"r","Type":"t","Level":"l"},"Seccomp":{"Mode":"custom","Profile":"e30="},"AppArmor":{"Mode":"disabled"},"NoNewPrivileges":false},"Init":true,"TTY":true,"OpenStdin":true,"Mounts":[{"Type":"volume","Source":"v1","Target":"/v","VolumeOptions":{"NoCopy":true,"Labels":{"a":"b"},"Subpath":"s/t","DriverConfig":{"Name":"local","Options":{"type":"tmpfs"}}}},{"Type":"volume","Target":"/w"},{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"Consistency":"cached","BindOptions":{"Propagation":"rprivate","NonRecursive":true,"CreateMountpoint":true,"ReadOnlyNonRecursive":true}},{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1,"Mode":1023,"Options":[["noexec"],["uid","7"]]}}],"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":1000000,"Timeout":2000000,"StartPeriod":3000000,"StartInterval":4000000,"Retries":5},"DNSConfig":{"Nameservers":["1.1.1.1"],"Search":["a"],"Options":["ndots:1"]},"Secrets":[{"File":{"Name":"s","UID":"0","GID":"1","Mode":292},"SecretID":"i","SecretName":"n"}],"Configs":[{"File":{"Name":"/c","UID":"0","GID":"0","Mode":256},"ConfigID":"j","ConfigName":"m"},{"Runtime":{},"ConfigID":"k","ConfigName":"o"}],"Isolation":"default","OomScoreAdj":-5},"Resources":{"Reservations":{"GenericResources":[{"DiscreteResourceSpec":{"Kind":"gpu","Value":2}}]}},"Placement":{"Preferences":[{"Spread":{"SpreadDescriptor":"node.labels.rack"}}]},"ForceUpdate":1,"Runtime":"container"},"Mode":{"Global":{}},"UpdateConfig":{"Parallelism":0,"FailureAction":"rollback","MaxFailureRatio":1,"Order":"start-first"},"Starling":{"ProgressDeadline":120000000000,"Devices":[{"HostPath":"/dev/a","ContainerPath":"/dev/b","Permissions":"rw"}],"Privileged":true,"SecretEnv":[{"SecretID":"i","SecretName":"n","Variable":"V"}]}}"#,
    );
    for mode in [
        r#"{"ReplicatedJob":{"MaxConcurrent":2,"TotalCompletions":4}}"#,
        r#"{"ReplicatedJob":{"MaxConcurrent":1,"TotalCompletions":1}}"#,
        r#"{"GlobalJob":{}}"#,
        r#"{"Replicated":{"Replicas":0}}"#,
    ] {
        check_echo(&format!(
            r#"{{"Name":"job","Labels":{{}},"TaskTemplate":{{"ContainerSpec":{{"Image":"i"}},"ForceUpdate":0}},"Mode":{mode}}}"#
        ));
    }
    check_echo(
        r#"{"Name":"off","Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"i"},"ForceUpdate":0},"Mode":{"Replicated":{"Replicas":0}},"Starling":{"Stopped":{"Replicas":3},"AutoRebalance":true}}"#,
    );
}

#[test]
fn defaults_are_shown_when_asked_for() {
    let spec = read(r#"{"Name":"w","TaskTemplate":{"ContainerSpec":{"Image":"i"}}}"#)
        .expect("a good spec");
    let shown = serde_json::to_value(service(&object(spec), None, true).spec).expect("JSON");
    let at = |path: &str| shown.pointer(path).cloned().unwrap_or_default();
    assert_eq!(at("/Mode/Replicated/Replicas"), 1);
    assert_eq!(at("/UpdateConfig/Monitor"), 5_000_000_000_u64);
    assert_eq!(at("/RollbackConfig/Order"), "stop-first");
    assert_eq!(at("/TaskTemplate/RestartPolicy/Condition"), "any");
    assert_eq!(at("/TaskTemplate/RestartPolicy/Delay"), 5_000_000_000_u64);
    assert_eq!(
        at("/TaskTemplate/ContainerSpec/StopGracePeriod"),
        10_000_000_000_u64
    );
    assert!(at("/TaskTemplate/Resources/Limits").is_object());
    let job = read(r#"{"Name":"w","TaskTemplate":{"ContainerSpec":{"Image":"i"}},"Mode":{"ReplicatedJob":{"MaxConcurrent":3}}}"#).expect("a job");
    let shown = serde_json::to_value(service(&object(job), None, true).spec).expect("JSON");
    assert_eq!(shown["Mode"]["ReplicatedJob"]["TotalCompletions"], 3);
    assert!(shown.get("UpdateConfig").is_none());
}

#[test]
fn the_host_network_is_kept_by_its_id() {
    let spec = echo(
        r#"{"Name":"w","TaskTemplate":{"ContainerSpec":{"Image":"i"},"Networks":[{"Target":"host"}]}}"#,
    );
    assert_eq!(
        spec["TaskTemplate"]["Networks"][0]["Target"],
        model::task::HOST_NETWORK_ID
    );
    let deprecated = echo(
        r#"{"Name":"w","TaskTemplate":{"ContainerSpec":{"Image":"i"}},"Networks":[{"Target":"host"}]}"#,
    );
    assert_eq!(
        spec["TaskTemplate"]["Networks"],
        deprecated["TaskTemplate"]["Networks"]
    );
}

/// `template` goes into the container's spec.
#[track_caller]
fn check_refused(spec: &str, status: StatusCode, text: &str) {
    let error = read(spec).expect_err(spec);
    assert_eq!(error.status, status, "{spec}: {error}");
    assert!(error.message.contains(text), "{spec}: {error}");
}

#[test]
fn what_is_not_built_is_refused_by_its_field() {
    for (container, field) in [
        (
            r#""Privileges":{"CredentialSpec":{"Config":"c"}}"#,
            "CredentialSpec",
        ),
        (
            r#""Mounts":[{"Type":"cluster","Source":"v","Target":"/v"}]"#,
            "Mounts.Type cluster",
        ),
        (
            r#""Mounts":[{"Type":"volume","Target":"/v","VolumeOptions":{"DriverConfig":{"Name":"nfs"}}}]"#,
            "DriverConfig nfs",
        ),
    ] {
        let spec = format!(
            r#"{{"Name":"w","TaskTemplate":{{"ContainerSpec":{{"Image":"i",{container}}}}}}}"#
        );
        check_refused(&spec, StatusCode::NOT_IMPLEMENTED, field);
    }
    for (rest, field) in [
        (r#""EndpointSpec":{"Ports":[{"TargetPort":80}]}"#, "Ports"),
        (
            r#""TaskTemplate":{"Networks":[{"Target":"bridge"}]}"#,
            "bridge",
        ),
        (
            r#""TaskTemplate":{"Networks":[{"Target":"host","Aliases":["a"]}]}"#,
            "Aliases",
        ),
        (
            r#""TaskTemplate":{"LogDriver":{"Name":"journald"}}"#,
            "LogDriver journald",
        ),
        (r#""TaskTemplate":{"Runtime":"plugin"}"#, "PluginSpec"),
    ] {
        check_refused(
            &format!(r#"{{"Name":"w",{rest}}}"#),
            StatusCode::NOT_IMPLEMENTED,
            field,
        );
    }
}

#[test]
fn nonsense_is_refused() {
    for (rest, text) in [
        (
            r#""Mode":{"Global":{},"Replicated":{}}"#,
            "one service mode",
        ),
        (r#""UpdateConfig":{"Order":"sideways"}"#, "order"),
        (
            r#""UpdateConfig":{"Delay":-1}"#,
            "rpc error: code = InvalidArgument desc = TaskSpec: update-delay cannot be negative",
        ),
        (
            r#""RollbackConfig":{"Monitor":-1}"#,
            "TaskSpec: rollback-monitor cannot be negative",
        ),
        (
            r#""UpdateConfig":{"FailureAction":"explode"}"#,
            "failure action",
        ),
        (r#""EndpointSpec":{"Mode":"x"}"#, "invalid resolution mode"),
        (
            r#""TaskTemplate":{"RestartPolicy":{"Condition":"maybe"}}"#,
            "invalid RestartCondition: \"maybe\"",
        ),
        (
            r#""TaskTemplate":{"RestartPolicy":{"Delay":-5}}"#,
            "TaskSpec: restart-delay cannot be negative",
        ),
        (
            r#""TaskTemplate":{"RestartPolicy":{"Window":-5}}"#,
            "TaskSpec: restart-window cannot be negative",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Healthcheck":{"Interval":-5}}}"#,
            "Interval in HealthConfig cannot be less than 1ms",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Healthcheck":{"Retries":-1}}}"#,
            "Retries in HealthConfig cannot be negative",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Secrets":[{"SecretID":"a","SecretName":"b"}]}}"#,
            "malformed secret reference, no target provided",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Configs":[{"ConfigID":"a","ConfigName":"b"}]}}"#,
            "malformed config reference, no target provided",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Configs":[{"ConfigID":"a","File":{},"Runtime":{}}]}}"#,
            "a File and a Runtime target",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Privileges":{"Seccomp":{"Mode":"odd"}}}}"#,
            "Seccomp.Mode: 'odd'",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Privileges":{"Seccomp":{"Mode":"unconfined","Profile":"e30="}}}}"#,
            "only be given with the mode custom",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Privileges":{"Seccomp":{"Mode":"custom","Profile":"AAAA"}}}}"#,
            "not a profile in JSON",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Privileges":{"AppArmor":{"Mode":"odd"}}}}"#,
            "AppArmor.Mode",
        ),
        (
            r#""TaskTemplate":{"Resources":{"Reservations":{"GenericResources":[{}]}}}"#,
            "either a NamedResourceSpec or a DiscreteResourceSpec",
        ),
        (
            r#""TaskTemplate":{"Placement":{"Preferences":[{}]}}"#,
            "only Spread",
        ),
        (r#""Starling":{"ProgressDeadline":-1}"#, "ProgressDeadline"),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Image":"UPPER"}}"#,
            "not a valid repository",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Image":"i","Mounts":[{"Type":"odd","Target":"/x"}]}}"#,
            "invalid MountType",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Image":"i","Mounts":[{"Type":"bind","TmpfsOptions":{}}]}}"#,
            "another type",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Image":"i","Isolation":"hyperv"}}"#,
            "Isolation",
        ),
        (r#""TaskTemplate":{"Runtime":"attachment"}"#, "Runtime"),
    ] {
        check_refused(
            &format!(r#"{{"Name":"w",{rest}}}"#),
            StatusCode::BAD_REQUEST,
            text,
        );
    }
    check_refused(
        r#"{"TaskTemplate":{"Networks":[{"Target":"nope"}]}}"#,
        StatusCode::NOT_FOUND,
        "network nope not found",
    );
}
