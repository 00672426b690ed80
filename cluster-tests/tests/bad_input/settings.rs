//! A daemon with a `daemon.json`: each key takes effect, and a file that cannot be is refused.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{Service, running};
use cluster_tests::hosts::{Api, Background, Host, IMAGE, eventually, rootfs_tar};
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(40);
/// A daemon that is refused ends at once.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);
/// How long an API may take to pull from a registry that does not speak HTTP.
const REGISTRY_LIMIT: Duration = Duration::from_secs(5);

/// Where a second daemon of a host lives, besides the one that the host came with.
struct Place<'a> {
    host: &'a Host,
    dir: PathBuf,
}

impl Place<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn cgroup(&self) -> String {
        format!("{}/from-file", self.host.cgroup())
    }

    fn settings(&self, registry: u16) -> Value {
        json!({
            "data-root": self.text("data"),
            "exec-root": self.text("exec"),
            "pidfile": self.text("pid"),
            "hosts": [format!("unix://{}", self.text("one.sock")), format!("unix://{}", self.text("two.sock"))],
            "cgroup-parent": self.cgroup(),
            "labels": ["disk=ssd", "row=7"],
            "log-level": "warn",
            "insecure-registries": [format!("{}:{registry}", self.host.address()), "10.9.0.0/16"],
        })
    }

    fn write(&self, text: &str) -> Result<String> {
        fs::write(self.path("daemon.json"), text)?;
        Ok(self.text("daemon.json"))
    }
}

/// A daemon that is set by its file alone.
pub(crate) fn a_daemon_is_set_by_its_file(host: &Host) -> Result<()> {
    let dir = host.dir().join("from-file");
    fs::create_dir_all(&dir)?;
    let place = Place { host, dir };
    let registry = host.in_network(|| Ok(TcpListener::bind((host.address(), 0))?))?;
    let settings = place.settings(registry.local_addr()?.port());
    let file = place.write(&settings.to_string())?;
    let binary = host.binary()?.display().to_string();
    // Images of this daemon come from a registry unless it is told otherwise; the host's own daemon is told so, too.
    let offline = "DOCKER_SERVICE_PREFER_OFFLINE_IMAGE=1";
    let command = ["env", offline, &binary, "daemon", "--config-file", &file];
    let mut daemon = host.run("from-file", &command)?;
    let api = ready(&place, &daemon)?;
    information(&place, &api)?;
    plain_registry(&api, &registry)?;
    container_and_addresses(&place, &api)?;
    ends(&place, &mut daemon)
}

fn ready(place: &Place, daemon: &Background) -> Result<Api> {
    let apis = ["one.sock", "two.sock"].map(|name| Api::new(&place.path(name)));
    eventually("both sockets answer", LIMIT, || {
        ensure!(daemon.runs(), "it ended: {}", daemon.output());
        apis.iter().try_for_each(|api| {
            let reply = api.send(Method::GET, "/_ping", None)?;
            ensure!(reply.status == 200, "{}", reply.text());
            Ok(())
        })
    })?;
    let [api, _] = apis;
    Ok(api)
}

fn information(place: &Place, api: &Api) -> Result<()> {
    let info = api.get("/info")?;
    ensure!(info["DockerRootDir"] == place.text("data"), "{info}");
    ensure!(info["Labels"] == json!(["disk=ssd", "row=7"]), "{info}");
    let registries = &info["RegistryConfig"];
    let networks = json!(["::1/128", "127.0.0.0/8", "10.9.0.0/16"]);
    ensure!(registries["InsecureRegistryCIDRs"] == networks, "{info}");
    for name in ["data/engine-id", "exec/supervisor.sock"] {
        ensure!(place.path(name).exists(), "no {name}");
    }
    let pid: i32 = fs::read_to_string(place.path("pid"))?.trim().parse()?;
    // In the host's own numbers: the file is the host's.
    let name = place.host.exec(&["cat", &format!("/proc/{pid}/comm")])?;
    let name = String::from_utf8_lossy(&name.stdout).into_owned();
    ensure!(name.trim() == "starling", "process {pid} is {name}");
    Ok(())
}

/// An insecure registry that does not answer TLS is asked in plain HTTP.
fn plain_registry(api: &Api, registry: &TcpListener) -> Result<()> {
    let image = format!("{}/none", registry.local_addr()?);
    std::thread::scope(|scope| {
        let pull = scope.spawn(|| {
            let path = format!("/images/create?fromImage={image}&tag=1");
            api.within(LIMIT).send(Method::POST, &path, None)
        });
        let asked = plain_request(registry);
        let reply = pull.join().expect("the thread ends")?;
        ensure!(asked?, "only TLS was tried: {}", reply.text());
        Ok(())
    })
}

/// Hangs up on whoever comes until one asks in plain HTTP.
fn plain_request(registry: &TcpListener) -> Result<bool> {
    registry.set_nonblocking(true)?;
    let mut asked = false;
    let looked = eventually("a plain request", REGISTRY_LIMIT, || {
        let (mut stream, _) = registry.accept()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(REGISTRY_LIMIT))?;
        let mut start = [0; 7];
        stream.read_exact(&mut start)?;
        asked = &start == b"GET /v2";
        ensure!(asked, "it began with {start:?}");
        Ok(())
    });
    looked.map(|()| asked)
}

/// A swarm that listens on an interface by its name, with one container in the file's control group.
fn container_and_addresses(place: &Place, api: &Api) -> Result<()> {
    let (name, tag) = IMAGE.split_once(':').context("the test image has a tag")?;
    let import = format!("/images/create?fromSrc=-&repo={name}&tag={tag}");
    api.upload(&import, rootfs_tar()?)?;
    let refused = json!({"ListenAddr": "eth0:2377", "AdvertiseAddr": "eth9"});
    let reply = api.send_json(Method::POST, "/swarm/init", &refused)?;
    let text = "advertise address must be a non-zero IP address or network interface (with optional port number)";
    ensure!(
        reply.status == 400 && reply.message().ends_with(text),
        "{} {}",
        reply.status,
        reply.message()
    );
    api.post("/swarm/init", &json!({"ListenAddr": "eth0:2377"}))?;
    let address = &api.get("/info")?["Swarm"]["NodeAddr"];
    ensure!(
        *address == place.host.address().to_string(),
        "the address of eth0 is not {address}"
    );
    Service::named("one")
        .constraint("engine.labels.row==7")
        .create(api)?;
    eventually("its container runs", LIMIT, || {
        ensure!(running(api, "one")?.len() == 1);
        Ok::<_, anyhow::Error>(())
    })?;
    let groups = containers_below(&place.cgroup());
    ensure!(groups == 1, "{groups} control groups in {}", place.cgroup());
    api.post("/swarm/leave?force=1", &json!({})).map(drop)
}

/// Groups of containers below a parent, in the hierarchy of process numbers or the only one.
fn containers_below(parent: &str) -> usize {
    let parent = parent.trim_start_matches('/');
    let roots = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new);
    let below = roots
        .iter()
        .find_map(|root| fs::read_dir(root.join(parent)).ok());
    let groups = below.into_iter().flatten().flatten();
    groups.filter(|entry| entry.path().is_dir()).count()
}

/// It ends as it was asked to, and what it said was warnings at most.
fn ends(place: &Place, daemon: &mut Background) -> Result<()> {
    daemon.signal(Signal::SIGTERM)?;
    let status = daemon.ended(LIMIT)?;
    let said = daemon.output();
    ensure!(status.success(), "{status}: {said}");
    ensure!(!said.contains("INFO"), "log-level has no effect: {said}");
    for name in ["pid", "one.sock", "two.sock"] {
        ensure!(!place.path(name).exists(), "{name} is left");
    }
    Ok(())
}

/// Files and flags that cannot be: the daemon says why and does not start.
pub(crate) fn settings_that_cannot_be(host: &Host) -> Result<()> {
    let dir = host.dir().join("refused");
    fs::create_dir_all(&dir)?;
    let place = Place { host, dir };
    let file =
        place.write(r#"{"data-root": "/var/lib/one", "labels": ["a=b"], "log-level": "warn"}"#)?;
    let with = |file: &str, flags: &[&str]| {
        let limit = REFUSAL_LIMIT.as_secs().to_string();
        let binary = host.binary()?.display().to_string();
        let mut command = vec!["timeout", &limit, &binary, "daemon", "--config-file", file];
        command.extend(flags);
        refused(&host.exec(&command)?)
    };
    let said = with(&file, &["--data-root", "/var/lib/two", "--label", "c=d"])?;
    let expected = format!(
        "unable to configure the daemon with file {file}: the following directives are specified both as a flag and in \
         the configuration file: data-root: (from flag: /var/lib/two, from file: /var/lib/one), \
         labels: (from flag: [c=d], from file: [a=b])"
    );
    ensure!(said.contains(&expected), "{said}");
    for (text, words) in [
        (
            r#"{"storage-driver": "zfs"}"#,
            "the following directives don't match any configuration option: storage-driver",
        ),
        (r#"{"labels": ["#, "EOF while parsing"),
        (r#"{"labels": 7}"#, "invalid type: integer `7`"),
        (r#"{"hosts": ["tcp://0.0.0.0:2375"]}"#, "only unix sockets"),
        (
            r#"{"data-root": "here"}"#,
            "data-root must be an absolute path",
        ),
        (
            r#"{"log-level": "loud"}"#,
            "log-level 'loud' is none of debug",
        ),
    ] {
        let said = with(&place.write(text)?, &[])?;
        ensure!(said.contains(words), "no word of {words:?} in: {said}");
        ensure!(said.contains(&file), "{file} is not named: {said}");
    }
    let missing = place.text("missing.json");
    let said = with(&missing, &[])?;
    ensure!(
        said.contains(&missing) && said.contains("No such file or directory"),
        "{said}"
    );
    Ok(())
}

/// What a daemon said that did not start.
fn refused(output: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = output.status.code();
    ensure!(status == Some(1), "{}: {said}", output.status);
    Ok(said)
}
