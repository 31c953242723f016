//! `bonfire data inspect`: what data hold, from a look that writes nothing.

use crate::look;
use anyhow::Result;
use bonfire_datasets::look::look as look_at;
use clap::Args;
use std::io::stdout;

#[derive(Args, Debug)]
pub struct InspectArguments {
    /// Pictures, rows, texts or shards: a file, a folder, a glob or braces.
    uri: String,
}

/// Prints columns or classes, their histograms, and the first samples.
pub fn inspect(arguments: &InspectArguments) -> Result<()> {
    look::write(&look_at(&arguments.uri)?, &mut stdout().lock())?;
    Ok(())
}
