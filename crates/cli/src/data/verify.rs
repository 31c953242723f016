//! `bonfire data verify`: everything read, checked and decoded.

use anyhow::Result;
use bonfire_datasets::image::pictures_of;
use bonfire_datasets::index::{self, Index};
use bonfire_datasets::records::Format;
use bonfire_datasets::{DataError, size};
use clap::Args;
use std::process::ExitCode;

#[derive(Args, Debug)]
pub struct VerifyArguments {
    /// Shards (tar, Parquet, CSV, JSONL) or pictures: a file, a glob, braces, or a folder.
    uri: String,
}

/// One line on stdout for each corrupt part; fails when there is any.
pub fn verify(arguments: &VerifyArguments) -> Result<ExitCode> {
    let uri = &arguments.uri;
    let report = &|error: &DataError| println!("{error}");
    let pictures = if Format::of(uri).is_err() { pictures_of(uri).unwrap_or_default() } else { Vec::new() };
    let verified = if pictures.is_empty() {
        bonfire_datasets::verify(Index::open(uri, &mut index::report(uri))?, report)?
    } else {
        let uris: Vec<String> = pictures.into_iter().map(|(uri, _)| uri).collect();
        bonfire_datasets::verify_pictures(&uris, report)?
    };
    let (samples, corrupt) = (verified.samples, verified.corrupt);
    eprintln!("{samples} samples, {} read, {corrupt} corrupt", size(verified.bytes));
    Ok(if corrupt == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
