//! Shards checked as a whole, whatever their format.

mod pictures;

use crate::index::{Block, Index};
use crate::records::csv::{Csv, Given, for_each_row};
use crate::records::jsonl::for_each_object;
use crate::records::{Format, utf8};
use crate::store::{PictureDecoder, ShardSet, Source};
use crate::{DataError, image, pool};
use pictures::{verify_row_groups, verify_tar};
use std::ops::ControlFlow;

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
    match index.format() {
        Format::Tar => {
            let set = ShardSet::new(index, image::PICTURES, None);
            each(shards, |shard, verified| verify_tar(&set, shard, verified, report))
        }
        Format::Parquet => {
            let source = Source::of(index)?;
            each(shards, |shard, verified| match source.index().rows(shard)?.len() {
                0 => Ok(()),
                _ if PictureDecoder::fits(&source, shard)? => {
                    verify_row_groups(&source, shard, verified, report)
                }
                _ => verify_blocks(&source, shard, verified, report, |block, _| {
                    source.decode_all(shard, block)
                }),
            })
        }
        Format::Csv | Format::Jsonl | Format::Text => {
            let source = Source::of(index)?;
            each(shards, |shard, verified| {
                verify_blocks(&source, shard, verified, report, |block, corrupt| {
                    check_text(&source, shard, block, corrupt)
                })
            })
        }
    }
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

/// Goes over the blocks of a shard; `check` tells its second argument of each corrupt record, and fails where
/// the block as a whole is.
fn verify_blocks(
    source: &Source,
    shard: usize,
    verified: &mut Verified,
    report: &(dyn Fn(&DataError) + Sync),
    check: impl Fn(&Block, &mut dyn FnMut(DataError)) -> Result<(), DataError>,
) -> Result<(), DataError> {
    for block in source.index().rows(shard)?.blocks() {
        verified.samples += block.records;
        verified.bytes += block.bytes.end - block.bytes.start;
        let mut corrupt = 0;
        let checked = check(&block, &mut |error| {
            report(&error);
            corrupt += 1;
        });
        verified.corrupt += match checked {
            Ok(()) => corrupt,
            Err(error) => {
                report(&error);
                block.records
            }
        };
    }
    Ok(())
}

/// Checks the bytes of a block, and that each record is a row of the header's width, an object, or text.
fn check_text(
    source: &Source,
    shard: usize,
    block: &Block,
    corrupt: &mut dyn FnMut(DataError),
) -> Result<(), DataError> {
    let uri = source.shard_uri(shard);
    let bytes = source.fetch(shard, block)?;
    let corrupt = |error: DataError| {
        corrupt(error);
        ControlFlow::Continue(())
    };
    let layout = source.index().layout();
    match layout.format() {
        Format::Csv => {
            let names = source.names(shard, layout.dialect(), Given::default())?;
            let mut csv = Csv::block(uri, &bytes, layout.dialect(), names.to_vec(), block.line);
            for_each_row(&mut csv, corrupt, |_, _| Ok(()))
        }
        Format::Text => utf8(uri, &bytes, block.line).map(drop),
        _ => for_each_object(uri, &bytes, block.line, corrupt, |_, _| Ok(())),
    }
}
