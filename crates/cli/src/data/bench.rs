//! `bonfire data bench`: how fast shards are read and decoded, and where the time goes. Tables and texts are
//! measured in [`records`](super::records).

use super::records;
use anyhow::Result;
use bonfire_datasets::image::{self, Measured, Work};
use bonfire_datasets::index::{Index, report};
use bonfire_datasets::measure::{self, Records};
use bonfire_datasets::records::Format;
use bonfire_datasets::{Window, size};
use clap::Args;
use std::num::NonZero;
use std::time::Duration;

#[derive(Args, Debug)]
pub struct BenchArguments {
    /// Shards of pictures (tar or Parquet), a table, or texts; a file, a glob, or braces.
    uri: String,
    /// Threads that read and decode; as many as there are processors when absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Seconds for each of the three measurements.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Pixels a side of the training tensors.
    #[arg(long, default_value_t = 224, value_parser = clap::value_parser!(u16).range(1..))]
    size: u16,
    /// Shards open together, as `data.window_shards` of a recipe.
    #[arg(long, default_value_t = 16)]
    window_shards: usize,
    /// Samples fetched together, as `data.window_block` of a recipe.
    #[arg(long, default_value_t = 32)]
    window_block: u64,
    /// Of a table: the column to predict; the last one when absent.
    #[arg(long, value_name = "COLUMN")]
    target: Option<String>,
    /// Hold all rows of a table in memory, as training does with `data.stream = false`.
    #[arg(long, conflicts_with = "text_column")]
    held: bool,
    /// Measure the texts of this column instead of a table.
    #[arg(long, value_name = "COLUMN", conflicts_with = "target")]
    text_column: Option<String>,
}

impl BenchArguments {
    /// The samples to make of a file that holds records.
    fn records(&self) -> Records {
        if self.text_column.is_none() && !Format::of(&self.uri).is_ok_and(Format::is_plain) {
            return Records::Rows { target: self.target.clone(), held: self.held };
        }
        let column = self.text_column.clone().unwrap_or_default();
        Records::Characters { column, context: records::CONTEXT }
    }
}

/// Reads alone first, then reads and decodes, then makes training tensors too.
pub fn bench(arguments: &BenchArguments) -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let workers = arguments.workers.map_or(processors, usize::from);
    let time = Duration::try_from_secs_f64(arguments.seconds)?;
    if measure::holds_records(&arguments.uri)? {
        return records::bench(&arguments.uri, &arguments.records(), workers, time);
    }
    let window = Window { shards: arguments.window_shards, block: arguments.window_block };
    println!("{workers} workers, {} shards open, blocks of {} samples", window.shards, window.block);
    let side = usize::from(arguments.size);
    let tensors = format!("to {side}x{side} tensors");
    for (name, work) in
        [("read", Work::Read), ("read and decode", Work::Decode), (&tensors, Work::Train([side, side]))]
    {
        let index = Index::open(&arguments.uri, &mut report(&arguments.uri))?;
        let measured = image::bench(index, window, workers, time, work)?;
        println!("{name:<18} {}", line(&measured, workers));
    }
    Ok(())
}

fn line(measured: &Measured, workers: usize) -> String {
    let seconds = measured.elapsed.as_secs_f64().max(1e-9);
    let share = |time: Duration| 100.0 * time.as_secs_f64() / (seconds * workers as f64);
    let mut line = format!(
        "{}/s  {:.0} samples/s",
        size((measured.bytes as f64 / seconds) as u64),
        measured.samples as f64 / seconds
    );
    if measured.pictures > 0 {
        line += &format!("  {:.0} pictures/s", measured.pictures as f64 / seconds);
    }
    line + &format!(
        "  time: {:.0} % reading, {:.0} % decoding",
        share(measured.reading),
        share(measured.decoding)
    )
}
