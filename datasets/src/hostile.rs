//! The readers of bytes that anybody may have written, one function each, for `fuzz/` and `tests/mutations.rs`.
//! Each must answer for any bytes, with what they hold or an error, and never panic.

use crate::index::Sidecar;
use crate::records::{self, Format, Found, ReadOptions, Use, tar::scan};
use crate::source::{Object, packing, unpacked};
use crate::{DataError, image};
use std::io::Cursor;

/// Reads a shard, plain or packed, for its entries.
///
/// # Errors
/// When it is no whole tar.
pub fn tar(bytes: &[u8]) -> Result<usize, DataError> {
    let (_, unpacked) = packing::reader(Cursor::new(bytes.to_vec()))
        .map_err(|error| DataError::source("x.tar", "a readable file", error))?;
    let mut entries = 0;
    scan("x.tar", unpacked, |_| {
        entries += 1;
        Ok(())
    })?;
    Ok(entries)
}

/// Reads the sidecar of a set, and every row of it.
///
/// # Errors
/// When it is no index.
pub fn index(bytes: &[u8]) -> Result<usize, DataError> {
    let sidecar = Sidecar::open(Object::in_memory("x", bytes.to_vec().into()))?;
    let mut entries = 0;
    for shard in 0..sidecar.shards().len() {
        let rows = sidecar.rows(shard)?;
        for number in 0..rows.len() {
            entries += rows.entry(number).parts.len();
        }
    }
    Ok(entries)
}

/// Reads a CSV in a dialect and an encoding that its first two bytes choose, whole and in blocks; its rows.
///
/// # Errors
/// When it is no text, or a quote in it cannot be meant.
pub fn csv(bytes: &[u8]) -> Result<usize, DataError> {
    records::hostile_csv(bytes)
}

/// Decodes text in an encoding that its first byte chooses; its bytes in UTF-8.
///
/// # Errors
/// When it is UTF-16 without a mark, or no text.
pub fn text(bytes: &[u8]) -> Result<usize, DataError> {
    records::hostile_text(bytes)
}

/// Decodes a picture; its bytes of pixels.
///
/// # Errors
/// When it is no whole picture.
pub fn picture(bytes: &[u8]) -> Result<usize, DataError> {
    image::decoded_bytes(bytes)
}

/// Reads the rows of a file of a format.
fn rows(format: Format, bytes: &[u8]) -> Result<usize, DataError> {
    let (mut rows, options) = (0, ReadOptions::plain(&|_| Use::Cell));
    format.reader("x")?.read("x", bytes.to_vec().into(), &options, &mut |found| {
        match found {
            Found::Frame(frame) => rows += frame.len(),
            Found::Unreadable(_, error) => return Err(error),
        }
        Ok(())
    })?;
    Ok(rows)
}

/// Reads JSON, its array or its objects.
///
/// # Errors
/// When it is none.
pub fn json(bytes: &[u8]) -> Result<usize, DataError> {
    rows(Format::Json, bytes)
}

/// Reads the record batches of an Arrow IPC file or stream.
///
/// # Errors
/// When it is no whole one.
pub fn ipc(bytes: &[u8]) -> Result<usize, DataError> {
    rows(Format::Ipc, bytes)
}

/// Reads the blocks of an Avro file.
///
/// # Errors
/// When it is no whole one.
pub fn avro(bytes: &[u8]) -> Result<usize, DataError> {
    rows(Format::Avro, bytes)
}

/// Reads LIBSVM's rows.
///
/// # Errors
/// When a row is none.
pub fn libsvm(bytes: &[u8]) -> Result<usize, DataError> {
    rows(Format::Libsvm, bytes)
}

/// Reads the first sheet of a workbook.
///
/// # Errors
/// When it is no whole one.
pub fn excel(bytes: &[u8]) -> Result<usize, DataError> {
    rows(Format::Excel, bytes)
}

/// Unpacks a packed file, of whatever packing; its unpacked bytes.
///
/// # Errors
/// When it is damaged, or grows beyond all measure.
pub fn packed(bytes: &[u8]) -> Result<usize, DataError> {
    unpacked("x", bytes.to_vec().into()).map(|unpacked| unpacked.len())
}

/// Reads the rows of a Parquet file.
///
/// # Errors
/// When it is no whole one.
pub fn parquet(bytes: &[u8]) -> Result<usize, DataError> {
    rows(Format::Parquet, bytes)
}

/// Reads an object a line.
///
/// # Errors
/// When a line is none.
pub fn jsonl(bytes: &[u8]) -> Result<usize, DataError> {
    rows(Format::Jsonl, bytes)
}

/// Reads the pictures or the labels of an IDX file; how many there are.
///
/// # Errors
/// When it is neither.
pub fn idx(bytes: &[u8]) -> Result<usize, DataError> {
    image::idx_count(bytes)
}
