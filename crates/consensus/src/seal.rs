//! Encryption at rest: entries and snapshots hold the cluster's keys and its users' secrets.
//!
//! AES-256-GCM (NIST SP 800-38D) with one key per member, which lies beside the log in a file of mode 0600. So far this keeps
//! secrets out of copies and backups of the log alone; a key that is itself locked can take its place later, since each
//! sealed part names its key. Nonces are random: 2^32 entries, far beyond a member's life, stay within the bound of the mode.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::StartError;
use crate::wal::{io_error, segment};

/// The file of the key, beside the log.
const KEY_FILE: &str = "key";
const TEMPORARY: &str = "key.tmp";
/// First word of the file.
const MAGIC: &str = "starling-raft-key-1";
const KEY_LEN: usize = 32;
/// A key file is a line of some hundred bytes; more is not ours.
const MAX_KEY_FILE: u64 = 4096;
const TAG_LEN: usize = 16;
/// Snapshots are sealed in blocks of so many bytes, so that a part of one can be read without the rest.
pub(crate) const BLOCK: usize = 64 << 10;
/// A sealed block.
const SEALED_BLOCK: usize = BLOCK + TAG_LEN;
/// Random bytes of a snapshot's nonces; the rest counts its blocks.
const PREFIX_LEN: usize = NONCE_LEN - 4;

/// Why something could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(
        "it is sealed with the key {found:08x}, but the file `key` beside it holds {ours:08x}; put the right key file back"
    )]
    OtherKey { found: u32, ours: u32 },
    #[error("a sealed part is damaged or was changed")]
    Damaged,
}

/// The key of one member.
pub(crate) struct Seal {
    id: u32,
    key: LessSafeKey,
    /// Bound into everything that is sealed: what another member wrote does not pass for ours.
    owner: [u8; 8],
    random: SystemRandom,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal({:08x})", self.id)
    }
}

impl Seal {
    /// The key in `dir`, made when there is none yet. Blocking.
    pub(crate) fn open(dir: &Path, raft_id: u64) -> Result<Seal, StartError> {
        let path = dir.join(KEY_FILE);
        let key = match File::open(&path) {
            Ok(file) => read(file, &path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(dir, &path)?,
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        Ok(Seal::new(&key, raft_id))
    }

    /// A fixed key.
    #[cfg(test)]
    pub(crate) fn for_tests(raft_id: u64) -> Seal {
        Seal::with_key(7, raft_id)
    }

    /// Another fixed key.
    #[cfg(test)]
    pub(crate) fn with_key(byte: u8, raft_id: u64) -> Seal {
        Seal::new(&[byte; KEY_LEN], raft_id)
    }

    fn new(key: &[u8; KEY_LEN], raft_id: u64) -> Seal {
        let digest = ring::digest::digest(&ring::digest::SHA256, key);
        let id: [u8; 4] = digest.as_ref()[..4].try_into().expect("a digest is longer");
        let unbound = UnboundKey::new(&AES_256_GCM, key).expect("the key has the cipher's length");
        Seal {
            id: u32::from_be_bytes(id),
            key: LessSafeKey::new(unbound),
            owner: raft_id.to_le_bytes(),
            random: SystemRandom::new(),
        }
    }

    /// Seals the bytes of `out` from `start` on, in place: `key id | nonce | ciphertext | tag`.
    pub(crate) fn entry(&self, out: &mut Vec<u8>, start: usize) {
        let nonce: [u8; NONCE_LEN] = self.random();
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(self.owner),
                &mut out[start..],
            )
            .expect("entries are bounded far below the limit of the cipher");
        let head = self.id.to_le_bytes().into_iter().chain(nonce);
        out.splice(start..start, head);
        out.extend_from_slice(tag.as_ref());
    }

    /// What [`Seal::entry`] has sealed.
    pub(crate) fn open_entry(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (id, rest) = sealed.split_first_chunk().ok_or(OpenError::Damaged)?;
        self.is_ours(u32::from_le_bytes(*id))?;
        let (nonce, rest) = rest.split_first_chunk().ok_or(OpenError::Damaged)?;
        self.open_with(*nonce, rest)
    }

    /// Starts sealing a snapshot.
    pub(crate) fn blocks(&self) -> SealedBlocks {
        SealedBlocks {
            key: self.id,
            prefix: self.random(),
        }
    }

    /// Seals block `number` of a snapshot.
    pub(crate) fn block(&self, blocks: &SealedBlocks, number: u32, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(plain.len() + TAG_LEN);
        out.extend_from_slice(plain);
        let nonce = Nonce::assume_unique_for_key(blocks.nonce(number));
        self.key
            .seal_in_place_append_tag(nonce, Aad::from(self.owner), &mut out)
            .expect("a block is far below the limit of the cipher");
        out
    }

    /// What [`Seal::block`] has sealed.
    pub(crate) fn open_block(
        &self,
        blocks: &SealedBlocks,
        number: u32,
        sealed: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        self.is_ours(blocks.key)?;
        self.open_with(blocks.nonce(number), sealed)
    }

    fn is_ours(&self, found: u32) -> Result<(), OpenError> {
        if found == self.id {
            Ok(())
        } else {
            let ours = self.id;
            Err(OpenError::OtherKey { found, ours })
        }
    }

    fn open_with(&self, nonce: [u8; NONCE_LEN], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut bytes = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(self.owner), &mut bytes)
            .map_err(|_| OpenError::Damaged)?
            .len();
        bytes.truncate(plain);
        Ok(bytes)
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random
            .fill(&mut bytes)
            .expect("the kernel gives random bytes once it has booted");
        bytes
    }
}

/// How one snapshot is sealed: which key, and what its nonces begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SealedBlocks {
    pub(crate) key: u32,
    prefix: [u8; PREFIX_LEN],
}

impl SealedBlocks {
    /// As a snapshot's header has it.
    pub(crate) fn from_header(key: u32, prefix: &[u8]) -> Option<SealedBlocks> {
        let prefix = prefix.try_into().ok()?;
        Some(SealedBlocks { key, prefix })
    }

    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    fn nonce(&self, number: u32) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..PREFIX_LEN].copy_from_slice(&self.prefix);
        nonce[PREFIX_LEN..].copy_from_slice(&number.to_le_bytes());
        nonce
    }
}

/// Bytes that `plain` bytes of a snapshot occupy when they are sealed.
pub(crate) fn sealed_size(plain: u64) -> u64 {
    plain + plain.div_ceil(BLOCK as u64) * TAG_LEN as u64
}

/// Where block `number` lies in the sealed data of `plain` bytes: its offset and length.
pub(crate) fn sealed_place(plain: u64, number: u32) -> (u64, usize) {
    let before = u64::from(number) * BLOCK as u64;
    let len = plain.saturating_sub(before).min(BLOCK as u64);
    let len = usize::try_from(len).expect("a block fits in memory");
    (u64::from(number) * SEALED_BLOCK as u64, len + TAG_LEN)
}

fn read(file: File, path: &Path) -> Result<[u8; KEY_LEN], StartError> {
    let mut text = String::new();
    file.take(MAX_KEY_FILE)
        .read_to_string(&mut text)
        .map_err(io_error("read", path))?;
    let key = text
        .strip_prefix(MAGIC)
        .and_then(|rest| from_hex(rest.trim()));
    key.ok_or_else(|| StartError::Key {
        path: path.to_owned(),
    })
}

/// Makes a key and its file: durable before anything is sealed with it.
fn create(dir: &Path, path: &PathBuf) -> Result<[u8; KEY_LEN], StartError> {
    let mut key = [0; KEY_LEN];
    SystemRandom::new()
        .fill(&mut key)
        .map_err(|_| io_error("make a key for", path)(io::Error::other("no random bytes")))?;
    let temporary = dir.join(TEMPORARY);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(segment::FILE_MODE)
            .open(&temporary)?;
        let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(file, "{MAGIC} {digits}")?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        segment::sync_dir(dir)
    };
    write().map_err(io_error("write", path))?;
    Ok(key)
}

fn from_hex(digits: &str) -> Option<[u8; KEY_LEN]> {
    let mut key = [0; KEY_LEN];
    if digits.len() != 2 * KEY_LEN || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal::for_tests(1)
    }

    #[test]
    fn an_entry_comes_back_and_every_changed_byte_is_seen() {
        let mut bytes = b"head".to_vec();
        bytes.extend_from_slice(b"a secret");
        seal().entry(&mut bytes, 4);
        assert!(!bytes.windows(8).any(|part| part == b"a secret"));
        assert_eq!(seal().open_entry(&bytes[4..]).expect("opens"), b"a secret");
        for at in 4..bytes.len() {
            bytes[at] ^= 1;
            assert!(seal().open_entry(&bytes[4..]).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn another_key_is_named_and_another_member_refused() {
        let mut bytes = b"x".to_vec();
        seal().entry(&mut bytes, 0);
        let error = Seal::with_key(8, 1).open_entry(&bytes);
        assert!(
            matches!(error, Err(OpenError::OtherKey { .. })),
            "{error:?}"
        );
        let error = Seal::for_tests(2).open_entry(&bytes);
        assert!(matches!(error, Err(OpenError::Damaged)), "{error:?}");
    }

    #[test]
    fn blocks_keep_their_place() {
        let seal = seal();
        let blocks = seal.blocks();
        let first = seal.block(&blocks, 0, b"one");
        assert_eq!(seal.open_block(&blocks, 0, &first).expect("opens"), b"one");
        assert!(seal.open_block(&blocks, 1, &first).is_err());
        assert!(seal.open_block(&seal.blocks(), 0, &first).is_err());
    }

    #[test]
    fn places_of_blocks_follow_their_sizes() {
        let block = BLOCK as u64;
        assert_eq!(sealed_size(0), 0);
        assert_eq!(sealed_size(block), block + 16);
        assert_eq!(sealed_size(block + 1), block + 1 + 32);
        assert_eq!(sealed_place(block + 1, 1), (block + 16, 17));
    }

    #[test]
    fn the_key_file_is_made_once_for_its_owner_alone() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().expect("a directory");
        let first = Seal::open(dir.path(), 1).expect("made");
        let again = Seal::open(dir.path(), 1).expect("read");
        assert_eq!(first.id, again.id);
        let mode = std::fs::metadata(dir.path().join(KEY_FILE))
            .expect("it is there")
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(dir.path().join(KEY_FILE), "starling-raft-key-1 zz").expect("written");
        let error = Seal::open(dir.path(), 1).expect_err("no key");
        assert!(error.to_string().contains("key"), "{error}");
        assert!(!error.to_string().contains("zz"), "{error}");
    }
}
