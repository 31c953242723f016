//! Locks that outlive a panic.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The data behind a lock, whole even where a thread panicked: every change under the locks of this room is
/// one assignment.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
