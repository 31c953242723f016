use super::*;
use crate::records::tests::tar;
use std::fs;
use std::path::Path;

/// Shards `s-0.tar` and on, of these many samples of two parts, in a folder of their own.
fn shards(folder: &Path, sizes: &[usize]) -> String {
    for (shard, size) in sizes.iter().enumerate() {
        let names: Vec<(String, String)> = (0..*size)
            .map(|sample| {
                let key = format!("{}/{shard}-{sample}", ["cat", "dog"][sample % 2]);
                (format!("{key}.txt"), format!("{key}.jpg"))
            })
            .collect();
        let content = format!("shard {shard}");
        let members: Vec<(&str, &[u8])> = names
            .iter()
            .flat_map(|(text, picture)| {
                [(text.as_str(), content.as_bytes()), (picture.as_str(), picture.as_bytes())]
            })
            .collect();
        fs::write(folder.join(format!("s-{shard}.tar")), tar(&members)).unwrap();
    }
    format!("{}/s-{{0..{}}}.tar", folder.display(), sizes.len() - 1)
}

/// The index, and how many shards were read for it.
fn open(uri: &str) -> Result<(Index, usize), DataError> {
    let mut told = 0;
    let index = Index::open(uri, &mut |progress| told = told.max(progress.shards))?;
    Ok((index, told))
}

#[test]
fn rows_are_kept_of_so_many_shards() {
    let folder = tempfile::tempdir().unwrap();
    let uri = shards(folder.path(), &[3, 2, 5, 1]);
    let index = open(&uri).unwrap().0;
    index.keep_rows_of(2);
    for shard in [0, 1, 2, 3, 0] {
        index.rows(shard).unwrap();
        index.lookup(shard).unwrap();
    }
    let rows = |shard| index.rows.lock().unwrap().get(&shard).is_some();
    assert_eq!([0, 1, 2, 3].map(rows), [true, false, false, true]);
    let lookups = |shard| index.lookups.lock().unwrap().get(&shard).is_some();
    assert_eq!([0, 1, 2, 3].map(lookups), [true, false, false, true]);
}

#[test]
fn a_look_finds_the_same_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let uri = shards(folder.path(), &[3, 0, 5]);
    let look = Index::look(&uri, &mut |_| {}).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    assert!(!Path::new(&Places::of(&uri).cached).exists());
    let index = open(&uri).unwrap().0;
    assert_eq!(look.classes(), index.classes());
    for sample in 0..8 {
        assert_eq!(look.entry(sample).unwrap(), index.entry(sample).unwrap());
    }
    // One that is there is opened.
    let mut built = 0;
    assert_eq!(Index::look(&uri, &mut |_| built += 1).unwrap().shards().samples(), 8);
    assert_eq!(built, 0);
}

#[test]
fn an_index_is_built_once_and_finds_every_part() {
    let folder = tempfile::tempdir().unwrap();
    let uri = shards(folder.path(), &[3, 0, 5, 1]);
    let (index, read) = open(&uri).unwrap();
    assert_eq!(read, 4);
    assert_eq!(index.sidecar_uri(), format!("{}/s-0..3.index.parquet", folder.path().display()));
    assert_eq!((index.shards().len(), index.shards().samples()), (4, 9));
    let classes = [(Some("cat".to_string()), 6), (Some("dog".to_string()), 3)];
    assert_eq!(index.classes(), Some(&Classes::from(classes)));

    let (again, read) = open(&uri).unwrap();
    assert_eq!(read, 0);
    for number in 0..9 {
        let (shard, entry) = again.entry(number).unwrap();
        assert_eq!((shard, &entry), (index.entry(number).unwrap().0, &index.entry(number).unwrap().1));
        let bytes = fs::read(shard).unwrap();
        let part = &entry.parts[1];
        let content = &bytes[part.offset as usize..(part.offset + part.length) as usize];
        assert_eq!(content, format!("{}.jpg", entry.key).as_bytes());
        assert_eq!(part.crc32, crc32fast::hash(content));
    }
    // Classes are numbered in the order of their names, over all shards.
    assert_eq!((again.lookup(2).unwrap().class(4), again.lookup(2).unwrap().class(3)), (Some(0), Some(1)));
    assert_eq!((again.key(2, 4), again.key(3, 7)), ("cat/2-4".to_string(), "7".to_string()));
    assert!(Index::build(&uri, &mut |_| {}).is_ok());
}

#[test]
fn only_what_has_changed_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let uri = shards(folder.path(), &[3, 4]);
    open(&uri).unwrap();
    // A glob has an index of its own, as it may come to match other shards.
    let all = format!("{}/s-*.tar", folder.path().display());
    assert_eq!(
        open(&all).unwrap().0.sidecar_uri(),
        format!("{}/s-all.index.parquet", folder.path().display())
    );
    shards(folder.path(), &[3, 4, 2]);
    let (index, _) = open(&all).unwrap();
    assert_eq!(index.shards().samples(), 9);
    assert_eq!(index.entry(8).unwrap().1.key, "dog/2-1");

    // A damaged index is built again, and a shard that is gone is an error.
    fs::write(index.sidecar_uri(), "no index").unwrap();
    assert_eq!(open(&all).unwrap().0.shards().samples(), 9);
    fs::remove_file(folder.path().join("s-1.tar")).unwrap();
    assert!(
        open(&uri).unwrap_err().to_string().contains("s-1.tar: expected a file, found nothing of that name")
    );
}

#[test]
fn a_damaged_shard_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let uri = shards(folder.path(), &[3, 4]);
    let path = folder.path().join("s-1.tar");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 3000]).unwrap();
    let message = open(&uri).unwrap_err().to_string();
    assert!(message.contains("/s-1.tar, byte "), "{message}");
    // Nothing that looks like an index is left, nor what one was begun with.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn names_say_what_varies() {
    let beside = |uri| Places::of(uri).beside;
    assert_eq!(beside("s3://b/x/train-{0000..0007}.tar"), "s3://b/x/train-0000..0007.index.parquet");
    assert_eq!(beside("a/*/x-*.tar.gz"), "a/all-x-all.index.parquet");
    assert_eq!(beside("one.tar"), "one.index.parquet");
    assert_eq!(beside("a/{x,y}.tgz"), "a/x,y.index.parquet");
    let cached = |uri| Places::of(uri).cached;
    assert_ne!(cached("a/one.tar"), cached("b/one.tar"));
}
