//! `bonfire data preview`: a page of samples as training sees them.

use crate::page::{self, escaped, picture};
use anyhow::{Context, Result};
use bonfire_checkpoint::write_atomically;
use bonfire_contract::{AnyInput, Batch, Loader, Position, Target};
use bonfire_datasets::image::{self, Preview};
use bonfire_datasets::table::{self, TableSchema, TableTarget};
use bonfire_datasets::text::{self, BagSet, TextSchema};
use bonfire_datasets::{Dataset, Pipeline};
use bonfire_recipe::{DataConfig, Recipe};
use burn::tensor::{Int, Tensor};
use clap::Args;
use std::fmt::{Display, Write};
use std::path::PathBuf;

/// Columns of a table that are shown.
const COLUMNS: usize = 80;

/// Tokens of a text that are shown.
const TOKENS: usize = 200;

#[derive(Args, Debug)]
pub struct PreviewArguments {
    /// Pictures, rows or texts, as `data.train` of the recipe, which they take the place of.
    uri: Option<String>,
    /// The recipe whose transforms are shown: a TOML file or a built-in name.
    #[arg(long)]
    recipe: String,
    /// Overrides a key of the recipe, as in `--set data.rand_augment.magnitude=15`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// The page to write.
    #[arg(short, long, default_value = "preview.html")]
    output: PathBuf,
    /// Samples to show, evenly out of the whole set.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(1..=1000))]
    samples: u64,
    /// Epochs of each picture to show.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=100))]
    epochs: u64,
}

/// Writes the page.
pub fn preview(arguments: &PreviewArguments) -> Result<()> {
    let mut document = bonfire_recipe::read(&arguments.recipe)?;
    if let Some(uri) = &arguments.uri {
        document.set(&format!("data.train={}", serde_json::to_string(uri)?))?;
    }
    for assignment in &arguments.sets {
        document.set(assignment)?;
    }
    let notices: bonfire_run::Notices = std::rc::Rc::new(|line| eprintln!("{line}"));
    bonfire_run::anchor(&mut document, Some(&arguments.recipe), &notices)?;
    let recipe = Recipe::resolve(&document)?;
    let most = arguments.samples;
    let (page, told) = match &recipe.data {
        DataConfig::Image(config) => {
            let opened = image::open(config, recipe.seed)?;
            let (set, schema) = (opened.train.dataset(), &opened.schema);
            let shown = most.min(set.len());
            let samples = (0..shown).map(|number| {
                let index = number * set.len() / shown;
                Ok((index, image::preview(set, schema, recipe.seed, index, arguments.epochs)?))
            });
            let page = page(&recipe.name, &samples.collect::<Result<Vec<_>>>()?);
            (page, format!("{shown} samples in {} epochs", arguments.epochs))
        }
        DataConfig::Table(config) => {
            let opened = table::open(config, recipe.seed)?;
            let batch = first_batch(&opened.train, most)?;
            let told = format!("{} rows", batch.samples.len());
            (table_page(&recipe.name, &opened.schema, &batch), told)
        }
        DataConfig::Text(config) => {
            let opened = text::open(config, recipe.seed)?;
            let schema = &opened.schema;
            let texts = match schema.weigher() {
                Some(weigher) => {
                    Texts::of(first_batch(&BagSet::of(opened.train, weigher), most)?, AnyInput::Bags)
                }
                None => Texts::of(first_batch(&opened.train, most)?, AnyInput::Tokens),
            };
            let told = format!("{} texts", texts.samples.len());
            (text_page(&recipe.name, schema, texts), told)
        }
    };
    write_atomically(&arguments.output, page.as_bytes())
        .with_context(|| format!("{}: expected a place to write to", arguments.output.display()))?;
    println!("{told}: {}", arguments.output.display());
    Ok(())
}

/// The first samples that training takes.
fn first_batch<D: Dataset>(pipeline: &Pipeline<D>, most: u64) -> Result<Batch<D::Input>> {
    let most = usize::try_from(most.min(Dataset::len(pipeline.dataset())))?;
    let device = bonfire_device::first()?;
    let mut batches = Loader::<D::Input>::batches(pipeline, Position::default(), most, &device);
    match batches.next() {
        Some(batch) => Ok(batch?),
        None => anyhow::bail!("expected at least one sample to train on, found none"),
    }
}

/// The numbers of a tensor of whole ones.
fn whole<const D: usize>(tensor: Tensor<D, Int>) -> Vec<i64> {
    tensor.into_data().iter::<i64>().collect()
}

/// The numbers of a tensor.
fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The target of each sample, in words: a label, or a value in its own unit.
fn targets(target: &Target, labels: &[String], scale: Option<(f64, f64)>) -> Vec<String> {
    match target {
        Target::Classes(classes) => {
            let name = |class: i64| labels.get(class as usize).cloned().unwrap_or_else(|| class.to_string());
            whole(classes.clone()).into_iter().map(name).collect()
        }
        Target::Values(values) => {
            let (mean, std) = scale.unwrap_or((0.0, 1.0));
            numbers(values.clone())
                .into_iter()
                .map(|value| (f64::from(value) * std + mean).to_string())
                .collect()
        }
        _ => Vec::new(),
    }
}

fn table_page(name: &str, schema: &TableSchema, batch: &Batch<bonfire_contract::Table>) -> String {
    let mut names = schema.numeric_names();
    let [rows, numeric] = batch.input.numeric.dims();
    let [_, indexed] = batch.input.categories.dims();
    let of_indices = schema.columns.iter().filter(|column| !column.categories().is_empty()).take(indexed);
    names.extend(of_indices.map(|column| column.name.clone()));
    let (values, indices) = (numbers(batch.input.numeric.clone()), whole(batch.input.categories.clone()));
    let scale = match &schema.target {
        TableTarget::Value { mean, std, .. } => Some((*mean, *std)),
        TableTarget::Classes { .. } => None,
    };
    let targets = targets(&batch.target, schema.labels(), scale);
    let mut page = page::begin(&format!("{name}: rows as training sees them"));
    let _ = writeln!(page, "<pre>{}</pre>", escaped(&schema.to_string()));
    if names.len() > COLUMNS {
        let _ = writeln!(page, "<p>The first {COLUMNS} of {} columns.</p>", names.len());
    }
    page += "<table>\n<tr><th>row</th>";
    header(&mut page, schema.target.name());
    names.iter().take(COLUMNS).for_each(|name| header(&mut page, name));
    page += "</tr>\n";
    for row in 0..rows {
        let _ = write!(page, "<tr><th>{}</th>", batch.samples[row]);
        cell(&mut page, targets.get(row).map_or("", String::as_str));
        let of_row = values[row * numeric..(row + 1) * numeric].iter().map(|value| format!("{value:.4}"));
        let indices = indices[row * indexed..(row + 1) * indexed].iter().map(i64::to_string);
        of_row.chain(indices).take(COLUMNS).for_each(|text| cell(&mut page, text));
        page += "</tr>\n";
    }
    page + "</table>\n</html>\n"
}

/// Some texts, whatever model they are for.
struct Texts {
    input: AnyInput,
    target: Target,
    samples: Vec<u64>,
}

impl Texts {
    fn of<I>(batch: Batch<I>, wrap: fn(I) -> AnyInput) -> Self {
        Texts { input: wrap(batch.input), target: batch.target, samples: batch.samples }
    }
}

fn text_page(name: &str, schema: &TextSchema, batch: Texts) -> String {
    let targets = targets(&batch.target, schema.labels(), schema.value);
    let texts: Vec<Vec<String>> = match batch.input {
        AnyInput::Tokens(input) => {
            let [_, width] = input.tokens.dims();
            let padding: Vec<bool> = input.padding.into_data().iter::<bool>().collect();
            let tokens = whole(input.tokens);
            let text = |(tokens, padding): (&[i64], &[bool])| {
                let kept = tokens.iter().zip(padding).filter(|(_, padding)| !**padding);
                kept.take(TOKENS).map(|(token, _)| schema.decode(&[*token as u32])).collect()
            };
            tokens.chunks(width.max(1)).zip(padding.chunks(width.max(1))).map(text).collect()
        }
        AnyInput::Bags(input) => {
            let [_, width] = input.features.dims();
            let (features, weights) = (whole(input.features), numbers(input.weights));
            let symbols = schema.tokenizer.symbols();
            let text = |(features, weights): (&[i64], &[f32])| {
                let mut bag: Vec<(f32, i64)> =
                    weights.iter().copied().zip(features.iter().copied()).collect();
                bag.sort_by(|a, b| b.0.total_cmp(&a.0));
                let named = |(weight, feature): (f32, i64)| match symbols.get(feature as usize) {
                    Some(symbol) => format!("{symbol} {weight:.2}"),
                    None => format!("bucket {feature} {weight:.2}"),
                };
                bag.into_iter().filter(|(weight, _)| *weight > 0.0).take(TOKENS).map(named).collect()
            };
            features.chunks(width.max(1)).zip(weights.chunks(width.max(1))).map(text).collect()
        }
        AnyInput::Images(_) | AnyInput::Table(_) => Vec::new(),
    };
    let mut page = page::begin(&format!("{name}: texts as training sees them"));
    page += "<style>span { border: 1px solid #bbb; border-radius: 3px; padding: 0 2px; margin: 1px; display: \
             inline-block }</style>\n";
    page += "<table>\n";
    for (at, tokens) in texts.iter().enumerate() {
        let target = targets.get(at).map_or("", String::as_str);
        let _ = write!(page, "<tr><th>{}<br>{}</th><td>", batch.samples[at], escaped(target));
        tokens.iter().for_each(|token| {
            let _ = write!(page, "<span>{}</span> ", escaped(token));
        });
        page += "</td></tr>\n";
    }
    page + "</table>\n</html>\n"
}

fn header(page: &mut String, name: &str) {
    let _ = write!(page, "<th>{}</th>", escaped(name));
}

fn cell(page: &mut String, text: impl Display) {
    let _ = write!(page, "<td class=\"number\">{}</td>", escaped(&text.to_string()));
}

fn page(name: &str, samples: &[(u64, Preview)]) -> String {
    let mut page = page::begin(&format!("{name}: pictures as training sees them"));
    page += "<p>A row is a sample of the training set, a column an epoch.</p>\n<table>\n";
    for (index, Preview { class, pictures }) in samples {
        let class = class.as_deref().unwrap_or_default();
        let _ = write!(page, "<tr><th>{index}<br>{}</th><td>", escaped(class));
        for png in pictures {
            page += &picture(class, png);
        }
        page += "</td></tr>\n";
    }
    page + "</table>\n</html>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_and_pictures_are_embedded() {
        let sample = Preview { class: Some("<b>\"cat\"".into()), pictures: vec![vec![1, 2, 3]; 2] };
        let page = page("a & b", &[(7, sample)]);
        assert!(
            page.contains("a &amp; b") && page.contains("&lt;b&gt;&quot;cat&quot;") && !page.contains("<b>")
        );
        assert_eq!(page.matches("src=\"data:image/png;base64,AQID\"").count(), 2);
    }
}
