//! `service create`.

use super::flags::SharedFlags;
use super::own::{OwnCreateFlags, resolve_secret_env};
use super::progress::{self, Wait};
use super::spec;
use crate::error::{Error, Result};
use crate::parse::{lists, mount, network};
use crate::payload;
use crate::plan::DRY_RUN;
use crate::session::Session;
use api_types::container::{HealthConfig, Ulimit};
use api_types::mount::Mount;
use api_types::network::NetworkAttachmentConfig;
use api_types::service::{
    EndpointSpec, GlobalJob, GlobalService, PortConfig, ReplicatedJob, ReplicatedService,
    ServiceCreateResponse, ServiceMode, ServiceSpec,
};
use api_types::task::{
    ContainerSpec, DnsConfig, FileTarget, GenericResource, Limit, Placement, PlacementPreference,
    ResourceRequirements, Resources, TaskSpec,
};
use clap::Args;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Flags of `service create`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    override_usage = "starling service create [OPTIONS] IMAGE [COMMAND] [ARG...]",
    after_help = "Examples:\n  starling service create --name web --replicas 3 nginx:1.27\n  starling service create --name worker --constraint node.labels.disk==ssd --limit-memory 256M busybox:1 sh -c 'sleep 1d'\n  starling service create --name agent --network host --mount type=bind,source=/proc,target=/host/proc,readonly agent:2"
)]
pub struct CreateArgs {
    /// Name of the service (default: one that the cluster makes up)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// replicated, global, replicated-job or global-job
    #[arg(long, value_name = "MODE", default_value = "replicated")]
    pub mode: String,
    /// Labels of the service, as NAME=VALUE
    #[arg(short = 'l', long, value_name = "LABEL", value_parser = lists::label)]
    pub label: Vec<(String, String)>,
    /// Labels of the containers
    #[arg(long, value_name = "LABEL", value_parser = lists::label)]
    pub container_label: Vec<(String, String)>,
    /// Environment variables, as NAME=VALUE; a name alone takes the value of this shell
    #[arg(short = 'e', long, value_name = "VARIABLE", value_parser = lists::env)]
    pub env: Vec<String>,
    /// Files of environment variables
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Mounts, e.g. type=bind,source=/data,target=/data,readonly
    #[arg(long, value_name = "MOUNT", value_parser = mount::mount)]
    pub mount: Vec<Mount>,
    /// Nodes on which tasks may run, e.g. node.labels.disk==ssd
    #[arg(long, value_name = "CONSTRAINT")]
    pub constraint: Vec<String>,
    /// Spread tasks over the values of a label, e.g. spread=node.labels.zone
    #[arg(long, value_name = "PREFERENCE", value_parser = lists::placement_preference)]
    pub placement_pref: Vec<PlacementPreference>,
    /// Networks of the containers; 'host' is the host's own
    #[arg(long, value_name = "NETWORK", value_parser = network::attachment)]
    pub network: Vec<NetworkAttachmentConfig>,
    /// Publish a port, e.g. 8080:80 or published=8080,target=80,mode=host
    #[arg(short = 'p', long, value_name = "PORT", value_parser = ports)]
    pub publish: Vec<Ports>,
    /// Secrets in the containers
    #[arg(long, value_name = "SECRET", value_parser = lists::secret)]
    pub secret: Vec<lists::FileReference>,
    /// Configs in the containers
    #[arg(long, value_name = "CONFIG", value_parser = lists::config)]
    pub config: Vec<lists::FileReference>,
    /// Groups that the user is in besides its own
    #[arg(long, value_name = "GROUP")]
    pub group: Vec<String>,
    /// Lines of /etc/hosts, as NAME:ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = lists::host)]
    pub host: Vec<String>,
    /// Name servers
    #[arg(long, value_name = "ADDRESS", value_parser = lists::ip)]
    pub dns: Vec<String>,
    /// Options of the resolver
    #[arg(long, value_name = "OPTION")]
    pub dns_option: Vec<String>,
    /// Domains that the resolver searches
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,
    /// Kernel parameters, as NAME=VALUE
    #[arg(long, value_name = "PARAMETER", value_parser = lists::key_value)]
    pub sysctl: Vec<(String, String)>,
    /// Limits of processes, e.g. nofile=1024:2048
    #[arg(long, value_name = "LIMIT", value_parser = lists::ulimit)]
    pub ulimit: Vec<Ulimit>,
    /// Resources of your own kind kept free for each task, as KIND=NUMBER
    #[arg(long, value_name = "KIND=NUMBER", value_parser = lists::generic_resource)]
    pub generic_resource: Vec<GenericResource>,
    /// The image, then the command to run in it and its arguments
    #[arg(value_name = "IMAGE", required = true, num_args = 1.., trailing_var_arg = true)]
    pub image_and_command: Vec<String>,
    #[command(flatten)]
    pub(super) shared: SharedFlags,
    #[command(flatten)]
    pub(super) own: OwnCreateFlags,
}

/// Ports of one flag: a range is several.
#[derive(Debug, Clone, PartialEq)]
pub struct Ports(pub Vec<PortConfig>);

pub(super) fn ports(text: &str) -> std::result::Result<Ports, String> {
    network::ports(text).map(Ports)
}

impl CreateArgs {
    /// The spec, with names of networks, secrets and configs still to be found.
    pub fn spec(&self) -> Result<ServiceSpec> {
        let (image, args) = self
            .image_and_command
            .split_first()
            .ok_or_else(|| Error::usage("no image given"))?;
        let from_files = self
            .env_file
            .iter()
            .map(|path| lists::env_file(path))
            .collect::<Result<Vec<_>>>()?
            .concat();
        let container = ContainerSpec {
            image: image.clone(),
            args: args.to_vec(),
            labels: lists::map(&self.container_label),
            env: lists::merge_env(from_files.into_iter().chain(self.env.iter().cloned())),
            groups: self.group.clone(),
            mounts: self.mount.clone(),
            hosts: self.host.clone(),
            dns_config: Some(DnsConfig {
                nameservers: self.dns.clone(),
                search: self.dns_search.clone(),
                options: self.dns_option.clone(),
            }),
            sysctls: lists::map(&self.sysctl),
            ulimits: self.ulimit.clone(),
            // Sent by Docker's client too, so that a daemon's own default is never used for services.
            init: Some(false),
            ..ContainerSpec::default()
        };
        let resources = ResourceRequirements {
            limits: Some(Limit::default()),
            reservations: Some(Resources {
                generic_resources: self.generic_resource.clone(),
                ..Resources::default()
            }),
        };
        let placement = Placement {
            constraints: self.constraint.clone(),
            preferences: self.placement_pref.clone(),
            ..Placement::default()
        };
        let mut spec = ServiceSpec {
            name: self.name.clone().unwrap_or_default(),
            labels: lists::map(&self.label),
            task_template: TaskSpec {
                container_spec: Some(container),
                resources: Some(resources),
                placement: Some(placement),
                ..TaskSpec::default()
            },
            mode: self.mode()?,
            endpoint_spec: Some(EndpointSpec {
                mode: "vip".to_owned(),
                ports: self
                    .publish
                    .iter()
                    .flat_map(|ports| ports.0.clone())
                    .collect(),
            }),
            ..ServiceSpec::default()
        };
        if (spec.mode.replicated_job.is_some() || spec.mode.global_job.is_some())
            && self.shared.update.any()
        {
            return Err(Error::usage(
                "update and rollback configuration is not supported for jobs",
            ));
        }
        self.shared.apply(&mut spec)?;
        let health = &mut spec::container(&mut spec).healthcheck;
        if *health == Some(HealthConfig::default()) && !self.shared.health.has_times() {
            *health = None;
        }
        self.own.apply(&mut spec);
        Ok(spec)
    }

    fn mode(&self) -> Result<ServiceMode> {
        let mut mode = ServiceMode::default();
        let shared = &self.shared;
        let global = self.mode.starts_with("global");
        if global && shared.replicas.is_some() {
            return Err(Error::usage(
                "replicas can only be used with replicated or replicated-job mode",
            ));
        }
        if global && shared.replicas_max_per_node.is_some_and(|most| most > 0) {
            return Err(Error::usage(
                "replicas-max-per-node can only be used with replicated or replicated-job mode",
            ));
        }
        if self.mode != "replicated-job" && shared.max_concurrent.is_some() {
            return Err(Error::usage(
                "max-concurrent can only be used with replicated-job mode",
            ));
        }
        match self.mode.as_str() {
            "replicated" => {
                mode.replicated = Some(ReplicatedService {
                    replicas: shared.replicas,
                })
            }
            "global" => mode.global = Some(GlobalService {}),
            "replicated-job" => {
                mode.replicated_job = Some(ReplicatedJob {
                    max_concurrent: shared.max_concurrent.or(shared.replicas),
                    total_completions: shared.replicas,
                })
            }
            "global-job" => mode.global_job = Some(GlobalJob {}),
            other => {
                return Err(Error::usage(format!(
                    "Unknown mode: {other}, must be replicated, global, replicated-job or global-job"
                )));
            }
        }
        Ok(mode)
    }
}

/// Creates a service and waits until it runs, unless told not to.
pub(super) async fn create(session: &mut Session, args: &CreateArgs) -> Result<()> {
    let mut spec = args.spec()?;
    spec.task_template.networks = spec::resolve_networks(session, &args.network).await?;
    attach_files(session, &mut spec, &args.secret, &args.config).await?;
    resolve_secret_env(session, &mut spec).await?;
    if args.shared.with_registry_auth {
        session.use_registry_auth(&spec::container(&mut spec).image, true)?;
    }
    spec::pin_image(session, &mut spec, !args.shared.no_resolve_image).await?;
    let plan = &args.shared.own.plan;
    if plan.dry_run {
        let answer = session
            .client
            .post("/services/create", &[DRY_RUN], Some(&spec))
            .await?;
        let of = match spec.name.as_str() {
            "" => "a new service".to_owned(),
            name => format!("the new service {name}"),
        };
        return plan.write(session, &answer, &of, |_| String::new()).await;
    }
    let created: ServiceCreateResponse = session
        .client
        .post_json("/services/create", &[], Some(&spec))
        .await?;
    for warning in created.warnings.unwrap_or_default() {
        session.console.complain(warning);
    }
    session.console.line(&created.id)?;
    if args.shared.detach == Some(true) {
        return Ok(());
    }
    progress::wait(session, Wait::new(&created.id, args.shared.quiet)).await
}

/// Finds the ids of secrets and configs, as Docker's client does, and puts them into the spec.
pub(super) async fn attach_files(
    session: &Session,
    spec: &mut ServiceSpec,
    secrets: &[lists::FileReference],
    configs: &[lists::FileReference],
) -> Result<()> {
    for secret in secrets {
        let id = payload::id_of(session, payload::SECRETS, &secret.source).await?;
        spec::container(spec)
            .secrets
            .push(secret.clone().into_secret(id));
    }
    for config in configs {
        let id = payload::id_of(session, payload::CONFIGS, &config.source).await?;
        spec::container(spec)
            .configs
            .push(config.clone().into_config(id));
    }
    let container = spec::container(spec);
    let secrets = container.secrets.iter();
    let configs = container.configs.iter();
    one_file_each(
        "secret",
        secrets.map(|secret| (&secret.file, secret.secret_name.as_str())),
    )?;
    one_file_each(
        "config",
        configs.map(|config| (&config.file, config.config_name.as_str())),
    )
}

/// Two of a kind cannot be the same file.
fn one_file_each<'a>(
    kind: &str,
    files: impl Iterator<Item = (&'a Option<FileTarget>, &'a str)>,
) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (file, name) in files {
        if let Some(file) = file
            && !seen.insert(file.name.as_str())
        {
            return Err(Error::usage(format!(
                "duplicate {kind} target for {name} not allowed"
            )));
        }
    }
    Ok(())
}
