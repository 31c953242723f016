//! Predictions, timed without autodiff.

use crate::steps::Made;
use anyhow::Result;
use bonfire_contract::Task;
use bonfire_train::Predictor;
use burn::tensor::Device;
use std::time::{Duration, Instant};

/// Predictions before the measured ones. PyTorch's side has the same four numbers.
const WARM_UP: usize = 3;
/// The least number of measured predictions.
pub const LEAST: usize = 10;
/// The greatest number of measured predictions.
const MOST: usize = 100;
/// The time after which measuring stops, if there are enough predictions.
const ENOUGH: Duration = Duration::from_secs(1);

/// Milliseconds of each measured prediction of the batch.
///
/// # Errors
/// When the device fails.
pub fn predict<M: Task>(made: &Made<M>, device: &Device) -> Result<Vec<f64>> {
    let predictor = Predictor::new(made.model.clone());
    let mut times = Vec::new();
    let mut began = Instant::now();
    while times.len() < WARM_UP + LEAST || (began.elapsed() < ENOUGH && times.len() < WARM_UP + MOST) {
        if times.len() == WARM_UP {
            began = Instant::now();
        }
        let start = Instant::now();
        let output = predictor.predict(made.input.clone());
        device.sync()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(output);
    }
    Ok(times.split_off(WARM_UP))
}
