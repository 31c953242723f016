//! `bonfire data index`: the index of shards, built anew.

use anyhow::Result;
use bonfire_datasets::index::{Index, report};
use bonfire_datasets::size;
use clap::Args;

#[derive(Args, Debug)]
pub struct IndexArguments {
    /// Shards: tar, Parquet, CSV or JSONL; a file, a glob, a folder, or braces
    /// (`s3://bucket/train-{00000..01023}.tar`).
    uri: String,
}

/// Reads all shards, whatever index there is.
pub fn index(arguments: &IndexArguments) -> Result<()> {
    let index = Index::build(&arguments.uri, &mut report(&arguments.uri))?;
    let shards = index.shards();
    println!(
        "{} samples in {} shards, {}; index {}",
        shards.samples(),
        shards.len(),
        size(index.bytes()),
        index.sidecar_uri()
    );
    Ok(())
}
