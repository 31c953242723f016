//! The tensors that training changes, and how they come back from a checkpoint.

use crate::average::Average;
use crate::gradient::Accumulated;
use crate::parameters::{by_rank, from_weights, to_weights};
use crate::passes::Forward;
use crate::state::State;
use crate::tensors::{AVERAGE, GRADIENT, OPTIMIZER, STATE, Tensors, WEIGHTS};
use crate::{FitConfig, Parameter, TrainError};
use bonfire_checkpoint::{Files, Weights};
use bonfire_contract::Task;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use std::path::PathBuf;

/// A checkpoint to continue from.
pub(crate) struct Checkpoint {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) files: Files,
    pub(crate) warnings: Vec<String>,
}

impl Checkpoint {
    fn weights(&self, file: &str) -> Result<Option<Weights>, TrainError> {
        let Some(bytes) = self.files.get(file) else { return Ok(None) };
        Ok(Some(Weights::from_safetensors(bytes, &self.path.join(file))?))
    }

    fn unfit(&self, expected: &str, found: impl ToString) -> TrainError {
        let (name, expected) = (self.path.display().to_string(), expected.to_string());
        TrainError::Resume { name, expected, found: found.to_string() }
    }
}

/// The tensors that training changes.
pub(crate) struct Fitting<M> {
    pub(crate) model: M,
    optimizer: ModuleOptimizer,
    average: Option<Average>,
    pub(crate) accumulated: Accumulated,
}

impl<M: Task> Fitting<M> {
    /// # Errors
    /// When a pattern of a layer's learning rate names no tensor.
    pub(crate) fn start(config: &FitConfig, model: M, table: &[Parameter]) -> Result<Self, TrainError> {
        let rates = config.layers.of(table)?;
        let optimizer = config.optimizer.build(table, &rates, config.train.decay_biases_and_norms);
        let average = config.train.average.map(|decay| {
            let mut average = Average::new(decay, table);
            average.update(&model, 0);
            average
        });
        Ok(Fitting { model, optimizer, average, accumulated: Accumulated::default() })
    }

    /// Puts back what the checkpoint holds.
    pub(crate) fn restore(
        self,
        checkpoint: &Checkpoint,
        table: &[Parameter],
        device: &Device,
    ) -> Result<(Self, State), TrainError> {
        let Fitting { model, optimizer, mut average, .. } = self;
        let state: State = match checkpoint.files.get(STATE) {
            Some(bytes) => serde_json::from_slice(bytes)
                .map_err(|error| checkpoint.unfit("a training state in state.json", error))?,
            None => return Err(checkpoint.unfit(STATE, "no such file")),
        };
        let weights =
            checkpoint.weights(WEIGHTS)?.ok_or_else(|| checkpoint.unfit(WEIGHTS, "no such file"))?;
        let model = weights.apply(model, &checkpoint.path.join(WEIGHTS))?;
        let bytes =
            checkpoint.files.get(OPTIMIZER).ok_or_else(|| checkpoint.unfit(OPTIMIZER, "no such file"))?;
        let optimizer = optimizer
            .from_bytes(Bytes::from_bytes_vec(bytes.clone()))
            .map_err(|error| checkpoint.unfit("optimizer state", error))?;
        let plain = device.clone().without_autodiff();
        let on_device = |file: &str| -> Result<Option<GradientsParams>, TrainError> {
            let Some(weights) = checkpoint.weights(file)? else { return Ok(None) };
            let tensors = from_weights(&weights, table, &plain);
            Ok(Some(tensors.map_err(|found| checkpoint.unfit("tensors of the model's shapes", found))?))
        };
        if let Some(average) = &mut average {
            let expected = "the averaged weights that train.average asks for";
            average.tensors = on_device(AVERAGE)?.ok_or_else(|| checkpoint.unfit(expected, "none"))?;
        }
        let mut accumulated = Accumulated::default();
        if state.pieces > 0 {
            let gradient = on_device(GRADIENT)?;
            let expected = format!("the gradient of {} pieces", state.pieces);
            let gradient = gradient.ok_or_else(|| checkpoint.unfit(&expected, "none"))?;
            accumulated = Accumulated { gradient, pieces: state.pieces, samples: state.piece_samples };
        }
        Ok((Fitting { model, optimizer, average, accumulated }, state))
    }

    /// Adds the gradient of a piece's mean loss to the step's. Where the piece's tensors are watched, `early` gets them, added,
    /// by their places in the table, and they are not among those that are kept.
    pub(crate) fn add_gradient(
        &mut self,
        piece: Forward<M>,
        samples: u64,
        table: &[Parameter],
        early: &mut dyn FnMut(usize, TensorData),
    ) {
        let Fitting { model, accumulated, .. } = self;
        let gradient = piece.backward(model, &mut |at, gradient| {
            let parameter = &table[at];
            if accumulated.pieces == 0 {
                return early(at, gradient);
            }
            by_rank!(parameter.shape.len(), D => {
                let gradient = Tensor::<D>::from_data(gradient, &Device::flex());
                if let Some(total) = accumulated.with(parameter, Some(gradient), samples) {
                    early(at, total.into_data());
                }
            });
        });
        accumulated.add(gradient, samples, table);
    }

    /// One update; `count` is the number of steps with it.
    pub(crate) fn step(self, rate: f64, gradient: GradientsParams, count: u64) -> Self {
        let Fitting { model, mut optimizer, mut average, accumulated } = self;
        let model = optimizer.step(rate, model, gradient);
        if let Some(average) = &mut average {
            average.update(&model, count);
        }
        Fitting { model, optimizer, average, accumulated }
    }

    /// The model to evaluate.
    pub(crate) fn subject(&self) -> M {
        match &self.average {
            Some(average) => average.model(&self.model),
            None => self.model.valid(),
        }
    }

    /// Everything to save, on the host.
    pub(crate) fn tensors(&self, table: &[Parameter]) -> Tensors<'_> {
        let gradient = (self.accumulated.pieces > 0).then(|| to_weights(&self.accumulated.gradient, table));
        Tensors {
            weights: Weights::of(&self.model),
            // The averaged model and not the average alone: tensors that are not averaged, such as
            // integers, are part of what is evaluated.
            average: self.average.as_ref().map(|average| Weights::of(&average.model(&self.model))),
            gradient,
            optimizer: &self.optimizer,
        }
    }
}
