//! A table is the same however it is written, and whichever way it is read.

use super::*;
use crate::DataError;
use crate::records::dialect::Quoting;
use crate::records::encoding::EncodingErrors;
use crate::records::read::{Found, Use};
use crate::records::{DialectKeys, Format, Layout, open_blocks};
use crate::source::Object;
use crate::store::Source;
use proptest::prelude::*;
use std::io::{self, Read};

type Cell = Option<String>;

/// The names of a file's columns and its rows, each with its line.
type Table = (Vec<String>, Vec<(u64, Vec<Cell>)>);

struct Asked {
    encoding: &'static str,
    errors: EncodingErrors,
    keys: DialectKeys<'static>,
}

impl Default for Asked {
    fn default() -> Self {
        Asked { encoding: "auto", errors: EncodingErrors::Stop, keys: DialectKeys::default() }
    }
}

/// What is read, and the errors of rows that cannot be.
fn table(
    read: impl FnOnce(TakeFound<'_>) -> Result<(), DataError>,
) -> Result<(Table, Vec<DataError>), DataError> {
    let (mut names, mut rows, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    read(&mut |found| {
        match found {
            Found::Unreadable(_, error @ DataError::Config { .. }) => return Err(error),
            Found::Unreadable(_, error) => errors.push(error),
            Found::Frame(frame) => {
                let cell = |column: &Cells, row| column.text(row).map(|text| text.into_owned());
                rows.extend((0..frame.len()).map(|row| {
                    (frame.lines[row], frame.columns.iter().map(|column| cell(column, row)).collect())
                }));
                names = frame.names;
            }
        }
        Ok(())
    })?;
    Ok(((names, rows), errors))
}

/// A file read held, in pieces, and by the blocks of an index, all of which give the same.
fn read(name: &str, bytes: &[u8], asked: &Asked) -> Result<(Table, Vec<DataError>), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let uri = path.to_str().unwrap();
    let column = |_: &str| Use::Cell;
    let message = |error: DataError| error.to_string().replace(uri, name);
    let decoding = Decoding::new(asked.encoding, asked.errors).map_err(message)?;
    let dialect = Dialect::new(uri, &asked.keys, decoding).map_err(message)?;
    let options = ReadOptions { dialect, decoding, ..ReadOptions::plain(&column) };
    let object = decoding.object(Object::unpacked(uri).unwrap(), Content::Rows).map_err(message)?;
    let whole = object.read().unwrap();
    let held = table(|take| CsvRecords.read(uri, whole, &options, take)).map_err(message);
    let pieces = table(|take| CsvRecords.pieces(uri, &options, take)).map_err(message);
    let in_blocks = open_blocks(&object, Format::Csv, &options).map_err(message)?;
    let blocks = table(|take| match &in_blocks {
        None => Ok(()),
        Some((blocks, places)) => places.iter().try_for_each(|block| blocks.read(block, &options, take)),
    });
    let layout = Layout::new(Format::Csv, dialect).decoded(decoding);
    let streamed = Source::open(uri, &layout);
    let streamed = streamed.and_then(|source| {
        table(|take| {
            (0..source.len()).try_for_each(|number| {
                let (shard, block) = source.find(number)?;
                source.read(shard, &block, &options, take)
            })
        })
    });
    if held.as_ref().is_ok_and(|((_, rows), errors)| rows.is_empty() && errors.is_empty()) {
        return held;
    }
    let plain = |read: &Result<(Table, Vec<DataError>), String>| {
        read.as_ref().map(|(table, errors)| (table.clone(), errors.len())).map_err(Clone::clone)
    };
    for (way, other) in
        [("blocks", blocks.map_err(message)), ("streamed", streamed.map_err(message)), ("pieces", pieces)]
    {
        assert_eq!(plain(&held), plain(&other), "{way}");
    }
    held
}

fn rows(name: &str, bytes: &[u8]) -> Vec<String> {
    let ((names, rows), errors) = read(name, bytes, &Asked::default()).unwrap();
    assert!(errors.is_empty(), "{errors:?}");
    let lines = rows.into_iter().map(|(line, cells)| {
        let cells: Vec<String> = cells.into_iter().map(Option::unwrap_or_default).collect();
        format!("{line}: {}", cells.join("|"))
    });
    [names.join("|")].into_iter().chain(lines).collect()
}

#[test]
fn separators_marks_and_ends_of_lines_are_told_by_the_file() {
    assert_eq!(rows("a.csv", b"id;x\n1;2,5\n2;3,5\n"), ["id|x", "2: 1|2,5", "3: 2|3,5"]);
    assert_eq!(rows("a.csv", "\u{feff}id,x\n1,é".as_bytes()), ["id|x", "2: 1|é"]);
    assert_eq!(rows("a.csv", "\u{feff}\"id\",x\n1,é\n".as_bytes()), ["id|x", "2: 1|é"]);
    assert_eq!(rows("a.csv", b"id,x\r1,a\r2,b\r"), ["id|x", "2: 1|a", "3: 2|b"]);
    assert_eq!(rows("a.csv", b"id,x\r\n1,a\n2,b\r\n3,c"), ["id|x", "2: 1|a", "3: 2|b", "4: 3|c"]);
    assert_eq!(rows("a.tsv", b"id\tx\n1\ta, b\n"), ["id|x", "2: 1|a, b"]);
    assert_eq!(rows("a.csv", b"id\tx\n1\ta, b\n"), ["id|x", "2: 1|a, b"]);
    let marked: Vec<u8> = "\u{feff}id\tx\n1\tй\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(rows("a.csv", &marked), ["id|x", "2: 1|й"]);
}

/// `pandas.read_csv` (3.1) names the columns of the first two so; it takes the first column of the last for
/// an index, which nobody wrote.
#[test]
fn columns_that_are_alike_empty_or_one_too_many_are_kept() {
    assert_eq!(rows("a.csv", b"a,a,y\n1,2,3\n"), ["a|a.1|y", "2: 1|2|3"]);
    assert_eq!(rows("a.csv", b"a,,y,\n1,2,3,\n"), ["a|column 1|y|column 3", "2: 1|2|3|"]);
    assert_eq!(rows("a.csv", b"a,b\n1,2,\n3,4,\n"), ["a|b", "2: 1|2", "3: 3|4"]);
    assert_eq!(rows("a.csv", b"a,b\n"), ["a|b"]);
    let ((_, rows), errors) = read("a.csv", b"a,b\n1,2,3\n4,5\n", &Asked::default()).unwrap();
    assert_eq!((rows.len(), errors.len()), (1, 1));
    assert!(errors[0].to_string().ends_with("line 2: expected 2 cells, found 3 cells"), "{}", errors[0]);
}

#[test]
fn zero_bytes_are_no_rows() {
    let error = read("a.csv", b"a,b\n1,\0\n", &Asked::default()).unwrap_err();
    assert!(error.contains("found a zero byte"), "{error}");
    let error = read("a.csv", b"a\0,\0b\0\n\x001\0,\x002\0\n\0", &Asked::default()).unwrap_err();
    assert!(error.contains("data.encoding = \"utf-16le\""), "{error}");
}

/// 400 texts, four of which begin with a quote that nobody closed.
fn stray(numbers: &[usize]) -> String {
    let text =
        |row: usize| format!("{}it was {row} times great", if numbers.contains(&row) { "\"" } else { "" });
    let line = |row: usize| format!("{}\t{}\n", ["pos", "neg"][row % 2], text(row));
    ["label\ttext\n".to_string()].into_iter().chain((0..400).map(line)).collect()
}

#[test]
fn stray_quotes_swallow_no_rows() {
    let refused =
        |numbers: &[usize], name| read(name, stray(numbers).as_bytes(), &Asked::default()).unwrap_err();
    for name in ["a.tsv", "a.csv"] {
        let told = refused(&[20, 120, 230, 330], name);
        assert_eq!(
            told,
            format!(
                "data.quoting: expected `none` where quotes are part of the texts, `backslash` where one stands \
                 before them, `lenient` where they are meant, found a quote of {name} on line 22 that text \
                 follows where it closes, on line 122"
            )
        );
    }
    let open = refused(&[350], "a.tsv");
    assert!(open.contains("on line 352 that does not close"), "{open}");
    // A row of more than 4 KiB is looked into while it is read.
    assert!(
        refused(&[20], "a.tsv").contains("on line 22 that does not close before lines that look like rows")
    );
    let keys = DialectKeys { quoting: Quoting::None, ..DialectKeys::default() };
    let ((_, rows), errors) =
        read("a.tsv", stray(&[20, 120]).as_bytes(), &Asked { keys, ..Asked::default() }).unwrap();
    assert_eq!((rows.len(), errors.len()), (400, 0));
    assert_eq!(rows[20].1[1].as_deref(), Some("\"it was 20 times great"));
    let keys = DialectKeys { quoting: Quoting::Lenient, ..DialectKeys::default() };
    let ((_, rows), _) =
        read("a.tsv", stray(&[20, 120]).as_bytes(), &Asked { keys, ..Asked::default() }).unwrap();
    assert_eq!(rows.len(), 300);
}

/// As `pandas.read_csv(…, escapechar="\\")` reads what Spark writes.
#[test]
fn a_backslash_keeps_a_quote_from_closing() {
    let text = b"id,x\n1,\"say \\\"hi, you\\\" \n now\"\n2,y\n";
    let (_, errors) = read("a.csv", text, &Asked::default()).unwrap();
    assert!(errors[0].to_string().contains("`none`, `backslash` or `lenient`"), "{}", errors[0]);
    let keys = DialectKeys { quoting: Quoting::Backslash, ..DialectKeys::default() };
    let ((_, rows), errors) = read("a.csv", text, &Asked { keys, ..Asked::default() }).unwrap();
    assert_eq!((rows.len(), errors.len()), (2, 0));
    assert_eq!(rows[0].1[1].as_deref(), Some("say \"hi, you\" \n now"));
}

#[test]
fn bytes_that_are_no_text_are_seen_in_their_row() {
    let bytes = b"a,b\n1,caf\xe9\n2,x\n";
    let asked = |encoding, errors| Asked { encoding, errors, ..Asked::default() };
    let (table, errors) = read("a.csv", bytes, &asked("auto", EncodingErrors::Stop)).unwrap();
    assert_eq!((table.1.len(), errors.len()), (1, 1));
    assert!(
        errors[0]
            .to_string()
            .contains("line 2: expected UTF-8 text, found the byte 0xe9, number 6 of the line")
    );
    assert!(!crate::OnCorrupt::Stop.skips(&errors[0]) && crate::OnCorrupt::Skip.skips(&errors[0]));
    let (table, errors) = read("a.csv", bytes, &asked("auto", EncodingErrors::Skip)).unwrap();
    assert!(table.1.len() == 1 && crate::OnCorrupt::Stop.skips(&errors[0]));
    let (table, _) = read("a.csv", bytes, &asked("auto", EncodingErrors::Replace)).unwrap();
    assert_eq!(table.1[0].1[1].as_deref(), Some("caf\u{fffd}"));
    let (table, _) = read("a.csv", bytes, &asked("latin-1", EncodingErrors::Stop)).unwrap();
    assert_eq!(table.1[0].1[1].as_deref(), Some("café"));
    // A lone half of a pair.
    let (_, errors) =
        read("a.csv", b"a\0,\0b\0\n\x001\0,\0\x3d\xd8\n\0", &asked("utf-16le", EncodingErrors::Skip))
            .unwrap();
    assert!(errors[0].to_string().ends_with("line 2: expected text in utf-16le, found bytes that are none"));
}

/// A reader that counts what is asked of it.
struct Counted<R>(R, u64);

impl<R: Read> Read for &mut Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1 += read as u64;
        Ok(read)
    }
}

#[test]
fn a_quote_that_never_closes_is_refused_before_all_is_read() {
    let head: &[u8] = b"a,b\n1,2\n3,\"4\n";
    let scan = |stream: &mut dyn Read| {
        let mut reader = Counted(head.chain(stream).take(100 << 20), 0);
        let error = scan_csv("x.csv", &mut reader, Dialect::default(), BLOCK, |_| Ok(())).unwrap_err();
        (error.to_string(), reader.1)
    };
    /// The same rows for ever.
    struct Again(usize);
    impl Read for Again {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let rows = b"5,6\n";
            buffer.iter_mut().for_each(|byte| {
                *byte = rows[self.0 % rows.len()];
                self.0 += 1;
            });
            Ok(buffer.len())
        }
    }
    let (told, read) = scan(&mut Again(0));
    assert!(told.ends_with("on line 3 that does not close before lines that look like rows"), "{told}");
    assert!(read < 2 << 20, "{read}");
    let (told, read) = scan(&mut io::repeat(b'x'));
    assert!(told.contains("a row longer than 64 MiB, from line 3 on"), "{told}");
    assert!(read < 66 << 20, "{read}");
}

/// A cell as text: with quotes, and line breaks or separators.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z\"é ]{0,5}", "[a-z\"é\n]{0,5}", "[a-z\"é,;|\t]{0,5}", "[0-9]{1,3}[.,][0-9]"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The same cells, whatever they are written with.
    #[test]
    fn a_table_is_the_same_however_it_is_written(
        cells in prop::collection::vec(prop::collection::vec(cell(), 3), 1..40),
        separator in prop::sample::select(vec![b',', b';', b'\t', b'|']),
        always in any::<bool>(),
        end in prop::sample::select(vec![::csv::Terminator::CRLF, ::csv::Terminator::Any(b'\n')]),
        encoding in prop::sample::select(vec!["auto", "mark", "utf-16le", "utf-16be", "latin-1"]),
    ) {
        let style = if always { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary };
        let mut writer = ::csv::WriterBuilder::new()
            .delimiter(separator).quote_style(style).terminator(end).from_writer(Vec::new());
        writer.write_record(["a", "b", "c"]).unwrap();
        cells.iter().for_each(|row| writer.write_record(row).unwrap());
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let (bytes, encoding) = match encoding {
            "auto" => (text.into_bytes(), "auto"),
            "mark" => (format!("\u{feff}{text}").into_bytes(), "auto"),
            "utf-16le" => {
                (format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect(), "auto")
            }
            "utf-16be" => (text.encode_utf16().flat_map(u16::to_be_bytes).collect(), "utf-16be"),
            name => (text.chars().map(|letter| letter as u8).collect(), name),
        };
        let asked = Asked { encoding, ..Asked::default() };
        // A cell may happen to hold lines that look like rows: such a file is refused, and the key named.
        let doubted = |error: &str| error.contains("`none`") && error.contains("`lenient`");
        let ((names, rows), errors) = match read("a.csv", &bytes, &asked) {
            Err(error) if doubted(&error) => return Err(TestCaseError::reject(error)),
            read => read.unwrap(),
        };
        if errors.iter().any(|error| doubted(&error.to_string())) {
            return Err(TestCaseError::reject("a quote that is doubted"));
        }
        prop_assert!(errors.is_empty() && names == ["a", "b", "c"]);
        let found: Vec<Vec<String>> =
            rows.into_iter().map(|(_, row)| row.into_iter().map(Option::unwrap).collect()).collect();
        prop_assert_eq!(found, cells);
    }
}
