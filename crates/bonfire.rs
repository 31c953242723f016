//! Bonfire trains image, text and table models in Rust, on top of [Burn](burn): on a laptop's CPU,
//! on a GPU, from one recipe or from code.
//!
//! ```no_run
//! use bonfire::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let device = device::open("cpu")?.autodiff();
//! let config = TableConfig {
//!     train: "builtin:diamonds.csv.gz".into(),
//!     target: "price".into(),
//!     ..TableConfig::default()
//! };
//! let data = table::open(&config, 1)?;
//! let model = LinearRegressionConfig::new(data.schema.num_numeric(), Objective::values(1)).init(&device);
//! let fitted = Trainer::new(FitConfig::default(), device).fit(model, &data.train, None)?;
//! println!("{:?}", fitted.summary.metrics);
//! # Ok(())
//! # }
//! ```
//!
//! | room | holds |
//! |---|---|
//! | [`contract`] | batches, the [`Task`](contract::Task) trait, loaders, metric values |
//! | [`datasets`] | from a source to batches, for images, text and tables |
//! | [`models`] | architectures as Burn modules |
//! | [`train`] | the training loop, optimizers, schedules, metrics, the log |
//! | [`cluster`] | the ranks of a job: one process alone, or several by MPI |
//! | [`checkpoint`] | the run folder on disk |
//! | [`device`] | device names to Burn devices |
//! | [`recipe`] | TOML documents, the built-in recipes, what may change when a run goes on |
//! | [`run`] | a run folder: trained, opened, evaluated, and asked with files or records from memory |
//! | [`kernels`] | fast training ops for the CPU, its threads, and an allocator that recycles large buffers |

pub use bonfire_checkpoint as checkpoint;
pub use bonfire_cluster as cluster;
pub use bonfire_contract as contract;
pub use bonfire_datasets as datasets;
pub use bonfire_device as device;
pub use bonfire_kernels as kernels;
pub use bonfire_models as models;
pub use bonfire_recipe as recipe;
pub use bonfire_run as run;
pub use bonfire_train as train;
pub use burn;

/// What a training script needs: `use bonfire::prelude::*`.
pub mod prelude {
    pub use crate::contract::{
        Batch, Batches, ConfigError, Images, Input, LoadError, Loader, Metric, Output, Portion, Portions,
        Position, Share, Table, Target, Task, Tokens,
    };
    pub use crate::datasets::image::{self, ImageConfig};
    pub use crate::datasets::table::{self, TableConfig};
    pub use crate::datasets::text::{self, TextConfig};
    pub use crate::datasets::{DataError, Dataset, Pipeline, PipelineConfig};
    pub use crate::device;
    pub use crate::models::*;
    pub use crate::run::{Answer, Cell, Predictor, Record, Run};
    pub use crate::train::{
        BatchSize, CheckpointConfig, Evaluation, FitConfig, Fitted, MetricConfig, OptimizerConfig,
        ScheduleConfig, Terminal, TrainConfig, Trainer, evaluate,
    };
    pub use burn::module::Module;
    pub use burn::tensor::{Bool, Device, Distribution, Int, Tensor, TensorData};
}
