//! What a daemon finds after a restart, a crash, and the loss of its table.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use images::{Config, Images, MemoryTable, Row, Table};

use crate::support::{TestStore, simple_archive};

/// What the images are, as a comparable text.
fn summary(images: &Images) -> Vec<String> {
    let line = |image: &Arc<images::ImageRecord>| {
        format!(
            "{} {:?} {} {:?}",
            image.id,
            image.repo_tags(),
            image.size,
            image.last_tagged
        )
    };
    images.list().iter().map(line).collect()
}

async fn filled() -> TestStore {
    let store = TestStore::new();
    store
        .load(simple_archive("1", &["a:1", "a:2"]))
        .await
        .unwrap();
    store.load(simple_archive("2", &["b:1"])).await.unwrap();
    store.load(simple_archive("3", &["a:2"])).await.unwrap();
    store
}

#[tokio::test]
async fn images_are_there_after_a_restart() {
    let store = filled().await;
    let before = summary(&store.images);
    assert_eq!(before.len(), 3);
    let store = store.reopen();
    assert_eq!(summary(&store.images), before);
    assert_eq!(store.images.inspect("a:2").unwrap().repo_tags(), ["a:2"]);
}

#[tokio::test]
async fn a_lost_table_is_rebuilt_from_the_records() {
    let store = filled().await;
    let before = summary(&store.images);
    let table = Arc::new(MemoryTable::default());
    let images = Images::open(store.directory.path(), table.clone(), Config::default()).unwrap();
    assert_eq!(summary(&images), before);
    assert_eq!(table.scan().unwrap(), store.table.scan().unwrap());
}

#[tokio::test]
async fn a_damaged_row_is_read_from_its_record() {
    let store = filled().await;
    let before = summary(&store.images);
    let key = store
        .table
        .scan()
        .unwrap()
        .into_iter()
        .find(|(key, _)| key.starts_with(b"image/"))
        .unwrap()
        .0;
    store.table.put(&key, b"{ damaged").unwrap();
    let store = store.reopen();
    assert_eq!(summary(&store.images), before);
    assert_ne!(store.table.get(&key).unwrap().unwrap(), b"{ damaged");
}

#[tokio::test]
async fn the_table_decides_where_records_differ() {
    let store = filled().await;
    let record = store.path("records").join(&store.entries("records")[0]);
    std::fs::write(&record, b"half a rec").unwrap();
    let before = summary(&store.images);
    let store = store.reopen();
    assert_eq!(summary(&store.images), before);
    // And the record is whole again, in case the table is lost next.
    let images = Images::open(
        store.directory.path(),
        Arc::new(MemoryTable::default()),
        Config::default(),
    )
    .unwrap();
    assert_eq!(summary(&images), before);
}

#[tokio::test]
async fn an_image_whose_removal_was_acknowledged_does_not_come_back() {
    let store = filled().await;
    let kept: Vec<_> = std::fs::read_dir(store.path("records"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let bytes: Vec<_> = kept
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    store.images.remove("b:1", false, &|_| Vec::new()).unwrap();
    // A record file of before the removal, as if it had not reached the disk.
    for (path, bytes) in kept.iter().zip(bytes) {
        std::fs::write(path, bytes).unwrap();
    }
    let store = store.reopen();
    assert!(store.images.inspect("b:1").is_err());
    assert_eq!(store.entries("records").len(), 2);
}

#[tokio::test]
async fn a_name_at_two_images_belongs_to_the_later_one() {
    let store = filled().await;
    let (old, new) = (
        store.images.inspect("a:1").unwrap(),
        store.images.inspect("a:2").unwrap(),
    );
    let key = format!("image/{}", old.id.hex()).into_bytes();
    let row = String::from_utf8(store.table.get(&key).unwrap().unwrap()).unwrap();
    let row = row.replace(
        r#""docker.io/library/a:1""#,
        r#""docker.io/library/a:1","docker.io/library/a:2""#,
    );
    store.table.put(&key, row.as_bytes()).unwrap();
    let store = store.reopen();
    assert_eq!(store.images.inspect("a:2").unwrap().id, new.id);
    assert_eq!(store.images.inspect("a:1").unwrap().repo_tags(), ["a:1"]);
}

#[tokio::test]
async fn half_done_work_is_removed_at_open() {
    let store = filled().await;
    let temporary = store.path("tmp/layer-99/diff/etc");
    std::fs::create_dir_all(&temporary).unwrap();
    std::fs::write(temporary.join("half"), b"x").unwrap();
    std::fs::write(store.path("tmp/blob-98"), b"half").unwrap();
    let store = store.reopen();
    assert!(store.entries("tmp").is_empty());
    assert_eq!(store.images.list().len(), 3);
}

#[tokio::test]
async fn what_no_image_needs_is_collected() {
    let store = filled().await;
    let (blobs, layers) = (store.entries("blobs/sha256"), store.entries("layers"));
    // Blobs and layers of a pull whose image was never recorded.
    let stray = images::Digest::of(b"stray");
    std::fs::write(store.path("blobs/sha256").join(stray.hex()), b"stray").unwrap();
    std::fs::create_dir_all(store.path("layers").join(stray.hex()).join("diff")).unwrap();
    let collected = store.images.gc().unwrap();
    assert_eq!(
        (collected.blobs, collected.layers, collected.bytes),
        (1, 1, 5)
    );
    assert_eq!(
        (store.entries("blobs/sha256"), store.entries("layers")),
        (blobs, layers)
    );
    assert_eq!(store.images.gc().unwrap(), images::Collected::default());
}

#[tokio::test]
async fn a_damaged_image_is_left_out_and_can_be_loaded_again() {
    let store = filled().await;
    let image = store.images.inspect("b:1").unwrap();
    std::fs::write(store.path("blobs/sha256").join(image.id.hex()), b"{}").unwrap();
    let store = store.reopen();
    assert_eq!(store.images.list().len(), 2);
    assert!(store.images.inspect("b:1").is_err());
    store.images.gc().unwrap();
    store.load(simple_archive("2", &["b:1"])).await.unwrap();
    assert_eq!(store.images.inspect("b:1").unwrap().id, image.id);
    assert_eq!(store.reopen().images.list().len(), 3);
}

/// A table that fails when it is told to.
#[derive(Default)]
struct Failing {
    inner: MemoryTable,
    fails: AtomicBool,
}

impl Failing {
    fn check(&self) -> io::Result<()> {
        if self.fails.load(Ordering::Relaxed) {
            Err(io::Error::other("the disk is gone"))
        } else {
            Ok(())
        }
    }
}

impl Table for Failing {
    fn get(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        self.check()?;
        self.inner.get(key)
    }
    fn put(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.put(key, value)
    }
    fn delete(&self, key: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.delete(key)
    }
    fn scan(&self) -> io::Result<Vec<Row>> {
        self.check()?;
        self.inner.scan()
    }
    fn flush(&self) -> io::Result<()> {
        self.check()
    }
}

#[tokio::test]
async fn a_failing_table_is_an_error_and_not_a_success() {
    let directory = tempfile::tempdir().unwrap();
    let table = Arc::new(Failing::default());
    let images = Images::open(directory.path(), table.clone(), Config::default()).unwrap();
    table.fails.store(true, Ordering::Relaxed);
    let archive = io::Cursor::new(simple_archive("1", &["a:1"]));
    let error = images
        .load(archive, images::Progress::none())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write the table of images: the disk is gone"
    );
    assert!(images.list().is_empty());
    assert!(Images::open(directory.path(), table.clone(), Config::default()).is_err());
    table.fails.store(false, Ordering::Relaxed);
    let images = Images::open(directory.path(), table, Config::default()).unwrap();
    assert!(images.list().is_empty());
}
