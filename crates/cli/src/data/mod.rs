//! `bonfire data …`: data sets before and beside training, one file a subcommand.

mod bench;
mod index;
mod inspect;
mod pack;
mod verify;

use anyhow::Result;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// Put a folder of pictures into tar shards (WebDataset's layout), which may lie in a bucket.
    Pack(pack::PackArguments),
    /// Build the index of tar shards: where each sample lies, with checksums.
    Index(index::IndexArguments),
    /// Read everything, and name each corrupt sample by its shard and offset.
    Verify(verify::VerifyArguments),
    /// Show what shards hold, from their index and a few samples.
    Inspect(inspect::InspectArguments),
    /// Measure how fast shards are read and decoded.
    Bench(bench::BenchArguments),
}

/// Runs the subcommand. The exit code says whether what was verified is whole.
pub fn data(command: &DataCommand) -> Result<ExitCode> {
    match command {
        DataCommand::Pack(arguments) => pack::pack(arguments),
        DataCommand::Index(arguments) => index::index(arguments),
        DataCommand::Verify(arguments) => return verify::verify(arguments),
        DataCommand::Inspect(arguments) => inspect::inspect(arguments),
        DataCommand::Bench(arguments) => bench::bench(arguments),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// `1234567` bytes as `1.2 MB`.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    let mut amount = bytes as f64;
    let mut unit = "bytes";
    for larger in UNITS {
        if amount < 1000.0 {
            break;
        }
        (amount, unit) = (amount / 1000.0, larger);
    }
    if unit == "bytes" { format!("{bytes} bytes") } else { format!("{amount:.1} {unit}") }
}

/// Bytes out of `256MB`, `64MiB`, `1GB` or a plain number.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return Err(format!("expected a number and kB, MB, GB, KiB, MiB or GiB, found {text:?}")),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or(format!("expected a size above 0, found {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        assert_eq!(parse_size("256MB"), Ok(256_000_000));
        assert_eq!(parse_size("64 MiB"), Ok(64 << 20));
        assert_eq!(parse_size("9"), Ok(9));
        for wrong in ["", "MB", "0", "1.5GB", "5 apples", "99999999999GB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            [7, 1_234, 256_000_000, u64::MAX].map(size),
            ["7 bytes", "1.2 kB", "256.0 MB", "18446.7 PB"]
        );
    }
}
