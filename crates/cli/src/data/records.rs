//! `bonfire data bench` of tables and texts: how fast blocks are read, parsed, and made batches.

use anyhow::Result;
use bonfire_datasets::index::{Index, report};
use bonfire_datasets::measure::{self, Rate, Records};
use bonfire_datasets::size;
use std::time::Duration;

/// Samples of a batch.
const BATCH: usize = 256;

/// Characters of a window on a text.
pub(super) const CONTEXT: usize = 256;

/// Reads alone first, then parses rows, then makes batches: of texts, or of the rows of a table.
pub fn bench(uri: &str, records: &Records, workers: usize, time: Duration) -> Result<()> {
    let is_text = matches!(records, Records::Characters { .. });
    println!("{workers} workers, batches of {BATCH}");
    let index = Index::open(uri, &mut report(uri))?;
    // A record of plain text is a line.
    let unit = if index.format().is_plain() { "lines" } else { "rows" };
    let rate = measure::read(index, workers, time)?;
    println!("{:<16} {}", "read", line(&rate, unit));
    if let Records::Rows { target, .. } = records {
        let rate = measure::parse(uri, target.as_deref(), workers, time)?;
        println!("{:<16} {}", "read and parse", line(&rate, unit));
    }
    let device = bonfire_device::first()?;
    let rate = measure::batches(uri, records, BATCH, workers, time, &device)?;
    let made = match is_text {
        true => format!(
            "{}  {:.0} tokens/s",
            line(&rate, "windows"),
            (rate.records * CONTEXT as u64) as f64 / rate.elapsed.as_secs_f64().max(1e-9)
        ),
        false => line(&rate, "rows"),
    };
    println!("{:<16} {made}", "into batches");
    Ok(())
}

fn line(rate: &Rate, unit: &str) -> String {
    let seconds = rate.elapsed.as_secs_f64().max(1e-9);
    format!("{}/s  {:.0} {unit}/s", size((rate.bytes as f64 / seconds) as u64), rate.records as f64 / seconds)
}
