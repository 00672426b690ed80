//! Images of a registry that asks for a password (Debian's `docker-registry`, on one of the hosts): credentials travel
//! with the service, and are found nowhere else. Needs root, docker-registry, skopeo and Docker's command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, ids, settled, summary};
use cluster_tests::hosts::{Api, Background, Cluster, Host, Story, eventually, rootfs_tar};
use hyper::Method;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
/// The registry runs on `m1`.
const REGISTRY: &str = "10.211.0.11:5000";
const IMAGE: &str = "10.211.0.11:5000/closed:1";
const USER: &str = "puller";
const PASSWORD: &str = "pulls-only-with-this-7431";
/// bcrypt of the password, the only kind that docker-registry takes: `htpasswd -B`.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuKsX0Lt/1qeJcDSmL5k78CZ09Frbfl5C";
/// Base64 of `puller:pulls-only-with-this-7431`, as in Docker's configuration file and in a request's header.
const BASIC: &str = "cHVsbGVyOnB1bGxzLW9ubHktd2l0aC10aGlzLTc0MzE=";

type Step = fn(&Closed<'_>) -> Result<()>;

/// What the steps share.
struct Closed<'a> {
    cluster: &'a Cluster,
    host: &'a Host,
    api: Api,
    /// Docker's client configuration, where it keeps what was logged in with. It lies outside of the hosts.
    login: PathBuf,
}

#[test]
fn credentials_come_with_the_service() -> Result<()> {
    let story = Story::begin("registry credentials");
    let cluster = story.step("1 manager with a registry, 2 workers, no image", || {
        Cluster::builder()
            .workers(2)
            .without_image()
            .ask_registries()
            .daemon_args(&["--insecure-registry", REGISTRY])
            .start()
    })?;
    let host = cluster.host("m1");
    let _registry = story.step("a registry that asks who it is", || start_registry(host))?;
    let directory = tempfile::tempdir()?;
    let shared = Closed {
        cluster: &cluster,
        host,
        api: host.api(),
        login: directory.path().to_owned(),
    };
    let steps: [(&str, Step); 5] = [
        ("an image is pushed", prepare),
        (
            "without the flag the task is rejected and says why",
            rejected,
        ),
        ("with the flag a worker pulls", pulled),
        ("they are kept over an update and a new start", kept),
        ("no answer and no disk has them", nowhere),
    ];
    for (what, step) in steps {
        story.step(what, || step(&shared))?;
    }
    cluster.take_down()
}

fn start_registry(host: &Host) -> Result<Background> {
    let config = host.dir().join("registry.json");
    let users = host.dir().join("registry.users");
    fs::write(&users, format!("{USER}:{HASH}\n"))?;
    let text = json!({
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": true}},
        "storage": {"filesystem": {"rootdirectory": host.dir().join("registry")}},
        "auth": {"htpasswd": {"realm": "closed", "path": users}},
        "http": {"addr": REGISTRY},
    });
    // JSON is YAML, which it reads.
    fs::write(&config, text.to_string())?;
    let command = ["docker-registry", "serve", &shown(&config)];
    let registry = host.run("registry", &command)?;
    let address = REGISTRY.parse()?;
    eventually("the registry listens", LIMIT, || {
        ensure!(registry.runs(), "it ended:\n{}", registry.output());
        let connect = || Ok(std::net::TcpStream::connect_timeout(&address, LIMIT)?);
        host.in_network(connect).map(drop)
    })?;
    Ok(registry)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

impl Closed<'_> {
    /// Docker's client, which knows the password, or one that does not.
    fn docker(&self, logged_in: bool, line: &str, more: &[&str]) -> Result<String> {
        let config = self.login.join(if logged_in { "in" } else { "out" });
        let line = format!("--config {} {line}", config.display());
        self.host.docker_words(&line, more)
    }

    fn image_on(&self, name: &str) -> Result<bool> {
        let images = self.cluster.host(name).api().get("/images/json")?;
        Ok(images.to_string().contains("closed"))
    }
}

fn prepare(story: &Closed<'_>) -> Result<()> {
    let host = story.host;
    host.api()
        .upload("/images/create?fromSrc=-&repo=seed&tag=1", rootfs_tar()?)?;
    let archive = host.dir().join("seed.tar");
    host.docker(&["image", "save", "-o", &shown(&archive), "seed:1"])?;
    let output = host.exec(&[
        "skopeo",
        "--insecure-policy",
        "copy",
        "--dest-tls-verify=false",
        "--dest-creds",
        &format!("{USER}:{PASSWORD}"),
        &format!("docker-archive:{}", archive.display()),
        &format!("docker://{IMAGE}"),
    ])?;
    ensure!(
        output.status.success(),
        "skopeo: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    host.api().delete("/images/seed:1")?;
    fs::remove_file(&archive)?;
    // As `docker login` leaves it.
    let config = story.login.join("in");
    fs::create_dir(&config)?;
    let known = json!({"auths": {REGISTRY: {"auth": BASIC}}});
    fs::write(config.join("config.json"), known.to_string())?;
    Ok(())
}

fn rejected(story: &Closed<'_>) -> Result<()> {
    let create =
        "service create -d --name closed --restart-delay 200ms --constraint node.hostname==w1";
    story.docker(false, create, &[IMAGE, "sh", "-c", RUN_UNTIL_STOPPED])?;
    eventually("the task is rejected, and it says why", LIMIT, || {
        let listed = story.docker(false, "service ps --no-trunc closed", &[])?;
        ensure!(
            listed.contains("Rejected") && listed.contains(IMAGE),
            "{listed}"
        );
        ensure!(
            listed.contains("authentication required")
                || listed.contains("unauthorized")
                || listed.contains("no basic auth credentials"),
            "{listed}"
        );
        Ok(())
    })?;
    ensure!(!story.image_on("w1")?);
    // A client that is logged in, and does not give it along, changes nothing.
    story.docker(
        true,
        "service update -d --label-add a=b --no-resolve-image closed",
        &[],
    )?;
    story.docker(false, "service rm closed", &[]).map(drop)
}

fn pulled(story: &Closed<'_>) -> Result<()> {
    let create = "service create -q --with-registry-auth --name closed --restart-delay 200ms --update-monitor 200ms --constraint node.hostname==w1";
    story.docker(true, create, &[IMAGE, "sh", "-c", RUN_UNTIL_STOPPED])?;
    settled(&story.api, "closed", 1, LIMIT)?;
    ensure!(story.image_on("w1")? && !story.image_on("w2")?);
    // The client asked the daemon for the digest, with the same credentials.
    let format = "{{.Spec.TaskTemplate.ContainerSpec.Image}}";
    let pinned = story.docker(false, "service inspect --format", &[format, "closed"])?;
    ensure!(pinned.starts_with(&format!("{IMAGE}@sha256:")), "{pinned}");
    Ok(())
}

fn kept(story: &Closed<'_>) -> Result<()> {
    // The managers know them also after a new start: they come with the sealed log.
    story.host.kill_daemon()?;
    story.host.start()?;
    story.cluster.wait_all_ready()?;
    let before = ids(&settled(&story.api, "closed", 1, LIMIT)?);
    // A client that knows no password moves the service: what is kept goes along, as in Docker.
    let update = "service update -q --no-resolve-image --constraint-rm node.hostname==w1 --constraint-add node.hostname==w2 closed";
    story.docker(false, update, &[])?;
    let after = settled(&story.api, "closed", 1, LIMIT)?;
    ensure!(
        before.is_disjoint(&ids(&after)),
        "{}",
        summary(&story.api, "closed")?
    );
    ensure!(story.image_on("w2")?);
    Ok(())
}

fn nowhere(story: &Closed<'_>) -> Result<()> {
    let tasks = settled(&story.api, "closed", 1, LIMIT)?;
    let task = tasks[0]["ID"].as_str().context("no ID")?;
    let container = tasks[0]["Status"]["ContainerStatus"]["ContainerID"]
        .as_str()
        .context("no container")?;
    for (host, path) in [
        ("m1", "/services".to_owned()),
        ("m1", "/services/closed?insertDefaults=true".to_owned()),
        ("m1", "/services/closed/history".to_owned()),
        ("m1", "/tasks".to_owned()),
        ("m1", format!("/tasks/{task}")),
        ("m1", "/swarm".to_owned()),
        ("w2", format!("/containers/{container}/json")),
        ("w2", "/info".to_owned()),
        ("w2", "/images/json?digests=1".to_owned()),
    ] {
        let reply = story
            .cluster
            .host(host)
            .api()
            .send(Method::GET, &path, None)?;
        ensure!(reply.status == 200, "{path}: {}", reply.text());
        free_of_it(&path, &reply.body)?;
    }
    let inspected: Value =
        serde_json::from_str(&story.docker(false, "service inspect closed", &[])?)?;
    ensure!(
        inspected[0]["PreviousSpec"].is_object(),
        "the previous spec is among them"
    );
    let mut files = 0;
    for host in story.cluster.hosts() {
        files += search(host.dir())?;
    }
    ensure!(files > 20, "only {files} files were looked at");
    Ok(())
}

fn free_of_it(what: &str, bytes: &[u8]) -> Result<()> {
    for text in [PASSWORD, BASIC, BASIC.trim_end_matches('=')] {
        let found = bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes());
        ensure!(!found, "{what} holds the credentials");
    }
    Ok(())
}

/// Looks into each file below `dir`, and returns how many there were.
fn search(dir: &Path) -> Result<usize> {
    let mut files = 0;
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            files += search(&path)?;
        } else if kind.is_file()
            && let Ok(bytes) = fs::read(&path)
        {
            // What goes away meanwhile holds nothing any more.
            free_of_it(&shown(&path), &bytes)?;
            files += 1;
        }
    }
    Ok(files)
}
