//! `bonfire data preview`: a page of pictures as training sees them.

use crate::page::{self, escaped, picture};
use anyhow::{Context, Result, bail};
use bonfire_checkpoint::write_atomically;
use bonfire_datasets::Dataset;
use bonfire_datasets::image::{self, Preview};
use bonfire_recipe::{DataConfig, Recipe};
use clap::Args;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(Args, Debug)]
pub struct PreviewArguments {
    /// Pictures: a folder, shards, an IDX file; as `data.train` of a recipe, which it takes the place of.
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
    /// Epochs of each sample to show.
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
    let DataConfig::Image(config) = &recipe.data else {
        bail!("{}: expected a recipe for pictures, found one for {}s", arguments.recipe, recipe.data.kind());
    };
    let opened = image::open(config, recipe.seed)?;
    let (set, schema) = (opened.train.dataset(), &opened.schema);
    let shown = arguments.samples.min(set.len());
    let samples = (0..shown).map(|number| {
        let index = number * set.len() / shown;
        Ok((index, image::preview(set, schema, recipe.seed, index, arguments.epochs)?))
    });
    let page = page(&recipe.name, &samples.collect::<Result<Vec<_>>>()?);
    write_atomically(&arguments.output, page.as_bytes())
        .with_context(|| format!("{}: expected a place to write to", arguments.output.display()))?;
    println!("{} samples in {} epochs: {}", shown, arguments.epochs, arguments.output.display());
    Ok(())
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
