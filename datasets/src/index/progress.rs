//! The progress of an index that is built, on standard error.

use super::Progress;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Tells standard error: a bar on a terminal, one line elsewhere. An index that is there says nothing.
pub fn report(uri: &str) -> impl FnMut(Progress) {
    let uri = uri.to_string();
    let mut bar: Option<ProgressBar> = None;
    move |progress: Progress| {
        if progress.shards == 0 {
            let mebibytes = progress.of_bytes as f64 / f64::from(1 << 20);
            eprintln!("indexing {uri}: {} shards, {mebibytes:.0} MiB, read once", progress.of);
            if std::io::stderr().is_terminal() {
                let template = "{bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  left {eta}";
                let style = ProgressStyle::with_template(template).expect("the template is fixed");
                bar = Some(ProgressBar::new(progress.of_bytes).with_style(style));
            }
        }
        if let Some(bar) = &bar {
            bar.set_position(progress.bytes);
            if progress.shards == progress.of {
                bar.finish_and_clear();
            }
        }
    }
}
