//! `bonfire init`: a recipe for a folder of data, to begin with.

use crate::args::InitArguments;
use anyhow::{Context, Result, bail};
use bonfire_checkpoint::write_atomically;
use bonfire_datasets::records::{PICTURE_ENDINGS, is_set_aside};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Files that are looked at to tell what a folder holds.
const LOOKS: usize = 100_000;

/// Pictures of these and fewer pixels a side are small ones, as CIFAR's.
const SMALL: usize = 64;

/// The data of a folder.
#[derive(Debug, PartialEq)]
enum Found {
    /// Class folders: how many, the pictures in them, and the shorter side of one of them.
    Pictures { classes: usize, pictures: usize, side: usize },
    /// Tar shards, as a pattern.
    Shards(String),
    /// A table of rows, and its columns.
    Table { file: PathBuf, columns: Vec<String> },
    /// Plain text.
    Text(PathBuf),
}

/// Writes the recipe and says how to use it.
pub fn init(arguments: &InitArguments) -> Result<()> {
    let found = look(&arguments.folder)?;
    let pretrained = arguments.pretrained.as_deref();
    if let (Some(_), false) = (pretrained, takes_pretrained(&found)) {
        bail!(
            "--pretrained: expected pictures of more than {SMALL} pixels a side, or tar shards, found {}",
            about(&found)
        );
    }
    let recipe = recipe(&arguments.folder, &found, pretrained);
    if arguments.output.exists() {
        bail!("{}: expected no file here, found one; --output names another", arguments.output.display());
    }
    write_atomically(&arguments.output, recipe.as_bytes())
        .with_context(|| format!("{}: expected a place to write to", arguments.output.display()))?;
    let output = arguments.output.display();
    println!("{output}: {}", about(&found));
    println!("bonfire train {output}");
    Ok(())
}

fn ending(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    name.rsplit('.').next().unwrap_or_default().to_string()
}

/// Files below a folder by their ending, sorted, and no more than are looked at; none that no data set means.
fn files(root: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let (mut found, mut left, mut folders) = (BTreeMap::new(), LOOKS, vec![root.to_path_buf()]);
    let is_aside = |path: &Path| {
        let below = path.strip_prefix(root).unwrap_or(path);
        is_set_aside(&below.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/"))
    };
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("{}: expected a folder of data", folder.display()))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            if path.is_dir() {
                folders.push(path);
            } else if left > 0 && !is_aside(&path) {
                left -= 1;
                found.entry(ending(&path)).or_insert_with(Vec::new).push(path);
            }
        }
    }
    Ok(found)
}

fn look(folder: &Path) -> Result<Found> {
    let found = files(folder)?;
    let first = |ending: &str| found.get(ending).and_then(|files| files.first()).cloned();
    if first("tar").is_some() {
        return Ok(Found::Shards(folder.join("*.tar").display().to_string()));
    }
    let pictures: Vec<&PathBuf> =
        PICTURE_ENDINGS.iter().filter_map(|ending| found.get(*ending)).flatten().collect();
    if let Some(picture) = pictures.first() {
        let class = |picture: &&PathBuf| {
            let mut below = picture.strip_prefix(folder).ok()?.components();
            below.next().filter(|_| below.next().is_some()).map(|first| first.as_os_str().to_owned())
        };
        let classes = pictures.iter().filter_map(class).collect::<BTreeSet<_>>().len();
        if classes < 2 {
            bail!("{}: expected a folder for each class of pictures, found {classes}", folder.display());
        }
        let side = bonfire_datasets::image::size_of(&picture.display().to_string())?.into_iter().min();
        return Ok(Found::Pictures { classes, pictures: pictures.len(), side: side.unwrap_or(0) });
    }
    if let Some(file) = first("csv") {
        let text = bonfire_datasets::source::read_unpacked(&file.display().to_string())?;
        let head = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let head = String::from_utf8_lossy(head);
        let columns = head.trim().split(',').map(|name| name.trim_matches('"').to_string()).collect();
        return Ok(Found::Table { file, columns });
    }
    match first("txt") {
        Some(file) => Ok(Found::Text(file)),
        None => bail!(
            "{}: expected class folders of pictures, tar shards, a CSV table or texts, found none",
            folder.display()
        ),
    }
}

fn about(found: &Found) -> String {
    match found {
        Found::Pictures { classes, pictures, side } => {
            format!("{pictures} pictures of {classes} classes, about {side} pixels a side")
        }
        Found::Shards(pattern) => format!("pictures in shards, {pattern}"),
        Found::Table { columns, .. } => {
            format!("a table of {} columns; data.target is a guess: the last one", columns.len())
        }
        Found::Text(file) => format!("a language model of {}", file.display()),
    }
}

/// True where the recipe is of a model that others have published weights for.
fn takes_pretrained(found: &Found) -> bool {
    match found {
        Found::Pictures { side, .. } => *side > SMALL,
        Found::Shards(_) => true,
        Found::Table { .. } | Found::Text(_) => false,
    }
}

/// The recipe as text. Strings are quoted as TOML's basic ones, which JSON's are.
fn recipe(folder: &Path, found: &Found, pretrained: Option<&str>) -> String {
    let quoted = |text: &str| serde_json::to_string(text).expect("text is JSON");
    let name = folder.file_name().map_or("run".into(), |name| name.to_string_lossy().to_string());
    let mut text = format!("name = {}\n\n[data]\n", quoted(&name));
    let mut add = |lines: &str| {
        let _ = writeln!(text, "{lines}");
    };
    const NORMALISED: &str = "mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\nworkers = 2";
    match found {
        Found::Pictures { side, pictures, .. } if *side <= SMALL => {
            add(&format!("kind = \"image\"\ntrain = {}", quoted(&folder.display().to_string())));
            add(&format!(
                "valid_fraction = 0.1\nresize = [32, 32]\nrandom_crop = 4\nflip = true\n{NORMALISED}"
            ));
            add("\n[model]\nname = \"resnet9\"\n\n[loss]\nlabel_smoothing = 0.1");
            add(&format!(
                "\n[train]\nepochs = {}\nbatch_size = 128",
                if *pictures > 20_000 { 24 } else { 60 }
            ));
            add("\n[optimizer]\nname = \"sgd\"\nlearning_rate = 0.1\nmomentum = 0.9\nnesterov = true");
            add("weight_decay = 0.0005\n\n[schedule]\nname = \"one_cycle\"");
        }
        Found::Pictures { .. } | Found::Shards(_) => {
            let (train, held_out) = match found {
                Found::Shards(pattern) => (pattern.clone(), ""),
                _ => (folder.display().to_string(), "valid_fraction = 0.1\n"),
            };
            add(&format!("kind = \"image\"\ntrain = {}\n{held_out}resize = 256", quoted(&train)));
            add("center_crop = [224, 224]\nrandom_resized_crop = 0.35\nflip = true");
            add(&format!("{NORMALISED}\n\n[model]\nname = \"resnet18\"\n\n[loss]\nlabel_smoothing = 0.1"));
            if let Some(file) = pretrained {
                add(&format!(
                    "\n[finetune]\npretrained = {}\nlayer_rates = [[\"head*\", 10.0]]",
                    quoted(file)
                ));
            }
            let (epochs, rate) = if pretrained.is_some() { (10, 0.0001) } else { (50, 0.001) };
            add(&format!("\n[train]\nepochs = {epochs}\nbatch_size = 32\n\n[optimizer]\nname = \"adamw\""));
            add(&format!("learning_rate = {rate}\nweight_decay = 0.05\n\n[schedule]\nname = \"one_cycle\""));
        }
        Found::Table { file, columns } => {
            let target = columns.last().map_or("target", String::as_str);
            add(&format!("kind = \"table\"\ntrain = {}", quoted(&file.display().to_string())));
            add(&format!("target = {}\ntest_fraction = 0.2\n\n[model]\nname = \"mlp\"", quoted(target)));
            add("\n[train]\nepochs = 10\nbatch_size = 128");
        }
        Found::Text(file) => {
            add(&format!(
                "kind = \"text\"\ntask = \"language_model\"\ntrain = {}",
                quoted(&file.display().to_string())
            ));
            add("valid_fraction = 0.1\n\n[model]\nname = \"gpt\"\n\n[train]\nsteps = 2000\nbatch_size = 32");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_recipe::{Document, Recipe};

    #[test]
    fn every_kind_of_folder_gets_a_recipe_that_resolves() {
        let folder = Path::new("some/\"folder\"");
        let kinds = [
            Found::Pictures { classes: 3, pictures: 900, side: 32 },
            Found::Pictures { classes: 3, pictures: 900, side: 480 },
            Found::Shards("x/*.tar".into()),
            Found::Table { file: "x/rows.csv".into(), columns: vec!["a".into(), "price".into()] },
            Found::Text("x/plays.txt".into()),
        ];
        for found in kinds {
            for pretrained in [None, Some("resnet18.pth")] {
                let text = recipe(folder, &found, pretrained);
                let document = Document::parse("x.toml", &text).unwrap();
                let recipe = Recipe::resolve(&document).unwrap_or_else(|error| panic!("{error}\n{text}"));
                recipe.fit().check().unwrap();
                // What is asked for is in the recipe, or was refused.
                let taken = recipe.finetune.pretrained.as_deref() == pretrained;
                assert!(taken || !takes_pretrained(&found), "{text}");
            }
        }
    }

    #[test]
    fn weights_to_begin_with_are_refused_where_no_recipe_has_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rows.csv"), "a,price\n1,2\n").unwrap();
        let output = folder.path().join("recipe.toml");
        let arguments = InitArguments {
            folder: folder.path().to_path_buf(),
            pretrained: Some("resnet18.pth".into()),
            output: output.clone(),
        };
        let error = init(&arguments).unwrap_err().to_string();
        assert!(error.starts_with("--pretrained: expected pictures of more than 64 pixels"), "{error}");
        assert!(error.contains("found a table of 2 columns") && !output.exists(), "{error}");
    }

    #[test]
    fn a_folder_is_told_by_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let error = look(folder.path()).unwrap_err().to_string();
        assert!(error.contains("expected class folders"), "{error}");
        std::fs::write(folder.path().join("rows.csv"), "a,\"b c\",price\n1,2,3\n").unwrap();
        let Found::Table { columns, .. } = look(folder.path()).unwrap() else { panic!("a table") };
        assert_eq!(columns, ["a", "b c", "price"]);
        std::fs::write(folder.path().join("x-0.tar"), "").unwrap();
        assert!(matches!(look(folder.path()).unwrap(), Found::Shards(_)));
    }
}
