//! `bonfire init`: a recipe for data, to begin with.

use crate::args::InitArguments;
use crate::look;
use anyhow::{Context, Result, bail};
use bonfire_checkpoint::write_atomically;
use bonfire_datasets::look as data;
use bonfire_recipe::propose::{Asked, propose};
use std::io::{Write, stdout};
use std::path::{Path, absolute};

/// Looks at the data, writes the recipe, and says what was guessed.
pub fn init(arguments: &InitArguments) -> Result<()> {
    let output = &arguments.output;
    if output.exists() {
        bail!("{}: expected no file here, found one; --output names another", output.display());
    }
    if let Some(folder) = output.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    {
        bail!(
            "{}: expected --output in a folder that is there, found none at {}",
            output.display(),
            folder.display()
        );
    }
    let uri = readable_from(output, &arguments.data)?;
    let found = data::look(&uri)?;
    let asked = Asked {
        name: name(&arguments.data),
        target: arguments.target.clone(),
        test: arguments.test.as_ref().map(|test| readable_from(output, test)).transpose()?,
        pretrained: match &arguments.pretrained {
            Some(file) => Some(bonfire_run::identify(&readable_from(output, file)?)?),
            None => None,
        },
    };
    let proposal = propose(&found, &asked)?;
    if let Some(pretrained) = &asked.pretrained {
        let (name, size) = (&pretrained.architecture, pretrained.size);
        println!("pretrained: {name}, by its tensors, for pictures of {size} pixels a side");
    }
    let mut out = stdout().lock();
    if arguments.explain {
        look::write(&found, &mut out)?;
        writeln!(out)?;
    }
    for line in &proposal.told {
        writeln!(out, "{line}")?;
    }
    write_atomically(output, proposal.recipe.as_bytes())
        .with_context(|| format!("{}: expected a place to write to", output.display()))?;
    if arguments.explain {
        writeln!(out, "\n{}", proposal.recipe)?;
    }
    let output = output.display();
    writeln!(out, "{output}: every line says why it stands there\nbonfire train {output}")?;
    Ok(())
}

/// A URI that names the same from the recipe's folder: paths stay as they were typed where the recipe is written
/// to the working directory, and are absolute elsewhere.
fn readable_from(output: &Path, uri: &str) -> Result<String> {
    let beside =
        output.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder == Path::new("."));
    let is_plain = !uri.contains("://") && !uri.starts_with("builtin:");
    if beside || !is_plain || Path::new(uri).is_absolute() {
        return Ok(uri.to_string());
    }
    Ok(absolute(uri).with_context(|| format!("{uri}: expected a path"))?.display().to_string())
}

/// The name of a recipe for data: the last part of their URI, without endings and patterns.
fn name(uri: &str) -> String {
    let last = uri.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default();
    let last = if matches!(last, "" | "." | "..") { "run" } else { last };
    let stem = last.split('.').find(|part| !part.is_empty()).unwrap_or("run");
    let name: String =
        stem.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "run".to_string() } else { name.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_named_after_its_data() {
        for (uri, expected) in [
            ("data/Adult Census.csv.gz", "Adult-Census"),
            ("photos/", "photos"),
            ("s3://bucket/rows-*.parquet", "rows"),
            ("builtin:diamonds.csv.gz", "diamonds"),
            (".", "run"),
            ("x/{0..9}.tar", "0"),
        ] {
            assert_eq!(name(uri), expected, "{uri}");
        }
    }

    #[test]
    fn paths_are_absolute_where_the_recipe_lies_elsewhere() {
        assert_eq!(readable_from(Path::new("r.toml"), "rows.csv").unwrap(), "rows.csv");
        assert_eq!(readable_from(Path::new("x/r.toml"), "s3://b/rows.csv").unwrap(), "s3://b/rows.csv");
        assert!(Path::new(&readable_from(Path::new("x/r.toml"), "rows.csv").unwrap()).is_absolute());
    }

    /// Runs `init`; the recipe that it wrote, or its error.
    fn init_for(folder: &Path, data: &str, target: Option<&str>) -> Result<String> {
        let output = folder.join("recipe.toml");
        let _ = std::fs::remove_file(&output);
        init(&InitArguments {
            data: folder.join(data).display().to_string(),
            target: target.map(str::to_string),
            test: None,
            pretrained: None,
            explain: true,
            output: output.clone(),
        })?;
        Ok(std::fs::read_to_string(output)?)
    }

    fn message(result: Result<String>) -> String {
        format!("{:#}", result.expect_err("a refusal"))
    }

    #[test]
    fn the_last_column_is_no_guess_and_candidates_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let rows: String =
            (0..60).map(|row| format!("{},{},{}\n", row % 7, ["a", "b"][row % 2], row * 3 % 50)).collect();
        std::fs::write(folder.path().join("rows.csv"), format!("x,kind,z\n{rows}")).unwrap();
        let error = message(init_for(folder.path(), "rows.csv", None));
        assert!(
            error.contains("expected --target COLUMN") && error.contains("`kind` (2 classes)"),
            "{error}"
        );
        let recipe = init_for(folder.path(), "rows.csv", Some("kind")).unwrap();
        assert!(recipe.contains("target = \"kind\"") && recipe.contains("kind = \"table\""), "{recipe}");
        let error = message(init_for(folder.path(), "rows.csv", Some("knid")));
        assert!(error.contains("`knid`") && error.contains("kind"), "{error}");
    }

    #[test]
    fn identifiers_and_leaks_are_left_out_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let row = |row: usize| {
            let class = usize::from(row * 7 % 10 < 3);
            format!("{row},{},{},{}\n", (row * 13) % 17, ["calm", "late"][class], class)
        };
        let rows: String = (0..80).map(row).collect();
        std::fs::write(folder.path().join("rows.csv"), format!("id,x,copy,label\n{rows}")).unwrap();
        let recipe = init_for(folder.path(), "rows.csv", None).unwrap();
        assert!(recipe.contains("ignore = [\"id\",\"copy\"]"), "{recipe}");
        assert!(recipe.contains("id: an identifier") && recipe.contains("copy: `label` follows"), "{recipe}");
    }

    #[test]
    fn texts_and_tables_of_several_files_get_a_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            |row: usize| format!("this is message number {row} of many words,{}\n", ["ham", "spam"][row % 2]);
        let rows: String = (0..60).map(text).collect();
        std::fs::write(folder.path().join("train.csv"), format!("message,label\n{rows}")).unwrap();
        std::fs::write(folder.path().join("test.csv"), format!("message,label\n{rows}")).unwrap();
        let recipe = init_for(folder.path(), "", None).unwrap();
        assert!(
            recipe.contains("kind = \"text\"") && recipe.contains("text_column = \"message\""),
            "{recipe}"
        );
        assert!(recipe.contains("train.csv\"") && recipe.contains("test = \""), "{recipe}");
        std::fs::create_dir(folder.path().join("two")).unwrap();
        std::fs::write(folder.path().join("two/one.csv"), "x,y\n1,2\n").unwrap();
        std::fs::write(folder.path().join("two/other.csv"), "a,b\n1,2\n").unwrap();
        let error = message(init_for(folder.path(), "two", None));
        assert!(error.contains("name the one that is meant") && error.contains("other.csv"), "{error}");
    }
}
