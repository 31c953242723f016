//! Predictions, timed without autodiff.

use crate::steps::Made;
use anyhow::Result;
use bonfire_contract::Task;
use burn::tensor::Device;
use std::time::{Duration, Instant};

/// Predictions before those that are measured.
const WARM_UP: usize = 3;
/// The fewest predictions that are measured.
pub const LEAST: usize = 10;
/// The most.
const MOST: usize = 100;
/// When enough time has gone into them. PyTorch's side has the same four numbers.
const ENOUGH: Duration = Duration::from_secs(1);

/// Milliseconds of each of some predictions of the batch.
///
/// # Errors
/// When the device fails.
pub fn predict<M: Task>(made: &Made<M>, device: &Device) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    let mut began = Instant::now();
    while times.len() < WARM_UP + LEAST || (began.elapsed() < ENOUGH && times.len() < WARM_UP + MOST) {
        if times.len() == WARM_UP {
            began = Instant::now();
        }
        let start = Instant::now();
        let output = made.model.predict(made.input.clone());
        device.sync()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        drop(output);
    }
    Ok(times.split_off(WARM_UP))
}
