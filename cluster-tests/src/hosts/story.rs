//! A story told step by step, each step with its time.

use std::time::Instant;

use anyhow::{Context, Result};

/// Prints each step when it begins and how long it took when it ends.
pub struct Story {
    start: Instant,
}

impl Story {
    /// Begins with a title.
    pub fn begin(title: &str) -> Story {
        println!("== {title}");
        Story {
            start: Instant::now(),
        }
    }

    /// One step; its failure names it.
    pub fn step<T>(&self, what: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("[{:7.2} s] {what}", self.start.elapsed().as_secs_f64());
        let begin = Instant::now();
        let result = act().with_context(|| format!("step failed: {what}"))?;
        println!("            took {:.2} s", begin.elapsed().as_secs_f64());
        Ok(result)
    }

    /// Ends with a word and the time of the whole.
    pub fn end(self, word: &str) {
        println!(
            "== {word} ({:.1} s in all)",
            self.start.elapsed().as_secs_f64()
        );
    }
}
