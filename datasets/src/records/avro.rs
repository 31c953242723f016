//! Apache Avro's object container files: rows in blocks, each behind its counts and packed by itself.
//!
//! ```text
//! Obj 1 [metadata: avro.schema, avro.codec] [mark: 16 bytes]
//! [rows: varint] [bytes: varint] [rows, packed] [mark: 16 bytes] ...      some of these are one block here
//! ```
//!
//! A block is decoded as a file of its own, behind the header. Avro 1.12, by `arrow-avro`: records of
//! primitives, enumerations, dates and times, and unions of one of them and null.

use super::batches::{BatchRecords, Batched, Blocks, Reading, damaged};
use super::cut::BLOCK;
use crate::DataError;
use crate::source::one_line;
use arrow_array::RecordBatch;
use arrow_avro::reader::ReaderBuilder;
use arrow_schema::SchemaRef;
use serde_json::Value;
use std::io::{self, Cursor, Read};
use std::marker::PhantomData;

const MAGIC: &[u8] = b"Obj\x01";
const MARK: u64 = 16;

/// Bytes of the largest block, unpacked, and of the largest header.
const LARGEST: u64 = if cfg!(test) { 8 << 20 } else { 256 << 20 };
const LARGEST_HEADER: u64 = 16 << 20;

/// The format.
pub(super) const AVRO: BatchRecords<Avro> = BatchRecords(PhantomData);

#[derive(Debug)]
pub(super) struct Avro;

impl Batched for Avro {
    const NAME: &'static str = "avro";
    const WHOLE: &'static str = "a whole Avro file";

    fn scan(file: &mut Reading<'_, impl Read>, blocks: &mut Blocks<'_>) -> Result<(), DataError> {
        let codec = read_head(file, &mut blocks.head)?;
        let mark = blocks.head[blocks.head.len() - MARK as usize..].to_vec();
        while let Some(rows) = file.number(&mut blocks.bytes)? {
            let size = file.number(&mut blocks.bytes)?.ok_or_else(|| file.ended())?;
            let (Ok(rows), Some(size)) =
                (u64::try_from(rows), u64::try_from(size).ok().filter(|&size| size <= LARGEST))
            else {
                let expected = format!("a block of at most {} MiB", LARGEST >> 20);
                return Err(file.malformed(&expected, format!("{rows} rows in {size} bytes")));
            };
            let begin = blocks.bytes.len();
            file.take(&mut blocks.bytes, size)?;
            let unpacked =
                unpacked_size(&codec, &blocks.bytes[begin..]).map_err(|error| file.damaged(error))?;
            if unpacked > LARGEST {
                let expected = format!("a block of at most {} MiB, unpacked", LARGEST >> 20);
                return Err(file.malformed(&expected, "more"));
            }
            // A row without bytes would be of null alone.
            if rows > unpacked {
                let found = format!("{rows} rows in {unpacked} bytes");
                return Err(file.malformed("a row in no less than a byte", found));
            }
            file.take(&mut blocks.bytes, MARK)?;
            if !blocks.bytes.ends_with(&mark) {
                return Err(file.malformed("the mark that ends a block", "other bytes"));
            }
            blocks.add(rows, BLOCK)?;
        }
        Ok(())
    }

    fn schema(uri: &str, head: &[u8], _: &[u8]) -> Result<SchemaRef, DataError> {
        Ok(ReaderBuilder::new().build(Cursor::new(head)).map_err(damaged::<Avro>(uri))?.schema())
    }

    fn batches(
        uri: &str,
        (head, block): (&[u8], &[u8]),
        at: &[usize],
        mut row: u64,
        take: &mut dyn FnMut(&RecordBatch) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let damaged = damaged::<Avro>(uri);
        let (mut left, mut parts) = (block, Reading::new(uri, Avro::WHOLE, block));
        while let Some(rows) = parts.number(&mut Vec::new())? {
            let size = parts.number(&mut Vec::new())?.ok_or_else(|| parts.ended())?;
            parts.take(&mut Vec::new(), u64::try_from(size).unwrap_or(u64::MAX).saturating_add(MARK))?;
            let (part, rest) = left.split_at(left.len() - parts.reader.len());
            left = rest;
            // The reader goes round in circles where a block has bytes behind its last row: it is asked for
            // all rows of one block at once, and never again.
            let builder = ReaderBuilder::new().with_batch_size(usize::try_from(rows).unwrap_or(1).max(1));
            // Nothing may be asked of the rows: that they can be decoded is.
            let builder = if at.is_empty() { builder } else { builder.with_projection(at.to_vec()) };
            let file = Cursor::new(head).chain(Cursor::new(part));
            let batch = match rows {
                0 => None,
                _ => builder.build(file).map_err(&damaged)?.next().transpose().map_err(&damaged)?,
            };
            let found = batch.as_ref().map_or(0, |batch| batch.num_rows());
            if Ok(found) != usize::try_from(rows) {
                let place = format!("block at row {row}");
                return Err(DataError::malformed(uri, place, format!("{rows} rows"), found));
            }
            let Some(batch) = batch else { continue };
            take(&if at.is_empty() { batch.project(&[]).map_err(&damaged)? } else { batch })?;
            row += found as u64;
        }
        Ok(())
    }
}

/// Appends the header of a file to `head`; the packing of its blocks.
///
/// # Errors
/// When it is none, or too large.
fn read_head(file: &mut Reading<'_, impl Read>, head: &mut Vec<u8>) -> Result<String, DataError> {
    let mut codec = "null".to_string();
    file.take(head, MAGIC.len() as u64)?;
    if head != MAGIC {
        return Err(DataError::source(file.uri(), Avro::WHOLE, "another file"));
    }
    loop {
        let pairs = file.number(head)?.ok_or_else(|| file.ended())?;
        if pairs == 0 {
            break;
        }
        if pairs < 0 {
            file.number(head)?;
        }
        for _ in 0..pairs.unsigned_abs() {
            let key = file.text(head)?;
            let value = file.text(head)?;
            match &key[..] {
                b"avro.schema" => check_schema(file.uri(), &value)?,
                b"avro.codec" => codec = String::from_utf8_lossy(&value).into_owned(),
                _ => {}
            }
        }
    }
    file.take(head, MARK)?;
    Ok(codec)
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

impl<R: Read> Reading<'_, R> {
    /// Appends a number of one to ten bytes, the lowest seven bits first, signed by zigzag; none at the end of
    /// the file.
    fn number(&mut self, bytes: &mut Vec<u8>) -> Result<Option<i64>, DataError> {
        let mut number = 0u64;
        for at in 0..10 {
            let mut byte = [0];
            match (self.some(&mut byte)?, at) {
                (0, 0) => return Ok(None),
                (0, _) => return Err(self.ended()),
                _ => {}
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
    use crate::records::read::{Found, ReadOptions, ReadRecords, Use};
    use bytes::Bytes;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/formats");

    fn read(bytes: &[u8]) -> Result<u64, String> {
        let (mut rows, options) = (0, ReadOptions::plain(&|_| Use::Cell));
        let read = AVRO.read("t.avro", Bytes::copy_from_slice(bytes), &options, &mut |found| {
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
