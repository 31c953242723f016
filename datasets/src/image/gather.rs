//! The pictures that a URI names: the place of each, and its class.

use super::idx::{self, IdxPictures};
use super::picture::{Need, Picture};
use super::streamed::{self, PictureSet, Streamed};
use super::{ImageTarget, decode, folder};
use crate::records::holds_pictures;
use crate::request::REQUEST;
use crate::{DataError, ShardOrder, source};
use bytes::Bytes;
use std::collections::HashMap;
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
    /// Reads and decodes the picture; `channels` is 1 or 3.
    pub(super) fn picture(&self, channels: usize, need: Need) -> Result<Picture<'_>, DataError> {
        match self {
            Place::File(uri) => decode::decode(uri, &source::read(uri)?, channels, need),
            Place::Idx(idx, number) if channels == 1 => Ok(idx.picture(*number)),
            Place::Idx(idx, number) => Ok(idx.picture(*number).in_colour()),
            Place::Shard(set, number) => Ok(streamed::picture(set, *number, channels, need)?.0),
            Place::Memory(_, file) => decode::decode(self, file, channels, need),
        }
    }
}

/// A picture and the index of its class, where it has one.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub place: Place,
    pub class: Option<usize>,
}

/// Pictures, with their classes as their source has them.
#[derive(Debug)]
pub(super) struct Gathered {
    pub places: Vec<Place>,
    classes: Classes,
}

#[derive(Debug)]
enum Classes {
    /// Not asked for.
    None,
    /// The labels file and its labels, which are the indices of the classes.
    Indices { uri: String, labels: Bytes },
    /// The names of the class folders, and the folder of each picture.
    Folders { root: String, names: Vec<String>, folders: Vec<usize> },
}

/// Finds the pictures of `uri`, and their classes when `target` asks for them. `labels` is the URI
/// of an IDX file's labels where they are not beside it.
pub(super) fn gather(uri: &str, labels: Option<&str>, target: ImageTarget) -> Result<Gathered, DataError> {
    let classed = target == ImageTarget::Class;
    if classed && source::is_folder(uri) {
        let folder::Classed { names, pictures } = folder::classed(uri)?;
        let (places, folders) = pictures.into_iter().map(|(uri, class)| (Place::File(uri), class)).unzip();
        let classes = Classes::Folders { root: uri.to_string(), names, folders };
        return Ok(Gathered { places, classes });
    }
    if !classed {
        return Ok(Gathered { places: places(uri)?, classes: Classes::None });
    }
    let bytes = source::read_unpacked(uri)?;
    if !idx::is_pictures(&bytes) {
        let expected = "a folder of class folders (root/<class>/picture), or an IDX file of pictures";
        return Err(DataError::source(uri, expected, idx::described(&bytes)));
    }
    let pictures = IdxPictures::parse(uri, bytes)?;
    let labels_uri = match labels {
        Some(labels) => labels.to_string(),
        None => labels_beside(uri)?,
    };
    let labels = idx::read_labels(&labels_uri)?;
    if labels.len() != pictures.count {
        let expected = format!("{} labels, as many as there are pictures in {uri}", pictures.count);
        return Err(DataError::source(labels_uri, expected, labels.len()));
    }
    if pictures.count == 0 {
        return Err(DataError::source(uri, "pictures", "none"));
    }
    Ok(Gathered { places: numbered(pictures), classes: Classes::Indices { uri: labels_uri, labels } })
}

/// The pictures of a folder, a glob, a picture file, an IDX file or shards, without classes.
pub(super) fn places(uri: &str) -> Result<Vec<Place>, DataError> {
    if holds_pictures(uri) {
        let set = Streamed::open(uri, None, ShardOrder::Window)?.into_set();
        return Ok((0..set.len()).map(|number| Place::Shard(set.clone(), number)).collect());
    }
    if source::is_folder(uri) || folder::is_picture(uri) {
        return Ok(folder::pictures(uri)?.into_iter().map(Place::File).collect());
    }
    match source::list(uri)?.as_slice() {
        [file] if file == uri => {}
        files => {
            let pictures: Vec<Place> =
                files.iter().filter(|file| folder::is_picture(file)).cloned().map(Place::File).collect();
            return match pictures.is_empty() {
                false => Ok(pictures),
                true => Err(DataError::source(uri, "PNG or JPEG files", "files of other kinds")),
            };
        }
    }
    let bytes = source::read_unpacked(uri)?;
    if image::guess_format(&bytes).is_ok() {
        return Ok(vec![Place::File(uri.to_string())]);
    }
    if !idx::is_pictures(&bytes) {
        return Err(DataError::source(uri, "a PNG, JPEG or IDX file of pictures", "another format"));
    }
    match IdxPictures::parse(uri, bytes)? {
        none if none.count == 0 => Err(DataError::source(uri, "pictures", "none")),
        pictures => Ok(numbered(pictures)),
    }
}

fn numbered(pictures: IdxPictures) -> Vec<Place> {
    let count = pictures.count;
    let pictures = Arc::new(pictures);
    (0..count).map(|number| Place::Idx(pictures.clone(), number)).collect()
}

/// `x/train-labels-idx1-ubyte.gz` for `x/train-images-idx3-ubyte.gz`.
pub(super) fn labels_beside(uri: &str) -> Result<String, DataError> {
    const PICTURES: &str = "images-idx3";
    match uri.rfind(PICTURES) {
        Some(at) => Ok(format!("{}labels-idx1{}", &uri[..at], &uri[at + PICTURES.len()..])),
        None => {
            let expected =
                format!("the URI of the labels, as the pictures have no {PICTURES:?} in their name");
            Err(DataError::config("labels", expected, format!("none for {uri}")))
        }
    }
}

impl Gathered {
    /// The names of the classes as the source has them: folders, or the numbers from 0 on.
    pub(super) fn class_names(&self) -> Vec<String> {
        match &self.classes {
            Classes::None => Vec::new(),
            Classes::Indices { labels, .. } => {
                let classes = labels.iter().max().map_or(0, |&largest| usize::from(largest) + 1);
                (0..classes).map(|class| class.to_string()).collect()
            }
            Classes::Folders { names, .. } => names.clone(),
        }
    }

    /// Refuses pictures that are all of one class, from which nothing can be learned.
    pub(super) fn check_several_classes(&self) -> Result<(), DataError> {
        let (uri, only) = match &self.classes {
            Classes::None => return Ok(()),
            Classes::Indices { uri, labels } => {
                let one = labels.iter().all(|label| Some(label) == labels.first());
                (uri, one.then(|| labels[0].to_string()))
            }
            Classes::Folders { root, names, .. } => (root, (names.len() == 1).then(|| names[0].clone())),
        };
        match only {
            None => Ok(()),
            Some(class) => Err(DataError::source(uri, "at least two classes", format!("only {class:?}"))),
        }
    }

    /// The pictures with their classes as indices into `labels`: the names of folders are looked
    /// up, the numbers of IDX are the indices.
    pub(super) fn label(self, labels: &[String]) -> Result<Vec<Item>, DataError> {
        let classes: Vec<Option<usize>> = match &self.classes {
            Classes::None => vec![None; self.places.len()],
            Classes::Indices { uri, labels: indices } => {
                if let Some(at) = indices.iter().position(|&label| usize::from(label) >= labels.len()) {
                    return Err(DataError::malformed(
                        uri,
                        format!("label {at} (byte {})", idx::LABELS_HEADER + at),
                        format!("a number below {}, one of the known classes", labels.len()),
                        indices[at],
                    ));
                }
                indices.iter().map(|&label| Some(usize::from(label))).collect()
            }
            Classes::Folders { root, names, folders } => {
                let index: HashMap<&str, usize> =
                    labels.iter().enumerate().map(|(index, label)| (label.as_str(), index)).collect();
                if let Some(name) = names.iter().find(|name| !index.contains_key(name.as_str())) {
                    let known = labels.join(", ");
                    return Err(DataError::source(
                        root,
                        format!("folders of the classes {known}"),
                        format!("{name:?}"),
                    ));
                }
                folders.iter().map(|&folder| index.get(names[folder].as_str()).copied()).collect()
            }
        };
        Ok(self.places.into_iter().zip(classes).map(|(place, class)| Item { place, class }).collect())
    }
}
