//! Runs the simulator over many seeds: `STARLING_SEEDS=n` for more, `STARLING_SEED=n` for one with its trace.

use cluster_tests::sim::{self, Summary};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Seeds of an ordinary run.
const SEEDS: u64 = 2000;
/// Seeds in which everything happens.
const ENOUGH_SEEDS: u64 = 100;
/// Failures that are gathered before the rest is given up; `STARLING_FAILURES=n` for more.
const ENOUGH_FAILURES: u64 = 5;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text}: a number is wanted")),
    )
}

/// One run with everything it does, for a look at a failure.
fn one(seed: u64) {
    match sim::run_traced(seed, usize::MAX) {
        Ok(summary) => println!("seed {seed}: {summary:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

/// Nothing that the rules are about has vanished from the runs, as requests that are refused would.
fn is_varied(total: &Summary) {
    let counts = [
        total.completed,
        total.paused,
        total.taken_back,
        total.rolled_back,
        total.overdue,
        total.completions,
        total.unhealthy,
        total.evicted,
        total.marked,
        total.turns,
        total.hops,
        total.snapshots,
        total.unknown_committed,
        total.unknown_lost,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{total:?}");
}

#[test]
fn the_rules_hold_on_every_seed() {
    if let Some(seed) = number("STARLING_SEED") {
        return one(seed);
    }
    let seeds = number("STARLING_SEEDS").unwrap_or(SEEDS);
    let first = number("STARLING_FIRST_SEED").unwrap_or(0);
    let enough = number("STARLING_FAILURES").unwrap_or(ENOUGH_FAILURES);
    let begun = Instant::now();
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Summary::default());
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    match sim::run(seed) {
                        Ok(summary) => {
                            assert!(summary.requests >= 200, "seed {seed}: {summary:?}");
                            assert!(summary.faults >= 20, "seed {seed}: {summary:?}");
                            *total.lock().expect("no panic") += &summary;
                        }
                        Err(failure) => {
                            let mut failures = failures.lock().expect("no panic");
                            failures.push(failure);
                            stop.store(failures.len() as u64 >= enough, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no panic");
    println!(
        "{seeds} seeds in {:.1} s: {total:?}",
        begun.elapsed().as_secs_f64()
    );
    let failures = failures.into_inner().expect("no panic");
    if failures.is_empty() && seeds >= ENOUGH_SEEDS {
        is_varied(&total);
    }
    for failure in failures.iter().skip(1) {
        println!("seed {}: {}", failure.seed, failure.what);
    }
    if let Some(failure) = failures.first() {
        panic!("{failure}");
    }
}

/// Each story in `sim_scripts`; `STARLING_SCRIPT=name` for one.
#[test]
fn the_scripts_come_out_as_they_say() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sim_scripts");
    let only = std::env::var("STARLING_SCRIPT").ok();
    let mut failures = Vec::new();
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("the folder is there") {
        let path = file.expect("it can be read").path();
        let name = path.file_stem().expect("a file has a name");
        if only.as_deref().is_some_and(|only| name != only) {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("it can be read");
        count += 1;
        if let Err(failure) = sim::run_script(&text) {
            failures.push(format!("{failure}in {}\n", path.display()));
        }
    }
    assert!(count > 0, "{folder} has no such scripts");
    assert!(failures.is_empty(), "{}", failures.concat());
}

#[test]
fn a_seed_is_the_same_twice() {
    for seed in [1, 77] {
        let [a, b] = [sim::run(seed), sim::run(seed)].map(|r| r.map(|s| format!("{s:?}")));
        assert_eq!(a.map_err(|e| e.what), b.map_err(|e| e.what));
    }
}
