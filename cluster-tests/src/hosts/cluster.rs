//! A cluster: its hosts, its switch, its keeper; and forming a swarm on it through the HTTP API.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use super::daemon::{Daemon, helper};
use super::host::{Host, Lab};
use super::image;
use super::keeper::{Keeper, cgroup_of, claim_dir, sweep, take_down_kept};
use super::switch::Switch;
use super::wait::eventually;

/// First three bytes of the hosts' addresses. Only the cluster's own namespaces know this network.
const NETWORK: [u8; 3] = [10, 211, 0];
/// Managers are .11 and up, workers .101 and up.
const FIRST_MANAGER: u8 = 11;
const FIRST_WORKER: u8 = 101;
/// A node that joined asks for its certificate, connects and reports: some round trips, on a loaded machine.
const JOIN_LIMIT: Duration = Duration::from_secs(30);
/// For one look at what a manager thinks: one that hangs must not stop us from asking the others.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// An election is over in 1.3 s; the limit that the project sets itself for the worst case is 5 s.
const LEADER_LIMIT: Duration = Duration::from_secs(20);

/// What a host is asked to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes part in consensus.
    Manager,
    /// Runs tasks only.
    Worker,
}

/// Says what a cluster is to be.
pub struct Builder {
    managers: u8,
    workers: u8,
    daemon: Option<Daemon>,
    daemon_args: Vec<String>,
    host_args: BTreeMap<String, Vec<String>>,
    form_swarm: bool,
    load_image: bool,
    prefer_offline: bool,
}

impl Builder {
    /// Number of hosts `m1`, `m2`, …
    pub fn managers(mut self, count: u8) -> Builder {
        self.managers = count;
        self
    }

    /// Number of hosts `w1`, `w2`, …
    pub fn workers(mut self, count: u8) -> Builder {
        self.workers = count;
        self
    }

    /// Another engine, or with [`Builder::program`] none at all.
    pub fn daemon(mut self, daemon: Daemon) -> Builder {
        self.daemon = Some(daemon);
        self
    }

    /// Runs any program instead of the engine: then there is no swarm and no image.
    pub fn program<S: Into<OsString>>(self, command: impl IntoIterator<Item = S>) -> Builder {
        let command = command.into_iter().map(Into::into).collect();
        self.daemon(Daemon::Program(command))
            .without_swarm()
            .without_image()
    }

    /// Further arguments of `starling daemon`.
    pub fn daemon_args(mut self, args: &[&str]) -> Builder {
        self.daemon_args
            .extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Further arguments of one host's daemon.
    pub fn host_args(mut self, host: &str, args: &[&str]) -> Builder {
        let of_host = self.host_args.entry(host.to_owned()).or_default();
        of_host.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    /// Leaves the hosts alone: no init, no joins.
    pub fn without_swarm(mut self) -> Builder {
        self.form_swarm = false;
        self
    }

    /// Does not import [`super::IMAGE`] on the hosts.
    pub fn without_image(mut self) -> Builder {
        self.load_image = false;
        self
    }

    /// Daemons ask an image's registry first, as Docker does by itself. Otherwise an image that is there is used.
    pub fn ask_registries(mut self) -> Builder {
        self.prefer_offline = false;
        self
    }

    /// Makes the hosts, starts their daemons, imports the image and forms the swarm.
    pub fn start(self) -> Result<Cluster> {
        for swept in sweep()? {
            eprintln!("removed what a killed run left: {}", swept.display());
        }
        let cluster = self.make_hosts()?;
        cluster.start_all()?;
        if self.load_image {
            cluster.load_image()?;
        }
        if self.form_swarm {
            cluster.form_swarm()?;
        }
        Ok(cluster)
    }

    fn make_hosts(&self) -> Result<Cluster> {
        let mut daemon = self.daemon.clone().map_or_else(Daemon::starling, Ok)?;
        if let Daemon::Starling { args, .. } = &mut daemon {
            args.extend(self.daemon_args.clone());
        }
        let helper = helper()?;
        let dir = claim_dir()?;
        let keeper = Keeper::start(&helper, &dir)?;
        let switch = Switch::create(keeper.pid())?;
        let lab = Arc::new(Lab {
            helper,
            daemon,
            switch,
            cgroup: cgroup_of(&dir),
            prefer_offline: self.prefer_offline,
        });
        let mut cluster = Cluster {
            dir,
            keeper,
            hosts: Vec::new(),
        };
        for (role, letter, count, first) in [
            (Role::Manager, 'm', self.managers, FIRST_MANAGER),
            (Role::Worker, 'w', self.workers, FIRST_WORKER),
        ] {
            for number in 0..count {
                let address = Ipv4Addr::new(NETWORK[0], NETWORK[1], NETWORK[2], first + number);
                let name = format!("{letter}{}", number + 1);
                let mut host = Host::new(&name, address, &cluster.dir, lab.clone())?;
                host.add_daemon_args(self.host_args.get(&name).into_iter().flatten());
                cluster.hosts.push((role, host));
            }
        }
        Ok(cluster)
    }
}

/// Several hosts behind one switch. Dropping it takes everything down, also after a panic.
pub struct Cluster {
    dir: PathBuf,
    keeper: Arc<Keeper>,
    hosts: Vec<(Role, Host)>,
}

impl Cluster {
    /// One manager and nothing else, unless told otherwise.
    pub fn builder() -> Builder {
        Builder {
            managers: 1,
            workers: 0,
            daemon: None,
            daemon_args: Vec::new(),
            host_args: BTreeMap::new(),
            form_swarm: true,
            load_image: true,
            prefer_offline: true,
        }
    }

    /// The host of this name.
    ///
    /// # Panics
    /// When there is none: the story names a host that it did not ask for.
    pub fn host(&self, name: &str) -> &Host {
        let found = self.hosts().find(|host| host.name() == name);
        found.unwrap_or_else(|| panic!("no host named {name} in this cluster"))
    }

    /// All hosts, managers first.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.iter().map(|(_, host)| host)
    }

    /// Those that were made as managers.
    pub fn managers(&self) -> impl Iterator<Item = &Host> {
        self.with_role(Role::Manager)
    }

    /// Those that were made as workers.
    pub fn workers(&self) -> impl Iterator<Item = &Host> {
        self.with_role(Role::Worker)
    }

    fn with_role(&self, wanted: Role) -> impl Iterator<Item = &Host> {
        self.hosts
            .iter()
            .filter(move |(role, _)| *role == wanted)
            .map(|(_, host)| host)
    }

    /// Where the hosts' directories are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Starts every host that is down, all at once, and waits until each answers.
    pub fn start_all(&self) -> Result<()> {
        for host in self.hosts() {
            host.launch()?;
        }
        self.hosts().try_for_each(Host::wait_ready)
    }

    /// Loss of power in the whole room.
    pub fn crash_all(&self) -> Result<()> {
        self.hosts()
            .filter(|host| host.is_up())
            .try_for_each(Host::crash)
    }

    /// Imports the test image on each host.
    pub fn load_image(&self) -> Result<()> {
        let rootfs = image::rootfs_tar()?;
        for host in self.hosts() {
            let imported = image::import(&host.api(), rootfs.clone());
            imported.with_context(|| {
                format!(
                    "cannot import the image on {}:\n{}",
                    host.name(),
                    host.logs()
                )
            })?;
        }
        Ok(())
    }

    /// `swarm init` on the first manager, `swarm join` on all others; waits until every node is ready.
    pub fn form_swarm(&self) -> Result<()> {
        let first = self.managers().next().context("a swarm needs a manager")?;
        let (listen, advertise) = (first.cluster_address(), first.address().to_string());
        first.api().post(
            "/swarm/init",
            &json!({"ListenAddr": listen, "AdvertiseAddr": advertise}),
        )?;
        let tokens = first.api().get("/swarm")?["JoinTokens"].clone();
        for (role, host) in self.hosts.iter().skip(1) {
            let token = &tokens[if *role == Role::Manager {
                "Manager"
            } else {
                "Worker"
            }];
            let joined = join(host, first, token);
            joined.with_context(|| {
                format!("{} cannot join, its log:\n{}", host.name(), host.logs())
            })?;
        }
        self.wait_all_ready()
    }

    /// Waits until the leader sees every host ready, and every manager reachable.
    pub fn wait_all_ready(&self) -> Result<()> {
        eventually("all nodes are ready", JOIN_LIMIT, || {
            let nodes = self.nodes()?;
            ensure!(
                nodes.len() == self.hosts.len(),
                "{} of {} nodes",
                nodes.len(),
                self.hosts.len()
            );
            for (role, host) in &self.hosts {
                let node = nodes
                    .get(host.name())
                    .with_context(|| format!("no node {}", host.name()))?;
                ensure!(
                    node["Status"]["State"] == "ready",
                    "{}: {}",
                    host.name(),
                    node["Status"]
                );
                let reachable = node["ManagerStatus"]["Reachability"] == "reachable";
                ensure!(
                    reachable || *role == Role::Worker,
                    "{}: {}",
                    host.name(),
                    node["ManagerStatus"]
                );
            }
            Ok(())
        })
    }

    /// All nodes by hostname, as the first manager that answers sees them.
    pub fn nodes(&self) -> Result<BTreeMap<String, Value>> {
        let answers = self
            .managers()
            .filter(|host| host.daemon().is_some())
            .map(nodes_seen_by);
        let mut last = anyhow!("no manager runs");
        for answer in answers {
            match answer {
                Ok(nodes) => return Ok(nodes),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The manager that most managers take for the leader, as soon as there is one.
    pub fn leader(&self) -> Result<&Host> {
        eventually("the managers have a leader", LEADER_LIMIT, || {
            self.leader_now()
        })
    }

    /// The manager that more than half of all managers take for the leader now.
    pub fn leader_now(&self) -> Result<&Host> {
        let mut votes: BTreeMap<String, usize> = BTreeMap::new();
        for manager in self.managers().filter(|host| host.daemon().is_some()) {
            for (name, node) in nodes_seen_by(manager).unwrap_or_default() {
                if node["ManagerStatus"]["Leader"] == true {
                    *votes.entry(name).or_default() += 1;
                }
            }
        }
        let majority = self.managers().count() / 2 + 1;
        let leader = votes.iter().find(|(_, count)| **count >= majority);
        let (name, _) =
            leader.with_context(|| format!("the managers' views of the leader: {votes:?}"))?;
        Ok(self.host(name))
    }

    /// A manager that runs and does not lead.
    pub fn follower(&self) -> Result<&Host> {
        let leader = self.leader()?.name();
        let mut others = self
            .managers()
            .filter(|host| host.daemon().is_some() && host.name() != leader);
        others
            .next()
            .context("the leader is the only manager that runs")
    }

    /// Leaves everything up when this process ends; `starling-hosts down` takes it down.
    pub fn keep(&self) -> Result<()> {
        self.keeper.stay()
    }

    /// Takes everything down, as dropping does, and says what went wrong with it.
    pub fn take_down(self) -> Result<()> {
        self.keeper.end()
    }

    /// Takes down a cluster that was left up.
    pub fn take_down_kept(dir: &Path) -> Result<()> {
        take_down_kept(dir)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for host in self.hosts() {
                eprintln!("---- log of {}:\n{}", host.name(), host.logs());
            }
        }
        if self.keeper.stayed() {
            return;
        }
        if let Err(error) = self.keeper.end() {
            eprintln!("the hosts were not taken down: {error:#}");
        }
        self.hosts().for_each(Host::bury);
    }
}

fn join(host: &Host, first: &Host, token: &Value) -> Result<Value> {
    let request = json!({
        "ListenAddr": host.cluster_address(),
        "AdvertiseAddr": host.address().to_string(),
        "RemoteAddrs": [first.cluster_address()],
        "JoinToken": token,
    });
    host.api().post("/swarm/join", &request)
}

fn nodes_seen_by(manager: &Host) -> Result<BTreeMap<String, Value>> {
    let nodes = manager.api().within(LOOK_LIMIT).get("/nodes")?;
    let nodes = nodes.as_array().context("/nodes is not a list")?;
    let name = |node: &Value| Some(node["Description"]["Hostname"].as_str()?.to_owned());
    Ok(nodes
        .iter()
        .filter_map(|node| Some((name(node)?, node.clone())))
        .collect())
}
