//! `info`.

use super::version::template;
use crate::error::Result;
use crate::session::Session;
use crate::template::Missing;
use crate::units::{binary_size, human_duration};
use api_types::swarm::ClusterInfo;
use api_types::system::Info;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Display;
use std::time::Duration;

/// Flags of `info`.
#[derive(Debug, Clone, Default, Args)]
pub struct InfoArgs {
    /// Format the output: 'json', or a Go TEMPLATE such as '{{.Swarm.LocalNodeState}}'
    #[arg(short = 'f', long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// Shows what this host is and has.
pub async fn info(session: &mut Session, args: &InfoArgs) -> Result<()> {
    if let Some(format) = args.format.as_deref().filter(|format| !format.is_empty()) {
        let mut info: Value = session.client.get("/info", &[]).await?;
        if let Value::Object(fields) = &mut info {
            fields.insert("ClientInfo".to_owned(), json!({"Debug": false, "Version": env!("CARGO_PKG_VERSION"), "Context": "default", "Plugins": [], "Warnings": null}));
        }
        return session
            .console
            .line(template(format)?.render(&info, Missing::Empty)?);
    }
    let info: Info = session.client.get("/info", &[]).await?;
    session.console.write(pretty(&info).as_bytes())?;
    for warning in info.warnings.iter().flatten() {
        session.console.complain(warning);
    }
    Ok(())
}

/// Lines that grow.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, depth: usize, name: &str, value: impl Display) {
        self.0
            .push_str(format!("{}{name}: {value}", " ".repeat(depth)).trim_end());
        self.0.push('\n');
    }

    fn unless_empty(&mut self, depth: usize, name: &str, value: &str) {
        if !value.is_empty() {
            self.line(depth, name, value);
        }
    }

    fn list(&mut self, depth: usize, name: &str, values: &[String]) {
        if !values.is_empty() {
            self.line(depth, name, "");
            for value in values {
                self.0
                    .push_str(&format!("{}{value}\n", " ".repeat(depth + 1)));
            }
        }
    }
}

fn pretty(info: &Info) -> String {
    let mut page = Page::default();
    page.line(0, "Client", "Starling");
    page.line(1, "Version", format!("  {}", env!("CARGO_PKG_VERSION")));
    page.0.push('\n');
    page.line(0, "Server", "");
    counts(&mut page, info);
    page.line(1, "Swarm", &info.swarm.local_node_state);
    swarm(&mut page, info);
    host(&mut page, info);
    page.0
}

fn counts(page: &mut Page, info: &Info) {
    page.line(1, "Containers", info.containers);
    page.line(2, "Running", info.containers_running);
    page.line(2, "Paused", info.containers_paused);
    page.line(2, "Stopped", info.containers_stopped);
    page.line(1, "Images", info.images);
    page.unless_empty(1, "Server Version", &info.server_version);
    page.unless_empty(1, "Storage Driver", &info.driver);
    for [name, value] in &info.driver_status {
        page.line(2, name, value);
    }
    page.unless_empty(1, "Logging Driver", &info.logging_driver);
    page.unless_empty(1, "Cgroup Driver", &info.cgroup_driver);
    page.unless_empty(1, "Cgroup Version", &info.cgroup_version);
    page.line(1, "Plugins", "");
    page.line(2, "Volume", info.plugins.volume.join(" "));
    page.line(2, "Network", info.plugins.network.join(" "));
    page.line(2, "Log", info.plugins.log.join(" "));
}

fn swarm(page: &mut Page, info: &Info) {
    let swarm = &info.swarm;
    if matches!(swarm.local_node_state.as_str(), "inactive" | "locked" | "") {
        return;
    }
    page.line(2, "NodeID", &swarm.node_id);
    page.unless_empty(2, "Error", &swarm.error);
    page.line(2, "Is Manager", swarm.control_available);
    if let Some(cluster) = swarm.cluster.as_ref().filter(|_| {
        swarm.control_available && swarm.error.is_empty() && swarm.local_node_state != "error"
    }) {
        page.line(2, "ClusterID", &cluster.id);
        page.line(2, "Managers", swarm.managers);
        page.line(2, "Nodes", swarm.nodes);
        cluster_lines(page, cluster);
    }
    page.line(2, "Node Address", &swarm.node_addr);
    let mut managers: Vec<String> = swarm
        .remote_managers
        .iter()
        .flatten()
        .map(|peer| peer.addr.clone())
        .collect();
    managers.sort();
    page.list(2, "Manager Addresses", &managers);
}

fn cluster_lines(page: &mut Page, cluster: &ClusterInfo) {
    let about = |nanos: i64| human_duration(Duration::from_nanos(nanos.max(0).unsigned_abs()));
    if let Some(pools) = &cluster.default_addr_pool {
        page.line(2, "Default Address Pool", pools.join("  "));
        page.line(2, "SubnetSize", cluster.subnet_size);
    }
    if cluster.data_path_port > 0 {
        page.line(2, "Data Path Port", cluster.data_path_port);
    }
    let spec = &cluster.spec;
    page.line(2, "Orchestration", "");
    page.line(
        3,
        "Task History Retention Limit",
        spec.orchestration.task_history_retention_limit.unwrap_or(0),
    );
    page.line(2, "Raft", "");
    page.line(3, "Snapshot Interval", spec.raft.snapshot_interval);
    if let Some(kept) = spec.raft.keep_old_snapshots {
        page.line(3, "Number of Old Snapshots to Retain", kept);
    }
    page.line(3, "Heartbeat Tick", spec.raft.heartbeat_tick);
    page.line(3, "Election Tick", spec.raft.election_tick);
    page.line(2, "Dispatcher", "");
    page.line(
        3,
        "Heartbeat Period",
        about(spec.dispatcher.heartbeat_period),
    );
    page.line(2, "CA Configuration", "");
    page.line(3, "Expiry Duration", about(spec.ca_config.node_cert_expiry));
    page.line(3, "Force Rotate", spec.ca_config.force_rotate);
    page.line(
        2,
        "Autolock Managers",
        spec.encryption_config.auto_lock_managers,
    );
    page.line(
        2,
        "Root Rotation In Progress",
        cluster.root_rotation_in_progress,
    );
}

fn host(page: &mut Page, info: &Info) {
    if !info.runtimes.is_empty() {
        page.line(
            1,
            "Runtimes",
            info.runtimes.keys().cloned().collect::<Vec<_>>().join(" "),
        );
        page.line(1, "Default Runtime", &info.default_runtime);
    }
    page.list(
        1,
        "Security Options",
        &info
            .security_options
            .iter()
            .map(|option| option.trim_start_matches("name=").to_owned())
            .collect::<Vec<_>>(),
    );
    page.unless_empty(1, "Kernel Version", &info.kernel_version);
    page.unless_empty(1, "Operating System", &info.operating_system);
    page.unless_empty(1, "OSType", &info.os_type);
    page.unless_empty(1, "Architecture", &info.architecture);
    page.line(1, "CPUs", info.ncpu);
    page.line(1, "Total Memory", binary_size(info.mem_total));
    page.unless_empty(1, "Name", &info.name);
    page.unless_empty(1, "ID", &info.id);
    page.line(1, "Docker Root Dir", &info.docker_root_dir);
    page.line(1, "Debug Mode", info.debug);
    page.list(1, "Labels", &info.labels);
    page.line(1, "Experimental", info.experimental_build);
    if let Some(registries) = &info.registry_config {
        let named = registries
            .index_configs
            .values()
            .filter(|index| !index.secure)
            .map(|index| index.name.clone());
        page.list(
            1,
            "Insecure Registries",
            &named
                .chain(registries.insecure_registry_cidrs.iter().cloned())
                .collect::<Vec<_>>(),
        );
    }
    page.line(1, "Live Restore Enabled", info.live_restore_enabled);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let mut info = Info {
            ncpu: 2,
            mem_total: 1 << 30,
            labels: vec!["a=b".into()],
            ..Info::default()
        };
        info.swarm.local_node_state = "active".into();
        info.swarm.control_available = true;
        info.swarm.managers = 3;
        info.swarm.cluster = Some(ClusterInfo {
            id: "c".into(),
            ..ClusterInfo::default()
        });
        let text = pretty(&info);
        for line in [
            " Swarm: active\n",
            "  Is Manager: true\n",
            "  Managers: 3\n",
            "   Heartbeat Tick: 0\n",
            " Total Memory: 1GiB\n",
            " Labels:\n  a=b\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
    }
}
