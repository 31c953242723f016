//! Damage in the errors of a reader.

use crate::DataError;
use crate::source::one_line;

/// Every damage that the crate reports is the file's, wherever it is noticed.
pub(super) fn damaged(uri: &str, error: &dyn std::fmt::Display) -> DataError {
    DataError::source(uri, "a whole Parquet file", one_line(error))
}

/// Runs `decode`, which decodes pages. The crate panics on some damage within them (of 60.1.0: "Decoder for
/// dict should have been set"); nothing outlives the decoding but its result, so unwinding leaves nothing
/// half done.
///
/// # Errors
/// `decode`'s own; a panic is the error of damaged pages.
pub(crate) fn guarded<T>(uri: &str, decode: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    bonfire_contract::guarded(decode)
        .unwrap_or_else(|| Err(DataError::source(uri, "a whole Parquet file", "damaged pages")))
}
