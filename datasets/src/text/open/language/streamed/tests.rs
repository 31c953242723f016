use super::*;
use crate::records::Format;
use crate::text::{TextTask, open, open_evaluation, reopen};
use crate::{Dataset, Draw, OnCorrupt};
use bonfire_contract::{Loader, Position, Target};
use burn::tensor::Device;
use std::fs;
use std::path::Path;

fn config(uri: &str, vocabulary: VocabularyKind) -> TextConfig {
    TextConfig {
        train: uri.to_string(),
        task: TextTask::LanguageModel,
        vocabulary,
        max_tokens: 24,
        stream: Some(true),
        window_bytes: 3000,
        ..Default::default()
    }
}

fn held(config: &TextConfig) -> TextConfig {
    TextConfig { stream: Some(false), ..config.clone() }
}

/// Blocks are of 256 bytes here: a long text has many.
fn text(lines: std::ops::Range<usize>) -> String {
    let line = |line: usize| {
        format!("Line {line} of the Łódź tale,\tin {} words.\n{}", line % 7, ["", "\n"][line % 2])
    };
    lines.map(line).collect()
}

/// Inputs and targets of the batches from a position on, a row a sample.
fn rows(pipeline: &Pipeline<TextSet>, samples: u64, batch_size: usize, most: usize) -> Vec<Vec<i64>> {
    let mut rows = Vec::new();
    let batches = pipeline.batches(Position { epoch: 1, samples }, batch_size, &Device::flex());
    for batch in batches.take(most) {
        let batch = batch.unwrap();
        let [_, length] = batch.input.tokens.dims();
        let Target::NextTokens(next) = batch.target else { panic!("expected tokens") };
        let tokens: Vec<i64> = batch.input.tokens.into_data().iter().collect();
        let next: Vec<i64> = next.into_data().iter().collect();
        rows.extend(tokens.chunks(length).zip(next.chunks(length)).map(|(a, b)| [a, b].concat()));
    }
    rows
}

fn same(streamed: &TextSet, held: &TextSet, step: usize) {
    assert_eq!(streamed.len(), held.len());
    for index in (0..held.len()).step_by(step).chain(held.len().checked_sub(1)) {
        assert_eq!(
            streamed.sample(index, Draw::default()).unwrap(),
            held.sample(index, Draw::default()).unwrap(),
            "sample {index}"
        );
    }
}

fn same_schema(streamed: &TextSchema, held: &TextSchema) {
    assert_eq!(TextSchema { streamed: None, ..streamed.clone() }, *held);
}

fn message<T>(result: Result<T, DataError>) -> String {
    let message = result.err().expect("an error").to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn shakespeare_streamed_is_shakespeare_held() {
    for vocabulary in [VocabularyKind::Character, VocabularyKind::Word, VocabularyKind::Byte] {
        let config = TextConfig {
            valid_fraction: 0.1,
            test_fraction: 0.05,
            lowercase: vocabulary == VocabularyKind::Word,
            ..config("builtin:shakespeare.txt.gz", vocabulary)
        };
        let streamed = open(&config, 1).unwrap();
        let in_memory = open(&held(&config), 1).unwrap();
        same_schema(&streamed.schema, &in_memory.schema);
        same(streamed.train.dataset(), in_memory.train.dataset(), 11);
        same(streamed.valid.unwrap().dataset(), in_memory.valid.unwrap().dataset(), 1);
        let test = in_memory.test.unwrap();
        same(streamed.test.unwrap().dataset(), test.dataset(), 1);
        let evaluated = open_evaluation(&config, &streamed.schema, None, 1).unwrap();
        same(evaluated.dataset(), test.dataset(), 1);
    }
}

/// The order `full` is that of a text in memory: the batches are the same, too.
#[test]
fn batches_in_full_order_are_those_in_memory() {
    let config = TextConfig {
        order: Some(ShardOrder::Full),
        stride: Some(5),
        ..config("builtin:shakespeare.txt.gz", VocabularyKind::Character)
    };
    let [streamed, held] = [open(&config, 3), open(&held(&config), 3)].map(Result::unwrap);
    assert_eq!(rows(&streamed.train, 77, 6, 20), rows(&held.train, 77, 6, 20));
}

#[test]
fn files_of_every_kind_are_the_text_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    };
    // Marks at the beginning of files are no text; a file without a line break ends within a line.
    write("t/0.txt", format!("\u{feff}{}and so", text(0..40)).as_bytes());
    write("t/1.txt.zst", &zstd::encode_all(text(40..75).as_bytes(), 1).unwrap());
    write("t/2.txt", format!("{}\u{feff}{}", "word ".repeat(400), "long".repeat(300)).as_bytes());
    let rows: String = (0..60).map(|row| format!("{row},\"{}\"\n", text(row..row + 3))).collect();
    write("r.csv", format!("id,text\n{rows}").as_bytes());
    let line = |row| serde_json::json!({"text": text(row..row + 2)}).to_string() + "\n";
    write("r.jsonl", (0..60).map(line).collect::<String>().as_bytes());
    for name in ["t", "t/*.txt*", "r.csv", "r.jsonl"] {
        for vocabulary in [VocabularyKind::Character, VocabularyKind::Byte, VocabularyKind::Word] {
            // A word that is longer than a block is cut where it would not be in memory, and one that a file
            // ends within is not joined to the next file's first.
            if vocabulary == VocabularyKind::Word && name.starts_with('t') {
                write("t/0.txt", format!("\u{feff}{}and so ", text(0..40)).as_bytes());
                write("t/2.txt", "word ".repeat(400).as_bytes());
            }
            let config = TextConfig {
                valid_fraction: 0.3,
                lowercase: true,
                stride: Some(7),
                ..config(&folder.path().join(name).display().to_string(), vocabulary)
            };
            let streamed = open(&config, 1).unwrap();
            let in_memory = open(&held(&config), 1).unwrap();
            same_schema(&streamed.schema, &in_memory.schema);
            same(streamed.train.dataset(), in_memory.train.dataset(), 1);
            same(streamed.valid.unwrap().dataset(), in_memory.valid.unwrap().dataset(), 1);
            let evaluate =
                |config| open_evaluation(config, &streamed.schema, Some(&config.train), 1).unwrap();
            same(evaluate(&config).dataset(), evaluate(&held(&config)).dataset(), 1);
        }
    }
}

#[test]
fn every_sample_comes_once_and_from_any_position_as_it_would_have() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.txt");
    fs::write(&path, text(0..200)).unwrap();
    for (order, stride, workers) in
        [(ShardOrder::Window, 1, 2), (ShardOrder::Window, 24, 0), (ShardOrder::Full, 3, 1)]
    {
        let config = TextConfig {
            order: Some(order),
            stride: Some(stride),
            workers,
            ..config(&path.display().to_string(), VocabularyKind::Character)
        };
        let opened = open(&config, 5).unwrap();
        let whole = rows(&opened.train, 0, 16, usize::MAX);
        assert_eq!(whole.len() as u64, opened.train.len());
        let (mut sorted, mut expected) =
            (whole.clone(), rows(&open(&held(&config), 6).unwrap().train, 0, 16, usize::MAX));
        assert_ne!(sorted, expected);
        sorted.sort();
        expected.sort();
        assert_eq!(sorted, expected);
        // Kept in the run folder, the text is not counted again.
        opened.schema.save(folder.path()).unwrap();
        let schema = TextSchema::load(folder.path()).unwrap();
        assert_eq!(schema, opened.schema);
        let again = reopen(&config, 5, schema).unwrap();
        let len = opened.train.len();
        for start in [1, 16, len / 2, len - 1, len] {
            assert_eq!(
                rows(&again.train, start, 7, 3)[..],
                whole[start as usize..].chunks(21).next().unwrap_or(&[])[..]
            );
        }
    }
}

#[test]
fn only_a_window_of_blocks_is_held() {
    let config =
        TextConfig { stride: Some(24), ..config("builtin:shakespeare.txt.gz", VocabularyKind::Character) };
    let opened = open(&config, 1).unwrap();
    let TextSet { parts: crate::text::set::Parts::Windows(_, Corpus::Streamed(blocks)), .. } =
        opened.train.dataset()
    else {
        panic!("expected a streamed text")
    };
    let starts =
        known_starts(&source("builtin:shakespeare.txt.gz", &config).unwrap(), &opened.schema).unwrap();
    assert!(starts.len() > 3000, "{}", starts.len());
    let window = blocks_at_once(
        &source("builtin:shakespeare.txt.gz", &config).unwrap(),
        &starts,
        &config,
        &opened.schema,
    );
    let mut most = 0;
    for batch in opened.train.batches(Position::default(), 64, &Device::flex()) {
        batch.unwrap();
        most = most.max(blocks.held());
    }
    assert!((window..=2 * window + 4).contains(&most), "{most} blocks of windows of {window}");
}

fn corrupt_as_old(path: &Path, text: &str) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, text).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn a_changed_or_cut_text_is_an_error_that_names_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.txt");
    let whole = text(0..200);
    fs::write(&path, &whole).unwrap();
    let config = config(&path.display().to_string(), VocabularyKind::Character);
    let opened = open(&config, 5).unwrap();
    let last = opened.train.len() - 1;
    // As long as it was and as old: the checksum tells, and names the block.
    corrupt_as_old(&path, &whole.replace("Line 199", "Line 198"));
    let fresh = reopen(&config, 5, opened.schema.clone()).unwrap();
    assert!(fresh.train.dataset().sample(0, Draw::default()).is_ok());
    let error = message(fresh.train.dataset().sample(last, Draw::default()));
    assert!(error.contains("x.txt, block at line ") && error.contains("expected the checksum"), "{error}");
    // Such a text stops, whatever the recipe says of corrupt samples.
    let skip = TextConfig { on_corrupt: OnCorrupt::Skip, ..config.clone() };
    let skipping = reopen(&skip, 5, opened.schema.clone()).unwrap();
    let batches = skipping.train.batches(Position::default(), 64, &Device::flex());
    assert!(batches.last().unwrap().is_err());
    // Written anew, with the same number of lines.
    fs::write(&path, whole.replace("Line 199", "Line 200")).unwrap();
    let again = || reopen(&config, 5, opened.schema.clone());
    let error = message(again());
    assert!(error.contains("x.txt: expected the contents that the run began with"), "{error}");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = message(again());
    let lines = whole.matches('\n').count();
    assert!(
        error.contains(&format!("x.txt: expected the {lines} records that the run began with, found ")),
        "{error}"
    );
    let error = message(open_evaluation(
        &TextConfig { valid_fraction: 0.1, ..config.clone() },
        &opened.schema,
        None,
        1,
    ));
    assert!(error.contains("that the run began with"), "{error}");
    let held = TextSchema { streamed: None, ..opened.schema.clone() };
    assert!(message(reopen(&config, 5, held)).contains("held in memory"));
}

#[test]
fn what_is_no_text_of_one_kind_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.txt"), text(0..9)).unwrap();
    let config = config(&folder.path().display().to_string(), VocabularyKind::Character);
    assert!(open(&config, 1).is_ok());
    fs::write(folder.path().join("b.txt"), b"fine\nbad \xff\nfine\n").unwrap();
    let error = message(open(&config, 1));
    assert!(error.contains("b.txt, line 2: expected UTF-8 text, found the byte 0xff, number 5"), "{error}");
    fs::write(folder.path().join("b.txt"), "fine").unwrap();
    fs::write(folder.path().join("c.csv"), "text\nx\n").unwrap();
    let error = message(open(&config, 1));
    assert!(error.contains("texts of one kind") && error.contains("c.csv"), "{error}");
    fs::rename(folder.path().join("c.csv"), folder.path().join("c.dat")).unwrap();
    assert!(message(open(&config, 1)).contains("c.dat among them"));
    let pattern = TextConfig { train: format!("{}/*.txt", config.train), ..config.clone() };
    assert!(open(&pattern, 1).is_ok());
    let few = TextConfig { max_vocabulary: Some(2), ..pattern.clone() };
    assert!(message(open(&few, 1)).starts_with("data.max_vocabulary"));
    let long = TextConfig { max_tokens: 9000, ..pattern.clone() };
    assert!(message(open(&long, 1)).contains("more than 9000 training tokens"));
    let named = TextConfig { format: Some(Format::Text), train: config.train.clone(), ..config };
    assert!(message(open(&named, 1)).contains("c.dat among them"));
}
