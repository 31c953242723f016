//! One table in every format and packing: the same schema, the same batches, the same predictions.

use crate::dataset::{Dataset, Draw};
use crate::table::{TableConfig, TableSchema, TableSet, open, open_prediction};
use crate::{DataError, InputPiece};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use burn::tensor::Device;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Those that golden/formats.py writes.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/formats");

/// Rows of the table of golden/formats.py: colour, flag, a whole number that one row lacks, a number, a label.
fn rows() -> impl Iterator<Item = (&'static str, bool, Option<i64>, f64, &'static str)> {
    (0..24i64).map(|row| {
        let at = row as usize;
        let colour = ["red", "blue", "green"][at % 3];
        (colour, row % 4 == 0, (row != 5).then_some(row), row as f64 * 0.25 - 3.5, ["a", "b"][at % 2])
    })
}

fn csv() -> String {
    let row = |(c, flag, n, x, y): (&str, bool, Option<i64>, f64, &str)| {
        format!("{c},{flag},{},{x},{y}\n", n.map_or(String::new(), |n| n.to_string()))
    };
    "c,flag,n,x,y\n".to_string() + &rows().map(row).collect::<String>()
}

fn objects() -> Vec<serde_json::Value> {
    rows()
        .map(|(c, flag, n, x, y)| serde_json::json!({"c": c, "flag": flag, "n": n, "x": x, "y": y}))
        .collect()
}

/// The table in two batches, its colours in a dictionary.
fn batches() -> [RecordBatch; 2] {
    let batch = |rows: Vec<(&'static str, bool, Option<i64>, f64, &'static str)>| {
        // Every batch has the dictionary of the first: one that changes is refused.
        let words = Arc::new(StringArray::from(vec!["red", "blue", "green"]));
        let keys = rows
            .iter()
            .map(|row| ["red", "blue", "green"].iter().position(|c| *c == row.0).map(|at| at as i32));
        let colours = DictionaryArray::<Int32Type>::new(keys.collect(), words);
        let columns: [(&str, ArrayRef); 5] = [
            ("c", Arc::new(colours)),
            ("flag", Arc::new(rows.iter().map(|row| Some(row.1)).collect::<BooleanArray>())),
            ("n", Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>())),
            ("x", Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Float64Array>())),
            ("y", Arc::new(rows.iter().map(|row| Some(row.4)).collect::<StringArray>())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .unwrap()
    };
    [batch(rows().take(10).collect()), batch(rows().skip(10).collect())]
}

pub(super) fn ipc_file(compression: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let batches = batches();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

pub(super) fn ipc_stream() -> Vec<u8> {
    let batches = batches();
    let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

pub(super) fn parquet() -> Vec<u8> {
    let batches = batches();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(Vec::new(), batches[0].schema(), None).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(bytes).unwrap();
    bzip2.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(bytes).unwrap();
    xz.finish().unwrap()
}

pub(super) fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn config(uri: &str, stream: bool) -> TableConfig {
    TableConfig {
        train: uri.to_string(),
        target: "y".into(),
        stream: Some(stream),
        one_hot: false,
        workers: 0,
        ..Default::default()
    }
}

/// All rows of a set: their numbers and their categories.
fn numbers(set: &TableSet) -> (Vec<f32>, Vec<i64>) {
    let samples = (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
    let (table, _) = set.collate(samples, &Device::flex());
    (table.numeric.into_data().iter().collect(), table.categories.into_data().iter().collect())
}

/// The schema of a table and its rows, those to be predicted behind the others.
type Read = (TableSchema, (Vec<f32>, Vec<i64>), (Vec<f32>, Vec<i64>));

fn read(config: &TableConfig) -> Result<Read, DataError> {
    let opened = open(config, 1)?;
    let mut predicted = (Vec::new(), Vec::new());
    for piece in open_prediction(config, &opened.schema, std::slice::from_ref(&config.train))? {
        let InputPiece { samples, .. } = piece?;
        let (numeric, categories) = numbers(samples.dataset());
        predicted.0.extend(numeric);
        predicted.1.extend(categories);
    }
    let schema = TableSchema { streamed: None, ..opened.schema };
    Ok((schema, numbers(opened.train.dataset()), predicted))
}

fn written(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn every_format_is_the_same_table() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| written(folder.path(), name, bytes);
    let csv = csv();
    let lines: String = objects().iter().map(|object| format!("{object}\n")).collect();
    let array = serde_json::to_string(&objects()).unwrap();
    let reference = read(&config(&write("t.csv", csv.as_bytes()), false)).unwrap();
    let (schema, (numeric, categories), _) = &reference;
    assert_eq!((schema.rows, schema.labels()), (24, &["a".to_string(), "b".to_string()][..]));
    assert_eq!(schema.numeric_names(), ["n", "n_missing", "x"]);
    assert_eq!((numeric.len(), categories.len()), (3 * 24, 2 * 24));
    // An index is put beside what is streamed.
    let golden = |name: &str| write(name, &fs::read(format!("{GOLDEN}/{name}")).unwrap());
    let mut uris = vec![
        write("t.jsonl", lines.as_bytes()),
        write("lines.json", lines.as_bytes()),
        write("array.json", array.as_bytes()),
        write("pretty.json", serde_json::to_string_pretty(&objects()).unwrap().as_bytes()),
        write("objects", array.trim_matches(['[', ']']).replace("},{", "}\n\n{").as_bytes()),
        write("t.parquet", &parquet()),
        write("t.feather", &ipc_file(None)),
        write("lz4.arrow", &ipc_file(Some(CompressionType::LZ4_FRAME))),
        write("zstd.arrow", &ipc_file(Some(CompressionType::ZSTD))),
        write("stream.arrow", &ipc_stream()),
        write("stream.dat", &ipc_stream()),
        write("parquet", &parquet()),
        write("rows.data", csv.as_bytes()),
        write("t.csv.gz", &gzip(csv.as_bytes())),
        write("t.csv.zst", &zstd::encode_all(csv.as_bytes(), 1).unwrap()),
        write("t.csv.bz2", &bzip2(csv.as_bytes())),
        write("t.csv.xz", &xz(csv.as_bytes())),
        write("twice.bz2", &[bzip2(&csv.as_bytes()[..100]), bzip2(&csv.as_bytes()[100..])].concat()),
        write("twice.xz", &[xz(&csv.as_bytes()[..100]), xz(&csv.as_bytes()[100..])].concat()),
        write("t.arrow.gz", &gzip(&ipc_file(None))),
        write("t.json.xz", &xz(array.as_bytes())),
        write("t.csv.zip", &zip(&[("t.csv", csv.as_bytes())])),
        write(
            "one.zip",
            &zip(&[("__MACOSX/._t", b"x"), ("d/t.jsonl", lines.as_bytes()), ("d/.DS_Store", b"x")]),
        ),
        write("arrow.zip", &zip(&[("no ending", &ipc_file(None))])),
        golden("table.xlsx"),
        golden("table.ods"),
        write("book.dat", &fs::read(format!("{GOLDEN}/table.xlsx")).unwrap()),
        write("book.zip", &zip(&[("in/table.xlsx", &fs::read(format!("{GOLDEN}/table.xlsx")).unwrap())])),
    ];
    uris.extend(["null", "deflate", "snappy", "zstandard"].map(|codec| golden(&format!("{codec}.avro"))));
    let several = write("several.zip", &zip(&[("a.csv", csv.as_bytes()), ("b/t.json", array.as_bytes())]));
    uris.extend([format!("{several}/a.csv"), format!("{several}/b/t.json")]);
    for uri in uris {
        for stream in [false, true] {
            let found = read(&config(&uri, stream)).unwrap_or_else(|error| panic!("{uri}: {error}"));
            assert!(found == reference, "{uri} {stream}: {found:?}\n{reference:?}");
        }
    }
    let error = read(&config(&several, false)).unwrap_err().to_string();
    assert!(error.contains("a zip with one file, or the name of one behind it"), "{error}");
    assert!(error.ends_with("several.zip/a.csv`, found a.csv, b/t.json"), "{error}");
    let error = read(&config(&format!("{several}/c.csv"), false)).unwrap_err().to_string();
    assert!(error.ends_with("expected a member of the zip: a.csv, b/t.json, found `c.csv`"), "{error}");
}

#[test]
fn libsvm_is_the_table_that_it_leaves_the_zeros_out_of() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| written(folder.path(), name, text);
    let value = |row: i64, feature: i64| if (row + feature) % 3 == 0 { row * feature } else { 0 };
    let dense = |row: i64| format!("{},{},{},{}\n", value(row, 1), value(row, 2), value(row, 3), row % 2);
    let sparse = |row: i64| {
        let pairs = (1..4).filter(|&at| value(row, at) != 0).map(|at| format!(" {at}:{}", value(row, at)));
        format!("{}{}\n", row % 2, pairs.collect::<String>())
    };
    let csv = write("t.csv", &("1,2,3,label\n".to_string() + &(0..30).map(dense).collect::<String>()));
    let config = |uri: &str, stream| TableConfig { target: "label".into(), ..config(uri, stream) };
    let reference = read(&config(&csv, false)).unwrap();
    let text: String = (0..30).map(sparse).collect();
    for name in ["t.svm", "t.txt", "t.libsvm"] {
        let uri = write(name, &text);
        for stream in [false, true] {
            assert_eq!(read(&config(&uri, stream)).unwrap(), reference, "{name}");
        }
    }
    // A file that lacks the last features has 0 there: to predict, and beside another file.
    let trained = open(&config(&write("train.svm", &text), false), 1).unwrap().schema;
    let few = write("few.svm", "1 1:2\n");
    let config = config(&few, false);
    let piece =
        open_prediction(&config, &trained, std::slice::from_ref(&few)).unwrap().next().unwrap().unwrap();
    assert_eq!(numbers(piece.samples.dataset()).0.len(), 3);
    let set = write("set/1.svm", "1 1:2\n0 1:1\n");
    write("set/2.svm", "1 1:2 2:3\n0 2:1\n");
    let set = TableConfig { train: set.trim_end_matches("/1.svm").to_string(), ..config.clone() };
    let opened = open(&set, 1).unwrap();
    assert!(opened.schema.columns.iter().all(|column| column.missing == 0));
    let streamed = open(&TableConfig { stream: Some(true), ..set }, 1).err().unwrap().to_string();
    assert!(streamed.ends_with("1.svm: 1, label, found 1, 2, label"), "{streamed}");
}

#[test]
fn sheets_are_named_and_their_dates_are_text() {
    let uri = format!("{GOLDEN}/table.xlsx");
    let sheet =
        |name: &str| TableConfig { sheet: Some(name.into()), stream: Some(false), ..config(&uri, false) };
    let opened = open(&TableConfig { target: "y".into(), ..sheet("notes") }, 1).unwrap();
    assert_eq!((opened.schema.rows, opened.schema.labels()), (2, &["p".to_string(), "q".to_string()][..]));
    let error = open(&sheet("note"), 1).err().unwrap().to_string();
    assert!(
        error.starts_with("data.sheet: expected a sheet of ") && error.ends_with("found `note`"),
        "{error}"
    );
    assert!(error.contains("`notes`"), "{error}");
}

#[test]
fn an_ending_that_lies_is_refused_with_what_the_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let error = |name: &str, bytes: &[u8]| {
        let uri = written(folder.path(), name, bytes);
        let held = read(&config(&uri, false)).unwrap_err().to_string();
        let streamed = read(&config(&uri, true)).unwrap_err().to_string();
        assert_eq!(held, streamed);
        held
    };
    let parquet = parquet();
    let found = error("parquet.csv", &parquet);
    assert!(
        found.ends_with("expected a file of text, found a Parquet file, which `format = \"parquet\"` reads"),
        "{found}"
    );
    assert!(error("parquet.jsonl.gz", &gzip(&parquet)).contains("found a Parquet file"));
    assert!(error("csv.parquet", csv().as_bytes()).contains("Parquet"));
    assert!(error("csv.arrow", csv().as_bytes()).ends_with("found another file"));
    assert!(error("csv.avro", csv().as_bytes()).ends_with("found another file"));
    assert!(error("csv.xlsx", csv().as_bytes()).contains("a whole workbook"));
    assert!(error("png.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").ends_with("found a PNG picture"));
    let within = gzip(&gzip(csv().as_bytes()));
    assert!(error("t.csv.gz", &within).contains("a packed file within a packed file"));
    assert!(error("x.orc", b"ORC").ends_with("found the name of ORC"));
}
