//! Lines of the log that are told once a process: a file is opened several times in a run, and each time it is looked
//! at anew.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, PoisonError};

/// Lines that are remembered, by their hashes; those behind them are told each time.
const MOST: usize = 1 << 16;

static TOLD: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

/// Warns of a line that was not told before.
pub(crate) fn warn_once(line: String) {
    if is_new(&line) {
        log::warn!("{line}");
    }
}

/// Warns of a line where none with this key was told before.
pub(crate) fn warn_first(key: &str, line: String) {
    if is_new(key) {
        log::warn!("{line}");
    }
}

/// Tells a line that was not told before.
pub(crate) fn info_once(line: String) {
    if is_new(&line) {
        log::info!("{line}");
    }
}

fn is_new(line: &str) -> bool {
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let told = told.get_or_insert_default();
    if told.len() < MOST { told.insert(hasher.finish()) } else { !told.contains(&hasher.finish()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_new_once() {
        let news = ["a line", "another line", "a line"].map(|line| is_new(&format!("once.rs: {line}")));
        assert_eq!(news, [true, true, false]);
    }
}
