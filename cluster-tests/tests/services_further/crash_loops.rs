//! What ends again and again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, settled, summary, tasks};
use cluster_tests::hosts::{Api, Cluster, Host, eventually};

use super::{LIMIT, create};

/// The delay of the policy, which the first restarts have.
const DELAY: Duration = Duration::from_millis(500);
/// The fourth restart waits this long, the fifth twice as long, and so on.
const FOURTH: Duration = Duration::from_secs(2);
/// A debug build on a busy machine starts and reports a container in this time at most.
const SLOW: Duration = Duration::from_millis(1500);

pub(super) fn slows_down(cluster: &Cluster) -> Result<()> {
    let leader = cluster.leader()?;
    leader.docker_words("swarm update --task-history-limit 12", &[])?;
    // Last of all --restart-delay counts.
    create(
        leader,
        "crash",
        "-d --constraint node.hostname==w1 --restart-delay 500ms",
        "exit 7",
    )?;
    let listed = waits(leader, "restart 5 of this replica waits ")?;
    ensure!(
        listed.contains("(back-off after repeated failures)"),
        "{listed}"
    );
    ensure!(listed.contains("task: non-zero exit (7)"), "{listed}");
    leader.kill_daemon()?;
    let next = cluster
        .managers()
        .find(|m| m.name() != leader.name())
        .context("no other")?;
    // The next leader neither begins anew nor loses the wait.
    let listed = waits(next, "restart 6 of this replica waits ")?;
    ensure!(!listed.contains("restart 1 "), "{listed}");
    let gaps = pauses(&next.api())?;
    println!("            pauses between failures: {gaps:?}");
    ensure!(gaps.len() == 5, "{}", summary(&next.api(), "crash")?);
    for (number, gap) in gaps.iter().enumerate() {
        let expected = match number {
            0..=2 => DELAY,
            _ => FOURTH * 2_u32.pow(u32::try_from(number)? - 3),
        };
        ensure!(
            *gap + Duration::from_millis(100) >= expected && *gap <= expected + expected + SLOW,
            "restart {} after {gap:?} instead of {expected:?}: {gaps:?}",
            number + 1
        );
    }
    leader.start()?;
    cluster.wait_all_ready()?;
    history(cluster)?;
    // Who mends the cause does not wait for the end of the back-off.
    let begin = std::time::Instant::now();
    let fix = ["--args", &format!("sh -c \"{RUN_UNTIL_STOPPED}\""), "crash"];
    next.docker_words("service update -d --no-resolve-image", &fix)?;
    settled(&next.api(), "crash", 1, LIMIT)?;
    let took = begin.elapsed();
    println!("            mended after {:.1} s", took.as_secs_f64());
    ensure!(took < Duration::from_secs(6), "{took:?}");
    next.docker_words("service rm crash", &[])?;
    next.docker_words("swarm update --task-history-limit 5", &[])
        .map(drop)
}

fn waits(host: &Host, reason: &str) -> Result<String> {
    eventually(&format!("the task says {reason:?}"), LIMIT, || {
        let listed = host.docker_words("service ps --no-trunc crash", &[])?;
        ensure!(listed.contains(reason), "{listed}");
        Ok(listed)
    })
}

/// Times between failures, the oldest first.
fn pauses(api: &Api) -> Result<Vec<Duration>> {
    let mut at = Vec::new();
    for task in tasks(api, "crash")? {
        if task["Status"]["State"] == "failed" {
            at.push(seconds(
                task["Status"]["Timestamp"].as_str().context("no time")?,
            )?);
        }
    }
    at.sort_by(f64::total_cmp);
    Ok(at
        .windows(2)
        .map(|pair| Duration::from_secs_f64(pair[1] - pair[0]))
        .collect())
}

/// Seconds since midnight.
fn seconds(text: &str) -> Result<f64> {
    let clock = text.split(['T', 'Z']).nth(1).context("no time of day")?;
    clock.split(':').try_fold(0.0, |sum, part| {
        Ok(sum * 60.0 + part.parse::<f64>().context("no number")?)
    })
}

/// A lower limit takes the oldest away, and only those.
fn history(cluster: &Cluster) -> Result<()> {
    let (host, api) = (cluster.leader()?, cluster.leader()?.api());
    let before = tasks(&api, "crash")?.len();
    ensure!(before >= 7, "{}", summary(&api, "crash")?);
    host.docker_words("swarm update --task-history-limit 2", &[])?;
    eventually("two tasks of the slot are left", LIMIT, || {
        let left = tasks(&api, "crash")?;
        // The one that waits for its turn may be beside them.
        ensure!(
            left.len() <= 3,
            "{} of {before}\n{}",
            left.len(),
            summary(&api, "crash")?
        );
        Ok(())
    })?;
    let info = host.docker_words(
        "info --format {{.Swarm.Cluster.Spec.Orchestration.TaskHistoryRetentionLimit}}",
        &[],
    )?;
    ensure!(info == "2", "{info}");
    Ok(())
}
