//! The pictures that a URI names: the place of each, and its class.

use super::gathered::{Classes, Gathered};
use super::idx::{self, IdxPictures};
use super::place::Place;
use super::streamed::Streamed;
use super::{ImageConfig, ImageTarget, decode, folder, labels};
use crate::records::{LeftOut, holds_pictures};
use crate::{DataError, ShardOrder, source};
use std::sync::Arc;

/// True for a URI of shards of pictures, and not of a table of file names.
pub(super) fn is_shards(config: &ImageConfig, uri: &str) -> bool {
    holds_pictures(uri) && !labels::is_table(uri, config)
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
