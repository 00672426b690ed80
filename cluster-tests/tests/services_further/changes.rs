//! Changes of a service that leave its tasks alone, and those that do not.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use cluster_tests::hosts::service::{RUN_UNTIL_STOPPED, ids, settled, summary};
use cluster_tests::hosts::{Cluster, eventually};

use super::{LIMIT, create};

pub(super) fn replace_what_they_must(cluster: &Cluster) -> Result<()> {
    let (host, api) = (cluster.host("m3"), cluster.host("m3").api());
    let options = "--replicas 4 --constraint node.role==worker";
    create(host, "keep", options, RUN_UNTIL_STOPPED)?;
    let first = settled(&api, "keep", 4, LIMIT)?;
    let before = ids(&first);
    let update = |options: &str| {
        let line = format!("service update -q --no-resolve-image {options} keep");
        host.docker_words(&line, &[])
    };
    for (options, count) in [
        ("--label-add a=b", 4),
        ("--replicas 5", 5),
        ("--update-parallelism 2 --update-delay 10ms", 5),
        // Every task is on a host that satisfies it.
        ("--constraint-add node.platform.os==linux", 5),
        ("--constraint-rm node.role==worker", 5),
    ] {
        update(options)?;
        let now = ids(&settled(&api, "keep", count, LIMIT)?);
        ensure!(
            before.is_subset(&now),
            "{options} replaced tasks:\n{}",
            summary(&api, "keep")?
        );
    }
    // Only those move that are not where they may be.
    let w1 = cluster.nodes()?["w1"]["ID"].clone();
    let there: BTreeSet<String> = ids(&first)
        .into_iter()
        .filter(|id| {
            first
                .iter()
                .any(|t| t["ID"] == id.as_str() && t["NodeID"] == w1)
        })
        .collect();
    ensure!(there.len() == 2, "{}", summary(&api, "keep")?);
    update("--constraint-add node.hostname==w1")?;
    let moved = eventually("all are on w1", LIMIT, || {
        let now = settled(&api, "keep", 5, LIMIT)?;
        let all = now.iter().all(|task| task["NodeID"] == w1);
        ensure!(all, "{}", summary(&api, "keep")?);
        Ok(ids(&now))
    })?;
    ensure!(there.is_subset(&moved), "{}", summary(&api, "keep")?);
    update("--force")?;
    let forced = ids(&settled(&api, "keep", 5, LIMIT)?);
    ensure!(forced.is_disjoint(&moved), "{}", summary(&api, "keep")?);
    host.docker_words("service rm keep", &[]).map(drop)
}
