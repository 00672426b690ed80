//! A real supervisor with a busybox root, in a directory and a cgroup of its own. Needs root and
//! `/bin/busybox` (Debian: busybox-static); panics in words without them. Everything is removed
//! at the end, also when the test fails.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of each test program, which uses a part of it"
)]

use std::collections::HashMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sandbox::spec::{LogFile, Rootfs};
use sandbox::{
    ContainerSpec, Event, ExecSpec, Exit, StartError, Started, Supervisor, SupervisorConfig,
};
use tokio::sync::mpsc::UnboundedReceiver;

const BUSYBOX: &str = "/bin/busybox";
/// Bound of every wait for something that takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
const CGROUPS: &str = "/sys/fs/cgroup";

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/srv/web:/bin/sh\n";
const GROUP: &str = "root:x:0:\nwheel:x:10:root,web\nweb:x:1001:\n";

pub struct Host {
    pub directory: tempfile::TempDir,
    pub supervisor: Supervisor,
    events: UnboundedReceiver<Event>,
    exits: HashMap<String, Exit>,
    pub cgroup_parent: String,
    next: u32,
}

pub fn config(directory: &Path) -> SupervisorConfig {
    let binary = env!("CARGO_BIN_EXE_sandbox-supervisor");
    SupervisorConfig::new(directory.join("exec-root"), binary)
}

/// Which directories of all hierarchies belong to this parent.
pub fn cgroup_directories(parent: &str) -> Vec<PathBuf> {
    let hierarchies = std::fs::read_dir(CGROUPS).into_iter().flatten().flatten();
    let below = hierarchies.map(|entry| entry.path());
    let all = below.chain([PathBuf::from(CGROUPS)]);
    all.map(|path| path.join(parent.trim_start_matches('/')))
        .filter(|path| path.is_dir())
        .collect()
}

impl Host {
    pub async fn new() -> Host {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // SAFETY: takes no pointers.
        let root = unsafe { libc::geteuid() } == 0;
        assert!(
            root,
            "this test makes namespaces and cgroups: run it as root"
        );
        assert!(
            Path::new(BUSYBOX).exists(),
            "this test needs {BUSYBOX}: install busybox-static"
        );
        let directory = tempfile::tempdir().unwrap();
        make_image(&directory.path().join("image"));
        let connected = Supervisor::connect_or_start(&config(directory.path())).await;
        let (supervisor, events) = connected.expect("the supervisor starts");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Host {
            directory,
            supervisor,
            events,
            exits: HashMap::new(),
            cgroup_parent: format!("/starling-sandbox-test-{}-{count}", std::process::id()),
            next: 0,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn exec_root(&self) -> PathBuf {
        self.path("exec-root")
    }

    /// A container that runs a shell script.
    pub fn shell(&mut self, script: &str) -> ContainerSpec {
        self.command(&["/bin/sh", "-c", script])
    }

    pub fn command(&mut self, args: &[&str]) -> ContainerSpec {
        self.next += 1;
        let id = format!("{:064x}", self.next);
        let base = self.path(&id);
        for name in ["upper", "work", "merged"] {
            std::fs::create_dir_all(base.join(name)).unwrap();
        }
        let rootfs = Rootfs::Overlay {
            lower: vec![self.path("image")],
            upper: base.join("upper"),
            work: base.join("work"),
            merged: base.join("merged"),
        };
        let args = args.iter().map(|arg| arg.to_string()).collect();
        let log = LogFile::json_file(base.join("log"));
        let mut spec = ContainerSpec::new(id, rootfs, args, &self.cgroup_parent, log);
        spec.hostname = "box".into();
        spec
    }

    pub async fn start(&self, spec: &ContainerSpec) -> Started {
        let started = self.supervisor.start(spec.clone()).await;
        started.unwrap_or_else(|error| panic!("the container does not start: {error}"))
    }

    pub async fn start_error(&self, spec: &ContainerSpec) -> StartError {
        match self.supervisor.start(spec.clone()).await {
            Ok(started) => panic!("the container starts: {started:?}"),
            Err(error) => error,
        }
    }

    /// Runs it to its end.
    pub async fn run(&mut self, spec: &ContainerSpec) -> (Exit, String) {
        self.start(spec).await;
        let exit = self.exit(&spec.id).await;
        (exit, output(spec))
    }

    /// Runs a script that must succeed, and returns its output.
    pub async fn output(&mut self, spec: &ContainerSpec) -> String {
        let (exit, output) = self.run(spec).await;
        assert_eq!(exit.exit_code, 0, "{output}");
        output
    }

    /// Runs a script in a container that runs.
    pub async fn exec(&self, spec: &ContainerSpec, script: &str) -> (i32, String) {
        let exec = exec_shell(script);
        let run = tokio::time::timeout(PATIENCE, self.supervisor.exec(&spec.id, exec));
        let result = run.await.expect("it ends").expect("it runs");
        let output = String::from_utf8(result.output).unwrap();
        (result.exit_code, output)
    }

    /// Waits for its exit event.
    pub async fn exit(&mut self, id: &str) -> Exit {
        loop {
            if let Some(exit) = self.exits.get(id) {
                return exit.clone();
            }
            match self.event().await {
                Event::Exited { id, exit } => self.exits.insert(id, exit),
                Event::SupervisorLost => panic!("the supervisor is lost"),
            };
        }
    }

    pub async fn event(&mut self) -> Event {
        let event = tokio::time::timeout(PATIENCE, self.events.recv()).await;
        event
            .expect("an event comes")
            .expect("events do not end before the connection")
    }

    /// As a daemon that was killed and comes back.
    pub async fn reconnect(&mut self) {
        let connected = Supervisor::connect_or_start(&config(self.directory.path())).await;
        let (supervisor, events) = connected.expect("the supervisor answers");
        (self.supervisor, self.events) = (supervisor, events);
        self.exits.clear();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: takes no pointers; the supervisor is our child, reaped by tokio only after its end.
        unsafe { libc::kill(self.supervisor.pid(), libc::SIGKILL) };
        let end = Instant::now() + PATIENCE;
        while let Err(error) = sandbox::kill_orphans(&self.exec_root()) {
            if Instant::now() > end {
                eprintln!("containers are left: {error}");
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        for directory in cgroup_directories(&self.cgroup_parent) {
            if let Err(error) = std::fs::remove_dir(&directory) {
                eprintln!("{} is left: {error}", directory.display());
            }
        }
    }
}

/// A script to run in a container.
pub fn exec_shell(script: &str) -> ExecSpec {
    ExecSpec {
        args: vec!["/bin/sh".into(), "-c".into(), script.into()],
        max_output: 64 << 10,
        ..ExecSpec::default()
    }
}

/// Busybox with its links, users, and the directories that an image has.
fn make_image(root: &Path) {
    for name in ["bin", "etc", "root", "tmp", "proc", "sys", "dev", "srv/web"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
    let list = std::process::Command::new(BUSYBOX)
        .arg("--list")
        .output()
        .unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines() {
        if applet != "busybox" {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
    }
    std::fs::write(root.join("etc/passwd"), PASSWD).unwrap();
    std::fs::write(root.join("etc/group"), GROUP).unwrap();
    std::fs::write(root.join("etc/plain"), "not a program\n").unwrap();
}

/// What it wrote, both streams, as the log file has it.
pub fn output(spec: &ContainerSpec) -> String {
    entries(spec.log.path())
        .into_iter()
        .map(|(_, text)| text)
        .collect()
}

/// Stream and text of each log entry of one file.
pub fn entries(path: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let entry = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| entry[name].as_str().unwrap().to_owned();
        (field("stream"), field("log"))
    };
    text.lines().map(entry).collect()
}

/// Looks until the condition holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "{what} does not come true");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
