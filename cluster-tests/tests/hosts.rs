//! The library that makes hosts, tested without the engine. Needs root.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::{Cluster, Host, Process, ProcessId, eventually, sweep};
use nix::sys::signal::Signal;

const SLEEP: [&str; 2] = ["/bin/sleep", "1000000"];
/// Long enough for a connection on one machine, short enough to see that there is none.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn hosts_are_apart_crash_and_come_back_and_leave_nothing() -> Result<()> {
    let cluster = Cluster::builder()
        .managers(2)
        .workers(1)
        .program(SLEEP)
        .start()?;
    let dir = cluster.dir().to_owned();
    namespaces_are_their_own(&cluster)?;
    a_host_sees_only_itself(cluster.host("w1"))?;
    orphans_are_reaped(cluster.host("w1"))?;
    a_cut_host_is_silent_until_it_is_healed(&cluster)?;
    a_killed_daemon_starts_again(cluster.host("m1"))?;
    a_crashed_host_keeps_only_its_disk(cluster.host("m2"))?;
    a_cut_host_is_silent_until_it_is_healed(&cluster)?;
    cluster.take_down()?;
    nothing_is_left(&dir)
}

#[test]
fn clusters_of_one_process_do_not_meet() -> Result<()> {
    let first = Cluster::builder().program(SLEEP).start()?;
    let second = Cluster::builder().program(SLEEP).start()?;
    ensure!(first.dir() != second.dir() && first.host("m1").cgroup() != second.host("m1").cgroup());
    let listener = listen(first.host("m1"))?;
    ensure!(connect(first.host("m1"), listener.local_addr()?).is_ok());
    // The same address in the other cluster is another host, where nobody listens.
    let refused =
        connect(second.host("m1"), listener.local_addr()?).expect_err("nobody listens there");
    ensure!(refused.kind() == ErrorKind::ConnectionRefused, "{refused}");
    drop(first);
    ensure!(second.host("m1").is_up());
    Ok(())
}

#[test]
fn a_daemon_that_cannot_start_is_reported_and_its_host_removed() -> Result<()> {
    let Err(error) = Cluster::builder().program(["/nonexistent/daemon"]).start() else {
        anyhow::bail!("a daemon that is not there was started");
    };
    let text = format!("{error:#}");
    ensure!(
        text.contains("cannot start the daemon of m1") && text.contains("/nonexistent/daemon"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_killed_owner_leaves_nothing() -> Result<()> {
    let (mut owner, dir) = start_owner()?;
    owner.kill()?;
    owner.wait()?;
    eventually("the keeper took the cluster down", LIMIT, || {
        nothing_is_left(&dir)
    })
}

#[test]
fn what_a_killed_owner_and_keeper_left_is_swept() -> Result<()> {
    let (mut owner, dir) = start_owner()?;
    let keeper = ProcessId::recorded(&dir.join("keeper")).context("no keeper")?;
    keeper.kill()?;
    owner.kill()?;
    owner.wait()?;
    let init = ProcessId::recorded(&dir.join("m1/init")).context("no first process")?;
    ensure!(init.alive() && dir.exists(), "there is nothing to sweep");
    sweep()?;
    eventually("the cluster is swept", LIMIT, || nothing_is_left(&dir))
}

#[test]
fn an_interrupted_owner_takes_its_hosts_down_first() -> Result<()> {
    let (mut owner, dir) = start_owner()?;
    ProcessId::of(owner.id().cast_signed())?.signal(Signal::SIGINT)?;
    let status = owner.wait()?;
    ensure!(status.code() == Some(130), "{status}");
    nothing_is_left(&dir)
}

/// Not a test: the process that the three tests above start and kill. Alone it does nothing.
#[test]
#[ignore = "started by other tests"]
fn owner() -> Result<()> {
    if std::env::var_os(OWNER).is_some() {
        let cluster = Cluster::builder().program(SLEEP).start()?;
        println!("{OWNER}={}", cluster.dir().display());
        std::thread::sleep(Duration::from_secs(120));
    }
    Ok(())
}

const OWNER: &str = "STARLING_TEST_OWNER";

fn start_owner() -> Result<(Child, PathBuf)> {
    let mut owner = Command::new(std::env::current_exe()?)
        .args(["--exact", "owner", "--ignored", "--nocapture"])
        .env(OWNER, "1")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(owner.stdout.take().context("no output")?);
    // The test harness prints the test's name on the same line, before what the test says.
    let said = output.lines().map_while(Result::ok).find_map(|line| {
        let (_, dir) = line.split_once(&format!("{OWNER}="))?;
        Some(PathBuf::from(dir))
    });
    Ok((owner, said.context("the owner made no cluster")?))
}

fn nothing_is_left(dir: &Path) -> Result<()> {
    ensure!(!dir.exists(), "{} is there", dir.display());
    let group = format!(
        "/starling-test-{}",
        dir.file_name().context("no name")?.display()
    );
    let processes = Process::under(&group);
    ensure!(processes.is_empty(), "{processes:#?}");
    for hierarchy in fs::read_dir("/sys/fs/cgroup")? {
        let left = hierarchy?.path().join(group.trim_start_matches('/'));
        ensure!(!left.exists(), "{} is there", left.display());
    }
    ensure!(
        !Path::new("/sys/fs/cgroup")
            .join(group.trim_start_matches('/'))
            .exists()
    );
    Ok(())
}

fn namespaces_are_their_own(cluster: &Cluster) -> Result<()> {
    for kind in ["net", "pid", "mnt", "uts", "ipc"] {
        let mut seen = BTreeSet::from([fs::read_link(format!("/proc/self/ns/{kind}"))?]);
        for host in cluster.hosts() {
            let init = first_process(host)?;
            let own = fs::read_link(format!("/proc/{}/ns/{kind}", init.id.pid))?;
            ensure!(
                seen.insert(own),
                "{} shares its {kind} namespace",
                host.name()
            );
            let daemon = host.daemon().context("no daemon")?;
            let (of_daemon, of_init) = (
                format!("/proc/{}/ns/{kind}", daemon.pid),
                format!("/proc/{}/ns/{kind}", init.id.pid),
            );
            ensure!(
                fs::read_link(of_daemon)? == fs::read_link(of_init)?,
                "the daemon is not in its host's {kind}"
            );
        }
    }
    Ok(())
}

fn first_process(host: &Host) -> Result<Process> {
    let init = ProcessId::recorded(&host.dir().join("init")).context("no first process")?;
    let found = host
        .processes()
        .into_iter()
        .find(|process| process.id == init);
    found.with_context(|| format!("pid {} is not in the group of {}", init.pid, host.name()))
}

fn a_host_sees_only_itself(host: &Host) -> Result<()> {
    ensure!(said_by(host, "hostname")? == host.name());
    ensure!(said_by(host, "cat /proc/1/comm")? == "starling-hosts");
    ensure!(said_by(host, "ls /run")? == "lock", "/run is not its own");
    let commands = said_by(host, "cat /proc/[0-9]*/comm | sort -u")?;
    ensure!(
        commands
            .lines()
            .all(|comm| ["starling-hosts", "sleep", "sh", "cat", "sort"].contains(&comm)),
        "{commands}"
    );
    // One route, to the hosts' own network, and none by default: nothing can leave.
    let routes = said_by(host, "cat /proc/net/route")?;
    ensure!(
        routes.lines().count() == 2 && routes.contains("eth0\t0000D30A\t00000000"),
        "{routes}"
    );
    Ok(())
}

fn said_by(host: &Host, command: &str) -> Result<String> {
    let output = host.exec(&["/bin/sh", "-c", command])?;
    ensure!(output.status.success(), "{command}: {output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn orphans_are_reaped(host: &Host) -> Result<()> {
    said_by(host, "sleep 0.05 >/dev/null & sleep 0.05 >/dev/null & true")?;
    eventually("no zombie is left", LIMIT, || {
        let states = said_by(host, "cat /proc/[0-9]*/stat")?;
        ensure!(!states.contains(") Z "), "{states}");
        Ok(())
    })
}

fn listen(host: &Host) -> Result<TcpListener> {
    let address = host.address();
    host.in_network(|| Ok(TcpListener::bind((address, 0))?))
}

fn connect(from: &Host, to: SocketAddr) -> std::io::Result<()> {
    let connected =
        from.in_network(|| Ok(TcpStream::connect_timeout(&to, CONNECT_LIMIT).map(drop)));
    connected.map_err(std::io::Error::other)?
}

fn a_cut_host_is_silent_until_it_is_healed(cluster: &Cluster) -> Result<()> {
    let (m1, m2) = (cluster.host("m1"), cluster.host("m2"));
    let listener = listen(m2)?;
    let address = listener.local_addr()?;
    eventually("m1 reaches m2", LIMIT, || connect(m1, address))?;
    m2.cut()?;
    let error = connect(m1, address).expect_err("the cable is pulled");
    ensure!(
        error.kind() == ErrorKind::TimedOut,
        "silence was expected, not: {error}"
    );
    m2.heal()?;
    eventually("m1 reaches m2 again", LIMIT, || connect(m1, address))
}

fn a_killed_daemon_starts_again(host: &Host) -> Result<()> {
    let (init, first) = (first_process(host)?, host.daemon().context("no daemon")?);
    host.kill_daemon()?;
    ensure!(host.daemon().is_none() && !first.alive() && host.is_up());
    host.start()?;
    let second = host.daemon().context("no daemon")?;
    ensure!(second != first && first_process(host)?.id == init.id);
    Ok(())
}

fn a_crashed_host_keeps_only_its_disk(host: &Host) -> Result<()> {
    let (on_disk, first) = (host.dir().join("data/kept"), first_process(host)?);
    said_by(host, &format!("touch {} /run/lost", on_disk.display()))?;
    host.crash()?;
    ensure!(!host.is_up() && host.daemon().is_none() && host.processes().is_empty());
    ensure!(
        host.exec(&["/bin/true"]).is_err(),
        "a host without power ran a program"
    );
    host.start()?;
    ensure!(first_process(host)?.id != first.id);
    ensure!(on_disk.exists() && said_by(host, "ls /run")? == "lock");
    Ok(())
}
