//! A run from its beginning to its answers: the rooms that programs, servers and measures share.
//!
//! ```text
//! Recipe -> data -> model -> Training (the trainer, over all ranks) -> run folder
//! run folder -> Run -> Predictor | evaluate | export
//! ```
//!
//! ```no_run
//! use bonfire_run::{Answer, Record, Run};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let run = Run::open("runs/fashion")?;
//! let mut predictor = run.predictor(run.device(None)?)?;
//! for answer in predictor.answer(vec![Record::Picture(std::fs::read("shirt.png")?)])? {
//!     if let Answer::Class { class, probabilities } = answer? {
//!         println!("{}: {:.2}", predictor.labels()[class], probabilities[class]);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here prints: whatever a person should hear beside the result goes to [`Notices`]. A whole set that
//! is read once before it is used, for an index or its columns, is told on standard error by `datasets`.

mod answer;
mod ask;
mod bucket;
mod error;
mod evaluate;
mod feed;
mod fit;
mod generate;
mod identify;
mod model;
mod places;
mod predictor;
mod pretrained;
mod probe;
mod ranks;
mod record;
mod run;
mod schema;
mod sets;
mod training;

pub use answer::Answer;
pub use bonfire_datasets::table::{Cell, Row};
pub use bonfire_datasets::{Kept, KeptCell};
pub use error::RunError;
pub use generate::Generation;
pub use identify::identify;
pub use model::{Build, VisitModel};
pub use places::anchor;
pub use predictor::{Answered, Each, Predictor};
pub use record::Record;
pub use run::Run;
pub use schema::Schema;
pub use sets::{Pictures, SampleSet, Sets};
pub use training::{Beginning, Trained, Training};

/// Takes a line for a person to read beside the result: a warning, or news of weights that are taken over.
pub type Notices = std::rc::Rc<dyn Fn(&str)>;
