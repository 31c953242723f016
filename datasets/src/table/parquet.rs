//! Parquet, through arrow: flat columns of numbers, truth values and text.
//!
//! Numbers, dates and times become f64 (days or the unit of the file, since its own origin): whole
//! numbers beyond 2^53 lose their last digits. Truth values become the categories `false` and
//! `true`. Null is a missing value.

use super::cells::{Cells, TextCells};
use super::config::TableConfig;
use super::frame::Frame;
use crate::DataError;
use crate::index::Block;
use crate::records::parquet::{
    TakeRows, Wanted, damaged, read_bytes, read_group as read_rows, read_object as read_file,
};
use crate::store::Source;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType,
    Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray, RecordBatch};
use arrow_schema::{DataType, Fields, TimeUnit};
use bytes::Bytes;
use std::cell::RefCell;

/// Rows decoded at a time.
const BATCH_ROWS: usize = 8192;

/// Reads a table; the columns of `data.ignore` are not decoded.
///
/// # Errors
/// When the bytes are no Parquet file, are damaged or cut short, or a column is nested or binary.
pub(super) fn read(uri: &str, bytes: Bytes, config: &TableConfig) -> Result<Frame, DataError> {
    let wanted = |name: &str| !config.ignore.iter().any(|ignored| ignored == name);
    collect(uri, 1, config, &wanted, |choose, take| read_bytes(uri, bytes, choose, take))
}

/// Reads one row group; only the columns that `wanted` says of are fetched.
///
/// # Errors
/// As [`read`].
pub(super) fn read_group(
    source: &Source,
    shard: usize,
    block: &Block,
    config: &TableConfig,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Frame, DataError> {
    let uri = source.shard_uri(shard);
    let (object, metadata, group) = source.row_group(shard, block)?;
    let frame = collect(uri, block.line, config, wanted, |choose, take| {
        read_rows(object, &metadata, (group, block.line), choose, take)
    })?;
    match frame.len() as u64 == block.records {
        true => Ok(frame),
        false => Err(damaged(uri, &format!("{} rows in row group {group}", frame.len()))),
    }
}

/// Reads a file where it lies, a row group at a time, and hands some thousand rows at a time to `take`; only
/// the columns that `wanted` says of are fetched.
///
/// # Errors
/// `take`'s own, and as [`read`].
pub(super) fn read_object(
    uri: &str,
    config: &TableConfig,
    wanted: &dyn Fn(&str) -> bool,
    take: &mut dyn FnMut(Frame) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let columns = RefCell::new(Columns::default());
    read_file(uri, &mut |fields| Columns::choose(&columns, uri, fields, wanted), &mut |first_row, batch| {
        let mut some = columns.borrow().clone();
        some.append(&batch, config);
        take(some.frame(uri, first_row))
    })
}

/// The picker of the columns of a file.
type Choose<'a> = &'a mut dyn FnMut(&Fields) -> Result<Wanted, DataError>;

/// The rows that `read` hands out, in one frame; the first is row `first_row` of the file.
fn collect(
    uri: &str,
    first_row: u64,
    config: &TableConfig,
    wanted: &dyn Fn(&str) -> bool,
    read: impl FnOnce(Choose<'_>, TakeRows<'_>) -> Result<(), DataError>,
) -> Result<Frame, DataError> {
    let columns = RefCell::new(Columns::default());
    read(&mut |fields| Columns::choose(&columns, uri, fields, wanted), &mut |_, batch| {
        columns.borrow_mut().append(&batch, config);
        Ok(())
    })?;
    Ok(columns.into_inner().frame(uri, first_row))
}

/// The columns to decode.
#[derive(Clone, Debug, Default)]
struct Columns {
    names: Vec<String>,
    /// The cells so far, a column each.
    cells: Vec<Cells>,
    /// The names of the others.
    ignored: Vec<String>,
    rows: u64,
}

impl Columns {
    /// Finds the wanted columns of a file, puts them into `columns`, and says where they are.
    ///
    /// # Errors
    /// When one of them is of a type that is no cell of a table.
    fn choose(
        columns: &RefCell<Columns>,
        uri: &str,
        fields: &Fields,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Wanted, DataError> {
        let (mut kept, mut found) = (Vec::new(), Columns::default());
        for (index, field) in fields.iter().enumerate() {
            if !wanted(field.name()) {
                found.ignored.push(field.name().clone());
                continue;
            }
            let Some(cells) = empty(field.data_type()) else {
                let place = format!("column `{}`", field.name());
                let expected = "numbers, truth values or text (or its name in data.ignore)";
                return Err(DataError::malformed(uri, place, expected, field.data_type()));
            };
            kept.push(index);
            found.names.push(field.name().clone());
            found.cells.push(cells);
        }
        *columns.borrow_mut() = found;
        Ok(Wanted { columns: kept, batch_rows: BATCH_ROWS })
    }

    fn append(&mut self, batch: &RecordBatch, config: &TableConfig) {
        self.rows += batch.num_rows() as u64;
        for (cells, array) in self.cells.iter_mut().zip(batch.columns()) {
            match cells {
                Cells::Numbers(numbers) => append_numbers(numbers, array),
                Cells::Text(text) => append_text(text, array, config),
            }
        }
    }

    /// The rows so far, of which the first is row `first_row` of the file.
    fn frame(self, uri: &str, first_row: u64) -> Frame {
        let lines = (first_row..first_row + self.rows).collect();
        Frame { ignored: self.ignored, ..Frame::new(uri, self.names, self.cells, lines, "row") }
    }
}

/// An empty column for this type; `None` for types that are no cells of a table.
fn empty(data_type: &DataType) -> Option<Cells> {
    match data_type {
        DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            Some(Cells::Text(TextCells::default()))
        }
        DataType::Dictionary(_, values) => empty(values),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Some(Cells::Numbers(Vec::new())),
        DataType::Time32(_) | DataType::Time64(_) => Some(Cells::Numbers(Vec::new())),
        DataType::Decimal128(..) | DataType::Null => Some(Cells::Numbers(Vec::new())),
        numeric if numeric.is_integer() || numeric.is_floating() => Some(Cells::Numbers(Vec::new())),
        _ => None,
    }
}

/// Appends an array of a type that [`empty`] calls numbers; null becomes not-a-number.
fn append_numbers(numbers: &mut Vec<f64>, array: &dyn Array) {
    fn extend<T: ArrowPrimitiveType>(
        numbers: &mut Vec<f64>,
        array: &dyn Array,
        f64_of: impl Fn(T::Native) -> f64,
    ) {
        let array: &PrimitiveArray<T> = array.as_primitive();
        numbers.extend(array.iter().map(|value| value.map_or(f64::NAN, &f64_of)));
    }
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match array.data_type() {
        DataType::Int8 => extend::<Int8Type>(numbers, array, f64::from),
        DataType::Int16 => extend::<Int16Type>(numbers, array, f64::from),
        DataType::Int32 => extend::<Int32Type>(numbers, array, f64::from),
        DataType::Int64 => extend::<Int64Type>(numbers, array, |value| value as f64),
        DataType::UInt8 => extend::<UInt8Type>(numbers, array, f64::from),
        DataType::UInt16 => extend::<UInt16Type>(numbers, array, f64::from),
        DataType::UInt32 => extend::<UInt32Type>(numbers, array, f64::from),
        DataType::UInt64 => extend::<UInt64Type>(numbers, array, |value| value as f64),
        DataType::Float16 => extend::<Float16Type>(numbers, array, |value| value.to_f64()),
        DataType::Float32 => extend::<Float32Type>(numbers, array, f64::from),
        DataType::Float64 => extend::<Float64Type>(numbers, array, |value| value),
        DataType::Date32 => extend::<Date32Type>(numbers, array, f64::from),
        DataType::Date64 => extend::<Date64Type>(numbers, array, |value| value as f64),
        DataType::Time32(Second) => extend::<Time32SecondType>(numbers, array, f64::from),
        DataType::Time32(_) => extend::<Time32MillisecondType>(numbers, array, f64::from),
        DataType::Time64(Microsecond) => {
            extend::<Time64MicrosecondType>(numbers, array, |value| value as f64)
        }
        DataType::Time64(_) => extend::<Time64NanosecondType>(numbers, array, |value| value as f64),
        DataType::Timestamp(Second, _) => extend::<TimestampSecondType>(numbers, array, |value| value as f64),
        DataType::Timestamp(Millisecond, _) => {
            extend::<TimestampMillisecondType>(numbers, array, |value| value as f64);
        }
        DataType::Timestamp(Microsecond, _) => {
            extend::<TimestampMicrosecondType>(numbers, array, |value| value as f64);
        }
        DataType::Timestamp(Nanosecond, _) => {
            extend::<TimestampNanosecondType>(numbers, array, |value| value as f64);
        }
        DataType::Decimal128(_, scale) => {
            let unit = 10f64.powi(-i32::from(*scale));
            extend::<Decimal128Type>(numbers, array, |value| value as f64 * unit);
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                numbers.extend(std::iter::repeat_n(f64::NAN, array.len()));
                return;
            }
            let mut values = Vec::new();
            append_numbers(&mut values, dictionary.values());
            let keys = dictionary.normalized_keys();
            let value =
                |(row, &key): (usize, &usize)| if array.is_null(row) { f64::NAN } else { values[key] };
            numbers.extend(keys.iter().enumerate().map(value));
        }
        // Only the Null type is left of what `empty` lets through.
        _ => numbers.extend(std::iter::repeat_n(f64::NAN, array.len())),
    }
}

/// Appends an array of a type that [`empty`] calls text.
fn append_text(text: &mut TextCells, array: &dyn Array, config: &TableConfig) {
    let trimmed =
        |cell: Option<&str>| cell.map(str::trim).filter(|cell| !config.is_missing(cell)).map(String::from);
    match array.data_type() {
        DataType::Boolean => {
            let name = |value| if value { "true" } else { "false" };
            array.as_boolean().iter().for_each(|value| text.push(value.map(name)));
        }
        DataType::Utf8 => {
            array.as_string::<i32>().iter().for_each(|cell| text.push(trimmed(cell).as_deref()))
        }
        DataType::LargeUtf8 => {
            array.as_string::<i64>().iter().for_each(|cell| text.push(trimmed(cell).as_deref()));
        }
        DataType::Utf8View => {
            array.as_string_view().iter().for_each(|cell| text.push(trimmed(cell).as_deref()))
        }
        // A dictionary, the last of what `empty` lets through.
        _ => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                (0..array.len()).for_each(|_| text.push(None));
                return;
            }
            let mut values = TextCells::default();
            append_text(&mut values, dictionary.values(), config);
            let values = Cells::Text(values);
            for (row, key) in dictionary.normalized_keys().into_iter().enumerate() {
                let cell = if array.is_null(row) { None } else { values.text(key) };
                text.push(cell.as_deref());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::parquet::arrow::ArrowWriter;
    use arrow_array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int32Array,
        RecordBatch, StringArray,
    };
    use std::sync::Arc;

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
        let frame = read("t.parquet", sample().into(), &TableConfig::default()).unwrap();
        assert_eq!(frame.names, ["count", "size", "flag", "name", "colour", "day"]);
        let text = |column: usize, row| frame.columns[column].text(row).map(|cell| cell.into_owned());
        assert_eq!(text(0, 2).as_deref(), Some("3"));
        assert_eq!((text(0, 1), text(1, 1), text(2, 2)), (None, None, None));
        assert_eq!(text(2, 0).as_deref(), Some("true"));
        assert_eq!((text(3, 0).as_deref(), text(3, 1), text(3, 2)), (Some("x"), None, None));
        assert_eq!(
            (text(4, 0).as_deref(), text(4, 1), text(4, 2).as_deref()),
            (Some("red"), None, Some("blue"))
        );
        assert_eq!(frame.columns[5].number(2), Some(Ok(9.0)));
    }

    #[test]
    fn damaged_files_are_errors() {
        let whole = sample();
        for length in [0, 3, 8, whole.len() / 2, whole.len() - 1] {
            let cut = Bytes::copy_from_slice(&whole[..length]);
            let error = read("t.parquet", cut, &TableConfig::default()).unwrap_err().to_string();
            assert!(error.starts_with("t.parquet: expected a whole Parquet file"), "{error}");
            assert!(!error.contains('\n'));
        }
        let text = Bytes::from_static(b"a,b\n1,2\n3,4\n5,6\n7,8\n");
        assert!(read("t.parquet", text, &TableConfig::default()).is_err());
    }

    #[test]
    fn a_flipped_byte_is_at_most_an_error() {
        let whole = sample();
        for position in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[position] ^= 0x5a;
            if let Err(error) = read("t.parquet", flipped.into(), &TableConfig::default()) {
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
        let error = read("t.parquet", bytes.clone().into(), &TableConfig::default()).unwrap_err().to_string();
        assert!(error.contains("column `blob`") && error.contains("Binary"), "{error}");
        let ignore = TableConfig { ignore: vec!["blob".into()], ..Default::default() };
        assert_eq!(read("t.parquet", bytes.into(), &ignore).unwrap().names, ["a"]);
    }
}
