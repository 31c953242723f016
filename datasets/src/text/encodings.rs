//! Texts as people have them: in other encodings, and with quotes of their own.

use super::{TextConfig, TextSample, TextSet, TextTask, open, open_evaluation, open_prediction};
use crate::records::{EncodingErrors, Quoting};
use crate::{Dataset, Draw, OnCorrupt};
use std::fs;
use std::path::Path;

fn config(uri: &Path) -> TextConfig {
    TextConfig { train: uri.display().to_string(), workers: 0, ..Default::default() }
}

fn samples(set: &TextSet) -> Vec<TextSample> {
    (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect()
}

/// Folders of mails, of which some are in Windows-1252.
fn mails(folder: &Path) {
    for number in 0..20 {
        let (class, word) = [("ham", "caf\u{e9}"), ("spam", "win")][number % 2];
        let text = format!("Mail {number}\nabout {word}\n");
        let latin = number % 4 == 0;
        let bytes = if latin { text.chars().map(|letter| letter as u8).collect() } else { text.into_bytes() };
        fs::create_dir_all(folder.join(class)).unwrap();
        fs::write(folder.join(format!("{class}/{number}.txt")), bytes).unwrap();
    }
}

#[test]
fn mails_in_another_encoding_are_read_replaced_or_counted() {
    let folder = tempfile::tempdir().unwrap();
    mails(folder.path());
    let with = |encoding: &str, encoding_errors, on_corrupt| {
        let encoding = encoding.to_string();
        open(&TextConfig { encoding, encoding_errors, on_corrupt, ..config(folder.path()) }, 1)
    };
    let error = with("auto", EncodingErrors::Stop, OnCorrupt::Stop).err().unwrap().to_string();
    assert!(
        error.contains("ham/0.txt, line 2: expected UTF-8 text, found the byte 0xe9, number 10"),
        "{error}"
    );
    assert!(
        error.contains("as windows-1252 it reads `about café` (data.encoding = \"windows-1252\")"),
        "{error}"
    );
    let skipped = with("auto", EncodingErrors::Skip, OnCorrupt::Stop).unwrap().train;
    assert_eq!((skipped.dataset().len(), skipped.dataset().skipped()), (15, 5));
    let skipped = with("auto", EncodingErrors::Stop, OnCorrupt::Skip).unwrap().train;
    assert_eq!((skipped.dataset().len(), skipped.dataset().skipped()), (15, 5));
    assert_eq!(with("auto", EncodingErrors::Replace, OnCorrupt::Stop).unwrap().train.dataset().len(), 20);
    // Those of UTF-8 have two letters where Latin-1 has one.
    let read = with("latin-1", EncodingErrors::Stop, OnCorrupt::Stop).unwrap();
    assert_eq!((read.train.dataset().len(), read.train.dataset().skipped()), (20, 0));
    let error = with("latin-99", EncodingErrors::Stop, OnCorrupt::Stop).err().unwrap().to_string();
    assert!(error.starts_with("data.encoding: expected"), "{error}");
}

#[test]
fn streamed_texts_are_the_held_ones_in_any_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let text = |row: usize| format!("Nachricht {row}: {}", ["schön", "groß", "daß"][row % 3]);
    let csv: String = (0..60).map(|row| format!("{};{}\n", row % 2, text(row))).collect();
    let csv = format!("label;text\n{csv}");
    let jsonl: String = (0..60)
        .map(|row| serde_json::json!({"text": text(row), "label": row % 2}).to_string() + "\n")
        .collect();
    for (name, text) in [("x.csv", csv), ("x.jsonl", jsonl)] {
        let path = folder.path().join(name);
        fs::write(&path, &text).unwrap();
        let expected = samples(open(&config(&path), 1).unwrap().train.dataset());
        assert_eq!(expected.len(), 60);
        let latin: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
        let marked: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let files = [("windows-1252", latin.clone()), ("auto", marked), ("auto", text.into_bytes())];
        for (number, (encoding, bytes)) in files.into_iter().enumerate() {
            let path = folder.path().join(format!("{number}-{name}"));
            fs::write(&path, bytes).unwrap();
            for stream in [false, true] {
                let encoding = encoding.to_string();
                let config = TextConfig { encoding, stream: Some(stream), ..config(&path) };
                let opened = open(&config, 1).unwrap();
                assert_eq!(
                    samples(opened.train.dataset()),
                    expected,
                    "{encoding} {name} {stream}",
                    encoding = config.encoding
                );
                let asked = open_evaluation(&config, &opened.schema, Some(&config.train), 1).unwrap();
                assert_eq!(samples(asked.dataset()), expected);
                let mut predicted = 0;
                for piece in
                    open_prediction(&config, &opened.schema, std::slice::from_ref(&config.train)).unwrap()
                {
                    predicted += piece.unwrap().samples.dataset().len();
                }
                assert_eq!(predicted, 60);
            }
        }
        // An index of one encoding is none of another: the same file, read as what it is not.
        let path = folder.path().join(format!("0-{name}"));
        let errors = TextConfig { stream: Some(true), ..config(&path) };
        assert!(open(&errors, 1).err().unwrap().to_string().contains("windows-1252"));
    }
}

#[test]
fn a_corpus_is_the_same_in_any_encoding() {
    let folder = tempfile::tempdir().unwrap();
    let text = "Über allen Gipfeln\nist Ruh\n".repeat(40);
    let latin: Vec<u8> = text.chars().map(|letter| letter as u8).collect();
    let marked: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_be_bytes).collect();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.txt"), &text).unwrap();
    fs::write(path("b.txt"), marked).unwrap();
    fs::write(path("c.txt"), latin).unwrap();
    let opened = |name: &str, encoding: &str, stream| {
        let encoding = encoding.to_string();
        let task = TextTask::LanguageModel;
        let config =
            TextConfig { task, max_tokens: 16, encoding, stream: Some(stream), ..config(&path(name)) };
        let opened = open(&config, 1).unwrap();
        (samples(opened.train.dataset()), opened.schema.tokenizer)
    };
    for stream in [false, true] {
        let expected = opened("a.txt", "auto", stream);
        assert_eq!(opened("b.txt", "auto", stream).0, expected.0, "{stream}");
        assert_eq!(opened("c.txt", "latin-1", stream).0, expected.0, "{stream}");
    }
}

#[test]
fn stray_quotes_are_refused_or_part_of_the_texts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.tsv");
    let stray = |row: usize| if [20, 120, 230, 330].contains(&row) { "\"" } else { "" };
    let line = |row: usize| format!("{}\t{}text {row}\n", ["neg", "pos"][row % 2], stray(row));
    let lines: String = (0..400).map(line).collect();
    fs::write(&path, format!("label\ttext\n{lines}")).unwrap();
    for stream in [false, true] {
        for on_corrupt in [OnCorrupt::Stop, OnCorrupt::Skip] {
            let config = TextConfig { stream: Some(stream), on_corrupt, ..config(&path) };
            let error = open(&config, 1).err().unwrap().to_string();
            assert!(
                error.starts_with("data.quoting: expected `none`") && error.contains("line 22"),
                "{error}"
            );
            let none = TextConfig { quoting: Quoting::None, ..config };
            let opened = open(&none, 1).unwrap();
            assert_eq!(opened.train.dataset().len(), 400);
            let pieces = open_prediction(&none, &opened.schema, std::slice::from_ref(&none.train)).unwrap();
            assert_eq!(pieces.map(|piece| piece.unwrap().samples.dataset().len()).sum::<u64>(), 400);
            let config = TextConfig { quoting: Quoting::Minimal, ..none };
            let mut pieces =
                open_prediction(&config, &opened.schema, std::slice::from_ref(&config.train)).unwrap();
            assert!(pieces.any(|piece| piece.is_err_and(|error| error.to_string().contains("line 22"))));
        }
    }
}
