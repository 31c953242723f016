//! A folder of pictures becomes shards: tar, or Parquet.
//!
//! The [`plan`] is the same whenever the folder is: so a pack that was interrupted finds which shards are
//! done.

use super::plan::{Pack, Planned, plan, tar_bytes};
use super::{Format, parquet};
use crate::source::{self, Object, Writer, one_line};
use crate::{DataError, pool};
use std::io::{self, Write};

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

/// Writes the shards, several at once; those that are there with the planned size are left as they
/// are. `done` is told how many shards are finished, and how many there are.
///
/// # Errors
/// When a picture cannot be read or a shard not be written. Shards written before stay.
pub fn pack(pack: &Pack, done: &mut dyn FnMut(usize, usize)) -> Result<Packed, DataError> {
    let plan = plan(pack)?;
    let name = source::name(pack.source.trim_end_matches('/'));
    let base = format!("{}/{name}", pack.folder.trim_end_matches('/'));
    let uri = |shard: usize| shard_uri(&base, plan.len(), shard, pack.format.name());
    let found = written(plan.len(), done, |shard| match pack.format {
        Format::Parquet => parquet::write(&uri(shard), &plan[shard]),
        _ => write(&uri(shard), &plan[shard]),
    })?;
    Ok(Packed {
        uri: shard_uri(&base, plan.len(), usize::MAX, pack.format.name()),
        shards: plan.len(),
        found,
        samples: plan.iter().map(|shard| shard.len() as u64).sum(),
        bytes: sizes((0..plan.len()).map(uri))?,
    })
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

/// Writes a shard; false when it was there.
fn write(uri: &str, samples: &[Planned]) -> Result<bool, DataError> {
    let object = Object::create(uri)?;
    let bytes = tar_bytes(samples);
    if object.stat().is_ok_and(|stat| stat.size == bytes) {
        return Ok(false);
    }
    object.remove_unfinished()?;
    let refused = |error: io::Error| DataError::source(uri, "a place to write to", one_line(error));
    let mut builder = tar::Builder::new(Writer::new(object.clone()));
    for sample in samples {
        let picture = sample.read()?;
        append(&mut builder, &format!("{}.{}", sample.key, sample.extension), &picture).map_err(refused)?;
        if let Some(class) = &sample.class {
            append(&mut builder, &format!("{}.cls", sample.key), class.as_bytes()).map_err(refused)?;
        }
    }
    builder.into_inner().map_err(refused)?.finish()?;
    Ok(true)
}

/// Appends a member without time and owner: the same pictures make the same shards.
fn append<W: Write>(builder: &mut tar::Builder<W>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn packed(folder: &std::path::Path, shard_bytes: u64) -> Packed {
        let source = folder.join("photos").display().to_string();
        let class = |uri: &String| {
            let class = uri.strip_prefix(&source).unwrap().trim_start_matches('/').split('/').next();
            class.map(str::to_string)
        };
        let uris = source::list(&source).unwrap();
        let pictures = uris.iter().map(|uri| (uri.clone(), class(uri))).collect();
        let folder = folder.join("shards").display().to_string();
        pack(&Pack { pictures, source, folder, shard_bytes, seed: 1, format: Format::Tar }, &mut |_, _| {})
            .unwrap()
    }

    #[test]
    fn every_picture_is_in_one_shard_of_the_planned_size() {
        let folder = tempfile::tempdir().unwrap();
        let long = format!("dog/{}.jpeg", "n".repeat(120));
        let names = ["cat/1.jpg", "cat/1.png", "cat/a.b.jpg", "dog/deep/1.jpg", &long];
        for (length, name) in names.iter().enumerate() {
            let path = folder.path().join("photos").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![b'x'; 500 * length]).unwrap();
        }
        let first = packed(folder.path(), 6_000);
        assert_eq!((first.samples, first.found), (5, 0));
        assert!(
            first.uri.ends_with(&format!("/shards/photos-{{00000..0000{}}}.tar", first.shards - 1)),
            "{first:?}"
        );
        let mut found: Vec<(String, Option<String>, u64)> = Vec::new();
        let mut written = 0;
        for uri in source::list(&first.uri).unwrap() {
            let bytes = source::read(&uri).unwrap();
            // At least one picture is in each, however large.
            assert!(bytes.len() <= 7_000);
            written += bytes.len() as u64;
            super::super::scan(&uri, &bytes[..], |entry| {
                assert_eq!(entry.parts.len(), 2);
                found.push((entry.key, entry.class, entry.parts[0].length));
                Ok(())
            })
            .unwrap();
        }
        assert_eq!(written, first.bytes);
        found.sort();
        let expected = [
            ("cat/1", "cat", 0),
            ("cat/1-2", "cat", 500),
            ("cat/a_b", "cat", 1000),
            ("dog/deep/1", "dog", 1500),
            (&long[..124], "dog", 2000),
        ];
        let expected =
            expected.map(|(key, class, length)| (key.to_string(), Some(class.to_string()), length));
        assert_eq!(found, expected);

        // Again, with one shard lost and another cut: both are written as they were, the rest stays.
        let shards = source::list(&first.uri).unwrap();
        let before: Vec<_> = shards.iter().map(|uri| fs::read(uri).unwrap()).collect();
        fs::remove_file(&shards[0]).unwrap();
        fs::write(&shards[1], &before[1][..700]).unwrap();
        fs::write(format!("{}#1", shards[0]), "what a kill left").unwrap();
        let again = packed(folder.path(), 6_000);
        assert_eq!(again.found, again.shards - 2);
        assert!(shards.iter().zip(before).all(|(uri, before)| fs::read(uri).unwrap() == before));
        assert_eq!(fs::read_dir(folder.path().join("shards")).unwrap().count(), again.shards);
    }
}
