//! PyTorch's oldest files. Their tars have plain entries alone: one that is packed or has holes is refused.

use super::{counted, head, width_of};
use crate::pickle::{self, Described, Pickle};
use crate::tensors::{Located, Source};
use crate::torch::{BIG_ENDIAN, LARGEST_PICKLE, located};
use std::collections::{BTreeMap, HashMap};

/// Bytes of a block of a tar.
const BLOCK: u64 = 512;

/// Bytes of a pickle that names one storage or tensor.
const SHORT: u64 = 1 << 10;

/// Axes of a tensor.
const MOST_AXES: u32 = 64;

/// Bytes of a file: the first, and the one behind the last.
type Span = (u64, u64);

/// The places of the storages: their first byte, and the count of bytes.
type Places = HashMap<String, (u64, u64)>;

/// The tensors of a tar of `size` bytes, and where their storages lie.
///
/// # Errors
/// In words, when it is no whole one.
pub(super) fn read(
    source: &mut dyn Source,
    size: u64,
) -> Result<(BTreeMap<String, Located>, Places), String> {
    let entries = entries(source, size)?;
    let entry = |name: &str| entries.get(name).copied().ok_or_else(|| format!("a tar without {name}"));
    if let Ok(system) = entry("sys_info")
        && whole(source, system, &BTreeMap::new())?.flag("little_endian") != Some(true)
    {
        return Err(BIG_ENDIAN.into());
    }
    let (kinds, places) = storages(source, entry("storages")?)?;
    let known = tensors(source, entry("tensors")?, &kinds)?;
    let described = whole(source, entry("pickle")?, &known)?.tensors();
    Ok((located(described.map_err(|expected| format!("a pickle that lacks {expected}"))?), places))
}

/// The entries of the tar by name.
fn entries(source: &mut dyn Source, size: u64) -> Result<HashMap<String, Span>, String> {
    let (mut entries, mut at) = (HashMap::new(), 0);
    while at + BLOCK <= size {
        let block = head(source, at, BLOCK).map_err(|error| error.to_string())?;
        if block.iter().all(|byte| *byte == 0) {
            break;
        }
        let text = |from: usize, length: usize| {
            let text = &block[from..from + length];
            let end = text.iter().position(|byte| *byte == 0).unwrap_or(length);
            String::from_utf8_lossy(&text[..end]).trim().to_string()
        };
        let name = text(0, 100).trim_start_matches("./").to_string();
        let length =
            u64::from_str_radix(&text(124, 12), 8).map_err(|error| format!("{name:?} in a tar: {error}"))?;
        let from = at + BLOCK;
        if length > size - from {
            return Err(format!("{name:?} of {length} bytes in a tar, where {} follow", size - from));
        }
        match block[156] {
            b'0' | 0 => drop(entries.insert(name, (from, from + length))),
            // Folders, and what Python adds to the next entry, such as its time.
            b'5' | b'x' | b'g' => {}
            other => return Err(format!("{name:?} in a tar, an entry of the kind {:?}", char::from(other))),
        }
        at = from + length.next_multiple_of(BLOCK);
    }
    Ok(entries)
}

/// The storages' types by name, and their places.
fn storages(source: &mut dyn Source, span: Span) -> Result<(HashMap<String, String>, Places), String> {
    let (mut kinds, mut places) = (HashMap::new(), Places::new());
    let (count, mut at) = number(source, span)?;
    for _ in 0..count {
        let (pickle, next) = short(source, (at, span.1))?;
        let [name, _device, kind] = words(&pickle).ok_or("a storage without a name and a type")?;
        let width = width_of(&kind).ok_or_else(|| format!("a {kind}"))?;
        let (from, numbers) = counted(source, next)?;
        let bytes = numbers.checked_mul(width).filter(|bytes| from <= span.1 && *bytes <= span.1 - from);
        let bytes =
            bytes.ok_or_else(|| format!("{numbers} numbers in storage {name}, where fewer follow"))?;
        places.insert(name.clone(), (from, bytes));
        kinds.insert(name, kind);
        at = from + bytes;
    }
    let (parts, _) = run(source, (at, span.1), LARGEST_PICKLE, &BTreeMap::new())?;
    for part in parts.lines().ok_or("a tar without a list of parts of its storages")? {
        let part: Option<Vec<String>> = part.and_then(|words| words.map(|word| Some(word?.into())).collect());
        let part = part.and_then(|words| <[String; 4]>::try_from(words).ok());
        let [name, whole, offset, count] = part.ok_or("a part of a storage of four values")?;
        let (Some(kind), Some(&(from, bytes))) = (kinds.get(&whole), places.get(&whole)) else {
            return Err(format!("a part of storage {whole}, which is not there"));
        };
        let width = width_of(kind).unwrap_or(1);
        let sizes = offset.parse::<u64>().ok().zip(count.parse::<u64>().ok());
        let sizes =
            sizes.and_then(|(offset, count)| Some((offset.checked_mul(width)?, count.checked_mul(width)?)));
        let (offset, length) = sizes
            .filter(|(offset, length)| offset.checked_add(*length).is_some_and(|end| end <= bytes))
            .ok_or_else(|| format!("a part {name} beyond its storage {whole}"))?;
        places.insert(name.clone(), (from + offset, length));
        kinds.insert(name, kind.clone());
    }
    Ok((kinds, places))
}

/// The tensors by their ids.
fn tensors(
    source: &mut dyn Source,
    span: Span,
    kinds: &HashMap<String, String>,
) -> Result<BTreeMap<String, Described>, String> {
    let mut tensors = BTreeMap::new();
    let (count, mut at) = number(source, span)?;
    for _ in 0..count {
        let (pickle, next) = short(source, (at, span.1))?;
        let [id, storage, _kind] = words(&pickle).ok_or("a tensor without an id and a storage")?;
        let kind = kinds
            .get(&storage)
            .ok_or_else(|| format!("a tensor of storage {storage}, which is not there"))?;
        let bytes =
            head(source, next, 8 + 16 * u64::from(MOST_AXES) + 8).map_err(|error| error.to_string())?;
        let cut = || format!("the end within tensor {id}");
        let (rank, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
        let rank = u32::from_le_bytes(*rank);
        if rank > MOST_AXES {
            return Err(format!("a tensor of {rank} axes"));
        }
        // The rank has been a number of eight bytes once; four of them mean nothing.
        let mut sizes = rest.get(4..).ok_or_else(cut)?.chunks_exact(8).map(|size| {
            let size = i64::from_le_bytes(size.try_into().expect("eight bytes"));
            usize::try_from(size).map_err(|_| format!("a size of {size} in tensor {id}"))
        });
        let mut next_sizes = |count: usize| -> Result<Vec<usize>, String> {
            (0..count).map(|_| sizes.next().ok_or_else(cut)?).collect()
        };
        let (shape, strides) = (next_sizes(rank as usize)?, next_sizes(rank as usize)?);
        let offset = next_sizes(1)?[0];
        at = next + 8 + 16 * u64::from(rank) + 8;
        if at > span.1 {
            return Err(cut());
        }
        let kind = kind.clone();
        tensors.insert(id, Described { storage, kind, offset, shape, strides });
    }
    Ok(tensors)
}

/// The number that an entry begins with, and the place behind it.
fn number(source: &mut dyn Source, span: Span) -> Result<(u64, u64), String> {
    let (pickle, at) = short(source, span)?;
    let number = pickle.number().and_then(|number| u64::try_from(number).ok());
    Ok((number.ok_or("an entry of a tar that does not begin with a count")?, at))
}

/// A pickle of names, which are texts or numbers.
fn words(pickle: &Pickle) -> Option<[String; 3]> {
    let words: Option<Vec<String>> = pickle.words()?.map(|word| Some(word?.into())).collect();
    words?.try_into().ok()
}

fn whole(source: &mut dyn Source, span: Span, known: &BTreeMap<String, Described>) -> Result<Pickle, String> {
    Ok(run(source, span, LARGEST_PICKLE, known)?.0)
}

fn short(source: &mut dyn Source, span: Span) -> Result<(Pickle, u64), String> {
    run(source, span, SHORT, &BTreeMap::new())
}

/// The pickle at the beginning of `span`, of `most` bytes at the most, and the place behind it.
fn run(
    source: &mut dyn Source,
    (from, to): Span,
    most: u64,
    known: &BTreeMap<String, Described>,
) -> Result<(Pickle, u64), String> {
    let bytes = head(source, from, most.min(to.saturating_sub(from))).map_err(|error| error.to_string())?;
    let (pickle, rest) =
        pickle::run(&bytes, known).map_err(|expected| format!("a pickle that lacks {expected}"))?;
    Ok((pickle, from + (bytes.len() - rest.len()) as u64))
}
