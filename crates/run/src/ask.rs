//! A run becomes a predictor: of its model, a language model's or another's.

use crate::generate::{Generation, Writer};
use crate::model::VisitModel;
use crate::predictor::{Model, Predictor};
use crate::schema::Schema;
use crate::{Run, RunError};
use bonfire_datasets::text::TextTask;
use bonfire_models::Architecture;
use bonfire_recipe::DataConfig;
use burn::tensor::Device;

impl Run {
    /// The run's model on `device`, to be asked; a language model writes by [`Generation`]'s defaults.
    ///
    /// # Errors
    /// When the run has no weights yet, or they are damaged.
    pub fn predictor(&self, device: Device) -> Result<Box<dyn Predictor + Send>, RunError> {
        self.predictor_with(device, None, Generation::default())
    }

    /// As [`predictor`](Self::predictor), with so many crops of each picture in place of the recipe's, and
    /// the options of a language model.
    ///
    /// # Errors
    /// As [`predictor`](Self::predictor); when `crops` are asked for and the data are no pictures; when an
    /// option is out of its bounds.
    pub fn predictor_with(
        &self,
        device: Device,
        crops: Option<usize>,
        generation: Generation,
    ) -> Result<Box<dyn Predictor + Send>, RunError> {
        generation.check()?;
        let data = self.data(crops)?;
        let device = device.without_autodiff();
        let visitor = Own { run: self, data, device: device.clone(), generation };
        self.visit(&device, visitor)
    }

    /// True where the run's model continues texts.
    pub fn is_language_model(&self) -> bool {
        matches!(&self.schema, Schema::Text(schema) if schema.task == TextTask::LanguageModel)
    }
}

struct Own<'a> {
    run: &'a Run,
    data: DataConfig,
    device: Device,
    generation: Generation,
}

impl VisitModel for Own<'_> {
    type Output = Box<dyn Predictor + Send>;

    fn visit<A: Architecture>(self, model: A::Model, _config: A) -> Self::Output {
        let Own { run, data, device, generation } = self;
        match &run.schema {
            Schema::Text(schema) if run.is_language_model() => {
                Box::new(Writer::new(model, A::language_model, schema.clone(), device, generation))
            }
            schema => {
                let batch_size = run.recipe.train.evaluate_batch_size;
                Box::new(Model::new(model, data, schema.clone(), batch_size, device))
            }
        }
    }
}

#[cfg(test)]
mod tests;
