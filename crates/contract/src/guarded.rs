//! Calls of libraries that may panic on damaged bytes.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// The calls of [`guarded`] that this thread is within.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

static QUIET: Once = Once::new();

/// Runs `work`, which calls a library that may panic on damaged bytes, on this thread. `None` when it
/// panicked; nothing is printed then. The caller says in its own words what was expected and where.
///
/// Nothing that `work` changes may be used after a panic but its result: it may be half done.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    // The hook prints a panic before it can be caught. What it prints elsewhere stays as it was.
    QUIET.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |panic| {
            if DEPTH.get() == 0 {
                loud(panic);
            }
        }));
    });
    DEPTH.set(DEPTH.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    DEPTH.set(DEPTH.get() - 1);
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_none_and_the_next_one_outside_is_as_ever() {
        assert_eq!(guarded(|| 7), Some(7));
        assert_eq!(guarded(|| guarded(|| -> u8 { panic!("within") }).is_none()), Some(true));
        assert_eq!(guarded(|| -> u8 { panic!("without") }), None);
        assert_eq!(DEPTH.get(), 0);
        assert!(catch_unwind(|| panic!("told")).is_err());
    }
}
