//! The step loop: from batches to a trained model, its records and its checkpoints.
//!
//! ```text
//! Loader -> pieces -> Task::loss -> gradient (mean over the step's samples) -> clip -> optimizer
//!                                                                                -> average
//!        -> Task::predict -> Meter -> Record -> Listeners (metrics.jsonl, terminal)
//! ```
//!
//! [`Trainer::fit`] trains any [`Task`](bonfire_contract::Task). Whatever decides the next step is
//! in its checkpoints: weights, optimizer, average, accumulated gradient, position in the data. The
//! learning rate and the seeds of dropout are pure functions of the step. So a run that was
//! interrupted, or killed, ends with the same bits as one that was not.

mod average;
mod calibration;
mod classes;
mod config;
mod costs;
mod error;
mod evaluate;
mod exchange;
mod feed;
mod fitting;
mod gradient;
mod interrupt;
mod layers;
mod least_squares;
mod listener;
mod log;
mod metrics;
mod optimizer;
mod packing;
mod parameters;
mod passes;
mod pieces;
mod plan;
mod precision;
mod ranking;
mod ranks;
mod resources;
mod schedule;
mod session;
mod solve;
mod state;
mod steps;
mod tensors;
mod terminal;
mod trainer;
mod training;
mod views;
mod waits;
mod worst;

pub use calibration::{Bin, Calibration};
pub use classes::ClassFigures;
pub use config::{
    BatchSize, CheckpointConfig, FitConfig, Precision, RateScaling, Select, Solver, TrainConfig,
};
pub use costs::{Costs, Pace, abbreviated};
pub use error::TrainError;
pub use evaluate::{evaluate, evaluate_views};
pub use interrupt::Interrupt;
pub use layers::{LayerRates, freeze};
pub use listener::{Event, Listener, Progress, Record, Stopped, Summary};
pub use log::MetricsLog;
pub use metrics::{Evaluation, Meter, MetricConfig, ValueScale};
pub use optimizer::OptimizerConfig;
pub use parameters::{Parameter, parameter_table, parameters, tensor_summary};
pub use resources::peak_memory_bytes;
pub use schedule::ScheduleConfig;
pub use terminal::Terminal;
pub use trainer::{Fitted, Trainer};
pub use views::average_views;
pub use worst::Worst;

/// The options of each optimizer.
pub mod optimizers {
    pub use crate::optimizer::{
        Adafactor, Adagrad, Adam, AdamW, Adan, Lamb, Lion, Muon, OptimizerConfig, RmsProp, Sgd,
    };
}

/// The options of each schedule.
pub mod schedules {
    pub use crate::schedule::{Constant, Cosine, Exponential, Linear, OneCycle, ScheduleConfig, Step};
}
