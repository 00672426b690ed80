//! Stores in temporary directories, tars made by hand, and commands.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use images::{
    Config, Digest, ImageId, Images, ImportError, LoadError, Loaded, MemoryTable, Progress,
    ProgressMessage,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A store that goes with its directory.
pub(crate) struct TestStore {
    pub(crate) images: Images,
    pub(crate) table: Arc<MemoryTable>,
    pub(crate) directory: TempDir,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests need root"
        );
        let directory = tempfile::tempdir().unwrap();
        let table = Arc::new(MemoryTable::default());
        let images = Images::open(directory.path(), table.clone(), Config::default()).unwrap();
        Self {
            images,
            table,
            directory,
        }
    }

    /// The store as a restarted daemon finds it.
    pub(crate) fn reopen(self) -> Self {
        let Self {
            images,
            table,
            directory,
        } = self;
        drop(images);
        let images = Images::open(directory.path(), table.clone(), Config::default()).unwrap();
        Self {
            images,
            table,
            directory,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn import(&self, tar: Vec<u8>) -> Result<ImageId, ImportError> {
        self.images.import(Cursor::new(tar), None, &[], "").await
    }

    pub(crate) async fn load(&self, archive: Vec<u8>) -> Result<Vec<Loaded>, LoadError> {
        self.images
            .load(Cursor::new(archive), Progress::none())
            .await
    }

    pub(crate) async fn save(&self, names: &[&str]) -> Vec<u8> {
        use futures_util::TryStreamExt;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let stream = self.images.save(&names).await.unwrap();
        stream
            .try_fold(Vec::new(), async |all, chunk| {
                Ok([all, chunk.to_vec()].concat())
            })
            .await
            .unwrap()
    }

    /// The unpacked root of an image of one layer.
    pub(crate) fn layer(&self, id: &ImageId) -> PathBuf {
        let rootfs = self.images.rootfs(id).unwrap();
        assert_eq!(rootfs.lower.len(), 1);
        rootfs.lower[0].clone()
    }

    /// Names of what is in a directory of the store.
    pub(crate) fn entries(&self, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(directory)).unwrap();
        let mut names: Vec<_> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Everything that a failed operation could have changed.
    pub(crate) fn contents(&self) -> Vec<Vec<String>> {
        let mut contents: Vec<_> = ["blobs/sha256", "layers", "records", "tmp"]
            .map(|d| self.entries(d))
            .into();
        // What was removed is emptied in the background.
        contents[3].retain(|name| !name.starts_with("removed-"));
        contents.push(
            self.images
                .list()
                .iter()
                .map(|image| image.id.to_string())
                .collect(),
        );
        contents
    }
}

/// Progress that is kept.
pub(crate) fn recorder() -> (Progress, Arc<Mutex<Vec<ProgressMessage>>>) {
    let messages = Arc::new(Mutex::new(Vec::new()));
    let sink = messages.clone();
    (
        Progress::new(move |message| sink.lock().unwrap().push(message)),
        messages,
    )
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

pub(crate) fn skopeo(arguments: &[&str]) -> String {
    String::from_utf8(run(Command::new("skopeo").args(arguments)).stdout).unwrap()
}

/// One member of a tar made by hand, so that anything can be wrong with it.
#[derive(Clone)]
pub(crate) struct Member {
    name: Vec<u8>,
    kind: u8,
    link: Vec<u8>,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    device: (u32, u32),
    data: Vec<u8>,
    pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Member {
    fn new(name: &str, kind: u8) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            kind,
            link: Vec::new(),
            mode: 0o644,
            owner: (0, 0),
            mtime: 1_700_000_000,
            device: (0, 0),
            data: Vec::new(),
            pax: Vec::new(),
        }
    }

    pub(crate) fn file(name: &str, data: &[u8]) -> Self {
        Self {
            data: data.to_vec(),
            ..Self::new(name, b'0')
        }
    }

    pub(crate) fn dir(name: &str) -> Self {
        Self {
            mode: 0o755,
            ..Self::new(name, b'5')
        }
    }

    pub(crate) fn symlink(name: &str, target: &str) -> Self {
        Self {
            link: target.as_bytes().to_vec(),
            mode: 0o777,
            ..Self::new(name, b'2')
        }
    }

    pub(crate) fn hard_link(name: &str, target: &str) -> Self {
        Self {
            link: target.as_bytes().to_vec(),
            ..Self::new(name, b'1')
        }
    }

    pub(crate) fn char_device(name: &str, major: u32, minor: u32) -> Self {
        Self {
            device: (major, minor),
            ..Self::new(name, b'3')
        }
    }

    pub(crate) fn block_device(name: &str, major: u32, minor: u32) -> Self {
        Self {
            device: (major, minor),
            ..Self::new(name, b'4')
        }
    }

    pub(crate) fn fifo(name: &str) -> Self {
        Self::new(name, b'6')
    }

    pub(crate) fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub(crate) fn owner(self, uid: u64, gid: u64) -> Self {
        Self {
            owner: (uid, gid),
            ..self
        }
    }

    pub(crate) fn mtime(self, mtime: u64) -> Self {
        Self { mtime, ..self }
    }

    pub(crate) fn pax(mut self, key: &str, value: &[u8]) -> Self {
        self.pax.push((key.as_bytes().to_vec(), value.to_vec()));
        self
    }

    pub(crate) fn xattr(self, name: &str, value: &[u8]) -> Self {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    fn write(&self, tar: &mut Vec<u8>) {
        if !self.pax.is_empty() {
            let mut records = Vec::new();
            for (key, value) in &self.pax {
                let tail = [b" ".as_slice(), key, b"=", value, b"\n"].concat();
                let mut length = tail.len();
                while length != tail.len() + length.to_string().len() {
                    length = tail.len() + length.to_string().len();
                }
                records.extend([length.to_string().as_bytes(), &tail].concat());
            }
            Self {
                data: records,
                ..Self::new("pax", b'x')
            }
            .write(tar);
        }
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..self.name.len()].copy_from_slice(&self.name);
        header.as_old_mut().linkname[..self.link.len()].copy_from_slice(&self.link);
        header.set_entry_type(tar::EntryType::new(self.kind));
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(self.mtime);
        header.set_size(self.data.len() as u64);
        header.set_device_major(self.device.0).unwrap();
        header.set_device_minor(self.device.1).unwrap();
        header.set_cksum();
        tar.extend(header.as_bytes());
        tar.extend(&self.data);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
}

pub(crate) fn tar(members: &[Member]) -> Vec<u8> {
    let mut tar = Vec::new();
    members.iter().for_each(|member| member.write(&mut tar));
    tar.extend([0; 1024]);
    tar
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// A configuration for these layers (uncompressed).
pub(crate) fn config(layers: &[&[u8]], command: &str) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    let history: Vec<Value> = layers
        .iter()
        .map(|_| json!({"created": "2024-01-02T03:04:05Z", "created_by": "COPY"}))
        .collect();
    serde_json::to_vec(&json!({
        "architecture": "amd64",
        "os": "linux",
        "author": "the tests",
        "created": "2024-01-02T03:04:05Z",
        "config": { "Cmd": [command], "Env": ["PATH=/bin"], "Labels": { "a": "b" } },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
        "history": history,
    }))
    .unwrap()
}

/// A docker-archive of one image; layers are as given, diff IDs those of `plain`.
pub(crate) fn archive(config: &[u8], layers: &[&[u8]], tags: &[&str]) -> Vec<u8> {
    let mut members = vec![Member::file("config.json", config)];
    let mut paths = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let path = format!("layer{number}/layer.tar");
        members.push(Member::file(&path, layer));
        paths.push(path);
    }
    let manifest = json!([{ "Config": "config.json", "RepoTags": tags, "Layers": paths }]);
    members.push(Member::file(
        "manifest.json",
        manifest.to_string().as_bytes(),
    ));
    tar(&members)
}

/// An archive of an image of one small layer, which says `content`.
pub(crate) fn simple_archive(content: &str, tags: &[&str]) -> Vec<u8> {
    let layer = simple_layer(content);
    archive(&config(&[&layer], content), &[&layer], tags)
}

pub(crate) fn simple_layer(content: &str) -> Vec<u8> {
    tar(&[
        Member::dir("etc/"),
        Member::file("etc/content", content.as_bytes()),
    ])
}

/// A file's content, from the topmost layer that has it.
pub(crate) fn read_through(lower: &[PathBuf], path: &str) -> String {
    let found = lower
        .iter()
        .find_map(|layer| std::fs::read_to_string(layer.join(path)).ok());
    found.unwrap_or_else(|| panic!("{path} is in none of {lower:?}"))
}

/// Everything in a directory: its path, mode, owner and target.
pub(crate) fn listing(directory: &Path) -> BTreeMap<String, String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(next) = pending.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let target = std::fs::read_link(&path)
                .map(|t| format!(" -> {}", t.display()))
                .unwrap_or_default();
            let name = path.strip_prefix(directory).unwrap().display().to_string();
            let line = format!(
                "{:o} {}:{}{target}",
                metadata.mode(),
                metadata.uid(),
                metadata.gid()
            );
            found.insert(name, line);
            if metadata.is_dir() {
                pending.push(path);
            }
        }
    }
    found
}
