//! Which pictures of a folder go into which shard.
//!
//! A plan is made out of names and sizes alone, and is the same whenever the folder is. Pictures are put in
//! random order, as orders that read shards from their beginning to their end need it.

use crate::image::picture_facts;
use crate::records::Format;
use crate::source::{self, Object};
use crate::{DataError, Order};
use bytes::Bytes;
use std::collections::HashMap;

/// Pictures to pack, and the form of their shards.
#[derive(Clone, Debug)]
pub struct Pack {
    /// Pictures and their classes, by URI; no class where there are none.
    pub pictures: Vec<(String, Option<String>)>,
    /// The folder that the pictures lie below, whose name the shards get.
    pub source: String,
    /// The folder that the shards are put into.
    pub folder: String,
    /// Tar or Parquet.
    pub format: Format,
    /// Bytes of a shard, about; at least one picture is in each.
    pub shard_bytes: u64,
    /// Seeds the order of the pictures.
    pub seed: u64,
}

/// Tar's unit, and what ends a tar.
const BLOCK: u64 = 512;
const END: u64 = 2 * BLOCK;
/// Bytes that a tar's header has for a name; a longer one becomes a member of its own before it.
const LONGEST_NAME: usize = 100;

/// Is told of each picture that is packed although its beginning is that of none, in no order.
pub type Report<'a> = &'a (dyn Fn(&DataError) + Sync);

/// One sample of the plan.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) uri: String,
    pub(super) size: u64,
    pub(super) key: String,
    pub(super) extension: String,
    pub(super) class: Option<String>,
}

impl Planned {
    /// The encoded picture. `report` is told where its beginning is that of none.
    ///
    /// # Errors
    /// When it cannot be read, or is not as large as it was when the plan was made.
    pub(super) fn read(&self, report: Report<'_>) -> Result<Bytes, DataError> {
        let picture = source::read(&self.uri)?;
        if picture.len() as u64 != self.size {
            let found = format!("{}: it changed while it was packed", picture.len());
            return Err(DataError::source(&self.uri, format!("{} bytes", self.size), found));
        }
        if let Err(error) = picture_facts(&self.uri, &picture) {
            report(&error);
        }
        Ok(picture)
    }

    /// Bytes in the tar.
    fn bytes(&self) -> u64 {
        let picture = member_bytes(self.key.len() + 1 + self.extension.len(), self.size);
        let class =
            self.class.as_ref().map_or(0, |class| member_bytes(self.key.len() + 4, class.len() as u64));
        picture + class
    }
}

/// Bytes of a member with a name and a content of these lengths.
fn member_bytes(name: usize, content: u64) -> u64 {
    let long = if name > LONGEST_NAME { BLOCK + (name as u64 + 1).next_multiple_of(BLOCK) } else { 0 };
    long + BLOCK + content.next_multiple_of(BLOCK)
}

/// Bytes of a tar of these samples.
pub(super) fn tar_bytes(samples: &[Planned]) -> u64 {
    samples.iter().map(Planned::bytes).sum::<u64>() + END
}

/// Which pictures go where.
///
/// # Errors
/// When there is no picture, or the size of one cannot be known.
pub(super) fn plan(pack: &Pack) -> Result<Vec<Vec<Planned>>, DataError> {
    let objects: Vec<Object> =
        pack.pictures.iter().map(|(uri, _)| Object::open(uri)).collect::<Result<_, _>>()?;
    let stats = source::stats(&objects)?;
    let above = pack.source.trim_end_matches('/').len();
    let mut taken: HashMap<String, u64> = HashMap::new();
    let mut samples: Vec<Option<Planned>> = Vec::with_capacity(stats.len());
    for ((uri, class), stat) in pack.pictures.iter().zip(stats) {
        let relative = uri.get(above..).unwrap_or(uri).trim_start_matches('/');
        let (stem, extension) = relative.rsplit_once('.').unwrap_or((relative, ""));
        // A dot would end the key. Two pictures that differ in their ending alone are two samples.
        let mut key = stem.replace('.', "_");
        let times = taken.entry(key.clone()).or_default();
        *times += 1;
        if *times > 1 {
            key = format!("{key}-{times}");
        }
        let extension = extension.to_ascii_lowercase();
        samples.push(Some(Planned {
            uri: uri.clone(),
            size: stat.size,
            key,
            extension,
            class: class.clone(),
        }));
    }
    let order = Order::shuffled(pack.seed, 0, samples.len() as u64);
    let mut shards: Vec<Vec<Planned>> = Vec::new();
    let mut bytes = u64::MAX;
    for position in 0..order.len() {
        let Some(sample) = samples[order.at(position) as usize].take() else { continue };
        if bytes.saturating_add(sample.bytes()) > pack.shard_bytes {
            shards.push(Vec::new());
            bytes = END;
        }
        bytes += sample.bytes();
        if let Some(shard) = shards.last_mut() {
            shard.push(sample);
        }
    }
    match shards.is_empty() {
        false => Ok(shards),
        true => Err(DataError::source(&pack.source, "pictures", "none")),
    }
}
