//! The random generator of this process: flex has one for all threads, and every step of training seeds it.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static GENERATOR: RwLock<()> = RwLock::new(());

/// Held by a test that expects the same numbers twice: no other test of this process draws any meanwhile.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    GENERATOR.write().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that draws numbers, whichever they are.
pub fn shared() -> RwLockReadGuard<'static, ()> {
    GENERATOR.read().unwrap_or_else(PoisonError::into_inner)
}
