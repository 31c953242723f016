//! Held in memory, or streamed by blocks.

use crate::records::files;
use crate::source::{self, Object};

/// Bytes of data, as they are stored, that are held in memory where the recipe does not say.
const MOST_HELD: u64 = 256 << 20;

/// The usual bytes of the blocks that are shuffled together.
pub(crate) const WINDOW_BYTES: u64 = 32 << 20;

/// True where the data of a URI are to be streamed: as `wish` says, or else where they are too large to be
/// held.
pub(crate) fn is_streamed(uri: &str, wish: Option<bool>) -> bool {
    wish.unwrap_or_else(|| {
        // What cannot be listed is reported by the reader of it.
        let objects = files(uri).and_then(|uris| uris.iter().map(|uri| Object::open(uri)).collect());
        let stats = objects.and_then(|objects: Vec<Object>| source::stats(&objects));
        stats.is_ok_and(|stats| stats.iter().map(|stat| stat.size).sum::<u64>() > MOST_HELD)
    })
}
