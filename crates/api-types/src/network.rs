//! Networks: the engine's view and the swarm's.

use crate::macros::go_json;
use crate::{Driver, StringMap, Timestamp, Version};
use std::collections::BTreeMap;

go_json! {
    /// A network, as `GET /networks` and `GET /networks/{id}` answer it.
    pub struct Network {
        name: String = "Name",
        id: String = "Id",
        created: Timestamp = "Created",
        /// `local` or `swarm`.
        scope: String = "Scope",
        driver: String = "Driver",
        enable_ipv4: bool = "EnableIPv4",
        enable_ipv6: bool = "EnableIPv6",
        ipam: Ipam = "IPAM",
        internal: bool = "Internal",
        attachable: bool = "Attachable",
        ingress: bool = "Ingress",
        config_from: ConfigReference = "ConfigFrom",
        config_only: bool = "ConfigOnly",
        /// By container id.
        containers: BTreeMap<String, EndpointResource> = "Containers",
        options: StringMap = "Options",
        labels: StringMap = "Labels",
        peers: Vec<PeerInfo> = "Peers" omitempty,
        services: BTreeMap<String, ServiceInfo> = "Services" omitempty,
    }

    /// Body of `POST /networks/create`.
    pub struct CreateRequest {
        name: String = "Name",
        driver: String = "Driver",
        scope: String = "Scope",
        enable_ipv4: Option<bool> = "EnableIPv4" omitempty,
        enable_ipv6: Option<bool> = "EnableIPv6" omitempty,
        ipam: Option<Ipam> = "IPAM",
        internal: bool = "Internal",
        attachable: bool = "Attachable",
        ingress: bool = "Ingress",
        config_only: bool = "ConfigOnly",
        config_from: Option<ConfigReference> = "ConfigFrom",
        options: StringMap = "Options",
        labels: StringMap = "Labels",
    }

    /// Another network whose configuration is used.
    pub struct ConfigReference {
        network: String = "Network",
    }

    /// Where addresses come from. Docker prints `null` for what is not set.
    pub struct Ipam {
        driver: String = "Driver",
        options: Option<StringMap> = "Options",
        config: Option<Vec<IpamConfig>> = "Config",
    }

    /// One subnet.
    pub struct IpamConfig {
        subnet: String = "Subnet" omitempty,
        ip_range: String = "IPRange" omitempty,
        gateway: String = "Gateway" omitempty,
        aux_address: StringMap = "AuxiliaryAddresses" omitempty,
    }

    /// A container on a network.
    pub struct EndpointResource {
        name: String = "Name",
        endpoint_id: String = "EndpointID",
        mac_address: String = "MacAddress",
        ipv4_address: String = "IPv4Address",
        ipv6_address: String = "IPv6Address",
    }

    /// Another host on a network.
    pub struct PeerInfo {
        name: String = "Name",
        ip: String = "IP",
    }

    /// A service on a network.
    pub struct ServiceInfo {
        vip: String = "VIP",
        ports: Option<Vec<String>> = "Ports",
        local_lb_index: i64 = "LocalLBIndex",
        tasks: Option<Vec<ServiceTask>> = "Tasks",
    }

    /// A task behind a service's address.
    pub struct ServiceTask {
        name: String = "Name",
        endpoint_id: String = "EndpointID",
        endpoint_ip: String = "EndpointIP",
        info: Option<StringMap> = "Info",
    }

    /// A network that the tasks of a service want.
    pub struct NetworkAttachmentConfig {
        /// A name or an id; kept as an id.
        target: String = "Target" omitempty,
        aliases: Vec<String> = "Aliases" omitempty,
        driver_opts: StringMap = "DriverOpts" omitempty,
    }

    /// A network that a task has.
    pub struct NetworkAttachment {
        network: SwarmNetwork = "Network",
        addresses: Vec<String> = "Addresses" omitempty,
    }

    /// A network as the swarm's store keeps it.
    pub struct SwarmNetwork {
        id: String = "ID",
        version: Version = "Version",
        created_at: Timestamp = "CreatedAt",
        updated_at: Timestamp = "UpdatedAt",
        spec: SwarmNetworkSpec = "Spec",
        driver_state: Driver = "DriverState",
        ipam_options: Option<SwarmIpamOptions> = "IPAMOptions" omitempty,
    }

    /// What users want of a swarm's network.
    pub struct SwarmNetworkSpec {
        name: String = "Name" omitempty,
        labels: StringMap = "Labels",
        driver_configuration: Option<Driver> = "DriverConfiguration" omitempty,
        ipv6_enabled: bool = "IPv6Enabled" omitempty,
        internal: bool = "Internal" omitempty,
        attachable: bool = "Attachable" omitempty,
        ingress: bool = "Ingress" omitempty,
        ipam_options: Option<SwarmIpamOptions> = "IPAMOptions" omitempty,
        config_from: Option<ConfigReference> = "ConfigFrom" omitempty,
        scope: String = "Scope" omitempty,
    }

    /// Addresses of a swarm's network.
    pub struct SwarmIpamOptions {
        driver: Driver = "Driver",
        configs: Vec<SwarmIpamConfig> = "Configs" omitempty,
    }

    /// One subnet of a swarm's network.
    pub struct SwarmIpamConfig {
        subnet: String = "Subnet" omitempty,
        range: String = "Range" omitempty,
        gateway: String = "Gateway" omitempty,
    }

    /// A container's place on a network. Docker prints `null` for what is not set.
    pub struct EndpointSettings {
        ipam_config: Option<EndpointIpamConfig> = "IPAMConfig",
        links: Option<Vec<String>> = "Links",
        aliases: Option<Vec<String>> = "Aliases",
        mac_address: String = "MacAddress",
        driver_opts: Option<StringMap> = "DriverOpts",
        gw_priority: i64 = "GwPriority",
        network_id: String = "NetworkID",
        endpoint_id: String = "EndpointID",
        gateway: String = "Gateway",
        ip_address: String = "IPAddress",
        ip_prefix_len: i64 = "IPPrefixLen",
        ipv6_gateway: String = "IPv6Gateway",
        global_ipv6_address: String = "GlobalIPv6Address",
        global_ipv6_prefix_len: i64 = "GlobalIPv6PrefixLen",
        dns_names: Option<Vec<String>> = "DNSNames",
    }

    /// Addresses that a user asked for.
    pub struct EndpointIpamConfig {
        ipv4_address: String = "IPv4Address" omitempty,
        ipv6_address: String = "IPv6Address" omitempty,
        link_local_ips: Vec<String> = "LinkLocalIPs" omitempty,
    }
}
