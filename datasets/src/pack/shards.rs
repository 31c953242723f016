//! The shards that packing writes: their names, and all of them written at once.

use crate::source::{self, Object};
use crate::{DataError, pool};

/// Shards that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The shards, by one URI with braces.
    pub uri: String,
    /// Shards.
    pub shards: usize,
    /// Shards among them that were there already.
    pub found: usize,
    /// Pictures.
    pub samples: u64,
    /// Bytes of all shards.
    pub bytes: u64,
}

/// The URI of a shard among `shards`; of all of them, with braces, for a number beyond.
pub(super) fn shard_uri(base: &str, shards: usize, shard: usize, extension: &str) -> String {
    let last = shards.saturating_sub(1);
    let width = 5.max(last.to_string().len());
    match shard < shards {
        true => format!("{base}-{shard:0width$}.{extension}"),
        false => format!("{base}-{{{:0width$}..{last:0width$}}}.{extension}", 0),
    }
}

/// Does `write` for each shard, several at once; the number of shards that were there already, for which it
/// says false. `done` is told how many are finished.
///
/// # Errors
/// The first of `write`, in the order of the shards; no further shard is begun then.
pub(super) fn written(
    shards: usize,
    done: &mut dyn FnMut(usize, usize),
    write: impl Fn(usize) -> Result<bool, DataError> + Sync,
) -> Result<usize, DataError> {
    let (mut finished, mut found) = (0, 0);
    pool::in_order(pool::processors(), 0..shards, write, |written| {
        finished += 1;
        found += usize::from(!written);
        done(finished, shards);
        Ok(())
    })?;
    Ok(found)
}

/// The bytes of shards that are there.
///
/// # Errors
/// When one is not.
pub(super) fn sizes(uris: impl Iterator<Item = String>) -> Result<u64, DataError> {
    let objects = uris.map(|uri| Object::open(&uri)).collect::<Result<Vec<_>, _>>()?;
    Ok(source::stats(&objects)?.iter().map(|stat| stat.size).sum())
}
