//! Records from memory, as a server is sent them: the other door to prediction beside files. Each has the
//! number that it has among all records of the request, of other kinds too.

use crate::{DataError, Dataset, Pipeline};

/// The name of records from memory in errors, in the place of a URI.
pub(crate) const REQUEST: &str = "request";

/// Records from memory as a data set, without targets.
pub struct Requested<D: Dataset> {
    /// The samples, one after the other.
    pub samples: Pipeline<D>,
    /// The number of the record of each sample.
    pub records: Vec<usize>,
    /// The numbers of the records that no sample can be made of, and the error of each.
    pub refused: Vec<(usize, DataError)>,
}
