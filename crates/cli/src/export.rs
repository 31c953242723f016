//! `bonfire export`: a trained model's weights for another program to read.

use crate::args::ExportArguments;
use anyhow::Result;

/// Runs the subcommand.
pub fn export(arguments: &ExportArguments) -> Result<()> {
    let tensors = crate::open(&arguments.run)?.export(&arguments.names, &arguments.output)?;
    println!("{tensors} tensors by {} names: {}", arguments.names, arguments.output.display());
    Ok(())
}
