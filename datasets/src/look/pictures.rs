//! Pictures: how many of which class, and their sizes, from the headers of some.

use crate::records::{Entry, File, Format, ReadOptions, Use, open_blocks};
use crate::source::Object;
use crate::{DataError, image};
use std::collections::BTreeMap;

/// Pictures that are decoded to tell the sizes, evenly out of all.
const DECODED: usize = 24;

/// The layout of pictures in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A folder a class.
    ClassFolders,
    /// Tar or Parquet files of many.
    Shards,
    /// IDX files.
    Idx,
    /// Files that a table names.
    Listed,
}

impl Layout {
    /// The layout in words.
    pub fn name(self) -> &'static str {
        match self {
            Layout::ClassFolders => "class folders of",
            Layout::Shards => "shards of",
            Layout::Idx => "an IDX file of",
            Layout::Listed => "a table of",
        }
    }
}

/// Pictures, as far as a recipe needs to know them.
#[derive(Debug)]
pub struct PicturesLook {
    /// Their layout.
    pub layout: Layout,
    /// The files that hold them.
    pub files: u64,
    /// The pictures of all files or, where there are several shards, of the first.
    pub pictures: u64,
    /// True where `pictures` and `classes` are of the first of several shards alone.
    pub of_first_shard: bool,
    /// Each class with the number of its pictures, by their names; empty where they have no classes.
    pub classes: Vec<(String, u64)>,
    /// The least, the middle and the greatest length of the shorter side, in pixels, of those that were looked
    /// at; none where none could be read.
    pub shorter_side: Option<[usize; 3]>,
    /// How many of those that were looked at are in colour, or grey, and have transparency.
    pub modes: BTreeMap<&'static str, u64>,
    /// Pictures that were looked at, evenly out of all.
    pub looked_at: u64,
    /// Pictures among those looked at that cannot be read, with the first error.
    pub unreadable: Option<(u64, DataError)>,
}

impl PicturesLook {
    fn new(layout: Layout, classes: Vec<(String, u64)>, sizes: Sizes) -> Self {
        PicturesLook {
            layout,
            files: 1,
            pictures: classes.iter().map(|class| class.1).sum(),
            of_first_shard: false,
            classes,
            shorter_side: sizes.of_shorter_side(),
            looked_at: sizes.sides.len() as u64 + sizes.unreadable.as_ref().map_or(0, |(count, _)| *count),
            modes: sizes.modes,
            unreadable: sizes.unreadable,
        }
    }
}

/// The sizes of some pictures.
#[derive(Default)]
struct Sizes {
    sides: Vec<usize>,
    modes: BTreeMap<&'static str, u64>,
    unreadable: Option<(u64, DataError)>,
}

impl Sizes {
    fn add(&mut self, facts: Result<image::Facts, DataError>) {
        match facts {
            Ok(image::Facts { size: [height, width], mode }) => {
                self.sides.push(height.min(width));
                *self.modes.entry(mode).or_default() += 1;
            }
            Err(error) => self.unreadable.get_or_insert((0, error)).0 += 1,
        }
    }

    fn of_shorter_side(&self) -> Option<[usize; 3]> {
        let mut sides = self.sides.clone();
        sides.sort_unstable();
        Some([*sides.first()?, sides[sides.len() / 2], *sides.last()?])
    }
}

/// Picture files with their classes.
pub(super) fn of_files(
    layout: Layout,
    classes: Vec<(String, u64)>,
    files: &[String],
) -> Result<PicturesLook, DataError> {
    let mut sizes = Sizes::default();
    for file in evenly(files) {
        sizes.add(image::facts_of(file));
    }
    Ok(PicturesLook {
        files: files.len() as u64,
        pictures: files.len() as u64,
        ..PicturesLook::new(layout, classes, sizes)
    })
}

/// An IDX file of pictures and, where it is beside it, of their labels.
pub(super) fn of_idx(uri: &str) -> Result<PicturesLook, DataError> {
    let image::IdxLook { pictures, size: [height, width], classes } = image::look_at_idx(uri)?;
    let mut sizes = Sizes::default();
    sizes.add(Ok(image::Facts { size: [height, width], mode: "grey" }));
    Ok(PicturesLook { pictures, ..PicturesLook::new(Layout::Idx, classes, sizes) })
}

/// Tar shards; the first of them is looked into.
pub(super) fn of_shards(uri: &str, files: &[String]) -> Result<PicturesLook, DataError> {
    let Some(first) = files.first() else { return Err(DataError::source(uri, "shards", "none")) };
    let entries = entries(&Object::open(first)?, Format::Tar)?;
    let picture = |entry: &Entry| {
        entry.parts.iter().position(|part| image::is_picture(&format!("x.{}", part.extension)))
    };
    if !entries.iter().any(|entry| picture(entry).is_some()) {
        let needed = "pictures among the samples of a tar (unpack one of other files, then name its folder)";
        return Err(DataError::source(uri, needed, format!("none among its {}", entries.len())));
    }
    let mut sizes = Sizes::default();
    // A packed shard has its pictures at places of its unpacked bytes.
    let unpacked = Object::unpacked(first)?;
    for entry in evenly(&entries) {
        if let Some(part) = picture(entry).map(|at| &entry.parts[at]) {
            let bytes = unpacked.range(part.offset..part.offset + part.length);
            sizes.add(
                bytes.and_then(|bytes| image::facts_of_bytes(&format!("{first}, {}", entry.key), &bytes)),
            );
        }
    }
    Ok(of_entries(&entries, sizes, files.len()))
}

/// Parquet files, where a column of theirs holds pictures.
pub(super) fn of_parquet(uri: &str, files: &[String]) -> Result<Option<PicturesLook>, DataError> {
    let Some(first) = files.first().filter(|file| Format::named(file) == Some(Format::Parquet)) else {
        return Ok(None);
    };
    let object = Object::open(first)?;
    let Some((shard, blocks)) =
        open_blocks(&object, Format::Parquet, &ReadOptions::plain(&|_| Use::Nothing))?
    else {
        return Err(DataError::source(uri, "a file with records", "none"));
    };
    if !shard.are_pictures() {
        return Ok(None);
    }
    let entries = entries(&object, Format::Parquet)?;
    let mut sizes = Sizes::default();
    if let Some(block) = blocks.first() {
        let pictures = shard.pictures(block)?;
        for (number, picture) in evenly(&pictures.iter().enumerate().collect::<Vec<_>>()) {
            if let Some(bytes) = picture {
                sizes.add(image::facts_of_bytes(&format!("{first}, row {}", number + 1), bytes));
            }
        }
    }
    Ok(Some(of_entries(&entries, sizes, files.len())))
}

/// The samples of a shard.
fn entries(object: &Object, format: Format) -> Result<Vec<Entry>, DataError> {
    let (dialect, stat) = (Default::default(), object.stat()?);
    let file = File { object, stat: &stat, dialect, decoding: None, sheet: None };
    Ok(format.records().entries(&file)?.1)
}

/// The samples of the first of some shards.
fn of_entries(entries: &[Entry], sizes: Sizes, files: usize) -> PicturesLook {
    let mut classes: BTreeMap<String, u64> = BTreeMap::new();
    for class in entries.iter().filter_map(Entry::class) {
        *classes.entry(class.to_string()).or_default() += 1;
    }
    let look = PicturesLook::new(Layout::Shards, classes.into_iter().collect(), sizes);
    PicturesLook { files: files as u64, pictures: entries.len() as u64, of_first_shard: files > 1, ..look }
}

/// Some of many, evenly out of all.
fn evenly<T>(all: &[T]) -> impl Iterator<Item = &T> {
    all.iter().step_by(all.len().div_ceil(DECODED).max(1))
}
