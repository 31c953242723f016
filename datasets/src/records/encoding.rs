//! The encodings of text. Whatever a file is written in, all that read it see UTF-8, and `\n` behind each
//! line.
//!
//! ```text
//! unpacked bytes -> the first 64 KiB: a mark? zero bytes? ends of lines? -> as they are
//!                                                                        -> decoded as they arrive
//! ```
//!
//! A byte sequence that is no text in the encoding becomes U+FFFD or, where its record is to be refused or
//! left out, the byte 0xFF, which no UTF-8 has: the reader of the record finds it there.

mod reader;
mod told;

use crate::DataError;
use crate::source::Object;
use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use reader::{Decoded, Kept};
use serde::{Deserialize, Serialize};
use std::io::{Cursor, Read};
pub(super) use told::undecodable;

/// Bytes at the beginning of a file that its encoding and its ends of lines are known by.
pub(super) const HEAD: usize = 64 << 10;

/// The encoding that is found by the file itself: UTF-16 where its mark says so, UTF-8 elsewhere.
pub(crate) const AUTO: &str = "auto";

/// The fate of bytes that are no text in the encoding of their file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncodingErrors {
    /// Their record is corrupt: `on_corrupt` says what comes of it.
    #[default]
    Stop,
    /// U+FFFD stands for them; how many there are is told.
    Replace,
    /// Their record is left out and counted, whatever `on_corrupt` says.
    Skip,
}

/// The way from a file's bytes to UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoding {
    /// None where the file says it by itself.
    encoding: Option<&'static Encoding>,
    pub(super) errors: EncodingErrors,
}

/// The content of a file of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Rows of cells.
    Rows,
    /// A record a line.
    Lines,
    /// Text as it is, whose ends of lines are part of it.
    Prose,
}

/// The steps that a file takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Steps {
    None,
    Decode {
        encoding: &'static Encoding,
        /// True where a `\r` alone ends a line.
        carriage_returns: bool,
    },
}

impl Decoding {
    /// From a recipe's keys.
    ///
    /// # Errors
    /// When no encoding has the name.
    pub(crate) fn new(name: &str, errors: EncodingErrors) -> Result<Self, DataError> {
        if name == AUTO {
            return Ok(Decoding { encoding: None, errors });
        }
        match labelled(name) {
            Some(encoding) => Ok(Decoding { encoding: Some(encoding), errors }),
            None => {
                let expected = "`auto`, `utf-8`, `utf-16`, `latin-1`, `windows-1252`, `shift_jis`, `gb18030` \
                                or another name of the Encoding Standard";
                Err(DataError::config("encoding", expected, format!("`{name}`")))
            }
        }
    }

    /// The name in a sidecar.
    pub(super) fn name(self) -> &'static str {
        self.encoding.map_or(AUTO, Encoding::name)
    }

    /// The encoding as an error says it.
    pub(super) fn expected(self) -> String {
        let name = self.encoding.filter(|&encoding| encoding != UTF_8).map(Encoding::name);
        name.map_or("UTF-8 text".to_string(), |name| format!("text in {}", name.to_lowercase()))
    }

    /// True where the bytes that cannot be decoded are no more seen in their record.
    pub(super) fn is_utf8(self) -> bool {
        self.encoding.is_none_or(|encoding| encoding == UTF_8)
    }

    /// The steps of a file that begins so; `whole` where that is all of it.
    ///
    /// # Errors
    /// When it is UTF-16 without a mark, or no text.
    fn steps(self, uri: &str, head: &[u8], whole: bool, content: Content) -> Result<Steps, DataError> {
        let of_two = |encoding: &Encoding| encoding == UTF_16LE || encoding == UTF_16BE;
        let marked = Encoding::for_bom(head).map(|(encoding, _)| encoding);
        let encoding = match self.encoding {
            None => marked.unwrap_or(UTF_8),
            // A mark says which of two bytes comes first.
            Some(encoding) if of_two(encoding) => marked.filter(|&marked| of_two(marked)).unwrap_or(encoding),
            Some(encoding) => encoding,
        };
        if encoding == UTF_8 && head.contains(&0) {
            told::refuse_zeros(uri, head, content)?;
        }
        let of_pairs = of_two(encoding).then(|| encoding.decode_without_bom_handling(head).0);
        let ascii = of_pairs.as_ref().map_or(head, |text| text.as_bytes());
        let carriage_returns = content != Content::Prose && ends_by_carriage_returns(ascii, whole);
        let plain = encoding == UTF_8 && self.errors != EncodingErrors::Replace && !carriage_returns;
        Ok(if plain { Steps::None } else { Steps::Decode { encoding, carriage_returns } })
    }

    /// A reader over the text of a file, and whether that differs from its bytes. `tell` to say in the log
    /// how many byte sequences were replaced.
    ///
    /// # Errors
    /// When the file is UTF-16 without a mark, or no text.
    pub(crate) fn reader(
        self,
        uri: &str,
        mut bytes: Box<dyn Read + Send>,
        content: Content,
        tell: bool,
    ) -> Result<(bool, Box<dyn Read + Send>), DataError> {
        let mut head = Vec::new();
        // What is wrong with the file is told where it is read on.
        let failed = bytes.by_ref().take(HEAD as u64).read_to_end(&mut head).err();
        let whole = failed.is_none() && head.len() < HEAD;
        let steps = self.steps(uri, &head, whole, content)?;
        let all = Cursor::new(head).chain(Kept::new(failed)).chain(bytes);
        Ok(match steps {
            Steps::None => (false, Box::new(all)),
            Steps::Decode { encoding, carriage_returns } => {
                let uri = tell.then(|| uri.to_string());
                (true, Box::new(Decoded::new(all, encoding, self.errors, carriage_returns, uri)))
            }
        })
    }

    /// The text of a file in memory.
    ///
    /// # Errors
    /// As [`reader`](Decoding::reader).
    pub(crate) fn bytes(self, uri: &str, bytes: Bytes, content: Content) -> Result<Bytes, DataError> {
        let head = &bytes[..bytes.len().min(HEAD)];
        match self.steps(uri, head, head.len() == bytes.len(), content)? {
            Steps::None => Ok(bytes),
            Steps::Decode { encoding, carriage_returns } => {
                let uri = Some(uri.to_string());
                let mut text = Vec::with_capacity(bytes.len());
                let mut reader = Decoded::new(&bytes[..], encoding, self.errors, carriage_returns, uri);
                reader.read_to_end(&mut text).map_err(|error| DataError::source("memory", "text", error))?;
                Ok(text.into())
            }
        }
    }

    /// An object with the text of one whose bytes are not packed: itself, where they are that text.
    ///
    /// # Errors
    /// As [`reader`](Decoding::reader), and when it cannot be read.
    pub(crate) fn object(self, object: Object, content: Content) -> Result<Object, DataError> {
        match self.changes(&object, object.stat()?.size, content)? {
            false => Ok(object),
            true => {
                let text = self.bytes(object.uri(), object.read()?, content)?;
                Ok(Object::in_memory(object.uri(), text))
            }
        }
    }

    /// True where the text of an object differs from its bytes, of which there are `size` and which are not
    /// packed.
    ///
    /// # Errors
    /// As [`object`](Decoding::object).
    pub(crate) fn changes(self, object: &Object, size: u64, content: Content) -> Result<bool, DataError> {
        let head = object.range(0..size.min(HEAD as u64))?;
        let steps = self.steps(object.uri(), &head, head.len() as u64 == size, content)?;
        Ok(steps != Steps::None)
    }
}

/// The encoding of a name: the Encoding Standard's, or as Python spells it.
fn labelled(name: &str) -> Option<&'static Encoding> {
    let lower = name.trim().to_lowercase();
    let spelled = [lower.clone(), lower.replace('_', "-"), lower.replace(['-', '_'], "")];
    let found = spelled.iter().find_map(|name| Encoding::for_label_no_replacement(name.as_bytes()));
    found.or(match spelled[2].as_str() {
        "utf8sig" => Some(UTF_8),
        "cp932" => Some(encoding_rs::SHIFT_JIS),
        "cp949" => Some(encoding_rs::EUC_KR),
        "cp936" => Some(encoding_rs::GBK),
        "cp950" => Some(encoding_rs::BIG5),
        _ => None,
    })
}

/// True for lines that end as those of old Macs do.
fn ends_by_carriage_returns(text: &[u8], whole: bool) -> bool {
    let last = if whole { text.len() } else { text.len().saturating_sub(1) };
    text[..last].contains(&b'\r') && !text.contains(&b'\n')
}

/// Decodes bytes in an encoding and with errors that the first one chooses, held and as they arrive.
pub(crate) fn hostile_text(bytes: &[u8]) -> Result<usize, DataError> {
    const NAMES: [&str; 8] =
        ["auto", "utf-8", "utf-16", "utf-16be", "latin-1", "shift_jis", "gb18030", "iso-2022-jp"];
    let Some((&first, bytes)) = bytes.split_first() else { return Ok(0) };
    let choice = usize::from(first);
    let errors = [EncodingErrors::Stop, EncodingErrors::Replace, EncodingErrors::Skip][choice / 8 % 3];
    let content = [Content::Rows, Content::Lines, Content::Prose][choice / 24 % 3];
    let decoding = Decoding::new(NAMES[choice % 8], errors)?;
    let held = decoding.bytes("x", bytes.to_vec().into(), content)?;
    let (_, mut reader) = decoding.reader("x", Box::new(Cursor::new(bytes.to_vec())), content, false)?;
    let mut arrived = Vec::new();
    reader.read_to_end(&mut arrived).map_err(|error| DataError::source("x", "text", error))?;
    assert_eq!(held, arrived);
    if errors == EncodingErrors::Replace {
        assert!(std::str::from_utf8(&held).is_ok());
    } else if std::str::from_utf8(&held).is_err() {
        _ = undecodable("x", 1, &held, decoding);
    }
    Ok(held.len())
}

#[cfg(test)]
mod tests;
