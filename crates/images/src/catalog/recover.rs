//! Reading the images at open: from the table, or from the record files when the table is lost or damaged.

use std::collections::BTreeMap;
use std::io;

use super::state::{Known, State, Stored, VERSION};
use crate::error::StoreError;
use crate::record::ImageId;
use crate::store::Store;
use crate::table::Table;

/// The row that says that the table was filled: an empty table without it was lost, not emptied.
const MARKER_KEY: &[u8] = b"format";
const MARKER_VALUE: &[u8] = b"1";
/// The beginning of the keys of images.
const IMAGE_KEY: &[u8] = b"image/";

pub(super) fn recover(store: &Store, table: &dyn Table) -> Result<State, StoreError> {
    let mut images = match read_table(table) {
        Ok(Some(rows)) => reconcile(store, rows)?,
        Ok(None) => read_records(store)?,
        Err(error) => {
            tracing::warn!(%error, "the table of images is damaged: it is rebuilt from the records on disk");
            read_records(store)?
        }
    };
    give_each_name_once(&mut images);
    write_table(table, &images)
        .map_err(|error| StoreError::new("write the table of images", error))?;
    let mut state = State::default();
    for (id, stored) in images {
        match Known::read(store, stored) {
            Ok(known) => state.insert(known),
            Err(why) => {
                tracing::warn!(image = %id, why, "an image is damaged and left out: pull or load it again")
            }
        }
    }
    Ok(state)
}

/// A row is its image's record, or what is there instead is unreadable.
type Rows = BTreeMap<ImageId, Option<Stored>>;

/// None for a table that was never filled.
fn read_table(table: &dyn Table) -> io::Result<Option<Rows>> {
    match table.get(MARKER_KEY)? {
        None => return Ok(None),
        Some(marker) if marker == MARKER_VALUE => {}
        Some(_) => {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is of another version",
            ));
        }
    }
    let mut rows = Rows::new();
    for (key, value) in table.scan()? {
        let Some(hex) = key
            .strip_prefix(IMAGE_KEY)
            .and_then(|hex| std::str::from_utf8(hex).ok())
        else {
            continue;
        };
        if let Ok(digest) = crate::Digest::from_hex(hex) {
            let id = ImageId(digest);
            rows.insert(id.clone(), parse(&id, &value));
        }
    }
    Ok(Some(rows))
}

fn parse(id: &ImageId, json: &[u8]) -> Option<Stored> {
    let stored: Stored = serde_json::from_slice(json).ok()?;
    (stored.id == *id && stored.version == VERSION).then_some(stored)
}

/// The rows decide; the record files are brought in line, and used where a row is unreadable.
fn reconcile(store: &Store, rows: Rows) -> Result<BTreeMap<ImageId, Stored>, StoreError> {
    let mut files = read_records(store)?;
    let mut images = BTreeMap::new();
    for (id, row) in rows {
        let file = files.remove(&id);
        let Some(stored) = row.or_else(|| file.clone()) else {
            tracing::warn!(image = %id, "the record of an image cannot be read: pull or load it again");
            continue;
        };
        if file.as_ref() != Some(&stored) {
            store.write_durably(&Stored::record_path(store, &id), &stored.to_json())?;
        }
        images.insert(id, stored);
    }
    // A crash came between a file and its row: the change was not acknowledged.
    for id in files.into_keys() {
        store.remove_durably(&Stored::record_path(store, &id))?;
    }
    Ok(images)
}

fn read_records(store: &Store) -> Result<BTreeMap<ImageId, Stored>, StoreError> {
    let mut images = BTreeMap::new();
    for digest in store.digests_in("records", ".json")? {
        let id = ImageId(digest);
        let path = Stored::record_path(store, &id);
        let json = std::fs::read(&path).map_err(StoreError::at("read", &path))?;
        match parse(&id, &json) {
            Some(stored) => drop(images.insert(id, stored)),
            None => tracing::warn!(path = %path.display(), "the record of an image cannot be read"),
        }
    }
    Ok(images)
}

/// After a crash between two rows a name may be at two images: the one that was tagged last has it.
fn give_each_name_once(images: &mut BTreeMap<ImageId, Stored>) {
    let mut order: Vec<ImageId> = images.keys().cloned().collect();
    order.sort_by_key(|id| std::cmp::Reverse(images[id].last_tagged));
    let mut taken = std::collections::BTreeSet::new();
    for id in order {
        let stored = images.get_mut(&id).expect("the keys are the map's own");
        let names: Vec<_> = stored.names().cloned().collect();
        for name in names {
            if !taken.insert(name.clone()) {
                stored.forget(&name);
            }
        }
    }
}

fn write_table(table: &dyn Table, images: &BTreeMap<ImageId, Stored>) -> io::Result<()> {
    for (id, stored) in images {
        let (key, value) = (Stored::row_key(id), stored.to_json());
        if table.get(&key).ok().flatten().as_ref() != Some(&value) {
            table.put(&key, &value)?;
        }
    }
    if table.get(MARKER_KEY).ok().flatten().as_deref() != Some(MARKER_VALUE) {
        table.put(MARKER_KEY, MARKER_VALUE)?;
    }
    table.flush()
}
