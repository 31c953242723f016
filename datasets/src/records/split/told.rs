//! The warnings that the log was told of, for tests.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::{Mutex, Once};

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Kept;

impl Log for Kept {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            TOLD.lock().unwrap().push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// What `work` warns of, of the set at `uri` alone.
pub(crate) fn told(uri: &str, work: impl FnOnce()) -> Vec<String> {
    static BEGIN: Once = Once::new();
    BEGIN.call_once(|| {
        log::set_logger(&Kept).unwrap();
        log::set_max_level(LevelFilter::Warn);
    });
    let before = TOLD.lock().unwrap().len();
    work();
    let prefix = format!("{uri}: ");
    let told = TOLD.lock().unwrap();
    told[before..].iter().filter_map(|line| line.strip_prefix(&prefix).map(str::to_string)).collect()
}
