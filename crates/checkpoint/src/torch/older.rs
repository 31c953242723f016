//! PyTorch's files before version 1.6.
//!
//! ```text
//! stream, 0.1.10 to 1.5:   [pickle: magic number] [pickle: 1001] [pickle: byte order and sizes]
//!                          [pickle: the tensors' descriptions] [pickle: names of storages]
//!                          of each storage: [count: i64 le] [numbers]
//! tar, before 0.1.10:      storages   [pickle: how many]
//!                                     of each: [pickle: name, device, type] [count: i64 le] [numbers]
//!                                     [pickle: parts of storages: name, whole, offset, count]
//!                          tensors    [pickle: how many]
//!                                     of each: [pickle: id, storage, type] [rank: i32 le] [0: i32]
//!                                     [sides: i64 le …] [strides: i64 le …] [offset: i64 le]
//!                          pickle     the tensors by name, by the ids of `tensors`
//! ```

mod tar;

use super::{BIG_ENDIAN, LARGEST_PICKLE, located};
use crate::CheckpointError;
use crate::pickle::{self, Pickle};
use crate::tensors::{EXPECTED, Located, Source, Storages};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, SeekFrom};
use std::path::Path;

/// The magic number as pickles have it: in bytes, and in digits.
const MAGIC: [&[u8]; 2] = [b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", b"119547037146038801333356"];

/// The byte of a tar's first block at which its magic word begins.
const TAR_MAGIC: usize = 257;

/// The tensors that a file of `size` bytes describes, which begins with `start`, and its storages.
///
/// # Errors
/// When it is no whole file of PyTorch's.
pub(crate) fn read(
    mut source: Box<dyn Source>,
    start: &[u8],
    size: u64,
    path: &Path,
) -> Result<(BTreeMap<String, Located>, Storages), CheckpointError> {
    let malformed = |found: String| CheckpointError::malformed(path, EXPECTED, found);
    if start.get(TAR_MAGIC..TAR_MAGIC + 5) == Some(b"ustar") {
        let (tensors, places) = tar::read(&mut source, size).map_err(malformed)?;
        return Ok((tensors, Storages::Places { file: source, places }));
    }
    let is_stream =
        MAGIC.iter().any(|magic| start[..start.len().min(64)].windows(magic.len()).any(|at| at == *magic));
    if !is_stream {
        return Err(malformed("no zip, tar, nor the number that PyTorch's older files begin with".into()));
    }
    // Nearly all descriptions are short, and the storages behind them are not.
    let mut most = 1 << 20;
    let streamed = loop {
        let head = head(&mut source, 0, most).map_err(CheckpointError::io("read", path))?;
        let is_whole = (head.len() as u64) < most || most >= LARGEST_PICKLE;
        match Streamed::of(&head) {
            Err(_) if !is_whole => most *= 10,
            Err(expected) => return Err(malformed(format!("pickles that lack {expected}"))),
            Ok(streamed) => break streamed,
        }
    };
    let places = streamed.places(&mut source, size).map_err(malformed)?;
    let tensors = streamed.object.tensors();
    let tensors = tensors.map_err(|expected| malformed(format!("a pickle that lacks {expected}")))?;
    Ok((located(tensors), Storages::Places { file: source, places }))
}

/// The bytes from `from` on, `most` of them at the most.
fn head(source: &mut dyn Source, from: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    source.seek(SeekFrom::Start(from))?;
    source.take(most).read_to_end(&mut head)?;
    Ok(head)
}

/// The pickles of a stream.
struct Streamed {
    object: Pickle,
    /// The names of the storages.
    names: Pickle,
    /// Bytes of the pickles.
    length: u64,
}

impl Streamed {
    fn of(bytes: &[u8]) -> Result<Self, String> {
        let none = BTreeMap::new();
        let (_magic, rest) = pickle::run(bytes, &none)?;
        let (version, rest) = pickle::run(rest, &none)?;
        if version.number() != Some(1001) {
            return Err("the version 1001".into());
        }
        let (system, rest) = pickle::run(rest, &none)?;
        if system.flag("little_endian") != Some(true) {
            return Err(format!("little-endian numbers, and has perhaps {BIG_ENDIAN}"));
        }
        let (object, rest) = pickle::run(rest, &none)?;
        let (names, rest) = pickle::run(rest, &none)?;
        Ok(Streamed { object, names, length: (bytes.len() - rest.len()) as u64 })
    }

    /// The places of the storages in a file of `size` bytes: the byte of their first number, and their bytes.
    fn places(&self, source: &mut dyn Source, size: u64) -> Result<HashMap<String, (u64, u64)>, String> {
        let mut named = HashMap::new();
        for storage in self.object.storages() {
            named.entry(storage.name.as_str()).or_insert((storage.kind.as_str(), storage.count));
        }
        let (mut at, mut places) = (self.length, HashMap::new());
        for name in self.names.words().ok_or("a file without a list of its storages")? {
            let name = name.ok_or("a storage without a name")?;
            let Some(&(kind, stated)) = named.get(&*name) else {
                return Err(format!("a storage {name} of which its pickle says nothing"));
            };
            let width = width_of(kind).ok_or_else(|| format!("a {kind}"))?;
            let (from, count) = counted(source, at)?;
            let bytes = count.checked_mul(width).filter(|bytes| from <= size && *bytes <= size - from);
            let Some(bytes) = bytes.filter(|_| stated.is_none_or(|stated| stated as u64 == count)) else {
                return Err(format!(
                    "{count} numbers in storage {name}, where {} bytes follow",
                    size - from.min(size)
                ));
            };
            places.insert(name.into_owned(), (from, bytes));
            at = from + bytes;
        }
        Ok(places)
    }
}

/// The count of numbers at a place of the file, and the place behind it.
fn counted(source: &mut dyn Source, at: u64) -> Result<(u64, u64), String> {
    let mut count = [0; 8];
    source.seek(SeekFrom::Start(at)).map_err(|error| error.to_string())?;
    source.read_exact(&mut count).map_err(|error| format!("no storage at byte {at}: {error}"))?;
    Ok((at + 8, u64::from_le_bytes(count)))
}

/// The bytes of a number of a storage.
fn width_of(kind: &str) -> Option<u64> {
    Some(match kind {
        "ByteStorage" | "CharStorage" | "BoolStorage" | "QInt8Storage" | "QUInt8Storage"
        | "UntypedStorage" => 1,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "FloatStorage" | "IntStorage" | "QInt32Storage" => 4,
        "DoubleStorage" | "LongStorage" | "ComplexFloatStorage" => 8,
        "ComplexDoubleStorage" => 16,
        _ => return None,
    })
}
