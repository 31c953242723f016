//! Inputs to predict, some at a time: read once, from the first to the last, in memory that their number does
//! not decide.
//!
//! ```text
//! inputs -> thread: list, read, encode -> InputPiece (samples, names, refused) -> model -> answers
//! ```

use crate::{DataError, Dataset, Kept, Pipeline};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

/// Some inputs, in their sequence.
pub struct InputPiece<D: Dataset> {
    /// Their samples, without targets.
    pub samples: Pipeline<D>,
    /// The name of each sample.
    pub names: Names,
    /// The cells of each sample that are carried along into its answer, in the order in which they were asked
    /// for; empty where none are.
    pub kept: Vec<Kept>,
    /// The inputs that were left out, in their sequence.
    pub refused: Vec<Refused>,
}

/// An input that no sample can be made of, where the recipe leaves such ones out.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The number of the sample that comes behind it.
    pub before: u64,
    /// Its name: its place, or that of the record.
    pub name: String,
    /// Its cells that are carried along; none where not even those can be read.
    pub kept: Kept,
    /// Why no sample can be made of it.
    pub error: DataError,
}

impl Refused {
    /// A record that an error is about, named as samples are: by its line or row, where the error tells it.
    pub(crate) fn record(before: u64, error: DataError) -> Self {
        let name = match &error {
            DataError::Malformed { uri, place, .. }
            | DataError::Marked { uri, place, .. }
            | DataError::Undecodable { uri, place, .. } => {
                let number = place.split([' ', ',']).nth(1).and_then(|number| number.parse::<u64>().ok());
                number.map_or_else(|| uri.clone(), |number| format!("{uri}:{number}"))
            }
            DataError::Source { uri, .. }
            | DataError::Unreachable { uri, .. }
            | DataError::Memory { uri, .. } => uri.clone(),
            DataError::Config { key, .. } => format!("data.{key}"),
        };
        Refused { before, name, kept: Kept::new(), error }
    }
}

/// The names of the samples of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// Each by a name of its own.
    Each(Vec<String>),
    /// All by the URI that they are in, and their number there from 0 on.
    Numbered(String),
}

impl Names {
    /// The name of sample number `sample`.
    ///
    /// # Panics
    /// When there is no such sample.
    pub fn of(&self, sample: u64) -> String {
        match self {
            Names::Each(names) => names[sample as usize].clone(),
            Names::Numbered(uri) => format!("{uri}:{sample}"),
        }
    }
}

/// The pieces of all inputs, one after the other: one is used while the next one waits and another one is
/// read. After an error there is no other piece.
pub struct InputPieces<D: Dataset> {
    pieces: Receiver<Result<InputPiece<D>, DataError>>,
    /// The thread that reads.
    reader: Option<JoinHandle<()>>,
}

/// Takes the pieces of a reader; an error says that nobody wants more of them.
pub(crate) type Put<'a, D> = &'a mut dyn FnMut(InputPiece<D>) -> Result<(), DataError>;

impl<D: Dataset> InputPieces<D> {
    /// The pieces that `read` puts, and the error that it ends with, if any. It runs in a thread of its own.
    pub(crate) fn of(read: impl FnOnce(Put<'_, D>) -> Result<(), DataError> + Send + 'static) -> Self {
        let (sender, pieces) = sync_channel(1);
        let failed = sender.clone();
        let reader = thread::Builder::new().spawn(move || {
            let unwanted = |_| DataError::source("predict", "a reader of the pieces", "none");
            let mut put = |piece| sender.send(Ok(piece)).map_err(unwanted);
            if let Err(error) = read(&mut put) {
                // Without a receiver nobody asks.
                let _ = sender.send(Err(error));
            }
        });
        let reader = reader.inspect_err(|error| {
            let error = DataError::source("predict", "a thread that reads", format!("none: {error}"));
            // There is room for one.
            let _ = failed.send(Err(error));
        });
        InputPieces { pieces, reader: reader.ok() }
    }
}

impl<D: Dataset> Iterator for InputPieces<D> {
    type Item = Result<InputPiece<D>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Ok(piece) = self.pieces.recv() {
            return Some(piece);
        }
        // The reader has ended. Had it panicked, what it read would look like all there is.
        if let Some(Err(panic)) = self.reader.take().map(JoinHandle::join) {
            resume_unwind(panic);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Draw, OnCorrupt, PipelineConfig, Shuffle};
    use bonfire_contract::{Table, Target};
    use burn::tensor::{Device, Tensor};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A set of one sample.
    struct One;

    impl Dataset for One {
        type Sample = ();
        type Input = Table;

        fn len(&self) -> u64 {
            1
        }

        fn sample(&self, _index: u64, _draw: Draw) -> Result<(), DataError> {
            Ok(())
        }

        fn collate(&self, samples: Vec<()>, device: &Device) -> (Table, Target) {
            let empty = || [samples.len(), 0];
            let (numeric, categories) = (Tensor::zeros(empty(), device), Tensor::zeros(empty(), device));
            (Table { numeric, categories }, Target::Absent)
        }
    }

    fn piece(name: usize) -> InputPiece<One> {
        let (shuffle, on_corrupt) = (Shuffle::Never, OnCorrupt::Stop);
        let config = PipelineConfig {
            shuffle,
            seed: 0,
            on_corrupt,
            repeats: 1,
            lanes: 1,
            workers: 0,
            prefetch_bytes: 0,
        };
        InputPiece {
            samples: Pipeline::new(One, config),
            names: Names::Each(vec![name.to_string()]),
            kept: Vec::new(),
            refused: Vec::new(),
        }
    }

    #[test]
    fn parts_come_in_sequence_and_few_are_read_ahead() {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = read.clone();
        let mut pieces = InputPieces::of(move |put| {
            (0..100).try_for_each(|name| {
                counted.fetch_add(1, Ordering::SeqCst);
                put(piece(name))
            })
        });
        for name in 0..50 {
            let names = pieces.next().unwrap().unwrap().names;
            assert_eq!(names.of(0), name.to_string());
            // The one in use, the one that waits, and the one that is being read.
            assert!(read.load(Ordering::SeqCst) <= name + 3);
        }
        drop(pieces);
    }

    #[test]
    fn an_error_comes_after_the_parts_before_it_and_ends_them() {
        let mut pieces = InputPieces::of(|put| {
            put(piece(0))?;
            Err(DataError::source("x", "a", "b"))
        });
        assert!(pieces.next().unwrap().is_ok());
        assert_eq!(pieces.next().unwrap().err().unwrap().to_string(), "x: expected a, found b");
        assert!(pieces.next().is_none() && pieces.next().is_none());
    }

    #[test]
    fn a_reader_that_panics_is_no_end() {
        let mut pieces = InputPieces::<One>::of(|_| panic!("on purpose"));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pieces.next().is_none())).is_err());
    }
}
