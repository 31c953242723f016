//! A folder of pictures becomes shards, tar or Parquet; CSV and JSONL become Parquet.
//!
//! The plan is the same whenever the folder is: so a pack that was interrupted finds which shards are done.

mod convert;
mod parquet;
mod plan;
mod shards;
mod tar;

pub use convert::{Convert, convert};
pub use plan::{Pack, Report};
pub use shards::Packed;

use crate::DataError;
use crate::records::Format;
use crate::source;
use plan::plan;
use shards::{shard_uri, sizes, written};

/// Writes the shards, several at once; those that are there with the planned size are left as they
/// are. `done` is told how many shards are finished, and how many there are; `report` of pictures that are none, which
/// are packed all the same.
///
/// # Errors
/// When a picture cannot be read or a shard not be written. Shards written before stay.
pub fn pack(
    pack: &Pack,
    done: &mut dyn FnMut(usize, usize),
    report: Report<'_>,
) -> Result<Packed, DataError> {
    let plan = plan(pack)?;
    let name = source::name(pack.source.trim_end_matches('/'));
    let base = format!("{}/{name}", pack.folder.trim_end_matches('/'));
    let uri = |shard: usize| shard_uri(&base, plan.len(), shard, pack.format.name());
    let found = written(plan.len(), done, |shard| match pack.format {
        Format::Parquet => parquet::write(&uri(shard), &plan[shard], report),
        _ => tar::write(&uri(shard), &plan[shard], report),
    })?;
    Ok(Packed {
        uri: shard_uri(&base, plan.len(), usize::MAX, pack.format.name()),
        shards: plan.len(),
        found,
        samples: plan.iter().map(|shard| shard.len() as u64).sum(),
        bytes: sizes((0..plan.len()).map(uri))?,
    })
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
        pack(
            &Pack { pictures, source, folder, shard_bytes, seed: 1, format: Format::Tar },
            &mut |_, _| {},
            &|_| {},
        )
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
            crate::records::tar::scan(&uri, &bytes[..], |entry| {
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
