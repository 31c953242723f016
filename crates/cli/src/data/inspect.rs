//! `bonfire data inspect`: what shards or a folder of pictures hold. Nothing is written.

use anyhow::{Result, bail};
use bonfire_datasets::index::{Index, report};
use bonfire_datasets::{image, size};
use clap::Args;
use std::io::{Write, stdout};

/// Samples and classes that are shown.
const SHOWN: usize = 10;

#[derive(Args, Debug)]
pub struct InspectArguments {
    /// Shards: tar, Parquet, CSV or JSONL; a file, a glob, braces, or a folder. Or a folder of pictures.
    uri: String,
}

/// Prints sizes, the most frequent classes, and the first samples.
pub fn inspect(arguments: &InspectArguments) -> Result<()> {
    if image::is_look_of_pictures(&arguments.uri) {
        return pictures(&arguments.uri);
    }
    let index = Index::look(&arguments.uri, &mut report(&arguments.uri))?;
    let shards = index.shards();
    if shards.samples() == 0 {
        bail!("{}: expected at least one sample, found none", arguments.uri);
    }
    let sizes: Vec<u64> = (0..shards.len()).map(|shard| shards.size(shard)).collect();
    let mut out = stdout().lock();
    writeln!(out, "{} samples in {} shards, {}", shards.samples(), shards.len(), size(index.bytes()))?;
    if let (Some(least), Some(most)) = (sizes.iter().min(), sizes.iter().max()) {
        writeln!(out, "{least} to {most} samples a shard")?;
    }
    match index.classes() {
        Some(classes) if classes.keys().all(Option::is_none) => {}
        None => writeln!(out, "more different labels than any model has classes")?,
        Some(classes) => {
            let mut classes: Vec<_> = classes.iter().collect();
            classes.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            writeln!(out, "{} classes:", classes.iter().filter(|class| class.0.is_some()).count())?;
            let counts =
                classes.iter().map(|(class, samples)| (class.as_deref().unwrap_or("(none)"), **samples));
            print_classes(&mut out, counts)?;
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

/// Prints the first of some classes and their samples, and how many more there are.
fn print_classes<'a>(
    out: &mut impl Write,
    classes: impl ExactSizeIterator<Item = (&'a str, u64)>,
) -> Result<()> {
    let more = classes.len().saturating_sub(SHOWN);
    for (class, samples) in classes.take(SHOWN) {
        writeln!(out, "  {class:<24} {samples}")?;
    }
    if more > 0 {
        writeln!(out, "  … and {more} more")?;
    }
    Ok(())
}

/// Prints what lies in a folder of pictures.
fn pictures(uri: &str) -> Result<()> {
    let mut look = image::look(uri)?;
    let looked = &look.looked;
    let mut out = stdout().lock();
    writeln!(out, "{} pictures", look.pictures)?;
    if let (Some([low, high]), Some([narrow, wide])) = (looked.heights, looked.widths) {
        writeln!(
            out,
            "{low} to {high} pixels high, {narrow} to {wide} wide, of the {} that were looked at",
            looked.pictures
        )?;
    }
    for (mode, pictures) in &looked.modes {
        writeln!(out, "  {mode:<24} {pictures}")?;
    }
    if let Some(error) = &looked.error {
        writeln!(out, "{} cannot be read; {error}", looked.unreadable)?;
    }
    if !look.left_out.is_empty() {
        writeln!(out, "left out: {}", look.left_out)?;
    }
    match look.classes.len() {
        0 => writeln!(out, "no class folders")?,
        classes => {
            writeln!(out, "{classes} classes:")?;
            look.classes.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
            print_classes(&mut out, look.classes.iter().map(|(name, pictures)| (name.as_str(), *pictures)))?;
        }
    }
    Ok(())
}
