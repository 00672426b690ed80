//! `swarm`: the cluster as a whole.

mod token;

use crate::error::{Error, Result};
use crate::parse::csv;
use crate::session::{Session, object};
use crate::units::parse_positive_duration;
use api_types::swarm::{ExternalCa, InitRequest, JoinRequest, Node, Spec, Swarm, UnlockKey};
use api_types::system::Info;
use clap::{Args, Subcommand};

const DEFAULT_LISTEN_ADDRESS: &str = "0.0.0.0:2377";
const DEFAULT_PORT: &str = "2377";

/// The verbs of the cluster.
#[derive(Debug, Clone, Subcommand)]
pub enum SwarmCommand {
    /// Begin a cluster on this host
    #[command(after_help = "Example:\n  starling swarm init --advertise-addr 10.0.0.1")]
    Init(InitArgs),
    /// Join a cluster, as what the token allows
    #[command(after_help = "Example:\n  starling swarm join --token SWMTKN-1-... 10.0.0.1:2377")]
    Join(JoinArgs),
    /// Show or change the tokens with which hosts join
    JoinToken(JoinTokenArgs),
    /// Make, list and remove tokens that bring labels along
    Token {
        /// The verb
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Change the cluster
    Update(UpdateArgs),
    /// Leave the cluster
    Leave(LeaveArgs),
}

fn availability(text: &str) -> std::result::Result<String, String> {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "active" | "pause" | "drain") {
        Ok(lower)
    } else {
        Err(format!(
            "invalid availability {text:?}, only active, pause and drain are supported"
        ))
    }
}

/// An address with a port, ours when none is named.
fn listen_address(text: &str) -> std::result::Result<String, String> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port),
        _ => (text, DEFAULT_PORT),
    };
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(format!(
            "{text:?} is no address: write for example 0.0.0.0:2377 or eth0"
        ));
    }
    Ok(format!("{host}:{port}"))
}

fn cidr(text: &str) -> std::result::Result<String, String> {
    let wrong = || format!("{text:?} is no address pool: write for example 10.10.0.0/16");
    let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
    let (address, bits) = (
        address.parse::<std::net::IpAddr>().map_err(|_| wrong())?,
        bits.parse::<u8>().map_err(|_| wrong())?,
    );
    let most = if address.is_ipv4() { 32 } else { 128 };
    if bits > most {
        Err(wrong())
    } else {
        Ok(text.to_owned())
    }
}

fn external_ca(text: &str) -> std::result::Result<ExternalCa, String> {
    let mut ca = ExternalCa::default();
    for field in csv(text)? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?;
        match key.to_ascii_lowercase().as_str() {
            "protocol" if value.eq_ignore_ascii_case("cfssl") => {
                "cfssl".clone_into(&mut ca.protocol)
            }
            "protocol" => return Err(format!("unrecognized external CA protocol {value}")),
            "url" => value.clone_into(&mut ca.url),
            "cacert" => {
                ca.ca_cert = std::fs::read_to_string(value)
                    .map_err(|err| format!("unable to read CA cert from {value}: {err}"))?
            }
            key => {
                ca.options.insert(key.to_owned(), value.to_owned());
            }
        }
    }
    if ca.protocol.is_empty() || ca.url.is_empty() {
        Err("the external-ca option needs protocol= and url= parameters".to_owned())
    } else {
        Ok(ca)
    }
}

/// What of the cluster's spec both `init` and `update` can set.
#[derive(Debug, Clone, Default, PartialEq, Args)]
pub struct SpecFlags {
    /// Old tasks kept for each slot (default 5), negative for all
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub task_history_limit: Option<i64>,
    /// Time for which certificates of nodes are valid (default 2160h)
    #[arg(long, value_name = "DURATION", value_parser = parse_positive_duration)]
    pub cert_expiry: Option<i64>,
    /// Kept for Docker's clients, without effect: hosts show signs of life twice a second
    #[arg(long, value_name = "DURATION", value_parser = parse_positive_duration)]
    pub dispatcher_heartbeat: Option<i64>,
    /// Certificate authorities outside of the cluster, as protocol=cfssl,url=...
    #[arg(long, value_name = "CA", value_parser = external_ca)]
    pub external_ca: Vec<ExternalCa>,
    /// Kept for Docker's clients, without effect: a host has its newest snapshot of the log and no older ones
    #[arg(long, value_name = "N")]
    pub max_snapshots: Option<u64>,
    /// Entries of the log between snapshots (default 10000)
    #[arg(long, value_name = "N")]
    pub snapshot_interval: Option<u64>,
}

impl SpecFlags {
    fn apply(&self, spec: &mut Spec) {
        spec.orchestration.task_history_retention_limit = self
            .task_history_limit
            .or(spec.orchestration.task_history_retention_limit);
        spec.raft.keep_old_snapshots = self.max_snapshots.or(spec.raft.keep_old_snapshots);
        spec.raft.snapshot_interval = self
            .snapshot_interval
            .unwrap_or(spec.raft.snapshot_interval);
        spec.dispatcher.heartbeat_period = self
            .dispatcher_heartbeat
            .unwrap_or(spec.dispatcher.heartbeat_period);
        spec.ca_config.node_cert_expiry =
            self.cert_expiry.unwrap_or(spec.ca_config.node_cert_expiry);
        if !self.external_ca.is_empty() {
            spec.ca_config.external_cas.clone_from(&self.external_ca);
        }
    }
}

/// Flags of `swarm init`.
#[derive(Debug, Clone, Default, Args)]
pub struct InitArgs {
    /// Address that other hosts use, as <ip|interface>[:port]
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "",
        hide_default_value = true
    )]
    pub advertise_addr: String,
    /// Address on which this host listens
    #[arg(long, value_name = "ADDRESS", default_value = DEFAULT_LISTEN_ADDRESS, value_parser = listen_address)]
    pub listen_addr: String,
    /// Address for the containers' traffic
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "",
        hide_default_value = true
    )]
    pub data_path_addr: String,
    /// Port for the containers' traffic, 0 for 4789
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub data_path_port: u32,
    /// Whether tasks may run here: active, pause or drain (default active)
    #[arg(long, value_name = "AVAILABILITY", value_parser = availability)]
    pub availability: Option<String>,
    /// Ranges from which networks take their subnets
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = cidr)]
    pub default_addr_pool: Vec<String>,
    /// Size of those subnets
    #[arg(long, value_name = "BITS", default_value_t = 24)]
    pub default_addr_pool_mask_length: u32,
    /// Lock managers: they need a key to start again
    #[arg(long)]
    pub autolock: bool,
    /// Make a cluster of one manager out of what is left here
    #[arg(long)]
    pub force_new_cluster: bool,
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
}

/// Flags of `swarm join`.
#[derive(Debug, Clone, Default, Args)]
pub struct JoinArgs {
    /// The address of a manager
    #[arg(value_name = "HOST:PORT")]
    pub remote: String,
    /// The token from 'starling swarm join-token'
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "",
        hide_default_value = true
    )]
    pub token: String,
    /// Address that other hosts use, as <ip|interface>[:port]
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "",
        hide_default_value = true
    )]
    pub advertise_addr: String,
    /// Address on which this host listens
    #[arg(long, value_name = "ADDRESS", default_value = DEFAULT_LISTEN_ADDRESS, value_parser = listen_address)]
    pub listen_addr: String,
    /// Address for the containers' traffic
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "",
        hide_default_value = true
    )]
    pub data_path_addr: String,
    /// Whether tasks may run here: active, pause or drain (default active)
    #[arg(long, value_name = "AVAILABILITY", value_parser = availability)]
    pub availability: Option<String>,
}

/// Flags of `swarm join-token`.
#[derive(Debug, Clone, Default, Args)]
pub struct JoinTokenArgs {
    /// For which kind of host
    #[arg(value_name = "worker|manager", value_parser = ["worker", "manager"])]
    pub role: String,
    /// Only the token
    #[arg(short, long)]
    pub quiet: bool,
    /// Make a new token; the old one is void from then on
    #[arg(long)]
    pub rotate: bool,
}

/// Flags of `swarm update`.
#[derive(Debug, Clone, Default, Args)]
pub struct UpdateArgs {
    /// Lock managers: they need a key to start again
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub autolock: Option<bool>,
    #[command(flatten)]
    pub(crate) spec: SpecFlags,
}

/// Flags of `swarm leave`.
#[derive(Debug, Clone, Default, Args)]
pub struct LeaveArgs {
    /// Leave also when this host is a manager
    #[arg(short, long)]
    pub force: bool,
}

/// Does one of them.
pub async fn run(session: &mut Session, command: &SwarmCommand) -> Result<()> {
    match command {
        SwarmCommand::Init(args) => init(session, args).await,
        SwarmCommand::Join(args) => join(session, args).await,
        SwarmCommand::JoinToken(args) => join_token(session, args).await,
        SwarmCommand::Token { command } => token::run(session, command).await,
        SwarmCommand::Update(args) => update(session, args).await,
        SwarmCommand::Leave(args) => {
            let query: &[(&str, &str)] = if args.force { &[("force", "1")] } else { &[] };
            let leave = session.client.post("/swarm/leave", query, None::<&()>);
            unless_left(leave, "leaving").await?;
            session.console.line("Node left the swarm.")
        }
    }
}

impl InitArgs {
    fn request(&self) -> InitRequest {
        let mut spec = Spec::default();
        self.spec.apply(&mut spec);
        spec.encryption_config.auto_lock_managers = self.autolock;
        InitRequest {
            listen_addr: self.listen_addr.clone(),
            advertise_addr: self.advertise_addr.clone(),
            data_path_addr: self.data_path_addr.clone(),
            data_path_port: self.data_path_port,
            force_new_cluster: self.force_new_cluster,
            spec,
            auto_lock_managers: self.autolock,
            availability: self.availability.clone().unwrap_or_default(),
            default_addr_pool: self.default_addr_pool.clone(),
            subnet_size: self.default_addr_pool_mask_length,
        }
    }
}

async fn init(session: &mut Session, args: &InitArgs) -> Result<()> {
    let answer: Result<String> = session
        .client
        .post_json("/swarm/init", &[], Some(&args.request()))
        .await;
    let node = match answer {
        Err(Error::Api { status, message })
            if message.contains("could not choose an IP address to advertise")
                || message.contains("could not find the system's IP address") =>
        {
            return Err(Error::Api {
                status,
                message: format!("{message} - specify one with --advertise-addr"),
            });
        }
        other => other?,
    };
    session.console.line(format!(
        "Swarm initialized: current node ({node}) is now a manager.\n"
    ))?;
    print_join_command(session, &node, "worker").await?;
    session.console.line("To add a manager to this swarm, run 'starling swarm join-token manager' and follow the instructions.")?;
    if args.autolock {
        print_unlock_key(session).await?;
    }
    Ok(())
}

async fn print_join_command(session: &mut Session, node: &str, role: &str) -> Result<()> {
    let node: Node = session
        .client
        .get(&object("/nodes", node, "")?, &[])
        .await?;
    let swarm: Swarm = session.client.get("/swarm", &[]).await?;
    let Some(manager) = node.manager_status else {
        return Ok(());
    };
    let token = if role == "manager" {
        swarm.join_tokens.manager
    } else {
        swarm.join_tokens.worker
    };
    session
        .console
        .line(join_command(role, &token, &manager.addr))
}

/// What to do on a host that shall join.
fn join_command(role: &str, token: &str, address: &str) -> String {
    format!(
        "To add a {role} to this swarm, run the following command:\n\n    starling swarm join --token {token} {address}\n"
    )
}

async fn print_unlock_key(session: &mut Session) -> Result<()> {
    let key: UnlockKey = session.client.get("/swarm/unlockkey", &[]).await?;
    session.console.line(format!("To unlock a swarm manager after it restarts, run the `starling swarm unlock`\ncommand and provide the following key:\n\n    {}\n\nKeep this key where you find it again: without it a manager cannot be started anew.", key.unlock_key))
}

async fn join(session: &mut Session, args: &JoinArgs) -> Result<()> {
    let request = JoinRequest {
        listen_addr: args.listen_addr.clone(),
        advertise_addr: args.advertise_addr.clone(),
        data_path_addr: args.data_path_addr.clone(),
        remote_addrs: vec![args.remote.clone()],
        join_token: args.token.clone(),
        availability: args.availability.clone().unwrap_or_default(),
    };
    let join = session.client.post("/swarm/join", &[], Some(&request));
    unless_left(join, "joining").await?;
    let info: Info = session.client.get("/info", &[]).await?;
    session.console.line(format!(
        "This node joined a swarm as a {}.",
        if info.swarm.control_available {
            "manager"
        } else {
            "worker"
        }
    ))
}

/// What the daemon begins it ends, whether somebody waits for it or not; so whoever leaves has to know that it goes on. How it
/// ends is open, so that this is no success.
async fn unless_left<T>(work: impl Future<Output = Result<T>>, doing: &str) -> Result<T> {
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => Err(Error::Failed(format!(
            "interrupted: the daemon goes on {doing}, 'starling info' shows how far it is"
        ))),
    }
}

async fn write(session: &Session, swarm: &Swarm, rotate: Option<&str>) -> Result<()> {
    let version = swarm.version.index.to_string();
    let flag = |role: &str| {
        if rotate == Some(role) {
            "true"
        } else {
            "false"
        }
    };
    let query = [
        ("rotateManagerToken", flag("manager")),
        ("rotateManagerUnlockKey", "false"),
        ("rotateWorkerToken", flag("worker")),
        ("version", version.as_str()),
    ];
    session
        .client
        .post("/swarm/update", &query, Some(&swarm.spec))
        .await?;
    Ok(())
}

async fn join_token(session: &mut Session, args: &JoinTokenArgs) -> Result<()> {
    if args.rotate {
        let swarm: Swarm = session.client.get("/swarm", &[]).await?;
        write(session, &swarm, Some(&args.role)).await?;
        if !args.quiet {
            session
                .console
                .line(format!("Successfully rotated {} join token.\n", args.role))?;
        }
    }
    if args.quiet {
        let swarm: Swarm = session.client.get("/swarm", &[]).await?;
        return session.console.line(if args.role == "manager" {
            &swarm.join_tokens.manager
        } else {
            &swarm.join_tokens.worker
        });
    }
    let _: Swarm = session.client.get("/swarm", &[]).await?;
    let info: Info = session.client.get("/info", &[]).await?;
    print_join_command(session, &info.swarm.node_id, &args.role).await
}

async fn update(session: &mut Session, args: &UpdateArgs) -> Result<()> {
    if args.autolock.is_none() && args.spec == SpecFlags::default() {
        return Err(Error::usage(
            "nothing to change: give at least one flag, see 'starling swarm update --help'",
        ));
    }
    let mut swarm: Swarm = session.client.get("/swarm", &[]).await?;
    let was_locked = swarm.spec.encryption_config.auto_lock_managers;
    args.spec.apply(&mut swarm.spec);
    swarm.spec.encryption_config.auto_lock_managers = args.autolock.unwrap_or(was_locked);
    write(session, &swarm, None).await?;
    session.console.line("Swarm updated.")?;
    if args.autolock == Some(true) && !was_locked {
        print_unlock_key(session).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn init_sends_what_docker_sends() {
        let args = InitArgs {
            listen_addr: DEFAULT_LISTEN_ADDRESS.into(),
            advertise_addr: "A".into(),
            default_addr_pool_mask_length: 24,
            ..InitArgs::default()
        };
        assert_eq!(
            serde_json::to_string(&args.request()).unwrap(),
            r#"{"ListenAddr":"0.0.0.0:2377","AdvertiseAddr":"A","DataPathAddr":"","DataPathPort":0,"ForceNewCluster":false,"Spec":{"Labels":{},"Orchestration":{},"Raft":{"ElectionTick":0,"HeartbeatTick":0},"Dispatcher":{},"CAConfig":{},"TaskDefaults":{},"EncryptionConfig":{"AutoLockManagers":false}},"AutoLockManagers":false,"Availability":"","DefaultAddrPool":[],"SubnetSize":24}"#
        );
    }

    #[test]
    fn addresses() {
        assert_eq!(listen_address("eth0").unwrap(), "eth0:2377");
        assert_eq!(listen_address("1.2.3.4:99").unwrap(), "1.2.3.4:99");
        assert_eq!(listen_address("[::]:99").unwrap(), "[::]:99");
        assert!(listen_address("1.2.3.4:x").is_err() && listen_address(":2377").is_err());
        assert!(
            cidr("10.0.0.0/8").is_ok()
                && cidr("10.0.0.0").is_err()
                && cidr("10.0.0.0/33").is_err()
                && cidr("x/8").is_err()
        );
        assert!(availability("Drain").is_ok() && availability("x").is_err());
        assert!(
            external_ca("protocol=cfssl,url=https://x").is_ok()
                && external_ca("url=x").is_err()
                && external_ca("protocol=x,url=y").is_err()
        );
    }
}
