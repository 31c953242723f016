//! `bonfire data …`: data sets before and beside training, one file a subcommand.

mod bench;
mod index;
mod inspect;
mod pack;
mod preview;
mod records;
mod verify;

use anyhow::Result;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Put a folder of pictures into tar shards (WebDataset's layout) or Parquet, or CSV and JSONL into
    /// Parquet; the shards may lie in a bucket.
    Pack(pack::PackArguments),
    /// Build the index of shards: where each sample or block of samples lies, with checksums.
    Index(index::IndexArguments),
    /// Read everything, and name each corrupt sample by its shard and offset.
    Verify(verify::VerifyArguments),
    /// Show what data hold: columns or classes, histograms, first samples. Nothing is written.
    Inspect(inspect::InspectArguments),
    /// Write a page of samples as training sees them: pictures augmented, rows and texts encoded.
    Preview(preview::PreviewArguments),
    /// Measure how fast shards, tables or texts are read, and decoded or made into batches.
    Bench(bench::BenchArguments),
}

/// Runs the subcommand. The exit code says whether what was verified is whole.
pub fn data(command: &DataCommand) -> Result<ExitCode> {
    match command {
        DataCommand::Pack(arguments) => pack::pack(arguments),
        DataCommand::Index(arguments) => index::index(arguments),
        DataCommand::Verify(arguments) => return verify::verify(arguments),
        DataCommand::Inspect(arguments) => inspect::inspect(arguments),
        DataCommand::Preview(arguments) => preview::preview(arguments),
        DataCommand::Bench(arguments) => bench::bench(arguments),
    }?;
    Ok(ExitCode::SUCCESS)
}
