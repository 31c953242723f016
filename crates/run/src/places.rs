//! The paths of a recipe: from the folder that they start at, to where they are.
//!
//! ```text
//! recipe file:  train = "x.csv"            the recipe's folder
//! --set data.train=x.csv                   the working folder     ─> absolute, as the run folder keeps it
//! built-in recipe                          the working folder
//! ```

use crate::{Notices, RunError};
use bonfire_datasets::source::is_there;
use bonfire_recipe::paths::{PATHS, below, is_relative};
use bonfire_recipe::{DataConfig, Document};
use std::path::{Path, PathBuf};

/// Makes the relative paths of a recipe absolute. `recipe` is the file or the built-in name that the document
/// was read from; none for the recipe that a run keeps, whose paths stay as they are but for those of `--set`.
///
/// A path that is not beside the recipe, but in the working folder, is taken from there; that, and that both are
/// there, is told to `notices`.
///
/// # Errors
/// When the folder of the recipe or the working folder is gone.
pub fn anchor(document: &mut Document, recipe: Option<&str>, notices: &Notices) -> Result<(), RunError> {
    let here = std::env::current_dir().map_err(RunError::io(Path::new(".")))?;
    let folder = recipe.map(bonfire_recipe::folder).transpose()?.map(|folder| folder.unwrap_or(here.clone()));
    for key in PATHS {
        let Some(path) = document.text(key).filter(|path| is_relative(path)).map(String::from) else {
            continue;
        };
        let typed = below(&here, &path);
        let place = match &folder {
            _ if document.is_argument(key) => typed,
            None => continue,
            Some(folder) => beside(document, key, below(folder, &path), typed, notices),
        };
        if let Ok(place) = place.into_os_string().into_string() {
            document.replace_text(key, place);
        }
    }
    Ok(())
}

/// The place of a key's path: `meant` beside the recipe, or else in the working folder.
fn beside(document: &Document, key: &str, meant: PathBuf, typed: PathBuf, notices: &Notices) -> PathBuf {
    if meant == typed {
        return meant;
    }
    let is_there = |path: &Path| path.to_str().is_some_and(is_there);
    let (shown, other) = (meant.display(), typed.display());
    match (is_there(&meant), is_there(&typed)) {
        (false, true) => {
            notices(&format!(
                "warning: {}: {key}: nothing is beside the recipe, at {shown}: taken from the working folder, {other}",
                document.place(key)
            ));
            typed
        }
        (true, true) if meant.canonicalize().ok() != typed.canonicalize().ok() => {
            notices(&format!(
                "warning: {}: {key}: taken from beside the recipe, {shown}, and not from the working folder, where \
                 there is {other}, too",
                document.place(key)
            ));
            meant
        }
        _ => meant,
    }
}

/// A path below the working folder as a person there calls it; any other as it is.
pub(crate) fn path_from_here(path: &str) -> String {
    let here = std::env::current_dir();
    let below = here.as_ref().ok().and_then(|here| Path::new(path).strip_prefix(here).ok()?.to_str());
    below.filter(|below| is_relative(below)).unwrap_or(path).to_string()
}

/// The data with those paths relative that lie below the working folder.
pub(crate) fn seen_from_here(data: &DataConfig) -> DataConfig {
    let mut data = data.clone();
    let paths: Vec<Option<&mut String>> = match &mut data {
        DataConfig::Image(config) => {
            let [labels, folder] = [config.labels.as_mut(), config.folder.as_mut()];
            vec![Some(&mut config.train), config.valid.as_mut(), config.test.as_mut(), labels, folder]
        }
        DataConfig::Text(config) => {
            vec![Some(&mut config.train), config.valid.as_mut(), config.test.as_mut()]
        }
        DataConfig::Table(config) => {
            vec![Some(&mut config.train), config.valid.as_mut(), config.test.as_mut()]
        }
    };
    paths.into_iter().flatten().for_each(|path| *path = path_from_here(path));
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// A recipe file with a key each for a path, anchored; and what was told.
    fn anchored(folder: &Path, paths: &[(&str, &str)], sets: &[&str]) -> (Document, Vec<String>) {
        let recipe = folder.join("r.toml");
        let keys: String = paths.iter().map(|(key, path)| format!("{key} = '{path}'\n")).collect();
        let text = format!("[data]\n{keys}");
        std::fs::write(&recipe, &text).unwrap();
        let mut document = Document::parse("r.toml", &text).unwrap();
        sets.iter().for_each(|set| document.set(set).unwrap());
        let told = Rc::new(RefCell::new(Vec::new()));
        let notices: Notices = Rc::new({
            let told = told.clone();
            move |line: &str| told.borrow_mut().push(line.to_string())
        });
        anchor(&mut document, Some(recipe.to_str().unwrap()), &notices).unwrap();
        (document, told.take())
    }

    #[test]
    fn paths_start_at_the_recipe_and_those_of_arguments_at_the_working_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("recipes")).unwrap();
        std::fs::write(root.join("x.csv"), "a\n").unwrap();
        let here = std::env::current_dir().unwrap();
        let keys = [("train", "../x.csv"), ("valid", "builtin:sms-spam.csv.gz"), ("test", "s3://b/x")];
        let (document, told) = anchored(&root.join("recipes"), &keys, &["data.labels=y.csv"]);
        assert!(told.is_empty(), "{told:?}");
        let text = |key: &str| document.text(key).unwrap().to_string();
        assert_eq!(Path::new(&text("data.train")), root.join("x.csv"));
        assert_eq!(Path::new(&text("data.labels")), here.join("y.csv"));
        assert_eq!(
            (text("data.valid").as_str(), text("data.test").as_str()),
            ("builtin:sms-spam.csv.gz", "s3://b/x")
        );
    }

    #[test]
    fn what_is_in_the_working_folder_alone_is_taken_and_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let here = std::env::current_dir().unwrap();
        // Tests run in the folder of their package.
        let (document, told) = anchored(&root, &[("train", "Cargo.toml"), ("test", "src/plac*.rs")], &[]);
        assert_eq!(Path::new(document.text("data.train").unwrap()), here.join("Cargo.toml"));
        assert_eq!(Path::new(document.text("data.test").unwrap()), here.join("src/plac*.rs"));
        assert!(
            told.len() == 2 && told[0].contains("r.toml:2: data.train: nothing is beside the recipe"),
            "{told:?}"
        );
        std::fs::write(root.join("Cargo.toml"), "").unwrap();
        let (document, told) = anchored(&root, &[("train", "Cargo.toml"), ("test", "gone.csv")], &[]);
        assert_eq!(Path::new(document.text("data.train").unwrap()), root.join("Cargo.toml"));
        assert_eq!(Path::new(document.text("data.test").unwrap()), root.join("gone.csv"));
        assert!(told.len() == 1 && told[0].contains("taken from beside the recipe"), "{told:?}");
    }

    #[test]
    fn a_path_below_the_working_folder_is_shown_from_there() {
        let config = |train: String| {
            DataConfig::Table(bonfire_datasets::table::TableConfig { train, ..Default::default() })
        };
        let here = std::env::current_dir().unwrap().display().to_string();
        assert_eq!(seen_from_here(&config(format!("{here}/d/x-*.csv"))), config("d/x-*.csv".into()));
        for elsewhere in [here.clone(), "/x.csv".into(), "s3://b/x".into(), format!("{here}-2/x")] {
            assert_eq!(seen_from_here(&config(elsewhere.clone())), config(elsewhere));
        }
    }
}
