//! `bonfire data pack`: a folder of pictures, or CSV and JSONL, into shards.

use anyhow::{Result, bail};
use bonfire_datasets::index::{self, Index};
use bonfire_datasets::records::Format;
use bonfire_datasets::{DataError, image, pack as packing, parse_size, size, source};
use clap::{Args, ValueEnum};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Args, Debug)]
pub struct PackArguments {
    /// A folder of class folders of pictures, or of pictures; or files of CSV, JSON, LIBSVM or workbooks.
    source: String,
    /// The folder for the shards: a path, or s3://bucket/folder and its like.
    destination: String,
    /// What the shards are: tar (the default for pictures) or parquet (what CSV and JSONL become).
    #[arg(long, value_enum)]
    format: Option<PackFormat>,
    /// About how large a shard becomes; of CSV and JSONL, before it is compressed.
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = parse_size)]
    shard_size: u64,
    /// Seeds the random order in which the pictures are put into shards.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// The format of packed shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PackFormat {
    Tar,
    Parquet,
}

/// Files that are named which are no pictures.
const NAMED: u64 = 10;

/// Packs, then reads the shards back for their index.
pub fn pack(arguments: &PackArguments) -> Result<()> {
    let mut done = |finished: usize, of: usize| eprintln!("shard {finished} of {of}");
    let format = match Format::named(&arguments.source) {
        None if !source::is_folder(&arguments.source) => Format::of(&arguments.source).ok(),
        named => named,
    };
    let is_records = format.is_some_and(Format::is_untyped);
    let (packed, what) = if is_records {
        if arguments.format == Some(PackFormat::Tar) {
            bail!("--format: expected parquet, as tar holds no rows, found tar");
        }
        let convert = packing::Convert {
            source: arguments.source.clone(),
            folder: arguments.destination.clone(),
            shard_bytes: arguments.shard_size,
        };
        (packing::convert(&convert, &mut done)?, "records")
    } else {
        let format = match arguments.format {
            Some(PackFormat::Parquet) => Format::Parquet,
            Some(PackFormat::Tar) | None => Format::Tar,
        };
        let pack = packing::Pack {
            pictures: image::pictures_of(&arguments.source)?,
            source: arguments.source.clone(),
            folder: arguments.destination.clone(),
            format,
            shard_bytes: arguments.shard_size,
            seed: arguments.seed,
        };
        let damaged = AtomicU64::new(0);
        let report = |error: &DataError| {
            if damaged.fetch_add(1, Ordering::Relaxed) < NAMED {
                eprintln!("{error}");
            }
        };
        let packed = packing::pack(&pack, &mut done, &report)?;
        match damaged.into_inner() {
            0 => {}
            damaged => eprintln!(
                "{damaged} of the pictures are none, and were packed all the same (bonfire data verify)"
            ),
        }
        (packed, "pictures")
    };
    let index = Index::open(&packed.uri, &mut index::report(&packed.uri))?;
    println!(
        "{} {what} in {} shards ({} were there), {}; index {}\ntrain = {:?}",
        packed.samples,
        packed.shards,
        packed.found,
        size(packed.bytes),
        index.sidecar_uri(),
        packed.uri
    );
    Ok(())
}
