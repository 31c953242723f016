//! Shards of pictures checked as a whole: every sample decoded.

use super::{Verified, each};
use crate::image::check_picture;
use crate::store::{Decode, PictureDecoder, ShardSet, Source, is_picture_part};
use crate::{DataError, source};

/// Reads every picture file, on all processors, and decodes it as strictly as those of shards.
///
/// # Errors
/// When one cannot be reached.
pub fn verify_pictures(uris: &[String], report: &(dyn Fn(&DataError) + Sync)) -> Result<Verified, DataError> {
    each(uris.len(), |number, verified| {
        let uri = &uris[number];
        let bytes = source::read(uri)?;
        *verified = Verified { samples: 1, corrupt: 0, bytes: bytes.len() as u64 };
        if let Err(error) = check_picture(uri, &bytes) {
            report(&error);
            verified.corrupt = 1;
        }
        Ok(())
    })
}

/// Samples of a shard whose parts are read in one request.
const AT_ONCE: u64 = 64;

/// Reads every part of every sample of a tar shard, checks it and decodes what is a picture.
///
/// # Errors
/// When the shard cannot be read at all.
pub(super) fn verify_tar(
    set: &ShardSet,
    shard: usize,
    verified: &mut Verified,
    report: &(dyn Fn(&DataError) + Sync),
) -> Result<(), DataError> {
    let rows = set.index().rows(shard)?;
    let object = set.object(shard)?;
    let uri = set.index().object(shard).uri();
    for begin in (0..rows.len()).step_by(AT_ONCE as usize) {
        let entries: Vec<_> = (begin..(begin + AT_ONCE).min(rows.len())).map(|at| rows.entry(at)).collect();
        let parts = || entries.iter().flat_map(|entry| &entry.parts);
        let ranges: Vec<_> = parts().map(|part| part.offset..part.offset + part.length).collect();
        let mut contents = object.ranges(&ranges)?.into_iter();
        for entry in &entries {
            let mut corrupt = false;
            for (part, content) in entry.parts.iter().zip(contents.by_ref()) {
                verified.bytes += part.length;
                let place = format!("sample {}.{} (byte {})", entry.key, part.extension, part.offset);
                let crc32 = crc32fast::hash(&content);
                let checked = match crc32 == part.crc32 {
                    false => {
                        let expected = format!("the checksum {:08x} of the index", part.crc32);
                        Err(DataError::malformed(uri, place, expected, format!("{crc32:08x}")))
                    }
                    true if is_picture_part(&part.extension) => {
                        check_picture(&format!("{uri}, {place}"), &content)
                    }
                    true => Ok(()),
                };
                if let Err(error) = checked {
                    report(&error);
                    corrupt = true;
                }
            }
            verified.samples += 1;
            verified.corrupt += u64::from(corrupt);
        }
    }
    Ok(())
}

/// Decodes every picture of a Parquet shard.
///
/// # Errors
/// When the shard or the index cannot be read at all.
pub(super) fn verify_row_groups(
    source: &Source,
    shard: usize,
    verified: &mut Verified,
    report: &(dyn Fn(&DataError) + Sync),
) -> Result<(), DataError> {
    let uri = source.shard_uri(shard);
    for block in source.index().rows(shard)?.blocks() {
        verified.samples += block.records;
        let pictures = match PictureDecoder.decode(source, shard, &block) {
            Ok(pictures) => pictures,
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => {
                report(&error);
                verified.corrupt += block.records;
                continue;
            }
        };
        for (row, picture) in (block.line..).zip(pictures) {
            let bytes = picture.unwrap_or_default();
            verified.bytes += bytes.len() as u64;
            if let Err(error) = check_picture(&format!("{uri}, row {row}"), &bytes) {
                report(&error);
                verified.corrupt += 1;
            }
        }
    }
    Ok(())
}
