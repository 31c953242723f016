//! Apache Avro's object container files: rows in blocks, each behind its counts and packed by itself.
//!
//! ```text
//! Obj 1 [metadata: avro.schema, avro.codec] [mark: 16 bytes]
//! [rows: varint] [bytes: varint] [rows, packed] [mark: 16 bytes] ...      some of these are one block here
//! ```
//!
//! A block is decoded as a file of its own, behind the header. Avro 1.12, by `arrow-avro`: records of
//! primitives, enumerations, dates and times, and unions of one of them and null.

use super::cut::{BLOCK, Cutter};
use super::entry::{Entries, File, Records, scanned};
use super::parquet::Columns;
use super::read::{Found, ReadBlocks, ReadOptions, ReadRecords, TakeFound};
use super::shard::{Block, Shard};
use super::whole::guarded;
use crate::DataError;
use crate::source::{Object, one_line, packing};
use arrow_avro::reader::ReaderBuilder;
use bytes::Bytes;
use serde_json::Value;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;

/// What a file should be.
const WHOLE: &str = "a whole Avro file";

const MAGIC: &[u8] = b"Obj\x01";
const MARK: u64 = 16;

/// Bytes of the largest block, unpacked, and of the largest header.
const LARGEST: u64 = if cfg!(test) { 8 << 20 } else { 256 << 20 };
const LARGEST_HEADER: u64 = 16 << 20;

/// Rows of a frame.
const FRAME_ROWS: usize = 8192;

/// The format.
pub(super) struct AvroRecords;

impl Records for AvroRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        scanned(file, |uri, unpacked, take| {
            let mut cutter = Cutter::new("avro", take);
            scan(uri, unpacked, |head, bytes, row, records| {
                if cutter.begin == 0 {
                    cutter.begin = head.len() as u64;
                }
                (cutter.records, cutter.line) = (records, row);
                cutter.cut(bytes, row + u64::from(records))
            })
            .map(drop)
        })
    }
}

impl ReadRecords for AvroRecords {
    fn read(
        &self,
        uri: &str,
        bytes: Bytes,
        options: &ReadOptions<'_>,
        take: TakeFound<'_>,
    ) -> Result<(), DataError> {
        read_all(uri, &bytes[..], options, take)
    }

    fn pieces(&self, uri: &str, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        read_all(uri, packing::open(&Object::open(uri)?)?.1, options, take)
    }

    fn open(&self, shard: Shard, _: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        let head = shard.head()?;
        Ok(Arc::new(AvroBlocks { shard, head }))
    }

    fn is_typed(&self) -> bool {
        true
    }
}

/// Reads a file from its beginning to its end.
fn read_all(
    uri: &str,
    reader: impl Read,
    options: &ReadOptions<'_>,
    take: TakeFound<'_>,
) -> Result<(), DataError> {
    let mut any = false;
    let head = scan(uri, reader, |head, bytes, row, _| {
        any = true;
        decode(uri, head, bytes, row, options, take).map(drop)
    })?;
    if any { Ok(()) } else { decode(uri, &head, b"", 1, options, take).map(drop) }
}

/// The blocks of an indexed file.
#[derive(Debug)]
struct AvroBlocks {
    shard: Shard,
    head: Bytes,
}

impl ReadBlocks for AvroBlocks {
    fn shard(&self) -> &Shard {
        &self.shard
    }

    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let bytes = self.shard.fetch(block)?;
        match decode(self.shard.uri(), &self.head, &bytes, block.line, options, take)? {
            rows if rows == block.records => Ok(()),
            rows => {
                let place = format!("block at row {}", block.line);
                Err(DataError::malformed(self.shard.uri(), place, format!("{} rows", block.records), rows))
            }
        }
    }
}

/// Hands the rows of a block to `take`, the first of which is row `row` of the file; how many they are.
///
/// # Errors
/// `take`'s own, and when a row cannot be decoded.
fn decode(
    uri: &str,
    head: &[u8],
    bytes: &[u8],
    row: u64,
    options: &ReadOptions<'_>,
    take: TakeFound<'_>,
) -> Result<u64, DataError> {
    let damaged = |error| DataError::source(uri, WHOLE, one_line(error));
    let file = |part| Cursor::new(head).chain(Cursor::new(part));
    guarded(uri, WHOLE, || {
        let schema = ReaderBuilder::new().build(file(&b""[..])).map_err(damaged)?.schema();
        let columns = Columns::of_schema(uri, &schema, options)?;
        // Nothing may be asked of the rows: that they can be decoded is.
        let asked = Some(columns.at().to_vec()).filter(|at| !at.is_empty());
        let mut next = row;
        let (mut left, mut parts) = (bytes, Reading { uri, reader: bytes, read: 0 });
        while let Some(rows) = parts.number(&mut Vec::new())? {
            let size = parts.number(&mut Vec::new())?.ok_or_else(|| parts.ended())?;
            parts.take(&mut Vec::new(), u64::try_from(size).unwrap_or(u64::MAX).saturating_add(MARK))?;
            let (part, rest) = left.split_at(left.len() - parts.reader.len());
            left = rest;
            // The reader goes round in circles where a block has bytes behind its last row: it is asked for
            // all rows of one block at once, and never again.
            let builder = ReaderBuilder::new().with_batch_size(usize::try_from(rows).unwrap_or(1).max(1));
            let builder = match &asked {
                Some(at) => builder.with_projection(at.clone()),
                None => builder,
            };
            let batch = match rows {
                0 => None,
                _ => builder.build(file(part)).map_err(damaged)?.next().transpose().map_err(damaged)?,
            };
            let found = batch.as_ref().map_or(0, |batch| batch.num_rows());
            if Ok(found) != usize::try_from(rows) {
                let place = format!("block at row {next}");
                return Err(DataError::malformed(uri, place, format!("{rows} rows"), found));
            }
            let Some(batch) = batch else { continue };
            let batch = if asked.is_some() { batch } else { batch.project(&[]).map_err(damaged)? };
            let most = options.at_once.min(FRAME_ROWS);
            for start in (0..found).step_by(most) {
                let piece = batch.slice(start, most.min(found - start));
                take(Found::Frame(columns.frame(uri, next, &piece, options)))?;
                next += piece.num_rows() as u64;
            }
        }
        if next == row {
            take(Found::Frame(columns.none(uri)))?;
        }
        Ok(next - row)
    })
}

/// Reads a file, and hands out its blocks, about [`BLOCK`] bytes together: the header, their own bytes, the
/// number of their first row, counted from 1, and how many rows they have. Gives the header back.
///
/// # Errors
/// When it cannot be read, is damaged or cut short, a block is too large, and when `take` fails.
fn scan(
    uri: &str,
    reader: impl Read,
    mut take: impl FnMut(&[u8], &[u8], u64, u32) -> Result<(), DataError>,
) -> Result<Vec<u8>, DataError> {
    let mut file = Reading { uri, reader: BufReader::with_capacity(1 << 18, reader), read: 0 };
    let (mut head, mut codec) = (Vec::new(), "null".to_string());
    file.take(&mut head, MAGIC.len() as u64)?;
    if head != MAGIC {
        return Err(DataError::source(uri, WHOLE, "another file"));
    }
    loop {
        let pairs = file.number(&mut head)?.ok_or_else(|| file.ended())?;
        if pairs == 0 {
            break;
        }
        if pairs < 0 {
            file.number(&mut head)?;
        }
        for _ in 0..pairs.unsigned_abs() {
            let key = file.text(&mut head)?;
            let value = file.text(&mut head)?;
            match &key[..] {
                b"avro.schema" => check_schema(uri, &value)?,
                b"avro.codec" => codec = String::from_utf8_lossy(&value).into_owned(),
                _ => {}
            }
        }
    }
    file.take(&mut head, MARK)?;
    let mark = head[head.len() - MARK as usize..].to_vec();
    let (mut bytes, mut row, mut records) = (Vec::new(), 1u64, 0u64);
    while let Some(rows) = file.number(&mut bytes)? {
        let size = file.number(&mut bytes)?.ok_or_else(|| file.ended())?;
        let (Ok(rows), Some(size)) =
            (u64::try_from(rows), u64::try_from(size).ok().filter(|&size| size <= LARGEST))
        else {
            let expected = format!("a block of at most {} MiB", LARGEST >> 20);
            return Err(file.malformed(&expected, format!("{rows} rows in {size} bytes")));
        };
        let begin = bytes.len();
        file.take(&mut bytes, size)?;
        let unpacked =
            unpacked_size(&codec, &bytes[begin..]).map_err(|error| file.malformed(WHOLE, one_line(error)))?;
        if unpacked > LARGEST {
            let expected = format!("a block of at most {} MiB, unpacked", LARGEST >> 20);
            return Err(file.malformed(&expected, "more"));
        }
        // A row without bytes would be of null alone.
        if rows > unpacked {
            let found = format!("{rows} rows in {unpacked} bytes");
            return Err(file.malformed("a row in no less than a byte", found));
        }
        file.take(&mut bytes, MARK)?;
        if !bytes.ends_with(&mark) {
            return Err(file.malformed("the mark that ends a block", "other bytes"));
        }
        records += rows;
        if records > 0 && bytes.len() as u64 >= BLOCK {
            take(&head, &bytes, row, u32::try_from(records).unwrap_or(u32::MAX))?;
            (row, records) = (row + records, 0);
            bytes.clear();
        }
    }
    if records > 0 {
        take(&head, &bytes, row, u32::try_from(records).unwrap_or(u32::MAX))?;
    }
    Ok(head)
}

/// Refuses a schema that is none of rows, and lists of what has no bytes: their counts would be believed.
fn check_schema(uri: &str, schema: &[u8]) -> Result<(), DataError> {
    fn has_lists_of_nothing(schema: &Value) -> bool {
        match schema {
            Value::Array(options) => options.iter().any(has_lists_of_nothing),
            Value::Object(keys) => {
                let items = keys.get("items").or(keys.get("values"));
                items.is_some_and(is_nothing) || keys.values().any(has_lists_of_nothing)
            }
            _ => false,
        }
    }
    fn is_nothing(schema: &Value) -> bool {
        let of_fields = |fields: &Vec<Value>| fields.iter().all(|field| is_nothing(&field["type"]));
        match schema {
            Value::String(name) => name == "null",
            Value::Object(keys) => match keys.get("type") {
                Some(Value::String(name)) if name == "record" => {
                    keys["fields"].as_array().is_some_and(of_fields)
                }
                Some(Value::String(name)) if name == "fixed" => keys["size"].as_u64() == Some(0),
                Some(within) => is_nothing(within),
                None => false,
            },
            _ => false,
        }
    }
    let malformed = |found: String| DataError::malformed(uri, "header", "the schema of a record", found);
    let schema: Value = serde_json::from_slice(schema).map_err(|error| malformed(one_line(error)))?;
    match &schema["type"] {
        Value::String(kind) if kind == "record" && !has_lists_of_nothing(&schema) => Ok(()),
        Value::String(kind) if kind == "record" => Err(malformed("a list of null".to_string())),
        kind => Err(malformed(kind.to_string())),
    }
}

/// Bytes that a block unpacks to; more than [`LARGEST`] where it is too large.
fn unpacked_size(codec: &str, packed: &[u8]) -> io::Result<u64> {
    let count = |reader: &mut dyn Read| io::copy(&mut reader.take(LARGEST + 1), &mut io::sink());
    match codec {
        "deflate" => count(&mut flate2::read::DeflateDecoder::new(packed)),
        "zstandard" => count(&mut zstd::Decoder::with_buffer(packed)?),
        "snappy" => {
            // [size: varint] [chunks]
            let size = packed.iter().take(5).enumerate().try_fold(0u64, |size, (at, byte)| {
                let size = size | u64::from(byte & 0x7f) << (7 * at);
                if byte & 0x80 == 0 { Err(size) } else { Ok(size) }
            });
            Ok(size.unwrap_or_else(|size| size))
        }
        _ => Ok(packed.len() as u64),
    }
}

/// A file on its way.
struct Reading<'a, R> {
    uri: &'a str,
    reader: R,
    /// The bytes that were read.
    read: u64,
}

impl<R: Read> Reading<'_, R> {
    fn malformed(&self, expected: &str, found: impl ToString) -> DataError {
        DataError::malformed(self.uri, format!("byte {}", self.read), expected, found)
    }

    fn ended(&self) -> DataError {
        self.malformed(WHOLE, "the end of the file")
    }

    /// Appends so many bytes to `bytes`.
    fn take(&mut self, bytes: &mut Vec<u8>, many: u64) -> Result<(), DataError> {
        // The length is a claim: the buffer grows with what is there.
        let read = self.reader.by_ref().take(many).read_to_end(bytes);
        let read = read.map_err(|error| self.malformed(WHOLE, one_line(error)))? as u64;
        self.read += read;
        if read < many { Err(self.ended()) } else { Ok(()) }
    }

    /// Appends a number of one to ten bytes, the lowest seven bits first, signed by zigzag; none at the end of
    /// the file.
    fn number(&mut self, bytes: &mut Vec<u8>) -> Result<Option<i64>, DataError> {
        let mut number = 0u64;
        for at in 0..10 {
            let mut byte = [0];
            let read = self.reader.read(&mut byte).map_err(|error| self.malformed(WHOLE, one_line(error)))?;
            match (read, at) {
                (0, 0) => return Ok(None),
                (0, _) => return Err(self.ended()),
                _ => self.read += 1,
            }
            bytes.push(byte[0]);
            number |= u64::from(byte[0] & 0x7f) << (7 * at);
            if byte[0] & 0x80 == 0 {
                return Ok(Some((number >> 1) as i64 ^ -((number & 1) as i64)));
            }
        }
        Err(self.malformed("a number of at most ten bytes", "more"))
    }

    /// Appends a length and as many bytes, which are given back.
    fn text(&mut self, head: &mut Vec<u8>) -> Result<Vec<u8>, DataError> {
        let length = self.number(head)?.ok_or_else(|| self.ended())?;
        let length = u64::try_from(length).ok().filter(|length| head.len() as u64 + length <= LARGEST_HEADER);
        let Some(length) = length else { return Err(self.malformed("a header of at most 16 MiB", "more")) };
        let begin = head.len();
        self.take(head, length)?;
        Ok(head[begin..].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::read::Use;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/formats");

    fn read(bytes: &[u8]) -> Result<u64, String> {
        let (mut rows, options) = (0, ReadOptions::plain(&|_| Use::Cell));
        let read = AvroRecords.read("t.avro", Bytes::copy_from_slice(bytes), &options, &mut |found| {
            let Found::Frame(frame) = found else { panic!("every row of Avro can be read") };
            rows += frame.len() as u64;
            Ok(())
        });
        read.map(|()| rows).map_err(|error| {
            assert!(!error.to_string().contains('\n'), "{error}");
            error.to_string()
        })
    }

    /// A number as Avro spells it.
    fn number(number: i64) -> Vec<u8> {
        let (mut rest, mut bytes) = (((number << 1) ^ (number >> 63)) as u64, Vec::new());
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    fn text(text: &[u8]) -> Vec<u8> {
        [number(text.len() as i64), text.to_vec()].concat()
    }

    /// A file of one block, whose sizes are claims.
    fn file(schema: &str, codec: &str, rows: i64, size: i64, content: &[u8]) -> Vec<u8> {
        let mark = [7; MARK as usize];
        let pairs = [&b"avro.schema"[..], schema.as_bytes(), b"avro.codec", codec.as_bytes()];
        let pairs: Vec<u8> = pairs.into_iter().flat_map(text).collect();
        let head = [MAGIC, &number(2), &pairs, &number(0), &mark].concat();
        [&head[..], &number(rows), &number(size), content, &mark].concat()
    }

    const ROW: &str = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}"#;

    #[test]
    fn damage_is_an_error() {
        assert_eq!(read(&file(ROW, "null", 2, 2, &[2, 4])), Ok(2));
        for codec in ["null", "deflate", "snappy", "zstandard"] {
            let whole = std::fs::read(format!("{GOLDEN}/{codec}.avro")).unwrap();
            assert_eq!(read(&whole), Ok(24));
            for length in (0..whole.len()).step_by(5) {
                // At the end of a block a file is as whole as it looks.
                let _ = read(&whole[..length]).map(|rows| assert!(rows < 24));
            }
            for position in 0..whole.len() {
                let mut flipped = whole.clone();
                flipped[position] ^= 0x5a;
                let _ = read(&flipped);
            }
        }
        assert!(read(&file(ROW, "null", 3, 2, &[2, 4])).is_err());
        let other = read(&file(r#"{"type":"array","items":"long"}"#, "null", 1, 1, &[0])).unwrap_err();
        assert!(other.ends_with("header: expected the schema of a record, found \"array\""), "{other}");
    }

    #[test]
    fn absurd_claims_are_refused_without_their_memory() {
        let error = read(&file(ROW, "null", 1, 1 << 40, &[2])).unwrap_err();
        assert!(error.contains("a block of at most 8 MiB, found 1 rows in 1099511627776 bytes"), "{error}");
        let nothing = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"null"}]}"#;
        let error = read(&file(nothing, "null", 1 << 40, 0, &[])).unwrap_err();
        assert!(error.contains("a row in no less than a byte, found 1099511627776 rows"), "{error}");
        let list =
            r#"{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}"#;
        assert!(read(&file(list, "null", 1, 1, &[0])).unwrap_err().ends_with("found a list of null"));
        let zeros = vec![0; 9 << 20];
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut deflate, &zeros).unwrap();
        let bomb = deflate.finish().unwrap();
        let error = read(&file(ROW, "deflate", 9 << 20, bomb.len() as i64, &bomb)).unwrap_err();
        assert!(error.contains("a block of at most 8 MiB, unpacked"), "{error}");
    }
}
