//! Where a command reads and writes.

use crate::error::Result;
use std::io::{self, IsTerminal, Write};

/// Where results and words about them go.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// Whether the results go to a terminal, so that they may be drawn over.
    pub terminal: bool,
}

impl Console {
    /// The process's own output.
    pub fn standard() -> Self {
        Console {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            terminal: io::stdout().is_terminal(),
        }
    }

    /// Output into anything, as if it were no terminal.
    pub fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Console {
            out: Box::new(out),
            err: Box::new(err),
            terminal: false,
        }
    }

    /// Results, as they are.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()?;
        Ok(())
    }

    /// A line of results.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<()> {
        let mut line = text.as_ref().to_owned();
        line.push('\n');
        self.write(line.as_bytes())
    }

    /// Bytes for the error output: the standard error of a container.
    pub fn write_err(&mut self, bytes: &[u8]) -> Result<()> {
        self.err.write_all(bytes)?;
        self.err.flush()?;
        Ok(())
    }

    /// Words about the results. When even they cannot be written there is nobody left to tell.
    pub fn complain(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.err, "{}", text.as_ref());
        let _ = self.err.flush();
    }
}
