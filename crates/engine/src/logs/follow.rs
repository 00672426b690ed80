//! Reads a log from its start position on, through rotations, until it ends.

use super::line::{LogLine, parse, too_late, wanted};
use super::{Watched, names, position};
use model::logs::LogOptions;
use rustix::fs::inotify;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Room for the kernel's notices; what they say does not matter, only that there are some.
const NOTICES: usize = 4096;

/// A reader of one log.
pub(super) struct Reader {
    path: PathBuf,
    max_files: u32,
    options: LogOptions,
    lines: mpsc::Sender<LogLine>,
    /// Files to read, the oldest first; the last one may still grow.
    files: VecDeque<File>,
    /// The file that was read last, when all are read.
    current: Option<File>,
    /// Beginning of a line whose end is not written yet.
    partial: Vec<u8>,
    notices: Option<Receiver>,
}

/// Whether the reader wants more.
#[derive(PartialEq, Eq)]
enum Flow {
    More,
    Enough,
}

impl Reader {
    pub(super) fn new(
        path: &Path,
        max_files: u32,
        options: LogOptions,
        lines: mpsc::Sender<LogLine>,
    ) -> io::Result<Reader> {
        // The watch comes before the look: what is written in between is seen twice rather than never.
        let notices = if options.follow {
            path.parent().map(watch).transpose()?
        } else {
            None
        };
        let start = position::start(&names(path, max_files), options.tail)?;
        Ok(Reader {
            path: path.to_owned(),
            max_files,
            options,
            lines,
            files: start.files.into(),
            current: None,
            partial: Vec::new(),
            notices,
        })
    }

    pub(super) async fn run(mut self, mut container: Watched) -> io::Result<()> {
        loop {
            // Asked before reading: all output is in the file when the container has ended.
            let over = container.is_over();
            if self.read_all().await? == Flow::Enough {
                return Ok(());
            }
            if !self.next_files()?.is_empty() {
                continue;
            }
            let Some(notices) = self.notices.as_ref().filter(|_| !over) else {
                return Ok(());
            };
            tokio::select! {
                noticed = notices.readable() => {
                    noticed?;
                    drain(notices)?;
                }
                () = container.over() => {}
                () = self.lines.closed() => return Ok(()),
            }
        }
    }

    /// Reads all files to their present end.
    async fn read_all(&mut self) -> io::Result<Flow> {
        if let Some(file) = self.current.take() {
            self.files.push_front(file);
        }
        let mut chunk = vec![0; CHUNK];
        while let Some(mut file) = self.files.pop_front() {
            loop {
                // From the page cache mostly; at most 64 KiB at a time.
                let size = file.read(&mut chunk)?;
                if size == 0 {
                    break;
                }
                if self.take(&chunk[..size]).await == Flow::Enough {
                    return Ok(Flow::Enough);
                }
            }
            self.current = Some(file);
            if !self.files.is_empty() {
                // A half line at the end of a file that is not written to any more.
                self.partial.clear();
            }
        }
        Ok(Flow::More)
    }

    async fn take(&mut self, chunk: &[u8]) -> Flow {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = rest.split_at(end + 1);
            rest = after;
            let parsed = if self.partial.is_empty() {
                parse(line)
            } else {
                self.partial.extend_from_slice(line);
                parse(&std::mem::take(&mut self.partial))
            };
            let Some(line) = parsed else { continue };
            if too_late(&line, &self.options) {
                return Flow::Enough;
            }
            if wanted(&line, &self.options) && self.lines.send(line).await.is_err() {
                return Flow::Enough;
            }
        }
        self.partial.extend_from_slice(rest);
        Flow::More
    }

    /// The files that are newer than the one read last: there are some after a rotation.
    fn next_files(&mut self) -> io::Result<&VecDeque<File>> {
        let last = match &self.current {
            Some(file) => Some(file.metadata()?.ino()),
            None => None,
        };
        for name in names(&self.path, self.max_files) {
            let file = match File::open(&name) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if Some(file.metadata()?.ino()) == last {
                break;
            }
            self.files.push_front(file);
        }
        if !self.files.is_empty() {
            // What was written to the old file before it was renamed may be unread yet.
            if let Some(current) = self.current.take() {
                self.files.push_front(current);
            }
        }
        Ok(&self.files)
    }
}

/// Notices of the kernel about a log's directory. To read they are like a pipe: bytes come when something happened.
fn watch(directory: &Path) -> io::Result<Receiver> {
    let flags = inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC;
    let notices = inotify::init(flags)?;
    let what =
        inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&notices, directory, what)?;
    Receiver::from_owned_fd_unchecked(notices)
}

/// Takes all notices, so that the next ones wake the reader again.
fn drain(notices: &Receiver) -> io::Result<()> {
    let mut buffer = [0; NOTICES];
    loop {
        match notices.try_read(&mut buffer) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}
