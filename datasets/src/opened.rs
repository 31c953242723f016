//! A data set opened for training.

use crate::{Dataset, Pipeline};

/// The parts of a data set that is opened for training.
pub struct Opened<D: Dataset, S> {
    /// Shuffled anew each epoch, augmented.
    pub train: Pipeline<D>,
    /// Held out from training, in its own order, not augmented; absent where none was asked for.
    pub valid: Option<Pipeline<D>>,
    /// Never looked at for a decision.
    pub test: Option<Pipeline<D>>,
    /// All that evaluation and prediction need to read data in the same way; saved in the run folder.
    pub schema: S,
}
