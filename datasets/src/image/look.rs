//! Pictures before there is a recipe for them: their sizes, and the classes of IDX files.

use super::decode::{self, Facts};
use super::gather::labels_beside;
use super::idx::{self, IdxPictures};
use crate::{DataError, source};
use std::collections::BTreeMap;

/// `[height, width]` of a picture file.
///
/// # Errors
/// When it cannot be read, or is no picture.
pub fn size_of(uri: &str) -> Result<[usize; 2], DataError> {
    Ok(facts_of(uri)?.size)
}

/// What a picture file says of itself.
///
/// # Errors
/// When it cannot be read, or is no picture.
pub(crate) fn facts_of(uri: &str) -> Result<Facts, DataError> {
    facts_of_bytes(uri, &source::read(uri)?)
}

/// As [`facts_of`], of the content of a file, which errors call `place`.
///
/// # Errors
/// When it is no picture.
pub(crate) fn facts_of_bytes(place: &str, bytes: &[u8]) -> Result<Facts, DataError> {
    decode::facts(&place, bytes)
}

/// An IDX file of pictures.
#[derive(Debug)]
pub(crate) struct IdxLook {
    /// The number of pictures.
    pub pictures: u64,
    /// `[height, width]` of each.
    pub size: [usize; 2],
    /// Each class with its pictures, by the labels beside it; empty where there are none.
    pub classes: Vec<(String, u64)>,
}

/// Looks at an IDX file, and at the labels beside it.
///
/// # Errors
/// When it is none, or is damaged.
pub(crate) fn look_at_idx(uri: &str) -> Result<IdxLook, DataError> {
    let IdxPictures { count, height, width, .. } = IdxPictures::parse(uri, source::read_unpacked(uri)?)?;
    let labels = labels_beside(uri).and_then(|uri| idx::read_labels(&uri)).unwrap_or_default();
    let mut classes: BTreeMap<u8, u64> = BTreeMap::new();
    labels.iter().for_each(|&label| *classes.entry(label).or_default() += 1);
    let classes = classes.into_iter().map(|(label, count)| (label.to_string(), count)).collect();
    Ok(IdxLook { pictures: count as u64, size: [height, width], classes })
}
