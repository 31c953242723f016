//! Building the sidecar, by streaming the shards that it does not know yet.

use super::rows::Rows;
use super::sidecar::{Sidecar, SidecarWriter};
use super::{Indexed, Places};
use crate::records::{File, Layout};
use crate::source::{self, Object, Stat, Writer, one_line};
use crate::{DataError, pool};
use std::io::Write;

/// The part of an index that is built.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Shards done.
    pub shards: usize,
    /// Shards of the set.
    pub of: usize,
    /// Bytes of the shards done.
    pub bytes: u64,
    /// Bytes of all shards.
    pub of_bytes: u64,
}

pub(super) struct Build<'a> {
    pub(super) uri: &'a str,
    pub(super) layout: &'a Layout,
    pub(super) objects: &'a [Object],
    pub(super) stats: &'a [Stat],
    /// An index of some of these shards as they were.
    pub(super) stale: Option<&'a Sidecar>,
}

impl Build<'_> {
    /// Builds the index where it can be kept: beside the shards or in the cache.
    pub(super) fn run(
        &self,
        places: &Places,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Sidecar, DataError> {
        // Where nothing can be kept on this machine, it is built in its place.
        let object = match Object::create(&places.cached) {
            Ok(object) => object,
            Err(_) => Object::create(&places.beside)?,
        };
        self.write(Writer::new(object.clone()), object.uri(), progress)?.finish()?;
        if object.uri() == places.cached
            && let Ok(beside) = publish(&object, &places.beside)
        {
            object.remove()?;
            return Sidecar::open(beside);
        }
        Sidecar::open(object)
    }

    /// Builds the index in memory.
    pub(super) fn held(
        &self,
        places: &Places,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Sidecar, DataError> {
        let bytes = self.write(Vec::new(), &places.beside, progress)?;
        Sidecar::open(Object::in_memory(&places.beside, bytes.into()))
    }

    /// Writes the index, whose place is `uri`, to `writer`.
    fn write<W: Write + Send>(
        &self,
        writer: W,
        uri: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<W, DataError> {
        let refused = |error| DataError::source(uri, "a place to write to", one_line(error));
        let mut sidecar = SidecarWriter::new(writer, self.layout.clone()).map_err(refused)?;
        let of_bytes = self.stats.iter().map(|stat| stat.size).sum();
        let mut done = Progress { shards: 0, of: self.objects.len(), bytes: 0, of_bytes };
        progress(done);
        pool::in_order(
            pool::requests(),
            0..self.objects.len(),
            |shard| self.shard(shard),
            |(indexed, rows)| {
                (done.shards, done.bytes) = (done.shards + 1, done.bytes + indexed.stat.size);
                sidecar.append(indexed, &rows).map_err(refused)?;
                progress(done);
                Ok(())
            },
        )?;
        sidecar.finish().map_err(refused)
    }

    /// The rows of a shard, from an earlier index where it has not changed since.
    fn shard(&self, shard: usize) -> Result<(Indexed, Rows), DataError> {
        let (object, stat) = (&self.objects[shard], &self.stats[shard]);
        let name = source::name(object.uri());
        if let Some(stale) = self.stale
            && let Some(known) =
                stale.shards().iter().position(|known| known.name == name && known.stat.allows(stat))
            && let Ok(rows) = stale.rows(known)
        {
            return Ok((Indexed { stat: stat.clone(), ..stale.shards()[known].clone() }, rows));
        }
        let records = self.layout.format().records();
        let (dialect, decoding) = (self.layout.dialect(), Some(self.layout.decoding()));
        let file = File { object, stat, dialect, decoding, sheet: self.layout.sheet() };
        let (compression, entries) = records.entries(&file)?;
        let samples: u64 = entries.iter().map(|entry| u64::from(entry.records)).sum();
        if samples > u64::from(u32::MAX) {
            return Err(DataError::source(self.uri, "shards of at most 2^32 samples", samples));
        }
        let rows = Rows::of(&entries);
        Ok((Indexed { name: name.to_string(), stat: stat.clone(), compression, samples }, rows))
    }
}

/// Copies a finished index beside its shards.
///
/// # Errors
/// When the place cannot be written to. A web server and the Hub are not even asked.
fn publish(index: &Object, uri: &str) -> Result<Object, DataError> {
    if source::is_read_only(uri) {
        return Err(DataError::source(uri, "a place to write to", "a web server"));
    }
    let beside = Object::create(uri)?;
    // Another process that is publishing the same index right now keeps its copy in the cache then.
    beside.remove_unfinished()?;
    let mut writer = Writer::new(beside.clone());
    std::io::copy(&mut index.stream()?, &mut writer)
        .map_err(|error| DataError::source(uri, "a place to write to", one_line(error)))?;
    writer.finish()?;
    Ok(beside)
}
