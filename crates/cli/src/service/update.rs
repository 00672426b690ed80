//! `service update`, `scale` and `rollback`: read the spec, change it, write it back under the version that was read.

use super::create::{Ports, attach_files, ports};
use super::flags::SharedFlags;
use super::{progress, spec};
use crate::error::{Error, Result};
use crate::parse::{lists, mount, network, words};
use crate::session::{Session, object};
use api_types::StringMap;
use api_types::container::Ulimit;
use api_types::mount::Mount;
use api_types::network::NetworkAttachmentConfig;
use api_types::service::{PortConfig, Service, ServiceMode, ServiceSpec, ServiceUpdateResponse};
use api_types::task::{GenericResource, PlacementPreference};
use clap::Args;

/// Flags of `service update`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  starling service update -f web                     restart every task, one after the other\n  starling service update --image nginx:1.28 web\n  starling service update --update-order start-first --update-parallelism 2 -f web\n  starling service update --env-add LEVEL=debug --env-rm OLD web"
)]
pub struct UpdateArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// Replace every task even when nothing changed
    #[arg(short = 'f', long)]
    pub force: bool,
    /// Go back to the spec before the last update; excludes all other changes
    #[arg(long)]
    pub rollback: bool,
    /// Another image
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Another command; one text, cut into words as a shell does
    #[arg(long, value_name = "COMMAND", value_parser = words::split_all, allow_hyphen_values = true)]
    pub args: Option<words::Words>,
    #[command(flatten)]
    pub(super) shared: SharedFlags,
    #[command(flatten)]
    pub(super) lists: ListFlags,
}

/// What is added to lists and taken out of them.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Lists")]
pub(super) struct ListFlags {
    /// Add or change a label of the service
    #[arg(long, value_name = "LABEL", value_parser = lists::key_value)]
    pub label_add: Vec<(String, String)>,
    /// Remove a label of the service
    #[arg(long, value_name = "NAME")]
    pub label_rm: Vec<String>,
    /// Add or change a label of the containers
    #[arg(long, value_name = "LABEL", value_parser = lists::key_value)]
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
    #[arg(long, value_name = "SECRET", value_parser = lists::file_reference)]
    pub secret_add: Vec<lists::FileReference>,
    /// Remove a secret
    #[arg(long, value_name = "NAME")]
    pub secret_rm: Vec<String>,
    /// Add a config
    #[arg(long, value_name = "CONFIG", value_parser = lists::file_reference)]
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
    /// Remove a line of /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = lists::host)]
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

impl UpdateArgs {
    /// Changes the spec as far as that needs no daemon.
    pub fn apply(&self, spec: &mut ServiceSpec) -> Result<()> {
        if let Some(image) = &self.image {
            spec::container(spec).image.clone_from(image);
        }
        if let Some(args) = &self.args {
            spec::container(spec).args.clone_from(&args.0);
        }
        self.shared.apply(spec)?;
        set_replicas(
            &mut spec.mode,
            self.shared.replicas,
            self.shared.max_concurrent,
        )?;
        self.lists.apply(spec)?;
        if self.force {
            // Only its difference counts; a counter that turns around differs too.
            spec.task_template.force_update = spec.task_template.force_update.wrapping_add(1);
        }
        Ok(())
    }
}

fn set_replicas(
    mode: &mut ServiceMode,
    replicas: Option<u64>,
    concurrent: Option<u64>,
) -> Result<()> {
    if replicas.is_none() && concurrent.is_none() {
        return Ok(());
    }
    if let Some(job) = &mut mode.replicated_job {
        job.total_completions = replicas.or(job.total_completions);
        job.max_concurrent = concurrent.or(job.max_concurrent);
        return Ok(());
    }
    if concurrent.is_some() {
        return Err(Error::usage(
            "max-concurrent can only be used with replicated-job mode",
        ));
    }
    match &mut mode.replicated {
        Some(replicated) => replicated.replicas = replicas,
        None => {
            return Err(Error::usage(
                "replicas can only be used with replicated or replicated-job mode",
            ));
        }
    }
    Ok(())
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
    for item in add {
        match list.iter_mut().find(|there| key(there) == key(item)) {
            Some(there) => *there = item.clone(),
            None => list.push(item.clone()),
        }
    }
    list.retain(|item| !remove.contains(&key(item)));
}

impl ListFlags {
    fn apply(&self, spec: &mut ServiceSpec) -> Result<()> {
        update_map(&mut spec.labels, &self.label_add, &self.label_rm);
        self.apply_container(spec);
        self.apply_placement(spec);
        self.apply_ports(spec);
        self.apply_dns(spec);
        self.apply_generic(spec)
    }

    fn apply_container(&self, spec: &mut ServiceSpec) {
        let container = spec::container(spec);
        update_map(
            &mut container.labels,
            &self.container_label_add,
            &self.container_label_rm,
        );
        update_map(&mut container.sysctls, &self.sysctl_add, &self.sysctl_rm);
        update_list(
            &mut container.env,
            &self.env_add,
            |variable| lists::env_key(variable).to_owned(),
            &self.env_rm,
        );
        update_list(
            &mut container.mounts,
            &self.mount_add,
            |mount| mount.target.clone(),
            &self.mount_rm,
        );
        update_list(
            &mut container.groups,
            &self.group_add,
            String::clone,
            &self.group_rm,
        );
        update_list(
            &mut container.hosts,
            &self.host_add,
            String::clone,
            &self.host_rm,
        );
        update_list(
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
        list.retain(|port| {
            !removed
                .iter()
                .any(|gone| gone.target_port == port.target_port && gone.protocol == port.protocol)
        });
        for port in self
            .publish_add
            .iter()
            .flat_map(|ports| &ports.0)
            .filter(|port| {
                !removed.iter().any(|gone| {
                    gone.target_port == port.target_port && gone.protocol == port.protocol
                })
            })
        {
            if !list.contains(port) {
                list.push(port.clone());
            }
        }
        list.sort_by(|a, b| {
            (a.published_port, a.target_port, &a.protocol).cmp(&(
                b.published_port,
                b.target_port,
                &b.protocol,
            ))
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
        Ok(())
    }

    async fn apply_networks(&self, session: &Session, spec: &mut ServiceSpec) -> Result<()> {
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

async fn read(session: &Session, name: &str) -> Result<Service> {
    session
        .client
        .get(
            &object("/services", name, "")?,
            &[("insertDefaults", "false")],
        )
        .await
}

async fn write(session: &mut Session, service: &Service, more: &[(&str, &str)]) -> Result<()> {
    let version = service.version.index.to_string();
    let query = [more, &[("version", version.as_str())]].concat();
    let answer: ServiceUpdateResponse = session
        .client
        .post_json(
            &object("/services", &service.id, "/update")?,
            &query,
            Some(&service.spec),
        )
        .await?;
    for warning in answer.warnings.unwrap_or_default() {
        session.console.complain(warning);
    }
    Ok(())
}

/// Changes a service, and waits until it runs again, unless told not to.
pub(super) async fn update(session: &mut Session, args: &UpdateArgs) -> Result<()> {
    if args.rollback {
        let blank = UpdateArgs {
            service: args.service.clone(),
            rollback: true,
            ..UpdateArgs::default()
        };
        let allowed = UpdateArgs {
            shared: SharedFlags {
                detach: args.shared.detach,
                quiet: args.shared.quiet,
                ..SharedFlags::default()
            },
            ..blank
        };
        if format!("{args:?}") != format!("{allowed:?}") {
            return Err(Error::usage(
                "other flags may not be combined with --rollback",
            ));
        }
        return rollback(
            session,
            &args.service,
            args.shared.detach,
            args.shared.quiet,
        )
        .await;
    }
    let mut service = read(session, &args.service).await?;
    args.apply(&mut service.spec)?;
    args.lists
        .apply_networks(session, &mut service.spec)
        .await?;
    attach_files(
        session,
        &mut service.spec,
        &args.lists.secret_add,
        &args.lists.config_add,
    )
    .await?;
    if args.image.is_some() {
        spec::pin_image(session, &mut service.spec, !args.shared.no_resolve_image).await?;
    }
    write(session, &service, &[("registryAuthFrom", "spec")]).await?;
    session.console.line(&args.service)?;
    if args.shared.detach == Some(true) {
        return Ok(());
    }
    progress::wait(session, &args.service, args.shared.quiet).await
}

/// Goes back to the spec before the last update.
pub(super) async fn rollback(
    session: &mut Session,
    name: &str,
    detach: Option<bool>,
    quiet: bool,
) -> Result<()> {
    let service = read(session, name).await?;
    write(session, &service, &[("rollback", "previous")]).await?;
    session.console.line(name)?;
    if detach == Some(true) {
        Ok(())
    } else {
        progress::wait(session, name, quiet).await
    }
}

/// Sets the number of tasks of several services, `web=3`.
pub(super) async fn scale(
    session: &mut Session,
    wanted: &[String],
    detach: Option<bool>,
) -> Result<()> {
    let mut scaled = Vec::new();
    let mut complaints = Vec::new();
    for pair in wanted {
        match scale_one(session, pair).await {
            Ok((name, replicas)) => {
                session
                    .console
                    .line(format!("{name} scaled to {replicas}"))?;
                scaled.push(name);
            }
            Err(err @ (Error::Connect { .. } | Error::Permission { .. } | Error::Output(_))) => {
                return Err(err);
            }
            Err(err) => {
                complaints.push(format!("{}: {err}", pair.split('=').next().unwrap_or(pair)))
            }
        }
    }
    if detach != Some(true) {
        for name in scaled {
            if let Err(err) = progress::wait(session, &name, false).await {
                complaints.push(format!("{name}: {err}"));
            }
        }
    }
    if complaints.is_empty() {
        Ok(())
    } else {
        Err(Error::Failed(complaints.join("\n")))
    }
}

async fn scale_one(session: &mut Session, pair: &str) -> Result<(String, u64)> {
    let (name, number) = pair.split_once('=').ok_or_else(|| {
        Error::usage(format!(
            "invalid scale specifier '{pair}': write SERVICE=REPLICAS, for example web=3"
        ))
    })?;
    let replicas = number.parse::<u64>().map_err(|_| {
        Error::usage(format!(
            "invalid replicas value {number}: must be a whole number of zero or more"
        ))
    })?;
    let mut service = read(session, name).await?;
    match &mut service.spec.mode {
        ServiceMode {
            replicated: Some(replicated),
            ..
        } => replicated.replicas = Some(replicas),
        ServiceMode {
            replicated_job: Some(job),
            ..
        } => job.total_completions = Some(replicas),
        _ => {
            return Err(Error::usage(
                "scale can only be used with replicated or replicated-job mode",
            ));
        }
    }
    write(session, &service, &[]).await?;
    Ok((name.to_owned(), replicas))
}
