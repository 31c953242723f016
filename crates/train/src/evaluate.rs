//! One pass over a set, without gradients.

use crate::metrics::average_views;
use crate::ranks::{Ranks, Report};
use crate::{Evaluation, Interrupt, Meter, MetricConfig, Predictor, TrainError};
use bonfire_cluster::{Alone, Wire};
use bonfire_contract::{Batch, Loader, Portion, Position, Task};
use burn::tensor::Device;
use std::sync::Arc;

/// The figures of a model (one made by `valid()`) on every sample of a set, `batch_size` at once.
///
/// # Errors
/// When the set is empty, a sample cannot be read, its target is not of the model's kind, or the model says
/// numbers about it that are not finite.
pub fn evaluate<M: Task>(
    model: &M,
    loader: &dyn Loader<M::Input>,
    config: &MetricConfig,
    batch_size: usize,
    device: &Device,
) -> Result<Evaluation, TrainError> {
    evaluate_views(model, loader, 1, config, batch_size, device)
}

/// As [`evaluate`], of a set that has `views` views of each sample, whose probabilities are averaged.
/// `batch_size` views are evaluated at once, and never fewer than the views of one sample.
///
/// # Errors
/// As [`evaluate`], and when there are several views and no classes.
pub fn evaluate_views<M: Task>(
    model: &M,
    loader: &dyn Loader<M::Input>,
    views: usize,
    config: &MetricConfig,
    batch_size: usize,
    device: &Device,
) -> Result<Evaluation, TrainError> {
    let batch_size = (batch_size / views).max(1);
    let ranks = &Ranks::new(Arc::new(Alone), Wire::F32);
    let interrupt = &Interrupt::new();
    let evaluator = Evaluator {
        metrics: config,
        views,
        monitor: None,
        counts_not_finite: false,
        batch_size,
        device,
        interrupt,
        ranks,
    };
    match evaluator.over(model, loader)? {
        Passed::Through(evaluation) => Ok(evaluation),
        Passed::Interrupted(_) => unreachable!("nobody else holds this interrupt"),
    }
}

/// The end of a pass.
pub(crate) enum Passed {
    Through(Evaluation),
    /// A signal came on the way.
    Interrupted(i32),
}

/// The settings of an evaluation.
#[derive(Clone, Copy)]
pub(crate) struct Evaluator<'a> {
    pub(crate) metrics: &'a MetricConfig,
    /// Views of each sample; one where there are several ranks.
    pub(crate) views: usize,
    /// `train.monitor`: a figure that must be among the figures of this pass.
    pub(crate) monitor: Option<&'a str>,
    /// True within training, which a model that says no finite numbers for once is not to end.
    pub(crate) counts_not_finite: bool,
    pub(crate) batch_size: usize,
    pub(crate) device: &'a Device,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) ranks: &'a Ranks,
}

impl Evaluator<'_> {
    /// As [`evaluate`]. Each rank evaluates its share, and all get the figures of the whole set. A monitored
    /// figure that the set cannot have is refused after the first batch.
    pub(crate) fn over<M: Task>(
        &self,
        model: &M,
        loader: &dyn Loader<M::Input>,
    ) -> Result<Passed, TrainError> {
        let device = self.device.clone().without_autodiff();
        // It ends with this pass, before another step changes the weights.
        let predictor = &Predictor::new(model.clone());
        let mut meter = Meter::new(self.metrics).counting_not_finite(self.counts_not_finite);
        let mut unchecked = self.monitor;
        let at_once = self.batch_size.saturating_mul(self.ranks.count());
        for portion in loader.portions(Position::default(), at_once, self.ranks.share(), &device) {
            let taken = portion.map_err(TrainError::from).and_then(|portion| match portion {
                Portion::Nothing { .. } => Ok(()),
                Portion::Samples(batch) => self.take(predictor, batch, &mut meter, unchecked.take()),
            });
            let own = Report { failed: taken.is_err(), signal: self.interrupt.raised(), ..Report::default() };
            let common = self.ranks.common_report(own);
            if common.failed {
                self.ranks.agreed(taken)?;
            }
            if let Some(signal) = common.signal {
                return Ok(Passed::Interrupted(signal));
            }
        }
        let evaluation = self.ranks.merged(meter, self.metrics)?.finish();
        if evaluation.samples == 0 {
            let expected = "at least one sample that can be read".to_string();
            return Err(TrainError::Empty { set: "evaluation", expected, found: "none".into() });
        }
        Ok(Passed::Through(evaluation))
    }

    /// Measures a batch.
    fn take<M: Task>(
        &self,
        predictor: &Predictor<M>,
        batch: Batch<M::Input>,
        meter: &mut Meter,
        monitor: Option<&str>,
    ) -> Result<(), TrainError> {
        let output = average_views(predictor.predict(batch.input), self.views)?;
        meter.add_samples(&batch.samples, output, batch.target)?;
        match monitor {
            Some(monitor) => meter.check_monitor(monitor),
            None => Ok(()),
        }
    }
}
