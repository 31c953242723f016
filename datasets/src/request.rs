//! Records from memory, as a server is sent them: the other door to prediction beside files.

use crate::{DataError, Dataset, Pipeline};

/// The name of records from memory in errors, in the place of a URI.
pub(crate) const REQUEST: &str = "request";

/// Records from memory as a data set, without targets.
pub struct Requested<D: Dataset> {
    /// The samples, one after the other.
    pub samples: Pipeline<D>,
    /// The number of the record of each sample, from 0 on.
    pub records: Vec<usize>,
    /// The numbers of the records that no sample can be made of, and the error of each.
    pub refused: Vec<(usize, DataError)>,
}
