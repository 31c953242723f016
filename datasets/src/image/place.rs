//! The place of one picture, and what is known of it.

use super::decode;
use super::form::Form;
use super::idx::IdxPictures;
use super::picture::{Need, Picture};
use super::streamed::{self, PictureSet};
use crate::request::REQUEST;
use crate::{DataError, source};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;

/// The place of one picture.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// A file of its own, by its URI.
    File(String),
    /// An IDX file, and the number of the picture in it, from 0 on.
    Idx(Arc<IdxPictures>, usize),
    /// Shards, and the number of the sample in them, from 0 on.
    Shard(Arc<PictureSet>, u64),
    /// A file in memory, and the number of its record.
    Memory(usize, Bytes),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Place::File(uri) => f.write_str(uri),
            Place::Idx(idx, number) => write!(f, "{}:{number}", idx.uri),
            Place::Shard(set, number) => write!(f, "{}:{number}", set.index().uri()),
            Place::Memory(number, _) => write!(f, "{REQUEST}, record {number}"),
        }
    }
}

impl Place {
    /// Reads and decodes the picture.
    pub(super) fn picture(&self, form: &Form, need: Need) -> Result<Picture<'_>, DataError> {
        match self {
            Place::File(uri) => decode::decode(uri, &source::read(uri)?, form, need),
            Place::Idx(idx, number) if form.channels == 1 => Ok(idx.picture(*number)),
            Place::Idx(idx, number) => Ok(idx.picture(*number).in_colour()),
            Place::Shard(set, number) => Ok(streamed::picture(set, *number, form, need)?.0),
            Place::Memory(_, file) => decode::decode(self, file, form, need),
        }
    }
}

/// A picture and the index of its class or what else is known of it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub place: Place,
    pub class: Option<usize>,
    pub said: Said,
}

/// What a table says of a picture beside its class.
#[derive(Clone, Debug, Default)]
pub(super) enum Said {
    #[default]
    Nothing,
    /// A number, in its own unit.
    Value(f64),
    /// The indices of its labels.
    Labels(Arc<[usize]>),
}
