//! Text decoded as its bytes arrive.

use super::EncodingErrors;
use encoding_rs::{Decoder, DecoderResult, Encoding};
use std::io::{self, Read};

/// Bytes that are decoded at once.
const AT_ONCE: usize = 64 << 10;

/// The byte in the place of what cannot be decoded: no UTF-8 has it.
const REFUSED: &[u8] = b"\xff";

/// UTF-8 out of another encoding, or with `\n` where a `\r` alone ends a line.
pub(super) struct Decoded<R> {
    reader: R,
    decoder: Decoder,
    name: &'static str,
    errors: EncodingErrors,
    carriage_returns: bool,
    /// The file, where what is replaced is to be told.
    uri: Option<String>,
    input: Vec<u8>,
    /// The text that was decoded, and how much of it was handed out.
    text: Vec<u8>,
    taken: usize,
    /// True where the last byte of the text so far is a `\r` whose fate the next one decides.
    waiting: bool,
    ended: bool,
    replaced: u64,
}

impl<R: Read> Decoded<R> {
    pub(super) fn new(
        reader: R,
        encoding: &'static Encoding,
        errors: EncodingErrors,
        carriage_returns: bool,
        uri: Option<String>,
    ) -> Self {
        Decoded {
            reader,
            decoder: encoding.new_decoder_with_bom_removal(),
            name: encoding.name(),
            errors,
            carriage_returns,
            uri,
            input: vec![0; AT_ONCE],
            text: Vec::new(),
            taken: 0,
            waiting: false,
            ended: false,
            replaced: 0,
        }
    }

    /// Decodes the bytes that come next.
    fn fill(&mut self) -> io::Result<()> {
        let read = match self.reader.read(&mut self.input) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            read => read?,
        };
        self.ended = read == 0;
        self.text.clear();
        self.taken = 0;
        let mut input = &self.input[..read];
        let mut part = vec![0; 3 * AT_ONCE + 16];
        loop {
            let (result, consumed, written) =
                self.decoder.decode_to_utf8_without_replacement(input, &mut part, self.ended);
            self.text.extend_from_slice(&part[..written]);
            input = &input[consumed..];
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    self.replaced += 1;
                    self.text.extend_from_slice(match self.errors {
                        EncodingErrors::Replace => "\u{fffd}".as_bytes(),
                        EncodingErrors::Stop | EncodingErrors::Skip => REFUSED,
                    });
                }
            }
        }
        if self.carriage_returns {
            self.end_lines();
        }
        if self.ended
            && self.replaced > 0
            && self.errors == EncodingErrors::Replace
            && let Some(uri) = &self.uri
        {
            log::warn!("{uri}: {} byte sequences that are no {} are U+FFFD", self.replaced, self.name);
        }
        Ok(())
    }

    /// Puts `\n` in the place of each `\r` that none follows.
    fn end_lines(&mut self) {
        let mut text = Vec::with_capacity(self.text.len() + 1);
        for &byte in &self.text {
            if self.waiting {
                text.push(if byte == b'\n' { b'\r' } else { b'\n' });
            }
            self.waiting = byte == b'\r';
            if !self.waiting {
                text.push(byte);
            }
        }
        if self.ended && std::mem::take(&mut self.waiting) {
            text.push(b'\n');
        }
        self.text = text;
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.text.len() && !self.ended {
            self.fill()?;
        }
        let count = buffer.len().min(self.text.len() - self.taken);
        buffer[..count].copy_from_slice(&self.text[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

/// An error of reading, met again where it was met first.
pub(super) struct Kept(Option<io::Error>);

impl Kept {
    pub(super) fn new(error: Option<io::Error>) -> Self {
        Kept(error)
    }
}

impl Read for Kept {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
