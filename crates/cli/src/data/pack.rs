//! `bonfire data pack`: a folder of pictures into shards.

use anyhow::Result;
use bonfire_datasets::index::{self, Index};
use bonfire_datasets::{image, parse_size, shard, size};
use clap::Args;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Args, Debug)]
pub struct PackArguments {
    /// A folder of class folders of pictures, or of pictures.
    source: String,
    /// The folder for the shards: a path, or s3://bucket/folder and its like.
    destination: String,
    /// About how large a shard becomes.
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = parse_size)]
    shard_size: u64,
    /// Seeds the random order in which the pictures are put into shards.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Packs, then reads the shards back for their index.
pub fn pack(arguments: &PackArguments) -> Result<()> {
    let finished = AtomicUsize::new(0);
    let done = |_: usize, of: usize| {
        let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
        eprintln!("shard {finished} of {of}");
    };
    let packed = shard::pack(
        &shard::Pack {
            pictures: image::pictures_of(&arguments.source)?,
            source: arguments.source.clone(),
            folder: arguments.destination.clone(),
            shard_bytes: arguments.shard_size,
            seed: arguments.seed,
        },
        &done,
    )?;
    let index = Index::open(&packed.uri, &mut index::report(&packed.uri))?;
    println!(
        "{} pictures in {} shards ({} were there), {}; index {}\ntrain = {:?}",
        packed.samples,
        packed.shards,
        packed.found,
        size(packed.bytes),
        index.sidecar_uri(),
        packed.uri
    );
    Ok(())
}
