//! What is guessed of columns, and told: the marks of no value, numbers, dates, and what a person should know.

use super::tests::{Files, message, rows};
use crate::OnCorrupt;
use crate::table::*;

/// `pandas.read_csv(...).isna().sum()` counts the same 13 cells, and 12 where `keep_default_na` is false and
/// `na_values` are `""` and `"-"` alone.
#[test]
fn marks_of_no_value_are_those_of_pandas_and_the_recipe_adds_to_them() {
    let marks = ["n/a", "N/A", "NULL", "None", "<NA>", "#N/A", "NaN", "nan", "-nan", "", "NA", "null", "-"];
    let numbers: String =
        marks.iter().enumerate().map(|(row, mark)| format!("{row},a\n{mark},b\n")).collect();
    let names = "c,y\nNA,a\nDE,b\nNA,a\n-,b\n";
    let files = Files::new(&[("n.csv", &format!("n,y\n{numbers}")), ("names.csv", names)]);
    let dash = TableConfig { missing: vec!["-".into()], ..files.config("n.csv") };
    let schema = open(&dash, 0).unwrap().schema;
    assert_eq!(schema.columns[0].missing, 13);
    let Encoding::Numeric(Number { mean, .. }) = &schema.columns[0].encoding else { panic!("{schema:?}") };
    assert_eq!(*mean, 6.0);
    // Without its mark the dash is a cell that is no number, in a column that reads as numbers.
    assert!(
        message(open(&files.config("n.csv"), 0))
            .contains("line 27, column `n`: expected a number (or its mark in data.missing")
    );
    let countries = |config: TableConfig| open(&config, 0).unwrap().schema.columns[0].clone();
    assert_eq!(countries(files.config("names.csv")).missing, 2);
    let alone =
        TableConfig { keep_default_missing: false, missing: vec!["-".into()], ..files.config("names.csv") };
    let column = countries(alone);
    assert_eq!((column.missing, column.encoding.field().categories().join(" ")), (1, "DE NA".to_string()));
}

#[test]
fn a_mark_of_no_value_is_no_class_unless_the_recipe_says_so() {
    let files = Files::new(&[("t.csv", "x,y\n1,None\n2,mild\n3,mild\n4,None\n5,strong\n")]);
    let error = message(open(&files.config("t.csv"), 0));
    assert!(error.contains("line 2, column `y`: expected a target, found no value"), "{error}");
    assert!(error.contains("data.keep_default_missing"), "{error}");
    let kept = TableConfig { keep_default_missing: false, ..files.config("t.csv") };
    let schema = open(&kept, 0).unwrap().schema;
    assert_eq!((schema.labels().join(" "), schema.class_rows), ("None mild strong".into(), vec![2, 2, 1]));
    let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..files.config("t.csv") };
    assert_eq!(open(&skip, 0).unwrap().schema.skipped, 2);
}

/// A run of an earlier version stated the marks that it had, and its schema none.
#[test]
fn a_run_of_earlier_versions_keeps_its_marks_and_the_types_of_its_columns() {
    let text: String = (0..30)
        .map(|row| {
            format!("{},{},2024-01-{:02},{}\n", ["None", "NA", "x"][row % 3], row, row % 9 + 1, row % 2)
        })
        .collect();
    let files =
        Files::new(&[("t.csv", &format!("c,n,d,y\n{text}")), ("e.csv", "c,n,d,y\nNone,NAN,2024-01-01,0\n")]);
    let missing = ["", "?", "NA", "NaN", "null"].map(String::from).to_vec();
    let stated =
        TableConfig { missing: missing.clone(), one_hot: false, standardise: false, ..files.config("t.csv") };
    let began = TableConfig {
        keep_default_missing: false,
        numeric: vec!["n".into()],
        categorical: vec!["c".into(), "d".into()],
        ..stated.clone()
    };
    let mut json = serde_json::to_value(open(&began, 0).unwrap().schema).unwrap();
    let object = json.as_object_mut().unwrap();
    ["missing", "days", "class_rows", "notes"].iter().for_each(|key| _ = object.remove(*key));
    for column in object["columns"].as_array_mut().unwrap() {
        column.as_object_mut().unwrap().remove("facts");
    }
    let schema: TableSchema = serde_json::from_value(json).unwrap();
    assert!(schema.missing.is_none() && !schema.days && !schema.to_string().contains("distinct"));
    let again = reopen(&stated, 0, schema.clone()).unwrap();
    assert_eq!(again.schema, schema);
    let (_, categories, _) = rows(again.train.dataset());
    assert_eq!(categories[..3].iter().map(|row| row[0]).collect::<Vec<_>>(), [1, 0, 2]);
    let evaluated = open_evaluation(&stated, &schema, Some(&files.uri("e.csv")), 0).unwrap();
    let (numbers, categories, _) = rows(evaluated.dataset());
    assert_eq!((numbers[0][0], categories[0].clone()), (14.5, vec![1, 1]));
    assert_eq!(schema.with_marks_of(&stated).missing.unwrap()[..5], missing);
}

#[test]
fn thousands_and_decimal_commas_are_read_as_the_recipe_says_and_refused_where_it_says_nothing() {
    let english: String =
        (0..40).map(|row| format!("\"{},{:03}\",{}\n", row / 4 + 1, row * 7, row % 2)).collect();
    let german: String =
        (0..40).map(|row| format!("{}.{:03},5;{}\n", row / 4 + 1, row * 7, row % 2)).collect();
    let plain: String = (0..40).map(|row| format!("{}{:03},{}\n", row / 4 + 1, row * 7, row % 2)).collect();
    let text = |rows: &str| format!("n,y\n{rows}");
    let files = Files::new(&[
        ("en.csv", &text(&english)),
        ("de.csv", &text(&german).replace("n,y", "n;y")),
        ("plain.csv", &text(&plain)),
    ]);
    let error = message(open(&files.config("en.csv"), 0));
    assert!(error.contains("en.csv, line 2, column `n`: expected a plain number (data.thousands"), "{error}");
    let config = TableConfig { standardise: false, ..files.config("plain.csv") };
    let numbers = |config: &TableConfig| rows(open(config, 0).unwrap().train.dataset()).0;
    let expected = numbers(&config);
    for stream in [false, true] {
        let stream = Some(stream);
        let english =
            TableConfig { train: files.uri("en.csv"), thousands: Some(','), stream, ..config.clone() };
        let mut found = numbers(&english);
        found.sort_by(|a, b| a[0].total_cmp(&b[0]));
        assert_eq!(found, expected);
        let german = TableConfig {
            train: files.uri("de.csv"),
            separator: Some(";".into()),
            thousands: Some('.'),
            decimal: ',',
            stream,
            ..config.clone()
        };
        let mut found = numbers(&german);
        found.sort_by(|a, b| a[0].total_cmp(&b[0]));
        assert!(found.iter().zip(&expected).all(|(found, expected)| found[0] == expected[0] + 0.5));
    }
}

#[test]
fn what_was_guessed_is_told_with_the_key_that_decides_otherwise() {
    let text: String = (0..60)
        .map(|row| {
            let class = ["no", "yes"][row * row % 7 % 2];
            let code = ["n", "y"][row * row % 7 % 2];
            let note = if row % 3 == 0 { "n.v.".to_string() } else { (row % 7).to_string() };
            format!("{row},name{row},7,,{code},{note},{class}\n")
        })
        .collect();
    let text = format!("id,name,same,empty,code,note,y\n{text}");
    let files = Files::new(&[("t.csv", &text)]);
    let schema = open(&files.config("t.csv"), 0).unwrap().schema;
    assert_eq!(schema.left_out, ["empty"]);
    let told = schema.to_string();
    for line in [
        "target: y, 2 classes: `no` 43, `yes` 17",
        "column  kind      why              missing  distinct  range or commonest",
        "id      number    reads as numbers 0        60        0 to 59",
        "note    category  reads as text    0        8         `n.v.` in 20",
        "left out, as no training row has a value that a table can hold: `empty`",
        "warning: `id` rises from row to row",
        "warning: `name` has 60 categories in 60 values",
        "warning: `same` is the same in every training row",
        "warning: `code` has one value for each of the target's",
        "warning: `note` is taken as 8 categories, though 40 of its 60 values are numbers",
    ] {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed(&told).contains(&squeezed(line)), "{line}\n{told}");
    }
    assert_eq!(told.matches("warning: ").count(), 5, "{told}");
    let folder = tempfile::tempdir().unwrap();
    schema.save(folder.path()).unwrap();
    assert_eq!(TableSchema::load(folder.path()).unwrap(), schema);
    // By the recipe nothing is guessed.
    let said = TableConfig {
        ignore: ["id", "name", "same", "empty", "code"].map(String::from).to_vec(),
        categorical: vec!["note".into()],
        ..files.config("t.csv")
    };
    let schema = open(&said, 0).unwrap().schema;
    assert!(schema.notes.is_empty() && schema.to_string().contains("by the recipe"), "{schema}");
}

#[test]
fn of_a_wide_table_the_columns_to_look_at_are_told() {
    let names: Vec<String> = (0..60).map(|column| format!("c{column}")).collect();
    let row = |row: usize| {
        (0..60).map(|column| (row * (column + 3) % 11).to_string()).collect::<Vec<_>>().join(",")
    };
    let lines: String =
        (0..30).map(|at| format!("{},,{}\n", row(at), at % 2).replacen("0,", ",", 1)).collect();
    let files = Files::new(&[("t.csv", &format!("{},e,y\n{lines}", names.join(",")))]);
    let told = open(&files.config("t.csv"), 0).unwrap().schema.to_string();
    assert!(told.contains("columns more, each with its line in columns.json"), "{told}");
    assert!(told.lines().count() < 40, "{told}");
}

#[test]
fn the_training_rows_of_each_class_are_told() {
    let lines: String = (0..40).map(|row| format!("{row}.5,{}\n", ["a", "b"][row % 2])).collect();
    let files = Files::new(&[("t.csv", &format!("x,y\n{lines}0.5,rare\n"))]);
    let config = TableConfig { test_fraction: 0.5, stratify: Some(false), ..files.config("t.csv") };
    let schemas: Vec<TableSchema> = (0..20).map(|seed| open(&config, seed).unwrap().schema).collect();
    for schema in &schemas {
        assert_eq!(schema.class_rows.iter().sum::<u64>(), schema.rows);
        assert!(schema.to_string().contains(&format!("`rare` {}", schema.class_rows[2])), "{schema}");
    }
    assert!(schemas.iter().any(|schema| schema.class_rows[2] == 0));
}

#[test]
fn cells_that_say_less_than_in_training_are_counted() {
    let lines: String =
        (0..30).map(|row| format!("{row}.5,{},{}\n", ["red", "blue"][row % 2], row % 2)).collect();
    let files = Files::new(&[
        ("t.csv", &format!("n,c,y\n{lines}")),
        ("e.csv", "n,c,y\n1,red,0\n,green,1\n2,?,0\nNA,violet,1\n"),
    ]);
    let config = files.config("t.csv");
    let schema = open(&config, 0).unwrap().schema;
    for stream in [false, true] {
        let config = TableConfig { stream: Some(stream), ..config.clone() };
        let opened = open_evaluation(&config, &schema, Some(&files.uri("e.csv")), 0).unwrap();
        for _ in 0..2 {
            rows(opened.dataset());
        }
        assert_eq!(
            opened.dataset().unseen().summary().unwrap(),
            "cells of 4 rows: `c` 2 of no category that was learned (`green`, `violet`), 1 without a value; \
             `n` 2 without a value"
        );
        let known = open_evaluation(&config, &schema, Some(&files.uri("t.csv")), 0).unwrap();
        rows(known.dataset());
        assert_eq!(known.dataset().unseen().summary(), None);
    }
}

#[test]
fn a_test_set_may_spell_its_labels_otherwise() {
    for (train, test) in
        [(["1", "0"], ["1.0", "0.0"]), (["True", "False"], ["true", "FALSE"]), (["1.0", "2.0"], ["1", "2"])]
    {
        let table = |labels: [&str; 2]| -> String {
            "x,y\n".to_string()
                + &(0..20).map(|row| format!("{row}.5,{}\n", labels[row % 2])).collect::<String>()
        };
        let object = |row: usize| format!("{{\"x\": {row}.5, \"y\": {}}}\n", test[row % 2].to_lowercase());
        let jsonl: String = (0..20).map(object).collect();
        let files = Files::new(&[("t.csv", &table(train)), ("e.csv", &table(test)), ("e.jsonl", &jsonl)]);
        for test in ["e.csv", "e.jsonl"] {
            let opened =
                open(&TableConfig { test: Some(files.uri(test)), ..files.config("t.csv") }, 0).unwrap();
            assert_eq!(opened.schema.labels().len(), 2);
            let of = |set: &TableSet| rows(set).2;
            assert_eq!(of(opened.train.dataset()), of(opened.test.unwrap().dataset()), "{train:?} {test}");
        }
    }
}

#[test]
fn a_target_that_never_changes_is_told() {
    let files = Files::new(&[("t.csv", "x,y\n1,2.5\n2,2.5\n3,2.5\n")]);
    let schema = open(&files.config("t.csv"), 0).unwrap().schema;
    assert_eq!(schema.notes, ["the target `y` is the same in every training row"]);
}

/// `pandas.read_csv("t.csv", parse_dates=["when"])` has the same days, and so has Parquet.
#[test]
fn dates_are_numbers_or_parts_of_a_calendar_in_training_as_in_prediction() {
    let lines: String = (1..=28).map(|day| format!("{day:02}/02/2024 06:00,{}\n", day % 2)).collect();
    let files = Files::new(&[
        ("t.csv", &format!("when,y\n{lines}")),
        ("few.csv", "when,y\n01/02/2024,0\n03/04/2024,1\n"),
        ("digits.csv", "when,y\n20240229,0\n20241231,1\n"),
        ("new.csv", "when\n29/02/2024\n\"\"\n"),
        ("bad.csv", "when\n2024-02-29\n"),
    ]);
    let raw = |name: &str| TableConfig { standardise: false, ..files.config(name) };
    let opened = open(&raw("t.csv"), 0).unwrap();
    let (numbers, ..) = rows(opened.train.dataset());
    // (pandas.Timestamp("2024-02-01 06:00") - pandas.Timestamp(0)) / pandas.Timedelta("1D")
    assert_eq!((numbers[0][0], numbers[27][0]), (19_754.25, 19_781.25));
    assert!(opened.schema.to_string().contains("reads as dates, the day first"), "{}", opened.schema);
    assert!(opened.schema.to_string().contains("2024-02-01T06:00:00 to 2024-02-28T06:00:00"));
    let predicted = |name: &str| -> Result<Vec<f32>, String> {
        let mut all = Vec::new();
        for piece in open_prediction(&raw("t.csv"), &opened.schema, &[files.uri(name)]).unwrap() {
            let set = piece.map_err(|error| error.to_string())?.samples;
            all.extend(rows(set.dataset()).0.concat());
        }
        Ok(all)
    };
    assert_eq!(predicted("new.csv").unwrap(), [19_782.0, 19_767.75]);
    let error = predicted("bad.csv").unwrap_err();
    assert!(error.contains("bad.csv, line 2, column `when`: expected a date, the day first"), "{error}");
    let error = message(open(&raw("few.csv"), 0));
    assert!(error.contains("few.csv, line 2, column `when`: expected a date of one order"), "{error}");
    let american = TableConfig { date_format: Some("%m/%d/%Y".into()), ..raw("few.csv") };
    assert_eq!(rows(open(&american, 0).unwrap().train.dataset()).0, [[19_724.0], [19_786.0]]);
    let of_digits = TableConfig {
        dates: vec!["when".into()],
        date_format: Some("%Y%m%d".into()),
        date_parts: vec![DatePart::Year, DatePart::Month, DatePart::Weekday],
        ..raw("digits.csv")
    };
    for stream in [false, true] {
        let config = TableConfig { stream: Some(stream), ..of_digits.clone() };
        let (numbers, ..) = rows(open(&config, 0).unwrap().train.dataset());
        assert_eq!(numbers, [[2024.0, 2.0, 3.0], [2024.0, 12.0, 1.0]]);
    }
}

/// `pandas.to_datetime` gives the same days.
#[test]
fn months_halves_of_days_and_digits_are_dates_and_not_a_time_is_no_value() {
    let table = |cells: &[&str]| -> String {
        let rows = cells.iter().enumerate().map(|(row, cell)| format!("{cell},{}\n", ["a", "b"][row % 2]));
        "when,y\n".to_string() + &rows.collect::<String>()
    };
    let digits = ["20210102", "20210430", "20211231", "20200229"];
    let files = Files::new(&[
        ("month.csv", &table(&["2021-04", "2021-01", "2020-02", "2021-04"])),
        ("named.csv", &table(&["Apr 2021", "Jan 2021", "Feb 2020", "April 2021"])),
        ("half.csv", &table(&["01/31/2021 3:45 PM", "02/01/2021 12:15 AM", "02/02/2021 9:00 am", "NaT"])),
        (
            "c.csv",
            &table(&[
                "Mon Jan  4 10:00:00 2021",
                "Tue Jan  5 22:30:00 2021",
                "NaT",
                "Sat Jan 30 00:00:00 2021",
            ]),
        ),
        ("digits.csv", &table(&digits)),
        ("others.csv", &table(&["NaT", "x", "NaT", "x"])),
    ]);
    let raw = |name: &str| TableConfig { standardise: false, ..files.config(name) };
    let numbers = |config: &TableConfig| {
        let opened = open(config, 0).unwrap();
        let rows = rows(opened.train.dataset()).0;
        (rows.into_iter().map(|row| row[0]).collect::<Vec<_>>(), opened.schema)
    };
    for name in ["month.csv", "named.csv"] {
        assert_eq!(numbers(&raw(name)).0, [18_718.0, 18_628.0, 18_293.0, 18_718.0], "{name}");
    }
    let (half, schema) = numbers(&raw("half.csv"));
    assert_eq!((&half[..3], schema.columns[0].missing), (&[18_658.656, 18_659.01, 18_660.375][..], 1));
    assert_eq!(schema.numeric_names(), ["when", "when_missing"]);
    let (c, schema) = numbers(&raw("c.csv"));
    assert_eq!((c[0], c[1], c[3], schema.columns[0].missing), (18_631.416, 18_632.938, 18_657.0, 1));
    assert!(schema.to_string().contains("2021-01-04T10:00:00 to 2021-01-30"), "{schema}");
    let evaluated = open_evaluation(&raw("half.csv"), &schema, Some(&files.uri("c.csv")), 0).unwrap();
    rows(evaluated.dataset());
    assert_eq!(evaluated.dataset().unseen().summary().unwrap(), "cells of 4 rows: `when` 1 without a value");
    // Digits alone are numbers, as they are to pandas, until the recipe calls them dates.
    let (found, schema) = numbers(&raw("digits.csv"));
    assert_eq!(found[0], 20_210_102.0);
    assert!(
        schema.to_string().contains("(`20200229`): if they are dates, name it in data.dates"),
        "{schema}"
    );
    let named = TableConfig { dates: vec!["when".into()], ..raw("digits.csv") };
    assert_eq!(numbers(&named).0, [18_629.0, 18_747.0, 18_992.0, 18_321.0]);
    let text = numbers(&raw("others.csv")).1;
    assert_eq!((text.columns[0].missing, text.columns[0].encoding.field().categories().len()), (0, 2));
}

/// Excel writes `sep=;` for itself; `pandas.read_csv(..., sep=";", skiprows=1)` has the same rows.
#[test]
fn a_first_line_that_states_the_separator_is_no_row() {
    let lines: String =
        (0..400).map(|row| format!("{row},5;{};{}\r\n", row % 7, ["a", "b"][row % 2])).collect();
    let files = Files::new(&[
        ("t.csv", &format!("sep=;\r\nn;m;y\r\n{lines}")),
        ("mark.csv", &format!("\u{feff}sep=;\r\nn;m;y\r\n{lines}")),
        ("bare.csv", &format!("sep=;\r\n{lines}")),
        ("bad.csv", &format!("sep=;\r\nn;m;y\r\n1,5;2;a\r\nx;2;b\r\n{lines}")),
    ]);
    let config = |name: &str| TableConfig { decimal: ',', standardise: false, ..files.config(name) };
    for stream in [false, true] {
        for name in ["t.csv", "mark.csv", "bare.csv"] {
            let names = ["n", "m", "y"].map(String::from).to_vec();
            let config = TableConfig { stream: Some(stream), ..config(name) };
            let config = match name {
                "bare.csv" => TableConfig { column_names: Some(names), ..config },
                _ => config,
            };
            let opened = open(&config, 0).unwrap();
            assert_eq!(
                opened.schema.columns.iter().map(|column| &*column.name).collect::<Vec<_>>(),
                ["n", "m"]
            );
            let mut numbers: Vec<f32> =
                rows(opened.train.dataset()).0.into_iter().map(|row| row[0]).collect();
            numbers.sort_by(f32::total_cmp);
            assert_eq!(numbers, (0..400).map(|row| row as f32 + 0.5).collect::<Vec<_>>(), "{name} {stream}");
        }
        let error = message(open(&TableConfig { stream: Some(stream), ..config("bad.csv") }, 0));
        assert!(error.contains("bad.csv, line 4, column `n`"), "{error}");
    }
}

/// Numbers of a file that knows its numbers: pandas has floats where a value is missing.
#[test]
fn days_in_the_digits_of_typed_numbers_are_dates_where_the_recipe_says_so() {
    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
    use std::sync::Arc;
    let days: ArrayRef = Arc::new(Int64Array::from(vec![20_210_102, 20_210_430]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(20_200_229.0), None]));
    let labels: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let batch = RecordBatch::try_from_iter([("d", days), ("f", floats), ("y", labels)]).unwrap();
    let files = Files::new(&[(
        "t.jsonl",
        "{\"d\":20210102,\"f\":20200229.0,\"y\":\"a\"}\n{\"d\":20210430,\"f\":null,\"y\":\"b\"}\n",
    )]);
    let file = std::fs::File::create(files.uri("t.parquet")).unwrap();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    for (name, stream) in [("t.parquet", false), ("t.parquet", true), ("t.jsonl", false)] {
        let dates = vec!["d".to_string(), "f".to_string()];
        let config = TableConfig { dates, standardise: false, stream: Some(stream), ..files.config(name) };
        let opened = open(&config, 0).unwrap();
        assert_eq!(opened.schema.numeric_names(), ["d", "f", "f_missing"], "{name}");
        let numbers = rows(opened.train.dataset()).0;
        assert_eq!(numbers, [[18_629.0, 18_321.0, 0.0], [18_747.0, 18_321.0, 1.0]], "{name}");
    }
}
