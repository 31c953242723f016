use super::*;
use std::io::BufReader;

const ROWS: Content = Content::Rows;

fn decoding(name: &str, errors: EncodingErrors) -> Decoding {
    Decoding::new(name, errors).unwrap()
}

fn read(bytes: &[u8], decoding: Decoding, content: Content) -> Result<Vec<u8>, String> {
    let held = decoding.bytes("x", bytes.to_vec().into(), content).map_err(|error| error.to_string());
    let reader = Box::new(Cursor::new(bytes.to_vec()));
    let streamed = decoding.reader("x", reader, content, false).map_err(|error| error.to_string());
    let streamed = streamed.map(|(_, reader)| {
        let mut text = Vec::new();
        BufReader::with_capacity(7, reader).read_to_end(&mut text).unwrap();
        text
    });
    assert_eq!(held.as_ref().map(|held| held.to_vec()), streamed.as_ref().map(|streamed| streamed.to_vec()));
    streamed
}

fn text(bytes: &[u8], name: &str) -> String {
    String::from_utf8(read(bytes, decoding(name, EncodingErrors::Stop), ROWS).unwrap()).unwrap()
}

/// What Python's codecs give for these bytes.
#[test]
fn encodings_are_read_as_python_reads_them() {
    assert_eq!(text(b"caf\xe9 na\xefve\n", "latin-1"), "café naïve\n");
    assert_eq!(text(b"\x8010 \x93so\x94\n", "cp1252"), "€10 “so”\n");
    assert_eq!(text(b"\xef\xf0\xe8\xe2\xe5\xf2\n", "windows-1251"), "привет\n");
    assert_eq!(text(b"\x83e\x83X\x83g\n", "shift_jis"), "テスト\n");
    assert_eq!(text(b"\x83e\x83X\x83g\n", "cp932"), "テスト\n");
    assert_eq!(text(b"\xb2\xe2\xca\xd4\n", "gb18030"), "测试\n");
    assert_eq!(text(b"a\0,\0\xe9\0\n\0", "utf-16"), "a,é\n");
    assert_eq!(text(b"\0a\0,\0\xe9\0\n", "utf-16be"), "a,é\n");
    assert_eq!(text(b"\xef\xbb\xbfa\n", "utf-8-sig").trim_start_matches('\u{feff}'), "a\n");
    let error = Decoding::new("latin-99", EncodingErrors::Stop).unwrap_err().to_string();
    assert!(error.starts_with("data.encoding: expected `auto`, `utf-8`"), "{error}");
}

#[test]
fn marks_tell_the_encoding() {
    for name in ["auto", "utf-16"] {
        assert_eq!(text(b"\xff\xfea\0\n\0", name), "a\n");
        assert_eq!(text(b"\xfe\xff\0a\0\n", name), "a\n");
    }
    assert_eq!(text("\u{feff}é\n".as_bytes(), "auto"), "\u{feff}é\n");
    // A character of four bytes across two reads.
    let long = "😀".repeat(40_000);
    let bytes: Vec<u8> = [0xfeff].into_iter().chain(long.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(text(&bytes, "auto"), long);
}

#[test]
fn zero_bytes_are_refused_with_what_they_are() {
    let refused = |bytes: &[u8], content| read(bytes, Decoding::default(), content).unwrap_err();
    let little: Vec<u8> = "id,text\n1,café\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = "id,text\n1,café\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let told = "x, byte 1: expected UTF-8 text, or UTF-16 with a mark, found UTF-16 without one \
                (data.encoding = \"utf-16le\")";
    assert_eq!(refused(&little, ROWS), told);
    assert!(refused(&big, Content::Prose).ends_with("\"utf-16be\")"));
    assert!(refused(b"a,b\n1,\0\n", ROWS).starts_with("x, byte 6: expected rows of text, found a zero byte"));
    assert!(read(b"one \0 zero in a text\n", Decoding::default(), Content::Prose).is_ok());
}

#[test]
fn what_cannot_be_decoded_is_replaced_or_seen_in_its_record() {
    let bytes = b"ok\nb\xe9d\n\xff\xfe\n";
    let replaced = read(bytes, decoding("auto", EncodingErrors::Replace), ROWS).unwrap();
    assert_eq!(String::from_utf8(replaced).unwrap(), "ok\nb\u{fffd}d\n\u{fffd}\u{fffd}\n");
    assert_eq!(read(bytes, decoding("auto", EncodingErrors::Skip), ROWS).unwrap(), bytes);
    // A lone half of a pair.
    let half = b"a\0\x3d\xd8b\0\n\0";
    assert_eq!(read(half, decoding("utf-16le", EncodingErrors::Skip), ROWS).unwrap(), b"a\xffb\n");
    let replaced = read(half, decoding("utf-16le", EncodingErrors::Replace), ROWS).unwrap();
    assert_eq!(String::from_utf8(replaced).unwrap(), "a\u{fffd}b\n");
}

#[test]
fn lines_of_old_macs_end() {
    let lines = |bytes: &[u8], content| read(bytes, Decoding::default(), content).unwrap();
    assert_eq!(lines(b"a\rb\rc", Content::Lines), b"a\nb\nc");
    assert_eq!(lines(b"a\rb\r", ROWS), b"a\nb\n");
    assert_eq!(lines(b"a\r", ROWS), b"a\n");
    assert_eq!(lines(b"a\rb\r", Content::Prose), b"a\rb\r");
    assert_eq!(lines(b"a\r\nb\r\n", ROWS), b"a\r\nb\r\n");
    assert_eq!(lines(b"a\rb\n", ROWS), b"a\rb\n");
    let pairs: Vec<u8> = "\u{feff}a\rb\r".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(lines(&pairs, ROWS), b"a\nb\n");
}

#[test]
fn errors_name_the_encoding_that_fits() {
    let told = |bytes: &[u8]| undecodable("x.csv", 3, bytes, Decoding::default()).to_string();
    assert_eq!(
        told(b"1,\"a\ncaf\xe9\"\n"),
        "x.csv, line 4: expected UTF-8 text, found the byte 0xe9, number 4 of the line; as windows-1252 it reads \
         `café\"` (data.encoding = \"windows-1252\")"
    );
    let (japanese, ..) = encoding_rs::SHIFT_JIS.encode("これはテストです");
    assert!(told(&japanese).contains("as shift_jis it reads `これはテストです`"), "{}", told(&japanese));
    let (japanese, ..) = encoding_rs::EUC_JP.encode("これはテストです");
    assert!(told(&japanese).contains("as euc-jp it reads"), "{}", told(&japanese));
    let (chinese, ..) = encoding_rs::GB18030.encode("这是一个测试");
    assert!(told(&chinese).contains("as gb18030 it reads `这是一个测试`"), "{}", told(&chinese));
}
