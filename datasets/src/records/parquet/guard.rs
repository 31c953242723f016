//! Damage in the errors of a reader.

use crate::DataError;
use crate::records::guard;
use crate::source::one_line;

/// What a file should be.
const WHOLE: &str = "a whole Parquet file";

/// Every damage that the crate reports is the file's, wherever it is noticed.
pub(super) fn damaged(uri: &str, error: &dyn std::fmt::Display) -> DataError {
    DataError::source(uri, WHOLE, one_line(error))
}

/// Runs `decode`, which decodes pages. The crate panics on some damage within them (of 60.1.0: "Decoder for
/// dict should have been set").
///
/// # Errors
/// `decode`'s own; a panic is the error of damaged pages.
pub(crate) fn guarded<T>(uri: &str, decode: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    guard::guarded(uri, WHOLE, "damaged pages", decode)
}
