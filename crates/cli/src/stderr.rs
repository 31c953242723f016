//! The libraries' log on standard error, and a bar while an index is built.

use bonfire_datasets::index::{self, Progress};
use indicatif::{ProgressBar, ProgressStyle};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::IsTerminal;

/// The lines of Bonfire's own crates; those of others are not for a user.
struct Lines;

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Info && metadata.target().starts_with("bonfire")
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            let kind = match record.level() {
                Level::Error => "error: ",
                Level::Warn => "warning: ",
                _ => "",
            };
            eprintln!("{kind}{}", record.args().to_string().replace('\n', " "));
        }
    }

    fn flush(&self) {}
}

/// Shows from now on what the libraries say.
pub fn show() {
    // Where another logger is set already, that one shows it.
    if log::set_logger(&Lines).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    index::show(bar);
}

/// A bar where standard error is a terminal, and nothing elsewhere.
fn bar() -> Box<dyn FnMut(Progress)> {
    let template = "{bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  left {eta}";
    let style = ProgressStyle::with_template(template).expect("the template is fixed");
    let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0).with_style(style));
    Box::new(move |progress| {
        if let Some(bar) = &bar {
            bar.set_length(progress.of_bytes);
            bar.set_position(progress.bytes);
            if progress.shards == progress.of {
                bar.finish_and_clear();
            }
        }
    })
}
