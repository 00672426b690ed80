//! Where a command reads and writes.

use crate::error::Result;
use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use tokio::io::Interest;
use tokio::net::unix::pipe;

/// Says something to whoever waits.
pub type Tell = Box<dyn Fn(&str)>;

/// Where results and words about them go.
pub struct Console {
    out: Box<dyn Write + Send>,
    err: Rc<RefCell<Box<dyn Write + Send>>>,
    /// Whether the results go to a terminal.
    pub terminal: bool,
    /// Whether that terminal can move its cursor, so that lines may be drawn over.
    pub redraws: bool,
    /// Whether the words about the results go to a terminal, so that somebody reads them at once.
    pub words_to_terminal: bool,
    /// Whether the results go to the process's own output.
    standard: bool,
}

impl Console {
    /// The process's own output.
    pub fn standard() -> Self {
        let terminal = io::stdout().is_terminal();
        Console {
            out: Box::new(io::stdout()),
            err: Rc::new(RefCell::new(Box::new(io::stderr()))),
            terminal,
            redraws: terminal && moves_cursor(std::env::var("TERM").ok().as_deref()),
            words_to_terminal: io::stderr().is_terminal(),
            standard: true,
        }
    }

    /// Output into anything, as if it were no terminal.
    pub fn new(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Console {
            out: Box::new(out),
            err: Rc::new(RefCell::new(Box::new(err))),
            terminal: false,
            redraws: false,
            words_to_terminal: false,
            standard: false,
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
        let mut err = self.err.borrow_mut();
        err.write_all(bytes)?;
        err.flush()?;
        Ok(())
    }

    /// Words about the results. When even they cannot be written there is nobody left to tell.
    pub fn complain(&mut self, text: impl AsRef<str>) {
        say(&self.err, text.as_ref());
    }

    /// Says what goes on while somebody waits. Only people want to know, so that it is written to a terminal or nowhere.
    pub fn notice(&mut self, text: &str) {
        if let Some(tell) = self.notices() {
            tell(text);
        }
    }

    /// As [`Console::notice`], for those who wait without a console; none when nobody reads it.
    pub fn notices(&self) -> Option<Tell> {
        let err = Rc::clone(&self.err);
        self.words_to_terminal
            .then(|| Box::new(move |text: &str| say(&err, text)) as Tell)
    }
}

impl Console {
    /// Ends when nobody reads the results any more, as behind `| head`: a wait that has nothing new to write would not
    /// notice it otherwise.
    pub fn reader_gone(&self) -> impl Future<Output = ()> + 'static {
        let standard = self.standard;
        async move {
            if standard {
                gone(io::stdout().as_fd()).await;
            } else {
                std::future::pending().await
            }
        }
    }
}

/// Ends when the other end of a pipe is closed; never for what is none.
async fn gone(fd: BorrowedFd<'_>) {
    // Files cannot be watched, and have no reader that goes away. The descriptor is copied, as watching it twice fails.
    let watched = fd.try_clone_to_owned();
    let watched = watched.and_then(pipe::Sender::from_owned_fd_unchecked);
    if let Ok(watched) = watched
        && watched.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

fn say(err: &RefCell<Box<dyn Write + Send>>, text: &str) {
    let mut err = err.borrow_mut();
    let _ = writeln!(err, "{text}");
    let _ = err.flush();
}

/// What `TERM` says; `dumb` is the name of those that only write lines.
fn moves_cursor(term: Option<&str>) -> bool {
    term != Some("dumb")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_reader_that_goes_away_is_noticed() {
        const LIMIT: Duration = Duration::from_secs(5);
        let (reader, writer) = io::pipe().unwrap();
        let early = tokio::time::timeout(Duration::from_millis(50), gone(writer.as_fd())).await;
        assert!(early.is_err(), "somebody reads");
        drop(reader);
        let end = tokio::time::timeout(LIMIT, gone(writer.as_fd())).await;
        assert!(end.is_ok());
    }

    #[test]
    fn dumb_terminals_are_not_drawn_over() {
        assert!(moves_cursor(Some("xterm-256color")) && moves_cursor(None));
        assert!(!moves_cursor(Some("dumb")));
    }
}
