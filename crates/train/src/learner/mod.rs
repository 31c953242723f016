//! The learner: a model and the tensors that training changes beside it, and how they come back from a
//! checkpoint.

pub(crate) mod accumulated;
pub(crate) mod change;
mod forward;
pub(crate) mod precision;

pub(crate) use accumulated::Accumulated;
pub(crate) use forward::Forward;

use crate::average::Average;
use crate::keep::{AVERAGE, Checkpoint, GRADIENT, State, Tensors, WEIGHTS};
use crate::parameters::{by_dimensions, from_weights, to_weights};
use crate::{FitConfig, Parameter, TrainError};
use bonfire_checkpoint::Weights;
use bonfire_contract::{Task, guarded};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use burn_pack::Reader;
use std::collections::{BTreeMap, BTreeSet};

/// A model under training, with its optimizer, its averaged weights and the gradient of the open step.
pub(crate) struct Learner<M> {
    pub(crate) model: M,
    optimizer: ModuleOptimizer,
    average: Option<Average>,
    pub(crate) gradient: Accumulated,
}

impl<M: Task> Learner<M> {
    /// A learner before its first step.
    ///
    /// # Errors
    /// When a pattern of a layer's learning rate names no tensor.
    pub(crate) fn new(config: &FitConfig, model: M, table: &[Parameter]) -> Result<Self, TrainError> {
        let rates = config.layers.of(table)?;
        let optimizer = config.optimizer.build(table, &rates, config.train.decay_biases_and_norms);
        let average = config.train.average.map(|decay| {
            let mut average = Average::new(decay, table);
            average.update(&model, 0);
            average
        });
        Ok(Learner { model, optimizer, average, gradient: Accumulated::default() })
    }

    /// The learner as the checkpoint holds it, and the state beside it.
    ///
    /// # Errors
    /// When a file of the checkpoint is missing, or does not fit the model or the settings.
    pub(crate) fn restore(
        self,
        checkpoint: &Checkpoint,
        table: &[Parameter],
        device: &Device,
    ) -> Result<(Self, State), TrainError> {
        let Learner { model, optimizer, mut average, .. } = self;
        let state = checkpoint.state()?;
        let weights =
            checkpoint.weights(WEIGHTS)?.ok_or_else(|| checkpoint.unfit(WEIGHTS, "no such file"))?;
        let model = weights.apply(model, &checkpoint.path.join(WEIGHTS))?;
        let plain = device.clone().without_autodiff();
        let optimizer =
            with_state(optimizer, checkpoint.optimizer()?, &model, table, &plain).map_err(|found| {
                checkpoint.unfit("optimizer.bpk with this optimizer's state of this model", found)
            })?;
        let on_device = |file: &str| -> Result<Option<GradientsParams>, TrainError> {
            let Some(weights) = checkpoint.weights(file)? else { return Ok(None) };
            let tensors = from_weights(&weights, table, &plain);
            Ok(Some(tensors.map_err(|found| checkpoint.unfit("tensors of the model's shapes", found))?))
        };
        if let Some(average) = &mut average {
            let expected = "the averaged weights that train.average asks for";
            average.tensors = on_device(AVERAGE)?.ok_or_else(|| checkpoint.unfit(expected, "none"))?;
        }
        let mut gradient = Accumulated::default();
        if state.pieces > 0 {
            let expected = format!("the gradient of {} pieces", state.pieces);
            let tensors = on_device(GRADIENT)?.ok_or_else(|| checkpoint.unfit(&expected, "none"))?;
            gradient = Accumulated { gradient: tensors, pieces: state.pieces, samples: state.piece_samples };
        }
        Ok((Learner { model, optimizer, average, gradient }, state))
    }

    /// Adds the gradient of a piece's mean loss over `samples` to the open step's. Where the piece is
    /// watched, `early` gets the tensors that come before the end of the backward pass, each with the earlier
    /// pieces added, by their places in the table; they are not kept here.
    pub(crate) fn add_gradient(
        &mut self,
        piece: Forward<M>,
        samples: u64,
        table: &[Parameter],
        early: &mut dyn FnMut(usize, TensorData),
    ) {
        let Learner { model, gradient: accumulated, .. } = self;
        let gradient = piece.backward(model, &mut |at, gradient| {
            let parameter = &table[at];
            if accumulated.pieces == 0 {
                return early(at, gradient);
            }
            by_dimensions!(parameter.shape.len(), D => {
                let gradient = Tensor::<D>::from_data(gradient, &Device::flex());
                if let Some(total) = accumulated.with(parameter, Some(gradient), samples) {
                    early(at, total.into_data());
                }
            });
        });
        accumulated.add(gradient, samples, table);
    }

    /// The learner after one update of the optimizer; `count` is the number of steps with it.
    pub(crate) fn update(self, rate: f64, mean: GradientsParams, count: u64) -> Self {
        let Learner { model, mut optimizer, mut average, gradient } = self;
        let model = optimizer.step(rate, model, mean);
        if let Some(average) = &mut average {
            average.update(&model, count);
        }
        Learner { model, optimizer, average, gradient }
    }

    /// The model to evaluate: with averaged weights where there are any, without gradients.
    pub(crate) fn to_evaluate(&self) -> M {
        match &self.average {
            Some(average) => average.model(&self.model),
            None => self.model.valid(),
        }
    }

    /// All tensors to save, on the host.
    pub(crate) fn tensors(&self, table: &[Parameter]) -> Tensors<'_> {
        let gradient = (self.gradient.pieces > 0).then(|| to_weights(&self.gradient.gradient, table));
        Tensors {
            weights: Weights::of(&self.model),
            // The averaged model and not the average alone: tensors that are not averaged, such as integers,
            // are part of the evaluated model.
            average: self.average.as_ref().map(|average| Weights::of(&average.model(&self.model))),
            gradient,
            optimizer: &self.optimizer,
        }
    }
}

/// `optimizer` with the state of its file. Burn leaves out the state of a parameter where it is not whole, and
/// meets a tensor of another shape at the next step, with a panic: neither is a resume.
///
/// # Errors
/// What the file holds instead.
fn with_state<M: Task>(
    optimizer: ModuleOptimizer,
    bytes: Vec<u8>,
    model: &M,
    table: &[Parameter],
    plain: &Device,
) -> Result<ModuleOptimizer, String> {
    let bytes = Bytes::from_bytes_vec(bytes);
    let stored = Reader::from_bytes(bytes.clone())
        .and_then(Reader::into_tensors)
        .map_err(|error| error.to_string())?;
    let optimizer = guarded(|| optimizer.from_bytes(bytes))
        .ok_or("damaged tensors")?
        .map_err(|error| error.to_string())?;
    let read = optimizer.to_record().len();
    if read != stored.len() {
        return Err(format!("{} tensors, of which {read} are such", stored.len()));
    }
    let stepped = guarded(|| {
        let mut gradient = GradientsParams::new();
        for parameter in table.iter().filter(|parameter| parameter.trained) {
            by_dimensions!(parameter.shape.len(), D => {
                let shape: [usize; D] = parameter.shape.as_slice().try_into().expect("as many sizes as dimensions");
                gradient.register(parameter.id, Tensor::<D>::zeros(shape, plain));
            });
        }
        let mut optimizer = optimizer.clone();
        optimizer.step(0.0, model.clone(), gradient);
        optimizer.into_bytes()
    });
    let stepped = stepped.ok_or("tensors of other shapes")?.map_err(|error| error.to_string())?;
    // A tensor that could be spread over its parameter is as large as that after a step.
    let stepped =
        Reader::from_bytes(stepped).and_then(Reader::into_tensors).map_err(|error| error.to_string())?;
    let shapes = |tensors: Vec<burn_pack::Tensor>| -> Result<BTreeMap<String, Vec<usize>>, String> {
        let parts = tensors.into_iter().map(|tensor| tensor.into_parts().map_err(|error| error.to_string()));
        parts.map(|parts| parts.map(|(name, _, shape, ..)| (name, shape.to_vec()))).collect()
    };
    let (stored, stepped) = (shapes(stored)?, shapes(stepped)?);
    // One of as many numbers as its parameter has its shape; ops need not tell.
    let is_turned = |name: &str, shape: &[usize]| {
        let id = name.split('.').next().and_then(|id| id.parse::<u64>().ok());
        let parameter = table.iter().find(|parameter| Some(parameter.id.val()) == id);
        parameter.is_some_and(|parameter| {
            shape.iter().product::<usize>() == parameter.numbers() && shape != parameter.shape
        })
    };
    let unfit =
        |(name, shape): &(&String, &Vec<usize>)| stepped.get(*name) != Some(*shape) || is_turned(name, shape);
    if let Some((name, shape)) = stored.iter().find(unfit) {
        return Err(format!("tensor `{name}` of shape {shape:?}"));
    }
    // A parameter's state is all there or not at all.
    let of = |name: &str| name.split('.').next().map(str::to_string);
    let known: BTreeSet<Option<String>> = stored.keys().map(|name| of(name)).collect();
    match stepped.keys().find(|name| known.contains(&of(name)) && !stored.contains_key(*name)) {
        None => Ok(optimizer),
        Some(name) => Err(format!("no tensor `{name}`")),
    }
}
