//! The shards that packing writes: their names, and all of them written at once.

use crate::DataError;
use crate::source::{self, Object};
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What packing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// The shards, by one URI with braces.
    pub uri: String,
    /// Shards.
    pub shards: usize,
    /// Those of them that were there already.
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

/// Does `write` for each shard, on all processors; gives back how many of them were there already, which
/// is where it says false. `done` is told of each that is finished.
///
/// # Errors
/// The first of `write`; no further shard is begun then.
pub(super) fn on_all_processors(
    shards: usize,
    done: &(dyn Fn(usize, usize) + Sync),
    write: impl Fn(usize) -> Result<bool, DataError> + Sync,
) -> Result<usize, DataError> {
    let (next, found, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let error = Mutex::new(None);
    let work = || {
        loop {
            let shard = next.fetch_add(1, Ordering::Relaxed);
            if shard >= shards || failed.load(Ordering::Relaxed) {
                break;
            }
            match write(shard) {
                Ok(written) => {
                    found.fetch_add(usize::from(!written), Ordering::Relaxed);
                    done(shard, shards);
                }
                Err(refused) => {
                    failed.store(true, Ordering::Relaxed);
                    if let Ok(mut error) = error.lock() {
                        error.get_or_insert(refused);
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    match error.into_inner().ok().flatten() {
        Some(error) => Err(error),
        None => Ok(found.into_inner()),
    }
}

/// The bytes of shards that are there.
///
/// # Errors
/// When one is not.
pub(super) fn sizes(uris: impl Iterator<Item = String>) -> Result<u64, DataError> {
    let objects = uris.map(|uri| Object::open(&uri)).collect::<Result<Vec<_>, _>>()?;
    Ok(source::stats(&objects)?.iter().map(|stat| stat.size).sum())
}
