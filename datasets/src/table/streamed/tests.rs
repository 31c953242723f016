use crate::source::Object;
use crate::table::TableSchema;
use crate::table::{DatePart, Encoding, TableConfig, TableSet, open, open_evaluation, reopen};
use crate::{DataError, Dataset, Draw, OnCorrupt, Pipeline, ShardOrder};
use bonfire_contract::{Loader, Position, Target};
use burn::tensor::Device;
use proptest::prelude::*;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Rows `from..to` of a table whose first input is the row's number, with quoted line breaks.
fn csv(from: usize, to: usize) -> String {
    let mut text = "id,colour,note,y\n".to_string();
    for row in from..to {
        let colour = ["red", "green", "", "blue"][row % 4];
        let note = ["\"a\n\nb\"", "\"say \"\"x\"\", y\"", "plain"][row % 3];
        writeln!(text, "{row},{colour},{note},{}", ["no", "yes"][row % 2]).unwrap();
    }
    text
}

fn jsonl(from: usize, to: usize) -> String {
    let line = |row: usize| {
        let colour = if row % 4 == 2 { String::new() } else { format!("\"colour\": \"c{}\", ", row % 4) };
        format!("{{\"id\": {row}, {colour}\"y\": \"{}\"}}\n", ["no", "yes"][row % 2])
    };
    (from..to).map(line).collect()
}

/// Three files of unequal sizes, packed in different ways.
fn files(folder: &Path, ending: &str, text: fn(usize, usize) -> String) -> String {
    let gzip = |text: String| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    fs::write(folder.join(format!("0.{ending}")), text(0, 70)).unwrap();
    fs::write(folder.join(format!("1.{ending}.gz")), gzip(text(70, 75))).unwrap();
    fs::write(folder.join(format!("2.{ending}.zst")), zstd::encode_all(text(75, 120).as_bytes(), 1).unwrap())
        .unwrap();
    format!("{}/*.{ending}*", folder.display())
}

fn config(uri: &str) -> TableConfig {
    TableConfig {
        train: uri.to_string(),
        target: "y".into(),
        stream: Some(true),
        standardise: false,
        window_bytes: 1500,
        ..Default::default()
    }
}

/// The ids of the batches from a position on.
fn ids(pipeline: &Pipeline<TableSet>, epoch: u64, samples: u64, batch_size: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    for batch in pipeline.batches(Position { epoch, samples }, batch_size, &Device::flex()) {
        let batch = batch.unwrap();
        let width = batch.input.numeric.dims()[1];
        let numbers = batch.input.numeric.into_data().try_to_vec::<f32>().unwrap();
        ids.extend(numbers.chunks(width).map(|row| row[0] as u64));
        assert!(matches!(batch.target, Target::Classes(_)));
    }
    ids
}

fn message<T>(result: Result<T, DataError>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn a_streamed_table_has_the_columns_and_rows_of_the_held_one() {
    for (ending, text) in [("csv", csv as fn(usize, usize) -> String), ("jsonl", jsonl)] {
        let folder = tempfile::tempdir().unwrap();
        let uri = files(folder.path(), ending, text);
        let streamed = open(&config(&uri), 1).unwrap();
        let held = open(&TableConfig { stream: Some(false), ..config(&uri) }, 1).unwrap();
        assert_eq!(TableSchema { streamed: None, ..streamed.schema.clone() }, held.schema, "{ending}");
        assert_eq!(streamed.train.len(), 120);
        let rows = |set: &TableSet| -> Vec<f32> {
            let samples = (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
            set.collate(samples, &Device::flex()).0.numeric.into_data().try_to_vec().unwrap()
        };
        assert_eq!(rows(streamed.train.dataset()), rows(held.train.dataset()), "{ending}");
    }
}

#[test]
fn blocks_are_held_out_and_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let uri = files(folder.path(), "csv", csv);
    let config = TableConfig { valid_fraction: 0.2, test_fraction: 0.2, ..config(&uri) };
    let opened = open(&config, 3).unwrap();
    let (valid, test) = (opened.valid.unwrap(), opened.test.unwrap());
    let parts = [&opened.train, &valid, &test].map(|part| ids(part, 0, 0, 7));
    assert!(parts.iter().all(|part| !part.is_empty()));
    let mut all = parts.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), parts.iter().map(Vec::len).sum::<usize>());
    assert_eq!(all.len() as u64, opened.train.len() + valid.len() + test.len());
    assert_eq!(opened.schema.rows, opened.train.len());
    let again = open_evaluation(&config, &opened.schema, None, 3).unwrap();
    assert_eq!(ids(&again, 0, 0, 7), parts[2]);
    let too_few = TableConfig { valid_fraction: 0.001, ..config };
    let error = message(open(&too_few, 3));
    assert!(error.contains("valid_fraction") && error.contains("block of samples"), "{error}");
}

#[test]
fn a_run_that_goes_on_keeps_its_columns_and_notices_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let uri = files(folder.path(), "csv", csv);
    let mut schema: TableSchema = open(&config(&uri), 1).unwrap().schema;
    schema.columns[0].missing = 7;
    assert_eq!(reopen(&config(&uri), 1, schema.clone()).unwrap().schema, schema);
    fs::write(folder.path().join("0.csv"), csv(0, 71)).unwrap();
    let error = message(reopen(&config(&uri), 1, schema.clone()));
    assert!(error.ends_with("0.csv: expected the 70 records that the run began with, found 71"), "{error}");
    // Fewer rows, whether or not corrupt ones are skipped, and as many but others.
    let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..config(&uri) };
    fs::write(folder.path().join("0.csv"), csv(0, 69)).unwrap();
    let error = message(reopen(&skip, 1, schema.clone()));
    assert!(error.ends_with("0.csv: expected the 70 records that the run began with, found 69"), "{error}");
    fs::write(folder.path().join("0.csv"), csv(1, 71)).unwrap();
    let error = message(reopen(&skip, 1, schema.clone()));
    assert!(error.contains("0.csv: expected the contents that the run began with"), "{error}");
    // What was streamed is, however small it has become.
    fs::write(folder.path().join("0.csv"), csv(0, 70)).unwrap();
    schema.save(folder.path()).unwrap();
    let kept = TableSchema::load(folder.path()).unwrap();
    assert_eq!(kept, schema);
    let unsaid = TableConfig { stream: None, ..config(&uri) };
    let again = reopen(&unsaid, 1, kept).unwrap();
    assert_eq!(ids(&again.train, 0, 0, 8), ids(&open(&config(&uri), 1).unwrap().train, 0, 0, 8));
    let held = TableSchema { streamed: None, ..schema };
    assert!(message(reopen(&config(&uri), 1, held)).contains("held in memory"));
}

#[test]
fn a_changed_or_cut_file_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    let text = csv(0, 90);
    fs::write(&path, &text).unwrap();
    let uri = path.display().to_string();
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let opened = open(&config(&uri), 1).unwrap();
    let last = opened.train.len() - 1;
    // As long as it was and as old: the checksum tells.
    fs::write(&path, text.replace("89,green", "88,green")).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let fresh = reopen(&config(&uri), 1, opened.schema.clone()).unwrap();
    let error = message(fresh.train.dataset().sample(last, Draw::default()));
    assert!(error.contains("x.csv, block at line ") && error.contains("the checksum"), "{error}");
    fs::write(&path, &text[..text.len() / 2]).unwrap();
    let error = message(fresh.train.dataset().sample(last, Draw::default()));
    assert!(error.contains("x.csv") && !error.contains('\n'), "{error}");
    // Opened anew, it is indexed anew.
    fs::write(&path, csv(0, 45)).unwrap();
    assert_eq!(open(&config(&uri), 1).unwrap().train.len(), 45);
    fs::write(&path, format!("{text}7,red,\"open,no\n")).unwrap();
    let error = message(open(&config(&uri), 1));
    assert!(error.contains("x.csv, line ") && error.contains("a closing quote"), "{error}");
    // A packed one that was cut.
    let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
    fs::write(folder.path().join("y.csv.zst"), &packed[..packed.len() / 2]).unwrap();
    let error = message(open(&config(&folder.path().join("y.csv.zst").display().to_string()), 1));
    assert!(error.contains("y.csv.zst"), "{error}");
}

#[test]
fn corrupt_rows_stop_or_are_skipped_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.csv");
    let text = csv(0, 60).replace("\n30,", "\n30,too,many,cells,").replace("\n42,", "\nforty-two,");
    fs::write(&path, &text).unwrap();
    let uri = path.display().to_string();
    let error = message(open(&config(&uri), 1));
    let line = 1 + text[..text.find("\n30,").unwrap() + 1].matches('\n').count();
    assert!(error.contains(&format!("x.csv, line {line}: expected 4 cells, found 7 cells")), "{error}");
    let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..config(&uri) };
    let opened = open(&skip, 1).unwrap();
    let mut found = ids(&opened.train, 0, 0, 8);
    found.sort_unstable();
    let expected: Vec<u64> = (0..60).filter(|row| ![30, 42].contains(row)).collect();
    assert_eq!((found, opened.train.skipped().count()), (expected, 2));
    let line = 1 + text[..text.find("\nforty").unwrap() + 1].matches('\n').count();
    let error = message(opened.train.dataset().sample(42, Draw::default()));
    assert!(error.contains(&format!("line {line}, column `id`")) && error.contains("forty-two"), "{error}");
}

#[test]
fn files_of_other_columns_and_text_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("0.csv"), csv(0, 9)).unwrap();
    fs::write(folder.path().join("1.csv"), csv(9, 12).replacen("colour", "color", 1)).unwrap();
    let uri = format!("{}/*.csv", folder.path().display());
    let error = message(open(&config(&uri), 1));
    assert!(error.contains("1.csv") && error.contains("colour"), "{error}");
    assert!(message(open(&TableConfig { target: "z".into(), ..config(&uri) }, 1)).contains("1.csv"));
    assert!(Object::open(&format!("{}/all.csv.index.parquet", folder.path().display())).is_ok());
}

/// A column that a recipe ignores may be of any kind, and need not be in every file; a list anywhere else makes its
/// record unreadable, in the survey as in the blocks.
#[test]
fn ignored_columns_may_hold_anything_and_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("0.jsonl"), jsonl(0, 40).replace("\"y\"", "\"more\": [1], \"y\"")).unwrap();
    let lists = jsonl(40, 60).replace("{\"id\": 50,", "{\"list\": [1], \"id\": 50,");
    fs::write(folder.path().join("1.jsonl"), lists).unwrap();
    let uri = format!("{}/*.jsonl", folder.path().display());
    let config = TableConfig { ignore: vec!["more".into()], on_corrupt: OnCorrupt::Skip, ..config(&uri) };
    let opened = open(&config, 1).unwrap();
    assert_eq!(opened.schema.rows, 59);
    assert_eq!(ids(&opened.train, 0, 0, 8).len(), 59);
    assert_eq!(opened.train.skipped().count(), 1);
    let sample = |row| opened.train.dataset().sample(row, Draw::default());
    assert!(sample(49).is_ok() && sample(51).is_ok());
    assert!(message(sample(50)).contains("1.jsonl, line 11, column `list`"));
    let stop = TableConfig { on_corrupt: OnCorrupt::Stop, ..config.clone() };
    assert!(message(open(&stop, 1)).contains("1.jsonl, line 11, column `list`"));
    let held = open(&TableConfig { stream: Some(false), ..config.clone() }, 1).unwrap();
    assert_eq!(held.schema.columns, opened.schema.columns);
    let unknown = TableConfig { ignore: vec!["mere".into()], ..config };
    assert!(message(open(&unknown, 1)).starts_with("data.ignore: expected a column"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_order_has_each_row_once_from_any_position_for_any_ranks(
        seed: u64, epoch in 0u64..4, full: bool, start in 0u64..120, workers in 0usize..3, step in 1usize..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let uri = files(folder.path(), "csv", csv);
        let order = Some(if full { ShardOrder::Full } else { ShardOrder::Window });
        let opened = open(&TableConfig { order, workers, ..config(&uri) }, seed).unwrap();
        let whole = ids(&opened.train, epoch, 0, 16);
        let mut sorted = whole.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..120).collect::<Vec<u64>>());
        // Resumed anywhere, in a process that has read nothing yet.
        let again = reopen(&TableConfig { order, workers, ..config(&uri) }, seed, opened.schema).unwrap();
        prop_assert_eq!(&ids(&again.train, epoch, start, 5)[..], &whole[start as usize..]);
        // Each rank reads its part of every batch of all.
        for ranks in [1usize, 2, 3, 4, 8] {
            let mut merged = Vec::new();
            while merged.len() < whole.len() {
                let begin = merged.len();
                for rank in 0..ranks {
                    let from = (begin + rank * step).min(whole.len());
                    let to = (from + step).min(whole.len());
                    if from == to {
                        continue;
                    }
                    let position = Position { epoch, samples: from as u64 };
                    let batch = again.train.batches(position, to - from, &Device::flex()).next();
                    let batch = batch.unwrap().unwrap();
                    let width = batch.input.numeric.dims()[1];
                    let numbers = batch.input.numeric.into_data().try_to_vec::<f32>().unwrap();
                    merged.extend(numbers.chunks(width).map(|row| row[0] as u64));
                }
            }
            prop_assert_eq!(&merged, &whole, "{} ranks", ranks);
        }
    }
}

/// A row of the table that is written in every format.
#[derive(Clone, Debug)]
struct Row {
    number: Option<i32>,
    word: Option<usize>,
    spelling: usize,
    /// Seconds since 1970.
    time: Option<i64>,
    /// Written with marks between its digits where a format does not know numbers.
    amount: Option<i32>,
    /// How "no value" is written.
    mark: usize,
    label: bool,
}

const WORDS: [&str; 3] = ["red", "green, dark", "blue \"x\""];

/// Spellings that are numbers, truth values or names; some of them are of one value.
const SPELLINGS: [&str; 8] = ["1", "1.0", "x", "True", "true", "01", "1e0", "-0"];

const MARKS: [&str; 6] = ["", "NA", "None", "#N/A", "nan", "?"];

/// A number with marks between its digits: `1.234,5`.
fn grouped(number: f64) -> String {
    let text = number.abs().to_string();
    let (whole, fraction) = text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push('.');
        }
        grouped.push(digit);
    }
    let sign = if number < 0.0 { "-" } else { "" };
    fraction.map_or(format!("{sign}{grouped}"), |fraction| format!("{sign}{grouped},{fraction}"))
}

/// Writes the same rows as CSV, JSON lines and Parquet; gives back their URIs.
fn in_every_format(folder: &Path, rows: &[Row]) -> [String; 3] {
    use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;
    let label = |row: &Row| ["False", "True"][usize::from(row.label)];
    let quarters = |number: Option<i32>| number.map(|quarters| f64::from(quarters) / 4.0);
    let (mut csv, mut jsonl) = ("a,b,c,d,e,y\n".to_string(), String::new());
    for row in rows {
        let (number, amount, mark) = (quarters(row.number), quarters(row.amount), MARKS[row.mark]);
        let (word, spelling) = (row.word.map(|word| WORDS[word]), SPELLINGS[row.spelling]);
        let time = row.time.map(|seconds| {
            chrono::DateTime::from_timestamp(seconds, 0).unwrap().format("%Y-%m-%d %H:%M:%S").to_string()
        });
        let cell = word.map_or(mark.to_string(), |word| format!("\"{}\"", word.replace('"', "\"\"")));
        let spelled = number.map_or(mark.to_string(), |number| format!("\"{}\"", grouped(number)));
        let amount_cell = amount.map_or(mark.to_string(), |amount| format!("\"{}\"", grouped(amount)));
        let day = time.clone().unwrap_or(mark.to_string());
        writeln!(csv, "{spelled},{cell},{spelling},{day},{amount_cell},{}", label(row)).unwrap();
        let marked =
            |text: Option<&str>| text.map_or(serde_json::json!(mark), |text| serde_json::json!(text));
        let object = serde_json::json!({
            "a": number, "b": marked(word), "c": spelling, "d": marked(time.as_deref()), "e": amount, "y": row.label
        });
        writeln!(jsonl, "{object}").unwrap();
    }
    let numbers: Float64Array = rows.iter().map(|row| quarters(row.number)).collect();
    let words: StringArray = rows.iter().map(|row| row.word.map(|word| WORDS[word])).collect();
    let spellings: StringArray = rows.iter().map(|row| Some(SPELLINGS[row.spelling])).collect();
    let times: TimestampMicrosecondArray =
        rows.iter().map(|row| row.time.map(|seconds| seconds * 1_000_000)).collect();
    let amounts: Float64Array = rows.iter().map(|row| quarters(row.amount)).collect();
    let labels: StringArray = rows.iter().map(|row| Some(label(row))).collect();
    let columns: [(&str, ArrayRef); 6] = [
        ("a", Arc::new(numbers)),
        ("b", Arc::new(words)),
        ("c", Arc::new(spellings)),
        ("d", Arc::new(times)),
        ("e", Arc::new(amounts)),
        ("y", Arc::new(labels)),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let uri = |ending: &str| folder.join(format!("t.{ending}")).to_str().unwrap().to_string();
    fs::write(uri("csv"), csv).unwrap();
    fs::write(uri("jsonl"), jsonl).unwrap();
    let file = fs::File::create(uri("parquet")).unwrap();
    let groups =
        parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(9)).build();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(groups)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    ["csv", "jsonl", "parquet"].map(uri)
}

fn any_row() -> impl Strategy<Value = Row> {
    let optional = prop::option::weighted::<std::ops::Range<i32>>;
    (
        optional(0.8, -9..9),
        prop::option::weighted(0.9, 0usize..3),
        0usize..8,
        prop::option::weighted(0.8, -2_000_000_000i64..4_000_000_000),
        optional(0.8, -9_000_000..9_000_000),
        0usize..6,
        any::<bool>(),
    )
        .prop_map(|(number, word, spelling, time, amount, mark, label)| Row {
            number,
            word,
            spelling,
            time,
            amount,
            mark,
            label,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_same_table_is_the_same_in_every_format_held_or_streamed(
        rows in prop::collection::vec(any_row(), 12..60),
        standardise: bool,
        parts in 0usize..3,
    ) {
        prop_assume!(rows.iter().any(|row| row.label) && !rows.iter().all(|row| row.label));
        // A column of no value alone is of a type in Parquet, and of none in CSV; it is left out in all.
        let folder = tempfile::tempdir().unwrap();
        let mut found = Vec::new();
        let date_parts = [
            vec![DatePart::Days],
            vec![DatePart::Year, DatePart::Month, DatePart::Weekday],
            vec![DatePart::Days, DatePart::Hour, DatePart::SineCosine],
        ];
        for uri in in_every_format(folder.path(), &rows) {
            for stream in [false, true] {
                let config = TableConfig {
                    stream: Some(stream),
                    standardise,
                    thousands: Some('.'),
                    decimal: ',',
                    date_parts: date_parts[parts].clone(),
                    ..config(&uri)
                };
                let opened = match open(&config, 1) {
                    Ok(opened) => opened,
                    Err(error) => {
                        let expected = error.to_string();
                        let (_, expected) = expected.split_once("expected").unwrap();
                        found.push((uri.clone(), stream, Err(expected.to_string())));
                        continue;
                    }
                };
                let set = opened.train.dataset();
                let samples = (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
                let (table, target) = set.collate(samples, &Device::flex());
                let Target::Classes(classes) = target else { panic!("{target:?}") };
                let numbers: Vec<f32> = table.numeric.into_data().iter().collect();
                let classes: Vec<i64> = classes.into_data().iter().collect();
                prop_assert_eq!(opened.schema.labels(), ["false", "true"]);
                let schema = TableSchema { streamed: None, ..opened.schema };
                found.push((uri.clone(), stream, Ok((schema, numbers, classes))));
            }
        }
        // A few words among numbers are refused, whatever the format.
        for other in &found[1..] {
            match (&other.2, &found[0].2) {
                (Err(_), Err(_)) => {}
                (other_found, first) => prop_assert_eq!(other_found, first, "{} streamed {}", other.0, other.1),
            }
        }
        if let Ok((schema, ..)) = &found[0].2 {
            let dates = schema.columns.iter().filter(|column| matches!(column.encoding, Encoding::Date(_)));
            prop_assert_eq!(dates.count(), usize::from(rows.iter().any(|row| row.time.is_some())));
        }
    }
}

/// A date in CSV is the date that it is in Parquet, in the unit that earlier runs had for those that go on.
#[test]
fn runs_of_earlier_versions_have_dates_of_files_in_their_unit() {
    let row = |at: usize| Row {
        number: Some(1),
        word: Some(at % 3),
        spelling: 2,
        time: Some(1_700_000_000 + 86_400 * at as i64),
        amount: None,
        mark: 0,
        label: at.is_multiple_of(2),
    };
    let rows: Vec<Row> = (0..30).map(row).collect();
    let folder = tempfile::tempdir().unwrap();
    let [_, _, uri] = in_every_format(folder.path(), &rows);
    let config = TableConfig { numeric: vec!["d".into()], stream: Some(false), ..config(&uri) };
    let mut schema = open(&config, 1).unwrap().schema;
    let first = |schema: &TableSchema| {
        let opened = open_evaluation(&config, schema, Some(&uri), 1).unwrap();
        let set = opened.dataset();
        let (table, _) = set.collate(vec![set.sample(0, Draw::default()).unwrap()], &Device::flex());
        let at = schema.numeric_names().iter().position(|name| name == "d").unwrap();
        table.numeric.into_data().iter::<f32>().nth(at).unwrap()
    };
    assert_eq!(first(&schema), (1_700_000_000.0 / 86_400.0) as f32);
    schema.days = false;
    assert_eq!(first(&schema), 1.7e15);
}
