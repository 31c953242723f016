//! The contracts that every room of Bonfire agrees on.
//!
//! ```text
//! datasets --Batch--> Task (models) --loss, Output--> train --Metric--> records
//! ```
//!
//! A loader yields a [`Batch`] from a [`Position`]; a [`Task`] turns its input into an [`Output`]
//! and, with its [`Target`], into a scalar loss; a [`Metric`] is one figure computed from the two.
//! Everybody points at these types; they point at Burn's tensors and modules alone.
//!
//! Beside them stand five things that every room must do alike: random numbers that a seed decides
//! ([`SplitMix64`], [`mix`]), files that are replaced whole ([`files`]), the likeliest class ([`argmax`]),
//! the name that was meant by a mistyped one ([`nearest`]), and calls of libraries that may panic
//! ([`guarded`]).

mod argmax;
mod batch;
pub mod files;
mod guarded;
mod least_squares;
mod loader;
mod metric;
mod nearest;
mod random;
mod task;

pub use argmax::argmax;
pub use batch::{AnyInput, Bags, Batch, Images, Input, Table, Target, Tokens};
pub use guarded::guarded;
pub use least_squares::LeastSquares;
pub use loader::{Batches, LoadError, Loader, Portion, Portions, Position, Share, Skipped};
pub use metric::{Better, Metric};
pub use nearest::{did_you_mean, most_alike, nearest};
pub use random::{SplitMix64, mix, scale};
pub use task::{ConfigError, Output, Task};
