//! `bonfire data verify`: everything read, checked and decoded.

use anyhow::Result;
use bonfire_datasets::index::{Index, report};
use bonfire_datasets::size;
use clap::Args;
use std::process::ExitCode;

#[derive(Args, Debug)]
pub struct VerifyArguments {
    /// Shards: tar, Parquet, CSV or JSONL; a file, a glob, braces, or a folder.
    uri: String,
}

/// One line on stdout for each corrupt part; fails when there is any.
pub fn verify(arguments: &VerifyArguments) -> Result<ExitCode> {
    let index = Index::open(&arguments.uri, &mut report(&arguments.uri))?;
    let verified = bonfire_datasets::verify(index, &|error| println!("{error}"))?;
    let (samples, corrupt) = (verified.samples, verified.corrupt);
    eprintln!("{samples} samples, {} read, {corrupt} corrupt", size(verified.bytes));
    Ok(if corrupt == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
