//! `bonfire data inspect`: what data hold. Nothing is written.

use crate::look;
use anyhow::Result;
use bonfire_datasets::index::{Index, report};
use bonfire_datasets::look::{Found, PictureLayout, look as look_at};
use bonfire_datasets::size;
use clap::Args;
use std::io::{Write, stdout};

/// Samples and classes that are shown.
const SHOWN: usize = 10;

#[derive(Args, Debug)]
pub struct InspectArguments {
    /// Pictures, rows, texts or shards: a file, a folder, a glob or braces.
    uri: String,
}

/// Prints columns or classes, their histograms, and the first samples.
pub fn inspect(arguments: &InspectArguments) -> Result<()> {
    let found = look_at(&arguments.uri)?;
    let mut out = stdout().lock();
    if let Found::Pictures(pictures) = &found.found
        && pictures.layout == PictureLayout::Shards
    {
        return shards(&found.train, &mut out);
    }
    Ok(look::write(&found, &mut out)?)
}

/// Prints what shards of pictures hold, all of them: from their index, or from one that is made for it.
fn shards(uri: &str, out: &mut dyn Write) -> Result<()> {
    let index = Index::look(uri, &mut report(uri))?;
    let shards = index.shards();
    let sizes: Vec<u64> = (0..shards.len()).map(|shard| shards.size(shard)).collect();
    writeln!(out, "{} samples in {} shards, {}", shards.samples(), shards.len(), size(index.bytes()))?;
    if let (Some(least), Some(most)) = (sizes.iter().min(), sizes.iter().max()) {
        writeln!(out, "{least} to {most} samples a shard")?;
    }
    match index.classes() {
        Some(classes) if classes.keys().all(Option::is_none) => {}
        None => writeln!(out, "more different labels than any model has classes")?,
        Some(classes) => {
            let named = |(class, samples): (&Option<String>, &u64)| {
                (class.clone().unwrap_or_else(|| "(none)".to_string()), *samples)
            };
            look::write_classes(&classes.iter().map(named).collect::<Vec<_>>(), out)?;
        }
    }
    writeln!(out, "first samples:")?;
    for number in 0..shards.samples().min(SHOWN as u64) {
        let (_, entry) = index.entry(number)?;
        let parts = entry.parts.iter().map(|part| format!("{} ({})", part.extension, size(part.length)));
        let name = if entry.key.is_empty() { format!("row {}", entry.line) } else { entry.key.clone() };
        writeln!(out, "  {name:<32} {}", parts.collect::<Vec<_>>().join(", "))?;
    }
    Ok(())
}
