//! One pass over a set, without gradients.

use crate::views::average_views;
use crate::{Evaluation, Interrupt, Meter, MetricConfig, TrainError};
use bonfire_contract::{Loader, Position, Task};
use burn::tensor::Device;

/// The figures of a model (one made by `valid()`) on every sample of a set, `batch_size` at once.
///
/// # Errors
/// When the set is empty, a sample cannot be read, or its target is not of the model's kind.
pub fn evaluate<M: Task>(
    model: &M,
    loader: &dyn Loader<M::Input>,
    config: &MetricConfig,
    batch_size: usize,
    device: &Device,
) -> Result<Evaluation, TrainError> {
    evaluate_views(model, loader, 1, config, batch_size, device)
}

/// As [`evaluate`], of a set that has `views` views of each sample, whose probabilities are averaged. `batch_size` are
/// the views at once, those of one sample at least.
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
    let pass =
        Pass { metrics: config, views, monitor: None, batch_size, device, interrupt: &Interrupt::new() };
    Ok(pass.over(model, loader)?.expect("nobody else holds this interrupt"))
}

/// How to evaluate.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) metrics: &'a MetricConfig,
    /// Views of each sample.
    pub(crate) views: usize,
    /// `train.monitor`: a figure that must be among those of this pass.
    pub(crate) monitor: Option<&'a str>,
    pub(crate) batch_size: usize,
    pub(crate) device: &'a Device,
    pub(crate) interrupt: &'a Interrupt,
}

impl Pass<'_> {
    /// As [`evaluate`]; `None` when the interrupt was raised on the way. A monitored figure that
    /// there will not be is refused after the first batch.
    pub(crate) fn over<M: Task>(
        &self,
        model: &M,
        loader: &dyn Loader<M::Input>,
    ) -> Result<Option<Evaluation>, TrainError> {
        let device = self.device.clone().without_autodiff();
        let mut meter = Meter::new(self.metrics);
        let mut unchecked = self.monitor;
        for batch in loader.batches(Position::default(), self.batch_size, &device) {
            let batch = batch?;
            let output = average_views(model.predict(batch.input), self.views)?;
            meter.add_samples(&batch.samples, output, batch.target)?;
            if let Some(monitor) = unchecked.take() {
                meter.check_monitor(monitor)?;
            }
            if self.interrupt.raised().is_some() {
                return Ok(None);
            }
        }
        let evaluation = meter.finish();
        if evaluation.samples == 0 {
            let expected = "at least one sample that can be read".to_string();
            return Err(TrainError::Empty { set: "evaluation", expected, found: "none".into() });
        }
        Ok(Some(evaluation))
    }
}
