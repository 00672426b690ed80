//! Measures how many writes a cluster takes, and what one costs: many clients, each with one request under way.
//!
//! It speaks Docker's API, so that it measures Docker Swarm and Starling alike. Services have no replicas: what is
//! measured is the way of a request through API, consensus and store. With `--drain` it measures how long a host with
//! many tasks takes to be emptied instead.
#![forbid(unsafe_code)]

mod client;
mod cpu;
mod drain;
mod work;

use anyhow::{Context, Result, bail};
use clap::Parser;
use client::Client;
use cpu::{Meter, Usage};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use work::{Kind, Work};

/// Writes services to a cluster as fast as it takes them, and says how fast that was.
#[derive(Parser)]
struct Options {
    /// API sockets; clients are spread over them. The leader's is the shortest way.
    #[arg(long = "socket", required = true)]
    sockets: Vec<PathBuf>,
    /// Clients at the same time, each with one request under way.
    #[arg(long, default_value_t = 8)]
    clients: usize,
    /// Writes of each kind.
    #[arg(long, default_value_t = 2000)]
    writes: usize,
    /// Processes whose CPU time is counted: the daemons.
    #[arg(long = "pid")]
    pids: Vec<u32>,
    /// A cgroup v1 `cpuacct.usage` file that is counted instead.
    #[arg(long, conflicts_with = "pids")]
    cpuacct: Option<PathBuf>,
    /// Drains this host (its name) instead, with tasks on it.
    #[arg(long, value_name = "HOST")]
    drain: Option<String>,
    /// Tasks on the host that is drained.
    #[arg(long, default_value_t = 100, requires = "drain")]
    tasks: usize,
    /// Image of these tasks; it must have `sleep`.
    #[arg(long, default_value = "busybox:1", requires = "drain")]
    image: String,
    /// One line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    if let Some(node) = &options.drain {
        return drain(&options, node).await;
    }
    if options.clients == 0 || options.writes < options.clients {
        bail!("there must be at least one client, and at least one write for each");
    }
    let meter = Meter::new(&options.pids, options.cpuacct.as_deref())?;
    let work = Arc::new(Work::new(options.writes));
    let mut results = Vec::new();
    for kind in Kind::ALL {
        results.push(measure(&options, &meter, &work, kind).await?);
    }
    if options.json {
        let kinds = results.iter().map(|r| (r.kind.name(), r.json()));
        println!("{}", json!({ "load": serde_json::Value::from_iter(kinds) }));
    } else {
        println!("KIND      WRITES   SECONDS   PER SECOND   P50 MS   P99 MS   CPU MS PER WRITE");
        for result in &results {
            println!("{}", result.row());
        }
    }
    Ok(())
}

/// What one kind of write took.
struct Measured {
    kind: Kind,
    wall: Duration,
    /// Of each write, ascending.
    latencies: Vec<Duration>,
    cpu: Option<Usage>,
}

async fn measure(
    options: &Options,
    meter: &Meter,
    work: &Arc<Work>,
    kind: Kind,
) -> Result<Measured> {
    let mut clients = Vec::new();
    for number in 0..options.clients {
        clients.push(connect(options, number).await?);
    }
    work.begin();
    let (before, started) = (meter.read()?, Instant::now());
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|client| tokio::spawn(drive(client, Arc::clone(work), kind)))
        .collect();
    let mut latencies = Vec::with_capacity(options.writes);
    for task in tasks {
        latencies.append(&mut task.await??);
    }
    let (wall, after) = (started.elapsed(), meter.read()?);
    latencies.sort_unstable();
    Ok(Measured {
        kind,
        wall,
        latencies,
        cpu: after.since(before),
    })
}

async fn connect(options: &Options, number: usize) -> Result<Client> {
    let socket = &options.sockets[number % options.sockets.len()];
    let client = Client::connect(socket).await;
    client.with_context(|| format!("cannot reach {}", socket.display()))
}

async fn drain(options: &Options, node: &str) -> Result<()> {
    let mut client = connect(options, 0).await?;
    let taken = drain::measure(&mut client, node, &options.image, options.tasks).await?;
    let (tasks, seconds) = (options.tasks, taken.as_secs_f64());
    if options.json {
        println!(
            "{}",
            json!({ "load": { "drain": { "tasks": tasks, "drain_s": seconds } } })
        );
    } else {
        println!("{tasks} tasks of {node} ran elsewhere after {seconds:.2} s");
    }
    Ok(())
}

/// One client: takes the next item as long as there is one.
async fn drive(mut client: Client, work: Arc<Work>, kind: Kind) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    while let Some(item) = work.next() {
        let started = Instant::now();
        work.carry_out(&mut client, kind, item).await?;
        latencies.push(started.elapsed());
    }
    Ok(latencies)
}

impl Measured {
    fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.wall.as_secs_f64()
    }

    /// In milliseconds; `latencies` is never empty.
    fn percentile(&self, percent: usize) -> f64 {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len() - 1);
        self.latencies[at].as_secs_f64() * 1e3
    }

    fn cpu_per_write(&self) -> Option<f64> {
        let cpu = self.cpu.as_ref()?;
        Some(cpu.0.as_secs_f64() * 1e3 / self.latencies.len() as f64)
    }

    fn row(&self) -> String {
        let cpu = self.cpu_per_write();
        format!(
            "{:<8}{:>8}{:>10.2}{:>13.0}{:>9.2}{:>9.2}{:>19}",
            self.kind.name(),
            self.latencies.len(),
            self.wall.as_secs_f64(),
            self.per_second(),
            self.percentile(50),
            self.percentile(99),
            cpu.map_or("-".into(), |cpu| format!("{cpu:.2}")),
        )
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "writes": self.latencies.len(),
            "seconds": self.wall.as_secs_f64(),
            "per_second": self.per_second(),
            "p50_ms": self.percentile(50),
            "p99_ms": self.percentile(99),
            "cpu_ms_per_write": self.cpu_per_write(),
        })
    }
}
