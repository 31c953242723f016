//! A run's model on data that it has not seen.

use crate::feed::Unwrapped;
use crate::model::VisitModel;
use crate::sets::{self, SampleSet};
use crate::{Run, RunError};
use bonfire_datasets::DataError;
use bonfire_models::Architecture;
use bonfire_train::{Evaluation, evaluate_views};
use burn::tensor::Device;

impl Run {
    /// Opens data to evaluate on: `uri`, or the recipe's test set, or else its validation set; with so many
    /// crops of each picture where `crops` says it.
    ///
    /// # Errors
    /// When there are none, they are not as the schema says, or crops are asked for of something else than
    /// pictures.
    pub fn evaluation_set(&self, uri: Option<&str>, crops: Option<usize>) -> Result<SampleSet, RunError> {
        let data = self.data(crops)?;
        let opened = sets::open_evaluation(&data, &self.schema, uri, self.recipe.seed);
        opened.map_err(|error| match error {
            DataError::Unreachable { uri: gone, expected, found } if uri.is_none() => {
                let found = format!("{found}; --data URI says where data to evaluate on are");
                RunError::unexpected(gone, expected, found)
            }
            other => other.into(),
        })
    }

    /// The metrics of the run's model on a set.
    ///
    /// # Errors
    /// When the run has no weights yet, they are damaged, or a sample cannot be read.
    pub fn evaluate(&self, set: &SampleSet, device: &Device) -> Result<Evaluation, RunError> {
        self.visit(device, Measure { run: self, set, device })?
    }
}

struct Measure<'a> {
    run: &'a Run,
    set: &'a SampleSet,
    device: &'a Device,
}

impl VisitModel for Measure<'_> {
    type Output = Result<Evaluation, RunError>;

    fn visit<A: Architecture>(self, model: A::Model, _config: A) -> Self::Output {
        let Measure { run, set: SampleSet { loader, views, .. }, device } = self;
        let train = &run.recipe.train;
        let metrics = run.schema.metrics(train.top_k);
        let (loader, batch_size) = (Unwrapped(loader.as_ref()), train.evaluate_batch_size);
        Ok(evaluate_views(&model, &loader, *views, &metrics, batch_size, device)?)
    }
}
