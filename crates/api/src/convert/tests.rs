//! What a client sends comes back as it was sent, or is refused by the name of the field.

use super::{service, service_spec};
use api_types::service::ServiceSpec;
use http::StatusCode;
use model::{Meta, Service, ServiceId};
use serde_json::Value;
use std::sync::Arc;

fn read(text: &str) -> Result<model::ServiceSpec, crate::ApiError> {
    service_spec(api_types::from_json::<ServiceSpec>(text.as_bytes()).expect("JSON"))
}

/// The spec as it is answered after it was sent.
fn echo(text: &str) -> Value {
    let spec = read(text).expect("a good spec");
    let object = Service {
        id: ServiceId::from("s"),
        meta: Meta::default(),
        spec: Arc::new(spec),
        previous_spec: None,
        spec_version: 1,
        update_status: None,
    };
    serde_json::to_value(service(&object, None, false).spec).expect("JSON")
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
        r#"{"Name":"rich","Labels":{"a":"b"},"TaskTemplate":{"ContainerSpec":{"Image":"busybox:1","Args":["sh","-c","x"],"Command":["/bin/sh"],"Hostname":"h","Env":["A=1"],"Dir":"/d","User":"1:2","Privileges":{"CredentialSpec":null,"SELinuxContext":null,"NoNewPrivileges":true},"Init":false,"StopSignal":"SIGINT","ReadOnly":true,"Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true,"BindOptions":{"Propagation":"rslave"}},{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":65536,"Mode":448}}],"StopGracePeriod":30000000000,"Hosts":["1.2.3.4 h"],"Sysctls":{"net.ipv4.ip_forward":"1"},"CapabilityAdd":["CAP_NET_ADMIN"],"CapabilityDrop":["CAP_CHOWN"],"Ulimits":[{"Name":"nofile","Hard":20,"Soft":10}]},"Resources":{"Limits":{"NanoCPUs":500000000,"Pids":7},"Reservations":{"MemoryBytes":67108864}},"RestartPolicy":{"Condition":"on-failure","Delay":5000000000,"MaxAttempts":0,"Window":1000000000},"Placement":{"Constraints":["node.role==worker"],"MaxReplicas":3},"Networks":[{"Target":"hostnetwork00000000000000"}],"LogDriver":{"Name":"json-file","Options":{"max-size":"1m"}},"ForceUpdate":3},"Mode":{"Replicated":{}},"UpdateConfig":{"Parallelism":2,"Delay":1,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0.5,"Order":"stop-first"},"RollbackConfig":{"Parallelism":1,"FailureAction":"continue","MaxFailureRatio":0,"Order":"start-first"},"EndpointSpec":{"Mode":"dnsrr"}}"#,
    );
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
        (r#""TTY":true"#, "TTY"),
        (r#""OpenStdin":true"#, "OpenStdin"),
        (r#""Init":true"#, "Init"),
        (r#""Healthcheck":{"Test":["CMD","x"]}"#, "Healthcheck"),
        (r#""Groups":["7"]"#, "Groups"),
        (r#""Secrets":[{"SecretID":"x"}]"#, "Secrets"),
        (r#""Configs":[{"ConfigID":"x"}]"#, "Configs"),
        (r#""DNSConfig":{"Nameservers":["1.1.1.1"]}"#, "DNSConfig"),
        (
            r#""Privileges":{"SELinuxContext":{"Disable":true}}"#,
            "SELinuxContext",
        ),
        (
            r#""Privileges":{"Seccomp":{"Mode":"unconfined"}}"#,
            "Seccomp",
        ),
        (
            r#""Mounts":[{"Type":"volume","Source":"v","Target":"/v"}]"#,
            "volume",
        ),
        (r#""Mounts":[{"Source":"v","Target":"/v"}]"#, "volume"),
    ] {
        let spec = format!(
            r#"{{"Name":"w","TaskTemplate":{{"ContainerSpec":{{"Image":"i",{container}}}}}}}"#
        );
        check_refused(&spec, StatusCode::NOT_IMPLEMENTED, field);
    }
    for (rest, field) in [
        (r#""Mode":{"Global":{}}"#, "Mode.Global"),
        (r#""Mode":{"ReplicatedJob":{}}"#, "ReplicatedJob"),
        (r#""EndpointSpec":{"Ports":[{"TargetPort":80}]}"#, "Ports"),
        (r#""UpdateConfig":{"FailureAction":"rollback"}"#, "rollback"),
        (
            r#""TaskTemplate":{"Placement":{"Preferences":[{"Spread":{"SpreadDescriptor":"node.labels.x"}}]}}"#,
            "Preferences",
        ),
        (
            r#""TaskTemplate":{"Networks":[{"Target":"bridge"}]}"#,
            "bridge",
        ),
        (
            r#""TaskTemplate":{"LogDriver":{"Name":"journald"}}"#,
            "LogDriver",
        ),
        (
            r#""TaskTemplate":{"Resources":{"Reservations":{"GenericResources":[{}]}}}"#,
            "GenericResources",
        ),
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
        (r#""UpdateConfig":{"Delay":-1}"#, "negative"),
        (
            r#""UpdateConfig":{"FailureAction":"explode"}"#,
            "failure action",
        ),
        (r#""EndpointSpec":{"Mode":"x"}"#, "invalid resolution mode"),
        (
            r#""TaskTemplate":{"RestartPolicy":{"Condition":"maybe"}}"#,
            "restart condition",
        ),
        (
            r#""TaskTemplate":{"RestartPolicy":{"Delay":-5}}"#,
            "negative",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Image":"UPPER"}}"#,
            "not a valid repository",
        ),
        (
            r#""TaskTemplate":{"ContainerSpec":{"Image":"i","Mounts":[{"Type":"odd","Target":"/x"}]}}"#,
            "mount type",
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
