//! Files with holes: the old GNU format and the PAX formats 0.0, 0.1 and 1.0.

use std::io::{self, Read};

use super::header::{self, Header};
use super::pax::{self, Records};
use super::{BLOCK, Chunk, Entry, EntryKind, TarReader, corrupt};

/// A pair of offset and length in an old GNU map, in bytes.
const GNU_PAIR: usize = 24;
/// The most runs of data of one file. A map of this many is 24 MiB of header; real ones have dozens.
const MAX_CHUNKS: usize = 1 << 20;

/// Gives `entry` its name, size and map if the file is sparse; `reader` is at the beginning of its data.
pub(super) fn apply<R: Read>(
    reader: &mut TarReader<R>,
    header: &Header,
    records: &Records,
    entry: &mut Entry,
) -> io::Result<()> {
    let chunks = if header.type_flag() == b'S' && header.is_gnu() {
        old_gnu(reader, header, entry)?
    } else if records.get(b"GNU.sparse.major") == Some(b"1") {
        pax_in_data(reader, records, entry)?
    } else if records.get(b"GNU.sparse.map").is_some()
        || records.get(b"GNU.sparse.numblocks").is_some()
    {
        pax_in_header(records, entry)?
    } else if header.type_flag() == b'S' {
        return Err(corrupt("a sparse member has no map"));
    } else {
        return Ok(());
    };
    if entry.kind != EntryKind::File {
        return Err(corrupt("a sparse member is not a file"));
    }
    let mut end = 0;
    let mut stored: u64 = 0;
    for chunk in &chunks {
        if chunk.offset < end {
            return Err(corrupt("the map of a sparse member is out of order"));
        }
        end = chunk.offset.checked_add(chunk.length).ok_or_else(bad_map)?;
        stored += chunk.length;
    }
    if end > entry.size || stored != reader.remaining {
        return Err(bad_map());
    }
    entry.sparse = Some(chunks);
    Ok(())
}

fn old_gnu<R: Read>(
    reader: &mut TarReader<R>,
    header: &Header,
    entry: &mut Entry,
) -> io::Result<Vec<Chunk>> {
    let (map, mut more, real_size) = header.gnu_sparse()?;
    let mut chunks = Vec::new();
    gnu_pairs(map, &mut chunks)?;
    // Further maps are blocks between the header and the data that its size does not count.
    while more {
        let mut block = [0; BLOCK];
        if !reader.read_block(&mut block)? {
            return Err(bad_map());
        }
        gnu_pairs(&block[..504], &mut chunks)?;
        more = block[504] != 0;
    }
    entry.size = real_size;
    Ok(chunks)
}

fn gnu_pairs(map: &[u8], chunks: &mut Vec<Chunk>) -> io::Result<()> {
    for pair in map.chunks_exact(GNU_PAIR) {
        let value = |field: &[u8]| {
            header::number(field)
                .and_then(|v| u64::try_from(v).ok())
                .ok_or_else(bad_map)
        };
        if pair[0] != 0 {
            push(chunks, value(&pair[..12])?, value(&pair[12..])?)?;
        }
    }
    Ok(())
}

/// Format 1.0: the map is decimal text in the first blocks of the data.
fn pax_in_data<R: Read>(
    reader: &mut TarReader<R>,
    records: &Records,
    entry: &mut Entry,
) -> io::Result<Vec<Chunk>> {
    real_name_and_size(records, entry)?;
    let mut lines = MapLines {
        reader,
        block: [0; BLOCK],
        at: BLOCK,
    };
    let count = lines.number()?;
    let mut chunks = Vec::new();
    for _ in 0..count {
        let offset = lines.number()?;
        push(&mut chunks, offset, lines.number()?)?;
    }
    Ok(chunks)
}

/// Formats 0.0 and 0.1: the map is in the PAX header.
fn pax_in_header(records: &Records, entry: &mut Entry) -> io::Result<Vec<Chunk>> {
    real_name_and_size(records, entry)?;
    let mut numbers = Vec::new();
    match records.get(b"GNU.sparse.map") {
        Some(map) => {
            for number in map.split(|byte| *byte == b',') {
                numbers.push(pax::parse_number(number)?);
            }
        }
        None => {
            for (_, number) in records.all(&[b"GNU.sparse.offset", b"GNU.sparse.numbytes"]) {
                numbers.push(pax::parse_number(number)?);
            }
        }
    }
    if numbers.len() % 2 != 0 {
        return Err(bad_map());
    }
    let mut chunks = Vec::new();
    for pair in numbers.chunks_exact(2) {
        push(&mut chunks, pair[0], pair[1])?;
    }
    Ok(chunks)
}

fn real_name_and_size(records: &Records, entry: &mut Entry) -> io::Result<()> {
    if let Some(name) = records.get(b"GNU.sparse.name") {
        entry.name = name.to_vec();
    }
    let size = records
        .number("GNU.sparse.realsize")?
        .or(records.number("GNU.sparse.size")?);
    entry.size = size.ok_or_else(|| corrupt("a sparse member does not tell its size"))?;
    Ok(())
}

fn push(chunks: &mut Vec<Chunk>, offset: u64, length: u64) -> io::Result<()> {
    if chunks.len() >= MAX_CHUNKS {
        return Err(corrupt("the map of a sparse member is too long"));
    }
    if length > 0 {
        chunks.push(Chunk { offset, length });
    }
    Ok(())
}

/// Decimal numbers, one a line, in whole blocks.
struct MapLines<'a, R> {
    reader: &'a mut TarReader<R>,
    block: [u8; BLOCK],
    at: usize,
}

impl<R: Read> MapLines<'_, R> {
    fn number(&mut self) -> io::Result<u64> {
        let mut digits = Vec::new();
        loop {
            if self.at == BLOCK {
                self.reader.read_exact(&mut self.block)?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return pax::parse_number(&digits),
                // A u64 has at most 20 digits.
                b'0'..=b'9' if digits.len() < 20 => digits.push(byte),
                _ => return Err(bad_map()),
            }
        }
    }
}

fn bad_map() -> io::Error {
    corrupt("the map of a sparse member does not fit its data")
}
