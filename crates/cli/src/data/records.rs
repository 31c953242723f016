//! `bonfire data bench` of tables and texts: how fast blocks are read, parsed, and made batches.

use super::bench::BenchArguments;
use anyhow::Result;
use bonfire_datasets::index::{Index, report};
use bonfire_datasets::measure::{self, Rate, Records};
use bonfire_datasets::records::Format;
use bonfire_datasets::size;
use std::time::Duration;

/// Samples of a batch.
const BATCH: usize = 256;

/// Characters of a window on a text.
const CONTEXT: usize = 256;

/// Reads alone first, then parses rows, then makes batches: of texts, or of the rows of a table.
pub fn bench(arguments: &BenchArguments, workers: usize, time: Duration) -> Result<()> {
    let BenchArguments { uri, target, text_column, held, .. } = arguments;
    let is_text = text_column.is_some() || Format::of(uri) == Format::Text;
    let records = match is_text {
        true => {
            let column = text_column.clone().unwrap_or_default();
            Records::Characters { column, context: CONTEXT }
        }
        false => Records::Rows { target: target.clone(), held: *held },
    };
    println!("{workers} workers, batches of {BATCH}");
    let index = Index::open(uri, &mut report(uri))?;
    // A record of plain text is a line.
    let unit = if index.format() == Format::Text { "lines" } else { "rows" };
    let rate = measure::read(index, workers, time)?;
    println!("{:<16} {}", "read", line(&rate, unit));
    if let Records::Rows { target, .. } = &records {
        let rate = measure::parse(uri, target.as_deref(), workers, time)?;
        println!("{:<16} {}", "read and parse", line(&rate, unit));
    }
    let device = bonfire_device::first()?;
    let rate = measure::batches(uri, &records, BATCH, workers, time, &device)?;
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
