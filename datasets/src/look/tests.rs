//! Looks at small folders and files.

use super::*;
use std::fs;
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&folder, name, text);
    }
    folder
}

fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn look_at(folder: &TempDir, name: &str) -> Result<Look, String> {
    look(&uri(folder, name)).map_err(|error| error.to_string())
}

fn uri(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

fn listed(look: &Look) -> &ListedLook {
    match &look.found {
        Found::Listed(listed) => listed,
        other => panic!("{other:?}"),
    }
}

/// A table of the pictures `{folder}{number}.png`, whose rows say `answer`.
fn pictures(folder: &TempDir, below: &str, names: std::ops::Range<usize>) {
    names.for_each(|number| write(folder, &format!("{below}{number}.png"), ""));
}

fn rows(header: &str, answer: impl Fn(usize) -> String) -> String {
    (0..30).fold(format!("{header}\n"), |text, row| text + &answer(row) + "\n")
}

#[test]
fn a_table_that_is_named_finds_the_pictures_beside_it() {
    let labels = rows("file,label", |row| format!("{row}.png,{}", ["cat", "dog"][row % 2]));
    for (below, folder_key) in [("", false), ("images/", true)] {
        let folder = folder(&[("labels.csv", &labels), ("other/x.txt", "x")]);
        pictures(&folder, below, 0..40);
        let look = look_at(&folder, "labels.csv").unwrap();
        let found = listed(&look);
        assert_eq!((found.column.as_str(), found.pictures.pictures), ("file", 30));
        assert_eq!(found.folder, folder_key.then(|| uri(&folder, "images")));
        assert!(look.notes[0].starts_with("`file` of labels.csv names the pictures"), "{:?}", look.notes);
        assert!(
            look.notes.contains(&"left out 10 pictures that no row names".to_string()),
            "{:?}",
            look.notes
        );
    }
    let lost = folder(&[("labels.csv", &labels)]);
    pictures(&lost, "", 0..25);
    assert_eq!(listed(&look_at(&lost, "labels.csv").unwrap()).lost, Some((5, "25.png".to_string())));
    let none = folder(&[("labels.csv", &labels)]);
    assert!(matches!(look_at(&none, "labels.csv").unwrap().found, Found::Rows(_)));
}

#[test]
fn a_table_whose_rows_are_counted_is_no_list_of_pictures_that_are_called_by_numbers() {
    let table = rows("id,x,label", |row| format!("{row},{},{}", row * 7 % 30, ["a", "b"][row % 2]));
    for (count, is_list) in [(15, false), (30, true)] {
        let folder = folder(&[("t.csv", &table)]);
        pictures(&folder, "", 0..count);
        let found = look_at(&folder, "t.csv").unwrap().found;
        assert_eq!(matches!(found, Found::Listed(_)), is_list, "{count} pictures: {found:?}");
    }
}

#[test]
fn a_table_beside_the_folder_of_the_training_pictures_lists_them_without_endings() {
    let labels = rows("id,label", |row| format!("{row},{}", row % 2));
    let submission = rows("id,label", |row| format!("{},0", row + 100));
    let folder = folder(&[("train_labels.csv", &labels), ("sample_submission.csv", &submission)]);
    pictures(&folder, "train/", 0..30);
    pictures(&folder, "test/", 100..130);
    for name in ["", "train"] {
        let look = look_at(&folder, name).unwrap();
        assert_eq!((look.train.as_str(), &look.test), (uri(&folder, "train_labels.csv").as_str(), &None));
        assert_eq!(listed(&look).folder, Some(uri(&folder, "train")));
        assert!(look.notes.iter().any(|note| note.contains("sample_submission.csv")), "{:?}", look.notes);
    }
    // The same names in two folders: the table is called as one of them.
    let both = folder_of_two("train.csv");
    assert_eq!(listed(&look_at(&both, "").unwrap()).folder, Some(uri(&both, "train_images")));
    let error = look_at(&folder_of_two("labels.csv"), "labels.csv").unwrap_err();
    assert!(error.contains("data.folder") && error.contains("a_images"), "{error}");
}

fn folder_of_two(table: &str) -> TempDir {
    let labels = rows("id,label", |row| format!("{row}.png,{}", row % 2));
    let is_train = table.starts_with("train");
    let (one, other) = if is_train { ("train_images/", "test_images/") } else { ("a_images/", "b_images/") };
    let folder = folder(&[(table, &labels)]);
    pictures(&folder, one, 0..30);
    pictures(&folder, other, 0..if is_train { 20 } else { 30 });
    folder
}

#[test]
fn several_labels_of_a_picture_are_told_by_their_separator_or_their_columns() {
    let tags = |row: usize, separator: &str| {
        let tags = ["cat", "dog", "sky"].iter().enumerate().filter(|(bit, _)| (row >> bit) & 1 == 1);
        tags.map(|(_, tag)| *tag).collect::<Vec<_>>().join(separator)
    };
    for (column, separator) in [("labels", " "), ("label", "|"), ("label", ";"), ("tags", ",")] {
        let header = format!("image,{column}");
        let table = rows(&header, |row| format!("{row}.png,\"{}\"", tags(row, separator)));
        let folder = folder(&[("labels.csv", &table)]);
        pictures(&folder, "", 0..30);
        let look = look_at(&folder, "").unwrap();
        let Some(Several::Cell { separator: found, labels, .. }) = listed(&look).labels_in(column) else {
            panic!("{separator}")
        };
        assert_eq!((found, labels.len()), (separator, 3));
    }
    let names = ["golden retriever", "border collie", "Paris, France"];
    let table = rows("image,label", |row| format!("{row}.png,\"{}\"", names[row % 3]));
    let phrases = folder(&[("labels.csv", &table)]);
    pictures(&phrases, "", 0..30);
    assert_eq!(listed(&look_at(&phrases, "").unwrap()).several_in_cells(), []);
    let table = rows("image,cat,dog", |row| format!("{row}.png,{},{}", row % 2, usize::from(row % 3 == 0)));
    let flags = folder(&[("labels.csv", &table)]);
    pictures(&flags, "", 0..30);
    let found = listed(&look_at(&flags, "").unwrap()).several_columns();
    let labels = vec![("cat".to_string(), 15), ("dog".to_string(), 10)];
    assert_eq!(found, Some(Several::Columns { labels, exclusive: false }));
}

#[test]
fn marks_among_numbers_codes_and_numbers_out_of_all_proportion_are_told() {
    let table = rows("a,b,code,sold,x", |row| {
        let a = if row % 6 == 0 { "-".to_string() } else { format!("{}.5", row * 7 % 13) };
        let b = if row % 7 == 0 { "-999".to_string() } else { (row % 4).to_string() };
        format!("{a},{b},{:05},{},{}", 120 + row % 3, ["yes", "-"][row % 2], row % 5)
    });
    let folder = folder(&[("rows.csv", &table)]);
    let Found::Rows(rows) = look_at(&folder, "rows.csv").unwrap().found else { panic!("rows") };
    let [guess] = rows.guesses.as_slice() else { panic!("{:?}", rows.guesses) };
    assert_eq!((guess.key, &guess.value), ("missing", &serde_json::json!(["-"])));
    assert!(guess.why.ends_with("`-` in 5 of `a`, 15 of `sold`, too"), "{}", guess.why);
    let column = |name| rows.column(name).unwrap();
    assert_eq!((column("a").kind, column("a").missing), (ColumnKind::Number, 5));
    assert_eq!(column("b").sentinel, Some(("-999".to_string(), 5)));
    assert_eq!((column("code").kind, column("code").codes), (ColumnKind::Category, true));
    assert_eq!(column("code").commonest[0], ("00120".to_string(), 10));
}

#[test]
fn what_differs_in_nearly_every_row_or_rises_is_no_target() {
    let table =
        rows("x,target,score", |row| format!("{},c{},{}", row * 7 % 11, row * 2 / 3, 1000 + row * row));
    let folder = folder(&[("rows.csv", &table)]);
    let Found::Rows(rows) = look_at(&folder, "rows.csv").unwrap().found else { panic!("rows") };
    let targets = rows.targets();
    assert!(targets.likely.is_none(), "{targets:?}");
    let why = |name: &str| targets.others.iter().find(|other| other.name == name).unwrap().unlikely;
    assert_eq!((why("target").is_some(), why("score").is_some(), why("x")), (true, true, None));
}

#[test]
fn files_beside_data_are_left_out_and_alone_refused() {
    let table = rows("x,y", |row| format!("{row},{}", row % 2));
    let beside =
        [("notes.py", "x = 1, 2\n"), ("b.ipynb", "{}"), ("LICENSE", "MIT"), ("requirements.txt", "numpy\n")];
    let with_rows = folder(&[&[("rows.csv", table.as_str())][..], &beside].concat());
    let look = look_at(&with_rows, "").unwrap();
    assert!(look.train.ends_with("rows.csv") && look.notes.concat().contains("1 .py"), "{:?}", look.notes);
    for (name, what) in [("notes.py", "source code"), ("LICENSE", "a licence"), ("b.ipynb", "a notebook")] {
        let error = look_at(&with_rows, name).unwrap_err();
        assert!(
            error.contains("expected pictures (") && error.ends_with(&format!("{what}, by its name")),
            "{error}"
        );
    }
    let alone = look_at(&folder(&beside), "").unwrap_err();
    assert!(alone.contains("left out, no data: 1 .ipynb, 1 .py"), "{alone}");
}

#[test]
fn texts_without_a_class_and_tables_beside_class_folders_are_left_out_by_a_pattern() {
    let folder = folder(&[("train/urls.txt", "x"), ("stats.csv", "a,b\n1,2\n")]);
    for number in 0..10 {
        for class in ["train/neg", "train/pos", "train/unsup", "test/neg", "test/pos"] {
            write(&folder, &format!("{class}/{number}.txt"), "words");
        }
    }
    let look = look_at(&folder, "").unwrap();
    assert_eq!(look.train, uri(&folder, "train/{neg,pos}/*.txt"));
    assert_eq!(look.test, Some(uri(&folder, "test")));
    let Found::TextFolders { classes, .. } = &look.found else { panic!("{:?}", look.found) };
    assert_eq!(classes, &[("neg".to_string(), 10), ("pos".to_string(), 10)]);
    let notes = look.notes.join("\n");
    for note in ["left out unsup: its 10 texts have no class", "urls.txt", "1 .csv"] {
        assert!(notes.contains(note), "{notes}");
    }
}

#[test]
fn the_sheets_of_a_workbook_are_named() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/formats/table.xlsx");
    let Found::Rows(rows) = look(file).unwrap().found else { panic!("rows") };
    let [guess] = rows.guesses.as_slice() else { panic!("{:?}", rows.guesses) };
    assert_eq!((guess.key, guess.value.as_str()), ("sheet", Some("rows")));
    assert!(guess.why.starts_with("the first with cells; the sheets are "), "{}", guess.why);
    assert!(guess.why.contains("notes"), "{}", guess.why);
}
