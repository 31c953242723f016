//! The place of every sample of a set of shards, or of every block of samples, in one small sidecar beside
//! them.
//!
//! ```text
//! train-{0000..0007}.tar -> train-0000..0007.index.parquet
//!   footer       each shard's name, size, version and count of samples; the classes
//!   row group    a shard: sample, records, line, key, class, extension, offset, length, crc32; one
//!                row a part of a tar's sample, a block of records, or a picture of a Parquet row group
//! ```
//!
//! It holds nothing that the shards do not say, and is built again when it is missing or a shard
//! has another size or version than it had. Opening one reads the footer; the rows of a shard are read
//! when a sample of it is wanted, and those of the shards used last are kept; to read
//! samples, only where they lie (`lookup`).

mod build;
mod lookup;
mod progress;
mod rows;
mod sidecar;

pub use build::Progress;
pub(crate) use lookup::{Lookup, Place};
pub use progress::{Show, report, show};
pub(crate) use rows::Rows;

use crate::recent::Recent;
pub(crate) use crate::records::Block;
use crate::records::{Entry, Format, Layout, SIDECAR_ENDING, files, without_tar};
use crate::source::packing::Compression;
use crate::source::{self, Object, Stat, cache};
use crate::{DataError, Shards};
use serde::{Deserialize, Serialize};
pub(crate) use sidecar::Sidecar;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of rows that are kept in memory, and as many of what is looked up in them.
const KEPT: u64 = 64 << 20;

/// A shard in the footer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Indexed {
    /// The last part of its URI.
    pub name: String,
    pub stat: Stat,
    pub compression: Compression,
    /// Samples.
    pub samples: u64,
}

/// The samples of each class, by name; those without one under none.
pub type Classes = BTreeMap<Option<String>, u64>;

/// A set of shards and the place of every sample in them.
#[derive(Debug)]
pub struct Index {
    uri: String,
    objects: Vec<Object>,
    shards: Shards,
    sidecar: Sidecar,
    rows: Mutex<Recent<usize, Arc<Rows>>>,
    lookups: Mutex<Recent<usize, Arc<Lookup>>>,
    /// The share of [`KEPT`] that the rows of a shard take at least.
    share: AtomicU64,
}

impl Index {
    /// Opens the shards that `uri` names: a file of any format with many records, a glob or braces. Builds
    /// the index when there is none or a shard has changed, and keeps it beside the shards or, where that
    /// place cannot be written to, in the local cache. `progress` is told of every shard that is read for it.
    ///
    /// # Errors
    /// When a shard is missing, damaged or cut short.
    pub fn open(uri: &str, progress: &mut dyn FnMut(Progress)) -> Result<Self, DataError> {
        Index::open_as(uri, &Layout::of(uri)?, progress)
    }

    /// As [`Index::open`], of shards of a layout.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open_as(
        uri: &str,
        layout: &Layout,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, DataError> {
        Index::open_or_build(uri, layout, Begin::Open, progress)
    }

    /// As [`Index::open`], and writes nothing: an index that has to be built is held in memory.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn look(uri: &str, progress: &mut dyn FnMut(Progress)) -> Result<Self, DataError> {
        Index::open_or_build(uri, &Layout::of(uri)?, Begin::Look, progress)
    }

    /// Builds the index of `uri` from the shards, whatever is there.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn build(uri: &str, progress: &mut dyn FnMut(Progress)) -> Result<Self, DataError> {
        Index::open_or_build(uri, &Layout::of(uri)?, Begin::Build, progress)
    }

    fn open_or_build(
        uri: &str,
        layout: &Layout,
        begin: Begin,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, DataError> {
        let objects = files(uri)?.iter().map(|uri| Object::open(uri)).collect::<Result<Vec<_>, _>>()?;
        if objects.is_empty() {
            return Err(DataError::source(uri, "shards", "none"));
        }
        let stats = source::stats(&objects)?;
        let places = Places::of(uri);
        let mut stale = None;
        for place in [&places.beside, &places.cached].into_iter().filter(|_| begin != Begin::Build) {
            // One that cannot be read is built again, whatever is wrong with it.
            let Ok(sidecar) = Object::open(place).and_then(Sidecar::open) else { continue };
            if sidecar.fits(layout, &objects, &stats) {
                return Ok(Index::new(uri, objects, sidecar));
            }
            stale = stale.or(Some(sidecar).filter(|stale| stale.layout() == layout));
        }
        let build = build::Build { uri, layout, objects: &objects, stats: &stats, stale: stale.as_ref() };
        let sidecar = match begin {
            Begin::Look => build.held(&places, progress)?,
            Begin::Open | Begin::Build => build.run(&places, progress)?,
        };
        Ok(Index::new(uri, objects, sidecar))
    }

    fn new(uri: &str, objects: Vec<Object>, sidecar: Sidecar) -> Self {
        let shards = Shards::new(sidecar.shards().iter().map(|shard| shard.samples));
        let (rows, lookups) = (Mutex::new(Recent::new(KEPT)), Mutex::new(Recent::new(KEPT)));
        Index { uri: uri.to_string(), objects, shards, sidecar, rows, lookups, share: AtomicU64::new(0) }
    }

    /// Keeps the rows of at most so many shards in memory: an order that opens few at a time needs no more,
    /// and what it takes does not grow with the set.
    pub(crate) fn keep_rows_of(&self, shards: u64) {
        self.share.store(KEPT / shards.max(1), Ordering::Relaxed);
    }

    /// The URI of the set.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// The URI of the index itself; of one that is held in memory, where it would be.
    pub fn sidecar_uri(&self) -> &str {
        self.sidecar.uri()
    }

    /// The cut of its shards into samples or blocks.
    pub fn layout(&self) -> &Layout {
        self.sidecar.layout()
    }

    /// The format of its shards.
    pub fn format(&self) -> Format {
        self.sidecar.layout().format()
    }

    /// The number of samples of each shard.
    pub fn shards(&self) -> &Shards {
        &self.shards
    }

    /// Bytes of all shards together, as they are stored.
    pub fn bytes(&self) -> u64 {
        self.sidecar.shards().iter().map(|shard| shard.stat.size).sum()
    }

    /// The samples of each class; `None` when there are more classes than any model has.
    pub fn classes(&self) -> Option<&Classes> {
        self.sidecar.classes()
    }

    /// Shard number `shard`.
    pub(crate) fn object(&self, shard: usize) -> &Object {
        &self.objects[shard]
    }

    /// The shard in the footer, without its rows.
    pub(crate) fn indexed(&self, shard: usize) -> &Indexed {
        &self.sidecar.shards()[shard]
    }

    /// The rows of a shard.
    ///
    /// # Errors
    /// When the sidecar cannot be read any more.
    pub(crate) fn rows(&self, shard: usize) -> Result<Arc<Rows>, DataError> {
        kept(&self.rows, shard, || {
            let rows = self.sidecar.rows(shard)?;
            let bytes = rows.bytes().max(self.share.load(Ordering::Relaxed));
            Ok((rows, bytes))
        })
    }

    /// The places of a shard's samples; its rows are not kept for it.
    ///
    /// # Errors
    /// When the sidecar cannot be read any more.
    pub(crate) fn lookup(&self, shard: usize) -> Result<Arc<Lookup>, DataError> {
        kept(&self.lookups, shard, || {
            let lookup = Lookup::of(&self.sidecar.rows(shard)?, |class| self.sidecar.class_number(class));
            let bytes = lookup.bytes().max(self.share.load(Ordering::Relaxed));
            Ok((lookup, bytes))
        })
    }

    /// The name of a shard's sample for messages, read from the sidecar; its number where that cannot be read
    /// any more.
    pub(crate) fn key(&self, shard: usize, number: u64) -> String {
        let rows = self.sidecar.rows(shard).ok().filter(|rows| number < rows.len());
        rows.map_or_else(|| number.to_string(), |rows| rows.key(number).to_string())
    }

    /// The entry of sample `index`, and the URI of its shard.
    ///
    /// # Errors
    /// When the sidecar cannot be read any more.
    ///
    /// # Panics
    /// When `index` is not below the number of samples.
    pub fn entry(&self, index: u64) -> Result<(&str, Entry), DataError> {
        let (shard, number) = self.shards.find(index);
        Ok((self.objects[shard].uri(), self.rows(shard)?.entry(number)))
    }
}

/// The kept value of a shard, or the one that `read` makes, with its bytes of memory. Two threads may read
/// the same: the lock is not held over a request.
fn kept<T>(
    recent: &Mutex<Recent<usize, Arc<T>>>,
    shard: usize,
    read: impl FnOnce() -> Result<(T, u64), DataError>,
) -> Result<Arc<T>, DataError> {
    let recent = || recent.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kept) = recent().get(&shard) {
        return Ok(kept);
    }
    let (value, bytes) = read()?;
    let value = Arc::new(value);
    recent().put(shard, value.clone(), bytes);
    Ok(value)
}

/// How an index is come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// Opened where there is one, or built and kept.
    Open,
    /// Built, whatever is there, and kept.
    Build,
    /// Opened where there is one, or built and not kept.
    Look,
}

/// The places that a set's sidecar may lie in.
struct Places {
    beside: String,
    cached: String,
}

impl Places {
    /// The folder above everything that varies, and a name that says what does.
    fn of(uri: &str) -> Self {
        let varies = uri.find(['*', '?', '[', '{']).unwrap_or(uri.len());
        let cut = uri[..varies].rfind('/').map_or(0, |slash| slash + 1);
        let (folder, pattern) = uri.split_at(cut);
        let name: String = without_tar(pattern)
            .chars()
            .filter_map(|letter| match letter {
                '*' => Some("all".to_string()),
                '/' => Some("-".to_string()),
                '{' | '}' | '[' | ']' | '?' => None,
                letter => Some(letter.to_string()),
            })
            .collect();
        let name = format!("{name}{SIDECAR_ENDING}");
        let cached = cache::path("index", uri, &name).display().to_string();
        Places { beside: format!("{folder}{name}"), cached }
    }
}

#[cfg(test)]
mod tests;
