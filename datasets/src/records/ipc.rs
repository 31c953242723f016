//! Apache Arrow's IPC: the file format, which Feather 2 is, and the stream, which datasets of Hugging Face are
//! cached as.
//!
//! ```text
//! file:   ARROW1 0 0 [zeros] [stream] [footer] [length: i32 le] ARROW1
//! stream: [schema] [dictionary] ... [record batch] [record batch] ... [ffffffff 00000000]
//!         └─ head ─────────────────┴─ block 0 ────┴─ block 1
//! message: [ffffffff] [length: i32 le] [flatbuffer: kind, rows, length of the body] [body]
//! ```
//!
//! A block is decoded as a stream of its own, behind the head. Arrow's columnar format 1.5, by `arrow-ipc`.

use super::batches::{BatchRecords, Batched, Blocks, Reading, damaged};
use super::cut::BLOCK;
use crate::DataError;
use crate::source::one_line;
use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::{MessageHeader, root_as_message};
use arrow_schema::SchemaRef;
use std::io::{Cursor, Read};
use std::marker::PhantomData;

/// The first bytes of a file, which a stream lacks, and the last ones.
const MAGIC: &[u8] = b"ARROW1";
const MAGIC_BYTES: usize = 8;

/// Bytes of a file's magic bytes and the zeros behind them, at most.
const LONGEST_PADDING: usize = 128;

/// Before the length of a message; versions before 0.15 had none.
const CONTINUES: [u8; 4] = [0xff; 4];

/// Bytes of the largest record batch or dictionary, unpacked, and of the largest flatbuffer.
const LARGEST: u64 = if cfg!(test) { 8 << 20 } else { 508 << 20 };
const LARGEST_METADATA: u64 = 16 << 20;

/// Rows of a batch that need no bytes, as null does not.
const ROWS_OF_NOTHING: u64 = 1 << 20;

/// The format.
pub(super) const IPC: BatchRecords<Ipc> = BatchRecords(PhantomData);

#[derive(Debug)]
pub(super) struct Ipc;

impl Batched for Ipc {
    const NAME: &'static str = "ipc";
    const WHOLE: &'static str = "a whole Arrow IPC file or stream";

    fn scan(file: &mut Reading<'_, impl Read>, blocks: &mut Blocks<'_>) -> Result<(), DataError> {
        file.beginning(&mut blocks.head)?;
        let is_file = blocks.head.starts_with(MAGIC);
        let mut batches = false;
        loop {
            let into = if batches { &mut blocks.bytes } else { &mut blocks.head };
            let begin = into.len();
            match file.message(into)? {
                Some(Message::Rows(rows)) => {
                    if !std::mem::replace(&mut batches, true) {
                        blocks.bytes = blocks.head.split_off(begin);
                    }
                    // What the head holds is decoded anew for each block.
                    blocks.add(rows, BLOCK.max(blocks.head.len() as u64))?;
                }
                Some(Message::Head) if batches => {
                    let expected =
                        "all dictionaries before the first record batch (a file that is written in one go)";
                    return Err(file.malformed(expected, "one behind it"));
                }
                Some(Message::Head) => {}
                None => break,
            }
        }
        if is_file { file.footer() } else { Ok(()) }
    }

    fn schema(uri: &str, head: &[u8], block: &[u8]) -> Result<SchemaRef, DataError> {
        Ok(StreamReader::try_new(stream(head, block), None).map_err(damaged::<Ipc>(uri))?.schema())
    }

    fn batches(
        uri: &str,
        (head, block): (&[u8], &[u8]),
        at: &[usize],
        _: u64,
        take: &mut dyn FnMut(&RecordBatch) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let damaged = damaged::<Ipc>(uri);
        for batch in StreamReader::try_new(stream(head, block), Some(at.to_vec())).map_err(&damaged)? {
            take(&batch.map_err(&damaged)?)?;
        }
        Ok(())
    }
}

/// A block as a stream of its own.
fn stream<'a>(head: &'a [u8], block: &'a [u8]) -> impl Read + 'a {
    Cursor::new(behind_magic(head)).chain(Cursor::new(block))
}

/// The stream of a file whose first bytes are `head`.
fn behind_magic(head: &[u8]) -> &[u8] {
    if !head.starts_with(MAGIC) {
        return head;
    }
    let words = head[MAGIC_BYTES..].chunks(4).take_while(|word| *word == [0; 4]).count();
    &head[MAGIC_BYTES + 4 * words..]
}

/// A message of a stream.
enum Message {
    /// The schema, or a dictionary.
    Head,
    /// A record batch of so many rows.
    Rows(u64),
}

/// The messages of a stream, one after the other.
impl<R: Read> Reading<'_, R> {
    /// Appends the magic bytes of a file, which a stream has not, and the first message to `first`.
    fn beginning(&mut self, first: &mut Vec<u8>) -> Result<(), DataError> {
        self.take(first, MAGIC_BYTES as u64)?;
        if first.starts_with(MAGIC) {
            // Some writers let the stream begin at a multiple of 64 bytes.
            while first.len() < LONGEST_PADDING {
                self.take(first, 4)?;
                if !first.ends_with(&[0; 4]) {
                    break;
                }
            }
            if first.ends_with(&CONTINUES) {
                self.take(first, 4)?;
            }
            let length = length(&first[first.len() - 4..]);
            return self.message_of(first, length).map(drop);
        }
        if !first.starts_with(&CONTINUES) {
            let found =
                if first.starts_with(b"FEA1") { "a Feather file of version 1" } else { "another file" };
            return Err(DataError::source(self.uri(), Ipc::WHOLE, found));
        }
        let length = length(&first[4..]);
        self.message_of(first, length).map(drop)
    }

    /// Appends the next message to `bytes`; none at the end of the stream, which is not appended.
    fn message(&mut self, bytes: &mut Vec<u8>) -> Result<Option<Message>, DataError> {
        let mut prefix = Vec::with_capacity(8);
        match self.take_most(&mut prefix, 4)? {
            0 => return Ok(None),
            1..4 => return Err(self.ended()),
            _ => {}
        }
        if prefix == CONTINUES {
            self.take(&mut prefix, 4)?;
        }
        let length = length(&prefix[prefix.len() - 4..]);
        if length == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&prefix);
        self.message_of(bytes, length).map(Some)
    }

    /// Appends a message whose flatbuffer has so many bytes.
    fn message_of(&mut self, bytes: &mut Vec<u8>, length: i32) -> Result<Message, DataError> {
        let size = u64::try_from(length).ok().filter(|&length| length <= LARGEST_METADATA);
        let Some(size) = size else { return Err(self.malformed("the length of a message", length)) };
        let begin = bytes.len();
        self.take(bytes, size)?;
        let metadata = bytes[begin..].to_vec();
        let message =
            root_as_message(&metadata).map_err(|error| self.malformed("a message", one_line(error)))?;
        let body = u64::try_from(message.bodyLength()).ok().filter(|&body| body <= LARGEST);
        let Some(body) = body else {
            let expected = format!("record batches of at most {} MiB", LARGEST >> 20);
            return Err(self.malformed(&expected, format!("{} bytes", message.bodyLength())));
        };
        let begin = bytes.len();
        self.take(bytes, body)?;
        let body = &bytes[begin..];
        match message.header_type() {
            MessageHeader::RecordBatch => {
                let batch = message.header_as_record_batch();
                let batch = batch.ok_or_else(|| self.malformed("a record batch", "none"))?;
                self.check(&batch, body).map(Message::Rows)
            }
            MessageHeader::DictionaryBatch => {
                if let Some(batch) = message.header_as_dictionary_batch().and_then(|batch| batch.data()) {
                    self.check(&batch, body)?;
                }
                Ok(Message::Head)
            }
            MessageHeader::Schema => Ok(Message::Head),
            other => Err(self.malformed("a schema, a dictionary or a record batch", format!("{other:?}"))),
        }
    }

    /// Refuses a batch that would need much more memory than its bytes; its rows.
    fn check(&self, batch: &arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<u64, DataError> {
        let mut bytes = body.len() as u64;
        if batch.compression().is_some() {
            for buffer in batch.buffers().iter().flatten() {
                let start = usize::try_from(buffer.offset()).ok();
                let claim = start.and_then(|start| body.get(start..)?.first_chunk::<8>());
                let claim = claim.map_or(0, |claim| i64::from_le_bytes(*claim));
                // Less than 0 is a buffer that is not packed.
                bytes = bytes.saturating_add(u64::try_from(claim).unwrap_or(0));
            }
        }
        if bytes > 2 * LARGEST {
            let expected = format!("record batches of at most {} MiB", LARGEST >> 20);
            return Err(self.malformed(&expected, format!("{bytes} bytes, unpacked")));
        }
        match u64::try_from(batch.length()) {
            Ok(rows) if rows <= ROWS_OF_NOTHING.max(8 * bytes) => Ok(rows),
            _ => Err(self.malformed("a row in no less than a bit", format!("{} rows", batch.length()))),
        }
    }

    /// Reads the footer of a file, and the bytes that end it.
    fn footer(&mut self) -> Result<(), DataError> {
        let mut last = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.some(&mut buffer)? {
                0 if last.ends_with(MAGIC) => return Ok(()),
                0 => return Err(self.damaged("the end of the file without a footer")),
                read => {
                    last.extend_from_slice(&buffer[..read]);
                    last.drain(..last.len().saturating_sub(MAGIC.len()));
                }
            }
        }
    }
}

/// The length of a message.
fn length(bytes: &[u8]) -> i32 {
    bytes.first_chunk::<4>().map_or(-1, |bytes| i32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::batches::FRAME_ROWS;
    use crate::records::read::{Found, ReadOptions, ReadRecords, Use};
    use arrow_array::{ArrayRef, Int32Array, NullArray, RecordBatch as Batch, StringArray};
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
    use bytes::Bytes;
    use std::sync::Arc;

    fn read(bytes: &[u8]) -> Result<u64, String> {
        let (mut rows, options) = (0, ReadOptions::plain(&|_| Use::Cell));
        let read = IPC.read("t.arrow", Bytes::copy_from_slice(bytes), &options, &mut |found| {
            let Found::Frame(frame) = found else { panic!("every row of Arrow can be read") };
            assert!(frame.lines.iter().eq((rows + 1..=rows + frame.len() as u64).collect::<Vec<_>>().iter()));
            rows += frame.len() as u64;
            Ok(())
        });
        read.map(|()| rows).map_err(|error| {
            assert!(!error.to_string().contains('\n'), "{error}");
            error.to_string()
        })
    }

    fn batch(rows: i32) -> Batch {
        let columns: [(&str, ArrayRef); 2] = [
            ("a", Arc::new(Int32Array::from_iter_values(0..rows))),
            ("s", Arc::new((0..rows).map(|row| Some(format!("text {row}"))).collect::<StringArray>())),
        ];
        Batch::try_from_iter(columns).unwrap()
    }

    fn file(batches: &[Batch], compression: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut writer = FileWriter::try_new_with_options(Vec::new(), &batches[0].schema(), options).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap()
    }

    fn stream(batches: &[Batch]) -> Vec<u8> {
        let mut writer = StreamWriter::try_new(Vec::new(), &batches[0].schema()).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.into_inner().unwrap()
    }

    #[test]
    fn files_and_streams_are_read_whole_and_without_rows() {
        let batches = [batch(3), batch(0), batch(FRAME_ROWS as i32 + 5)];
        for bytes in [file(&batches, None), stream(&batches)] {
            assert_eq!(read(&bytes), Ok(FRAME_ROWS as u64 + 8));
        }
        assert_eq!(read(&file(&[batch(0)], None)), Ok(0));
    }

    #[test]
    fn damage_is_an_error() {
        let whole = file(&[batch(20), batch(7)], Some(CompressionType::ZSTD));
        for length in (0..whole.len()).step_by(7) {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        for bytes in [whole, stream(&[batch(20)])] {
            for position in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[position] ^= 0x5a;
                let _ = read(&flipped);
            }
        }
        assert!(read(b"FEA1\0\0\0\0").unwrap_err().ends_with("found a Feather file of version 1"));
        assert!(read(b"a,b\n1,2\n3,4\n").unwrap_err().ends_with("found another file"));
    }

    #[test]
    fn absurd_lengths_are_refused_without_their_memory() {
        let whole = stream(&[batch(3)]);
        let absurd = |at: usize, length: i32| {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
            read(&bytes).unwrap_err()
        };
        assert!(absurd(4, i32::MAX).contains("expected the length of a message, found 2147483647"));
        assert!(absurd(4, -5).contains("expected the length of a message, found -5"));
        // A buffer that claims to unpack to 2^40 bytes.
        let packed = file(&[batch(500)], Some(CompressionType::LZ4_FRAME));
        let claim = 3_890i64.to_le_bytes();
        // The last of the offsets is the same number, and stands before it.
        let at = (0..packed.len() - 8).rev().find(|&at| packed[at..at + 8] == claim).unwrap();
        let mut bytes = packed.clone();
        bytes[at..at + 8].copy_from_slice(&(1i64 << 40).to_le_bytes());
        let error = read(&bytes).unwrap_err();
        assert!(
            error.contains("record batches of at most 8 MiB, found") && error.ends_with("unpacked"),
            "{error}"
        );
        // 2^40 rows of null need no byte.
        let nothing = Batch::try_from_iter([("n", Arc::new(NullArray::new(1 << 40)) as ArrayRef)]).unwrap();
        let error = read(&stream(&[nothing])).unwrap_err();
        assert!(error.contains("expected a row in no less than a bit, found 1099511627776 rows"), "{error}");
    }
}
