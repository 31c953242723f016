//! Shards checked as a whole, whatever their format.

mod pictures;

use crate::index::Index;
use crate::records::{ReadOptions, Use};
use crate::store::{PictureDecoder, PicturePart, ShardSet, Source};
use crate::{DataError, pool};
pub use pictures::verify_pictures;
use pictures::{verify_row_groups, verify_tar};

/// Samples that were checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Samples that were read.
    pub samples: u64,
    /// Samples with another checksum than the index says, or that cannot be decoded.
    pub corrupt: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

/// Reads everything, on all processors, checks it against the index and decodes pictures, strictly: damage
/// within the pixels of a JPEG that training would forgive is found, too. `report` is told of each corrupt
/// sample or block, with its shard and its offset, line or row, in no order.
///
/// # Errors
/// When a shard cannot be read at all.
pub fn verify(index: Index, report: &(dyn Fn(&DataError) + Sync)) -> Result<Verified, DataError> {
    let shards = index.shards().len();
    let format = index.format();
    if !format.has_blocks() {
        let set = ShardSet::new(index, PicturePart::default(), None);
        return each(shards, |shard, verified| verify_tar(&set, shard, verified, report));
    }
    let source = Source::of(index)?;
    each(shards, |shard, verified| {
        match format.may_hold_pictures() && PictureDecoder::fits(&source, shard)? {
            true => verify_row_groups(&source, shard, verified, report),
            false => verify_blocks(&source, shard, verified, report),
        }
    })
}

/// The sum of what `work` finds in each shard, on all processors.
fn each(
    shards: usize,
    work: impl Fn(usize, &mut Verified) -> Result<(), DataError> + Sync,
) -> Result<Verified, DataError> {
    let mut all = Verified::default();
    let verified = |shard| {
        let mut verified = Verified::default();
        work(shard, &mut verified).map(|()| verified)
    };
    pool::in_order(pool::processors(), 0..shards, verified, |Verified { samples, corrupt, bytes }| {
        all.samples += samples;
        all.corrupt += corrupt;
        all.bytes += bytes;
        Ok(())
    })?;
    Ok(all)
}

/// Checks the bytes of each block of a shard, and that each record can be read.
fn verify_blocks(
    source: &Source,
    shard: usize,
    verified: &mut Verified,
    report: &(dyn Fn(&DataError) + Sync),
) -> Result<(), DataError> {
    let layout = source.index().layout();
    let (dialect, decoding, sheet) = (layout.dialect(), layout.decoding(), layout.sheet());
    let plain = ReadOptions::plain(&|_| Use::Nothing);
    let options = ReadOptions { dialect, decoding, sheet, ..plain };
    for block in source.index().rows(shard)?.blocks() {
        verified.samples += block.records;
        verified.bytes += block.bytes.end - block.bytes.start;
        let mut corrupt = 0;
        let blocks = source.open_shard(shard, &options);
        let checked = blocks.and_then(|blocks| {
            blocks.verify(&block, &mut |error| {
                report(&error);
                corrupt += 1;
            })
        });
        verified.corrupt += match checked {
            Ok(()) => corrupt,
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => {
                report(&error);
                block.records
            }
        };
    }
    Ok(())
}
