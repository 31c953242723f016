//! The places of a shard's samples in few bytes: twelve a picture where the columns take seventy.
//!
//! ```text
//! row -> [offset] [length] [checksum] [class] [extension], each as wide as the shard's largest:
//!        a shard below 4 GB has offsets of 4 bytes, one of a single extension numbers of none
//! ```
//!
//! An order that reads from anywhere has those of every shard in memory. The names of samples, which errors
//! alone say, stay in the sidecar.

use super::rows::Rows;
use std::ops::Range;

/// A shard's samples and the places of their parts.
#[derive(Debug)]
pub(crate) struct Lookup {
    samples: u64,
    rows: usize,
    /// The first sample that each row is about; none where each row is about the next one.
    first: Option<Numbers>,
    offset: Numbers,
    length: Numbers,
    crc32: Numbers,
    /// 0 for none, or one more than the number of the class.
    class: Numbers,
    /// Which of `extensions`.
    extension: Numbers,
    extensions: Box<[Box<str>]>,
}

/// The place of a part, and its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub bytes: Range<u64>,
    pub crc32: u32,
}

impl Lookup {
    /// The places of `rows`; `number` numbers the classes.
    pub(super) fn of(rows: &Rows, number: impl Fn(&str) -> Option<usize>) -> Self {
        let parts = 0..rows.parts();
        let mut extensions: Vec<Box<str>> = Vec::new();
        let mut extension = Vec::with_capacity(parts.len());
        for row in parts.clone() {
            let name = rows.extension(row);
            let known = extensions.iter().position(|known| **known == *name);
            extension.push(known.unwrap_or_else(|| {
                extensions.push(name.into());
                extensions.len() - 1
            }));
        }
        let first = Numbers::of(parts.clone().map(|row| rows.sample(row)));
        let class = |row| rows.row_class(row).and_then(&number).map_or(0, |class| class as u64 + 1);
        Lookup {
            samples: rows.len(),
            rows: parts.len(),
            first: parts.clone().any(|row| rows.sample(row) != row as u64).then_some(first),
            offset: Numbers::of(parts.clone().map(|row| rows.bytes_of(row).start)),
            length: Numbers::of(
                parts.clone().map(|row| rows.bytes_of(row)).map(|part| part.end - part.start),
            ),
            crc32: Numbers::of(parts.clone().map(|row| u64::from(rows.crc32(row)))),
            class: Numbers::of(parts.map(class)),
            extension: Numbers::of(extension.into_iter().map(|which| which as u64)),
            extensions: extensions.into(),
        }
    }

    /// Samples.
    pub(crate) fn len(&self) -> u64 {
        self.samples
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> u64 {
        let columns = [&self.offset, &self.length, &self.crc32, &self.class, &self.extension];
        let columns = columns.into_iter().chain(&self.first).map(|numbers| numbers.bytes.len());
        let names = self.extensions.iter().map(|name| size_of::<Box<str>>() + name.len());
        (size_of::<Self>() + columns.sum::<usize>() + names.sum::<usize>()) as u64
    }

    /// The rows of sample `number`, or the row of the block that it is in.
    fn of_sample(&self, number: u64) -> Range<usize> {
        let Some(first) = &self.first else {
            let row = (number as usize).min(self.rows.saturating_sub(1));
            return row..(row + 1).min(self.rows);
        };
        let end = first.partition_point(self.rows, |sample| sample <= number);
        let own = end.checked_sub(1).map_or(0, |last| first.get(last));
        first.partition_point(end, |sample| sample < own)..end
    }

    /// The place of the part of sample `number` that `among` the extensions of its parts is wanted.
    pub(crate) fn part(&self, number: u64, among: impl Fn(&[&str]) -> Option<usize>) -> Option<Place> {
        let rows = self.of_sample(number);
        let name = |row| &*self.extensions[self.extension.get(row) as usize];
        let names: Vec<&str> = rows.clone().map(name).collect();
        let row = rows.start + among(&names)?;
        let offset = self.offset.get(row);
        Some(Place { bytes: offset..offset + self.length.get(row), crc32: self.crc32.get(row) as u32 })
    }

    /// The number of the class that sample `number` shows.
    pub(crate) fn class(&self, number: u64) -> Option<usize> {
        let row = self.of_sample(number).start;
        (self.class.get(row) as usize).checked_sub(1)
    }
}

/// Whole numbers, each in as many bytes as the largest takes.
#[derive(Debug)]
struct Numbers {
    width: usize,
    bytes: Box<[u8]>,
}

impl Numbers {
    fn of(numbers: impl Iterator<Item = u64> + Clone) -> Self {
        let most = numbers.clone().max().unwrap_or(0);
        let width = (u64::BITS - most.leading_zeros()).div_ceil(8) as usize;
        let mut bytes = Vec::with_capacity(numbers.clone().count() * width);
        numbers.for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()[..width]));
        Numbers { width, bytes: bytes.into() }
    }

    fn get(&self, at: usize) -> u64 {
        let mut number = [0; 8];
        number[..self.width].copy_from_slice(&self.bytes[at * self.width..][..self.width]);
        u64::from_le_bytes(number)
    }

    /// The number of the first `len`, which ascend, that are as `is` says.
    fn partition_point(&self, len: usize, is: impl Fn(u64) -> bool) -> usize {
        let (mut begin, mut end) = (0, len);
        while begin < end {
            let middle = begin + (end - begin) / 2;
            if is(self.get(middle)) { begin = middle + 1 } else { end = middle }
        }
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Entry, Member};
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let part =
            (prop::sample::select(vec!["jpg", "cls", "json"]), 0u64..1 << 40, 0u64..1 << 20, any::<u32>())
                .prop_map(|(extension, offset, length, crc32)| Member {
                    extension: extension.to_string(),
                    offset,
                    length,
                    crc32,
                });
        let entry = (1u32..4, prop::option::of("[ab]"), prop::collection::vec(part, 1..4)).prop_map(
            |(records, class, parts)| Entry { key: "key".to_string(), records, line: 0, class, parts },
        );
        prop::collection::vec(entry, 0..20)
    }

    proptest! {
        /// A look-up says the same as the columns, of samples of one part and of several, and of blocks.
        #[test]
        fn the_columns_say_the_same(entries in entries()) {
            let rows = Rows::of(&entries);
            let lookup = Lookup::of(&rows, |class| ["a", "b"].iter().position(|known| *known == class));
            prop_assert_eq!(lookup.len(), rows.len());
            for number in 0..rows.len() {
                let entry = rows.entry(number);
                let class = entry.class().map(|class| usize::from(class == "b"));
                prop_assert_eq!(lookup.class(number), class);
                for wanted in [&["jpg", "cls"][..], &["json"], &["png"]] {
                    let part = wanted.iter().find_map(|name| entry.parts.iter().find(|part| part.extension == *name));
                    let expected = part.map(|part| Place {
                        bytes: part.offset..part.offset + part.length,
                        crc32: part.crc32,
                    });
                    let among = |names: &[&str]| {
                        wanted.iter().find_map(|wanted| names.iter().position(|name| name == wanted))
                    };
                    prop_assert_eq!(lookup.part(number, among), expected);
                }
            }
        }
    }

    #[test]
    fn a_picture_takes_few_bytes() {
        let entry = |at: u64| Entry {
            key: format!("n01440764/n01440764_{at}"),
            records: 1,
            line: 0,
            class: Some(format!("class {}", at % 2)),
            parts: vec![Member {
                extension: "jpg".to_string(),
                offset: at * 110_000,
                length: 100_000 + at,
                crc32: u32::MAX - at as u32,
            }],
        };
        let rows = Rows::of(&(0..10_000).map(entry).collect::<Vec<_>>());
        let lookup = Lookup::of(&rows, |class| Some(usize::from(class == "class 1")));
        assert_eq!((lookup.class(4_001), lookup.class(4_002)), (Some(1), Some(0)));
        // Offset 4, length 3, checksum 4, class 1; each row is a sample, and all have the same extension.
        assert_eq!(lookup.bytes(), 12 * 10_000 + size_of::<Lookup>() as u64 + 19);
    }
}
