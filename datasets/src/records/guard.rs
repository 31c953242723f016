//! Crates that panic on some damage.

use crate::DataError;

/// Runs `decode`, which calls a crate that may panic on damage: a panic is the error that `found` was there
/// instead of `expected`. Nothing outlives the decoding but its result, so unwinding leaves nothing half done.
///
/// # Errors
/// `decode`'s own, and that of a panic.
pub(super) fn guarded<T>(
    uri: &str,
    expected: &str,
    found: &str,
    decode: impl FnOnce() -> Result<T, DataError>,
) -> Result<T, DataError> {
    bonfire_contract::guarded(decode).unwrap_or_else(|| Err(DataError::source(uri, expected, found)))
}
