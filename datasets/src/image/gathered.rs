//! Pictures with their classes as their source has them, and by the labels of a run.

use super::idx;
use super::place::{Item, Place, Said};
use crate::DataError;
use crate::records::LeftOut;
use bytes::Bytes;
use std::collections::HashMap;

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
