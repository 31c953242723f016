use crate::text::{TextConfig, TextSample, TextSchema, TextSet, open, open_evaluation, reopen};
use crate::{DataError, Dataset, Draw, OnCorrupt, Pipeline};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bonfire_contract::{Loader, Position};
use burn::tensor::Device;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

fn text(row: usize) -> String {
    format!("message {row}\n\nsays {} and \"{}\"", ["hello", "goodbye"][row % 2], row * 7)
}

fn csv(folder: &Path, rows: usize) -> String {
    let mut writer = csv::Writer::from_path(folder.join("x.csv")).unwrap();
    writer.write_record(["label", "text"]).unwrap();
    (0..rows).for_each(|row| writer.write_record([&(row % 2).to_string(), &text(row)]).unwrap());
    writer.flush().unwrap();
    folder.join("x.csv").display().to_string()
}

fn jsonl(folder: &Path, rows: usize) -> String {
    let line = |row| serde_json::json!({"text": text(row), "label": row % 2}).to_string() + "\n";
    let path = folder.join("x.jsonl.zst");
    let lines: String = (0..rows).map(line).collect();
    fs::write(&path, zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap();
    path.display().to_string()
}

/// Two files of row groups of 16.
fn parquet(folder: &Path, rows: usize) -> String {
    for (file, rows) in [(0, 0..rows / 3), (1, rows / 3..rows)] {
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(rows.clone().map(text)));
        let labels: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| row as i64 % 2)));
        let unused: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.map(|row| row as i64)));
        let batch =
            RecordBatch::try_from_iter([("text", texts), ("unused", unused), ("label", labels)]).unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(16)).build();
        let file = File::create(folder.join(format!("{file}.parquet"))).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    format!("{}/?.parquet", folder.display())
}

fn config(uri: &str) -> TextConfig {
    TextConfig { train: uri.to_string(), stream: Some(true), window_bytes: 1500, ..Default::default() }
}

fn samples(set: &TextSet) -> Vec<TextSample> {
    (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect()
}

fn batches(pipeline: &Pipeline<TextSet>, start: u64, batch_size: usize) -> Vec<Vec<i64>> {
    let position = Position { epoch: 2, samples: start };
    let batches = pipeline.batches(position, batch_size, &Device::flex());
    batches
        .flat_map(|batch| {
            let tokens = batch.unwrap().input.tokens;
            let width = tokens.dims()[1];
            let ids: Vec<i64> = tokens.into_data().iter().collect();
            ids.chunks(width)
                .map(|row| row.iter().copied().filter(|&id| id > 0).collect())
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn streamed_texts_are_the_held_ones() {
    for write in [csv, jsonl, parquet] {
        let folder = tempfile::tempdir().unwrap();
        let uri = write(folder.path(), 100);
        let streamed = open(&config(&uri), 1).unwrap();
        let held = open(&TextConfig { stream: Some(false), ..config(&uri) }, 1).unwrap();
        assert_eq!(TextSchema { streamed: None, ..streamed.schema.clone() }, held.schema, "{uri}");
        assert_eq!(samples(streamed.train.dataset()), samples(held.train.dataset()), "{uri}");
        // Every text once, and from any position on as it would have been.
        let whole = batches(&streamed.train, 0, 16);
        let mut sorted = whole.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), 100);
        let again = reopen(&config(&uri), 1, streamed.schema).unwrap();
        for start in [0, 1, 17, 64, 99, 100] {
            assert_eq!(batches(&again.train, start, 7), whole[start as usize..], "{uri} from {start}");
        }
    }
}

#[test]
fn a_run_that_goes_on_notices_other_texts() {
    let folder = tempfile::tempdir().unwrap();
    let uri = parquet(folder.path(), 100);
    let opened = open(&config(&uri), 1).unwrap();
    assert!(reopen(&config(&uri), 1, opened.schema.clone()).is_ok());
    parquet(folder.path(), 97);
    let message =
        |uri: &str| reopen(&config(uri), 1, opened.schema.clone()).map(drop).unwrap_err().to_string();
    let error = message(&uri);
    assert!(
        error.ends_with("0.parquet: expected the 33 records that the run began with, found 32"),
        "{error}"
    );
    let error = message(&uri.replace('?', "1"));
    assert!(error.contains("1.parquet: expected the file 0.parquet that the run began with"), "{error}");
    parquet(folder.path(), 100);
    let error = message(&uri.replace('?', "0"));
    assert!(error.contains("expected the 2 files that the run began with, found 1"), "{error}");
}

/// In every format, with one text more and one less, and whether or not corrupt ones are skipped.
#[test]
fn a_run_that_goes_on_notices_another_number_of_texts() {
    for write in [csv, jsonl, parquet] {
        for on_corrupt in [OnCorrupt::Stop, OnCorrupt::Skip] {
            let folder = tempfile::tempdir().unwrap();
            let uri = write(folder.path(), 60);
            let config = TextConfig { on_corrupt, ..config(&uri) };
            let opened = open(&config, 1).unwrap();
            for found in [59, 61] {
                write(folder.path(), found);
                let error = reopen(&config, 1, opened.schema.clone()).map(drop).unwrap_err().to_string();
                assert!(error.contains(" records that the run began with, found "), "{error}");
            }
        }
    }
}

#[test]
fn blocks_of_texts_are_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let config = TextConfig { valid_fraction: 0.2, ..config(&parquet(folder.path(), 200)) };
    let opened = open(&config, 1).unwrap();
    let valid = opened.valid.unwrap();
    assert!(!valid.is_empty());
    assert_eq!(opened.train.len() + valid.len(), 200);
    let again = open_evaluation(&config, &opened.schema, None, 1).unwrap();
    assert_eq!(samples(again.dataset()), samples(valid.dataset()));
}

#[test]
fn a_text_without_a_label_has_a_line_and_may_be_skipped() {
    let message = |result: Result<(), DataError>| result.unwrap_err().to_string();
    let folder = tempfile::tempdir().unwrap();
    let uri = csv(folder.path(), 50);
    let text = fs::read_to_string(&uri).unwrap().replace("1,\"message 21\n", ",\"message 21\n");
    fs::write(&uri, &text).unwrap();
    let error = message(open(&config(&uri), 1).map(drop));
    assert!(error.contains(&format!("line {}: expected a label under `label`", 2 + 21 * 3)), "{error}");
    let skip = TextConfig { on_corrupt: OnCorrupt::Skip, ..config(&uri) };
    let opened = open(&skip, 1).unwrap();
    assert_eq!(batches(&opened.train, 0, 8).len(), 49);
    assert_eq!(opened.train.skipped().count(), 1);
    fs::write(folder.path().join("x.txt"), "words").unwrap();
    let error = message(open(&config(&folder.path().join("x.txt").display().to_string()), 1).map(drop));
    assert!(error.contains("data.stream"), "{error}");
}

/// Rows of a wrong width and rows without a label alike.
#[test]
fn texts_that_cannot_be_read_keep_their_places_among_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let good = csv(folder.path(), 60);
    let config = |uri: &str| TextConfig { vocabulary: crate::text::VocabularyKind::Byte, ..config(uri) };
    let whole = open(&config(&good), 1).unwrap();
    let samples: Vec<TextSample> = samples(whole.train.dataset());
    let text = fs::read_to_string(&good).unwrap();
    // Rows 20, 21 and 59 of another width, and 22 without a label.
    let row = |row: usize| format!("{},\"message {row}\n", row % 2);
    let (twenty, last) = (row(20), row(59));
    let bad = text.replace(&twenty, &format!("0,{twenty}")).replace(&row(21), &format!("0,{}", row(21)));
    let bad = bad.replace(&row(22), &row(22)[1..]).replace(&last, &format!("0,{last}"));
    fs::write(&good, &bad).unwrap();
    let skip = TextConfig { on_corrupt: OnCorrupt::Skip, ..config(&good) };
    let train = open(&skip, 1).unwrap().train;
    for (number, sample) in samples.iter().enumerate() {
        let found = train.dataset().sample(number as u64, Draw::default()).map_err(|error| error.to_string());
        let line = format!("line {}: ", 2 + 3 * number);
        match number {
            20 | 21 | 59 => assert!(found.unwrap_err().contains(&(line + "expected 2 cells, found 3 cells"))),
            22 => assert!(found.unwrap_err().contains(&(line + "expected a label under `label`"))),
            _ => assert_eq!(found.as_ref(), Ok(sample), "{number}"),
        }
    }
    // Where nothing is skipped, the first of them is the error.
    let error = open(&config(&good), 1).map(drop).unwrap_err().to_string();
    assert!(error.contains("line 62: expected 2 cells"), "{error}");
}
