use super::*;
use crate::record::{Phase, State};
use futures_util::StreamExt;
use model::Timestamp;
use model::logs::LogStream;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

/// Longest wait for a line that has been written.
const PATIENCE: Duration = Duration::from_secs(10);

struct Bench {
    dir: tempfile::TempDir,
    state: watch::Sender<State>,
}

fn entry(number: u64) -> String {
    let stream = if number.is_multiple_of(2) {
        "stdout"
    } else {
        "stderr"
    };
    format!(
        "{{\"log\":\"line {number}\\n\",\"stream\":\"{stream}\",\"time\":\"1970-01-01T00:00:{number:02}Z\"}}\n"
    )
}

fn at(second: i64) -> Option<Timestamp> {
    Some(Timestamp(second * 1_000_000_000))
}

fn all() -> LogOptions {
    LogOptions {
        stdout: true,
        stderr: true,
        ..LogOptions::default()
    }
}

fn following() -> LogOptions {
    let follow = true;
    LogOptions { follow, ..all() }
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let running = State {
            phase: Phase::Running,
            ..State::default()
        };
        let state = watch::Sender::new(running);
        Bench { dir, state }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("x-json.log")
    }

    fn rotated(&self, number: u32) -> PathBuf {
        self.dir.path().join(format!("x-json.log.{number}"))
    }

    fn append(&self, text: &str) {
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path());
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn lines(&self, numbers: std::ops::Range<u64>) {
        let mut text = String::new();
        for number in numbers {
            write!(text, "{}", entry(number)).unwrap();
        }
        self.append(&text);
    }

    /// As the supervisor does it.
    fn rotate(&self) {
        let _ = std::fs::rename(self.rotated(1), self.rotated(2));
        std::fs::rename(self.path(), self.rotated(1)).unwrap();
    }

    fn ends(&self) {
        self.state.send_modify(|state| state.phase = Phase::Exited);
    }

    fn open(&self, options: LogOptions) -> BoxStream<'static, LogLine> {
        read(&self.path(), 3, options, self.state.subscribe()).unwrap()
    }

    async fn read(&self, options: LogOptions) -> Vec<u64> {
        collect(self.open(options)).await
    }
}

fn number(line: &LogLine) -> u64 {
    let text = String::from_utf8(line.data.clone()).unwrap();
    text.trim_start_matches("line ").trim().parse().unwrap()
}

async fn collect(stream: BoxStream<'static, LogLine>) -> Vec<u64> {
    let all = stream.map(|line| number(&line)).collect();
    tokio::time::timeout(PATIENCE, all).await.unwrap()
}

async fn next(stream: &mut BoxStream<'static, LogLine>) -> u64 {
    let line = tokio::time::timeout(PATIENCE, stream.next()).await.unwrap();
    number(&line.unwrap())
}

#[tokio::test]
async fn all_files_are_read_oldest_first() {
    let bench = Bench::new();
    for lines in [0..3, 3..5, 5..6] {
        bench.lines(lines);
        if !bench.rotated(2).exists() {
            bench.rotate();
        }
    }
    assert!(bench.rotated(2).exists());
    assert_eq!(bench.read(all()).await, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn tail_counts_back_through_rotated_files() {
    let bench = Bench::new();
    bench.lines(0..3);
    bench.rotate();
    bench.lines(3..5);
    bench.rotate();
    bench.lines(5..6);
    for tail in 0..8 {
        let options = LogOptions {
            tail: Some(tail),
            ..all()
        };
        let expected: Vec<u64> = (6u64.saturating_sub(tail)..6).collect();
        assert_eq!(bench.read(options).await, expected, "tail {tail}");
    }
}

#[tokio::test]
async fn tail_looks_through_more_than_one_block() {
    let bench = Bench::new();
    let mut text = String::new();
    for second in 0..5000 {
        text.push_str(&entry(second % 60));
    }
    bench.append(&text);
    let options = LogOptions {
        tail: Some(4000),
        ..all()
    };
    let expected: Vec<u64> = (1000..5000).map(|second| second % 60).collect();
    assert_eq!(bench.read(options).await, expected);
}

#[tokio::test]
async fn since_until_and_streams_choose_lines() {
    let bench = Bench::new();
    bench.lines(0..9);
    let since = LogOptions {
        since: at(7),
        ..all()
    };
    assert_eq!(bench.read(since).await, [7, 8]);
    let until = LogOptions {
        until: at(2),
        ..all()
    };
    assert_eq!(bench.read(until).await, [0, 1]);
    let stderr = LogOptions {
        stdout: false,
        ..all()
    };
    assert_eq!(bench.read(stderr).await, [1, 3, 5, 7]);
    // As in Docker: so many lines of the log, of which those of one stream.
    let tail = LogOptions {
        stdout: false,
        tail: Some(3),
        ..all()
    };
    assert_eq!(bench.read(tail).await, [7]);
}

#[tokio::test]
async fn damaged_and_unfinished_lines_are_left_out() {
    let bench = Bench::new();
    bench.append(&entry(1));
    bench.append("\0\0\0\0{\"log\":\"half\n");
    bench.append(&entry(2));
    bench.append("{\"log\":\"unfinished");
    assert_eq!(bench.read(all()).await, [1, 2]);
    assert_eq!(Bench::new().read(all()).await, [] as [u64; 0]);
}

#[tokio::test]
async fn bytes_and_streams_arrive_as_written() {
    let bench = Bench::new();
    bench.append("{\"log\":\"a \\\"b\\\" ä\\u0000\",\"stream\":\"stderr\",\"time\":\"2026-11-21T10:16:34.5Z\"}\n");
    let line = bench.open(all()).next().await.unwrap();
    assert_eq!(line.data, "a \"b\" ä\0".as_bytes());
    assert_eq!(line.stream, LogStream::Stderr);
    assert_eq!(line.time, Timestamp(1_795_256_194_500_000_000));
}

#[tokio::test]
async fn a_follower_sees_new_lines_and_ends_with_the_container() {
    let bench = Bench::new();
    bench.lines(0..2);
    let mut stream = bench.open(following());
    assert_eq!(next(&mut stream).await, 0);
    assert_eq!(next(&mut stream).await, 1);
    let text = entry(2);
    let (begin, end) = text.split_at(20);
    bench.append(begin);
    bench.append(end);
    assert_eq!(next(&mut stream).await, 2);
    bench.lines(3..5);
    bench.ends();
    assert_eq!(collect(stream).await, [3, 4]);
}

#[tokio::test]
async fn a_follower_may_come_before_the_log() {
    let bench = Bench::new();
    let mut stream = bench.open(following());
    bench.lines(0..1);
    assert_eq!(next(&mut stream).await, 0);
}

#[tokio::test]
async fn a_follower_goes_through_rotations() {
    let bench = Bench::new();
    bench.lines(0..2);
    let mut stream = bench.open(LogOptions {
        tail: Some(1),
        ..following()
    });
    assert_eq!(next(&mut stream).await, 1);
    bench.lines(2..4);
    bench.rotate();
    bench.lines(4..6);
    for expected in 2..6 {
        assert_eq!(next(&mut stream).await, expected);
    }
    // Twice before the reader looks again.
    bench.lines(6..7);
    bench.rotate();
    bench.lines(7..8);
    bench.rotate();
    bench.lines(8..9);
    bench.ends();
    assert_eq!(collect(stream).await, [6, 7, 8]);
}

#[tokio::test]
async fn until_ends_a_follower() {
    let bench = Bench::new();
    let stream = bench.open(LogOptions {
        until: at(3),
        ..following()
    });
    bench.lines(0..9);
    assert_eq!(collect(stream).await, [0, 1, 2]);
}
