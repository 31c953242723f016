//! Training steps, timed through the public trainer.

use anyhow::Result;
use bonfire_cluster::Communicator;
use bonfire_contract::{Batch, Input, Loader, Portion, Portions, Position, Share, Target, Task};
use bonfire_train::optimizers::{OptimizerConfig, Sgd};
use bonfire_train::{BatchSize, Event, FitConfig, Listener, TrainConfig, Trainer};
use burn::tensor::Device;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Steps before the measured ones, as on PyTorch's side.
pub const WARM_UP: usize = 2;

/// A model and a batch for it.
pub struct Made<M: Task> {
    /// The model, with its weights drawn.
    pub model: M,
    /// The batch.
    pub input: M::Input,
    /// The target of the model's output.
    pub target: Target,
}

/// The milliseconds of each of `steps` training steps on one batch, by gradient descent at a rate of 0.001.
///
/// Several ranks train on a batch each, of the size of this one.
///
/// A step is everything between the ends of two steps in the trainer: fetching a batch, the forward pass, the
/// backward pass, reading the loss and the update.
///
/// # Errors
/// When training fails.
pub fn train<M: Task>(
    made: Made<M>,
    steps: usize,
    device: &Device,
    ranks: Arc<dyn Communicator>,
) -> Result<Vec<f64>> {
    let Made { model, input, target } = made;
    let (batch, all) = (input.len(), WARM_UP + steps);
    let together = batch * ranks.size();
    let loader = Again { samples: (together * all) as u64, input, target };
    let config = FitConfig {
        train: TrainConfig {
            steps: Some(all as u64),
            batch_size: BatchSize::Samples(together),
            piece_size: batch,
            ..TrainConfig::default()
        },
        optimizer: OptimizerConfig::Sgd(Sgd { learning_rate: 1e-3, ..Sgd::default() }),
        ..FitConfig::default()
    };
    let ends = Ends::default();
    let trainer = Trainer::new(config, device.clone()).communicator(ranks);
    trainer.listener(Box::new(ends.clone())).fit(model, &loader, None)?;
    let ends = ends.0.borrow();
    let times = ends.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64() * 1e3);
    Ok(times.skip(WARM_UP).collect())
}

/// A loader that gives the same batch again and again, for one epoch.
struct Again<I> {
    samples: u64,
    input: I,
    target: Target,
}

impl<I: Input> Loader<I> for Again<I> {
    fn len(&self) -> u64 {
        self.samples
    }

    fn portions(&self, start: Position, _size: usize, share: Share, _device: &Device) -> Portions<'_, I> {
        let size = self.input.len() as u64;
        let consumed = size * share.ranks;
        let left = self.samples.saturating_sub(start.samples) / consumed;
        Box::new((0..left).map(move |_| {
            let samples = (0..size).collect();
            let (input, target) = (self.input.clone(), self.target.clone());
            Ok(Portion::Samples(Batch { input, target, samples, consumed }))
        }))
    }
}

/// The time when training started, followed by the time when each step ended.
#[derive(Clone, Default)]
struct Ends(Rc<RefCell<Vec<Instant>>>);

impl Listener for Ends {
    fn on(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Started { .. } | Event::Step(_)) {
            self.0.borrow_mut().push(Instant::now());
        }
    }
}
