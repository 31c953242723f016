//! Files into texts: the files at a URI, class folders among them, each read by its format.

use super::config::TextConfig;
use super::reader::{Reader, Text};
use crate::records::{Content, Format, utf8, without_mark};
use crate::{DataError, records, source};

/// The texts of some files.
#[derive(Debug, Default)]
pub(super) struct Texts {
    pub texts: Vec<Text>,
    /// Texts that could not be read and were left out.
    pub skipped: u64,
}

/// The rank of a file of a folder among those that may hold texts: plain text, CSV and JSON lines are texts
/// most likely, Parquet may be pictures, and the others are often notes about the texts beside them.
fn rank(format: Format) -> Option<u8> {
    match format {
        Format::Text | Format::Csv | Format::Jsonl => Some(0),
        Format::Parquet => Some(1),
        other => other.holds_texts().then_some(2),
    }
}

/// The files below a URI that hold texts: those of a folder by their extension, a file always. Of a folder,
/// those of the likeliest formats count, and where the recipe names a format, those as likely as that.
pub(super) fn files(uri: &str, config: &TextConfig) -> Result<Vec<String>, DataError> {
    let mut files = records::files(uri)?;
    if source::is_folder(uri) {
        if config.format.is_some_and(Format::is_plain)
            && !files.iter().any(|file| Format::named(file).is_some())
        {
            // Mails and the like have no ending that says what they are; the recipe does.
            return Ok(files);
        }
        let rank_of = |file: &String| Format::named(file).and_then(rank);
        let last = config.format.and_then(rank).or_else(|| files.iter().filter_map(rank_of).min());
        files.retain(|file| rank_of(file).is_some_and(|rank| Some(rank) <= last));
    }
    if files.is_empty() {
        let endings: Vec<&str> = Format::names(Format::holds_texts).collect();
        Err(DataError::source(uri, format!("files of text (.{})", endings.join(", .")), "none"))
    } else {
        Ok(files)
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
    let classes = class_root(uri).filter(|_| labelled);
    let mut all = Texts::default();
    let mut take = |text| match text {
        Ok(text) => {
            all.texts.push(text);
            Ok(())
        }
        Err(error) => config.on_corrupt.refuse(error, &mut all.skipped),
    };
    for file in files(uri, config)? {
        let format = config.format(&file)?;
        let reader = Reader { uri: &file, config, format, labelled };
        if format.is_plain() && (folder || whole_files || classes.is_some()) {
            let label = if labelled { Some(class_folder(classes.unwrap_or(uri), &file)?) } else { None };
            reader.whole(label, &mut take)?;
        } else if format.is_plain() && labelled {
            let expected = "labelled texts: a CSV, JSONL, Parquet, or a folder of .txt files for each label";
            return Err(DataError::source(uri, expected, "lines without labels"));
        } else {
            reader.read(&mut take)?;
        }
    }
    if all.texts.is_empty() { Err(DataError::source(uri, "at least one text", "none")) } else { Ok(all) }
}

/// True when samples of this URI are whole `.txt` files.
pub(super) fn has_whole_files(uri: &str, config: &TextConfig) -> Result<bool, DataError> {
    let plain = |file: &String| config.format(file).is_ok_and(Format::is_plain);
    Ok(class_root(uri).is_some() && files(uri, config)?.iter().any(plain))
}

/// Reads everything as one text: `.txt` files as they are, one after the other by name; the texts of
/// records with a line break behind each.
///
/// # Errors
/// When something cannot be read.
pub(super) fn read_corpus(uri: &str, config: &TextConfig) -> Result<String, DataError> {
    let mut corpus = String::new();
    for file in files(uri, config)? {
        let format = config.format(&file)?;
        if format.is_plain() {
            let decoding = config.decoding()?;
            let bytes = decoding.bytes(&file, source::read_unpacked(&file)?, Content::Prose)?;
            corpus += utf8(&file, without_mark(&bytes), 1, decoding)?;
            continue;
        }
        let reader = Reader { uri: &file, config, format, labelled: false };
        reader.read(&mut |text| match text {
            Ok(Text { text, .. }) => {
                corpus += &text;
                corpus.push('\n');
                Ok(())
            }
            Err(error) => config.on_corrupt.refuse(error, &mut 0),
        })?;
    }
    Ok(corpus)
}

/// The folder whose folders are labels: a folder itself, or what is above the folders that a pattern names, as
/// `reviews` of `reviews/{neg,pos}/*.txt`; none of a pattern of files alone.
fn class_root(uri: &str) -> Option<&str> {
    if source::is_folder(uri) {
        return Some(uri);
    }
    let (above, _) = uri[..uri.find(['{', '*', '?', '['])?].rsplit_once('/')?;
    uri[above.len() + 1..].contains('/').then_some(above)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnCorrupt;

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
    fn patterns_of_folders_label_the_files_of_those_that_they_name() {
        let folder = Folder::new(&[
            ("neg/1.txt", b"bad"),
            ("pos/1.txt", b"good"),
            ("unsup/1.txt", b"so"),
            ("urls.txt", b"http"),
        ]);
        let config = TextConfig::default();
        for pattern in ["{neg,pos}/*.txt", "[np]*/*.txt"] {
            let uri = folder.uri(pattern);
            assert!(has_whole_files(&uri, &config).unwrap(), "{pattern}");
            let texts = read(&uri, &config, true, true).unwrap();
            assert_eq!(strings(&texts), [("bad", Some("neg"), None), ("good", Some("pos"), None)]);
        }
        let error = read(&folder.uri("neg/*.txt"), &config, false, true).unwrap_err().to_string();
        assert!(error.ends_with("found lines without labels"), "{error}");
        assert!(!has_whole_files(&folder.uri("*.txt"), &config).unwrap());
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
        assert!(
            message("a.txt", false).contains("line 2: expected UTF-8 text, found the byte 0xff, number 5")
        );
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
