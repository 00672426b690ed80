//! JSON as Docker's own client sends it (captures of docker 28.2.2) and as its daemon answers, read and printed again.

use api_types::service::{Service, ServiceSpec};
use api_types::swarm::{InitRequest, JoinRequest, Node, NodeSpec};
use api_types::task::Task;
use api_types::{from_json, image, network, system};
use serde::{Serialize, de::DeserializeOwned};

/// Reads `text`, prints it, and expects the same text again, key by key in the same order.
fn same<T: DeserializeOwned + Serialize>(text: &str) {
    check::<T>(text, text);
}

fn check<T: DeserializeOwned + Serialize>(text: &str, printed: &str) {
    let value: T = from_json(text.as_bytes()).unwrap_or_else(|err| panic!("{err}: {text}"));
    assert_eq!(serde_json::to_string(&value).unwrap(), printed);
}

#[test]
fn service_create() {
    same::<ServiceSpec>(
        r#"{"Name":"web","Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"nginx:latest@sha256:aa","Init":false,"DNSConfig":{}},"Resources":{"Limits":{},"Reservations":{}},"Placement":{"Platforms":[{"Architecture":"amd64","OS":"linux"}]},"ForceUpdate":0},"Mode":{"Replicated":{"Replicas":2}},"EndpointSpec":{"Mode":"vip","Ports":[{"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"ingress"}]}}"#,
    );
    same::<ServiceSpec>(
        r#"{"Labels":{},"TaskTemplate":{"ContainerSpec":{"Image":"a","Args":["sh","-c","x"],"Env":["A=1"],"Mounts":[{"Type":"volume","Source":"v","Target":"/v"}],"StopGracePeriod":30000000000,"Healthcheck":{"Test":["CMD-SHELL","true"]},"Hosts":["1.2.3.4 h"],"CapabilityAdd":["CAP_NET_ADMIN"],"Ulimits":[{"Name":"nofile","Hard":20,"Soft":10}]},"Resources":{"Limits":{"NanoCPUs":500000000},"Reservations":{"MemoryBytes":67108864}},"RestartPolicy":{"Condition":"on-failure","Delay":5000000000,"MaxAttempts":0},"ForceUpdate":0},"Mode":{"Replicated":{}},"UpdateConfig":{"Parallelism":2,"FailureAction":"pause","Monitor":5000000000,"MaxFailureRatio":0,"Order":"stop-first"}}"#,
    );
    same::<ServiceSpec>(
        r#"{"Labels":{},"TaskTemplate":{"ForceUpdate":0},"Mode":{"ReplicatedJob":{"MaxConcurrent":2,"TotalCompletions":4}},"EndpointSpec":{"Mode":"vip"}}"#,
    );
    same::<ServiceSpec>(
        r#"{"Labels":{},"TaskTemplate":{"ForceUpdate":0},"Mode":{"Global":{}},"UpdateConfig":{"Parallelism":1,"MaxFailureRatio":0.1,"Order":""}}"#,
    );
}

#[test]
fn stack_deploy_is_read_whole() {
    same::<ServiceSpec>(
        r#"{"Labels":{"com.docker.stack.namespace":"st"},"TaskTemplate":{"ContainerSpec":{"Image":"a","Privileges":{"CredentialSpec":null,"SELinuxContext":null,"NoNewPrivileges":false},"Secrets":[{"File":{"Name":"s1","UID":"0","GID":"0","Mode":292},"SecretID":"x","SecretName":"st_s1"}]},"Resources":{},"Placement":{},"ForceUpdate":0},"Mode":{"Replicated":{}},"Networks":[{"Target":"st_default","Aliases":["web"]}],"EndpointSpec":{}}"#,
    );
}

#[test]
fn swarm_requests() {
    check::<InitRequest>(
        r#"{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"A","DataPathAddr":"","DataPathPort":0,"ForceNewCluster":false,"Spec":{"Labels":null,"Orchestration":{},"Raft":{"ElectionTick":0,"HeartbeatTick":0},"Dispatcher":{},"CAConfig":{},"TaskDefaults":{},"EncryptionConfig":{"AutoLockManagers":false}},"AutoLockManagers":false,"Availability":"","DefaultAddrPool":[],"SubnetSize":24}"#,
        r#"{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"A","DataPathAddr":"","DataPathPort":0,"ForceNewCluster":false,"Spec":{"Labels":{},"Orchestration":{},"Raft":{"ElectionTick":0,"HeartbeatTick":0},"Dispatcher":{},"CAConfig":{},"TaskDefaults":{},"EncryptionConfig":{"AutoLockManagers":false}},"AutoLockManagers":false,"Availability":"","DefaultAddrPool":[],"SubnetSize":24}"#,
    );
    same::<JoinRequest>(
        r#"{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"","DataPathAddr":"","RemoteAddrs":["10.0.0.1:2377"],"JoinToken":"t","Availability":""}"#,
    );
    same::<NodeSpec>(r#"{"Labels":{"a":"b"},"Role":"manager","Availability":"active"}"#);
}

#[test]
fn answers_have_what_docker_always_prints_and_nothing_else() {
    fn printed(value: impl Serialize) -> String {
        serde_json::to_string(&value).unwrap()
    }
    assert_eq!(
        printed(Node::default()),
        r#"{"ID":"","Version":{},"CreatedAt":"0001-01-01T00:00:00Z","UpdatedAt":"0001-01-01T00:00:00Z","Spec":{"Labels":{}},"Description":{"Platform":{},"Resources":{},"Engine":{},"TLSInfo":{}},"Status":{}}"#
    );
    assert_eq!(
        printed(Service::default()),
        r#"{"ID":"","Version":{},"CreatedAt":"0001-01-01T00:00:00Z","UpdatedAt":"0001-01-01T00:00:00Z","Spec":{"Labels":{},"TaskTemplate":{"ForceUpdate":0},"Mode":{}},"Endpoint":{"Spec":{}}}"#
    );
    assert_eq!(
        printed(Task::default()),
        r#"{"ID":"","Version":{},"CreatedAt":"0001-01-01T00:00:00Z","UpdatedAt":"0001-01-01T00:00:00Z","Labels":{},"Spec":{"ForceUpdate":0},"Status":{"Timestamp":"0001-01-01T00:00:00Z","PortStatus":{}},"Volumes":null}"#
    );
    assert_eq!(
        printed(api_types::swarm::Info {
            local_node_state: "inactive".into(),
            ..Default::default()
        }),
        r#"{"NodeID":"","NodeAddr":"","LocalNodeState":"inactive","ControlAvailable":false,"Error":"","RemoteManagers":null}"#
    );
    assert_eq!(
        printed(image::ProgressMessage::status("abc", "Pulling fs layer")),
        r#"{"status":"Pulling fs layer","id":"abc"}"#
    );
}

#[test]
fn other_answers() {
    same::<network::Network>(
        r#"{"Name":"host","Id":"b1","Created":"2026-11-21T10:00:00.5Z","Scope":"swarm","Driver":"host","EnableIPv4":true,"EnableIPv6":false,"IPAM":{"Driver":"default","Options":null,"Config":null},"Internal":false,"Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,"Containers":{},"Options":{},"Labels":{}}"#,
    );
    same::<image::DistributionInspect>(
        r#"{"Descriptor":{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:aa","size":1},"Platforms":[{"architecture":"amd64","os":"linux"}]}"#,
    );
    same::<system::VersionInfo>(
        r#"{"Platform":{"Name":"Starling"},"Components":[{"Name":"Engine","Version":"28.2.2","Details":{"ApiVersion":"1.50"}}],"Version":"28.2.2","ApiVersion":"1.50","MinAPIVersion":"1.24","GitCommit":"","GoVersion":"","Os":"linux","Arch":"amd64"}"#,
    );
    same::<api_types::events::Event>(
        r#"{"Type":"service","Action":"update","Actor":{"ID":"x","Attributes":{"name":"web","replicas.new":"2"}},"scope":"swarm","time":1,"timeNano":1000000001}"#,
    );
}

#[test]
fn our_own_additions() {
    use api_types::starling::{Change, StarlingServiceSpec};
    same::<ServiceSpec>(
        r#"{"Labels":{},"TaskTemplate":{"ForceUpdate":0},"Mode":{},"Starling":{"ProgressDeadline":120000000000,"Stopped":{"Replicas":3},"AutoRebalance":true,"Devices":[{"HostPath":"/dev/a","ContainerPath":"/dev/b","Permissions":"rwm"}],"Privileged":false,"SecretEnv":[{"SecretID":"i","SecretName":"n","Variable":"V"}]}}"#,
    );
    same::<NodeSpec>(
        r#"{"Labels":{},"Role":"worker","Availability":"drain","Starling":{"Drain":{"Parallelism":2,"Order":"start-first"}}}"#,
    );
    // What is absent stays, what is null goes.
    same::<StarlingServiceSpec>(r#"{"ProgressDeadline":null,"Devices":null}"#);
    let read: StarlingServiceSpec =
        from_json(br#"{"progressdeadline":null,"Stopped":{"Replicas":2}}"#).unwrap();
    assert_eq!(read.progress_deadline, Change::Clear);
    assert_eq!(read.stopped.value().unwrap().replicas, 2);
    assert_eq!(read.auto_rebalance, Change::Keep);
}

#[test]
fn secrets_volumes_and_plans() {
    use api_types::payload::{ConfigSpec, SecretSpec};
    use api_types::starling::{Plan, RebalanceResponse, RestartRequest, Token};
    use api_types::volume::{Volume, VolumeCreateRequest, VolumeList};
    same::<SecretSpec>(r#"{"Name":"s","Labels":{},"Data":"aGk=","Templating":{"Name":"golang"}}"#);
    same::<SecretSpec>(r#"{"Name":"s","Labels":{},"Driver":{"Name":"vault"}}"#);
    same::<ConfigSpec>(r#"{"Name":"c","Labels":{"a":"b"},"Data":"aGk="}"#);
    same::<Volume>(
        r#"{"CreatedAt":"2026-11-21T10:00:00Z","Driver":"local","Labels":null,"Mountpoint":"/m","Name":"v","Options":{"o":"x"},"Scope":"local"}"#,
    );
    same::<VolumeList>(r#"{"Volumes":null,"Warnings":null}"#);
    same::<VolumeCreateRequest>(
        r#"{"Driver":"local","DriverOpts":{"a":"b"},"Labels":{"x":"y"},"Name":"v"}"#,
    );
    same::<Plan>(
        r#"{"Version":7,"Diff":[{"Path":"Labels.a","Old":null,"New":"b"}],"Start":[{"Service":"s","ServiceName":"web","Slot":3,"NodeID":"n2"}],"Stop":[],"Replace":[{"Old":{"Service":"s","ServiceName":"web","Slot":1,"TaskID":"t","NodeID":"n1"},"NewNodeID":"n1"}],"Unplaced":[{"ServiceName":"web","Slot":4,"Reason":"no suitable node"}],"Unchanged":2,"Notes":["it pauses"]}"#,
    );
    same::<RebalanceResponse>(
        r#"{"Moves":[{"ServiceName":"web","TaskID":"t","Slot":1,"FromNodeID":"n1","ToNodeID":"n2"}]}"#,
    );
    same::<RestartRequest>(r#"{"Tasks":["t"]}"#);
    same::<Token>(r#"{"Name":"rack7","Role":"worker","Labels":{"rack":"7"},"Token":"SWMTKN-1-x"}"#);
}
