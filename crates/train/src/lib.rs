//! The training loop: from batches to a trained model, its records and its checkpoints.
//!
//! ```text
//! Loader -> pieces -> Task::loss -> gradient (mean over the step's samples) -> clip -> optimizer
//!                                                                                -> average
//!        -> Task::predict -> Meter -> LogRecord -> Listeners (metrics.jsonl, terminal)
//! ```
//!
//! [`Trainer::fit`] trains any [`Task`](bonfire_contract::Task). The checkpoints hold all that decides the
//! next step: weights, optimizer, average, accumulated gradient, position in the data. The learning rate and
//! the seeds of dropout are pure functions of the step. So a run that was interrupted, or killed, ends with
//! the same bits as one that was not.
//!
//! | file | its part |
//! |---|---|
//! | `trainer`, `start` | settings; a learner that is new or resumed |
//! | `loop`, `pieces` | evaluate? stop? step, record, checkpoint |
//! | `learner/` | model, optimizer, average, the gradient of the open step |
//! | `step/` | a step: by the gradient, alone or with other ranks, by least squares |
//! | `ranks/` | what the ranks of a job tell each other |
//! | `keep/` | log, checkpoints, final weights |
//! | `optimizer/`, `schedule/` | one file each |
//! | `metrics/`, `evaluate` | the figures of a set |
//! | `predictor` | a model that only predicts |
//! | `finish` | selected weights, test, summary |

mod average;
mod check;
mod config;
mod costs;
mod error;
mod evaluate;
mod feed;
mod finish;
mod interrupt;
mod keep;
mod layers;
mod learner;
mod length;
mod listener;
mod r#loop;
mod losses;
mod metrics;
mod optimizer;
mod parameters;
mod pieces;
mod predictor;
mod ranks;
mod records;
mod registered;
mod resources;
mod schedule;
mod start;
mod step;
mod terminal;
mod timing;
mod trainer;

pub use config::{
    BatchSize, CheckpointConfig, FitConfig, Precision, RateScaling, Select, Solver, TrainConfig,
};
pub use costs::{Costs, Pace, abbreviated};
pub use error::TrainError;
pub use evaluate::{evaluate, evaluate_views};
pub use interrupt::Interrupt;
pub use keep::{MetricsLog, WEIGHTS};
pub use layers::{LayerRates, freeze};
pub use listener::{Event, Listener, LogRecord, Progress, Stopped, Summary};
pub use metrics::{
    Bin, Calibration, ClassFigures, Confusion, Evaluation, Meter, MetricConfig, ValueScale, Worst,
    average_views,
};
pub use optimizer::OptimizerConfig;
pub use parameters::{Parameter, parameter_table, parameters, tensor_summary};
pub use predictor::Predictor;
pub use resources::peak_memory_bytes;
pub use schedule::ScheduleConfig;
pub use terminal::Terminal;
pub use trainer::{Fitted, Trainer};

/// The options of each optimizer.
pub mod optimizers {
    pub use crate::optimizer::*;
}

/// The options of each schedule.
pub mod schedules {
    pub use crate::schedule::*;
}
