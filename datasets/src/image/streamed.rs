//! Pictures in tar shards: read where they lie, a sample at a time.

use super::picture::Picture;
use super::{ImageConfig, ImageTarget, decode, folder};
use crate::index::{self, Index};
use crate::shard::ShardSet;
use crate::{DataError, ShardOrder, Shuffle, Window, source};
use std::collections::HashMap;
use std::sync::Arc;

/// The parts that hold a picture.
pub(super) const PICTURES: &[&str] = &["jpg", "jpeg", "png"];

/// A set of shards of pictures.
#[derive(Debug)]
pub(super) struct Streamed {
    set: Arc<ShardSet>,
    /// The index of each class; none where classes are not asked for.
    classes: Option<HashMap<String, usize>>,
}

impl Streamed {
    /// Opens the shards of `uri`, for an order with a `window` where one is given.
    pub(super) fn open(uri: &str, window: Option<Window>) -> Result<Self, DataError> {
        let index = Index::open(uri, &mut index::report(uri))?;
        if index.shards().samples() == 0 {
            return Err(DataError::source(uri, "pictures", "shards without samples"));
        }
        Ok(Streamed { set: Arc::new(ShardSet::new(index, PICTURES, window)), classes: None })
    }

    /// The training shards, and how the recipe shuffles them.
    pub(super) fn train(config: &ImageConfig, seed: u64) -> Result<(Self, Shuffle), DataError> {
        let window = Window { shards: config.window_shards, block: config.window_block };
        let default = if source::is_remote(&config.train) { ShardOrder::Window } else { ShardOrder::Full };
        let window = (config.order.unwrap_or(default) == ShardOrder::Window).then_some(window);
        let streamed = Streamed::open(&config.train, window)?;
        let shuffle = match window {
            Some(window) => Shuffle::Window(seed, streamed.set.index().shards().clone(), window),
            None => Shuffle::Full(seed),
        };
        Ok((streamed, shuffle))
    }

    /// Shards that are read in their own order.
    pub(super) fn in_order(config: &ImageConfig, uri: &str) -> Result<Self, DataError> {
        // Each worker is within a block, and the next one may have been begun.
        Streamed::open(uri, Some(Window { shards: config.workers.max(1), block: config.window_block }))
    }

    /// The samples without their classes, to be asked for one by one.
    pub(super) fn into_set(self) -> Arc<ShardSet> {
        self.set
    }

    pub(super) fn len(&self) -> u64 {
        self.set.len()
    }

    /// The names of the classes, sorted; several.
    pub(super) fn class_names(&self) -> Result<Vec<String>, DataError> {
        let mut names: Vec<String> = self.classes_found()?.map(str::to_string).collect();
        match names.as_slice() {
            [only] => Err(DataError::source(self.uri(), "at least two classes", format!("only {only:?}"))),
            _ => {
                folder::sort_labels(&mut names);
                Ok(names)
            }
        }
    }

    /// Takes in what classes mean: the names of `labels`, or numbers where the recipe names the
    /// classes that they number.
    ///
    /// # Errors
    /// When a sample has no class, or one that is not among them.
    pub(super) fn label(mut self, config: &ImageConfig, labels: &[String]) -> Result<Self, DataError> {
        if config.target == ImageTarget::Input {
            return Ok(self);
        }
        let by_name: HashMap<&str, usize> =
            labels.iter().enumerate().map(|(index, label)| (label.as_str(), index)).collect();
        let mut classes = HashMap::new();
        for found in self.classes_found()? {
            let numbered = || found.parse().ok().filter(|_| config.class_names.is_some());
            let class = by_name.get(found).copied().or_else(numbered).filter(|class| *class < labels.len());
            let Some(class) = class else {
                let expected = format!("samples of the classes {}", labels.join(", "));
                return Err(DataError::source(self.uri(), expected, format!("{found:?}")));
            };
            classes.insert(found.to_string(), class);
        }
        self.classes = Some(classes);
        Ok(self)
    }

    fn uri(&self) -> &str {
        self.set.index().uri()
    }

    /// Every class of the index.
    fn classes_found(&self) -> Result<impl Iterator<Item = &str>, DataError> {
        let refuse = |expected: &str, found: String| Err(DataError::source(self.uri(), expected, found));
        let Some(classes) = self.set.index().classes() else {
            return refuse(
                "labels that are classes",
                "more different ones than any model has classes".into(),
            );
        };
        if let Some(unlabelled) = classes.get(&None) {
            let expected =
                "a class for each sample: a .cls part, \"label\" in a .json part, or a folder in its name";
            return refuse(expected, format!("none for {unlabelled} of {} samples", self.len()));
        }
        Ok(classes.keys().flatten().map(String::as_str))
    }

    /// Reads and decodes a picture, with the place to name in errors and its class.
    pub(super) fn picture(
        &self,
        index: u64,
        channels: usize,
    ) -> Result<(Picture<'static>, String, Option<usize>), DataError> {
        let (picture, place, class) = picture(&self.set, index, channels)?;
        let known = |class: &String| self.classes.as_ref().and_then(|classes| classes.get(class).copied());
        Ok((picture, place, class.as_ref().and_then(known)))
    }
}

/// Reads and decodes picture `index`, with its place and the name of its class.
pub(super) fn picture(
    set: &ShardSet,
    index: u64,
    channels: usize,
) -> Result<(Picture<'static>, String, Option<String>), DataError> {
    let found = set.read(index)?;
    let place = format!("{}, {}", found.uri, found.place);
    let picture = decode::decode(&place, &found.bytes, channels)?;
    Ok((picture, place, found.class))
}
