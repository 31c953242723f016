//! Texts out of files: lines, columns of CSV, keys of JSON lines, class folders, whole files.

use super::config::{TextConfig, TextFormat};
use super::parquet;
use super::schema::TextSchema;
use crate::table::config::extension;
use crate::table::csv::{Csv, for_each_row};
use crate::table::encode::{quoted, shortened};
use crate::table::jsonl;
use crate::table::schema::nearest;
use crate::{DataError, OnCorrupt, index, source};
use serde_json::Value;
use std::cell::RefCell;
use std::ops::ControlFlow;

/// One text and where it stands.
#[derive(Debug, PartialEq)]
pub(super) struct Text {
    pub text: String,
    /// Absent where the data have none or none is asked for.
    pub label: Option<String>,
    /// The file.
    pub uri: String,
    /// The line it begins on, counted from 1; `None` for a whole file.
    pub line: Option<u64>,
}

impl Text {
    /// `sms.csv:17`, or the file alone where it is the whole of it.
    pub(super) fn place(&self) -> String {
        match self.line {
            Some(line) => format!("{}:{line}", self.uri),
            None => self.uri.clone(),
        }
    }
}

/// The texts of some files.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub texts: Vec<Text>,
    /// Texts that could not be read and were left out.
    pub skipped: u64,
}

impl TextFormat {
    /// By the extension, that of a packing aside; lines for what is none of the others.
    pub(super) fn of(uri: &str) -> Self {
        match extension(uri).as_str() {
            "csv" | "tsv" => TextFormat::Csv,
            "jsonl" | "ndjson" => TextFormat::Jsonl,
            "parquet" | "pq" => TextFormat::Parquet,
            _ => TextFormat::Txt,
        }
    }
}

/// Whether a name ends like a file of texts.
pub(super) fn is_text_file(uri: &str) -> bool {
    matches!(extension(uri).as_str(), "txt" | "csv" | "tsv" | "jsonl" | "ndjson")
}

/// The files below a URI that hold texts: those of a folder by their extension, a file always. Parquet
/// files of a folder count where the recipe says so or there are no others: they may be something else.
fn files(uri: &str, config: &TextConfig) -> Result<Vec<String>, DataError> {
    let mut files = index::shards(uri)?;
    if source::is_folder(uri) {
        let parquet = |file: &String| TextFormat::of(file) == TextFormat::Parquet;
        let wanted =
            config.format == Some(TextFormat::Parquet) || !files.iter().any(|file| is_text_file(file));
        files.retain(|file| is_text_file(file) || wanted && parquet(file));
    }
    match files.is_empty() {
        true => Err(DataError::source(uri, "files of text (.txt, .csv, .jsonl, .parquet)", "none")),
        false => Ok(files),
    }
}

/// Reads samples. Of `.txt` files, those of a folder are a sample each and others a sample a line,
/// unless `whole_files` says that they, too, are one each. With `labelled`, every sample gets its
/// label.
///
/// # Errors
/// When something cannot be read (and is not to be skipped), has no label, or there is no text.
pub(super) fn read(
    uri: &str,
    config: &TextConfig,
    whole_files: bool,
    labelled: bool,
) -> Result<Texts, DataError> {
    let folder = source::is_folder(uri);
    let mut all = Texts::default();
    let mut take = |text| match text {
        Ok(text) => {
            all.texts.push(text);
            Ok(())
        }
        Err(error) if config.on_corrupt == OnCorrupt::Stop => Err(error),
        Err(_) => {
            all.skipped += 1;
            Ok(())
        }
    };
    for file in files(uri, config)? {
        let format = config.format.unwrap_or_else(|| TextFormat::of(&file));
        let reader = Reader { uri: &file, config, labelled };
        match format {
            TextFormat::Txt if folder || whole_files => {
                let label = if labelled { Some(class_folder(uri, &file)?) } else { None };
                reader.whole(label, &mut take)?;
            }
            TextFormat::Txt if labelled => {
                let expected =
                    "labelled texts: a CSV, JSONL, Parquet, or a folder of .txt files for each label";
                return Err(DataError::source(uri, expected, "lines without labels"));
            }
            format => reader.read(format, &mut take)?,
        }
    }
    match all.texts.is_empty() {
        true => Err(DataError::source(uri, "at least one text", "none")),
        false => Ok(all),
    }
}

/// Whether samples of this URI are whole `.txt` files.
pub(super) fn has_whole_files(uri: &str, config: &TextConfig) -> Result<bool, DataError> {
    let txt = |file: &String| config.format.unwrap_or_else(|| TextFormat::of(file)) == TextFormat::Txt;
    Ok(source::is_folder(uri) && files(uri, config)?.iter().any(txt))
}

/// Reads everything as one text: `.txt` files as they are, one after the other by name; the texts of
/// CSV and JSONL with a line break behind each.
///
/// # Errors
/// When something cannot be read.
pub(super) fn read_corpus(uri: &str, config: &TextConfig) -> Result<String, DataError> {
    let mut corpus = String::new();
    for file in files(uri, config)? {
        let format = config.format.unwrap_or_else(|| TextFormat::of(&file));
        if format == TextFormat::Txt {
            corpus += utf8(&file, &source::read_unpacked(&file)?)?;
            continue;
        }
        Reader { uri: &file, config, labelled: false }.read(format, &mut |text| {
            match text {
                Ok(Text { text, .. }) => {
                    corpus += &text;
                    corpus.push('\n');
                }
                Err(error) if config.on_corrupt == OnCorrupt::Stop => return Err(error),
                Err(_) => {}
            }
            Ok(())
        })?;
    }
    Ok(corpus)
}

/// The label of a file in a folder of class folders.
fn class_folder(root: &str, file: &str) -> Result<String, DataError> {
    let below = file.strip_prefix(root.trim_end_matches('/')).unwrap_or(file).trim_start_matches('/');
    match below.split_once('/') {
        Some((class, _)) => Ok(class.to_string()),
        None => {
            Err(DataError::source(root, "a folder of text files for each label", format!("the file {below}")))
        }
    }
}

/// Bytes as text, without a byte order mark.
fn utf8<'a>(uri: &str, bytes: &'a [u8]) -> Result<&'a str, DataError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count() as u64;
        not_utf8(uri, line, bytes[error.valid_up_to()])
    })
}

fn not_utf8(uri: &str, line: u64, byte: u8) -> DataError {
    DataError::malformed(uri, format!("line {line}"), "UTF-8 text", format!("the byte 0x{byte:02x}"))
}

/// What stands in the place of a text, in an error.
fn kind(value: Option<&Value>) -> String {
    match value {
        None => "none".to_string(),
        Some(Value::Null) => "null".to_string(),
        Some(Value::Bool(value)) => value.to_string(),
        Some(Value::Number(number)) => format!("the number {}", shortened(&number.to_string())),
        Some(Value::String(_)) => "a text".to_string(),
        Some(Value::Array(_)) => "a list".to_string(),
        Some(Value::Object(_)) => "an object".to_string(),
    }
}

/// Reads one file.
pub(super) struct Reader<'a> {
    pub uri: &'a str,
    pub config: &'a TextConfig,
    /// Whether every text must have a label.
    pub labelled: bool,
}

impl Reader<'_> {
    /// Hands every text of the file to `take`, or why it cannot be read.
    fn read(&self, format: TextFormat, take: Take<'_>) -> Result<(), DataError> {
        let bytes = source::read_unpacked(self.uri)?;
        match format {
            TextFormat::Txt => self.lines(&bytes, take),
            TextFormat::Csv => {
                let dialect = self.config.dialect(self.uri)?;
                self.csv(&mut Csv::open(self.uri, &bytes, &dialect)?, take)
            }
            TextFormat::Jsonl => self.jsonl(&bytes, 1, take),
            TextFormat::Parquet => parquet::read(bytes, self, take),
        }
    }

    /// A text a line; blank lines are none.
    fn lines(&self, bytes: &[u8], take: Take<'_>) -> Result<(), DataError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (line, text) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            match std::str::from_utf8(text) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => take(Ok(self.text(text.trim_end_matches('\r'), None, Some(line))))?,
                Err(error) => take(Err(not_utf8(self.uri, line, text[error.valid_up_to()])))?,
            }
        }
        Ok(())
    }

    /// The file as one text.
    fn whole(&self, label: Option<String>, take: Take<'_>) -> Result<(), DataError> {
        let read = source::read_unpacked(self.uri).and_then(|bytes| utf8(self.uri, &bytes).map(String::from));
        take(read.map(|text| self.text(&text, label, None)))
    }

    /// Hands each row to `take`, or why it cannot be read.
    ///
    /// # Errors
    /// `take`'s own, and when there is no such column.
    pub(super) fn csv(&self, csv: &mut Csv<'_>, take: Take<'_>) -> Result<(), DataError> {
        let config = self.config;
        let column = |key: &str, name: &String| {
            csv.names().iter().position(|column| column == name).ok_or_else(|| {
                let expected = format!("a column of {} ({})", self.uri, nearest(csv.names(), name));
                DataError::config(key, expected, format!("`{name}`"))
            })
        };
        let text = column("text_column", &config.text_column)?;
        let label = match self.labelled {
            true => Some(column("label_column", &config.label_column)?),
            false => None,
        };
        let take = RefCell::new(take);
        let corrupt = |error| stop(take.borrow_mut()(Err(error)));
        for_each_row(csv, corrupt, |line, csv| {
            let label = label.map(|column| csv.cell(column));
            take.borrow_mut()(self.record("line", line, Some(csv.cell(text)), label))
        })
    }

    /// Hands each object of the lines from `first_line` on to `take`, or why it cannot be read.
    ///
    /// # Errors
    /// `take`'s own.
    pub(super) fn jsonl(&self, bytes: &[u8], first_line: u64, take: Take<'_>) -> Result<(), DataError> {
        let config = self.config;
        let take = RefCell::new(take);
        let corrupt = |error| stop(take.borrow_mut()(Err(error)));
        jsonl::for_each_object(self.uri, bytes, first_line, corrupt, |line, object| {
            let text = match object.get(&config.text_column) {
                Some(Value::String(text)) => text,
                other => {
                    let expected = format!("a text under `{}`", config.text_column);
                    return take.borrow_mut()(Err(self.bad("line", line, &expected, &kind(other))));
                }
            };
            let value = object.get(&config.label_column);
            let label = match value.map(jsonl::cell) {
                Some(Err(_)) if self.labelled => {
                    let expected = format!("a label under `{}`", config.label_column);
                    return take.borrow_mut()(Err(self.bad("line", line, &expected, &kind(value))));
                }
                label => label.and_then(|cell| cell.ok().flatten()),
            };
            take.borrow_mut()(self.record("line", line, Some(text), label.as_deref()))
        })
    }

    /// The text on a line or row, with its label where one is asked for.
    ///
    /// # Errors
    /// When either is missing.
    pub(super) fn record(
        &self,
        unit: &str,
        number: u64,
        text: Option<&str>,
        label: Option<&str>,
    ) -> Result<Text, DataError> {
        let Some(text) = text else {
            let expected = format!("a text under `{}`", self.config.text_column);
            return Err(self.bad(unit, number, &expected, "null"));
        };
        let label = label.map(str::trim).filter(|label| self.labelled && !label.is_empty());
        match (label, self.labelled) {
            (None, true) => {
                let expected = format!("a label under `{}`", self.config.label_column);
                Err(self.bad(unit, number, &expected, "none"))
            }
            (label, _) => Ok(self.text(text, label.map(String::from), Some(number))),
        }
    }

    fn text(&self, text: &str, label: Option<String>, line: Option<u64>) -> Text {
        Text { text: text.to_string(), label, uri: self.uri.to_string(), line }
    }

    fn bad(&self, unit: &str, number: u64, expected: &str, found: &str) -> DataError {
        DataError::malformed(self.uri, format!("{unit} {number}"), expected, found)
    }
}

/// What becomes of each text that is read, and of each that cannot be.
pub(super) type Take<'a> = &'a mut dyn FnMut(Result<Text, DataError>) -> Result<(), DataError>;

fn stop(taken: Result<(), DataError>) -> ControlFlow<DataError> {
    match taken {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// The class of a text's label, which `known` looks up.
///
/// # Errors
/// When it is none of the schema's.
pub(super) fn class(
    text: &Text,
    schema: &TextSchema,
    known: impl FnOnce(&str) -> Option<u32>,
) -> Result<u32, DataError> {
    let label = text.label.as_deref().unwrap_or_default();
    known(label).ok_or_else(|| {
        let place = text.line.map_or("label".to_string(), |line| format!("line {line}, label"));
        let expected = format!("one of {}", quoted(&schema.labels));
        DataError::malformed(&text.uri, place, expected, format!("`{}`", shortened(label)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(files: &[(&str, &[u8])]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, bytes) in files {
                let path = folder.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
            Folder(folder)
        }

        fn uri(&self, name: &str) -> String {
            self.0.path().join(name).to_str().unwrap().to_string()
        }
    }

    fn strings(texts: &Texts) -> Vec<(&str, Option<&str>, Option<u64>)> {
        texts.texts.iter().map(|text| (text.text.as_str(), text.label.as_deref(), text.line)).collect()
    }

    #[test]
    fn lines_csv_and_jsonl_give_texts_with_their_lines() {
        let folder = Folder::new(&[
            ("a.txt", b"one\r\n\n two\n"),
            ("a.csv", b"label,text\nx,\"multi\nline\"\ny,\n"),
            ("a.jsonl", b"{\"text\": \"t\", \"label\": 1}\n"),
        ]);
        let config = TextConfig::default();
        let read = |name, labelled| read(&folder.uri(name), &config, false, labelled).unwrap();
        assert_eq!(strings(&read("a.txt", false)), [("one", None, Some(1)), (" two", None, Some(3))]);
        assert_eq!(
            strings(&read("a.csv", true)),
            [("multi\nline", Some("x"), Some(2)), ("", Some("y"), Some(4))]
        );
        assert_eq!(strings(&read("a.jsonl", true)), [("t", Some("1"), Some(1))]);
        assert_eq!(read("a.csv", false).texts[0].label, None);
        assert!(read("a.csv", true).texts[1].place().ends_with("a.csv:4"));
    }

    #[test]
    fn class_folders_label_their_files() {
        let folder = Folder::new(&[
            ("set/neg/1.txt", b"bad"),
            ("set/pos/deep/2.txt", b"good\nindeed"),
            ("set/README.md", b"not a text"),
            ("flat/1.txt", b"x"),
        ]);
        let config = TextConfig::default();
        let texts = read(&folder.uri("set"), &config, false, true).unwrap();
        assert_eq!(strings(&texts), [("bad", Some("neg"), None), ("good\nindeed", Some("pos"), None)]);
        assert!(has_whole_files(&folder.uri("set"), &config).unwrap());
        let error = read(&folder.uri("flat"), &config, false, true).unwrap_err().to_string();
        assert!(error.contains("a folder of text files for each label"), "{error}");
    }

    #[test]
    fn a_corpus_is_every_text_in_order() {
        let folder = Folder::new(&[("c/1.txt", b"ab\n"), ("c/2.txt", b"c"), ("r.csv", b"text\nx\ny\n")]);
        let config = TextConfig::default();
        assert_eq!(read_corpus(&folder.uri("c"), &config).unwrap(), "ab\nc");
        assert_eq!(read_corpus(&folder.uri("r.csv"), &config).unwrap(), "x\ny\n");
    }

    #[test]
    fn hostile_files_are_errors_with_their_line_or_counted() {
        let folder = Folder::new(&[
            ("a.txt", b"fine\nbad \xff\nfine\n"),
            ("a.csv", b"label,text\nx,ok\nx,\xff\nx\n,unlabelled\nx,\"open\n"),
            ("b.csv", b"label,txt\nx,y\n"),
            ("b.jsonl", b"{\"text\": \"t\", \"label\": [1]}\n"),
            ("c.jsonl", b"{\"txt\": \"t\", \"label\": 1}\n"),
            (
                "a.jsonl",
                b"{\"text\": 1, \"label\": 1}\n{\"text\": \"t\"}\n[]\n{\"text\": \"t\", \"label\": 0}\n",
            ),
        ]);
        let stop = TextConfig::default();
        let skip = TextConfig { on_corrupt: OnCorrupt::Skip, ..Default::default() };
        let message =
            |name, labelled| read(&folder.uri(name), &stop, false, labelled).unwrap_err().to_string();
        assert!(message("a.txt", false).ends_with("line 2: expected UTF-8 text, found the byte 0xff"));
        assert!(message("a.txt", true).contains("lines without labels"));
        assert!(message("a.csv", true).contains("line 3: expected UTF-8"));
        assert!(message("b.csv", true).contains("`txt`, `label`"));
        assert!(
            message("a.jsonl", true).contains("line 1: expected a text under `text`, found the number 1")
        );
        assert!(message("b.jsonl", true).ends_with("line 1: expected a label under `label`, found a list"));
        assert!(message("c.jsonl", true).ends_with("line 1: expected a text under `text`, found none"));
        assert!(message("missing.csv", true).contains("missing.csv"));
        let counts = |name, labelled| {
            let texts = read(&folder.uri(name), &skip, false, labelled).unwrap();
            (texts.texts.len(), texts.skipped)
        };
        assert_eq!(counts("a.txt", false), (2, 1));
        assert_eq!(counts("a.csv", true), (1, 4));
        assert_eq!(counts("a.jsonl", true), (1, 3));
        let error = read_corpus(&folder.uri("a.txt"), &skip).unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
