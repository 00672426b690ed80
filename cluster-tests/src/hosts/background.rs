//! Programs that run beside a story: a registry on a host, a client that follows a stream.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use super::process::ProcessId;
use super::wait::eventually;

/// A program whose output goes to a file. Dropping it kills it.
pub struct Background {
    /// Our child: the program, or the helper that entered a host for it.
    child: Child,
    program: ProcessId,
    output: PathBuf,
}

impl Background {
    /// Starts a program outside of the hosts.
    pub(super) fn start(mut command: Command, output: &Path) -> Result<Background> {
        let file = File::create(output)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        let program = ProcessId::of(child.id().cast_signed())?;
        Ok(Background::new(child, program, output))
    }

    pub(super) fn new(child: Child, program: ProcessId, output: &Path) -> Background {
        Background {
            child,
            program,
            output: output.to_owned(),
        }
    }

    /// All that it wrote until now, errors too.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Whether it still runs.
    pub fn runs(&self) -> bool {
        self.program.alive()
    }

    /// Asks it to end, or tells it something else.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.program.signal(signal)
    }

    /// Waits until it ends by itself.
    pub fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        eventually("a program in the background ends", limit, || {
            let status = self.child.try_wait()?;
            status.with_context(|| {
                let said = String::from_utf8_lossy(&fs::read(&self.output).unwrap_or_default())
                    .into_owned();
                format!("it still runs and said:\n{said}")
            })
        })
    }

    /// Kills it and waits until it is gone.
    pub fn stop(mut self) -> Result<()> {
        self.program.signal(Signal::SIGKILL)?;
        self.child.wait()?;
        ensure!(!self.program.alive(), "it outlived SIGKILL");
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // Reaped only here, so its pid was not used again; a failure leaves it to the end of its host.
        let _ = self.program.signal(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
