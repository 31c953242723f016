//! Arrow arrays as cells: columns of numbers, truth values and text, those within a struct under the name of both,
//! `struct.field`, as objects of JSON are. A column of another type (a list, bytes) is left out, where its use allows
//! that, and told.
//!
//! Numbers become f64: whole numbers beyond 2^53 lose their last digits. Dates and times become days since 1970
//! or, to a reader that does not ask for dates, numbers of the file's own unit and origin; durations are seconds. Truth values become
//! the categories `false` and `true`. Null is a missing value. Where text or labels are wanted, whole numbers are
//! spelled out instead, and of labels all numbers; and whole numbers whose classes the file names are these names.

use super::classes::{append_named, class_names};
use crate::DataError;
use crate::records::cells::{Cells, TextCells};
use crate::records::days::days;
use crate::records::frame::Frame;
use crate::records::once::warn_first;
use crate::records::read::{ReadOptions, Use};
use crate::records::wording::shortened;
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, make_array};
use arrow_schema::{DataType, Field, Schema, TimeUnit};

/// Rows decoded at a time, at most.
const BATCH_ROWS: usize = 8192;

/// The columns of a file that are wanted.
pub(in crate::records) struct Columns {
    /// The numbers in the file of those that they are, or lie in.
    at: Vec<usize>,
    /// Where each of them is.
    places: Vec<Place>,
    names: Vec<String>,
    /// A column each, without a row.
    empty: Vec<Cells>,
    /// The names that the file gives to the numbers of each; none without such.
    classes: Vec<Vec<String>>,
    /// The names of the others.
    ignored: Vec<String>,
    /// Rows to decode at a time.
    pub(super) batch_rows: usize,
}

/// Where a column lies: in a column of the file, or in structs within it.
#[derive(Clone, Debug)]
struct Place {
    /// The place of the file's column among those that are read.
    column: usize,
    /// The fields of the structs, the outermost first.
    fields: Vec<usize>,
}

impl Columns {
    /// Finds the wanted columns of a file.
    ///
    /// # Errors
    /// When one of them is of a type that cannot be used as it is wanted.
    pub(super) fn of(
        uri: &str,
        metadata: &ArrowReaderMetadata,
        options: &ReadOptions<'_>,
    ) -> Result<Self, DataError> {
        Columns::of_schema(uri, metadata.schema(), options)
    }

    /// Finds the wanted columns of a schema.
    ///
    /// # Errors
    /// As [`of`](Columns::of).
    pub(in crate::records) fn of_schema(
        uri: &str,
        schema: &Schema,
        options: &ReadOptions<'_>,
    ) -> Result<Self, DataError> {
        let mut columns = Columns {
            at: Vec::new(),
            places: Vec::new(),
            names: Vec::new(),
            empty: Vec::new(),
            classes: Vec::new(),
            ignored: Vec::new(),
            batch_rows: options.at_once.min(BATCH_ROWS),
        };
        let mut left_out = Vec::new();
        for (at, field) in schema.fields().iter().enumerate() {
            let place = Place { column: columns.at.len(), fields: Vec::new() };
            let before = columns.names.len();
            let classes = || class_names(schema, field.name());
            columns.add((uri, options), field.name().clone(), field, place, &classes, &mut left_out)?;
            if columns.names.len() > before {
                columns.at.push(at);
            }
        }
        if !left_out.is_empty() {
            let (count, columns) = (left_out.len(), left_out.join(", "));
            let folder = uri.rsplit_once('/').map_or("", |(folder, _)| folder);
            let line = format!(
                "{uri}: {count} columns are left out, as their types are none of a table's: {columns}"
            );
            warn_first(&format!("{folder} {columns}"), line);
        }
        Ok(columns)
    }

    /// Adds a column or, of a struct, its fields, where they are wanted. `classes` are the names that the file gives
    /// to its numbers; `left_out` is told of those of a type that has no cells.
    ///
    /// # Errors
    /// As [`of`](Columns::of).
    fn add(
        &mut self,
        (uri, options): (&str, &ReadOptions<'_>),
        name: String,
        field: &Field,
        place: Place,
        classes: &dyn Fn() -> Vec<String>,
        left_out: &mut Vec<String>,
    ) -> Result<(), DataError> {
        let column = (options.column)(&name);
        if let DataType::Struct(fields) = field.data_type()
            && matches!(column, Use::Cell | Use::Offer | Use::Check)
        {
            return fields.iter().enumerate().try_for_each(|(at, field)| {
                let name = format!("{name}.{}", field.name());
                let place = Place { fields: [&place.fields[..], &[at]].concat(), ..place };
                self.add((uri, options), name, field, place, &Vec::new, left_out)
            });
        }
        if !column.is_wanted() {
            self.ignored.push(name);
            return Ok(());
        }
        let named = options.class_names && column != Use::Text && field.data_type().is_integer();
        let classes = if named { classes() } else { Vec::new() };
        let empty = match classes.is_empty() {
            true => empty_column(uri, &name, field.data_type(), column, options.dates),
            false => Ok(Cells::Text(TextCells::default())),
        };
        match empty {
            Err(_) if column == Use::Offer => {
                left_out.push(format!("`{}` ({})", shortened(&name), kind(field.data_type())));
                self.ignored.push(name);
            }
            empty => {
                self.empty.push(empty?);
                self.names.push(name);
                self.classes.push(classes);
                self.places.push(place);
            }
        }
        Ok(())
    }

    /// The numbers of the file's columns that are read.
    pub(in crate::records) fn at(&self) -> &[usize] {
        &self.at
    }

    pub(super) fn mask(&self, metadata: &ArrowReaderMetadata) -> ProjectionMask {
        ProjectionMask::roots(metadata.parquet_schema(), self.at.iter().copied())
    }

    /// No row of the file.
    pub(in crate::records) fn none(&self, uri: &str) -> Frame {
        self.rows(uri, self.empty.clone(), Vec::new())
    }

    /// The rows of a batch, of which the first is row `first_row` of the file.
    pub(in crate::records) fn frame(
        &self,
        uri: &str,
        first_row: u64,
        batch: &RecordBatch,
        options: &ReadOptions<'_>,
    ) -> Frame {
        let mut columns = self.empty.clone();
        for ((cells, classes), place) in columns.iter_mut().zip(&self.classes).zip(&self.places) {
            let array = &within(batch.column(place.column), &place.fields);
            match cells {
                Cells::Numbers(numbers) => append_numbers(numbers, array),
                Cells::Dates(days) => append_dates(days, array),
                Cells::Text(text) if !classes.is_empty() => {
                    let mut numbers = TextCells::default();
                    append_text(&mut numbers, array, options);
                    append_named(text, &numbers, classes);
                }
                Cells::Text(text) => append_text(text, array, options),
                // Cells are packed once they are read.
                Cells::Coded(_) => {}
            }
        }
        self.rows(uri, columns, (first_row..first_row + batch.num_rows() as u64).collect())
    }

    fn rows(&self, uri: &str, columns: Vec<Cells>, rows: Vec<u64>) -> Frame {
        let ignored = self.ignored.clone();
        Frame { ignored, ..Frame::new(uri, self.names.clone(), columns, rows, "row") }
    }
}

/// The array of a field within structs; it has no value where one of them has none.
fn within(array: &ArrayRef, fields: &[usize]) -> ArrayRef {
    let Some((&first, rest)) = fields.split_first() else { return array.clone() };
    let field = array.as_struct().column(first);
    if array.null_count() == 0 || field.data_type().is_null() {
        return within(field, rest);
    }
    let is_valid = |row: usize| array.is_valid(row) && field.is_valid(row);
    let nulls = (0..array.len()).map(is_valid).collect();
    let masked = field.to_data().into_builder().nulls(Some(nulls)).build();
    within(&masked.map_or_else(|_| field.clone(), make_array), rest)
}

/// A type in a few words.
fn kind(data_type: &DataType) -> String {
    match data_type {
        DataType::List(_) | DataType::LargeList(_) | DataType::ListView(_) | DataType::LargeListView(_) => {
            "a list".to_string()
        }
        DataType::FixedSizeList(_, length) => format!("a list of {length}"),
        DataType::Map(..) => "a map".to_string(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            "bytes".to_string()
        }
        other => other.to_string(),
    }
}

/// A column without a row, for the cells of a field.
///
/// # Errors
/// When the field's type cannot be used so.
fn empty_column(
    uri: &str,
    name: &str,
    data_type: &DataType,
    column: Use,
    dates: bool,
) -> Result<Cells, DataError> {
    let text = || Cells::Text(TextCells::default());
    let (cells, expected) = match column {
        Use::Text => (is_spelled(data_type).then(text), "text, whole numbers or truth values"),
        Use::Label => (is_label(data_type).then(text), "text, numbers or truth values"),
        _ if dates && is_date(data_type) => (Some(Cells::Dates(Vec::new())), ""),
        _ => (empty(data_type), "numbers, truth values or text (or its name in data.ignore)"),
    };
    cells.ok_or_else(|| DataError::malformed(uri, format!("column `{name}`"), expected, data_type))
}

/// The values of an array as they are spelled; `None` for a type that is neither text nor a label.
pub(super) fn spelled(array: &dyn Array) -> Option<TextCells> {
    let mut text = TextCells::default();
    is_spelled(array.data_type())
        .then(|| append_text(&mut text, array, &ReadOptions::plain(&|_| Use::Label)))?;
    Some(text)
}

/// True where the values of a type spell labels.
fn is_label(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => true,
        DataType::Dictionary(_, values) => is_label(values),
        other => is_spelled(other),
    }
}

/// True where the values of a type are text, whole numbers or truth values.
fn is_spelled(data_type: &DataType) -> bool {
    match data_type {
        DataType::Boolean | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_spelled(values),
        other => other.is_integer(),
    }
}

/// True where the values of a type are dates or times.
fn is_date(data_type: &DataType) -> bool {
    match data_type {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => true,
        DataType::Time32(_) | DataType::Time64(_) => true,
        DataType::Dictionary(_, values) => is_date(values),
        _ => false,
    }
}

/// Appends an array of a type that [`is_date`], in days; null becomes not-a-number.
fn append_dates(dates: &mut Vec<f64>, array: &dyn Array) {
    let mut numbers = Vec::with_capacity(array.len());
    let units_of_second = match date_type(array.data_type()) {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => match unit {
            TimeUnit::Second => 1,
            TimeUnit::Millisecond => 1_000,
            TimeUnit::Microsecond => 1_000_000,
            TimeUnit::Nanosecond => 1_000_000_000,
        },
        DataType::Date64 => 1_000,
        // Days as they are.
        _ => return append_numbers(dates, array),
    };
    append_whole(&mut numbers, array);
    dates.extend(numbers.into_iter().map(|units: Option<i64>| {
        units.map_or(f64::NAN, |units| {
            let (seconds, rest) = (units.div_euclid(units_of_second), units.rem_euclid(units_of_second));
            days(seconds, (rest * (1_000_000_000 / units_of_second)) as u32)
        })
    }));
}

/// The type of the values of a dictionary, or the type itself.
fn date_type(data_type: &DataType) -> &DataType {
    match data_type {
        DataType::Dictionary(_, values) => date_type(values),
        other => other,
    }
}

/// Appends the times of an array in its own unit, all digits of them.
fn append_whole(numbers: &mut Vec<Option<i64>>, array: &dyn Array) {
    fn extend<T: ArrowPrimitiveType<Native: Into<i64>>>(numbers: &mut Vec<Option<i64>>, array: &dyn Array) {
        let array: &PrimitiveArray<T> = array.as_primitive();
        numbers.extend(array.iter().map(|value| value.map(Into::into)));
    }
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    match array.data_type() {
        DataType::Date64 => extend::<Date64Type>(numbers, array),
        DataType::Time32(Second) => extend::<Time32SecondType>(numbers, array),
        DataType::Time32(_) => extend::<Time32MillisecondType>(numbers, array),
        DataType::Time64(Microsecond) => extend::<Time64MicrosecondType>(numbers, array),
        DataType::Time64(_) => extend::<Time64NanosecondType>(numbers, array),
        DataType::Timestamp(Second, _) => extend::<TimestampSecondType>(numbers, array),
        DataType::Timestamp(Millisecond, _) => extend::<TimestampMillisecondType>(numbers, array),
        DataType::Timestamp(Microsecond, _) => extend::<TimestampMicrosecondType>(numbers, array),
        DataType::Timestamp(Nanosecond, _) => extend::<TimestampNanosecondType>(numbers, array),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let mut values = Vec::new();
            append_whole(&mut values, dictionary.values());
            let key = |row: usize| if array.is_null(row) { None } else { Some(row) };
            let keys = if values.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
            numbers.extend((0..array.len()).map(|row| key(row).and_then(|row| values[keys[row]])));
        }
        _ => numbers.resize(numbers.len() + array.len(), None),
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
        DataType::Duration(_) | DataType::Null => Some(Cells::Numbers(Vec::new())),
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => Some(Cells::Numbers(Vec::new())),
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
        DataType::Duration(Second) => extend::<DurationSecondType>(numbers, array, |value| value as f64),
        DataType::Duration(Millisecond) => {
            extend::<DurationMillisecondType>(numbers, array, |value| value as f64 / 1e3);
        }
        DataType::Duration(Microsecond) => {
            extend::<DurationMicrosecondType>(numbers, array, |value| value as f64 / 1e6);
        }
        DataType::Duration(Nanosecond) => {
            extend::<DurationNanosecondType>(numbers, array, |value| value as f64 / 1e9);
        }
        DataType::Decimal32(_, scale) => extend::<Decimal32Type>(numbers, array, decimal(*scale)),
        DataType::Decimal64(_, scale) => extend::<Decimal64Type>(numbers, array, decimal(*scale)),
        DataType::Decimal128(_, scale) => extend::<Decimal128Type>(numbers, array, decimal(*scale)),
        DataType::Decimal256(_, scale) => extend::<Decimal256Type>(numbers, array, decimal(*scale)),
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

/// The number that the digits of a decimal are, as the nearest f64 has it: 3 of scale 1 is 0.3.
fn decimal<T: ToString>(scale: i8) -> impl Fn(T) -> f64 {
    move |digits| format!("{}e{}", digits.to_string(), -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

/// Appends an array of text, truth values or numbers; not-a-number is no value.
fn append_text(text: &mut TextCells, array: &dyn Array, options: &ReadOptions<'_>) {
    fn extend_floats<T: ArrowPrimitiveType<Native: ToString + PartialOrd>>(
        text: &mut TextCells,
        array: &dyn Array,
    ) {
        let array: &PrimitiveArray<T> = array.as_primitive();
        let number = |value: T::Native| value.partial_cmp(&value).map(|_| value.to_string());
        array.iter().for_each(|value| text.push(value.and_then(number).as_deref()));
    }
    fn extend<T: ArrowPrimitiveType<Native: ToString>>(text: &mut TextCells, array: &dyn Array) {
        let array: &PrimitiveArray<T> = array.as_primitive();
        array.iter().for_each(|value| text.push(value.map(|value| value.to_string()).as_deref()));
    }
    let push = |cell: Option<&str>| text.push_text(cell.and_then(|cell| options.value(cell)));
    match array.data_type() {
        DataType::Boolean => {
            let name = |value| if value { "true" } else { "false" };
            array.as_boolean().iter().for_each(|value| text.push_text(value.map(name)));
        }
        DataType::Utf8 => array.as_string::<i32>().iter().for_each(push),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().for_each(push),
        DataType::Utf8View => array.as_string_view().iter().for_each(push),
        DataType::Int8 => extend::<Int8Type>(text, array),
        DataType::Int16 => extend::<Int16Type>(text, array),
        DataType::Int32 => extend::<Int32Type>(text, array),
        DataType::Int64 => extend::<Int64Type>(text, array),
        DataType::UInt8 => extend::<UInt8Type>(text, array),
        DataType::UInt16 => extend::<UInt16Type>(text, array),
        DataType::UInt32 => extend::<UInt32Type>(text, array),
        DataType::UInt64 => extend::<UInt64Type>(text, array),
        DataType::Float16 => extend_floats::<Float16Type>(text, array),
        DataType::Float32 => extend_floats::<Float32Type>(text, array),
        DataType::Float64 => extend_floats::<Float64Type>(text, array),
        // A dictionary, the last of what is let through.
        _ => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                text.fill(text.len() + array.len());
                return;
            }
            let mut values = TextCells::default();
            append_text(&mut values, dictionary.values(), options);
            for (row, key) in dictionary.normalized_keys().into_iter().enumerate() {
                let cell = if array.is_null(row) { None } else { values.get(key) };
                match cell.is_some() && values.is_text(key) {
                    true => text.push_text(cell),
                    false => text.push(cell),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::parquet::ParquetRecords;
    use crate::records::read::{Found, ReadRecords};
    use ::parquet::arrow::ArrowWriter;
    use arrow_array::{
        BinaryArray, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int32Array, RecordBatch,
        StringArray,
    };
    use bytes::Bytes;
    use std::sync::Arc;

    fn read(bytes: Bytes, column: &dyn Fn(&str) -> Use) -> Result<Frame, DataError> {
        let missing = ["?".to_string()];
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
        assert_eq!(
            (text(4, 0).as_deref(), text(4, 1), text(4, 2).as_deref()),
            (Some("red"), None, Some("blue"))
        );
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
        assert_eq!(
            (&days[5][..], &days[6][..]),
            (&[Some(0.25), Some(0.5)][..], &[Some(0.25), Some(0.0)][..])
        );
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
        let wide = Decimal256Array::from(vec![
            Some("123456789012345678901234567890123456789".parse().unwrap()),
            None,
        ]);
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
        use arrow_schema::Fields;
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
        let bytes = file(vec![
            ("emb", list()),
            ("s", Arc::new(inner)),
            ("a", Arc::new(Int32Array::from(vec![7, 8, 9]))),
        ]);
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
        let frame =
            read(bytes.into(), &|name| if name == "blob" { Use::Nothing } else { Use::Cell }).unwrap();
        assert_eq!((frame.names, frame.ignored), (vec!["a".to_string()], vec!["blob".to_string()]));
    }

    #[test]
    fn files_of_several_batches_are_read_whole_and_those_without_rows_have_their_columns() {
        let rows = 2 * BATCH_ROWS as i32 + 5;
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
        let fractions: ArrayRef =
            Arc::new(Float64Array::from(vec![Some(1.0), Some(-2.5), Some(f64::NAN), None]));
        let frame = read(file(vec![("y", fractions)]).into(), &|_| Use::Label).unwrap();
        let labels: Vec<Option<String>> =
            (0..4).map(|row| frame.columns[0].text(row).map(Into::into)).collect();
        assert_eq!(labels, [Some("1".to_string()), Some("-2.5".to_string()), None, None]);
        let error = read(sample().into(), &|name| if name == "size" { Use::Text } else { Use::Nothing });
        let error = error.unwrap_err().to_string();
        assert!(
            error.ends_with("column `size`: expected text, whole numbers or truth values, found Float64"),
            "{error}"
        );
    }
}
