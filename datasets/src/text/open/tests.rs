use super::*;
use crate::text::{VocabularyKind, open_prediction};
use crate::{Dataset, Draw, OnCorrupt};
use bonfire_contract::{Loader, Target};
use burn::tensor::Device;

struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Files(folder)
    }

    fn uri(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_string()
    }
}

/// The whole set as one batch: token rows and targets.
fn rows(set: &TextSet) -> (Vec<Vec<i64>>, Vec<i64>) {
    let samples = (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
    let (input, target) = set.collate(samples, &Device::flex());
    let [_, length] = input.tokens.dims();
    let tokens: Vec<i64> = input.tokens.into_data().iter().collect();
    let target = match target {
        Target::Classes(classes) => classes.into_data().iter().collect(),
        Target::NextTokens(next) => next.into_data().iter().collect(),
        _ => Vec::new(),
    };
    (tokens.chunks(length).map(<[i64]>::to_vec).collect(), target)
}

fn message<T>(result: Result<T, DataError>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains('\n'), "{message}");
            message
        }
    }
}

fn shakespeare() -> TextConfig {
    TextConfig {
        train: "builtin:shakespeare.txt.gz".into(),
        task: TextTask::LanguageModel,
        vocabulary: VocabularyKind::Character,
        valid_fraction: 0.1,
        max_tokens: 64,
        ..Default::default()
    }
}

#[test]
fn shakespeare_is_cut_at_its_tail() {
    let config = shakespeare();
    let opened = open(&config, 1).unwrap();
    let valid = opened.valid.unwrap();
    assert_eq!(opened.schema.len(), 76);
    assert_eq!(opened.train.len(), 1_018_689 - 64);
    assert_eq!(valid.len(), (113_188u64 - 1).div_ceil(64));
    let text = "O Romeo, Romeo!\nwherefore";
    assert_eq!(opened.schema.decode(&opened.schema.encode(text).unwrap()), text);
    let first = opened.train.dataset().sample(0, Draw::default()).unwrap();
    let second = opened.train.dataset().sample(1, Draw::default()).unwrap();
    assert_ne!(first, second);
    let batch = opened.train.batches(Default::default(), 12, &Device::flex()).next().unwrap().unwrap();
    assert_eq!(batch.input.tokens.dims(), [12, 64]);
    let folder = tempfile::tempdir().unwrap();
    opened.schema.save(folder.path()).unwrap();
    let schema = TextSchema::load(folder.path()).unwrap();
    assert_eq!(schema, opened.schema);
    let again = open_evaluation(&config, &schema, None, 1).unwrap();
    let last = valid.len() - 1;
    assert_eq!(
        again.dataset().sample(last, Draw::default()).unwrap(),
        valid.dataset().sample(last, Draw::default()).unwrap()
    );
    let inputs = ["x".to_string()];
    assert!(message(predicted(&config, &schema, &inputs)).contains("continues a prompt"));
}

#[test]
fn an_unknown_character_is_named() {
    let files = Files::new(&[("e.txt", "Romeo\nis ⚔\n")]);
    let config = shakespeare();
    let schema = open(&config, 1).unwrap().schema;
    let error = message(open_evaluation(&config, &schema, Some(&files.uri("e.txt")), 1));
    assert!(error.contains("line 2: expected a symbol of the training text, found `⚔`"), "{error}");
}

#[test]
fn sms_are_split_and_their_vocabulary_is_the_training_texts() {
    let config = TextConfig {
        train: "builtin:sms-spam.csv.gz".into(),
        label_column: "spam".into(),
        test_fraction: 0.2,
        lowercase: true,
        ..Default::default()
    };
    let opened = open(&config, 4).unwrap();
    let test = opened.test.unwrap();
    assert_eq!((opened.train.len(), test.len()), (3870, 967));
    assert_eq!(opened.schema.labels(), ["0", "1"]);
    let unknown = |set: &TextSet| rows(set).0.iter().flatten().filter(|&&id| id == 1).count();
    assert_eq!(unknown(opened.train.dataset()), 0);
    assert!(unknown(test.dataset()) > 100);
    let spam =
        rows(opened.train.dataset()).1.iter().sum::<i64>() + rows(test.dataset()).1.iter().sum::<i64>();
    assert_eq!(spam, 638);
    let again = open_evaluation(&config, &opened.schema, None, 4).unwrap();
    assert_eq!(rows(again.dataset()), rows(test.dataset()));
    let other = open(&config, 5).unwrap().test.unwrap();
    assert_ne!(rows(other.dataset()), rows(test.dataset()));
}

const LABELLED: &str = "label,text\nham,a b\nspam,b b c d\nham,\n";

fn classify(files: &Files) -> TextConfig {
    TextConfig { train: files.uri("t.csv"), max_tokens: 3, ..Default::default() }
}

#[test]
fn texts_are_truncated_padded_and_never_empty() {
    let files = Files::new(&[("t.csv", LABELLED)]);
    let opened = open(&classify(&files), 0).unwrap();
    // 2 is `b`, the most frequent; then `a`, `c`, `d` by text.
    let (tokens, classes) = rows(opened.train.dataset());
    assert_eq!(tokens, [[3, 2, 0], [2, 2, 4], [1, 0, 0]]);
    assert_eq!(classes, [0, 1, 0]);
    let small = TextConfig { max_vocabulary: Some(1), ..classify(&files) };
    assert_eq!(open(&small, 0).unwrap().schema.len(), 3);
    let bytes = TextConfig { vocabulary: VocabularyKind::Byte, ..classify(&files) };
    assert_eq!(open(&bytes, 0).unwrap().schema.len(), 258);
}

/// The only part of inputs that are few.
fn predicted(
    config: &TextConfig,
    schema: &TextSchema,
    inputs: &[String],
) -> Result<(Pipeline<TextSet>, Vec<String>), DataError> {
    let mut parts = open_prediction(config, schema, inputs)?;
    let part = parts.next().unwrap()?;
    assert!(parts.next().is_none());
    let names =
        (0..bonfire_contract::Loader::len(&part.samples)).map(|sample| part.names.of(sample)).collect();
    Ok((part.samples, names))
}

#[test]
fn many_texts_to_predict_come_in_parts_and_each_line_keeps_its_number() {
    let line = |number: usize| ["a", "b", "c"][number % 3];
    let lines: String = (0..5_000).map(|number| format!("{}\n", line(number))).collect();
    let quoted: String = (0..5_000).map(|number| format!("\"{}\n\"\n", line(number))).collect();
    let objects: String = (0..5_000).map(|number| format!("{{\"text\": \"{}\"}}\n", line(number))).collect();
    let files = Files::new(&[
        ("t.csv", LABELLED),
        ("n.txt", &lines),
        ("n.csv", &format!("text\n{quoted}")),
        ("n.jsonl", &objects),
    ]);
    let config = classify(&files);
    let schema = open(&config, 0).unwrap().schema;
    for (name, last) in [("n.txt", "n.txt:5000"), ("n.csv", "n.csv:10000"), ("n.jsonl", "n.jsonl:5000")] {
        let parts = open_prediction(&config, &schema, &[files.uri(name), "d".into()]).unwrap();
        let parts: Vec<_> = parts.map(Result::unwrap).collect();
        assert_eq!(parts.iter().map(|part| part.samples.len()).collect::<Vec<_>>(), [4_096, 905], "{name}");
        assert!(parts[1].names.of(903).ends_with(last), "{}", parts[1].names.of(903));
        assert_eq!(parts[1].names.of(904), "d");
        let tokens: Vec<_> = parts.iter().flat_map(|part| rows(part.samples.dataset()).0).collect();
        assert!((0..5_000).all(|number| tokens[number][0] == [3, 2, 4][number % 3]), "{name}");
    }
}

#[test]
fn prediction_reads_files_and_arguments() {
    let long = "b ".repeat(40);
    let files = Files::new(&[("t.csv", LABELLED), ("n.txt", "a\n\nz\n"), ("n.csv", "id,text\n1,c\n")]);
    let config = classify(&files);
    let schema = open(&config, 0).unwrap().schema;
    let inputs = [files.uri("n.txt"), files.uri("n.csv"), "a d".to_string(), long];
    let (pipeline, names) = predicted(&config, &schema, &inputs).unwrap();
    let (tokens, targets) = rows(pipeline.dataset());
    assert_eq!(tokens, [[3, 0, 0], [1, 0, 0], [4, 0, 0], [3, 5, 0], [2, 2, 2]]);
    assert!(targets.is_empty());
    assert!(names[0].ends_with("n.txt:1") && names[1].ends_with("n.txt:3") && names[2].ends_with("n.csv:2"));
    assert_eq!(names[3], "a d");
    assert_eq!(names[4].chars().count(), 41);
    assert!(message(predicted(&config, &schema, &["gone.csv".into()])).contains("gone.csv"));
    assert!(message(predicted(&config, &schema, &[])).contains("no input"));
}

#[test]
fn class_folders_train_and_predict_by_file() {
    let files = Files::new(&[
        ("t/neg/1.txt", "bad\nthing"),
        ("t/pos/1.txt", "good thing"),
        ("e/pos/9.txt", "thing"),
        ("f/what/9.txt", "thing"),
    ]);
    let config = TextConfig { train: files.uri("t"), ..Default::default() };
    let opened = open(&config, 0).unwrap();
    assert_eq!(opened.schema.labels(), ["neg", "pos"]);
    let evaluate = |name| open_evaluation(&config, &opened.schema, Some(&files.uri(name)), 0);
    assert_eq!(rows(evaluate("e").unwrap().dataset()).1, [1]);
    assert!(message(evaluate("f")).contains("expected one of `neg`, `pos`, found `what`"));
    let inputs = [files.uri("t/neg/1.txt")];
    let (pipeline, names) = predicted(&config, &opened.schema, &inputs).unwrap();
    assert_eq!((pipeline.len(), &names[..]), (1, &inputs[..]));
}

#[test]
fn what_cannot_be_trained_on_is_an_error() {
    let files = Files::new(&[
        ("t.csv", LABELLED),
        ("one.csv", "label,text\na,x\na,y\n"),
        ("header.csv", "label,text\n"),
        ("e.csv", "label,text\neggs,x\n"),
        ("short.txt", "abc"),
    ]);
    let train = |name: &str| TextConfig { train: files.uri(name), ..Default::default() };
    assert!(message(open(&train("one.csv"), 0)).contains("at least two classes, found only `a`"));
    assert!(message(open(&train("header.csv"), 0)).contains("at least one text"));
    let test = TextConfig { test: Some(files.uri("e.csv")), ..train("t.csv") };
    assert!(message(open(&test, 0)).contains("line 2, label: expected one of `ham`, `spam`, found `eggs`"));
    let skip = TextConfig { on_corrupt: OnCorrupt::Skip, ..test };
    assert!(message(open(&skip, 0)).contains("at least one text with a known label"));
    let model = TextConfig { train: files.uri("short.txt"), max_tokens: 3, ..shakespeare() };
    assert!(message(open(&TextConfig { valid_fraction: 0.0, ..model.clone() }, 0)).contains("found 3"));
    let few = TextConfig { max_vocabulary: Some(2), ..model };
    assert!(message(open(&few, 0)).starts_with("data.max_vocabulary"));
    let never = TextConfig { min_count: 9, ..train("t.csv") };
    assert!(message(open(&never, 0)).contains("at least 9 times"));
}

#[test]
fn language_models_read_words_and_bytes() {
    let files = Files::new(&[("t.txt", "The cat sat. The cat ran. A dog ran")]);
    let model = |vocabulary| TextConfig {
        train: files.uri("t.txt"),
        max_tokens: 2,
        lowercase: true,
        vocabulary,
        ..shakespeare()
    };
    let words = open(&TextConfig { valid_fraction: 0.2, ..model(VocabularyKind::Word) }, 0).unwrap();
    // Of eleven tokens the last two validate, so that `dog` is unknown.
    assert_eq!(words.schema.tokenizer.symbols(), [".", "cat", "the", "a", "ran", "sat"]);
    assert_eq!(words.schema.len(), 7);
    let bytes = open(&model(VocabularyKind::Byte), 0).unwrap();
    assert_eq!(bytes.schema.len(), 256);
    assert_eq!(bytes.schema.decode(&bytes.schema.encode("Ünd").unwrap()), "ünd");
    let strided = open(&TextConfig { stride: Some(2), ..model(VocabularyKind::Byte) }, 0).unwrap();
    assert_eq!(strided.train.len(), bytes.train.len().div_ceil(2));
}

#[test]
fn characters_per_token_come_from_the_training_part() {
    let text = "Ein Ü, zwei  drei.\nÄ öä ab";
    let files = Files::new(&[("t.txt", text), ("t.csv", "label,text\na,Ü b c\nb,dd\n")]);
    let model = |vocabulary, valid_fraction| {
        let config = TextConfig { train: files.uri("t.txt"), max_tokens: 2, vocabulary, ..shakespeare() };
        open(&TextConfig { valid_fraction, ..config }, 0).unwrap().schema.characters_per_token
    };
    assert_eq!(model(VocabularyKind::Character, 0.3), 1.0);
    // 26 characters in 30 bytes; the first 18 bytes are `Ein Ü, zwei  drei`.
    assert_eq!(model(VocabularyKind::Byte, 0.0), 0.866666666667);
    assert_eq!(model(VocabularyKind::Byte, 0.4), 0.944444444444);
    // Nine tokens; the first six end before `Ä`, white space between included.
    assert_eq!(model(VocabularyKind::Word, 0.0), 2.88888888889);
    assert_eq!(model(VocabularyKind::Word, 1.0 / 3.0), 3.16666666667);
    let classify = |vocabulary| {
        let config = TextConfig { train: files.uri("t.csv"), vocabulary, ..Default::default() };
        let schema = open(&config, 0).unwrap().schema;
        let folder = tempfile::tempdir().unwrap();
        schema.save(folder.path()).unwrap();
        assert_eq!(TextSchema::load(folder.path()).unwrap(), schema);
        schema.characters_per_token
    };
    assert_eq!(classify(VocabularyKind::Word), 1.75);
    assert_eq!(classify(VocabularyKind::Byte), 0.875);
    assert_eq!(classify(VocabularyKind::Character), 1.0);
}

#[test]
fn a_label_of_its_own_for_every_text_is_no_class() {
    let lines: String = (0..70_000).map(|row| format!("l{row},t\n")).collect();
    let files = Files::new(&[("t.csv", &format!("label,text\n{lines}"))]);
    let error = message(open(&classify(&files), 0));
    assert!(error.contains("column `label`: expected at most 65536 classes"), "{error}");
    assert!(error.ends_with("is this column a class?"), "{error}");
}

#[test]
fn prediction_names_the_texts_it_skips_and_keeps_the_names_of_the_others() {
    let files = Files::new(&[("t.csv", LABELLED), ("n.jsonl", "{\"text\": 1}\n{\"text\": \"c\"}\n[]\n")]);
    let config = TextConfig { on_corrupt: OnCorrupt::Skip, ..classify(&files) };
    let schema = open(&config, 0).unwrap().schema;
    let inputs = [files.uri("n.jsonl"), "b".to_string()];
    let (pipeline, names) = predicted(&config, &schema, &inputs).unwrap();
    assert_eq!(rows(pipeline.dataset()).0, [[4], [2]]);
    assert!(names[0].ends_with("n.jsonl:2") && names[1] == "b", "{names:?}");
    let pieces = open_prediction(&config, &schema, &inputs).unwrap();
    let refused: usize = pieces.map(|piece| piece.unwrap().refused.len()).sum();
    assert_eq!((refused, pipeline.skipped().count()), (2, 0));
}

#[test]
fn sizes_are_checked_whatever_the_set_is_opened_for() {
    let files = Files::new(&[("t.csv", LABELLED)]);
    let schema = open(&classify(&files), 0).unwrap().schema;
    let config = TextConfig { workers: 1 << 30, ..classify(&files) };
    let expected = "data.workers: expected 0 to 256, found 1073741824";
    assert_eq!(message(open(&config, 0)), expected);
    assert_eq!(message(open_evaluation(&config, &schema, Some(&files.uri("t.csv")), 0)), expected);
    assert_eq!(message(predicted(&config, &schema, &["a".into()])), expected);
}

/// A run goes on with the labels and the vocabulary that it began with, or says how the texts differ.
#[test]
fn a_run_that_goes_on_keeps_its_labels_and_its_vocabulary() {
    let files = Files::new(&[("t.csv", LABELLED), ("t.txt", "one line\nand another line\n")]);
    let config = classify(&files);
    let opened = open(&config, 0).unwrap();
    let again = |text: &str| {
        std::fs::write(files.uri("t.csv"), text).unwrap();
        reopen(&config, 0, opened.schema.clone())
    };
    let same = again(LABELLED).unwrap();
    assert_eq!(same.schema, opened.schema);
    assert_eq!(rows(same.train.dataset()), rows(opened.train.dataset()));
    let uri = files.uri("t.csv");
    for (added, difference) in [
        ("eggs,a b\n", "classes that the run began with, `ham`, `spam`, found `eggs` new"),
        ("ham,toast\n", "tokens that the run began with, `b`, `a`, `c`, `d`, found `toast` new"),
        (
            "ham,a a a\n",
            "tokens that the run began with, `b`, `a`, `c`, `d`, found them in another order, `a` in place 1",
        ),
        (
            "ham,b d\n",
            "tokens that the run began with, `b`, `a`, `c`, `d`, found them in another order, `d` in place 2",
        ),
    ] {
        let error = message(again(&format!("{LABELLED}{added}")));
        assert_eq!(error, format!("{uri}: expected the {difference}"));
    }
    let error = message(again(&LABELLED.replace("a b", "a  b")));
    assert!(
        error.contains("expected the texts that the run began with, 1.66666666667 characters"),
        "{error}"
    );

    for vocabulary in [VocabularyKind::Character, VocabularyKind::Byte, VocabularyKind::Word] {
        let text = "one line\nand another line\n";
        std::fs::write(files.uri("t.txt"), text).unwrap();
        let model = TextConfig { train: files.uri("t.txt"), max_tokens: 2, vocabulary, ..shakespeare() };
        let model = TextConfig { valid_fraction: 0.0, ..model };
        let opened = open(&model, 0).unwrap();
        let again = |text: &str| {
            std::fs::write(files.uri("t.txt"), text).unwrap();
            reopen(&model, 0, opened.schema.clone())
        };
        let same = again(text).unwrap();
        assert_eq!(same.schema, opened.schema);
        assert_eq!(rows(same.train.dataset()), rows(opened.train.dataset()));
        let error = message(again(&format!("éé {text}")));
        assert!(error.contains("that the run began with"), "{error}");
    }
}
