//! The file: appending and rotation. A full disk loses log entries, never the container.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::json::{append_entry, rfc3339_nano};
use super::{Splitter, StreamName};
use crate::spec::LogFile;

/// Docker's mode of log files.
const MODE: u32 = 0o640;

/// A container's log.
#[derive(Debug)]
pub(crate) struct LogWriter {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: u64,
    max_files: u32,
    /// Bytes of entries that could not be written.
    lost: u64,
}

impl LogWriter {
    /// Opens the file, or continues it.
    pub(crate) fn open(log: &LogFile) -> io::Result<LogWriter> {
        let LogFile::JsonFile {
            path,
            max_size,
            max_files,
        } = log;
        let file = open(path)?;
        Ok(LogWriter {
            path: path.clone(),
            size: file.metadata()?.len(),
            file,
            max_size: *max_size,
            max_files: (*max_files).max(1),
            lost: 0,
        })
    }

    /// Bytes that were lost because they could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Writes what was read from a stream; `None` is its end. `buffer` is scratch memory.
    pub(crate) fn write(
        &mut self,
        bytes: Option<&[u8]>,
        stream: (StreamName, &mut Splitter),
        now: u64,
        buffer: &mut Vec<u8>,
    ) {
        let (name, splitter) = stream;
        let time = rfc3339_nano(now);
        buffer.clear();
        let mut entry = |line: &[u8]| {
            // As Docker: a file that has reached its size is rotated before the next entry.
            if self.size + buffer.len() as u64 >= self.max_size {
                self.append(buffer);
                buffer.clear();
                self.rotate();
            }
            append_entry(buffer, line, name, &time);
        };
        match bytes {
            Some(bytes) => splitter.push(bytes, &mut entry),
            None => splitter.finish(&mut entry),
        }
        self.append(buffer);
    }

    fn append(&mut self, entries: &[u8]) {
        if entries.is_empty() {
            return;
        }
        match self.file.write_all(entries) {
            Ok(()) => self.size += entries.len() as u64,
            Err(error) => self.lose(entries.len(), &error),
        }
    }

    fn lose(&mut self, bytes: usize, error: &io::Error) {
        if self.lost == 0 {
            eprintln!("log entries are lost in {}: {error}", self.path.display());
        }
        self.lost += bytes as u64;
    }

    /// When it fails the current file simply grows on.
    fn rotate(&mut self) {
        if self.size == 0 {
            return;
        }
        if let Err(error) = self.try_rotate() {
            eprintln!("cannot rotate {}: {error}", self.path.display());
        }
    }

    fn try_rotate(&mut self) -> io::Result<()> {
        if self.max_files == 1 {
            self.file.set_len(0)?;
            self.size = 0;
            return Ok(());
        }
        for number in (1..self.max_files).rev() {
            let older = match number {
                1 => self.path.clone(),
                _ => numbered(&self.path, number - 1),
            };
            match std::fs::rename(older, numbered(&self.path, number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&self.path)?;
        self.size = 0;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_lines(log: &LogFile, lines: std::ops::Range<u32>) {
        let mut writer = LogWriter::open(log).unwrap();
        let (mut splitter, mut buffer) = (Splitter::default(), Vec::new());
        for line in lines {
            let text = format!("line {line}\n");
            let stream = (StreamName::Stdout, &mut splitter);
            writer.write(Some(text.as_bytes()), stream, 0, &mut buffer);
        }
        assert_eq!(writer.lost(), 0);
    }

    fn lines(path: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .map(|line| {
                let entry: serde_json::Value = serde_json::from_str(line).unwrap();
                entry["log"].as_str().unwrap().to_owned()
            })
            .collect()
    }

    #[test]
    fn full_files_are_rotated_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c-json.log");
        // One entry has 65 to 66 bytes: 4 fill a file.
        let log = LogFile::JsonFile {
            path: path.clone(),
            max_size: 250,
            max_files: 3,
        };
        write_lines(&log, 0..6);
        // A writer that comes later continues.
        write_lines(&log, 6..14);
        assert_eq!(lines(&path), ["line 12\n", "line 13\n"]);
        assert_eq!(
            lines(&numbered(&path, 1)),
            ["line 8\n", "line 9\n", "line 10\n", "line 11\n"]
        );
        assert_eq!(lines(&numbered(&path, 2)).len(), 4);
        assert!(!numbered(&path, 3).exists());
    }

    #[test]
    fn one_file_is_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c-json.log");
        let log = LogFile::JsonFile {
            path: path.clone(),
            max_size: 1,
            max_files: 1,
        };
        write_lines(&log, 0..3);
        assert_eq!(lines(&path), ["line 2\n"]);
    }

    #[test]
    fn a_full_disk_loses_entries_and_nothing_else() {
        let mut writer = LogWriter::open(&LogFile::json_file("/dev/full")).unwrap();
        let (mut splitter, mut buffer) = (Splitter::default(), Vec::new());
        for expected in [1, 2] {
            let stream = (StreamName::Stdout, &mut splitter);
            writer.write(Some(b"x\n"), stream, 0, &mut buffer);
            assert_eq!(writer.lost(), expected * buffer.len() as u64);
        }
    }
}
