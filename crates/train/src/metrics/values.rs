//! The figures of predicted values.

use bonfire_contract::Metric;
use serde::{Deserialize, Serialize};

/// The standardisation of one predicted value: `original = standardised * std + mean`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValueScale {
    /// The target column's mean, in its own unit.
    pub mean: f64,
    /// The target column's standard deviation, in its own unit.
    pub std: f64,
}

/// Running sums of one predicted value, in the standardised unit.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Column {
    count: f64,
    absolute: f64,
    squares: f64,
    /// Mean and sum of squared deviations of the target (Welford 1962).
    mean: f64,
    spread: f64,
}

impl Column {
    pub(super) fn add(&mut self, found: f64, expected: f64) {
        let error = found - expected;
        self.count += 1.0;
        self.absolute += error.abs();
        self.squares += error * error;
        let off = expected - self.mean;
        self.mean += off / self.count;
        self.spread += off * (expected - self.mean);
    }

    /// Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
    /// 1979.
    pub(super) fn merge(&mut self, other: Column) {
        if other.count == 0.0 {
            return;
        }
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        self.spread += other.spread + apart * apart * self.count * other.count / count;
        self.mean += apart * other.count / count;
        self.count = count;
        self.absolute += other.absolute;
        self.squares += other.squares;
    }
}

/// MSE, MAE and RMSE over all values, each in its own unit; R2 is the mean over values.
pub(super) fn figures(columns: &[Column], scales: &[ValueScale]) -> Vec<Metric> {
    let (mut count, mut absolute, mut squares, mut explained) = (0.0, 0.0, 0.0, 0.0);
    for (i, column) in columns.iter().enumerate() {
        let std = scales.get(i).map_or(1.0, |scale| scale.std);
        count += column.count;
        absolute += column.absolute * std;
        squares += column.squares * std * std;
        explained += 1.0 - column.squares / column.spread;
    }
    let mse = squares / count;
    vec![
        Metric::lower("mse", mse),
        Metric::lower("mae", absolute / count),
        Metric::lower("rmse", mse.sqrt()),
        Metric::higher("r2", explained / columns.len() as f64),
    ]
}
