//! Pictures to predict: listed as they are read, some at a time.

use super::folder::Sorting;
use super::gather::is_shards;
use super::place::{Item, Place, Said};
use super::set::Pictures;
use super::streamed::Streamed;
use super::{ImageConfig, ImageSchema, ImageSet, ImageTarget, gather, labels, open};
use crate::inputs::Put;
use crate::{DataError, InputPiece, InputPieces, Names, source};

/// Pictures of a piece.
const PIECE: usize = 4096;

/// Opens the pictures that `inputs` name (files, folders, globs, tables of names, IDX files, shards) in their
/// order, without labels, each as `data.crops` views. The name of each is its URI, followed by `:number` in an
/// IDX file and in shards. Of folders and buckets, the names of some thousand pictures are held at a time; of
/// shards none; an IDX file is held whole.
///
/// A picture that cannot be read stops, or has no sample: as `on_corrupt` says.
///
/// # Errors
/// When there is no input, or a key is out of its bounds. An input that is missing, or holds no picture, is
/// an error in the place of its pieces.
pub fn open_prediction(
    config: &ImageConfig,
    schema: &ImageSchema,
    inputs: &[String],
) -> Result<InputPieces<ImageSet>, DataError> {
    config.check()?;
    if inputs.is_empty() {
        return Err(DataError::source("predict", "pictures, folders or IDX files", "no input"));
    }
    let (config, schema, inputs) = (config.clone(), schema.clone(), inputs.to_vec());
    Ok(InputPieces::of(move |put| {
        let mut places = Collector { config: &config, schema: &schema, put, places: Vec::new() };
        inputs.iter().try_for_each(|input| places.read(input))?;
        places.put()
    }))
}

/// Places of pictures, on their way into pieces.
struct Collector<'a> {
    config: &'a ImageConfig,
    schema: &'a ImageSchema,
    put: Put<'a, ImageSet>,
    places: Vec<Place>,
}

impl Collector<'_> {
    fn read(&mut self, uri: &str) -> Result<(), DataError> {
        if is_shards(self.config, uri) {
            self.put()?;
            let streamed = Pictures::Streamed(Streamed::in_order(self.config, uri)?);
            return self.piece(streamed, Names::Numbered(uri.to_string()));
        }
        if labels::is_table(uri, self.config) {
            let named = labels::gather(uri, self.config, ImageTarget::Input)?;
            return named.places.into_iter().try_for_each(|place| self.push(place));
        }
        if !source::is_folder(uri) {
            let (places, left_out) = gather::places_of(uri)?;
            left_out.tell(uri);
            return places.into_iter().try_for_each(|place| self.push(place));
        }
        let mut sorting = Sorting::default();
        source::walk(uri, &mut |file| match sorting.take(uri, &file) {
            true => self.push(Place::File(file)),
            false => Ok(()),
        })?;
        let mut left_out = sorting.finish(uri)?;
        left_out.folders.clear();
        left_out.tell(uri);
        Ok(())
    }

    fn push(&mut self, place: Place) -> Result<(), DataError> {
        self.places.push(place);
        if self.places.len() == PIECE { self.put() } else { Ok(()) }
    }

    /// Hands on the places collected so far.
    fn put(&mut self) -> Result<(), DataError> {
        let places = std::mem::take(&mut self.places);
        if places.is_empty() {
            return Ok(());
        }
        let names = Names::Each(places.iter().map(Place::to_string).collect());
        let items =
            places.into_iter().map(|place| Item { place, class: None, said: Said::Nothing }).collect();
        self.piece(Pictures::Held(items), names)
    }

    fn piece(&mut self, pictures: Pictures, names: Names) -> Result<(), DataError> {
        let samples = open::pipeline(self.config, self.schema, pictures, self.config.crops, 0);
        (self.put)(InputPiece { samples, names, kept: Vec::new(), refused: Vec::new() })
    }
}
