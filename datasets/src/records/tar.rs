//! Tar shards in WebDataset's layout: many samples in one file, so that a bucket is asked for few large
//! objects instead of millions of small ones.
//!
//! ```text
//! train-00000.tar
//!   cat/0001.jpg  cat/0001.cls     one sample, `cat/0001`: consecutive members of one name up to the
//!   dog/0007.jpg  dog/0007.json    first dot of the file's name; the rest of the name is the member's
//!
//! [header: 512 bytes] [content, padded to 512] ...  [1024 zero bytes or more]
//! ```
//!
//! Plain tar is read by byte ranges through the [`index`](crate::index). Inside gzip or zstd there are no
//! ranges: such a shard is unpacked once, into the local cache, when it is first needed.
//!
//! POSIX.1-1988 (ustar), POSIX.1-2001 (pax) and GNU's long names, by the `tar` crate. Aizman, Maltby and
//! Breuel, "High performance I/O for large scale deep learning", 2019 (WebDataset).

use super::entry::{Entries, Entry, File, Member, Records, scanned};
use super::files::is_set_aside_in_archive;
use crate::DataError;
use crate::source::one_line;
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// Bytes of a label that are looked at; a longer one is none.
const LONGEST_LABEL: u64 = 1 << 20;

/// Bytes between the contents of two members: headers, which hold names of any length.
const LONGEST_HEADERS: u64 = 1 << 20;

/// Tar's unit.
const BLOCK: u64 = 512;

/// The format.
pub(super) struct TarRecords;

impl Records for TarRecords {
    fn entries(&self, file: &File<'_>) -> Result<Entries, DataError> {
        scanned(file, |uri, unpacked, take| scan(uri, unpacked, take))
    }
}

/// Reads a shard from its beginning to its end, and hands out each sample with a checksum of every
/// part. `uri` names it in errors.
///
/// # Errors
/// When it is no tar, is damaged or ends without the zeros that end a tar, when a sample has two
/// parts of one name, and when `take` fails.
pub(crate) fn scan(
    uri: &str,
    reader: impl Read,
    mut take: impl FnMut(Entry) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let (read, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let mut archive = tar::Archive::new(Counted { reader, read: read.clone(), most: most.clone() });
    let malformed = |error: io::Error| {
        DataError::malformed(
            uri,
            format!("byte {}", read.get()),
            "a complete and undamaged tar",
            one_line(error),
        )
    };
    // Where the last member ends; a tar goes on behind it.
    let mut end = 0;
    let mut sample: Option<Entry> = None;
    let mut members = archive.entries().map_err(malformed)?;
    loop {
        most.set(read.get() + LONGEST_HEADERS);
        let Some(member) = members.next() else { break };
        let mut member = member.map_err(malformed)?;
        most.set(u64::MAX);
        let (offset, length) = (member.raw_file_position(), member.size());
        end = offset + length.next_multiple_of(BLOCK);
        let kind = member.header().entry_type();
        let place = || format!("byte {offset}");
        if kind.is_gnu_sparse() {
            return Err(DataError::malformed(uri, place(), "a plain member", "a sparse file"));
        }
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        let Some((key, extension)) = split(&name).filter(|_| kind.is_file()) else {
            io::copy(&mut member, &mut io::sink()).map_err(malformed)?;
            continue;
        };
        let mut content =
            Checked { hasher: crc32fast::Hasher::new(), kept: is_label(&extension).then(Vec::new) };
        let copied = io::copy(&mut member, &mut content).map_err(malformed)?;
        if copied != length {
            let found = format!("the end of the file after {copied}");
            return Err(DataError::malformed(uri, place(), format!("{length} bytes of {name}"), found));
        }
        let crc32 = content.hasher.finalize();
        if sample.as_ref().is_none_or(|sample| sample.key != key) {
            sample.take().map_or(Ok(()), &mut take)?;
            sample =
                Some(Entry { key: key.to_string(), records: 1, line: 0, class: None, parts: Vec::new() });
        }
        let sample = sample.as_mut().expect("a sample has begun");
        if sample.parts.iter().any(|part| part.extension == extension) {
            let expected = format!("one part `{extension}` of sample {key}");
            return Err(DataError::malformed(uri, place(), expected, "two"));
        }
        if let Some(class) = content.kept.as_deref().and_then(|bytes| class(&extension, bytes)) {
            sample.class = Some(class);
        }
        sample.parts.push(Member { extension, offset, length, crc32 });
    }
    sample.take().map_or(Ok(()), &mut take)?;
    // One that was cut between two members would otherwise pass for a shorter one.
    match read.get() > end {
        true => Ok(()),
        false => {
            let found = format!("the end of the file at byte {}", read.get());
            Err(DataError::malformed(uri, format!("byte {end}"), "the zeros that end a tar", found))
        }
    }
}

/// Key and extension of a member's name; `None` for the files that archivers and notebooks leave, and for those
/// about the data.
fn split(name: &str) -> Option<(&str, String)> {
    let name = name.trim_start_matches("./");
    if is_set_aside_in_archive(name) {
        return None;
    }
    let file = name.rfind('/').map_or(0, |slash| slash + 1);
    let dot = file + name[file..].find('.')?;
    (dot > file).then(|| (&name[..dot], name[dot + 1..].to_ascii_lowercase()))
}

fn is_label(extension: &str) -> bool {
    ["cls", "json"].contains(&extension)
}

/// The class that a label part names.
fn class(extension: &str, content: &[u8]) -> Option<String> {
    if extension == "cls" {
        let text = std::str::from_utf8(content).ok()?.trim();
        return (!text.is_empty() && !text.contains('\n')).then(|| text.to_string());
    }
    let json: serde_json::Value = serde_json::from_slice(content).ok()?;
    ["label", "cls", "class"].iter().find_map(|key| match &json[*key] {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// Counts what was read, and refuses to read on where that is as much as may be.
struct Counted<R> {
    reader: R,
    read: Rc<Cell<u64>>,
    most: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.get() > self.most.get() {
            let found = format!("headers of more than {}", crate::size(LONGEST_HEADERS));
            return Err(io::Error::new(io::ErrorKind::InvalidData, found));
        }
        let read = self.reader.read(buffer)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

/// Checks what is written to it, and keeps it where it is a label.
struct Checked {
    hasher: crc32fast::Hasher,
    kept: Option<Vec<u8>>,
}

impl io::Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        if let Some(kept) = &mut self.kept {
            match (kept.len() + bytes.len()) as u64 <= LONGEST_LABEL {
                true => kept.extend_from_slice(bytes),
                false => self.kept = None,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A tar of these members.
    pub(crate) fn tar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in members {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn scanned(bytes: &[u8]) -> Result<Vec<Entry>, DataError> {
        let mut entries = Vec::new();
        scan("x.tar", bytes, |entry| {
            entries.push(entry);
            Ok(())
        })?;
        Ok(entries)
    }

    fn refused(bytes: &[u8]) -> String {
        let message = scanned(bytes).unwrap_err().to_string();
        assert!(message.starts_with("x.tar, byte ") && !message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn members_of_one_name_are_one_sample() {
        let long = format!("{}/deep.seg.PNG", "folder".repeat(40));
        let bytes = tar(&[
            ("cat/1.jpg", b"pixels"),
            ("cat/1.cls", b"7\n"),
            ("cat/2.jpg", b""),
            ("._cat.jpg", b"a preview"),
            ("README", b"no extension"),
            (&long, b"mask"),
            ("a.json", br#"{"label": "dog"}"#),
            ("a.txt", b"words"),
            ("b.json", br#"{"cls": 3}"#),
        ]);
        let entries = scanned(&bytes).unwrap();
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["cat/1", "cat/2", long.split('.').next().unwrap(), "a", "b"]);
        let classes: Vec<Option<&str>> = entries.iter().map(Entry::class).collect();
        let folders = "folder".repeat(40);
        assert_eq!(classes, [Some("7"), Some("cat"), Some(folders.as_str()), Some("dog"), Some("3")]);
        assert_eq!(entries[2].parts[0].extension, "seg.png");
        for entry in &entries {
            for part in &entry.parts {
                let content = &bytes[part.offset as usize..(part.offset + part.length) as usize];
                assert_eq!(part.crc32, crc32fast::hash(content));
            }
        }
        assert_eq!(&bytes[entries[0].parts[0].offset as usize..][..6], b"pixels");
    }

    #[test]
    fn a_tar_that_was_cut_anywhere_is_refused() {
        let bytes = tar(&[("a.jpg", &[1; 700]), ("b.jpg", &[2; 512]), ("c.jpg", &[3; 30])]);
        // Two blocks of zeros end it: with one of them left it is still known to be whole.
        for length in 0..bytes.len() - 1023 {
            assert!(scanned(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
        assert_eq!(scanned(&bytes[..bytes.len() - 512]).unwrap().len(), 3);
        assert!(refused(&bytes[..bytes.len() - 1024]).contains("the zeros that end a tar"));
    }

    #[test]
    fn names_without_end_are_refused_before_they_are_held() {
        for kind in [tar::EntryType::GNULongName, tar::EntryType::XHeader] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(1 << 40);
            header.set_cksum();
            let mut read = 0;
            let endless = io::repeat(b'a').take(1 << 40);
            let error = scan("x.tar", header.as_bytes().chain(endless), |_| {
                read += 1;
                Ok(())
            });
            let error = error.unwrap_err().to_string();
            assert!(error.contains("headers of more than 1.0 MB") && read == 0, "{error}");
        }
    }

    #[test]
    fn what_is_no_tar_is_refused() {
        assert!(refused(b"").contains("found the end of the file at byte 0"));
        assert!(refused(&[b'x'; 4096]).contains("a complete and undamaged tar"));
        let twice = tar(&[("a.jpg", b"1"), ("a.JPG", b"2")]);
        assert!(refused(&twice).contains("one part `jpg` of sample a, found two"));
        let mut damaged = tar(&[("a.jpg", b"1"), ("b.jpg", b"2")]);
        damaged[1024 + 3] ^= 1;
        assert!(refused(&damaged).contains("checksum"));
    }
}
