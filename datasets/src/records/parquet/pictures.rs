//! Pictures in the columns of Parquet files, in Hugging Face's layout.
//!
//! ```text
//! image: struct { bytes: binary, path: string }    or a binary column alone
//! label: int or string                             optional; ints have names in the key `huggingface`
//! ```
//!
//! The index keeps the class of each row, so that training reads the column of the bytes alone.

use super::footer::{arrow, footer};
use super::group::{group_range, group_reader};
use super::guard::guarded;
use crate::DataError;
use crate::records::batches::{class_names, spelled};
use crate::records::entry::{Entry, Member};
use crate::source::{Object, Stat, one_line};
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::ArrowReaderMetadata;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Schema};
use bytes::Bytes;

/// Names of columns that hold the label; the first that is there does.
const LABELS: [&str; 6] = ["label", "labels", "class", "cls", "fine_label", "target"];

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// The columns of a file that hold pictures and their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PictureColumns {
    /// The path of the leaf that holds the encoded pictures: a column, or the field `bytes` of one.
    leaf: Vec<String>,
    /// The number of the label's column in the file.
    label: Option<usize>,
}

fn is_binary(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

impl PictureColumns {
    /// The first column that can hold pictures, and the label beside it; `None` where there is none.
    pub(super) fn of(schema: &Schema) -> Option<Self> {
        let leaf = schema.fields().iter().find_map(|field| {
            let name = field.name().clone();
            match field.data_type() {
                DataType::Struct(children) => {
                    let bytes = children.iter().find(|child| child.name() == "bytes")?;
                    is_binary(bytes.data_type()).then(|| vec![name, "bytes".to_string()])
                }
                data_type => is_binary(data_type).then(|| vec![name]),
            }
        })?;
        let label = LABELS.iter().find_map(|name| schema.index_of(name).ok());
        Some(PictureColumns { leaf, label })
    }
}

/// The entries of a Parquet file: one a picture, or else one a row group.
///
/// # Errors
/// When it is no whole Parquet file.
pub(super) fn entries(object: &Object, stat: &Stat) -> Result<Vec<Entry>, DataError> {
    let (metadata, crc32) = footer(object, stat.size)?;
    let metadata = arrow(object, metadata)?;
    let columns = PictureColumns::of(metadata.schema());
    let (mut entries, mut line) = (Vec::new(), 1);
    for (group, rows) in metadata.metadata().row_groups().iter().map(|group| group.num_rows()).enumerate() {
        let Ok(records) = u32::try_from(rows) else {
            let place = format!("row group {group}");
            return Err(DataError::malformed(object.uri(), place, "a group of at most 2^32 rows", rows));
        };
        if records == 0 {
            continue;
        }
        let bytes = group_range(&metadata, group);
        let extension = "parquet".to_string();
        let part = Member { extension, offset: bytes.start, length: bytes.end - bytes.start, crc32 };
        let entry = |records, line, class| Entry {
            key: String::new(),
            records,
            line,
            class,
            parts: vec![part.clone()],
        };
        match &columns {
            None => entries.push(entry(records, line, None)),
            Some(columns) => {
                let classes = classes(object, &metadata, columns, group, records as usize)?;
                entries.extend((line..).zip(classes).map(|(line, class)| entry(1, line, class)));
            }
        }
        line += u64::from(records);
    }
    Ok(entries)
}

/// The classes of the rows of a row group, by their names where the file has names.
fn classes(
    object: &Object,
    metadata: &ArrowReaderMetadata,
    columns: &PictureColumns,
    group: usize,
    rows: usize,
) -> Result<Vec<Option<String>>, DataError> {
    let Some(label) = columns.label else { return Ok(vec![None; rows]) };
    let name = metadata.schema().field(label).name();
    let names = class_names(metadata.schema(), name);
    let named = |class: String| match class.parse::<usize>().ok().and_then(|class| names.get(class)) {
        Some(name) => name.clone(),
        None => class,
    };
    guarded(object.uri(), || {
        let mask = ProjectionMask::roots(metadata.parquet_schema(), [label]);
        let mut classes = Vec::with_capacity(rows);
        for array in columns_of(object, metadata, group, mask)? {
            // What is neither text nor whole numbers is no class.
            let spelled = spelled(&array);
            let class = |row| spelled.as_ref().and_then(|cells| cells.get(row)).map(str::to_string);
            classes.extend((0..array.len()).map(|row| class(row).map(named)));
        }
        check_rows(object, group, rows, classes)
    })
}

/// The one column of `mask` of a row group, batch by batch.
fn columns_of(
    object: &Object,
    metadata: &ArrowReaderMetadata,
    group: usize,
    mask: ProjectionMask,
) -> Result<Vec<ArrayRef>, DataError> {
    let batches = group_reader(object, metadata, group, mask, BATCH_ROWS)?;
    let damaged = |error| {
        let place = format!("row group {group}");
        DataError::malformed(object.uri(), place, "a whole Parquet file", one_line(error))
    };
    batches.map(|batch| batch.map(|batch| batch.column(0).clone()).map_err(damaged)).collect()
}

fn check_rows<T>(object: &Object, group: usize, expected: usize, found: Vec<T>) -> Result<Vec<T>, DataError> {
    match found.len() == expected {
        true => Ok(found),
        false => {
            let place = format!("row group {group}");
            Err(DataError::malformed(object.uri(), place, format!("{expected} rows"), found.len()))
        }
    }
}

/// The encoded pictures of a row group of so many `rows`; `None` where a row has no picture.
///
/// # Errors
/// When the file has no column of pictures, or the row group cannot be read.
pub(super) fn pictures(
    object: &Object,
    metadata: &ArrowReaderMetadata,
    group: usize,
    rows: usize,
) -> Result<Vec<Option<Bytes>>, DataError> {
    guarded(object.uri(), || {
        let Some(columns) = PictureColumns::of(metadata.schema()) else {
            let expected = "a column of pictures: a struct with `bytes`, or binary";
            let names: Vec<&str> =
                metadata.schema().fields().iter().map(|field| field.name().as_str()).collect();
            let found = format!("the columns {}", names.join(", "));
            return Err(DataError::source(object.uri(), expected, found));
        };
        let leaves = metadata.parquet_schema().columns().iter().enumerate();
        let leaf = leaves.filter(|(_, leaf)| leaf.path().parts() == columns.leaf).map(|(leaf, _)| leaf);
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), leaf);
        let mut pictures = Vec::with_capacity(rows);
        for array in columns_of(object, metadata, group, mask)? {
            let within = array.as_struct_opt().map(|fields| fields.column(0));
            append(&mut pictures, within.unwrap_or(&array));
        }
        check_rows(object, group, rows, pictures)
    })
}

/// Appends the values of a binary array.
fn append(pictures: &mut Vec<Option<Bytes>>, array: &dyn Array) {
    let owned = |value: Option<&[u8]>| value.map(Bytes::copy_from_slice);
    match array.data_type() {
        DataType::Binary => pictures.extend(array.as_binary::<i32>().iter().map(owned)),
        DataType::LargeBinary => pictures.extend(array.as_binary::<i64>().iter().map(owned)),
        DataType::BinaryView => pictures.extend(array.as_binary_view().iter().map(owned)),
        _ => {}
    }
}
