//! An engine with a supervisor, a directory and a cgroup of its own.

use engine::{ContainerConfig, Engine, EngineConfig, State};
use images::{Images, MemoryTable};
use model::logs::LogOptions;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const BUSYBOX: &str = "/bin/busybox";
const CGROUPS: &str = "/sys/fs/cgroup";
/// Name of the image that every host has.
pub(crate) const IMAGE: &str = "busybox:1";
/// Bound of every wait for what takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Host {
    pub(crate) engine: Option<Engine>,
    pub(crate) table: Arc<MemoryTable>,
    images: Images,
    directory: tempfile::TempDir,
    cgroup_parent: String,
    /// Registries are asked only for what is not here.
    pub(crate) offline: bool,
}

impl Host {
    pub(crate) async fn new() -> Host {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let root = rustix::process::geteuid().is_root();
        assert!(root, "this test makes containers: run it as root");
        let busybox = Path::new(BUSYBOX).exists();
        assert!(busybox, "this test needs {BUSYBOX}: install busybox-static");
        let directory = tempfile::tempdir().unwrap();
        let tar = make_image(directory.path());
        let table = Arc::new(MemoryTable::default());
        let config = images::Config {
            insecure_registries: vec![],
        };
        let images = Images::open(&directory.path().join("images"), table, config).unwrap();
        let tar = tokio::fs::File::open(tar).await.unwrap();
        let changes = [
            "CMD [\"sleep\", \"1000\"]",
            "ENV FROM=image",
            "LABEL of=image",
        ];
        let changes = changes.map(str::to_owned);
        let imported = images.import(tar, Some(IMAGE), &changes, "");
        imported.await.expect("busybox is imported");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut host = Host {
            engine: None,
            table: Arc::new(MemoryTable::default()),
            images,
            directory,
            offline: true,
            cgroup_parent: format!("/starling-engine-test-{}-{count}", std::process::id()),
        };
        host.open().await;
        host
    }

    /// Another image with the same content.
    pub(crate) async fn import(&self, name: &str, changes: &[&str]) {
        let tar = tokio::fs::File::open(self.path("image.tar")).await.unwrap();
        let changes: Vec<String> = changes.iter().map(|change| (*change).into()).collect();
        let imported = self.images.import(tar, Some(name), &changes, "");
        imported.await.expect("it is imported");
    }

    /// Opens the engine, again after [`Host::close`].
    pub(crate) async fn open(&mut self) {
        let config = EngineConfig {
            data_root: self.directory.path().join("data"),
            exec_root: self.exec_root(),
            supervisor_binary: env!("CARGO_BIN_EXE_engine-supervisor").into(),
            cgroup_parent: self.cgroup_parent.clone(),
            prefer_offline_images: self.offline,
        };
        let table = Arc::clone(&self.table) as Arc<dyn images::Table>;
        let engine = Engine::open(config, self.images.clone(), table).await;
        self.engine = Some(engine.expect("the engine opens"));
    }

    /// As a daemon that dies: nobody listens to the supervisor any more.
    pub(crate) fn close(&mut self) {
        self.engine = None;
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("an open engine")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn exec_root(&self) -> PathBuf {
        self.path("exec")
    }

    /// A shell script that is to run in a container.
    pub(crate) fn shell(&self, name: &str, script: &str) -> ContainerConfig {
        ContainerConfig {
            name: name.into(),
            image: IMAGE.into(),
            command: vec!["sh".into(), "-c".into(), script.into()],
            ..ContainerConfig::default()
        }
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, config: ContainerConfig) -> (State, String) {
        let engine = self.engine();
        let id = engine.create(config).await.expect("it is made");
        engine.start(&id).await.expect("it starts");
        let state = in_time("its end", engine.wait(&id)).await.unwrap();
        (state, self.output(&id).await)
    }

    /// What it has written so far.
    pub(crate) async fn output(&self, reference: &str) -> String {
        use futures_util::StreamExt;
        let options = LogOptions {
            stdout: true,
            stderr: true,
            ..LogOptions::default()
        };
        let lines = self.engine().logs(reference, &options).unwrap();
        let lines: Vec<_> = in_time("its log", lines.collect()).await;
        let bytes: Vec<u8> = lines.into_iter().flat_map(|line| line.data).collect();
        String::from_utf8(bytes).unwrap()
    }

    /// The supervisors of this host, by their command line.
    pub(crate) fn supervisors(&self) -> Vec<Pid> {
        let exec_root = self.exec_root().display().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let supervisor = |entry: std::fs::DirEntry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(&exec_root).then_some(pid)
        };
        processes.filter_map(supervisor).collect()
    }

    pub(crate) fn kill_supervisor(&self) {
        for pid in self.supervisors() {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// As a power loss: nothing runs any more, and the tmpfs is empty.
    pub(crate) async fn power_loss(&mut self) {
        self.close();
        self.kill_supervisor();
        eventually("no supervisor", || self.supervisors().is_empty()).await;
        self.kill_orphans();
        std::fs::remove_dir_all(self.exec_root()).unwrap();
    }

    fn kill_orphans(&self) {
        let end = Instant::now() + PATIENCE;
        while let Err(error) = sandbox::kill_orphans(&self.exec_root()) {
            if Instant::now() > end {
                eprintln!("containers are left: {error}");
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn names_in(&self, directory: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.path("data").join(directory)).unwrap();
        entries
            .flatten()
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.close();
        self.kill_supervisor();
        self.kill_orphans();
        let hierarchies = std::fs::read_dir(CGROUPS).into_iter().flatten().flatten();
        let below = hierarchies.map(|entry| entry.path());
        for root in below.chain([PathBuf::from(CGROUPS)]) {
            let directory = root.join(self.cgroup_parent.trim_start_matches('/'));
            if directory.is_dir()
                && let Err(error) = std::fs::remove_dir(&directory)
            {
                eprintln!("{} is left: {error}", directory.display());
            }
        }
    }
}

/// A tar of busybox with its links, users, and the directories that an image has.
fn make_image(directory: &Path) -> PathBuf {
    let root = directory.join("image");
    for name in ["bin", "etc", "root", "tmp", "proc", "sys", "dev"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
    let list = Command::new(BUSYBOX).arg("--list").output().unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines() {
        if applet != "busybox" {
            symlink("busybox", root.join("bin").join(applet)).unwrap();
        }
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    let tar = directory.join("image.tar");
    let made = Command::new("tar")
        .arg("-C")
        .arg(&root)
        .arg("-cf")
        .arg(&tar)
        .arg(".")
        .status();
    assert!(made.unwrap().success());
    tar
}

pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = tokio::time::timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Looks until the condition holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    in_time(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
