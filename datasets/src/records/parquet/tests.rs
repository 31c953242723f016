//! Files of Parquet, written by its crate and read.

use super::ParquetRecords;
use crate::DataError;
use crate::records::batches::FRAME_ROWS;
use crate::records::cells::Cells;
use crate::records::frame::Frame;
use crate::records::marks::Marks;
use crate::records::read::{Found, ReadOptions, ReadRecords, Use};
use ::parquet::arrow::ArrowWriter;
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int32Array, RecordBatch,
    StringArray,
};
use bytes::Bytes;
use std::sync::Arc;

fn read(bytes: Bytes, column: &dyn Fn(&str) -> Use) -> Result<Frame, DataError> {
    let missing = Marks::new(vec!["?".to_string()]);
    let options = ReadOptions { missing: Some(&missing), ..ReadOptions::plain(column) };
    let mut all: Option<Frame> = None;
    ParquetRecords.read("t.parquet", bytes, &options, &mut |found| {
        let Found::Frame(frame) = found else { panic!("every row of Parquet can be read") };
        match &mut all {
            Some(all) => all.append(frame),
            None => {
                all = Some(frame);
                Ok(())
            }
        }
    })?;
    Ok(all.unwrap())
}

const CELLS: &dyn Fn(&str) -> Use = &|_| Use::Cell;

fn file(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn sample() -> Vec<u8> {
    let colours: DictionaryArray<Int32Type> = [Some("red"), None, Some("blue")].into_iter().collect();
    file(vec![
        ("count", Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]))),
        ("size", Arc::new(Float64Array::from(vec![0.5, f64::NAN, 2.5]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("name", Arc::new(StringArray::from(vec![Some(" x"), Some("?"), None]))),
        ("colour", Arc::new(colours)),
        ("day", Arc::new(Date32Array::from(vec![Some(7), None, Some(9)]))),
    ])
}

#[test]
fn every_type_becomes_cells() {
    let frame = read(sample().into(), CELLS).unwrap();
    assert_eq!(frame.names, ["count", "size", "flag", "name", "colour", "day"]);
    let text = |column: usize, row| frame.columns[column].text(row).map(|cell| cell.into_owned());
    assert_eq!(text(0, 2).as_deref(), Some("3"));
    assert_eq!((text(0, 1), text(1, 1), text(2, 2)), (None, None, None));
    assert_eq!(text(2, 0).as_deref(), Some("true"));
    assert_eq!((text(3, 0).as_deref(), text(3, 1), text(3, 2)), (Some("x"), None, None));
    assert_eq!((text(4, 0).as_deref(), text(4, 1), text(4, 2).as_deref()), (Some("red"), None, Some("blue")));
    assert_eq!(frame.columns[5].number(2), Some(Ok(9.0)));
}

#[test]
fn dates_and_times_of_every_unit_are_days() {
    use arrow_array::{
        Date64Array, Time32SecondArray, Time64NanosecondArray, TimestampMillisecondArray,
        TimestampNanosecondArray, TimestampSecondArray,
    };
    // 1969-12-31T18:00 and 2024-12-31T06:00, days -0.25 and 20,088.25; a quarter of a day.
    let seconds = [-21_600i64, 20_088 * 86_400 + 21_600];
    let of = |unit: i64| seconds.map(|seconds| Some(seconds * unit)).to_vec();
    let in_dictionary: DictionaryArray<Int32Type> = DictionaryArray::new(
        Int32Array::from(vec![Some(1), None]),
        Arc::new(TimestampSecondArray::from(of(1))),
    );
    let bytes = file(vec![
        ("s", Arc::new(TimestampSecondArray::from(of(1)).with_timezone("UTC"))),
        ("ms", Arc::new(TimestampMillisecondArray::from(of(1_000)))),
        ("ns", Arc::new(TimestampNanosecondArray::from(of(1_000_000_000)))),
        ("date", Arc::new(Date64Array::from(of(1_000)))),
        ("day", Arc::new(Date32Array::from(vec![Some(-1), None]))),
        ("time", Arc::new(Time32SecondArray::from(vec![21_600, 43_200]))),
        ("fine", Arc::new(Time64NanosecondArray::from(vec![21_600_000_000_000, 0]))),
        ("words", Arc::new(in_dictionary)),
    ]);
    let options = ReadOptions { dates: true, ..ReadOptions::plain(CELLS) };
    let mut columns = Vec::new();
    ParquetRecords
        .read("t.parquet", bytes.into(), &options, &mut |found| {
            if let Found::Frame(frame) = found {
                columns = frame.columns;
            }
            Ok(())
        })
        .unwrap();
    let days: Vec<Vec<Option<f64>>> = columns
        .iter()
        .map(|cells| {
            assert!(matches!(cells, Cells::Dates(_)));
            (0..2).map(|row| cells.number(row).map(Result::unwrap)).collect()
        })
        .collect();
    let both = vec![Some(-0.25), Some(20_088.25)];
    assert_eq!(days[..3], [both.clone(), both.clone(), both]);
    // A date of milliseconds is whole in a file that its own format checks; its unit is what counts here.
    assert_eq!(days[3][0].map(f64::floor), Some(-1.0));
    assert_eq!(days[4], [Some(-1.0), None]);
    assert_eq!((&days[5][..], &days[6][..]), (&[Some(0.25), Some(0.5)][..], &[Some(0.25), Some(0.0)][..]));
    assert_eq!(days[7], [Some(20_088.25), None]);
    assert_eq!(columns[0].text(1).unwrap(), "2024-12-31T06:00:00");
}

/// `Timedelta.total_seconds()` of pandas, and `float` of Python's `Decimal`.
#[test]
fn durations_are_seconds_and_decimals_the_nearest_numbers() {
    use arrow_array::{
        Decimal128Array, Decimal256Array, DurationMicrosecondArray, DurationMillisecondArray,
        DurationNanosecondArray, DurationSecondArray,
    };
    let wide =
        Decimal256Array::from(vec![Some("123456789012345678901234567890123456789".parse().unwrap()), None]);
    let bytes = file(vec![
        ("s", Arc::new(DurationSecondArray::from(vec![Some(90), None]))),
        ("ms", Arc::new(DurationMillisecondArray::from(vec![Some(90_500), None]))),
        ("us", Arc::new(DurationMicrosecondArray::from(vec![Some(-1), None]))),
        ("ns", Arc::new(DurationNanosecondArray::from(vec![Some(93_784_000_000_100), None]))),
        (
            "money",
            Arc::new(Decimal128Array::from(vec![Some(3), None]).with_precision_and_scale(5, 1).unwrap()),
        ),
        ("wide", Arc::new(wide.with_precision_and_scale(45, 6).unwrap())),
    ]);
    let frame = read(bytes.into(), &|_| Use::Offer).unwrap();
    let numbers: Vec<_> = frame.columns.iter().map(|cells| cells.number(0).unwrap().unwrap()).collect();
    assert_eq!(numbers, [90.0, 90.5, -1e-6, 93_784.000_000_1, 0.3, 1.234_567_890_123_456_8e32]);
    assert!(frame.columns.iter().all(|cells| cells.number(1).is_none()));
}

#[test]
fn fields_of_structs_are_columns_and_lists_are_left_out_where_they_may_be() {
    use arrow_array::types::Float64Type;
    use arrow_array::{ListArray, StructArray};
    use arrow_schema::{Field, Fields};
    let list = || -> ArrayRef {
        let rows = [Some(vec![Some(1.0), Some(2.0)]), None, Some(vec![])];
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows))
    };
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(2), None]));
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), Some("y"), Some("z")]));
    let fields: Fields = [("n", &numbers), ("tags", &list()), ("name", &names)]
        .map(|(name, array)| Field::new(name, array.data_type().clone(), true))
        .into_iter()
        .collect();
    let nulls = vec![true, false, true].into();
    let inner = StructArray::new(fields, vec![numbers, list(), names], Some(nulls));
    let bytes =
        file(vec![("emb", list()), ("s", Arc::new(inner)), ("a", Arc::new(Int32Array::from(vec![7, 8, 9])))]);
    let frame = read(bytes.clone().into(), &|_| Use::Offer).unwrap();
    assert_eq!(frame.names, ["s.n", "s.name", "a"]);
    assert_eq!(frame.ignored, ["emb", "s.tags"]);
    let text = |column: usize, row| frame.columns[column].text(row).map(|cell| cell.into_owned());
    let of = |column| (0..3).map(|row| text(column, row)).collect::<Vec<_>>();
    assert_eq!(of(0), [Some("1".to_string()), None, None]);
    assert_eq!(of(1), [Some("x".to_string()), None, Some("z".to_string())]);
    assert_eq!(of(2).into_iter().flatten().collect::<String>(), "789");
    // A run asks for the fields that it began with, and the structs around them for nothing.
    let asked = |name: &str| if name == "s.n" { Use::Cell } else { Use::Check };
    assert_eq!(read(bytes.clone().into(), &asked).unwrap().names, ["s.n"]);
    assert_eq!(read(bytes.clone().into(), &|_| Use::Nothing).unwrap().ignored, ["emb", "s", "a"]);
    let named = |name: &str| if name == "emb" { Use::Cell } else { Use::Offer };
    let error = read(bytes.into(), &named).unwrap_err().to_string();
    assert!(error.contains("column `emb`: expected numbers, truth values or text"), "{error}");
}

#[test]
fn damaged_files_are_errors() {
    let whole = sample();
    for length in [0, 3, 8, whole.len() / 2, whole.len() - 1] {
        let cut = Bytes::copy_from_slice(&whole[..length]);
        let error = read(cut, CELLS).unwrap_err().to_string();
        assert!(error.starts_with("t.parquet: expected a whole Parquet file"), "{error}");
        assert!(!error.contains('\n'));
    }
    let text = Bytes::from_static(b"a,b\n1,2\n3,4\n5,6\n7,8\n");
    assert!(read(text, CELLS).is_err());
}

#[test]
fn a_flipped_byte_is_at_most_an_error() {
    let whole = sample();
    for position in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[position] ^= 0x5a;
        if let Err(error) = read(flipped.into(), CELLS) {
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

#[test]
fn binary_columns_are_refused_unless_ignored() {
    let bytes = file(vec![
        ("blob", Arc::new(BinaryArray::from(vec![&b"x"[..]]))),
        ("a", Arc::new(Int32Array::from(vec![1]))),
    ]);
    let error = read(bytes.clone().into(), CELLS).unwrap_err().to_string();
    assert!(error.contains("column `blob`") && error.contains("Binary"), "{error}");
    let frame = read(bytes.into(), &|name| if name == "blob" { Use::Nothing } else { Use::Cell }).unwrap();
    assert_eq!((frame.names, frame.ignored), (vec!["a".to_string()], vec!["blob".to_string()]));
}

#[test]
fn files_of_several_batches_are_read_whole_and_those_without_rows_have_their_columns() {
    let rows = 2 * FRAME_ROWS as i32 + 5;
    let frame = read(file(vec![("a", Arc::new(Int32Array::from_iter_values(0..rows)))]).into(), CELLS);
    let frame = frame.unwrap();
    assert_eq!((frame.len(), frame.files.len()), (rows as usize, 1));
    assert_eq!(frame.columns[0].number(rows as usize - 1), Some(Ok(f64::from(rows - 1))));
    assert_eq!(frame.lines.last(), Some(&(rows as u64)));
    let empty: ArrayRef = Arc::new(Int32Array::from(Vec::<i32>::new()));
    let frame = read(file(vec![("a", empty)]).into(), CELLS).unwrap();
    assert_eq!((frame.len(), frame.names), (0, vec!["a".to_string()]));
}

#[test]
fn labels_are_spelled_out_and_keep_every_digit() {
    let large = 9_007_199_254_740_993i64;
    let numbers: ArrayRef = Arc::new(arrow_array::Int64Array::from(vec![Some(large), None]));
    let frame = read(file(vec![("id", numbers)]).into(), &|_| Use::Label).unwrap();
    assert_eq!(frame.columns[0].text(0).unwrap(), large.to_string());
    assert_eq!(frame.columns[0].text(1), None);
    let fractions: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(-2.5), Some(f64::NAN), None]));
    let frame = read(file(vec![("y", fractions)]).into(), &|_| Use::Label).unwrap();
    let labels: Vec<Option<String>> = (0..4).map(|row| frame.columns[0].text(row).map(Into::into)).collect();
    assert_eq!(labels, [Some("1".to_string()), Some("-2.5".to_string()), None, None]);
    let error = read(sample().into(), &|name| if name == "size" { Use::Text } else { Use::Nothing });
    let error = error.unwrap_err().to_string();
    assert!(
        error.ends_with("column `size`: expected text, whole numbers or truth values, found Float64"),
        "{error}"
    );
}

/// pyarrow's file of 24 rows, whose pages have checksums: no bit of a page is read as another number.
#[test]
fn a_page_whose_checksum_differs_is_refused() {
    let whole = include_bytes!("../../../golden/formats/checked.parquet");
    let values = |bytes: Vec<u8>| -> Result<Vec<String>, DataError> {
        let frame = read(bytes.into(), CELLS)?;
        let column = |column: &Cells| {
            let cells: Vec<String> = (0..24).map(|row| column.text(row).unwrap().into_owned()).collect();
            cells.join(" ")
        };
        Ok(frame.columns.iter().map(column).collect())
    };
    let expected = values(whole.to_vec()).unwrap();
    assert!(expected[0].starts_with("-3.5 -3.25 -3"), "{expected:?}");
    let first = [(-3.5f64).to_le_bytes(), (-3.25f64).to_le_bytes()].concat();
    let begin = whole.windows(16).position(|bytes| bytes == first).unwrap();
    for at in begin..begin + 24 * 8 {
        let mut flipped = whole.to_vec();
        flipped[at] ^= 1 << (at % 8);
        let error = values(flipped).unwrap_err().to_string();
        assert!(error.starts_with("t.parquet: expected a whole Parquet file"), "{error}");
    }
}
