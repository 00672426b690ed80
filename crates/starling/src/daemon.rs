//! The daemon: what is opened in which order, and how it ends.
//!
//! What the trees of the database are rebuilt from when it is damaged:
//! - `images`: from the records beside the blobs, by the image store itself.
//! - `containers`: containers that are not known are killed and their files deleted; the managers replace tasks.
//! - `journal`: from the complete assignments that the leader sends when the session begins.

use crate::config::{self, Command, Config};
use crate::database::Database;
use crate::glue::containers::EngineContainers;
use crate::glue::events;
use crate::glue::host::{self, Host};
use crate::glue::membership::{self, Parts};
use crate::glue::swarm::SwarmBackend;
use crate::glue::table::TreeTable;
use crate::glue::volumes::EngineVolumes;
use crate::lock::{DataLock, PidFile};
use crate::{log, socket};
use anyhow::{Context, bail};
use api::Api;
use api::events::EventHub;
use engine::{Engine, EngineConfig};
use images::Images;
use manager::Swarm;
use manager::swarm::SwarmConfig;
use std::ffi::OsString;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Threads that run the daemon's tasks. Its work is waiting for disk and network, and a host's cores are for its
/// containers; blocking work has threads of its own.
const WORKER_THREADS: usize = 2;
/// Exit code of a daemon that could not start.
const FAILURE: i32 = 1;

/// Runs `starling daemon`. `args` begins with the word `daemon`.
pub(crate) fn main(args: &[OsString]) -> i32 {
    match config::read(args) {
        Ok(Command::Exit(code)) => code,
        Ok(Command::Validated) => {
            println!("configuration OK");
            0
        }
        Ok(Command::Run(config)) => report(start(*config)),
        Err(error) => report(Err(error)),
    }
}

fn report(result: anyhow::Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("starling daemon: {error:#}");
            FAILURE
        }
    }
}

fn start(config: Config) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "the daemon needs to be started as root: it makes namespaces, mounts and control groups"
        );
    }
    log::start(&config.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let result = runtime.block_on(run(config));
    // Streams to clients may never end; they are cut.
    runtime.shutdown_background();
    result
}

/// Makes a directory that only its owner can read.
fn private_dir(path: &Path) -> anyhow::Result<()> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(path);
    made.with_context(|| format!("cannot make the directory {}", path.display()))
}

async fn run(config: Config) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    private_dir(&config.data_root)?;
    private_dir(&config.exec_root)?;
    let _lock = DataLock::take(&config.data_root)?;
    // Before anything is opened, so that a socket in use stops the daemon while nothing has changed.
    let listeners = config
        .sockets
        .iter()
        .map(|path| socket::listen(path))
        .collect::<Result<Vec<_>, _>>()?;
    let _pidfile = PidFile::write(&config.pidfile)?;
    raise_open_files();

    let database = Database::open(&config.data_root.join("db"))?;
    let host = Arc::new(Host::new(engine_id(&config.data_root)?, config.clone()));
    let images_config = images::Config {
        insecure_registries: config.insecure_registries.clone(),
    };
    let images_table = Arc::new(TreeTable(database.tree("images")?));
    let images = Images::open(
        &config.data_root.join("images"),
        images_table,
        images_config,
    )
    .context("cannot open the images")?;
    let containers_table = Arc::new(TreeTable(database.tree("containers")?));
    let engine = Engine::open(engine_config(&config)?, images.clone(), containers_table)
        .await
        .context("cannot open the engine")?;
    let collector = images.clone();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = collector.gc() {
            tracing::warn!(%error, "layers that nobody needs could not be removed");
        }
    });
    let hub = EventHub::default();
    tokio::spawn(events::containers(engine.clone(), hub.clone()));
    tokio::spawn(events::volumes(engine.clone(), hub.clone()));
    let swarm = Swarm::open(SwarmConfig::new(config.data_root.join("swarm"))).await;
    let (busy, agent_runs) = watch::channel(false);
    let parts = Parts {
        swarm: swarm.clone(),
        engine: engine.clone(),
        host: host.clone(),
        journal: database.tree("journal")?,
        events: hub.clone(),
        busy,
    };
    let members = tokio::spawn(membership::follow(parts, stop.clone()));
    let api = Api {
        swarm: Arc::new(SwarmBackend::new(swarm.clone(), engine.clone(), agent_runs)),
        volumes: Arc::new(EngineVolumes(engine.clone())),
        containers: Arc::new(EngineContainers::new(
            engine,
            &config.data_root,
            &config.cgroup_parent,
        )),
        host,
        images,
        events: hub,
    };
    let servers: Vec<_> = listeners
        .into_iter()
        .map(|l| tokio::spawn(api::serve(api.clone(), l, stop.clone())))
        .collect();
    drop(api);
    tracing::info!(sockets = ?config.sockets, "the daemon is ready");

    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("the daemon stops; containers keep running");
    stop.cancel();
    for server in servers {
        server.await.context("the API server ended badly")?;
    }
    members.await.context("the agent ended badly")?;
    swarm.shutdown().await;
    for path in &config.sockets {
        // It may have been replaced or removed by others; then it is not ours to complain about.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

fn engine_config(config: &Config) -> anyhow::Result<EngineConfig> {
    Ok(EngineConfig {
        data_root: config.data_root.clone(),
        exec_root: config.exec_root.clone(),
        supervisor_binary: std::env::current_exe().context("cannot find this program's file")?,
        cgroup_parent: config.cgroup_parent.clone(),
        prefer_offline_images: EngineConfig::prefers_offline_images(),
    })
}

/// The engine's id: made once, kept for ever.
fn engine_id(data_root: &Path) -> anyhow::Result<String> {
    let path = data_root.join("engine-id");
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let random = host::random();
    let part = |shift: u32| (random >> shift) & 0xffff;
    let id = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        (random >> 96) & 0xffff_ffff,
        part(80),
        part(64),
        part(48),
        random & 0xffff_ffff_ffff
    );
    std::fs::write(&path, &id).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(id)
}

/// As many open files as the hard limit allows: each log that is followed and each connection needs one.
fn raise_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
