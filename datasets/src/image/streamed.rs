//! Pictures in shards, read where they lie: in tar a sample at a time, in Parquet a row group.

use super::form::Form;
use super::picture::{Need, Picture};
use super::{ImageConfig, ImageTarget, decode};
use crate::index::{self, Index};
use crate::records::{Format, sort_labels};
use crate::store::{BlockSet, Encoded, PictureDecoder, PicturePart, ShardSet, Source};
use crate::{DataError, ShardOrder, Shuffle, Window, source};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Bytes of the row groups that are open at a time, at most: about twice as many are held.
const OPEN_BYTES: u64 = 128 << 20;

/// The encoded pictures of shards, by number.
#[derive(Debug)]
pub(super) enum PictureSet {
    Tar(Box<ShardSet>),
    Parquet(BlockSet<PictureDecoder>),
}

impl PictureSet {
    /// The pictures of an index, for an order with a `window` where one is given. Row groups take the
    /// place of its shards, and are read whole. Of a tar's sample, `picture` is the ending of the picture, where
    /// a recipe says it.
    ///
    /// # Errors
    /// When the first sample has several pictures and nobody says which, or the index cannot be read.
    pub(super) fn of(
        index: Index,
        window: Option<Window>,
        order: ShardOrder,
        picture: Option<&str>,
    ) -> Result<Self, DataError> {
        if !index.format().has_blocks() {
            let part = PicturePart::new(picture);
            if index.shards().samples() > 0 {
                let (shard, number) = index.shards().find(0);
                // The rows of a shard stay in memory once they are asked for: only where there is trouble.
                if index.lookup(shard)?.part(number, |extensions| part.among(extensions)).is_none() {
                    part.check(&index.entry(0)?.1)?;
                }
            }
            let window = window.filter(|_| order == ShardOrder::Window);
            return Ok(PictureSet::Tar(Box::new(ShardSet::new(index, part, window))));
        }
        let source = Arc::new(Source::of(index)?);
        let open = source.window(OPEN_BYTES, 0).min(window.map_or(1, |window| window.shards.max(1)));
        let all = (0..source.len()).collect();
        Ok(PictureSet::Parquet(BlockSet::new(source, all, PictureDecoder, open).ordered(order)))
    }

    pub(super) fn index(&self) -> &Index {
        match self {
            PictureSet::Tar(set) => set.index(),
            PictureSet::Parquet(set) => set.source().index(),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.index().shards().samples()
    }

    /// Reads sample `index`.
    ///
    /// # Errors
    /// When its shard cannot be read, has changed since it was indexed, or has no picture there.
    pub(super) fn read(&self, index: u64) -> Result<Encoded, DataError> {
        let set = match self {
            PictureSet::Tar(set) => return set.read(index),
            PictureSet::Parquet(set) => set,
        };
        let (shard, number) = self.index().shards().find(index);
        let (pictures, within) = set.read(index)?;
        match pictures.get(within).cloned().flatten() {
            Some(bytes) => Ok(Encoded { bytes, class: self.index().lookup(shard)?.class(number) }),
            None => {
                let uri = self.index().object(shard).uri();
                Err(DataError::malformed(uri, format!("row {}", number + 1), "a picture", "null"))
            }
        }
    }

    /// The place of sample `index`.
    pub(super) fn place(&self, index: u64) -> SamplePlace<'_> {
        SamplePlace { set: self, index }
    }
}

/// The place of a sample. Its text is read from the index when it is printed.
#[derive(Debug)]
pub(super) struct SamplePlace<'a> {
    set: &'a PictureSet,
    index: u64,
}

impl fmt::Display for SamplePlace<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let index = self.set.index();
        let (shard, number) = index.shards().find(self.index);
        write!(formatter, "{}, ", index.object(shard).uri())?;
        match self.set {
            PictureSet::Tar(set) => formatter.write_str(&set.place(self.index)),
            PictureSet::Parquet(_) => write!(formatter, "row {}", number + 1),
        }
    }
}

/// A set of shards of pictures.
#[derive(Debug)]
pub(super) struct Streamed {
    set: Arc<PictureSet>,
    /// The label of each class of the index; none where classes are not asked for.
    classes: Option<Vec<usize>>,
}

impl Streamed {
    /// Opens the shards of `uri` for an order, with a `window` where what is read should be read ahead.
    /// `picture` is the ending of the pictures in tar, where a recipe says it.
    pub(super) fn open(
        uri: &str,
        window: Option<Window>,
        order: ShardOrder,
        picture: Option<&str>,
    ) -> Result<Self, DataError> {
        let index = Index::open(uri, &mut index::report(uri))?;
        if index.shards().samples() == 0 {
            return Err(DataError::source(uri, "pictures", "shards without samples"));
        }
        Ok(Streamed { set: Arc::new(PictureSet::of(index, window, order, picture)?), classes: None })
    }

    /// The training shards, and how the recipe shuffles them.
    pub(super) fn train(config: &ImageConfig, seed: u64) -> Result<(Self, Shuffle), DataError> {
        let window = Window { shards: config.window_shards, block: config.window_block };
        // A sample of a local tar is read alone as fast as with others.
        let found_alone = Format::named(&config.train).is_some_and(|format| !format.has_blocks());
        let alone = !source::is_remote(&config.train) && found_alone;
        let order = config.order.unwrap_or(if alone { ShardOrder::Full } else { ShardOrder::Window });
        let streamed = Streamed::open(&config.train, Some(window), order, config.picture.as_deref())?;
        let shuffle = match (&*streamed.set, order) {
            (PictureSet::Parquet(set), _) => set.shuffle(seed),
            (_, ShardOrder::Full) => Shuffle::Full(seed),
            (PictureSet::Tar(set), ShardOrder::Window) => {
                Shuffle::Window(seed, set.index().shards().clone(), window)
            }
        };
        Ok((streamed, shuffle))
    }

    /// Shards that are read in their own order.
    pub(super) fn in_order(config: &ImageConfig, uri: &str) -> Result<Self, DataError> {
        // Each worker is within a block, and the next one may have been begun.
        let window = Window { shards: config.workers.max(1), block: config.window_block };
        Streamed::open(uri, Some(window), ShardOrder::Window, config.picture.as_deref())
    }

    /// The samples without their classes, to be asked for one by one.
    pub(super) fn into_set(self) -> Arc<PictureSet> {
        self.set
    }

    pub(super) fn len(&self) -> u64 {
        self.set.len()
    }

    /// See [`Dataset::ahead`](crate::Dataset::ahead).
    pub(super) fn ahead(&self) -> u64 {
        match &*self.set {
            PictureSet::Tar(_) => 0,
            PictureSet::Parquet(set) => set.ahead(),
        }
    }

    /// See [`Dataset::hold`](crate::Dataset::hold).
    pub(super) fn hold(&self, lanes: u64) {
        match &*self.set {
            PictureSet::Tar(set) => set.hold(lanes),
            PictureSet::Parquet(set) => set.hold(lanes),
        }
    }

    /// See [`Dataset::prepare`](crate::Dataset::prepare).
    pub(super) fn prepare(&self, index: u64) {
        if let PictureSet::Parquet(set) = &*self.set {
            set.prepare(index);
        }
    }

    /// The names of the classes, sorted; several.
    pub(super) fn class_names(&self) -> Result<Vec<String>, DataError> {
        let mut names: Vec<String> = self.classes_found()?.map(str::to_string).collect();
        match names.as_slice() {
            [only] => Err(DataError::source(self.uri(), "at least two classes", format!("only {only:?}"))),
            _ => {
                sort_labels(&mut names);
                Ok(names)
            }
        }
    }

    /// Gives each class its label: by its name, or by its number where the recipe names the classes.
    ///
    /// # Errors
    /// When a sample has no class, or one that is not among them.
    pub(super) fn label(mut self, config: &ImageConfig, labels: &[String]) -> Result<Self, DataError> {
        if config.target == ImageTarget::Input {
            return Ok(self);
        }
        let by_name: HashMap<&str, usize> =
            labels.iter().enumerate().map(|(index, label)| (label.as_str(), index)).collect();
        let mut classes = Vec::new();
        for found in self.classes_found()? {
            let numbered = || found.parse().ok().filter(|_| config.class_names.is_some());
            let class = by_name.get(found).copied().or_else(numbered).filter(|class| *class < labels.len());
            let Some(class) = class else {
                let expected = format!("samples of the classes {}", labels.join(", "));
                return Err(DataError::source(self.uri(), expected, format!("{found:?}")));
            };
            classes.push(class);
        }
        self.classes = Some(classes);
        Ok(self)
    }

    /// The pictures of each of `num` labels, where they have labels.
    pub(super) fn classes_of(&self, num: usize) -> Option<Vec<u64>> {
        let (labels, found) = (self.classes.as_ref()?, self.set.index().classes()?);
        let mut counts = vec![0; num];
        labels.iter().zip(found.values()).for_each(|(&label, pictures)| counts[label] += pictures);
        Some(counts)
    }

    /// The name of picture `index`: the URI of the set, and its number there from 0 on.
    pub(super) fn place(&self, index: u64) -> String {
        format!("{}:{index}", self.uri())
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
            let expected = "a class for each sample: a .cls part, \"label\" in a .json part, a folder in its \
                 name, or a column `label` in Parquet";
            return refuse(expected, format!("none for {unlabelled} of {} samples", self.len()));
        }
        Ok(classes.keys().flatten().map(String::as_str))
    }

    /// Reads and decodes a picture, with the place to name in errors and its class.
    pub(super) fn picture(
        &self,
        index: u64,
        form: &Form,
        need: Need,
    ) -> Result<(Picture<'static>, SamplePlace<'_>, Option<usize>), DataError> {
        let (picture, class) = picture(&self.set, index, form, need)?;
        let known = |class: usize| self.classes.as_ref().and_then(|classes| classes.get(class).copied());
        Ok((picture, self.set.place(index), class.and_then(known)))
    }
}

/// Reads and decodes picture `index`, with the number of its class among the index's.
pub(super) fn picture(
    set: &PictureSet,
    index: u64,
    form: &Form,
    need: Need,
) -> Result<(Picture<'static>, Option<usize>), DataError> {
    let found = set.read(index)?;
    let picture = decode::decode(&set.place(index), &found.bytes, form, need)?;
    Ok((picture, found.class))
}
