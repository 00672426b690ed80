//! Bad input to the real daemon: a clear error, and nothing changed. Needs root.

#[path = "bad_input/settings.rs"]
mod settings;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::Service;
use cluster_tests::hosts::{Api, Cluster, Host, Reply, Story};
use hyper::Method;
use serde_json::{Value, json};

/// JSON bodies are read up to this size.
const JSON_LIMIT_BYTES: usize = 4 << 20;

#[test]
fn bad_input_is_refused_and_changes_nothing() -> Result<()> {
    let story = Story::begin("bad input");
    let cluster = story.step("two hosts, not in a cluster", || {
        Cluster::builder().managers(2).without_swarm().start()
    })?;
    let (manager, other) = (cluster.host("m1"), cluster.host("m2"));
    story.step("outside of a swarm", || outside_of_a_swarm(other))?;
    story.step("a port in use", || a_port_in_use(other))?;
    story.step("settings that cannot be", || {
        settings::settings_that_cannot_be(other)
    })?;
    story.step("a daemon that is set by its file", || {
        settings::a_daemon_is_set_by_its_file(other)
    })?;
    let init = json!({"ListenAddr": manager.cluster_address(), "AdvertiseAddr": manager.address().to_string()});
    manager.api().post("/swarm/init", &init)?;
    Service::named("taken").replicas(0).create(&manager.api())?;
    let before = state(&manager.api())?;
    story.step("requests that make no sense", || {
        senseless_requests(&manager.api())
    })?;
    story.step("requests that are no HTTP", || no_http(manager))?;
    story.step("specifications that cannot be", || {
        impossible_specs(&manager.api())
    })?;
    story.step("what is not built yet", || not_built_yet(&manager.api()))?;
    story.step("versions", || versions(&manager.api()))?;
    story.step("images that are no images", || bad_images(manager))?;
    ensure!(
        state(&manager.api())? == before,
        "something changed: {} was {before}",
        state(&manager.api())?
    );
    story.step("tokens", || tokens(manager, other))?;
    story.step("a second init", || {
        let reply = manager
            .api()
            .send_json(Method::POST, "/swarm/init", &init)?;
        refused(&reply, 503, "already part of a swarm")
    })?;
    story.step("a second daemon on one data directory", || {
        a_second_daemon(manager)
    })?;
    cluster.take_down()
}

/// What must not change.
fn state(api: &Api) -> Result<Value> {
    let (services, images, tasks) = (
        api.get("/services")?,
        api.get("/images/json")?,
        api.get("/tasks")?,
    );
    Ok(json!([services, images, tasks]))
}

fn refused(reply: &Reply, status: u16, words: &str) -> Result<()> {
    let message = reply.message();
    ensure!(
        reply.status == status,
        "status {} instead of {status}: {message}",
        reply.status
    );
    ensure!(
        reply.json()?.get("message").is_some(),
        "not Docker's error body: {}",
        reply.text()
    );
    ensure!(
        message.to_lowercase().contains(&words.to_lowercase()),
        "no word of {words:?} in: {message}"
    );
    Ok(())
}

fn outside_of_a_swarm(host: &Host) -> Result<()> {
    let reply = host.api().send(Method::GET, "/services", None)?;
    refused(
        &reply,
        503,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\"",
    )?;
    let reply = host
        .api()
        .send_json(Method::POST, "/swarm/leave", &json!({}))?;
    refused(&reply, 503, "This node is not part of a swarm")?;
    for address in ["nonsense", "10.211.0.12:notaport", "10.211.0.12:99999"] {
        let init = json!({"ListenAddr": address, "AdvertiseAddr": host.address().to_string()});
        let reply = host.api().send_json(Method::POST, "/swarm/init", &init)?;
        ensure!(
            (400..500).contains(&reply.status),
            "{address}: {} {}",
            reply.status,
            reply.message()
        );
    }
    inactive(host)
}

fn inactive(host: &Host) -> Result<()> {
    let swarm = host.api().get("/info")?["Swarm"].clone();
    ensure!(swarm["LocalNodeState"] == "inactive", "{swarm}");
    Ok(())
}

fn a_port_in_use(host: &Host) -> Result<()> {
    let address = host.cluster_address();
    let _taken = host.in_network(|| Ok(TcpListener::bind(&address)?))?;
    let init = json!({"ListenAddr": address, "AdvertiseAddr": host.address().to_string()});
    let reply = host.api().send_json(Method::POST, "/swarm/init", &init)?;
    ensure!(reply.status >= 400, "a port was used twice");
    ensure!(
        reply.message().contains("in use") && reply.message().contains("2377"),
        "{}",
        reply.message()
    );
    inactive(host)
}

/// What never reaches a handler is answered like everything else.
fn no_http(host: &Host) -> Result<()> {
    for (line, status, words) in [
        (
            "GET /services/a b HTTP/1.1",
            "400",
            "malformed HTTP request",
        ),
        ("nonsense", "400", "malformed HTTP request"),
        (
            &format!("GET /{} HTTP/1.1", "x".repeat(70_000)),
            "414",
            "too long",
        ),
    ] {
        let (head, body) = said_to(host, line)?;
        ensure!(
            head.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {body}"
        );
        let message = body["message"].as_str().unwrap_or_default();
        ensure!(message.contains(words), "{head}: {body}");
    }
    // As `curl` sends filters that are written by hand; Docker's daemon takes them, too.
    let (head, body) = said_to(host, r#"GET /services?filters={"name":["web"]} HTTP/1.1"#)?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}: {body}");
    ensure!(body == json!([]), "{body}");
    let (head, body) = said_to(host, r#"GET /services?filters={"colour":["red"]} HTTP/1.1"#)?;
    ensure!(head.starts_with("HTTP/1.1 400 "), "{head}: {body}");
    Ok(())
}

/// The head and the body of the answer to a request line, sent as it stands.
fn said_to(host: &Host, line: &str) -> Result<(String, Value)> {
    let mut stream = UnixStream::connect(host.dir().join("starling.sock"))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // The daemon hangs up on what it will not read to its end.
    let request = format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
    let body = serde_json::from_str(body).with_context(|| answer.clone())?;
    Ok((head.to_owned(), body))
}

fn senseless_requests(api: &Api) -> Result<()> {
    let get = |path: &str| api.send(Method::GET, path, None);
    let create = |body: &str| {
        api.send(
            Method::POST,
            "/services/create",
            Some(("application/json", body.to_owned().into())),
        )
    };
    refused(&get("/services/absent")?, 404, "service absent not found")?;
    refused(&get("/tasks/absent")?, 404, "task absent not found")?;
    refused(&get("/nodes/absent")?, 404, "node absent not found")?;
    refused(
        &get("/images/absent:1/json")?,
        404,
        "No such image: absent:1",
    )?;
    refused(
        &get("/containers/absent/json")?,
        404,
        "No such container: absent",
    )?;
    ensure!(get("/no/such/path")?.status == 404);
    refused(
        &get("/services?filters=%7B%22nonsense%22%3A%7B%22a%22%3Atrue%7D%7D")?,
        400,
        "nonsense",
    )?;
    ensure!(get("/services?filters=%7B%22name%22")?.status == 400);
    ensure!(create("{\"Name\": ")?.status == 400);
    ensure!(create("{\"Name\": 7}")?.status == 400);
    ensure!(create("{\"Name\": \"x\"} trailing")?.status == 400);
    ensure!(
        create("{\"Name\": \"x\", \"Mode\": {\"Replicated\": {\"Replicas\": \"six\"}}}")?.status
            == 400
    );
    ensure!(
        create("{\"Name\": \"x\", \"Mode\": {\"Replicated\": {\"Replicas\": -1}}}")?.status == 400
    );
    let oversized = format!("{{\"Name\": \"{}\"}}", "x".repeat(JSON_LIMIT_BYTES));
    let reply = create(&oversized)?;
    ensure!(
        matches!(reply.status, 400 | 413),
        "{}: {}",
        reply.status,
        reply.message()
    );
    let wrong_type = api.send(
        Method::POST,
        "/services/create",
        Some(("text/plain", "{}".into())),
    )?;
    ensure!(
        (400..500).contains(&wrong_type.status),
        "{}",
        wrong_type.status
    );
    // The daemon lives, and still answers.
    api.get("/info").map(|_| ())
}

fn impossible_specs(api: &Api) -> Result<()> {
    let valid = || Service::named("bad").replicas(0);
    let container = "/TaskTemplate/ContainerSpec";
    let twice = json!([{"Type": "tmpfs", "Target": "/a"}, {"Type": "tmpfs", "Target": "/a"}]);
    let cases = [
        (
            valid().with("/Name", json!("-bad")),
            400,
            "name must be valid as a DNS name component",
        ),
        (valid().with("/Name", json!("x".repeat(64))), 400, "name"),
        (valid().with("/Name", json!("TAKEN")), 409, "already exists"),
        (
            valid().with(&format!("{container}/Image"), json!("Not A Reference")),
            400,
            "reference",
        ),
        (
            valid().with(&format!("{container}/Image"), json!("")),
            400,
            "image",
        ),
        (
            valid().with(&format!("{container}/Mounts"), twice),
            400,
            "duplicate mount point: /a",
        ),
        (
            valid().with(
                "/TaskTemplate/Resources",
                json!({"Limits": {"MemoryBytes": 1}}),
            ),
            400,
            "at least 4MiB",
        ),
        (
            valid().with(
                "/TaskTemplate/Resources",
                json!({"Reservations": {"NanoCPUs": 1}}),
            ),
            400,
            "at least 0.001",
        ),
        (
            valid().with("/TaskTemplate/RestartPolicy/Delay", json!(-1)),
            400,
            "delay",
        ),
        (
            valid().with("/UpdateConfig", json!({"Delay": -1})),
            400,
            "delay",
        ),
        (
            valid().with("/UpdateConfig", json!({"MaxFailureRatio": 2.0})),
            400,
            "failure",
        ),
        (valid().constraint("node.hostname=m1"), 400, "constraint"),
        (
            valid().with("/Mode", json!({"Replicated": {}, "Global": {}})),
            400,
            "mode",
        ),
    ];
    for (service, status, words) in cases {
        let reply = api.send_json(Method::POST, "/services/create", service.spec())?;
        refused(&reply, status, words).with_context(|| service.spec().to_string())?;
    }
    Ok(())
}

fn not_built_yet(api: &Api) -> Result<()> {
    let valid = || Service::named("later").replicas(0);
    let container = "/TaskTemplate/ContainerSpec";
    let cases = [
        (
            valid().with(
                "/EndpointSpec",
                json!({"Ports": [{"TargetPort": 80, "PublishedPort": 80}]}),
            ),
            "port",
        ),
        (
            valid().with("/TaskTemplate/LogDriver", json!({"Name": "syslog"})),
            "syslog",
        ),
        (
            valid().with(
                &format!("{container}/Privileges"),
                json!({"CredentialSpec": {"File": "x"}}),
            ),
            "credential",
        ),
    ];
    for (service, words) in cases {
        let reply = api.send_json(Method::POST, "/services/create", service.spec())?;
        refused(&reply, 501, words).with_context(|| service.spec().to_string())?;
    }
    let network = json!({"Name": "overlay1", "Driver": "overlay"});
    let reply = api.send_json(Method::POST, "/networks/create", &network)?;
    refused(&reply, 501, "network")?;
    let absent = valid().with("/TaskTemplate/Networks", json!([{"Target": "overlay1"}]));
    let reply = api.send_json(Method::POST, "/services/create", absent.spec())?;
    refused(&reply, 404, "network overlay1 not found")?;
    let driven = json!({"Name": "s", "Driver": {"Name": "vault"}});
    let reply = api.send_json(Method::POST, "/secrets/create", &driven)?;
    refused(&reply, 501, "driver")?;
    ensure!(
        api.send_json(Method::POST, "/containers/create", &json!({"Image": "x"}))?
            .status
            == 501
    );
    Ok(())
}

fn versions(api: &Api) -> Result<()> {
    let get = |path: &str| api.send(Method::GET, path, None);
    refused(
        &get("/v1.99/version")?,
        400,
        "client version 1.99 is too new. Maximum supported API version is 1.50",
    )?;
    refused(
        &get("/v1.10/version")?,
        400,
        "client version 1.10 is too old. Minimum supported API version is 1.24",
    )?;
    ensure!(get("/v1.24/version")?.status == 200 && get("/v1.50/version")?.status == 200);
    let taken = api.get("/services/taken")?;
    let id = taken["ID"].as_str().context("no ID")?;
    let update = |query: &str| {
        api.send_json(
            Method::POST,
            &format!("/services/{id}/update{query}"),
            &taken["Spec"],
        )
    };
    refused(&update("")?, 400, "invalid service version")?;
    refused(&update("?version=now")?, 400, "invalid service version")?;
    // Docker's status and text, which clients look for.
    refused(&update("?version=1")?, 500, "update out of sequence")
}

fn bad_images(host: &Host) -> Result<()> {
    let whole = cluster_tests::hosts::rootfs_tar()?;
    let load = |tar: Vec<u8>| host.api().upload("/images/load", tar);
    let import = |tar: Vec<u8>| {
        host.api()
            .upload("/images/create?fromSrc=-&repo=bad&tag=1", tar)
    };
    ensure!(
        load(b"this is no tar at all".repeat(100)).is_err(),
        "nonsense was loaded"
    );
    ensure!(
        load(whole.clone()).is_err(),
        "a tar without a manifest was loaded as an image"
    );
    ensure!(
        import(whole[..whole.len() / 2].to_vec()).is_err(),
        "half a tar was imported"
    );
    let outside = "../../../../../../../../tmp/starling-escaped";
    ensure!(
        import(tar_with(outside)?).is_err(),
        "a tar that leaves its root was imported"
    );
    ensure!(
        !std::path::Path::new("/tmp/starling-escaped").exists(),
        "a tar wrote outside of its root"
    );
    Ok(())
}

/// A tar with one file at a path that well-behaved writers refuse, hence written by hand.
fn tar_with(path: &str) -> Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_size(0);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, std::io::empty())?;
    Ok(builder.into_inner()?)
}

fn tokens(manager: &Host, other: &Host) -> Result<()> {
    let swarm = manager.api().get("/swarm")?;
    let worker = swarm["JoinTokens"]["Worker"].as_str().context("no token")?;
    let parts: Vec<&str> = worker.split('-').collect();
    ensure!(
        parts.len() == 4 && parts[0] == "SWMTKN" && parts[1] == "1",
        "the token has another form"
    );
    let changed = |part: &str| {
        part.chars()
            .map(|c| if c == '0' { '1' } else { '0' })
            .collect::<String>()
    };
    let foreign_ca = format!("SWMTKN-1-{}-{}", changed(parts[2]), parts[3]);
    let wrong_secret = format!("SWMTKN-1-{}-{}", parts[2], changed(parts[3]));
    for (what, token) in [
        ("garbage", "garbage"),
        ("a foreign CA", &foreign_ca),
        ("a wrong secret", &wrong_secret),
    ] {
        let reply = join(other, manager, token)?;
        ensure!(reply.status >= 400, "{what} was let in");
        ensure!(
            !reply.message().contains(parts[3]),
            "the error tells a secret"
        );
        inactive(other).with_context(|| what.to_owned())?;
    }
    let version = &swarm["Version"]["Index"];
    let rotate = format!("/swarm/update?version={version}&rotateWorkerToken=true");
    manager.api().post(&rotate, &swarm["Spec"])?;
    ensure!(
        join(other, manager, worker)?.status >= 400,
        "a rotated token was let in"
    );
    inactive(other)?;
    let fresh = manager.api().get("/swarm")?["JoinTokens"]["Worker"]
        .as_str()
        .context("no token")?
        .to_owned();
    let reply = join(other, manager, &fresh)?;
    ensure!(
        reply.status == 200,
        "the fresh token was refused: {}",
        reply.message()
    );
    Ok(())
}

fn join(host: &Host, manager: &Host, token: &str) -> Result<Reply> {
    let request = json!({
        "ListenAddr": host.cluster_address(),
        "AdvertiseAddr": host.address().to_string(),
        "RemoteAddrs": [manager.cluster_address()],
        "JoinToken": token,
    });
    host.api().send_json(Method::POST, "/swarm/join", &request)
}

fn a_second_daemon(host: &Host) -> Result<()> {
    /// A daemon that is refused ends at once.
    const REFUSAL_LIMIT: Duration = Duration::from_secs(10);
    let (binary, data) = (
        host.binary()?.display().to_string(),
        host.dir().join("data").display().to_string(),
    );
    let limit = REFUSAL_LIMIT.as_secs().to_string();
    let output = host.exec(&[
        "timeout",
        &limit,
        &binary,
        "daemon",
        "--data-root",
        &data,
        "--exec-root",
        "/run/second",
        "--pidfile",
        "/run/second.pid",
        "-H",
        "unix:///run/second.sock",
    ])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    ensure!(
        output
            .status
            .code()
            .is_some_and(|code| code != 0 && code != 124),
        "{}: {said}",
        output.status
    );
    ensure!(
        said.contains(&data),
        "the data directory is not named: {said}"
    );
    host.api().get("/services/taken").map(|_| ())
}
