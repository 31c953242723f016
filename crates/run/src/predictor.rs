//! A run that answers: asked with files or with records from memory.
//!
//! ```text
//! URIs    -> parts, some at a time ─┐
//! records -> samples in memory     ─┴─> batches -> model -> Answer, one a sample
//! ```

use crate::RunError;
use crate::answer::{Answer, NotFinite, answers};
use crate::feed::Unwrapped;
use crate::record::Record;
use crate::schema::Schema;
use crate::sets::{self, InputPart, OpenedRecords, Pictures, SampleSet};
use bonfire_contract::{LoadError, Loader, Position, Task};
use bonfire_datasets::{DataError, Kept, Refused};
use bonfire_kernels::threads;
use bonfire_recipe::DataConfig;
use bonfire_train::{ValueScale, average_views};
use burn::tensor::Device;
use std::error::Error;
use std::ops::{ControlFlow, Range};

/// An input with its answer.
pub struct Answered<'a> {
    /// The name of the input: its URI, with line or number where a file holds several, or the beginning of a
    /// text.
    pub input: String,
    /// The cells of the input that [`Predictor::keep`] asked for, in that order; none where the input could not
    /// be read so far.
    pub kept: Kept,
    /// The answer, or why there is none: the model says no finite numbers, or the input could not be read where
    /// the recipe leaves corrupt ones out.
    pub answer: Result<Answer, DataError>,
    /// The set that the input is a picture of, and its number there.
    pub(crate) picture: Option<(&'a Pictures, u64)>,
}

impl Answered<'_> {
    /// The input as a PNG file of the pixels that the model saw, read again; none where it is no picture.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn picture(&self) -> Option<Result<Vec<u8>, DataError>> {
        self.picture.map(|(pictures, number)| Ok(pictures.show(number)?.picture))
    }
}

/// The caller's part in [`Predictor::predict`]: takes the answers of a batch, and says whether to go on.
pub type Each<'a> = &'a mut dyn FnMut(Vec<Answered<'_>>) -> ControlFlow<()>;

/// An owned model that answers about files and records of the kind that its run was trained on.
pub trait Predictor: Send {
    /// The names of the classes; empty where answers are no classes.
    fn labels(&self) -> &[String];

    /// Answers about records from memory, in their sequence. A record that cannot be read, or about which the
    /// model says no finite numbers, is refused alone.
    ///
    /// An answer has the same bits whichever other records are asked with it, and at whichever place among
    /// them: on the CPU, what a kernel makes of a row does not depend on the others. Records are computed in
    /// batches of `train.evaluate_batch_size`.
    ///
    /// # Errors
    /// When the model or its device fails, which is no record's fault.
    fn answer(&mut self, records: Vec<Record>) -> Result<Vec<Result<Answer, DataError>>, RunError>;

    /// Answers about files, folders, globs or texts, as `bonfire predict` takes them, with the bits of
    /// [`answer`](Self::answer). `each` has the answers of a batch before the next one is read. Hands back
    /// how many inputs have no answer: they could not be read and were left out, or the model says no finite
    /// numbers about them.
    ///
    /// # Errors
    /// On an input that is not there, or not as the run's schema says.
    fn predict(&mut self, inputs: &[String], each: Each<'_>) -> Result<u64, RunError>;

    /// Has [`predict`](Self::predict) carry these columns of the inputs' files along, whether the model reads
    /// them or not: [`Answered::kept`].
    ///
    /// # Errors
    /// When the inputs are pictures or prompts, which have no columns.
    fn keep(&mut self, columns: Vec<String>) -> Result<(), RunError>;
}

/// A model with everything that turns files and records into its input.
pub(crate) struct Model<M> {
    model: bonfire_train::Predictor<M>,
    data: DataConfig,
    schema: Schema,
    /// Columns of files that are carried along.
    keep: Vec<String>,
    /// The unit of a target of values.
    scale: Option<ValueScale>,
    /// Samples of a batch of files.
    batch_size: usize,
    device: Device,
}

impl<M: Task> Model<M> {
    pub(crate) fn new(model: M, data: DataConfig, schema: Schema, batch_size: usize, device: Device) -> Self {
        let (model, scale) = (bonfire_train::Predictor::new(model), schema.value_scale());
        Model { scale, model, data, schema, keep: Vec::new(), batch_size, device }
    }
}

impl<M: Task> Predictor for Model<M> {
    fn labels(&self) -> &[String] {
        self.schema.labels()
    }

    fn answer(&mut self, records: Vec<Record>) -> Result<Vec<Result<Answer, DataError>>, RunError> {
        // A batch is computed on a thread of the pool, which takes part in the work that it hands out.
        threads::inside(|| self.answer_records(records))
    }

    fn predict(&mut self, inputs: &[String], each: Each<'_>) -> Result<u64, RunError> {
        let mut unanswered = 0;
        for part in sets::open_prediction(&self.data, &self.schema, inputs, &self.keep)? {
            let (flow, without) = self.answer_part(part?, each)?;
            unanswered += without;
            if flow.is_break() {
                break;
            }
        }
        Ok(unanswered)
    }

    fn keep(&mut self, columns: Vec<String>) -> Result<(), RunError> {
        if let (DataConfig::Image(_), false) = (&self.data, columns.is_empty()) {
            return Err(no_columns("pictures"));
        }
        self.keep = columns;
        Ok(())
    }
}

/// Answers about samples by their numbers.
type Numbered = Vec<(u64, Result<Answer, DataError>)>;

/// The end of a set's questions.
struct Asked {
    /// `Break` where the caller wants no more answers.
    flow: ControlFlow<()>,
    /// The samples about which the model says no finite numbers.
    no_numbers: u64,
}

impl<M: Task> Model<M> {
    fn answer_records(&mut self, records: Vec<Record>) -> Result<Vec<Result<Answer, DataError>>, RunError> {
        let mut answers: Vec<Option<Result<Answer, DataError>>> = records.iter().map(|_| None).collect();
        let OpenedRecords { set, numbers, refused } = sets::open_records(&self.data, &self.schema, records)?;
        for (number, error) in refused {
            answers[number] = Some(Err(error));
        }
        let number = |sample: u64| numbers[sample as usize];
        let place = |sample| format!("request, record {}", number(sample));
        let _all = self.answer_set(&set, self.batch_size(&set), &place, &mut |batch| {
            for (sample, answer) in batch {
                answers[number(sample)] = Some(answer);
            }
            ControlFlow::Continue(())
        })?;
        Ok(answers.into_iter().map(|answer| answer.expect("an answer for each record")).collect())
    }

    /// Answers about some inputs, each in its turn, and hands back whether to go on and how many have none.
    fn answer_part(&self, part: InputPart, each: Each<'_>) -> Result<(ControlFlow<()>, u64), RunError> {
        let InputPart { set, names, mut kept, refused } = part;
        let without = refused.len() as u64;
        let left_out = |Refused { name, kept, error, .. }: Refused| Answered {
            input: name,
            kept,
            answer: Err(error),
            picture: None,
        };
        let mut refused = refused.into_iter().peekable();
        let mut each_batch = |batch: Numbered| {
            let mut answered = Vec::with_capacity(batch.len());
            for (sample, answer) in batch {
                while let Some(before) = refused.next_if(|refused| refused.before <= sample) {
                    answered.push(left_out(before));
                }
                answered.push(Answered {
                    input: names.of(sample),
                    kept: kept.get_mut(sample as usize).map(std::mem::take).unwrap_or_default(),
                    answer,
                    picture: set.pictures.as_ref().map(|pictures| (pictures, sample)),
                });
            }
            each(answered)
        };
        let place = |sample| names.of(sample);
        let Asked { mut flow, no_numbers } =
            self.answer_set(&set, self.batch_size(&set), &place, &mut each_batch)?;
        let last: Vec<Answered<'_>> = refused.map(left_out).collect();
        if flow.is_continue() && !last.is_empty() {
            flow = each(last);
        }
        Ok((flow, set.loader.skipped().count() + no_numbers + without))
    }

    /// The samples of a batch, of which each is seen in so many views.
    fn batch_size(&self, set: &SampleSet) -> usize {
        (self.batch_size / set.views).max(1)
    }

    /// Answers about the samples of a set, so many at a time, and hands the answers of each batch on before
    /// the next one is read. Pictures that are left out, and samples about which the model says no finite
    /// numbers, have their error in their place; `place` is a sample's in messages.
    fn answer_set(
        &self,
        set: &SampleSet,
        batch_size: usize,
        place: &dyn Fn(u64) -> String,
        each: &mut dyn FnMut(Numbered) -> ControlFlow<()>,
    ) -> Result<Asked, RunError> {
        let loader = Unwrapped(set.loader.as_ref());
        let skipping = set.pictures.as_ref().filter(|pictures| pictures.skips());
        let left_out = |numbers: Range<u64>| -> Numbered {
            let pictures = skipping.into_iter();
            pictures
                .flat_map(|pictures| {
                    numbers.clone().map(move |number| (number, Err(refusal(pictures, number))))
                })
                .collect()
        };
        let (mut next, mut no_numbers) = (0, 0);
        for batch in Loader::<M::Input>::batches(&loader, Position::default(), batch_size, &self.device) {
            let batch = match batch {
                // None of the set is whole.
                Err(LoadError(ref error)) if skipping.is_some() && next == 0 && is_corrupt(&**error) => break,
                batch => batch?,
            };
            let answers = self.answer_batch(batch.input, set.views)?;
            let (found, expected) = (answers.len(), batch.samples.len());
            assert_eq!(found, expected, "the model gave {found} answers for {expected} inputs");
            let mut numbered = Numbered::new();
            for (answer, sample) in answers.into_iter().zip(batch.samples) {
                numbered.extend(left_out(next..sample));
                no_numbers += u64::from(answer.is_err());
                numbered.push((sample, answer.map_err(|error| error.at(place(sample)))));
                next = sample + 1;
            }
            if each(numbered).is_break() {
                return Ok(Asked { flow: ControlFlow::Break(()), no_numbers });
            }
        }
        let rest = left_out(next..Loader::<M::Input>::len(&loader));
        let flow = if rest.is_empty() { ControlFlow::Continue(()) } else { each(rest) };
        Ok(Asked { flow, no_numbers })
    }

    /// One answer a sample, of so many views of each.
    fn answer_batch(
        &self,
        input: M::Input,
        views: usize,
    ) -> Result<Vec<Result<Answer, NotFinite>>, RunError> {
        let output = average_views(self.model.predict(input), views)?;
        answers(output, self.scale.as_ref(), self.schema.has_several_labels())
    }
}

/// The error of a run whose inputs have no columns to keep.
pub(crate) fn no_columns(inputs: &str) -> RunError {
    let found = format!("one on {inputs}");
    RunError::argument("keep", "a run on tables or labelled texts, whose files have columns", found)
}

/// True for the error of a sample that may be left out.
fn is_corrupt(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<DataError>().is_some_and(|error| !error.is_unreachable())
}

/// Why a picture was left out: it is read again for it.
fn refusal(pictures: &Pictures, number: u64) -> DataError {
    let place = pictures.place(number);
    match pictures.show(number) {
        Err(error) => error,
        Ok(_) => {
            DataError::source(place, "the same picture twice", "one that could be read the second time only")
        }
    }
}
