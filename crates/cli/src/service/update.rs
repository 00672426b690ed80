//! `service update` and `scale`: read the spec, change it, write it back under the version that was read.

use super::create::attach_files;
use super::flags::SharedFlags;
use super::list_flags::ListFlags;
use super::own::{OwnUpdateFlags, resolve_secret_env};
use super::progress::{self, Wait};
use super::revisions::{RollbackArgs, rollback};
use super::spec;
use crate::error::{Error, Result};
use crate::parse::words;
use crate::plan::DRY_RUN;
use crate::session::{Session, object};
use api_types::service::{Service, ServiceMode, ServiceSpec, ServiceUpdateResponse};
use api_types::starling::{Change, Plan};
use clap::Args;

/// Flags of `service update`.
#[derive(Debug, Clone, Default, Args)]
#[command(
    after_help = "Examples:\n  starling service update -f web                     restart every task, one after the other\n  starling service update --image nginx:1.28 web\n  starling service update --update-order start-first --update-parallelism 2 -f web\n  starling service update --env-add LEVEL=debug --env-rm OLD web\n  starling service update --image nginx:1.28 --dry-run web"
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
    #[command(flatten)]
    pub(super) own: OwnUpdateFlags,
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
        let job = spec.mode.replicated_job.is_some() || spec.mode.global_job.is_some();
        if job && self.shared.update.any() {
            return Err(Error::usage(
                "update and rollback configuration is not supported for jobs",
            ));
        }
        self.shared.apply(spec)?;
        self.own.apply(spec)?;
        set_replicas(
            &mut spec.mode,
            self.shared.replicas,
            self.shared.max_concurrent,
        )?;
        if self.shared.replicas.is_some() {
            no_longer_stopped(spec);
        }
        self.lists.apply(spec)?;
        if self.force {
            // Only its difference counts; a counter that turns around differs too.
            spec.task_template.force_update = spec.task_template.force_update.wrapping_add(1);
        }
        Ok(())
    }
}

/// Whoever says how many tasks a stopped service has wants it to run.
fn no_longer_stopped(spec: &mut ServiceSpec) {
    if let Some(ours) = &mut spec.starling
        && ours.stopped.value().is_some()
    {
        ours.stopped = Change::Clear;
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

pub(super) async fn read(session: &Session, name: &str) -> Result<Service> {
    session
        .client
        .get(
            &object("/services", name, "")?,
            &[("insertDefaults", "false")],
        )
        .await
}

/// Posts the spec of a service under its version, and answers what came back.
pub(super) async fn post(
    session: &Session,
    service: &Service,
    more: &[(&str, &str)],
) -> Result<bytes::Bytes> {
    let version = service.version.index.to_string();
    let query = [more, &[("version", version.as_str())]].concat();
    let path = object("/services", &service.id, "/update")?;
    session
        .client
        .post(&path, &query, Some(&service.spec))
        .await
}

/// As [`post`], and passes the daemon's warnings on.
pub(super) async fn write(
    session: &mut Session,
    service: &Service,
    more: &[(&str, &str)],
) -> Result<()> {
    let answer = post(session, service, more).await?;
    let answer: ServiceUpdateResponse =
        api_types::from_json(&answer).map_err(|err| Error::Answer {
            path: "/services/update".to_owned(),
            why: err.to_string(),
        })?;
    for warning in answer.warnings.unwrap_or_default() {
        session.console.complain(warning);
    }
    Ok(())
}

/// Changes a service, and waits until it runs again, unless told not to.
pub(super) async fn update(session: &mut Session, args: &UpdateArgs) -> Result<()> {
    if args.rollback {
        return rollback(session, &only_rollback(args)?).await;
    }
    let mut service = read(session, &args.service).await?;
    if let Some(wanted) = args.own.if_version
        && wanted != service.version.index
    {
        return Err(Error::Failed(format!(
            "service {} changed since version {wanted}, it is at version {} now: nothing was done; look at it again with 'starling service update --dry-run'",
            args.service, service.version.index
        )));
    }
    args.apply(&mut service.spec)?;
    complete(session, args, &mut service.spec).await?;
    // With new credentials there is no question where the old ones come from.
    let keep: &[(&str, &str)] = if args.shared.with_registry_auth {
        &[]
    } else {
        &[("registryAuthFrom", "spec")]
    };
    let plan = &args.shared.own.plan;
    if plan.dry_run {
        let answer = post(session, &service, &[keep, &[DRY_RUN]].concat()).await?;
        let apply = |plan: &Plan| {
            format!(
                "To do this unless the service was changed meanwhile: the same command with --if-version {} in place of --dry-run. Where tasks go also depends on nodes and other services, which may change.",
                plan.version
            )
        };
        let of = format!("an update of {}", args.service);
        return plan.write(session, &answer, &of, apply).await;
    }
    write(session, &service, keep).await?;
    session.console.line(&args.service)?;
    if args.shared.detach == Some(true) {
        return Ok(());
    }
    progress::wait(session, Wait::new(&args.service, args.shared.quiet)).await
}

/// What of the update needs the daemon: ids of networks, secrets and configs, and the image's digest.
async fn complete(session: &mut Session, args: &UpdateArgs, spec: &mut ServiceSpec) -> Result<()> {
    args.lists.apply_networks(session, spec).await?;
    let (secrets, configs) = (&args.lists.secret_add, &args.lists.config_add);
    attach_files(session, spec, secrets, configs).await?;
    resolve_secret_env(session, spec).await?;
    if args.shared.with_registry_auth {
        session.use_registry_auth(&spec::container(spec).image, true)?;
    }
    if args.image.is_some() {
        spec::pin_image(session, spec, !args.shared.no_resolve_image).await?;
    }
    Ok(())
}

/// `--rollback` allows next to nothing beside it.
fn only_rollback(args: &UpdateArgs) -> Result<RollbackArgs> {
    let mut allowed = UpdateArgs {
        service: args.service.clone(),
        rollback: true,
        ..UpdateArgs::default()
    };
    allowed.shared.detach = args.shared.detach;
    allowed.shared.quiet = args.shared.quiet;
    allowed.shared.own.plan = args.shared.own.plan.clone();
    if format!("{args:?}") != format!("{allowed:?}") {
        return Err(Error::usage(
            "other flags may not be combined with --rollback",
        ));
    }
    Ok(RollbackArgs {
        service: args.service.clone(),
        to: None,
        detach: args.shared.detach,
        quiet: args.shared.quiet,
        plan: args.shared.own.plan.clone(),
    })
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
            match progress::wait(session, Wait::new(&name, false)).await {
                Ok(()) => {}
                Err(Error::Detached) => break,
                Err(err) => complaints.push(format!("{name}: {err}")),
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
    no_longer_stopped(&mut service.spec);
    write(session, &service, &[]).await?;
    Ok((name.to_owned(), replicas))
}
