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

/// Rows of a frame, at most.
pub(in crate::records) const FRAME_ROWS: usize = 8192;

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
    /// Rows of a frame, at most.
    pub(in crate::records) frame_rows: usize,
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
    pub(in crate::records) fn of(
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
            frame_rows: options.at_once.min(FRAME_ROWS),
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
pub(in crate::records) fn spelled(array: &dyn Array) -> Option<TextCells> {
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
