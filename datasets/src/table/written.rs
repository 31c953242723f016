//! Tables as people write them: by other separators, in other encodings, with columns alike, empty or too
//! many.

use super::{TableConfig, TableSchema, open, open_evaluation, open_prediction};
use crate::Dataset;
use crate::records::{EncodingErrors, Quoting};
use std::fs;
use std::path::Path;

fn config(uri: &Path) -> TableConfig {
    TableConfig { train: uri.display().to_string(), target: "y".into(), workers: 0, ..Default::default() }
}

fn names(schema: &TableSchema) -> Vec<&str> {
    schema.columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn each_file_has_its_separator_and_the_recipe_its_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let row = |row: usize, by: &str| {
        format!("{row}{by}{}{by}{}\n", ["rot", "grün", "rot"][row % 3], ["no", "yes"][row % 2])
    };
    let rows = |by: &str| (0..60).map(|number| row(number, by)).collect::<String>();
    let latin = |text: String| text.chars().map(|letter| letter as u8).collect::<Vec<u8>>();
    fs::write(path("t.csv"), latin(format!("n;colour;y\n{}", rows(";")))).unwrap();
    fs::write(path("v.csv"), latin(format!("n,colour,y\n{}", rows(",")))).unwrap();
    fs::write(path("p.tsv"), latin(format!("colour\tn\n{}", "grün\t1\n".repeat(5)))).unwrap();
    for stream in [false, true] {
        let encoding = "latin-1".to_string();
        let valid = Some(path("v.csv").display().to_string());
        let config = TableConfig { encoding, valid, stream: Some(stream), ..config(&path("t.csv")) };
        let opened = open(&config, 1).unwrap();
        assert_eq!(names(&opened.schema), ["n", "colour"]);
        assert_eq!(opened.schema.numeric_names(), ["n", "colour=grün", "colour=rot"]);
        assert_eq!(opened.valid.unwrap().dataset().len(), 60);
        let test = open_evaluation(&config, &opened.schema, config.valid.as_deref(), 1).unwrap();
        assert_eq!(test.dataset().len(), 60);
        let inputs = [path("p.tsv").display().to_string()];
        let pieces = open_prediction(&config, &opened.schema, &inputs).unwrap();
        assert_eq!(pieces.map(|piece| piece.unwrap().samples.dataset().len()).sum::<u64>(), 5);
        let auto = TableConfig { encoding: "auto".to_string(), ..config.clone() };
        let error = open(&auto, 1).err().unwrap().to_string();
        assert!(
            error.contains("line 3") && error.contains("as windows-1252 it reads `1;grün;yes`"),
            "{error}"
        );
        let skip = TableConfig { encoding_errors: EncodingErrors::Skip, valid: None, ..auto.clone() };
        let opened = open(&skip, 1).unwrap();
        assert_eq!(opened.schema.numeric_names()[0], "n");
        let replace = TableConfig { encoding_errors: EncodingErrors::Replace, valid: None, ..auto };
        let opened = open(&replace, 1).unwrap();
        assert_eq!(opened.schema.numeric_names(), ["n", "colour=gr\u{fffd}n", "colour=rot"]);
        assert_eq!(opened.train.dataset().len(), 60);
    }
}

#[test]
fn a_table_without_a_header_has_its_separator_and_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let rows: String =
        (0..40).map(|row| format!("{row},5;{},25;{}\n", row * 2, ["a", "b"][row % 2])).collect();
    fs::write(&path, rows).unwrap();
    let columns = Some(["n", "m", "y"].map(String::from).to_vec());
    let opened = open(&TableConfig { column_names: columns, decimal: ',', ..config(&path) }, 1).unwrap();
    assert_eq!(names(&opened.schema), ["n", "m"]);
    let error = open(&TableConfig { separator: Some("auto".into()), ..config(&path) }, 1).err().unwrap();
    assert!(error.to_string().contains("`y`"), "{error}");
}

/// `pandas.read_csv` has the columns `a`, `a.1` and `y` of the first table, and 100 rows of each.
#[test]
fn columns_that_are_alike_empty_or_too_many_are_columns() {
    let folder = tempfile::tempdir().unwrap();
    let table = |name: &str, header: &str, end: &str| {
        let path = folder.path().join(name);
        let rows: String = (0..100).map(|row| format!("{}.5,{},{}{end}\n", row, row % 3, row % 2)).collect();
        fs::write(&path, format!("{header}\n{rows}")).unwrap();
        path
    };
    for stream in [false, true] {
        let with = |path: &Path| TableConfig { stream: Some(stream), ..config(path) };
        let opened = |path: &Path| open(&with(path), 1).unwrap();
        let alike = opened(&table("dup.csv", "a,a,y", ""));
        assert_eq!((names(&alike.schema), alike.train.dataset().len()), (vec!["a", "a.1"], 100));
        let more = opened(&table("more.csv", "a,b,y", ","));
        assert_eq!((names(&more.schema), more.train.dataset().len()), (vec!["a", "b"], 100));
        // An empty column of its own name is one: whether it is of use, the columns' kinds say.
        let ignore = vec!["column 3".to_string()];
        let trail = TableConfig { ignore, ..with(&table("trail.csv", "a,b,y,", ",")) };
        let more = open(&trail, 1).unwrap();
        assert_eq!(names(&more.schema), ["a", "b"]);
        assert_eq!(more.train.dataset().len(), 100);
    }
}

#[test]
fn old_recipes_say_nothing_of_these_keys() {
    let mut json = serde_json::to_value(TableConfig::default()).unwrap();
    for key in ["quoting", "encoding", "encoding_errors"] {
        assert!(json.as_object_mut().unwrap().remove(key).is_some());
    }
    let config: TableConfig = serde_json::from_value(json).unwrap();
    assert_eq!((config.quoting, config.encoding.as_str()), (Quoting::Minimal, "auto"));
    let of =
        |key: &str, value: &str| serde_json::from_value::<TableConfig>(serde_json::json!({ key: value }));
    assert_eq!(of("quoting", "none").unwrap().quoting, Quoting::None);
    assert!(of("quoting", "all").unwrap_err().to_string().contains("`lenient`"));
    let config = TableConfig { train: "t".into(), target: "y".into(), ..of("encoding", "klingon").unwrap() };
    assert!(config.check().unwrap_err().to_string().starts_with("data.encoding: expected"));
}
