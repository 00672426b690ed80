//! Images between a real registry (Debian's `docker-registry`, on one of the hosts) and the hosts of a cluster.
//! Needs root, docker-registry, skopeo and Docker's command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{
    Service, force_update, settled, summary, tasks, update, update_over,
};
use cluster_tests::hosts::{Api, Background, Cluster, Host, Story, eventually, rootfs_tar};
use hyper::Method;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(40);
/// The registry of these tests runs on `m1`.
const REGISTRY: &str = "10.211.0.11:5000";
/// Long enough that tries without a pause stand out.
const RESTART_DELAY: Duration = Duration::from_secs(1);

#[test]
fn images_come_from_a_registry() -> Result<()> {
    let story = Story::begin("images in a cluster");
    let cluster = story.step("1 manager with a registry, 2 workers, no image", || {
        Cluster::builder()
            .workers(2)
            .without_image()
            .ask_registries()
            .daemon_args(&["--insecure-registry", REGISTRY])
            .start()
    })?;
    let registry = story.step("a registry runs", || start_registry(cluster.host("m1")))?;
    type Step = fn(&Cluster, &Api) -> Result<()>;
    let steps: [(&str, Step); 5] = [
        ("by tag, pulled by each host", by_tag),
        ("by digest, pulled by each host", by_digest),
        ("Docker's command line pins the digest", pinned_by_docker),
        ("an image that is not there", an_absent_image),
        ("pull, save, load, and half a tar", pull_save_load),
    ];
    let api = cluster.host("m1").api();
    for (what, step) in steps {
        story.step(what, || step(&cluster, &api))?;
    }
    story.step("without the registry, a tag that is here is used", || {
        registry.stop()?;
        the_registry_is_gone(&cluster, &api)
    })?;
    cluster.take_down()
}

fn start_registry(host: &Host) -> Result<Background> {
    let config = host.dir().join("registry.json");
    let storage = host.dir().join("registry");
    let text = json!({
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": storage}},
        "http": {"addr": REGISTRY},
    });
    // JSON is YAML, which it reads.
    fs::write(&config, text.to_string())?;
    let command = ["docker-registry", "serve", &config.display().to_string()];
    let registry = host.run("registry", &command)?;
    let address = REGISTRY.parse()?;
    eventually("the registry listens", LIMIT, || {
        ensure!(registry.runs(), "it ended:\n{}", registry.output());
        let connect = || Ok(std::net::TcpStream::connect_timeout(&address, LIMIT)?);
        host.in_network(connect).map(drop)
    })?;
    Ok(registry)
}

/// An image whose `/etc/marker` holds this text, as a rootfs tar.
fn rootfs_marked(marker: &str) -> Result<Vec<u8>> {
    /// Two empty blocks end a tar.
    const END_BYTES: usize = 1024;
    let mut rootfs = rootfs_tar()?;
    rootfs.truncate(rootfs.len() - END_BYTES);
    let mut tar = tar::Builder::new(rootfs);
    let mut header = tar::Header::new_gnu();
    header.set_size(marker.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "etc/marker", marker.as_bytes())?;
    Ok(tar.into_inner()?)
}

/// Makes an image, saves it from a daemon, puts it into the registry and forgets it. Returns its digest there.
fn publish(cluster: &Cluster, name: &str, marker: &str) -> Result<String> {
    let host = cluster.host("m1");
    host.api().upload(
        "/images/create?fromSrc=-&repo=seed&tag=1",
        rootfs_marked(marker)?,
    )?;
    let archive = host.dir().join("seed.tar");
    let digest = host.dir().join("seed.digest");
    host.docker(&["image", "save", "-o", &shown(&archive), "seed:1"])?;
    let output = host.exec(&[
        "skopeo",
        "--insecure-policy",
        "copy",
        "--dest-tls-verify=false",
        "--digestfile",
        &shown(&digest),
        &format!("docker-archive:{}", archive.display()),
        &format!("docker://{REGISTRY}/{name}"),
    ])?;
    ensure!(
        output.status.success(),
        "skopeo: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    host.api().delete("/images/seed:1")?;
    Ok(fs::read_to_string(digest)?.trim().to_owned())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn says_its_marker(name: &str, image: &str) -> Service {
    Service::named(name)
        .replicas(3)
        .runs("echo $(cat /etc/marker); trap 'exit 0' TERM; sleep 1000000 & wait")
        .with("/TaskTemplate/ContainerSpec/Image", json!(image))
        .updates("stop-first", 0)
}

/// Each host has the image under this digest, and each task told this marker.
fn on_every_host(cluster: &Cluster, service: &str, digest: &str, marker: &str) -> Result<()> {
    let api = cluster.host("m1").api();
    let serving = settled(&api, service, 3, LIMIT)?;
    has_image_everywhere(cluster, digest)?;
    for task in &serving {
        let id = task["ID"].as_str().context("no ID")?;
        eventually("a task tells its marker", LIMIT, || {
            let path = format!("/tasks/{id}/logs?stdout=1&stderr=1");
            let log = api.send(Method::GET, &path, None)?.text();
            ensure!(log.contains(marker), "no {marker} in {log:?}");
            Ok(())
        })?;
    }
    Ok(())
}

fn has_image_everywhere(cluster: &Cluster, digest: &str) -> Result<()> {
    for host in cluster.hosts() {
        let images = host.api().get("/images/json")?;
        ensure!(
            images.to_string().contains(digest),
            "{} has no {digest}: {images}",
            host.name()
        );
    }
    Ok(())
}

fn by_tag(cluster: &Cluster, api: &Api) -> Result<()> {
    let first = publish(cluster, "app:1", "marker-one")?;
    for host in cluster.hosts() {
        ensure!(host.api().get("/images/json")? == json!([]));
    }
    says_its_marker("app", &format!("{REGISTRY}/app:1")).create(api)?;
    on_every_host(cluster, "app", &first, "marker-one")?;
    // The tag moves: who does not pin gets what is there now.
    let second = publish(cluster, "app:1", "marker-two")?;
    ensure!(first != second);
    // A daemon does not ask for a tag again within some seconds: it may take more than one update.
    eventually("the tag's new image runs", LIMIT, || {
        force_update(api, "app")?;
        ensure!(update_over(api, "app", LIMIT)? == "completed");
        has_image_everywhere(cluster, &second)
    })?;
    on_every_host(cluster, "app", &second, "marker-two")
}

fn by_digest(cluster: &Cluster, api: &Api) -> Result<()> {
    let digest = publish(cluster, "other:1", "marker-other")?;
    let image = format!("{REGISTRY}/other@{digest}");
    says_its_marker("other", &image).create(api)?;
    on_every_host(cluster, "other", &digest, "marker-other")?;
    // One that the registry does not have is not replaced by another of that name.
    let absent = format!("{REGISTRY}/other@sha256:{}", "0".repeat(64));
    update(api, "other", |spec| {
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(absent);
        spec["UpdateConfig"]["Parallelism"] = json!(1);
    })?;
    ensure!(update_over(api, "other", LIMIT)? == "paused");
    ensure!(
        summary(api, "other")?.contains("No such image"),
        "{}",
        summary(api, "other")?
    );
    api.delete("/services/other").map(drop)
}

fn pinned_by_docker(cluster: &Cluster, api: &Api) -> Result<()> {
    let image = format!("{REGISTRY}/pinned:1");
    let digest = publish(cluster, "pinned:1", "marker-pinned")?;
    let told = api.get(&format!("/distribution/{image}/json"))?;
    ensure!(told["Descriptor"]["digest"] == digest, "{told}");
    ensure!(
        told["Descriptor"]["size"]
            .as_u64()
            .is_some_and(|size| size > 0),
        "{told}"
    );
    ensure!(told["Platforms"][0]["os"] == "linux", "{told}");
    let host = cluster.host("m1");
    host.docker(&[
        "service",
        "create",
        "-d",
        "--name",
        "pinned",
        "--restart-delay",
        "100ms",
        &image,
        "sh",
        "-c",
        "trap 'exit 0' TERM; sleep 1000000 & wait",
    ])?;
    let format = "{{.Spec.TaskTemplate.ContainerSpec.Image}}";
    let pinned = host.docker(&["service", "inspect", "--format", format, "pinned"])?;
    ensure!(pinned == format!("{image}@{digest}"), "{pinned}");
    settled(api, "pinned", 1, LIMIT)?;
    let listed = host.docker(&["service", "ls", "--format", "{{.Image}}"])?;
    ensure!(listed.contains(&image) && !listed.contains('@'), "{listed}");
    // Who asks for what is not there is told at once, by whom and what.
    let absent = format!("/distribution/{REGISTRY}/absent:1/json");
    let reply = api.send(Method::GET, &absent, None)?;
    ensure!(
        reply.status >= 400 && reply.message().contains("absent"),
        "{}: {}",
        reply.status,
        reply.message()
    );
    api.delete("/services/pinned").map(drop)
}

fn an_absent_image(cluster: &Cluster, api: &Api) -> Result<()> {
    let image = format!("{REGISTRY}/absent:1");
    let delay = cluster_tests::hosts::service::nanoseconds(RESTART_DELAY);
    Service::named("absent")
        .with("/TaskTemplate/ContainerSpec/Image", json!(image))
        .with("/TaskTemplate/RestartPolicy/Delay", json!(delay))
        .create(api)?;
    let tried = eventually("it was tried four times", LIMIT, || {
        let mut tasks = tasks(api, "absent")?;
        tasks.retain(|task| task["Status"]["State"] == "rejected");
        ensure!(tasks.len() >= 4, "{}", summary(api, "absent")?);
        Ok::<_, anyhow::Error>(tasks)
    })?;
    let mut at: Vec<f64> = tried.iter().map(rejected_at).collect::<Result<_>>()?;
    at.sort_by(f64::total_cmp);
    // The second one is prepared while its delay runs; from then on each waits for the delay of the one before. What
    // a slow registry adds to the second is missing from the pause after it, hence the sum, and less than two delays.
    ensure!(
        at[3] - at[1] >= RESTART_DELAY.as_secs_f64() * 1.5,
        "tried again too soon, at {at:?}:\n{}",
        summary(api, "absent")?
    );
    let host = cluster.host("m1");
    for listed in [
        host.docker(&["service", "ps", "--no-trunc", "absent"])?,
        host.cli(&["service", "ps", "--no-trunc", "absent"])?,
    ] {
        ensure!(
            listed.contains("Rejected") && listed.contains(&format!("No such image: {image}")),
            "{listed}"
        );
    }
    // As soon as somebody pushes it, it runs.
    publish(cluster, "absent:1", "marker-late")?;
    settled(api, "absent", 1, LIMIT)?;
    api.delete("/services/absent").map(drop)
}

/// Seconds since midnight: midnight itself makes a pause of hours of it, which the test allows.
fn rejected_at(task: &Value) -> Result<f64> {
    let text = task["Status"]["Timestamp"].as_str().context("no time")?;
    let clock = text.split(['T', 'Z']).nth(1).context("no time of day")?;
    clock.split(':').try_fold(0.0, |sum, part| {
        Ok(sum * 60.0 + part.parse::<f64>().context("no number")?)
    })
}

fn pull_save_load(cluster: &Cluster, _: &Api) -> Result<()> {
    let (image, host) = (format!("{REGISTRY}/spare:1"), cluster.host("w1"));
    let digest = publish(cluster, "spare:1", "marker-spare")?;
    let said = host.docker(&["pull", &image])?;
    ensure!(
        said.contains(&format!("Digest: {digest}"))
            && said.contains(&format!("Status: Downloaded newer image for {image}")),
        "{said}"
    );
    let said = host.docker(&["pull", &image])?;
    ensure!(
        said.contains(&format!("Status: Image is up to date for {image}")),
        "{said}"
    );
    let absent = host.try_docker(&["pull", &format!("{REGISTRY}/spare:2")])?;
    let said = String::from_utf8_lossy(&absent.stderr).into_owned();
    ensure!(
        !absent.status.success() && said.contains("spare:2"),
        "{said}"
    );

    let id = |image: &str| host.docker(&["image", "inspect", "--format", "{{.Id}}", image]);
    let (before, archive) = (id(&image)?, host.dir().join("spare.tar"));
    host.docker(&["image", "save", "-o", &shown(&archive), &image])?;
    host.docker(&["image", "rm", &image])?;
    ensure!(id(&image).is_err(), "it is still there");
    let listed = host.api().get("/images/json")?;
    half_a_tar(host, &archive)?;
    ensure!(
        host.api().get("/images/json")? == listed,
        "half a tar changed something"
    );
    let said = host.docker(&["image", "load", "-i", &shown(&archive)])?;
    ensure!(said.contains(&format!("Loaded image: {image}")), "{said}");
    ensure!(id(&image)? == before, "the image changed on its way");
    Ok(())
}

fn half_a_tar(host: &Host, archive: &Path) -> Result<()> {
    let half: PathBuf = host.dir().join("half.tar");
    let whole = fs::read(archive)?;
    fs::write(&half, &whole[..whole.len() / 2])?;
    for refused in [
        host.try_docker(&["image", "load", "-i", &shown(&half)])?,
        host.try_cli(&["image", "load", "-i", &shown(&half)])?,
    ] {
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(
            !refused.status.success() && !said.is_empty(),
            "half a tar was loaded: {said}"
        );
    }
    Ok(())
}

fn the_registry_is_gone(cluster: &Cluster, api: &Api) -> Result<()> {
    force_update(api, "app")?;
    ensure!(
        update_over(api, "app", LIMIT)? == "completed",
        "{}",
        summary(api, "app")?
    );
    let digest = api.get(&format!("/images/{REGISTRY}/app:1/json"))?["RepoDigests"][0].clone();
    let digest = digest.as_str().and_then(|text| text.split('@').nth(1));
    on_every_host(cluster, "app", digest.context("no digest")?, "marker-two")?;
    // What is neither here nor there is still refused with a reason.
    let image = format!("{REGISTRY}/nowhere:1");
    Service::named("nowhere")
        .with("/TaskTemplate/ContainerSpec/Image", json!(image))
        .create(api)?;
    eventually("the task is rejected", LIMIT, || {
        let said = summary(api, "nowhere")?;
        ensure!(said.contains("rejected") && said.contains(&image), "{said}");
        Ok(())
    })
}
