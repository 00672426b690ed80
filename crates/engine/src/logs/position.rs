//! Where to begin reading: so many lines before the end of a log, which may lie in rotated files.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes that are read at once, going backwards.
const BLOCK: usize = 64 << 10;

/// The files of a log, the oldest first.
pub(super) struct Start {
    /// Files to read from their position on.
    pub(super) files: Vec<File>,
}

/// Opens what is there of `names` (the newest first), positioned at the last `tail` lines; at the beginning without.
pub(super) fn start(names: &[std::path::PathBuf], tail: Option<u64>) -> io::Result<Start> {
    let mut files = Vec::new();
    let mut missing = tail;
    for name in names {
        let mut file = match File::open(name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let Some(wanted) = missing {
            missing = Some(wanted - seek_back(&mut file, wanted)?);
        }
        files.push(file);
        if missing == Some(0) {
            break;
        }
    }
    files.reverse();
    Ok(Start { files })
}

/// Moves to the beginning of the last `wanted` lines; returns how many there are at most.
fn seek_back(file: &mut File, wanted: u64) -> io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    if wanted == 0 {
        return Ok(0);
    }
    let mut block = vec![0; BLOCK];
    // A line without its newline at the end is one, too.
    let mut lines = u64::from(end > 0 && last_byte(file, end)? != b'\n');
    // The newline that ends the last line begins none.
    let mut newlines = 0;
    let goal = wanted + 1 - lines;
    while end > 0 {
        let size = end.min(BLOCK as u64);
        let begin = end - size;
        let block = &mut block[..usize::try_from(size).unwrap_or(BLOCK)];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(block)?;
        for (at, _) in block
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, byte)| **byte == b'\n')
        {
            newlines += 1;
            if newlines == goal {
                file.seek(SeekFrom::Start(begin + at as u64 + 1))?;
                return Ok(wanted);
            }
        }
        end = begin;
    }
    lines += newlines;
    file.seek(SeekFrom::Start(0))?;
    Ok(lines.min(wanted))
}

fn last_byte(file: &mut File, end: u64) -> io::Result<u8> {
    let mut byte = [0];
    file.seek(SeekFrom::Start(end - 1))?;
    file.read_exact(&mut byte)?;
    Ok(byte[0])
}
