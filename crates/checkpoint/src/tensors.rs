//! A file of tensors, whose numbers are read when they are asked for.
//!
//! The file's description says where each tensor lies: which numbers of which storage. A storage is gone
//! through once, from its beginning to the last number that is wanted, and only the numbers that are wanted
//! are held: no size that a file states is asked for before its bytes have come.

use crate::{CheckpointError, header, torch};
use burn::tensor::{DType, TensorData};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use zip::ZipArchive;
use zip::read::ZipReadOptions;

/// The content of such a file, in words.
pub(crate) const EXPECTED: &str = "weights as PyTorch or safetensors write them";

/// The beginning of a zip archive.
const ZIP: &[u8] = b"PK\x03\x04";

/// Bytes of packed storages, beyond the file's own size, that are unpacked on the way to wanted numbers.
const PASSED_OVER: u64 = 4 << 30;

/// Bytes that are read behind the last wanted number of a storage, for the storage's checksum.
const REST: u64 = 64 << 20;

/// Bytes between the first and the last number of a tensor, beyond four times those of its numbers.
const SPREAD: u64 = 64 << 20;

/// Bytes that may be read from any place: a file, or memory.
pub(crate) trait Source: Read + Seek {}

impl<T: Read + Seek> Source for T {}

/// The place of a tensor's numbers. The offset and the strides count numbers, not bytes.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) storage: String,
    pub(crate) dtype: DType,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// Storages by name.
pub(crate) enum Storages {
    /// Entries `{root}data/NAME` of an archive.
    Zip { archive: ZipArchive<Box<dyn Source>>, root: String },
    /// Bytes of a file: the first, and their number.
    Places { file: Box<dyn Source>, places: HashMap<String, (u64, u64)> },
}

/// A file of tensors.
pub(crate) struct TensorFile {
    /// The file's own size in bytes.
    size: u64,
    tensors: BTreeMap<String, Located>,
    storages: RefCell<Storages>,
}

impl std::fmt::Debug for TensorFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TensorFile").field("tensors", &self.tensors).finish_non_exhaustive()
    }
}

impl TensorFile {
    /// Opens a file and reads its description.
    ///
    /// # Errors
    /// When it cannot be read, or is neither safetensors nor PyTorch's.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let file = File::open(path).map_err(CheckpointError::io("read", path))?;
        let named = path.extension().is_some_and(|ending| ending == "safetensors");
        TensorFile::read_description(Box::new(BufReader::new(file)), named, path)
    }

    /// As [`TensorFile::open`], of bytes from anywhere, which are safetensors if `named` so or if they begin so.
    /// `path` names them in errors.
    ///
    /// # Errors
    /// See [`TensorFile::open`].
    pub(crate) fn read_description(
        mut source: Box<dyn Source>,
        named: bool,
        path: &Path,
    ) -> Result<Self, CheckpointError> {
        let mut start = Vec::new();
        let mut begin = || -> io::Result<u64> {
            let size = source.seek(SeekFrom::End(0))?;
            source.rewind()?;
            source.by_ref().take(512).read_to_end(&mut start)?;
            source.rewind()?;
            Ok(size)
        };
        let size = begin().map_err(CheckpointError::io("read", path))?;
        let (tensors, storages) = if named || start.get(8) == Some(&b'{') {
            header::read(source, size, path)?
        } else if start.starts_with(ZIP) {
            torch::read_zip(source, path)?
        } else {
            torch::read_older(source, &start, size, path)?
        };
        Ok(TensorFile { size, tensors, storages: RefCell::new(storages) })
    }

    /// The tensors by name.
    pub(crate) fn tensors(&self) -> &BTreeMap<String, Located> {
        &self.tensors
    }

    /// Reads tensors, and hands each to `take` with its place in `names`. They come in the order in which they
    /// lie in the file. `path` names the file in errors.
    ///
    /// # Errors
    /// When a storage is missing, damaged or too short, or a tensor's numbers lie far apart; and those of
    /// `take`.
    pub(crate) fn read(
        &self,
        names: &[&str],
        path: &Path,
        take: &mut dyn FnMut(usize, TensorData) -> Result<(), CheckpointError>,
    ) -> Result<(), CheckpointError> {
        let mut by_storage: BTreeMap<&str, Vec<(usize, &Located)>> = BTreeMap::new();
        for (number, name) in names.iter().enumerate() {
            let tensor = self.tensors.get(*name).expect("a tensor of this file");
            by_storage.entry(&tensor.storage).or_default().push((number, tensor));
        }
        let mut storages = self.storages.borrow_mut();
        let mut spare = PASSED_OVER.saturating_add(self.size);
        for (storage, mut wanted) in by_storage {
            wanted.sort_by_key(|(_, tensor)| tensor.offset.saturating_mul(tensor.dtype.size()));
            let wrong = |&(number, tensor): &(usize, &Located), found: String| CheckpointError::Tensor {
                path: path.to_path_buf(),
                tensor: names[number].to_string(),
                expected: format!("the numbers of shape {:?}", tensor.shape),
                found,
            };
            let (stream, held) = storages.open(storage).map_err(|found| wrong(&wanted[0], found))?;
            let mut window = Window { stream, from: 0, bytes: Vec::new() };
            for (at, one) in wanted.iter().enumerate() {
                let (number, tensor) = one;
                let (from, to) = tensor.extent(held).map_err(|found| wrong(one, found))?;
                let failed = |error: io::Error| wrong(one, format!("{error}, in storage {storage}"));
                if from < to {
                    window.cover(from, to, self.size, &mut spare).map_err(failed)?;
                }
                let is_last = at + 1 == wanted.len();
                if is_last {
                    window.finish(held, &mut spare).map_err(failed)?;
                }
                let rows = match tensor.is_row_after_row() {
                    true if is_last => {
                        window.bytes.truncate((to - from) as usize);
                        std::mem::take(&mut window.bytes)
                    }
                    true => window.bytes[..(to - from) as usize].to_vec(),
                    false => tensor.gathered(&window.bytes),
                };
                take(*number, TensorData::from_bytes_vec(rows, tensor.shape.clone(), tensor.dtype))?;
            }
        }
        Ok(())
    }
}

impl Storages {
    /// A storage's bytes, and their number as the file states it.
    ///
    /// # Errors
    /// In words, when there is no such storage.
    fn open(&mut self, name: &str) -> Result<(Box<dyn Read + '_>, u64), String> {
        match self {
            Storages::Zip { archive, root } => {
                let entry = format!("{root}data/{name}");
                let (stream, held) = entry_of(archive, &entry)?;
                Ok((Box::new(stream), held))
            }
            Storages::Places { file, places } => {
                let &(from, held) = places.get(name).ok_or_else(|| format!("no storage {name}"))?;
                file.seek(SeekFrom::Start(from)).map_err(|error| error.to_string())?;
                Ok((Box::new(file.take(held)), held))
            }
        }
    }
}

/// The bytes of an archive's entry, and their number as the archive states it.
///
/// # Errors
/// In words, when there is no such entry, or it is packed in another way.
pub(crate) fn entry_of<'a>(
    archive: &'a mut ZipArchive<Box<dyn Source>>,
    name: &str,
) -> Result<(impl Read + 'a, u64), String> {
    let error = |error: zip::result::ZipError| format!("{name}: {error}");
    let number = archive.index_for_name(name).ok_or_else(|| format!("no {name} in the archive"))?;
    // PyTorch writes a checksum of 0 where it was told to compute none.
    let unchecked = archive.by_index_raw(number).map_err(error)?.crc32() == 0;
    let options = ZipReadOptions::new().ignore_crc32(unchecked);
    let entry = archive.by_index_with_options(number, options).map_err(error)?;
    let size = entry.size();
    Ok((entry, size))
}

impl Located {
    /// The first byte of the tensor in its storage of `held` bytes, and the byte behind its last.
    ///
    /// # Errors
    /// In words, when it cannot lie there.
    fn extent(&self, held: u64) -> Result<(u64, u64), String> {
        let size = self.dtype.size();
        let Located { offset, shape, strides, .. } = self;
        // A tensor that repeats its storage is no weight, and could be of any size.
        let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side));
        let last = shape.iter().zip(strides).try_fold(*offset, |last, (side, stride)| {
            last.checked_add(side.saturating_sub(1).checked_mul(*stride)?)
        });
        let bytes = |numbers: usize| numbers.checked_mul(size).map(|bytes| bytes as u64);
        let fits = |numbers: usize| bytes(numbers).is_some_and(|bytes| bytes <= held);
        let (Some(count), Some(last)) = (count, last) else { return Err("sizes beyond any file".into()) };
        if !fits(count) || count > 0 && !fits(last.saturating_add(1)) {
            return Err(format!("a storage of {held} bytes"));
        }
        if count == 0 {
            return Ok((0, 0));
        }
        let (count, from, to) = ((count * size) as u64, (offset * size) as u64, ((last + 1) * size) as u64);
        if to - from > count.saturating_mul(4).saturating_add(SPREAD) {
            return Err(format!("{count} bytes of them among {} others", to - from - count.min(to - from)));
        }
        Ok((from, to))
    }

    fn is_row_after_row(&self) -> bool {
        let mut expected = 1usize;
        self.shape.iter().zip(&self.strides).rev().all(|(side, stride)| {
            let fits = *side == 1 || *stride == expected;
            // A tensor without numbers may have any sides beside the one of 0.
            expected = usize::saturating_mul(expected, *side);
            fits
        })
    }

    /// The numbers row after row, out of the storage's bytes from the first number on.
    fn gathered(&self, bytes: &[u8]) -> Vec<u8> {
        let size = self.dtype.size();
        let count: usize = self.shape.iter().product();
        let mut rows = Vec::with_capacity(count * size);
        for number in 0..count {
            let (mut left, mut at) = (number, 0);
            for (side, stride) in self.shape.iter().zip(&self.strides).rev() {
                at += left % side * stride;
                left /= side;
            }
            rows.extend_from_slice(&bytes[at * size..(at + 1) * size]);
        }
        rows
    }
}

/// The bytes of a storage that are held, on the way through it.
struct Window<'a> {
    stream: Box<dyn Read + 'a>,
    /// The place in the storage of the first byte held.
    from: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// Goes on to hold the bytes from `from`, which is not before the last such call's, to `to` at least. `size` is
    /// that of the file; of `spare`, bytes that are passed over are taken.
    fn cover(&mut self, from: u64, to: u64, size: u64, spare: &mut u64) -> io::Result<()> {
        let end = self.from + self.bytes.len() as u64;
        if from >= end {
            let over = from - end;
            *spare = spare.checked_sub(over).ok_or_else(|| {
                io::Error::new(ErrorKind::InvalidData, format!("{over} packed bytes before them"))
            })?;
            self.bytes.clear();
            let passed = io::copy(&mut self.stream.by_ref().take(over), &mut io::sink())?;
            self.from = end + passed;
            if passed < over {
                return Err(self.too_short());
            }
        } else {
            self.bytes.drain(..(from - self.from) as usize);
            self.from = from;
        }
        let more = to.saturating_sub(self.from + self.bytes.len() as u64);
        self.bytes.reserve_exact(more.min(size) as usize);
        let came = self.stream.by_ref().take(more).read_to_end(&mut self.bytes)?;
        if (came as u64) < more { Err(self.too_short()) } else { Ok(()) }
    }

    /// Reads to the end of the storage of `held` bytes, where its checksum is compared, if it is near.
    fn finish(&mut self, held: u64, spare: &mut u64) -> io::Result<()> {
        let rest = held.saturating_sub(self.from + self.bytes.len() as u64);
        if rest <= REST && rest <= *spare {
            *spare -= rest;
            io::copy(&mut self.stream, &mut io::sink())?;
        }
        Ok(())
    }

    fn too_short(&self) -> io::Error {
        let bytes = self.from + self.bytes.len() as u64;
        io::Error::new(ErrorKind::UnexpectedEof, format!("the end after {bytes} bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(offset: usize, shape: &[usize], strides: &[usize]) -> Located {
        let (shape, strides) = (shape.to_vec(), strides.to_vec());
        Located { storage: "0".into(), dtype: DType::F32, offset, shape, strides }
    }

    #[test]
    fn a_storage_that_is_too_short_is_an_error() {
        let extent = |offset, shape: &[usize], strides: &[usize]| located(offset, shape, strides).extent(8);
        assert_eq!(extent(0, &[2], &[1]), Ok((0, 8)));
        assert_eq!(extent(1, &[], &[]), Ok((4, 8)));
        assert_eq!(extent(1, &[2], &[1]), Err("a storage of 8 bytes".into()));
        assert!(extent(0, &[1 << 40], &[0]).is_err());
        assert!(extent(usize::MAX, &[2], &[1]).is_err());
        assert!(extent(0, &[usize::MAX, usize::MAX], &[usize::MAX, 1]).is_err());
        let spread = located(0, &[2], &[1 << 30]).extent(u64::MAX);
        assert_eq!(spread, Err("8 bytes of them among 4294967292 others".into()));
    }

    #[test]
    fn one_walk_through_a_storage_gives_all_that_lies_in_it() {
        let numbers: Vec<u8> = (0..8).flat_map(|number: u8| f32::from(number).to_le_bytes()).collect();
        let file = Box::new(io::Cursor::new([&[9; 3], &numbers[..]].concat()));
        let tensors = [
            ("late", located(5, &[2], &[1])),
            ("whole", located(0, &[2, 3], &[3, 1])),
            ("turned", located(1, &[2, 2], &[1, 2])),
            ("tied", located(0, &[2, 3], &[3, 1])),
            ("none", located(7, &[0, 3], &[3, 1])),
            ("long", located(6, &[3], &[1])),
        ];
        let tensors = tensors.map(|(name, tensor)| (name.to_string(), tensor)).into();
        let places = HashMap::from([("0".to_string(), (3, 32))]);
        let storages = RefCell::new(Storages::Places { file, places });
        let file = TensorFile { size: 35, tensors, storages };
        let names = ["late", "whole", "turned", "tied", "none"];
        let mut read = BTreeMap::new();
        let mut take = |number: usize, data: TensorData| {
            read.insert(names[number], data.as_slice::<f32>().unwrap().to_vec());
            Ok(())
        };
        file.read(&names, Path::new("x"), &mut take).unwrap();
        assert_eq!(read["late"], [5.0, 6.0]);
        assert_eq!(read["whole"], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(read["turned"], [1.0, 3.0, 2.0, 4.0]);
        assert_eq!(read["tied"], read["whole"]);
        assert!(read["none"].is_empty());
        let error = file.read(&["long"], Path::new("x"), &mut |_, _| Ok(())).unwrap_err().to_string();
        assert_eq!(error, "x: tensor `long`: expected the numbers of shape [3], found a storage of 32 bytes");
    }

    #[test]
    fn packed_bytes_before_a_tensor_are_passed_over_up_to_a_limit() {
        let mut spare = 1 << 20;
        let mut window = Window { stream: Box::new(io::repeat(7).take(2 << 20)), from: 0, bytes: Vec::new() };
        window.cover(1000, 1008, 64, &mut spare).unwrap();
        assert_eq!((window.bytes.as_slice(), spare), (&[7; 8][..], (1 << 20) - 1000));
        let error = window.cover((1 << 20) + 1008, (1 << 20) + 1016, 64, &mut spare).unwrap_err();
        assert_eq!(error.to_string(), "1048576 packed bytes before them");
        // No size that is stated is asked for: the storage ends before.
        let error = window.cover(1008, u64::MAX, 64, &mut spare).unwrap_err();
        assert_eq!(error.to_string(), "the end after 2097152 bytes");
    }
}
