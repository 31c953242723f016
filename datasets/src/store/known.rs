//! The identity of streamed data, kept by a run: a run that goes on reads the same data, or names the
//! difference.

use super::blocks::Source;
use crate::{DataError, saved, source};
use serde::{Deserialize, Serialize};
use std::path::Path;

const FILE: &str = "streamed.json";
const FORMAT: &str = "bonfire.streamed";
const VERSION: u64 = 1;

/// The shards of streamed training data as a run began with them, saved as `streamed.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    format: String,
    version: u64,
    shards: Vec<KnownShard>,
    /// The tokens of each block, where samples are windows of tokens; empty elsewhere.
    pub tokens: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownShard {
    /// The last part of its URI.
    name: String,
    blocks: u64,
    records: u64,
    /// A checksum of the checksums of its blocks.
    crc32: u32,
}

impl Known {
    /// The shards of a source, and the tokens of its blocks.
    pub(crate) fn of(source: &Source, tokens: Vec<u32>) -> Self {
        let shards = (0..source.num_shards()).map(|shard| KnownShard::of(source, shard)).collect();
        Known { format: FORMAT.to_string(), version: VERSION, shards, tokens }
    }

    /// The identity that a run kept, for it to go on with a source.
    ///
    /// # Errors
    /// When it kept nothing, or the source is not the one that it began with.
    pub(crate) fn kept<'a>(known: &'a Option<Known>, source: &Source) -> Result<&'a Known, DataError> {
        let known = known.as_ref().ok_or_else(|| Known::none(source.uri()))?;
        known.check(source)?;
        Ok(known)
    }

    /// Names the first shard that differs, and what it was.
    fn check(&self, source: &Source) -> Result<(), DataError> {
        let began = "that the run began with";
        for (shard, known) in self.shards.iter().enumerate().take(source.num_shards()) {
            let uri = source.shard_uri(shard);
            let found = KnownShard::of(source, shard);
            if found.name != known.name {
                return Err(DataError::source(uri, format!("the file {} {began}", known.name), "another"));
            }
            if found.records != known.records {
                let (expected, found) = (known.records, found.records);
                return Err(DataError::source(uri, format!("the {expected} records {began}"), found));
            }
            if found != *known {
                let expected = format!("the contents {began} (checksum {:08x})", known.crc32);
                return Err(DataError::source(uri, expected, format!("others ({:08x})", found.crc32)));
            }
        }
        match (self.shards.len(), source.num_shards()) {
            (known, found) if known != found => {
                Err(DataError::source(source.uri(), format!("the {known} files {began}"), found))
            }
            _ => Ok(()),
        }
    }

    /// Writes `streamed.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), DataError> {
        saved::save(folder, FILE, self)
    }

    /// Reads `streamed.json`, where the run has one: it streams its data then.
    ///
    /// # Errors
    /// When it cannot be read, or is of another format or version.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, DataError> {
        match folder.join(FILE).exists() {
            true => saved::load(folder, FILE, FORMAT, VERSION).map(Some),
            false => Ok(None),
        }
    }

    /// The error of a run that held its data in memory when it began, now that they are to be streamed.
    pub(crate) fn none(uri: &str) -> DataError {
        DataError::source(uri, "the data that the run began with, which were held in memory", "larger ones")
    }
}

impl KnownShard {
    fn of(source: &Source, shard: usize) -> Self {
        KnownShard {
            name: source::name(source.shard_uri(shard)).to_string(),
            blocks: source.blocks_of(shard),
            records: source.index().shards().size(shard),
            crc32: source.checksum_of(shard),
        }
    }
}
