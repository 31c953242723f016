//! `bonfire init`: a recipe for data, to begin with.

use crate::args::InitArguments;
use crate::look;
use anyhow::{Context, Result, bail};
use bonfire_checkpoint::write_atomically;
use bonfire_datasets::look as data;
use bonfire_recipe::RecipeError;
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
    // What was chosen on the way may be the reason for a refusal.
    let refused = |_: &RecipeError| found.notes.iter().for_each(|note| eprintln!("{note}"));
    let proposal = propose(&found, &asked).inspect_err(refused)?;
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

    /// A picture of one black pixel.
    fn picture(folder: &Path, name: &str) {
        const PNG: [u8; 67] = [
            0x89, b'P', b'N', b'G', 13, 10, 26, 10, 0, 0, 0, 13, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0, 0,
            1, 8, 0, 0, 0, 0, 0x3a, 0x7e, 0x9b, 0x55, 0, 0, 0, 10, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63,
            0x60, 0, 0, 0, 2, 0, 1, 0x48, 0xaf, 0xa4, 0x71, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42,
            0x60, 0x82,
        ];
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, PNG).unwrap();
    }

    /// A table of 30 rows, each with the name of a picture that is there.
    fn listed(folder: &Path, header: &str, answer: impl Fn(usize) -> String) {
        let row = |row: usize| {
            picture(folder, &format!("images/{row}.png"));
            format!("{row}.png,{}\n", answer(row))
        };
        let rows: String = (0..30).map(row).collect();
        std::fs::write(folder.join("labels.csv"), format!("{header}\n{rows}")).unwrap();
    }

    #[test]
    fn a_table_of_pictures_gets_a_recipe_for_pictures() {
        let folder = tempfile::tempdir().unwrap();
        listed(folder.path(), "file,label", |row| ["cat", "dog"][row % 2].to_string());
        let recipe = init_for(folder.path(), "labels.csv", None).unwrap();
        for line in ["kind = \"image\"", "image_column = \"file\"", "label_column = \"label\"", "/images\""] {
            assert!(recipe.contains(line), "{line}\n{recipe}");
        }
        std::fs::remove_file(folder.path().join("images/7.png")).unwrap();
        let recipe = init_for(folder.path(), "labels.csv", None).unwrap();
        assert!(recipe.contains("on_corrupt = \"skip\""), "{recipe}");
        // Rows that say different things of one picture are no labels of it.
        let twice: String =
            (0..30).map(|row| format!("{}.png,{}\n", row % 6, ["cat", "dog"][row % 2])).collect();
        let twice = twice + "0.png,dog\n";
        std::fs::write(folder.path().join("labels.csv"), format!("file,label\n{twice}")).unwrap();
        let error = message(init_for(folder.path(), "labels.csv", None));
        assert!(error.contains("expected one answer for each picture"), "{error}");
    }

    #[test]
    fn several_labels_of_a_picture_are_proposed_as_such() {
        let tags = |row: usize| {
            let tags = ["cat", "dog", "sky"].iter().enumerate().filter(|(bit, _)| (row >> bit) & 1 == 1);
            tags.map(|(_, tag)| *tag).collect::<Vec<_>>().join("|")
        };
        let folder = tempfile::tempdir().unwrap();
        listed(folder.path(), "file,labels", tags);
        let recipe = init_for(folder.path(), "labels.csv", None).unwrap();
        assert!(
            recipe.contains("target = \"labels\"") && recipe.contains("label_separator = \"|\""),
            "{recipe}"
        );
        assert!(!recipe.contains("label_smoothing"), "{recipe}");
        let folder = tempfile::tempdir().unwrap();
        listed(folder.path(), "file,cat,dog", |row| format!("{},{}", row % 2, usize::from(row % 3 == 0)));
        let recipe = init_for(folder.path(), "labels.csv", None).unwrap();
        assert!(recipe.contains("label_columns = [\"cat\",\"dog\"]"), "{recipe}");
    }

    #[test]
    fn marks_and_codes_are_guesses_in_the_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let row = |row: usize| {
            let a = if row.is_multiple_of(6) { "-".to_string() } else { format!("{}.5", row * 7 % 13) };
            let b = if row.is_multiple_of(7) { -999 } else { row as i64 % 4 };
            format!("{a},{b},{:05},{}\n", 120 + row % 5, ["no", "yes"][row / 2 % 2])
        };
        let rows: String = (0..60).map(row).collect();
        std::fs::write(folder.path().join("rows.csv"), format!("a,b,zip,label\n{rows}")).unwrap();
        let recipe = init_for(folder.path(), "rows.csv", None).unwrap();
        assert!(recipe.contains("missing = [\"-\"]") && recipe.contains("10 of `a`"), "{recipe}");
        assert!(recipe.contains("categorical = [\"zip\"]"), "{recipe}");
        assert!(recipe.contains("`b` is -999 in 9 rows") && !recipe.contains("\nignore"), "{recipe}");
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("none/x.toml");
        let error = init(&InitArguments {
            data: folder.path().display().to_string(),
            target: None,
            test: None,
            pretrained: None,
            explain: false,
            output,
        });
        let error = format!("{:#}", error.expect_err("a refusal"));
        assert!(error.contains("expected --output in a folder that is there, found none at"), "{error}");
    }
}
