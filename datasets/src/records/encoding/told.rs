//! Bytes that are no text in the encoding of their file: where they are, and what would fit.

use super::{Content, Decoding, EncodingErrors};
use crate::DataError;
use crate::records::wording::shortened;
use encoding_rs::{EUC_JP, Encoding, GB18030, SHIFT_JIS, WINDOWS_1252};

/// Bytes around one that is no UTF-8 that are shown as another encoding reads them.
const AROUND: usize = 12;

/// The error of a record that is no text; its bytes begin on line `line` of the file, and are no UTF-8.
pub(in crate::records) fn undecodable(uri: &str, line: u64, record: &[u8], decoding: Decoding) -> DataError {
    let at = std::str::from_utf8(record).map_or_else(|error| error.valid_up_to(), str::len);
    let begin = record[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let line = line + record[..at].iter().filter(|&&byte| byte == b'\n').count() as u64;
    let (found, fitting) = match record.get(at) {
        Some(byte) if decoding.is_utf8() => {
            let (column, (told, fitting)) = (at - begin + 1, fitting(record, at));
            (format!("the byte 0x{byte:02x}, number {column} of the line; {told}"), fitting)
        }
        _ => ("bytes that are none".to_string(), None),
    };
    let (uri, place, expected) = (uri.to_string(), format!("line {line}"), decoding.expected());
    let left_out = decoding.errors == EncodingErrors::Skip;
    DataError::Undecodable { uri, place, expected, found, fitting, left_out }
}

/// The encoding that bytes may be in, of which number `at` is no UTF-8: in words and, where one fits, by name.
fn fitting(bytes: &[u8], at: usize) -> (String, Option<&'static str>) {
    let named = |encoding: &'static Encoding, text: &str, doubt: &str| {
        let name = encoding.name().to_lowercase();
        let told = format!("as {name} it reads `{}` (data.encoding = \"{name}\"){doubt}", shortened(text));
        (told, Some(encoding.name()))
    };
    const DOUBT: &str = ", if it is no other encoding";
    let of_kana = |text: &str| text.chars().any(|letter| ('\u{3041}'..='\u{30fe}').contains(&letter));
    let japanese = |encoding: &'static Encoding| {
        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
        of_kana(&text).then(|| named(encoding, &text, DOUBT))
    };
    // Bytes of Western texts do not make kana.
    if let Some(told) = [EUC_JP, SHIFT_JIS].into_iter().find_map(japanese) {
        return told;
    }
    let high = |byte: &u8| *byte >= 0x80;
    let run = bytes[at..].iter().take_while(|byte| high(byte)).count();
    let undefined = matches!(bytes[at], 0x81 | 0x8d | 0x8f | 0x90 | 0x9d);
    let (mut from, mut to) = (at.saturating_sub(AROUND), bytes.len().min(at + AROUND));
    if run < 4 && !undefined {
        // A line is shown, not what is above or below it.
        from += bytes[from..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        to = bytes[at..to].iter().position(|&byte| byte == b'\n').map_or(to, |end| at + end);
        let text = WINDOWS_1252.decode_without_bom_handling(&bytes[from..to]).0;
        return named(WINDOWS_1252, &text, "");
    }
    if let Some(text) = GB18030.decode_without_bom_handling_and_without_replacement(bytes) {
        return named(GB18030, &text, DOUBT);
    }
    let told = "data.encoding names another encoding: windows-1251, shift_jis, gb18030, euc-kr …";
    (told.to_string(), None)
}

/// Refuses the zero bytes at the beginning of a file that should be UTF-8: of UTF-16 each second one is, and
/// rows of cells have none.
pub(super) fn refuse_zeros(uri: &str, head: &[u8], content: Content) -> Result<(), DataError> {
    let zeros = |first: usize| head.iter().skip(first).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    // In any script one of twelve characters at least is of ASCII: blanks, digits, line breaks. A few
    // characters are no measure.
    let least = if head.len() < 256 { head.len() / 4 } else { head.len() / 24 };
    let most = head.len() / 100;
    let guess = match (even, odd) {
        (even, odd) if odd > 0 && odd >= least && even <= most => Some("utf-16le"),
        (even, odd) if even > 0 && even >= least && odd <= most => Some("utf-16be"),
        _ => None,
    };
    let at = head.iter().position(|&byte| byte == 0).unwrap_or(0);
    let place = format!("byte {at}");
    match guess {
        Some(name) => {
            let expected = "UTF-8 text, or UTF-16 with a mark";
            let found = format!("UTF-16 without one (data.encoding = \"{name}\")");
            Err(DataError::malformed(uri, place, expected, found))
        }
        None if content == Content::Rows => {
            Err(DataError::malformed(uri, place, "rows of text", "a zero byte, as files of no text have"))
        }
        None => Ok(()),
    }
}
