//! The pictures that a URI names: the place of each, and its class.

use super::form::Form;
use super::idx::{self, IdxPictures};
use super::picture::{Need, Picture};
use super::streamed::{self, PictureSet, Streamed};
use super::{ImageConfig, ImageTarget, decode, folder, labels};
use crate::records::{LeftOut, holds_pictures};
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

/// Pictures, with their classes as their source has them.
#[derive(Debug)]
pub(super) struct Gathered {
    pub places: Vec<Place>,
    pub classes: Classes,
    /// The group of each, where they are held out by groups.
    pub groups: Option<Vec<u32>>,
    /// What lies beside them and is none.
    pub left_out: LeftOut,
}

#[derive(Debug)]
pub(super) enum Classes {
    /// Not asked for.
    None,
    /// The labels file and its labels, which are the indices of the classes.
    Indices { uri: String, labels: Bytes },
    /// The names of the class folders, or the classes that a table says, and the class of each picture.
    Named { uri: String, names: Vec<String>, classes: Vec<usize> },
    /// The value of each picture, as a table says it.
    Values { uri: String, values: Vec<f64> },
    /// All labels, and those of each picture.
    Several { uri: String, names: Vec<String>, sets: Vec<Vec<usize>> },
}

/// Finds the pictures of `uri`, and their classes or values when the recipe's target asks for them. The labels
/// of an IDX file are where the recipe says for its training pictures, and beside it for others.
pub(super) fn gather(config: &ImageConfig, uri: &str) -> Result<Gathered, DataError> {
    if labels::is_table(uri, config) {
        return labels::gather(uri, config, config.target);
    }
    if matches!(config.target, ImageTarget::Value | ImageTarget::Labels) {
        let expected = "a table of file names (CSV, JSONL), as data.target is \"value\" or \"labels\"";
        return Err(DataError::source(uri, expected, "none of that"));
    }
    let labels = config.labels.as_deref().filter(|_| uri == config.train);
    let classed = config.target == ImageTarget::Class;
    if classed && source::is_folder(uri) {
        let folder::Classed { names, pictures, left_out } = folder::classed(uri)?;
        let (places, classes) = pictures.into_iter().map(|(uri, class)| (Place::File(uri), class)).unzip();
        let classes = Classes::Named { uri: uri.to_string(), names, classes };
        return Ok(Gathered { places, classes, groups: None, left_out });
    }
    if !classed {
        let (places, left_out) = places_of(uri)?;
        return Ok(Gathered { places, classes: Classes::None, groups: None, left_out });
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
    let classes = Classes::Indices { uri: labels_uri, labels };
    Ok(Gathered { places: numbered(pictures), classes, groups: None, left_out: LeftOut::default() })
}

/// The pictures of a folder, a glob, a picture file, an IDX file or shards, without classes; and what lies
/// beside them.
pub(super) fn places_of(uri: &str) -> Result<(Vec<Place>, LeftOut), DataError> {
    let nothing = LeftOut::default;
    if holds_pictures(uri) {
        let set = Streamed::open(uri, None, ShardOrder::Window, None)?.into_set();
        let places = (0..set.len()).map(|number| Place::Shard(set.clone(), number)).collect();
        return Ok((places, nothing()));
    }
    let is_one_file = || Ok(matches!(source::list(uri)?.as_slice(), [file] if file == uri));
    if source::is_folder(uri) || folder::is_picture(uri) || !is_one_file()? {
        let (pictures, mut left_out) = folder::pictures(uri)?;
        // Nobody asked for classes.
        left_out.folders.clear();
        return Ok((pictures.into_iter().map(Place::File).collect(), left_out));
    }
    let bytes = source::read_unpacked(uri)?;
    if decode::is_picture(&bytes) {
        return Ok((vec![Place::File(uri.to_string())], nothing()));
    }
    if !idx::is_pictures(&bytes) {
        let expected = format!("{} or an IDX file of them", folder::expected());
        return Err(DataError::source(uri, expected, "another format"));
    }
    match IdxPictures::parse(uri, bytes)? {
        none if none.count == 0 => Err(DataError::source(uri, "pictures", "none")),
        pictures => Ok((numbered(pictures), nothing())),
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
            Classes::None | Classes::Values { .. } => Vec::new(),
            Classes::Indices { labels, .. } => {
                let classes = labels.iter().max().map_or(0, |&largest| usize::from(largest) + 1);
                (0..classes).map(|class| class.to_string()).collect()
            }
            Classes::Named { names, .. } | Classes::Several { names, .. } => names.clone(),
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
            Classes::Named { uri, names, .. } => (uri, (names.len() == 1).then(|| names[0].clone())),
            Classes::Several { uri, names, .. } if names.len() < 2 => {
                return Err(DataError::source(uri, "at least two labels", names.len()));
            }
            Classes::Several { .. } => return Ok(()),
            Classes::Values { uri, values } => {
                let one = values.iter().all(|value| Some(value) == values.first());
                return match values.first().filter(|_| one) {
                    None => Ok(()),
                    Some(value) => {
                        Err(DataError::source(uri, "at least two values", format!("only {value}")))
                    }
                };
            }
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
            Classes::None | Classes::Values { .. } | Classes::Several { .. } => vec![None; self.places.len()],
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
            Classes::Named { uri, names, classes } => {
                let places = places(uri, names, labels)?;
                classes.iter().map(|&class| Some(places[class])).collect()
            }
        };
        let said: Vec<Said> = match self.classes {
            Classes::Values { values, .. } => values.into_iter().map(Said::Value).collect(),
            Classes::Several { uri, names, sets } => {
                let places = places(&uri, &names, labels)?;
                let set =
                    |set: Vec<usize>| Said::Labels(set.into_iter().map(|label| places[label]).collect());
                sets.into_iter().map(set).collect()
            }
            _ => vec![Said::Nothing; self.places.len()],
        };
        let items = self.places.into_iter().zip(classes).zip(said);
        Ok(items.map(|((place, class), said)| Item { place, class, said }).collect())
    }
}

/// The place of each name among the labels of a run.
///
/// # Errors
/// When there is none of that name.
fn places(uri: &str, names: &[String], labels: &[String]) -> Result<Vec<usize>, DataError> {
    let index: HashMap<&str, usize> =
        labels.iter().enumerate().map(|(index, label)| (label.as_str(), index)).collect();
    let place = |name: &String| {
        index.get(name.as_str()).copied().ok_or_else(|| {
            let expected = format!("pictures of the classes {}", labels.join(", "));
            DataError::source(uri, expected, format!("{name:?}"))
        })
    };
    names.iter().map(place).collect()
}
