//! The flags of `service update` that add to lists and take out of them.

use super::create::{Ports, ports};
use super::spec;
use crate::error::{Error, Result};
use crate::parse::{lists, mount, network};
use crate::session::Session;
use api_types::StringMap;
use api_types::container::Ulimit;
use api_types::mount::Mount;
use api_types::network::NetworkAttachmentConfig;
use api_types::service::{PortConfig, ServiceSpec};
use api_types::task::{GenericResource, PlacementPreference};
use clap::Args;

/// What is added to lists and taken out of them.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Lists")]
pub(super) struct ListFlags {
    /// Add or change a label of the service
    #[arg(long, value_name = "LABEL", value_parser = lists::label)]
    pub label_add: Vec<(String, String)>,
    /// Remove a label of the service
    #[arg(long, value_name = "NAME")]
    pub label_rm: Vec<String>,
    /// Add or change a label of the containers
    #[arg(long, value_name = "LABEL", value_parser = lists::label)]
    pub container_label_add: Vec<(String, String)>,
    /// Remove a label of the containers
    #[arg(long, value_name = "NAME")]
    pub container_label_rm: Vec<String>,
    /// Add or change an environment variable
    #[arg(long, value_name = "VARIABLE", value_parser = lists::env)]
    pub env_add: Vec<String>,
    /// Remove an environment variable
    #[arg(long, value_name = "NAME")]
    pub env_rm: Vec<String>,
    /// Add or change a mount
    #[arg(long, value_name = "MOUNT", value_parser = mount::mount)]
    pub mount_add: Vec<Mount>,
    /// Remove the mount at a target
    #[arg(long, value_name = "TARGET")]
    pub mount_rm: Vec<String>,
    /// Add a constraint
    #[arg(long, value_name = "CONSTRAINT")]
    pub constraint_add: Vec<String>,
    /// Remove a constraint
    #[arg(long, value_name = "CONSTRAINT")]
    pub constraint_rm: Vec<String>,
    /// Add a preference
    #[arg(long, value_name = "PREFERENCE", value_parser = lists::placement_preference)]
    pub placement_pref_add: Vec<PlacementPreference>,
    /// Remove a preference
    #[arg(long, value_name = "PREFERENCE", value_parser = lists::placement_preference)]
    pub placement_pref_rm: Vec<PlacementPreference>,
    /// Add a network
    #[arg(long, value_name = "NETWORK", value_parser = network::attachment)]
    pub network_add: Vec<NetworkAttachmentConfig>,
    /// Remove a network
    #[arg(long, value_name = "NETWORK")]
    pub network_rm: Vec<String>,
    /// Add or change a published port
    #[arg(long, value_name = "PORT", value_parser = ports)]
    pub publish_add: Vec<Ports>,
    /// Remove a published port by the port in the container
    #[arg(long, value_name = "TARGET PORT", value_parser = ports)]
    pub publish_rm: Vec<Ports>,
    /// Add a secret
    #[arg(long, value_name = "SECRET", value_parser = lists::secret)]
    pub secret_add: Vec<lists::FileReference>,
    /// Remove a secret
    #[arg(long, value_name = "NAME")]
    pub secret_rm: Vec<String>,
    /// Add a config
    #[arg(long, value_name = "CONFIG", value_parser = lists::config)]
    pub config_add: Vec<lists::FileReference>,
    /// Remove a config
    #[arg(long, value_name = "NAME")]
    pub config_rm: Vec<String>,
    /// Add a group
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Remove a group
    #[arg(long, value_name = "GROUP")]
    pub group_rm: Vec<String>,
    /// Add a line of /etc/hosts, as NAME:ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = lists::host)]
    pub host_add: Vec<String>,
    /// Remove a name from /etc/hosts, of one address or of all
    #[arg(long, value_name = "NAME[:ADDRESS]")]
    pub host_rm: Vec<String>,
    /// Add a name server
    #[arg(long, value_name = "ADDRESS", value_parser = lists::ip)]
    pub dns_add: Vec<String>,
    /// Remove a name server
    #[arg(long, value_name = "ADDRESS")]
    pub dns_rm: Vec<String>,
    /// Add an option of the resolver
    #[arg(long, value_name = "OPTION")]
    pub dns_option_add: Vec<String>,
    /// Remove an option of the resolver
    #[arg(long, value_name = "OPTION")]
    pub dns_option_rm: Vec<String>,
    /// Add a domain that the resolver searches
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search_add: Vec<String>,
    /// Remove a domain that the resolver searches
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search_rm: Vec<String>,
    /// Add or change a kernel parameter
    #[arg(long, value_name = "PARAMETER", value_parser = lists::key_value)]
    pub sysctl_add: Vec<(String, String)>,
    /// Remove a kernel parameter
    #[arg(long, value_name = "NAME")]
    pub sysctl_rm: Vec<String>,
    /// Add or change a limit of processes
    #[arg(long, value_name = "LIMIT", value_parser = lists::ulimit)]
    pub ulimit_add: Vec<Ulimit>,
    /// Remove a limit of processes
    #[arg(long, value_name = "NAME")]
    pub ulimit_rm: Vec<String>,
    /// Add or change a resource of your own kind
    #[arg(long, value_name = "KIND=NUMBER", value_parser = lists::generic_resource)]
    pub generic_resource_add: Vec<GenericResource>,
    /// Remove a resource of your own kind
    #[arg(long, value_name = "KIND")]
    pub generic_resource_rm: Vec<String>,
}

fn update_map(map: &mut StringMap, add: &[(String, String)], remove: &[String]) {
    for name in remove {
        map.remove(name);
    }
    map.extend(add.iter().cloned());
}

/// Adds what is not there, replaces what has the same key, then takes out.
fn update_list<T: Clone>(
    list: &mut Vec<T>,
    add: &[T],
    key: impl Fn(&T) -> String,
    remove: &[String],
) {
    merge(list, add, &key);
    list.retain(|item| !remove.contains(&key(item)));
}

/// Takes out, then adds, so that a key in both is there in the end. Docker's client does this where others can be replaced.
fn replace_in_list<T: Clone>(
    list: &mut Vec<T>,
    add: &[T],
    key: impl Fn(&T) -> String,
    remove: &[String],
) {
    list.retain(|item| !remove.contains(&key(item)));
    merge(list, add, &key);
}

fn merge<T: Clone>(list: &mut Vec<T>, add: &[T], key: &impl Fn(&T) -> String) {
    for item in add {
        match list.iter_mut().find(|there| key(there) == key(item)) {
            Some(there) => *there = item.clone(),
            None => list.push(item.clone()),
        }
    }
}

/// Takes names out of lines of /etc/hosts (`address name alias…`); lines that lose all their names go.
fn remove_hosts(hosts: &mut Vec<String>, remove: &[String]) {
    for gone in remove {
        let (name, address) = gone.split_once([':', '=']).unwrap_or((gone, ""));
        let address = address.trim_start_matches('[').trim_end_matches(']');
        *hosts = hosts
            .iter()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let there = words.next()?;
                if !address.is_empty() && there != address {
                    return Some(line.clone());
                }
                let kept: Vec<&str> = words.filter(|word| *word != name).collect();
                (!kept.is_empty()).then(|| format!("{there} {}", kept.join(" ")))
            })
            .collect();
    }
}

/// Whether a port is the one that `--publish-rm` means.
fn is_port(port: &PortConfig, gone: &PortConfig) -> bool {
    let or = |text: &str, default: &str| if text.is_empty() { default } else { text }.to_owned();
    gone.target_port == port.target_port
        && or(&gone.protocol, "tcp") == or(&port.protocol, "tcp")
        && or(&gone.publish_mode, "ingress") == or(&port.publish_mode, "ingress")
}

impl ListFlags {
    pub(super) fn apply(&self, spec: &mut ServiceSpec) -> Result<()> {
        update_map(&mut spec.labels, &self.label_add, &self.label_rm);
        self.apply_container(spec)?;
        self.apply_placement(spec);
        self.apply_ports(spec);
        self.apply_dns(spec);
        self.apply_generic(spec)
    }

    fn apply_container(&self, spec: &mut ServiceSpec) -> Result<()> {
        let container = spec::container(spec);
        update_map(
            &mut container.labels,
            &self.container_label_add,
            &self.container_label_rm,
        );
        update_map(&mut container.sysctls, &self.sysctl_add, &self.sysctl_rm);
        replace_in_list(
            &mut container.env,
            &self.env_add,
            |variable| lists::env_key(variable).to_owned(),
            &self.env_rm,
        );
        self.apply_mounts(&mut container.mounts)?;
        if !self.group_add.is_empty() || !self.group_rm.is_empty() {
            update_list(
                &mut container.groups,
                &self.group_add,
                String::clone,
                &self.group_rm,
            );
            container.groups.sort();
        }
        remove_hosts(&mut container.hosts, &self.host_rm);
        merge(&mut container.hosts, &self.host_add, &String::clone);
        replace_in_list(
            &mut container.ulimits,
            &self.ulimit_add,
            |limit| limit.name.clone(),
            &self.ulimit_rm,
        );
        container
            .secrets
            .retain(|secret| !self.secret_rm.contains(&secret.secret_name));
        container
            .configs
            .retain(|config| !self.config_rm.contains(&config.config_name));
        if !self.ulimit_add.is_empty() || !self.ulimit_rm.is_empty() {
            container.ulimits.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(())
    }

    fn apply_mounts(&self, mounts: &mut Vec<Mount>) -> Result<()> {
        if self.mount_add.is_empty() && self.mount_rm.is_empty() {
            return Ok(());
        }
        for (index, mount) in self.mount_add.iter().enumerate() {
            if self.mount_add[..index]
                .iter()
                .any(|other| other.target == mount.target)
            {
                return Err(Error::usage("duplicate mount target"));
            }
        }
        let target = |mount: &Mount| mount.target.clone();
        update_list(mounts, &self.mount_add, target, &self.mount_rm);
        mounts.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
        Ok(())
    }

    fn apply_placement(&self, spec: &mut ServiceSpec) {
        if !self.constraint_add.is_empty() || !self.constraint_rm.is_empty() {
            let constraints = &mut spec
                .task_template
                .placement
                .get_or_insert_default()
                .constraints;
            update_list(
                constraints,
                &self.constraint_add,
                String::clone,
                &self.constraint_rm,
            );
            // The order means nothing, so the same constraints make the same spec.
            constraints.sort();
        }
        if !self.placement_pref_add.is_empty() || !self.placement_pref_rm.is_empty() {
            let preferences = &mut spec
                .task_template
                .placement
                .get_or_insert_default()
                .preferences;
            preferences.retain(|preference| !self.placement_pref_rm.contains(preference));
            preferences.extend(self.placement_pref_add.iter().cloned());
        }
    }

    fn apply_ports(&self, spec: &mut ServiceSpec) {
        if self.publish_add.is_empty() && self.publish_rm.is_empty() {
            return;
        }
        let removed: Vec<&PortConfig> = self.publish_rm.iter().flat_map(|ports| &ports.0).collect();
        let list = &mut spec.endpoint_spec.get_or_insert_default().ports;
        list.retain(|port| !removed.iter().any(|gone| is_port(port, gone)));
        for port in self.publish_add.iter().flat_map(|ports| &ports.0) {
            if !list.contains(port) {
                list.push(port.clone());
            }
        }
        // By the text, as Docker's client does, so that the same ports make the same spec.
        list.sort_by_cached_key(|port| {
            format!(
                "{}:{}/{}/{}",
                port.published_port, port.target_port, port.protocol, port.publish_mode
            )
        });
    }

    fn apply_dns(&self, spec: &mut ServiceSpec) {
        let changes = [
            &self.dns_add,
            &self.dns_rm,
            &self.dns_option_add,
            &self.dns_option_rm,
            &self.dns_search_add,
            &self.dns_search_rm,
        ];
        if changes.iter().all(|change| change.is_empty()) {
            return;
        }
        let dns = spec::container(spec).dns_config.get_or_insert_default();
        update_list(
            &mut dns.nameservers,
            &self.dns_add,
            String::clone,
            &self.dns_rm,
        );
        update_list(
            &mut dns.options,
            &self.dns_option_add,
            String::clone,
            &self.dns_option_rm,
        );
        update_list(
            &mut dns.search,
            &self.dns_search_add,
            String::clone,
            &self.dns_search_rm,
        );
    }

    fn apply_generic(&self, spec: &mut ServiceSpec) -> Result<()> {
        if self.generic_resource_add.is_empty() && self.generic_resource_rm.is_empty() {
            return Ok(());
        }
        let kind = |resource: &GenericResource| {
            resource
                .discrete
                .as_ref()
                .map_or_else(String::new, |discrete| discrete.kind.clone())
        };
        let list = &mut spec::resources(spec)
            .reservations
            .get_or_insert_default()
            .generic_resources;
        for gone in &self.generic_resource_rm {
            if !list
                .iter()
                .chain(&self.generic_resource_add)
                .any(|resource| kind(resource) == *gone)
            {
                return Err(Error::usage(format!(
                    "could not find generic-resource `{gone}` to remove it"
                )));
            }
        }
        update_list(
            list,
            &self.generic_resource_add,
            kind,
            &self.generic_resource_rm,
        );
        list.sort_by_key(kind);
        Ok(())
    }

    pub(super) async fn apply_networks(
        &self,
        session: &Session,
        spec: &mut ServiceSpec,
    ) -> Result<()> {
        if self.network_add.is_empty() && self.network_rm.is_empty() {
            return Ok(());
        }
        if spec.task_template.networks.is_empty() {
            spec.task_template.networks = std::mem::take(&mut spec.networks);
        }
        let mut removed = Vec::new();
        for name in &self.network_rm {
            removed.push(spec::network_id(session, name).await?);
        }
        let added = spec::resolve_networks(session, &self.network_add).await?;
        let networks = &mut spec.task_template.networks;
        for network in added {
            if networks
                .iter()
                .any(|there| there.target == network.target && !removed.contains(&network.target))
            {
                return Err(Error::usage(format!(
                    "service is already attached to network {}",
                    network.target
                )));
            }
            networks.push(network);
        }
        networks.retain(|network| !removed.contains(&network.target));
        networks.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(())
    }
}
