//! Supervisors that nobody needs any more. Needs root and /bin/busybox.

mod common;

use std::time::Duration;

use common::{Host, PATIENCE, config, eventually};
use sandbox::{ContainerSpec, Event, Supervisor, SupervisorConfig};

/// A supervisor beside the host's own one, with a daemon that may hang up.
struct Other<'a> {
    host: &'a Host,
    config: SupervisorConfig,
    pid: i32,
}

impl Other<'_> {
    fn new(host: &Host, idle_seconds: u32) -> Other<'_> {
        let mut config = config(host.directory.path());
        config.exec_root = host.path("other");
        config.args.push("--idle-seconds".into());
        config.args.push(idle_seconds.to_string().into());
        Other {
            host,
            config,
            pid: 0,
        }
    }

    /// A daemon comes; it goes when the value is dropped.
    async fn daemon(&mut self) -> (Supervisor, tokio::sync::mpsc::UnboundedReceiver<Event>) {
        let connected = Supervisor::connect_or_start(&self.config).await;
        let connected = connected.expect("the supervisor answers");
        self.pid = connected.0.pid();
        connected
    }

    /// Starts a container under it.
    async fn start(&mut self, spec: &ContainerSpec) {
        let (supervisor, _events) = self.daemon().await;
        supervisor.start(spec.clone()).await.expect("it starts");
    }

    fn lives(&self) -> bool {
        is_alive(self.pid)
    }

    async fn ends(&self) {
        eventually("the supervisor ends", || !self.lives()).await;
    }
}

impl Drop for Other<'_> {
    fn drop(&mut self) {
        if self.pid > 0 && self.lives() {
            // SAFETY: takes no pointers; the process is our child, reaped by tokio only after its end.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
        if let Err(error) = sandbox::kill_orphans(&self.host.path("other")) {
            eprintln!("containers are left: {error}");
        }
    }
}

/// Whether the process is there; one that ended is a zombie for a moment, until tokio reaps it.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn it_waits_for_a_daemon_but_not_for_ever() {
    let mut host = Host::new().await;
    let spec = host.shell("exit 3");
    let mut other = Other::new(&host, 2);
    let (supervisor, mut events) = other.daemon().await;
    supervisor.start(spec.clone()).await.expect("it starts");
    let Some(Event::Exited { exit, .. }) = events.recv().await else {
        panic!("the container ends first");
    };
    assert_eq!(exit.exit_code, 3);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(other.lives(), "a daemon is connected");
    drop((supervisor, events));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let first = other.pid;
    drop(other.daemon().await);
    assert_eq!(other.pid, first, "it waits for the daemon");
    other.ends().await;
    let (_supervisor, mut events) = other.daemon().await;
    assert_ne!(other.pid, first);
    // What was not acknowledged is not lost.
    let again = Event::Exited { id: spec.id, exit };
    assert_eq!(events.recv().await, Some(again));
}

#[tokio::test]
async fn with_a_container_it_stays_until_that_ends() {
    let mut host = Host::new().await;
    let spec = host.shell("while [ ! -e /end ]; do sleep 0.05; done");
    let mut other = Other::new(&host, 1);
    other.start(&spec).await;
    // No daemon can find it any more, and yet its container lives.
    std::fs::remove_dir_all(host.path("other")).unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert!(other.lives(), "its container runs");
    let children = format!("/proc/{0}/task/{0}/children", other.pid);
    let children = std::fs::read_to_string(children).unwrap();
    let container: i32 = children.trim().parse().expect("one container");
    std::fs::write(format!("/proc/{container}/root/end"), "").unwrap();
    other.ends().await;
}

#[tokio::test]
async fn without_its_directory_it_ends_with_its_daemon() {
    let host = Host::new().await;
    let mut other = Other::new(&host, 3600);
    let (supervisor, events) = other.daemon().await;
    std::fs::remove_dir_all(host.path("other")).unwrap();
    assert!(supervisor.list().await.is_ok(), "its daemon needs it");
    drop((supervisor, events));
    other.ends().await;
}

#[tokio::test]
async fn one_that_was_replaced_ends_and_its_successor_stays() {
    let host = Host::new().await;
    let mut other = Other::new(&host, 3600);
    let (old_supervisor, old_events) = other.daemon().await;
    let old = other.pid;
    std::fs::remove_dir_all(host.path("other")).unwrap();
    drop(other.daemon().await);
    assert_ne!(other.pid, old);
    assert!(is_alive(old), "its daemon is still there");
    drop((old_supervisor, old_events));
    eventually("the old supervisor ends", || !is_alive(old)).await;
    assert!(other.lives());
}

/// The daemon was killed between its start of a supervisor and its connection to it.
#[tokio::test]
async fn nobody_ever_came() {
    let host = Host::new().await;
    let mut other = Other::new(&host, 1);
    let mut child = tokio::process::Command::new(&other.config.binary)
        .args(&other.config.args)
        .arg("--exec-root")
        .arg(&other.config.exec_root)
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
    // The next daemon meets a stale socket.
    let (supervisor, _events) = other.daemon().await;
    supervisor.shutdown().await.unwrap();
}
