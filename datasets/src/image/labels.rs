//! A table of file names beside pictures, and what it says of each: a class, a value, or any number of labels.
//!
//! ```text
//! file_name,label        d/metadata.csv names d/1.png, of the class "cat"
//! 1.png,cat              (CSV, JSONL; Parquet where the recipe says `image_column` or `folder`)
//! ```

mod classes;
mod names;
mod rows;
mod table;

pub(super) use table::is_table;

use super::gathered::{Classes, Gathered};
use super::place::Place;
use super::{ImageConfig, ImageTarget};
use crate::DataError;
use crate::records::{LeftOut, files};
use classes::{classes, groups, several, without_repeats};
use rows::{Answer, Reader, Row};

/// The pictures that a table names, in its order, with their classes or values as `target` asks for them.
///
/// # Errors
/// When the table cannot be read, a column is not there, a row names no picture or says nothing of it (and is
/// not to be skipped), or two rows say different things of one picture.
pub(super) fn gather(uri: &str, config: &ImageConfig, target: ImageTarget) -> Result<Gathered, DataError> {
    let group = config.held_out().column().map(|(_, column)| column).filter(|_| uri == config.train);
    let mut rows = Reader { config, target, group, rows: Vec::new(), skipped: 0, first_error: None };
    for file in files(uri)? {
        rows.read(&file)?;
    }
    let Reader { rows, skipped, first_error, .. } = rows;
    if let Some(error) = first_error {
        log::warn!("{uri}: {skipped} rows are skipped; {error}");
    }
    let rows = without_repeats(uri, rows)?;
    if rows.is_empty() {
        return Err(DataError::source(uri, "at least one picture", "none"));
    }
    let classes = match target {
        ImageTarget::Input => Classes::None,
        ImageTarget::Labels => several(uri, config, &rows)?,
        ImageTarget::Class => classes(uri, &rows)?,
        ImageTarget::Value => {
            let value = |row: &Row| if let Answer::Value(value) = row.answer { value } else { f64::NAN };
            Classes::Values { uri: uri.to_string(), values: rows.iter().map(value).collect() }
        }
    };
    let groups = groups(&rows);
    let places = rows.into_iter().map(|row| Place::File(row.uri)).collect();
    Ok(Gathered { places, classes, groups, left_out: LeftOut::default() })
}

#[cfg(test)]
mod tests {
    use super::super::place::{Item, Said};
    use super::*;
    use crate::OnCorrupt;
    use crate::records::below;
    use std::fs;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(table: &str, text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["1.png", "2.png", "deep/3.jpg", "4.webp"] {
                let path = folder.path().join("pictures").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            fs::write(folder.path().join("pictures").join(table), text).unwrap();
            Folder(folder)
        }

        fn uri(&self, name: &str) -> String {
            self.0.path().join("pictures").join(name).display().to_string()
        }
    }

    fn gathered(folder: &Folder, table: &str, config: &ImageConfig) -> Result<Gathered, DataError> {
        let config = ImageConfig { train: folder.uri(table), ..config.clone() };
        assert!(is_table(&config.train, &config));
        gather(&config.train, &config, config.target)
    }

    fn names(gathered: &Gathered, folder: &Folder) -> Vec<String> {
        let root = folder.uri("");
        gathered.places.iter().map(|place| below(&root, &place.to_string()).to_string()).collect()
    }

    #[test]
    fn a_table_names_pictures_and_their_classes() {
        let csv = "file_name,label\n1.png,cat\n./2.png,dog\ndeep/3.jpg, cat \n";
        let jsonl = "{\"file_name\": \"1.png\", \"label\": \"cat\"}\n{\"file_name\": \"2.png\", \"label\": \"dog\"}\n\
                     {\"label\": \"cat\", \"file_name\": \"deep/3.jpg\", \"other\": [1]}\n";
        for (table, text) in [("metadata.csv", csv), ("metadata.jsonl", jsonl)] {
            let folder = Folder::new(table, text);
            let found = gathered(&folder, table, &ImageConfig::default()).unwrap();
            assert_eq!(names(&found, &folder), ["1.png", "2.png", "deep/3.jpg"]);
            assert_eq!(found.class_names(), ["cat", "dog"]);
            let items = found.label(&["cat".into(), "dog".into()]).unwrap();
            let classes: Vec<_> = items.iter().map(|item| item.class).collect();
            assert_eq!(classes, [Some(0), Some(1), Some(0)], "{table}");
        }
    }

    #[test]
    fn spellings_of_one_label_are_one_class_and_numbers_that_are_not_whole_none() {
        let folder = Folder::new("t.csv", "id,kind\n1.png,1\n2.png,1.0\n4.webp,2\n");
        let keys = ImageConfig { image_column: Some("id".into()), ..ImageConfig::default() };
        assert_eq!(gathered(&folder, "t.csv", &keys).unwrap().class_names(), ["1", "2"]);
        let folder = Folder::new("t.csv", "image,kind\n1.png,0.25\n2.png,1.0\n");
        let error = gathered(&folder, "t.csv", &ImageConfig::default()).unwrap_err().to_string();
        assert!(
            error.starts_with("data.target: expected \"value\"") && error.ends_with("label 0.25"),
            "{error}"
        );
        let value = ImageConfig { target: ImageTarget::Value, ..ImageConfig::default() };
        let items = gathered(&folder, "t.csv", &value).unwrap().label(&[]).unwrap();
        let values: Vec<f64> = items
            .iter()
            .filter_map(|item| if let Said::Value(value) = item.said { Some(value) } else { None })
            .collect();
        assert_eq!(values, [0.25, 1.0]);
    }

    #[test]
    fn several_labels_are_in_one_cell_or_in_a_column_each() {
        let labels = ImageConfig { target: ImageTarget::Labels, ..ImageConfig::default() };
        let sets = |text: &str, config: &ImageConfig| {
            let folder = Folder::new("t.csv", text);
            let found = gathered(&folder, "t.csv", config)?;
            let names = found.class_names();
            let items = found.label(&names)?;
            let set = |item: &Item| match &item.said {
                Said::Labels(labels) => labels.to_vec(),
                other => panic!("expected labels, found {other:?}"),
            };
            Ok::<_, DataError>((names, items.iter().map(set).collect::<Vec<_>>()))
        };
        let one = ImageConfig { label_separator: Some("|".into()), ..labels.clone() };
        let (names, found) = sets("image,tags\n1.png,sea|sky\n2.png,\n4.webp, sky | dog\n", &one).unwrap();
        assert_eq!(names, ["dog", "sea", "sky"]);
        assert_eq!(found, [vec![1, 2], vec![], vec![0, 2]]);
        let columns = ["sky", "sea"].map(String::from).to_vec();
        let each = ImageConfig { label_columns: columns, ..labels };
        let (names, found) =
            sets("image,sea,sky\n1.png,1,0\n2.png,False,true\n4.webp,1.0,1\n", &each).unwrap();
        assert_eq!(names, ["sky", "sea"]);
        assert_eq!(found, [vec![1], vec![0], vec![0, 1]]);
        let error = sets("image,sea,sky\n1.png,1,2\n", &each).unwrap_err().to_string();
        assert!(error.ends_with("line 2, column `sky`: expected 0 or 1, found `2`"), "{error}");
        let error = sets("image,sea\n1.png,1\n", &each).unwrap_err().to_string();
        assert!(error.starts_with("data.label_columns: expected a column of"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named_with_its_line() {
        let refused = |text: &str, config: &ImageConfig| {
            let folder = Folder::new("t.csv", text);
            let error = gathered(&folder, "t.csv", config).unwrap_err().to_string();
            error.replace(&folder.uri(""), "")
        };
        let usual = ImageConfig::default();
        let error = refused("image,label\n1.png,a\n9.png,b\n", &usual);
        assert!(
            error.starts_with("t.csv, line 3, column `image`: expected the name of a picture in"),
            "{error}"
        );
        assert!(error.ends_with("found `9.png`, which is not there"), "{error}");
        let error = refused("image,label\n1.png,\n", &usual);
        assert!(
            error.ends_with("line 2, column `label`: expected what the picture shows, found nothing"),
            "{error}"
        );
        let error = refused("a,b,c\n1.png,x,y\n", &usual);
        assert!(
            error.starts_with(
                "data.image_column: expected the column of t.csv that holds file names: `a`, `b`"
            )
        );
        let error = refused("image,b,c\n1.png,x,y\n", &usual);
        assert!(error.starts_with("data.label_column: expected"), "{error}");
        let keys = ImageConfig { label_column: Some("lable".into()), ..usual.clone() };
        assert!(refused("image,label\n1.png,x\n", &keys).contains("the nearest are `label`"));
        let error = refused("image,label\n1.png,a\n2.png,b\n1.png,b\n", &usual);
        assert!(
            error.starts_with("line 4 of t.csv: expected the same answer about 1.png as in line 2"),
            "{error}"
        );
        let value = ImageConfig { target: ImageTarget::Value, ..usual };
        assert!(
            refused("image,label\n1.png,tall\n", &value).ends_with("expected a finite number, found `tall`")
        );
    }

    #[test]
    fn names_may_lack_the_ending_where_one_picture_has_them() {
        let folder = Folder::new("t.csv", "id,label\n1,a\ndeep/3,b\n4.webp,a\n");
        let keys = ImageConfig { image_column: Some("id".into()), ..ImageConfig::default() };
        let found = gathered(&folder, "t.csv", &keys).unwrap();
        assert_eq!(names(&found, &folder), ["1.png", "deep/3.jpg", "4.webp"]);
        fs::write(folder.uri("1.gif"), "").unwrap();
        let error = gathered(&folder, "t.csv", &keys).unwrap_err().to_string();
        assert!(
            error.ends_with("found `1`, which several pictures are called but for their endings"),
            "{error}"
        );
    }

    #[test]
    fn rows_may_be_skipped_and_repeats_count_once() {
        let text = "image,label\n1.png,a\n9.png,b\n2.png,b\n1.png,a\n4.webp,\n";
        let folder = Folder::new("t.csv", text);
        let skipping = ImageConfig { on_corrupt: OnCorrupt::Skip, ..ImageConfig::default() };
        assert_eq!(names(&gathered(&folder, "t.csv", &skipping).unwrap(), &folder), ["1.png", "2.png"]);
    }

    #[test]
    fn names_are_relative_to_the_folder_that_a_recipe_names() {
        let folder = Folder::new("x.csv", "");
        let table = folder.0.path().join("labels.csv").display().to_string();
        fs::write(&table, "image,label\n1.png,a\ndeep/3.jpg,b\n").unwrap();
        let config = ImageConfig { folder: Some(folder.uri("")), ..ImageConfig::default() };
        let found = gather(&table, &config, ImageTarget::Class).unwrap();
        assert_eq!(names(&found, &folder), ["1.png", "deep/3.jpg"]);
        assert!(gather(&table, &ImageConfig::default(), ImageTarget::Class).is_err());
    }
}
