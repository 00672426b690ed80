//! The cluster and its nodes.

use crate::macros::go_json;
use crate::starling::{StarlingNodeSpec, StarlingSwarm};
use crate::task::Resources;
use crate::{Driver, StringMap, Timestamp, Version};

go_json! {
    /// The cluster with its join tokens, as `GET /swarm` answers it.
    pub struct Swarm {
        id: String = "ID",
        version: Version = "Version",
        created_at: Timestamp = "CreatedAt",
        updated_at: Timestamp = "UpdatedAt",
        spec: Spec = "Spec",
        tls_info: TlsInfo = "TLSInfo",
        root_rotation_in_progress: bool = "RootRotationInProgress",
        default_addr_pool: Option<Vec<String>> = "DefaultAddrPool",
        subnet_size: u32 = "SubnetSize",
        data_path_port: u32 = "DataPathPort",
        join_tokens: JoinTokens = "JoinTokens",
        starling: Option<StarlingSwarm> = "Starling" omitempty,
    }

    /// The cluster without its tokens, as `GET /info` carries it.
    pub struct ClusterInfo {
        id: String = "ID",
        version: Version = "Version",
        created_at: Timestamp = "CreatedAt",
        updated_at: Timestamp = "UpdatedAt",
        spec: Spec = "Spec",
        tls_info: TlsInfo = "TLSInfo",
        root_rotation_in_progress: bool = "RootRotationInProgress",
        default_addr_pool: Option<Vec<String>> = "DefaultAddrPool",
        subnet_size: u32 = "SubnetSize",
        data_path_port: u32 = "DataPathPort",
    }

    /// What a host must show to join.
    pub struct JoinTokens {
        worker: String = "Worker",
        manager: String = "Manager",
    }

    /// What users want of the cluster.
    pub struct Spec {
        name: String = "Name" omitempty,
        labels: StringMap = "Labels",
        orchestration: OrchestrationConfig = "Orchestration",
        raft: RaftConfig = "Raft",
        dispatcher: DispatcherConfig = "Dispatcher",
        ca_config: CaConfig = "CAConfig",
        task_defaults: TaskDefaults = "TaskDefaults",
        encryption_config: EncryptionConfig = "EncryptionConfig",
    }

    /// How long the history of tasks is.
    pub struct OrchestrationConfig {
        /// Old tasks kept for each slot; negative keeps all.
        task_history_retention_limit: Option<i64> = "TaskHistoryRetentionLimit" omitempty,
    }

    /// Raft's numbers.
    pub struct RaftConfig {
        snapshot_interval: u64 = "SnapshotInterval" omitempty,
        keep_old_snapshots: Option<u64> = "KeepOldSnapshots" omitempty,
        log_entries_for_slow_followers: u64 = "LogEntriesForSlowFollowers" omitempty,
        election_tick: i64 = "ElectionTick",
        heartbeat_tick: i64 = "HeartbeatTick",
    }

    /// How hosts report.
    pub struct DispatcherConfig {
        /// Nanoseconds.
        heartbeat_period: i64 = "HeartbeatPeriod" omitempty,
    }

    /// Certificates.
    pub struct CaConfig {
        /// Nanoseconds.
        node_cert_expiry: i64 = "NodeCertExpiry" omitempty,
        external_cas: Vec<ExternalCa> = "ExternalCAs" omitempty,
        signing_ca_cert: String = "SigningCACert" omitempty,
        signing_ca_key: String = "SigningCAKey" omitempty,
        force_rotate: u64 = "ForceRotate" omitempty,
    }

    /// A CA outside of the cluster.
    pub struct ExternalCa {
        protocol: String = "Protocol",
        url: String = "URL",
        options: StringMap = "Options" omitempty,
        ca_cert: String = "CACert",
    }

    /// Defaults for new tasks.
    pub struct TaskDefaults {
        log_driver: Option<Driver> = "LogDriver" omitempty,
    }

    /// Encryption of the state on disk.
    pub struct EncryptionConfig {
        auto_lock_managers: bool = "AutoLockManagers",
    }

    /// The root of trust of the cluster or of a node's certificate.
    pub struct TlsInfo {
        /// PEM.
        trust_root: String = "TrustRoot" omitempty,
        /// Base64 of DER.
        cert_issuer_subject: String = "CertIssuerSubject" omitempty,
        /// Base64 of DER.
        cert_issuer_public_key: String = "CertIssuerPublicKey" omitempty,
    }

    /// Body of `POST /swarm/init`.
    pub struct InitRequest {
        listen_addr: String = "ListenAddr",
        advertise_addr: String = "AdvertiseAddr",
        data_path_addr: String = "DataPathAddr",
        data_path_port: u32 = "DataPathPort",
        force_new_cluster: bool = "ForceNewCluster",
        spec: Spec = "Spec",
        auto_lock_managers: bool = "AutoLockManagers",
        availability: String = "Availability",
        default_addr_pool: Vec<String> = "DefaultAddrPool",
        subnet_size: u32 = "SubnetSize",
    }

    /// Body of `POST /swarm/join`.
    pub struct JoinRequest {
        listen_addr: String = "ListenAddr",
        advertise_addr: String = "AdvertiseAddr",
        data_path_addr: String = "DataPathAddr",
        remote_addrs: Vec<String> = "RemoteAddrs",
        join_token: String = "JoinToken",
        availability: String = "Availability",
    }

    /// Body of `POST /swarm/unlock` and answer to `GET /swarm/unlockkey`.
    pub struct UnlockKey {
        unlock_key: String = "UnlockKey",
    }

    /// The swarm's part of `GET /info`.
    pub struct Info {
        node_id: String = "NodeID",
        node_addr: String = "NodeAddr",
        /// `inactive`, `pending`, `active`, `error` or `locked`.
        local_node_state: String = "LocalNodeState",
        control_available: bool = "ControlAvailable",
        error: String = "Error",
        /// `null` when this host is in no swarm.
        remote_managers: Option<Vec<Peer>> = "RemoteManagers",
        nodes: i64 = "Nodes" omitempty,
        managers: i64 = "Managers" omitempty,
        cluster: Option<ClusterInfo> = "Cluster" omitempty,
        warnings: Vec<String> = "Warnings" omitempty,
    }

    /// A manager's address.
    pub struct Peer {
        node_id: String = "NodeID",
        addr: String = "Addr",
    }

    /// A node, as `GET /nodes/{id}` answers it.
    pub struct Node {
        id: String = "ID",
        version: Version = "Version",
        created_at: Timestamp = "CreatedAt",
        updated_at: Timestamp = "UpdatedAt",
        spec: NodeSpec = "Spec",
        description: NodeDescription = "Description",
        status: NodeStatus = "Status",
        manager_status: Option<ManagerStatus> = "ManagerStatus" omitempty,
    }

    /// What users want of a node; body of `POST /nodes/{id}/update`.
    pub struct NodeSpec {
        name: String = "Name" omitempty,
        labels: StringMap = "Labels",
        /// `worker` or `manager`.
        role: String = "Role" omitempty,
        /// `active`, `pause` or `drain`.
        availability: String = "Availability" omitempty,
        starling: Option<StarlingNodeSpec> = "Starling" omitempty,
    }

    /// What a node says of itself.
    pub struct NodeDescription {
        hostname: String = "Hostname" omitempty,
        platform: Platform = "Platform",
        resources: Resources = "Resources",
        engine: EngineDescription = "Engine",
        tls_info: TlsInfo = "TLSInfo",
        csi_info: Vec<NodeCsiInfo> = "CSIInfo" omitempty,
    }

    /// A processor and an operating system (`x86_64`, `linux`).
    pub struct Platform {
        architecture: String = "Architecture" omitempty,
        os: String = "OS" omitempty,
    }

    /// The engine of a node.
    pub struct EngineDescription {
        engine_version: String = "EngineVersion" omitempty,
        labels: StringMap = "Labels" omitempty,
        plugins: Vec<PluginDescription> = "Plugins" omitempty,
    }

    /// A plugin of a node, built in or not.
    pub struct PluginDescription {
        kind: String = "Type" omitempty,
        name: String = "Name" omitempty,
    }

    /// A node as a storage driver knows it.
    pub struct NodeCsiInfo {
        plugin_name: String = "PluginName" omitempty,
        node_id: String = "NodeID" omitempty,
        max_volumes_per_node: i64 = "MaxVolumesPerNode" omitempty,
        accessible_topology: Option<Topology> = "AccessibleTopology" omitempty,
    }

    /// Where storage can be reached.
    pub struct Topology {
        segments: StringMap = "Segments" omitempty,
    }

    /// How a node is seen by the managers.
    pub struct NodeStatus {
        /// `unknown`, `down`, `ready` or `disconnected`.
        state: String = "State" omitempty,
        message: String = "Message" omitempty,
        addr: String = "Addr" omitempty,
    }

    /// The manager on a node.
    pub struct ManagerStatus {
        leader: bool = "Leader" omitempty,
        /// `unknown`, `unreachable` or `reachable`.
        reachability: String = "Reachability" omitempty,
        addr: String = "Addr" omitempty,
    }
}
