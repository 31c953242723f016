//! The progress of an index that is built: a line of the log and, where a program shows it, all of the way.

use super::Progress;
use std::sync::OnceLock;

/// Begins to show the progress of one index: what it gives is told of every step, and dropped at the end.
pub type Show = fn() -> Box<dyn FnMut(Progress)>;

static SHOW: OnceLock<Show> = OnceLock::new();

/// Has the progress of each index shown that is built in this process. It is set once, as a logger is: a
/// second call changes nothing.
pub fn show(show: Show) {
    let _ = SHOW.set(show);
}

/// Tells the log that the index of `uri` is built, and has its progress [shown](show). An index that is there
/// says nothing.
pub fn report(uri: &str) -> impl FnMut(Progress) {
    let uri = uri.to_string();
    let mut shown = None;
    move |progress: Progress| {
        if progress.shards == 0 {
            let mebibytes = progress.of_bytes as f64 / f64::from(1 << 20);
            log::info!("indexing {uri}: {} shards, {mebibytes:.0} MiB, read once", progress.of);
            shown = SHOW.get().map(|show| show());
        }
        if let Some(shown) = &mut shown {
            shown(progress);
        }
    }
}
