//! One host: booting, losing power, its daemon, its processes, its cable.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::api::Api;
use super::background::Background;
use super::cgroups;
use super::daemon::{Daemon, socket};
use super::helper::READY;
use super::process::{OWN_GROUP, Process, ProcessId};
use super::switch::{Switch, in_network, network_of};
use super::wait::eventually;

/// A daemon reads its log and its containers before it answers; a debug build on a loaded machine needs seconds.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// A helper that only has to reap its child.
const REAP_LIMIT: Duration = Duration::from_secs(20);
/// Lines of a daemon's log that are shown with a failure.
const LOG_TAIL_LINES: usize = 60;

/// What all hosts of a cluster share.
pub(super) struct Lab {
    pub(super) helper: PathBuf,
    pub(super) daemon: Daemon,
    pub(super) switch: Switch,
    /// Control group of the cluster.
    pub(super) cgroup: String,
    /// Whether daemons use an image that is there without asking its registry.
    pub(super) prefer_offline: bool,
}

/// A host of a [`super::Cluster`].
pub struct Host {
    name: String,
    address: Ipv4Addr,
    dir: PathBuf,
    lab: Arc<Lab>,
    /// Arguments that only its own daemon gets.
    daemon_args: Vec<String>,
    life: Mutex<Life>,
}

/// Each process of ours with the helper that is its parent outside of the host.
#[derive(Default)]
struct Life {
    init: Option<(Child, ProcessId)>,
    daemon: Option<(Child, ProcessId)>,
}

impl Host {
    pub(super) fn new(
        name: &str,
        address: Ipv4Addr,
        cluster_dir: &Path,
        lab: Arc<Lab>,
    ) -> Result<Host> {
        let dir = cluster_dir.join(name);
        fs::create_dir_all(dir.join("data"))?;
        Ok(Host {
            name: name.to_owned(),
            address,
            dir,
            lab,
            daemon_args: Vec::new(),
            life: Mutex::default(),
        })
    }

    pub(super) fn add_daemon_args<'a>(&mut self, args: impl Iterator<Item = &'a String>) {
        self.daemon_args.extend(args.cloned());
    }

    /// Its name, which is also its hostname.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address on the cluster's network.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Where its daemon listens for nodes, `ADDRESS:2377`.
    pub fn cluster_address(&self) -> String {
        format!("{}:2377", self.address)
    }

    /// Directory on disk: `data`, `starling.sock`, `daemon.log`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The API's socket, as `DOCKER_HOST` names it.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", socket(&self.dir).display())
    }

    /// Client of its daemon's API.
    pub fn api(&self) -> Api {
        Api::new(&socket(&self.dir))
    }

    /// The parent of its containers' control groups.
    pub fn cgroup(&self) -> String {
        format!("{}/{}", self.lab.cgroup, self.name)
    }

    /// Whether its first process lives.
    pub fn is_up(&self) -> bool {
        self.life()
            .init
            .as_ref()
            .is_some_and(|(_, init)| init.alive())
    }

    /// Its daemon, if it lives.
    pub fn daemon(&self) -> Option<ProcessId> {
        self.life()
            .daemon
            .as_ref()
            .map(|(_, id)| *id)
            .filter(|id| id.alive())
    }

    /// Boots the host unless it is up, starts its daemon unless that runs, and waits until it answers.
    pub fn start(&self) -> Result<()> {
        self.launch()?;
        self.wait_ready()
    }

    /// As [`Host::start`], without waiting for the daemon to answer.
    pub fn launch(&self) -> Result<()> {
        if !self.is_up() {
            self.boot()
                .with_context(|| format!("cannot boot host {}", self.name))?;
        }
        if self.daemon().is_none() {
            self.start_daemon()
                .with_context(|| format!("cannot start the daemon of {}", self.name))?;
        }
        Ok(())
    }

    fn boot(&self) -> Result<()> {
        let group = self.own_group();
        cgroups::create(&group)?;
        let mut boot = Command::new(&self.lab.helper)
            .args(["boot", "--hostname", &self.name, "--cgroup", &group])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(self.boot_log())?)
            .spawn()?;
        let mut said = BufReader::new(boot.stdout.take().context("no standard output")?).lines();
        let mut next = || said.next().transpose().ok().flatten();
        // One word from the parent and one from the first process, in either order.
        let (Some(first), Some(second)) = (next(), next()) else {
            boot.wait()?;
            bail!(
                "{}",
                fs::read_to_string(self.boot_log()).unwrap_or_default()
            );
        };
        let pid = if first == READY { second } else { first };
        let pid = pid
            .parse()
            .with_context(|| format!("unexpected word from the first process: {pid}"))?;
        let init = ProcessId::of(pid)?;
        init.record(&self.dir.join("init"))?;
        self.lab.switch.plug(&self.name, init.pid, self.address)?;
        self.life().init = Some((boot, init));
        Ok(())
    }

    fn start_daemon(&self) -> Result<()> {
        let mut enter = self.enter_detached(&self.log_file())?;
        enter
            .args(self.lab.daemon.command(&self.dir, &self.cgroup()))
            .args(&self.daemon_args)
            .env("RUST_BACKTRACE", "1");
        if self.lab.prefer_offline {
            // Most tests have no registry: an image that is there is used as it is, as dockerd does under this variable.
            enter.env("DOCKER_SERVICE_PREFER_OFFLINE_IMAGE", "1");
        }
        let (enter, daemon) = self
            .announced(enter)
            .with_context(|| format!("log:\n{}", self.logs()))?;
        daemon.record(&self.dir.join("daemon"))?;
        self.life().daemon = Some((enter, daemon));
        Ok(())
    }

    /// The helper that will run a program on this host, detached, with its output appended to `log`.
    fn enter_detached(&self, log: &Path) -> Result<Command> {
        let mut enter = Command::new(&self.lab.helper);
        let pid = self.init()?.pid.to_string();
        enter
            .args(["enter", "--pid", &pid, "--cgroup", &self.own_group()])
            .arg("--log")
            .arg(log)
            .arg("--");
        Ok(enter)
    }

    /// Starts that helper and waits until it has told the program's pid.
    fn announced(&self, mut enter: Command) -> Result<(Child, ProcessId)> {
        let mut enter = enter
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(self.boot_log())?)
            .spawn()?;
        let said = BufReader::new(enter.stdout.take().context("no standard output")?)
            .lines()
            .next();
        let Some(pid) = said.transpose()? else {
            enter.wait()?;
            bail!(
                "{}",
                fs::read_to_string(self.boot_log()).unwrap_or_default()
            );
        };
        // A program that ended at once is a zombie until its parent has seen it, or gone: its log says why.
        let Ok(program) = ProcessId::of(pid.parse()?) else {
            enter.wait()?;
            bail!("it ended at once");
        };
        Ok((enter, program))
    }

    /// Runs a program inside of the host, beside the story; its output goes to the file `NAME.log` of the host.
    pub fn run<S: AsRef<OsStr>>(&self, name: &str, command: &[S]) -> Result<Background> {
        let log = self.dir.join(format!("{name}.log"));
        let mut enter = self.enter_detached(&log)?;
        enter.args(command);
        let (enter, program) = self
            .announced(enter)
            .with_context(|| format!("cannot run {name} on {}", self.name))?;
        Ok(Background::new(enter, program, &log))
    }

    /// Runs a client (`docker`, or the path of starling) against this host's daemon, from outside, beside the story.
    pub fn follow<S: AsRef<OsStr>>(&self, name: &str, command: &[S]) -> Result<Background> {
        let (program, args) = command.split_first().context("no program")?;
        let mut client = Command::new(program);
        client.args(args).env("DOCKER_HOST", self.docker_host());
        Background::start(client, &self.dir.join(format!("{name}.log")))
    }

    /// Waits until the daemon answers; fails at once when it ends.
    pub fn wait_ready(&self) -> Result<()> {
        if !self.lab.daemon.has_api() {
            return Ok(());
        }
        let api = self.api().within(Duration::from_secs(2));
        eventually(
            &format!("the daemon of {} answers", self.name),
            READY_LIMIT,
            || {
                if self.daemon().is_none() {
                    return Ok(Err(anyhow!(
                        "the daemon of {} ended:\n{}",
                        self.name,
                        self.logs()
                    )));
                }
                ping(&api).map(Ok)
            },
        )
        .with_context(|| format!("log of {}:\n{}", self.name, self.logs()))?
    }

    /// Silent loss of power: the cable first, then SIGKILL of the first process, and with it of all others. Nobody is
    /// told. Control groups and `/run` are gone, as after a real one; the disk stays.
    pub fn crash(&self) -> Result<()> {
        let mut life = self.life();
        let Life { init, daemon } = std::mem::take(&mut *life);
        let Some((boot, init)) = init else {
            bail!("host {} is not up", self.name);
        };
        self.lab.switch.set_link(&self.name, false)?;
        init.kill()?;
        reap(boot)?;
        if let Some((enter, _)) = daemon {
            reap(enter)?;
        }
        self.lab.switch.unplug(&self.name)?;
        cgroups::remove(&self.cgroup())
    }

    /// SIGKILL of the daemon only; its supervisor and its containers live on.
    pub fn kill_daemon(&self) -> Result<()> {
        let Some((enter, daemon)) = self.life().daemon.take() else {
            bail!("no daemon runs on {}", self.name);
        };
        daemon.kill()?;
        reap(enter)
    }

    /// SIGKILL of the process that is the parent of all containers.
    pub fn kill_supervisor(&self) -> Result<()> {
        self.supervisor()?.id.kill()
    }

    /// The supervisor: a process of this host named after starling that is not the daemon.
    pub fn supervisor(&self) -> Result<Process> {
        let daemon = self.daemon();
        let found = self.processes().into_iter().find(|process| {
            let name = format!("{} {}", process.comm, process.args);
            process.comm.starts_with("starling")
                && name.contains("superv")
                && Some(process.id) != daemon
        });
        found.with_context(|| {
            format!(
                "no supervisor on {} among {:#?}",
                self.name,
                self.processes()
            )
        })
    }

    /// Pulls the cable: nothing leaves or arrives, nobody is told.
    pub fn cut(&self) -> Result<()> {
        self.lab.switch.set_link(&self.name, false)
    }

    /// Plugs the cable in again.
    pub fn heal(&self) -> Result<()> {
        self.lab.switch.set_link(&self.name, true)
    }

    /// All processes of the host: its first one, the daemon, the supervisor, and those of containers.
    pub fn processes(&self) -> Vec<Process> {
        Process::under(&self.cgroup())
    }

    /// Processes of containers.
    pub fn container_processes(&self) -> Vec<Process> {
        let mut all = self.processes();
        all.retain(|process| process.group != OWN_GROUP);
        all
    }

    /// Runs a program inside of the host, with its output caught.
    pub fn exec<S: AsRef<OsStr>>(&self, command: &[S]) -> Result<Output> {
        let init = self.init()?;
        let mut enter = Command::new(&self.lab.helper);
        enter.args([
            "enter",
            "--pid",
            &init.pid.to_string(),
            "--cgroup",
            &self.own_group(),
            "--",
        ]);
        enter
            .args(command)
            .env("DOCKER_HOST", self.docker_host())
            .stdin(Stdio::null());
        Ok(enter.output()?)
    }

    /// Runs a function on a thread inside of the host's network.
    pub fn in_network<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        in_network(&network_of(self.init()?.pid)?, work)
    }

    /// The `starling` binary that runs on this host.
    pub fn binary(&self) -> Result<&Path> {
        self.lab.daemon.binary()
    }

    /// Runs starling's command line, from outside, against this host's daemon. Fails when the command does.
    pub fn cli<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String> {
        succeeded(self.try_cli(args)?)
    }

    /// As [`Host::cli`], for commands that may fail.
    pub fn try_cli<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Output> {
        self.client(self.lab.daemon.binary()?.as_os_str(), args)
    }

    /// Runs Docker's own command line, given as a line of words without quotes, and then these arguments as they are.
    pub fn docker_words(&self, line: &str, more: &[&str]) -> Result<String> {
        let words: Vec<&str> = line
            .split_whitespace()
            .chain(more.iter().copied())
            .collect();
        self.docker(&words)
            .with_context(|| format!("docker {line}"))
    }

    /// As [`Host::docker_words`], for a command that has to fail. Returns what it said, on both streams.
    pub fn docker_refuses(&self, line: &str, more: &[&str]) -> Result<String> {
        let words: Vec<&str> = line
            .split_whitespace()
            .chain(more.iter().copied())
            .collect();
        refused(line, &self.try_docker(&words)?)
    }

    /// As [`Host::docker_words`], with our own command line.
    pub fn cli_words(&self, line: &str, more: &[&str]) -> Result<String> {
        let words: Vec<&str> = line
            .split_whitespace()
            .chain(more.iter().copied())
            .collect();
        self.cli(&words).with_context(|| format!("starling {line}"))
    }

    /// As [`Host::docker_refuses`], with our own command line.
    pub fn cli_refuses(&self, line: &str, more: &[&str]) -> Result<String> {
        let words: Vec<&str> = line
            .split_whitespace()
            .chain(more.iter().copied())
            .collect();
        refused(line, &self.try_cli(&words)?)
    }

    /// Runs Docker's own command line against this host's daemon. Fails when the command does.
    pub fn docker<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String> {
        succeeded(self.try_docker(args)?)
    }

    /// As [`Host::docker`], for commands that may fail.
    pub fn try_docker<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<Output> {
        self.client(OsStr::new("docker"), args)
    }

    fn client<S: AsRef<OsStr>>(&self, program: &OsStr, args: &[S]) -> Result<Output> {
        let mut command = Command::new(program);
        command
            .args(args)
            .env("DOCKER_HOST", self.docker_host())
            .stdin(Stdio::null());
        command
            .output()
            .with_context(|| format!("cannot run {}", program.display()))
    }

    /// The end of the daemon's log.
    pub fn logs(&self) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    /// Reaps the helpers after the cluster was taken down.
    pub(super) fn bury(&self) {
        let Life { init, daemon } = std::mem::take(&mut *self.life());
        for (mut helper, _) in init.into_iter().chain(daemon) {
            // They end with their children, which are dead; a failure here would only leave a zombie of ours.
            let _ = helper.wait();
        }
    }

    fn init(&self) -> Result<ProcessId> {
        let init = self.life().init.as_ref().map(|(_, init)| *init);
        init.filter(|init| init.alive())
            .with_context(|| format!("host {} is not up", self.name))
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own_group(&self) -> String {
        format!("{}/{OWN_GROUP}", self.cgroup())
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("daemon.log")
    }

    fn boot_log(&self) -> PathBuf {
        self.dir.join("boot.log")
    }
}

fn ping(api: &Api) -> Result<()> {
    let reply = api.send(hyper::Method::GET, "/_ping", None)?;
    ensure!(
        reply.status == 200,
        "/_ping: status {}: {}",
        reply.status,
        reply.text()
    );
    Ok(())
}

fn reap(mut helper: Child) -> Result<()> {
    eventually("a host's helper ends", REAP_LIMIT, || {
        helper
            .try_wait()?
            .ok_or_else(|| anyhow!("it still runs"))
            .map(|_| ())
    })
}

fn refused(line: &str, output: &Output) -> Result<String> {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(!output.status.success(), "it succeeded: {line}: {out}{err}");
    Ok(format!("{out}{err}"))
}

fn succeeded(output: Output) -> Result<String> {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "{}: {out}{err}", output.status);
    Ok(out.trim_end().to_owned())
}
