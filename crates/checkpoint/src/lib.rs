//! A training run on disk, safe against a crash at any instant.
//!
//! ```text
//! RUN/
//!   run.json              the folder's format
//!   recipe.toml           the recipe, resolved: every setting of the run
//!   metrics.jsonl         one record a line
//!   model.safetensors     the weights that training chose, and the step that it ended at
//!   labels.json           the schema of the data, by their kind: vocabulary.json, columns.json
//!   streamed.json         the shards of streamed data
//!   report.html           figures and pictures, written by an evaluation
//!   .lock                 held while a process trains into the folder
//!   checkpoints/
//!     step-000001200/     everything that resuming needs, with a checksum of every file
//! ```
//!
//! [`RunFolder`] knows the names. [`CheckpointStore`] writes, verifies and prunes checkpoints. [`Weights`]
//! are a module's tensors by path, as safetensors; [`Published`] are those of a file that another program
//! wrote. Every file appears whole or not at all:
//! [`write_atomically`].

mod atomic;
mod error;
mod header;
#[doc(hidden)]
pub mod hostile;
mod pickle;
mod published;
mod run;
mod store;
mod tensors;
mod torch;
mod translation;
mod weights;

pub use atomic::write_atomically;
pub use error::CheckpointError;
pub use published::{Choice, Names, Published};
pub use run::{Existing, RunFolder, Whereabouts};
pub use store::{CheckpointStore, Files, Loaded};
pub use translation::{Key, Part, Replaced};
pub use weights::{Weights, load_weights, save_final_weights, save_weights, step_of_weights};
