//! One pass over a set, without gradients.

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
    let evaluation = evaluate_until(model, loader, config, batch_size, device, &Interrupt::new())?;
    Ok(evaluation.expect("nobody else holds this interrupt"))
}

/// As [`evaluate`]; `None` when the interrupt was raised on the way.
pub(crate) fn evaluate_until<M: Task>(
    model: &M,
    loader: &dyn Loader<M::Input>,
    config: &MetricConfig,
    batch_size: usize,
    device: &Device,
    interrupt: &Interrupt,
) -> Result<Option<Evaluation>, TrainError> {
    let device = device.clone().without_autodiff();
    let mut meter = Meter::new(config);
    for batch in loader.batches(Position::default(), batch_size, &device) {
        let batch = batch?;
        meter.add(model.predict(batch.input), batch.target)?;
        if interrupt.raised().is_some() {
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
