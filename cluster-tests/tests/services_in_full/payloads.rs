//! Secrets and configs.

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::Service;
use cluster_tests::hosts::{Api, Cluster, Host, IMAGE};
use serde_json::json;

use super::{refused, says};

pub(super) fn secrets_and_configs(cluster: &Cluster, host: &Host, api: &Api) -> Result<()> {
    let secret = "a secret that must not lie on any disk";
    std::fs::write(cluster.dir().join("secret"), secret)?;
    std::fs::write(
        cluster.dir().join("config"),
        "node={{.Node.Hostname}} service={{.Service.Name}}\n",
    )?;
    let path = |name: &str| cluster.dir().join(name).display().to_string();
    host.docker(&["secret", "create", "-l", "kind=test", "s1", &path("secret")])?;
    host.docker(&[
        "config",
        "create",
        "--template-driver",
        "golang",
        "c1",
        &path("config"),
    ])?;
    let listed = host.docker(&["secret", "ls", "--filter", "label=kind=test"])?;
    ensure!(listed.contains("s1"), "{listed}");
    let inspected = host.docker(&["secret", "inspect", "s1"])?;
    ensure!(!inspected.contains("Data"), "{inspected}");
    let pretty = host.docker(&["config", "inspect", "--pretty", "c1"])?;
    ensure!(pretty.contains("node={{.Node.Hostname}}"), "{pretty}");
    refused(
        host,
        &["secret", "create", "s1", &path("secret")],
        "AlreadyExists",
    )?;
    let show = "cat /run/secrets/s1; echo; ls -ln /run/secrets/ /etc/app.conf; cat /etc/app.conf; \
                grep -q ' /run/secrets/s1 tmpfs ' /proc/mounts && echo \"in memory\"; \
                trap 'exit 0' TERM; sleep 1000000 & wait";
    host.docker(&[
        "service",
        "create",
        "--name",
        "sec",
        "--no-resolve-image",
        "--constraint",
        "node.hostname==w1",
        "--secret",
        "source=s1,target=s1,uid=11,gid=12,mode=0400",
        "--config",
        "source=c1,target=/etc/app.conf",
        "--update-monitor",
        "200ms",
        IMAGE,
        "sh",
        "-c",
        show,
    ])?;
    let said = says(host, "sec", &[secret, "node=w1 service=sec"])?;
    ensure!(
        said.contains("-r--------") && said.contains(" 11       12 ") && said.contains("in memory"),
        "{said}"
    );
    host.cli(&[
        "service",
        "create",
        "--name",
        "env",
        "--no-resolve-image",
        "--constraint",
        "node.hostname==w2",
        "--secret-env",
        "s1=PASSWORD",
        IMAGE,
        "sh",
        "-c",
        "echo \"it is $PASSWORD\"; trap 'exit 0' TERM; sleep 1000000 & wait",
    ])?;
    says(host, "env", &[&format!("it is {secret}")])?;
    for (what, name) in [("service", "env"), ("secret", "s1")] {
        let inspected = host.docker(&[what, "inspect", name])?;
        ensure!(!inspected.contains(secret), "{inspected}");
    }
    // Nobody has it in a file, the manager's log included.
    for directory in ["m1", "w1", "w2"] {
        let files = files_without(cluster.host(directory).dir(), secret)?;
        ensure!(
            files > 10,
            "only {files} files of {directory} were searched"
        );
    }
    refused(
        host,
        &["secret", "rm", "s1"],
        "is in use by the following service",
    )?;
    refused(
        host,
        &["config", "rm", "c1"],
        "is in use by the following service",
    )?;
    let wrong = Service::named("wrong").with(
        "/TaskTemplate/ContainerSpec/Secrets",
        json!([{"SecretID": "nothere", "SecretName": "nothere", "File": {"Name": "x", "UID": "0", "GID": "0", "Mode": 292}}]),
    );
    let reply = api.send_json(hyper::Method::POST, "/services/create", wrong.spec())?;
    ensure!(
        reply.status == 400 && reply.message().contains("secret not found"),
        "{} {}",
        reply.status,
        reply.message()
    );
    host.docker(&["service", "rm", "sec", "env"])?;
    host.docker(&["secret", "rm", "s1"])?;
    host.docker(&["config", "rm", "c1"])?;
    Ok(())
}

/// Searches all files below `dir` and returns how many there were; an error names the one that holds the text. Logs
/// of containers are left out: they hold what the container said itself.
fn files_without(dir: &std::path::Path, text: &str) -> Result<usize> {
    let mut searched = 0;
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            // What goes away meanwhile holds nothing any more.
            if path.exists() {
                searched += files_without(&path, text)?;
            }
        } else if kind.is_file() && !path.to_string_lossy().ends_with("-json.log") {
            let Ok(bytes) = std::fs::read(&path) else {
                continue;
            };
            let mut parts = bytes.windows(text.len());
            ensure!(
                !parts.any(|part| part == text.as_bytes()),
                "the secret lies in {}",
                path.display()
            );
            searched += 1;
        }
    }
    Ok(searched)
}
