//! `service update`, `scale` and `rollback`: read the spec, change it, write it back under the version that was read.

use super::create::attach_files;
use super::flags::SharedFlags;
use super::list_flags::ListFlags;
use super::{progress, spec};
use crate::error::{Error, Result};
use crate::parse::words;
use crate::session::{Session, object};
use api_types::service::{Service, ServiceMode, ServiceSpec, ServiceUpdateResponse};
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
    if args.shared.with_registry_auth {
        session.use_registry_auth(&spec::container(&mut service.spec).image, true)?;
    }
    if args.image.is_some() {
        spec::pin_image(session, &mut service.spec, !args.shared.no_resolve_image).await?;
    }
    // With new credentials there is no question where the old ones come from.
    let keep: &[(&str, &str)] = if args.shared.with_registry_auth {
        &[]
    } else {
        &[("registryAuthFrom", "spec")]
    };
    write(session, &service, keep).await?;
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
