//! JSON as files have it: an array of objects, or objects one after the other, however they are laid out.
//!
//! ```text
//! [ {..}, {..} , {..} ]       a block is at least BLOCK bytes, and ends behind an object; the next one
//! └ block 0 ───┴ block 1      begins with what separates them
//! ```

use super::cut::{BLOCK, Cutter, LONGEST_RECORD};
use super::encoding::Content;
use super::entry::{Entries, File, Records, scanned_text};
use super::objects::{Objects, kind};
use super::pieces;
use super::read::{Fill, ReadBlocks, ReadOptions, ReadRecords, TakeFound, frames};
use super::shard::{Block, Shard};
use crate::DataError;
use crate::source::one_line;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

/// What a file of records holds.
const EXPECTED: &str = "an array of objects, or objects one after the other (`orient=\"records\"` of pandas)";

/// The format.
pub(super) struct JsonRecords;

impl Records for JsonRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        scanned_text(file, Content::Lines, |uri, unpacked, take| {
            let mut cutter = Cutter::new("json", take);
            scan(uri, unpacked, |bytes, row, records| {
                cutter.records = records;
                cutter.cut(bytes, row + u64::from(records))
            })
        })
    }
}

impl ReadRecords for JsonRecords {
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
        read_all(uri, pieces::unpacked(uri, options.decoding, Content::Lines, true)?, options, take)
    }

    fn open(&self, shard: Shard, _: &ReadOptions<'_>) -> Result<Arc<dyn ReadBlocks>, DataError> {
        Ok(Arc::new(JsonBlocks(shard)))
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
    scan(uri, reader, |bytes, row, _| {
        any = true;
        frames(objects(uri, bytes, row, options), options.at_once, take)
    })?;
    if any { Ok(()) } else { frames(objects(uri, b"", 1, options), options.at_once, take) }
}

/// The objects within some bytes, of which the first is number `row` of the file.
fn objects<'a>(uri: &'a str, bytes: &'a [u8], row: u64, options: &'a ReadOptions<'a>) -> impl Fill + 'a {
    Objects::of(uri, (row..).zip(Elements(bytes)), "row", options)
}

/// The blocks of indexed JSON.
#[derive(Debug)]
struct JsonBlocks(Shard);

impl ReadBlocks for JsonBlocks {
    fn shard(&self) -> &Shard {
        &self.0
    }

    fn read(&self, block: &Block, options: &ReadOptions<'_>, take: TakeFound<'_>) -> Result<(), DataError> {
        let bytes = self.0.fetch(block)?;
        frames(objects(self.0.uri(), &bytes, block.line, options), options.at_once, take)
    }
}

/// How deep a byte is within an object.
#[derive(Default)]
struct Nesting {
    depth: u64,
    in_text: bool,
    escaped: bool,
}

impl Nesting {
    /// Takes the next byte of an object; true for its last one.
    fn ends(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth += 1,
            b'}' | b']' if !self.in_text => {
                self.depth = self.depth.saturating_sub(1);
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

/// The objects of a block, whatever separates them.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let begin = self.0.iter().position(|&byte| byte == b'{')?;
        let rest = &self.0[begin..];
        let mut nesting = Nesting::default();
        let end = rest.iter().position(|&byte| nesting.ends(byte)).map_or(rest.len(), |last| last + 1);
        let (element, rest) = rest.split_at(end);
        self.0 = rest;
        Some(element)
    }
}

/// The place between the objects of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before everything.
    Start,
    /// Where an object or the end may come; `comma` where a comma has.
    Between {
        array: bool,
        comma: bool,
    },
    Within {
        array: bool,
    },
    /// Behind the array.
    End,
}

/// Reads objects from the beginning of a file to its end, and hands out those of about [`BLOCK`] bytes with
/// what separates them: the bytes, the number of the first in the file, counted from 1, and how many they are.
///
/// # Errors
/// When it cannot be read, is anything else, an object is too long, and when `take` fails.
fn scan(
    uri: &str,
    reader: impl Read,
    mut take: impl FnMut(&[u8], u64, u32) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let (mut state, mut nesting) = (State::Start, Nesting::default());
    // The objects before the block under way and in it, the line, and where an object begins.
    let (mut before, mut records, mut line, mut begin) = (0u64, 0u32, 1u64, 0);
    let mut bytes: Vec<u8> = Vec::new();
    // The only object so far, as far as it is known.
    let mut alone: Option<Vec<u8>> = None;
    loop {
        let place = |row: u64, line: u64| format!("row {row} (line {line})");
        let arrived = reader.fill_buf().map_err(|error| {
            let row = before + u64::from(records) + 1;
            DataError::malformed(uri, place(row, line), "readable JSON", one_line(error))
        })?;
        if arrived.is_empty() {
            break;
        }
        let length = arrived.len();
        for &byte in arrived {
            let (row, on) = (before + u64::from(records) + 1, line);
            let refused = |expected: &str, found: String| {
                Err(DataError::malformed(uri, place(row, on), expected, found))
            };
            line += u64::from(byte == b'\n');
            bytes.push(byte);
            let blank = byte.is_ascii_whitespace();
            state = match state {
                State::Within { array } => {
                    if (bytes.len() - begin) as u64 > LONGEST_RECORD {
                        let found = format!("one longer than {} MiB", LONGEST_RECORD >> 20);
                        return refused(EXPECTED, found);
                    }
                    if !nesting.ends(byte) {
                        continue;
                    }
                    records += 1;
                    alone = (!array && row == 1).then(|| bytes[begin..].to_vec());
                    if bytes.len() as u64 >= BLOCK {
                        take(&bytes, before + 1, records)?;
                        (before, records) = (before + u64::from(records), 0);
                        bytes.clear();
                    }
                    State::Between { array, comma: false }
                }
                State::Start | State::Between { .. } if blank => state,
                State::Start if matches!(byte, 0xef | 0xbb | 0xbf) && bytes.len() <= 3 => state,
                State::Start if byte == b'[' => State::Between { array: true, comma: true },
                State::Start | State::Between { array: false, .. } | State::Between { comma: true, .. }
                    if byte == b'{' =>
                {
                    (nesting, begin, alone) = (Nesting::default(), bytes.len() - 1, None);
                    nesting.ends(byte);
                    State::Within {
                        array: !matches!(state, State::Start | State::Between { array: false, .. }),
                    }
                }
                State::Between { array: true, comma: false } if byte == b',' => {
                    State::Between { array: true, comma: true }
                }
                State::Between { array: true, comma } if byte == b']' && (!comma || row == 1) => State::End,
                State::End if blank => state,
                State::Start | State::Between { array: false, .. } | State::Between { comma: true, .. } => {
                    return refused(EXPECTED, begins(byte));
                }
                State::Between { .. } => return refused("a comma or `]` behind an object", begins(byte)),
                State::End => return refused("the end of the file behind the array", begins(byte)),
            };
        }
        reader.consume(length);
    }
    let row = before + u64::from(records) + 1;
    if !matches!(state, State::Start | State::End | State::Between { array: false, .. }) {
        let expected = if matches!(state, State::Within { .. }) { "the end of an object" } else { "`]`" };
        let place = format!("row {row} (line {line})");
        return Err(DataError::malformed(uri, place, expected, "the end of the file"));
    }
    if let Some(alone) = alone {
        check_alone(uri, &alone)?;
    }
    if records > 0 { take(&bytes, before + 1, records) } else { Ok(()) }
}

/// Refuses an object that is the only one of its file and holds rows or columns rather than being a row.
fn check_alone(uri: &str, object: &[u8]) -> Result<(), DataError> {
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(object) else { return Ok(()) };
    let rows = |value: &Value| value.as_array().is_some_and(|list| list.iter().any(Value::is_object));
    let found = if object.contains_key("columns") && object.contains_key("data") {
        "`orient=\"split\"`".to_string()
    } else if let Some((key, _)) = object.iter().find(|(_, value)| rows(value)) {
        format!("one object, whose key `{key}` holds the rows")
    } else if object.is_empty() || !object.values().all(|value| value.is_object() || value.is_array()) {
        return Ok(());
    } else {
        "one object of columns or of rows by their names (`orient=\"columns\"` or `\"index\"`)".to_string()
    };
    Err(DataError::source(uri, EXPECTED, found))
}

/// A value in the words of an error, by its first byte.
fn begins(byte: u8) -> String {
    match byte {
        b'[' => kind(&Value::Array(Vec::new())),
        b'{' => "an object".to_string(),
        b'"' => "a text".to_string(),
        b'-' | b'0'..=b'9' => "a number".to_string(),
        b't' | b'f' | b'n' => "true, false, null or a word".to_string(),
        byte => format!("the byte `{}`", byte.escape_ascii()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::frame::Frame;
    use crate::records::read::{Found, Use};

    fn read(text: &[u8]) -> Result<Frame, String> {
        let mut all: Option<Frame> = None;
        let options = ReadOptions::plain(&|_| Use::Cell);
        let read =
            JsonRecords.read("t.json", Bytes::copy_from_slice(text), &options, &mut |found| match found {
                Found::Unreadable(_, error) => Err(error),
                Found::Frame(frame) => match &mut all {
                    Some(all) => all.append(frame),
                    None => {
                        all = Some(frame);
                        Ok(())
                    }
                },
            });
        read.map(|()| all.unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn arrays_and_sequences_of_objects_are_rows_however_they_are_laid_out() {
        for text in [
            "[{\"a\":1,\"b\":\"[{x\\\"\"},{\"a\":2,\"b\":null}]",
            "\u{feff}[\n {\n  \"a\": 1,\n  \"b\": \"[{x\\\"\"\n },\n {\"a\": 2}\n]\n",
            "{\"a\": 1,\n \"b\": \"[{x\\\"\"}\n{\n\"a\": 2}",
            "{\"a\":1,\"b\":\"[{x\\\"\"}{\"a\":2}",
        ] {
            let frame = read(text.as_bytes()).unwrap();
            assert_eq!((frame.names.join(","), &frame.lines[..]), ("a,b".to_string(), &[1, 2][..]), "{text}");
            assert_eq!(frame.columns[0].number(1), Some(Ok(2.0)));
            assert_eq!((frame.columns[1].text(0).unwrap(), frame.columns[1].text(1)), ("[{x\"".into(), None));
        }
        assert_eq!(read(b"[]").unwrap().len(), 0);
        assert_eq!(read(b"{\"a\": {\"b\": 1}, \"c\": 2}").unwrap().names, ["a.b", "c"]);
    }

    #[test]
    fn blocks_of_an_array_are_the_array() {
        let rows: Vec<String> = (0..300).map(|row| format!("{{\"a\": {row}}}")).collect();
        let text = format!("[\n{}\n]\n", rows.join(",\n"));
        let (mut begin, mut next) = (0, 1);
        let mut blocks = 0;
        scan("t.json", text.as_bytes(), |bytes, row, records| {
            assert!(text.as_bytes()[begin..].starts_with(bytes) && row == next);
            assert_eq!(Elements(bytes).count(), records as usize);
            (begin, next, blocks) = (begin + bytes.len(), next + u64::from(records), blocks + 1);
            Ok(())
        })
        .unwrap();
        assert!(next == 301 && blocks > 10, "{next} {blocks}");
        let frame = read(text.as_bytes()).unwrap();
        assert_eq!((frame.len(), frame.lines[299]), (300, 300));
        assert_eq!(frame.columns[0].number(299), Some(Ok(299.0)));
    }

    #[test]
    fn what_is_no_list_of_objects_is_refused_with_its_place() {
        for (text, place, found) in [
            ("[[1, 2], [3, 4]]", "row 1 (line 1)", "found a list"),
            ("[{\"a\": 1},\n 3]", "row 2 (line 2)", "found a number"),
            ("[{\"a\": 1},\n]", "row 2 (line 2)", "found the byte `]`"),
            (
                "[{\"a\": 1}\n{\"a\": 2}]",
                "row 2 (line 2)",
                "expected a comma or `]` behind an object, found an object",
            ),
            ("[{\"a\": 1}", "row 2 (line 1)", "expected `]`, found the end of the file"),
            (
                "[{\"a\": 1}, {\"a\"",
                "row 2 (line 1)",
                "expected the end of an object, found the end of the file",
            ),
            ("[{\"a\": 1}] {}", "row 2 (line 1)", "found an object"),
            ("[{\"a\": nonsense}]", "row 1: expected a JSON object", ""),
            ("{\"a\": {\"0\": 1}, \"b\": {\"0\": 2}}", "found one object of columns", ""),
            ("{\"columns\": [\"a\"], \"index\": [0], \"data\": [[1]]}", "`orient=\"split\"`", ""),
            ("{\"version\": 1, \"rows\": [{\"a\": 1}]}", "one object, whose key `rows` holds the rows", ""),
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.contains(place) && error.contains(found), "{text}: {error}");
            assert!(error.starts_with("t.json"), "{error}");
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
            let deep = format!("[{{\"a\": {}1{}}}]", open.repeat(10_000), close.repeat(10_000));
            let error = read(deep.as_bytes()).unwrap_err();
            assert!(error.contains("row 1") && error.contains("recursion limit"), "{error}");
        }
        assert!(read("[".repeat(10_000).as_bytes()).unwrap_err().contains("found a list"));
    }
}
