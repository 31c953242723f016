//! `bonfire data inspect`: what shards hold, without reading them.

use anyhow::Result;
use bonfire_datasets::index::{Index, report};
use bonfire_datasets::size;
use clap::Args;
use std::io::{Write, stdout};

/// Samples and classes that are shown.
const SHOWN: usize = 10;

#[derive(Args, Debug)]
pub struct InspectArguments {
    /// Shards: tar, Parquet, CSV or JSONL; a file, a glob, braces, or a folder.
    uri: String,
}

/// Prints sizes, the most frequent classes, and the first samples.
pub fn inspect(arguments: &InspectArguments) -> Result<()> {
    let index = Index::open(&arguments.uri, &mut report(&arguments.uri))?;
    let shards = index.shards();
    let sizes: Vec<u64> = (0..shards.len()).map(|shard| shards.size(shard)).collect();
    let mut out = stdout().lock();
    writeln!(out, "{} samples in {} shards, {}", shards.samples(), shards.len(), size(index.bytes()))?;
    if let (Some(least), Some(most)) = (sizes.iter().min(), sizes.iter().max()) {
        writeln!(out, "{least} to {most} samples a shard")?;
    }
    writeln!(out, "index {}", index.sidecar_uri())?;
    match index.classes() {
        Some(classes) if classes.keys().all(Option::is_none) => {}
        None => writeln!(out, "more different labels than any model has classes")?,
        Some(classes) => {
            let mut classes: Vec<_> = classes.iter().collect();
            classes.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            writeln!(out, "{} classes:", classes.iter().filter(|class| class.0.is_some()).count())?;
            for (class, samples) in classes.iter().take(SHOWN) {
                writeln!(out, "  {:<24} {samples}", class.as_deref().unwrap_or("(none)"))?;
            }
        }
    }
    let alone = !index.format().has_blocks();
    writeln!(out, "{}", if alone { "first samples:" } else { "first blocks:" })?;
    let mut number = 0;
    for _ in 0..SHOWN {
        if number >= shards.samples() {
            break;
        }
        let (_, entry) = index.entry(number)?;
        let parts: Vec<String> =
            entry.parts.iter().map(|part| format!("{} ({})", part.extension, size(part.length))).collect();
        let name =
            if alone { entry.key } else { format!("{} records from line {}", entry.records, entry.line) };
        writeln!(out, "  {name:<32} {}", parts.join(", "))?;
        number += u64::from(entry.records);
    }
    Ok(())
}
