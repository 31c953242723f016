//! Opening texts: for training, evaluation and prediction.

use super::config::{TextConfig, TextTask};
use super::reader::{self, Text, Texts};
use super::schema::{TextSchema, specials};
use super::set::TextSet;
use super::stream::Stream;
use super::vocabulary::{Counter, Vocabulary, VocabularyKind};
use crate::table::columns::sort_labels;
use crate::table::encode::{quoted, shortened};
use crate::table::split;
use crate::{DataError, OnCorrupt, Opened, Pipeline, PipelineConfig, Split, source};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// Reads the training texts, makes the vocabulary, and splits off what the recipe asks for: at
/// random with `seed` when classifying, from the tail of the file for language models.
///
/// # Errors
/// When the recipe does not fit the data, or the data cannot be read.
pub fn open(config: &TextConfig, seed: u64) -> Result<Opened<TextSet, TextSchema>, DataError> {
    config.check()?;
    match config.task {
        TextTask::Classify => open_classify(config, seed),
        TextTask::LanguageModel => open_language_model(config, seed),
    }
}

/// Reads texts to evaluate on: `uri`, or the recipe's test set, or else its validation set, split
/// off in the same way as by [`open`].
///
/// # Errors
/// When the recipe has neither, or the data cannot be read.
pub fn open_evaluation(
    config: &TextConfig,
    schema: &TextSchema,
    uri: Option<&str>,
    seed: u64,
) -> Result<Pipeline<TextSet>, DataError> {
    let config = &as_trained(config, schema);
    let file = match (uri, &config.test, &config.valid) {
        (Some(uri), _, _) => Some(uri),
        (None, Some(uri), _) => Some(uri.as_str()),
        (None, None, Some(uri)) if config.test_fraction == 0.0 => Some(uri.as_str()),
        _ => None,
    };
    if file.is_none() && config.test_fraction == 0.0 && config.valid_fraction == 0.0 {
        return Err(DataError::config("test", "a test or validation set to evaluate on", "neither"));
    }
    split::check(config.valid_fraction, config.test_fraction)?;
    let set = match (file, config.task) {
        (Some(uri), TextTask::Classify) => labelled_file(uri, config, schema)?,
        (Some(uri), TextTask::LanguageModel) => evaluation_file(uri, config, schema)?,
        (None, TextTask::Classify) => {
            let texts = reader::read(&config.train, config, schema.whole_files, true)?;
            let split = split_texts(&texts, config, seed)?;
            let rows = if split.test.is_empty() { split.valid } else { split.test };
            labelled(&texts.texts, &rows, config, schema, 0)?
        }
        (None, TextTask::LanguageModel) => {
            let corpus = reader::read_corpus(&config.train, config)?;
            let stream = encode_corpus(&config.train, &corpus, schema)?;
            let [_, valid, test] = cut(stream.len(), config)?;
            let range = if test.is_empty() { valid } else { test };
            evaluation_windows(&config.train, stream, range, schema)?
        }
    };
    Ok(Pipeline::new(set, in_order(config, seed)))
}

/// Reads texts to classify. Each input is a file of texts (`.txt`, `.csv`, `.jsonl`), a folder of
/// them or, where there is no such file, itself the text. The strings name each text: `sms.csv:17`,
/// or the beginning of the argument.
///
/// # Errors
/// When there is no input, a file cannot be read, or the model generates text instead.
pub fn open_prediction(
    config: &TextConfig,
    schema: &TextSchema,
    inputs: &[String],
) -> Result<(Pipeline<TextSet>, Vec<String>), DataError> {
    if schema.task == TextTask::LanguageModel {
        let expected = "a model that classifies texts";
        return Err(DataError::source("predict", expected, "a language model, which continues a prompt"));
    }
    let config = as_trained(config, schema);
    let (mut texts, mut names, mut skipped) = (Vec::new(), Vec::new(), 0);
    for input in inputs {
        if !names_file(input) {
            names.push(shortened(input));
            texts.push(schema.encode_first(input, schema.max_tokens, "text", 1)?);
            continue;
        }
        // The recipe's format is the training file's; texts to predict may come in another.
        let format = if reader::is_text_file(input) { None } else { config.format };
        let read = reader::read(input, &TextConfig { format, ..config.clone() }, schema.whole_files, false)?;
        skipped += read.skipped;
        for text in &read.texts {
            names.push(text.place());
            texts.push(encode_text(text, schema)?);
        }
    }
    if texts.is_empty() {
        return Err(DataError::source("predict", "at least one text", "no input"));
    }
    let set = TextSet::texts(schema.len(), &texts, None, skipped);
    Ok((Pipeline::new(set, in_order(&config, 0)), names))
}

/// Whether an argument means a file: one is there, or it is one word that ends like one.
fn names_file(input: &str) -> bool {
    let like_file = !input.contains(char::is_whitespace) && reader::is_text_file(input);
    like_file || input.starts_with("builtin:") || source::list(input).is_ok()
}

fn open_classify(config: &TextConfig, seed: u64) -> Result<Opened<TextSet, TextSchema>, DataError> {
    let whole_files = reader::has_whole_files(&config.train, config)?;
    let texts = reader::read(&config.train, config, whole_files, true)?;
    let split = split_texts(&texts, config, seed)?;
    let mut counter = Counter::new(config.vocabulary);
    for &index in &split.train {
        let text = &texts.texts[index as usize].text;
        match config.lowercase {
            true => counter.add(&text.to_lowercase(), usize::MAX),
            false => counter.add(text, usize::MAX),
        }
    }
    let symbols = counter.frequent(config.min_count, config.max_vocabulary);
    let schema = TextSchema { labels: labels(&texts, config)?, whole_files, ..new_schema(config, symbols)? };
    let train = labelled(&texts.texts, &split.train, config, &schema, texts.skipped)?;
    let part = |uri: &Option<String>, rows: &[u64]| -> Result<Option<Pipeline<TextSet>>, DataError> {
        let set = match uri {
            Some(uri) => labelled_file(uri, config, &schema)?,
            None if rows.is_empty() => return Ok(None),
            None => labelled(&texts.texts, rows, config, &schema, 0)?,
        };
        Ok(Some(Pipeline::new(set, in_order(config, seed))))
    };
    let valid = part(&config.valid, &split.valid)?;
    let test = part(&config.test, &split.test)?;
    Ok(Opened { train: Pipeline::new(train, shuffled(config, seed)), valid, test, schema })
}

fn open_language_model(config: &TextConfig, seed: u64) -> Result<Opened<TextSet, TextSchema>, DataError> {
    let uri = &config.train;
    let mut corpus = reader::read_corpus(uri, config)?;
    if config.lowercase {
        corpus = corpus.to_lowercase();
    }
    let mut counter = Counter::new(config.vocabulary);
    let symbols = match config.vocabulary {
        VocabularyKind::Byte => Vec::new(),
        // The symbols of the whole file, as nanoGPT takes them: a character that only the tail has
        // could not be spelled otherwise.
        VocabularyKind::Character => {
            counter.add(&corpus, usize::MAX);
            let symbols = counter.sorted();
            if let Some(most) = config.max_vocabulary.filter(|&most| most < symbols.len()) {
                let expected = format!("none, or at least the {} characters of {uri}", symbols.len());
                return Err(DataError::config("max_vocabulary", expected, most));
            }
            symbols
        }
        VocabularyKind::Word => {
            let [train, ..] = cut(Counter::num_words(&corpus), config)?;
            counter.add(&corpus, train.len());
            counter.frequent(config.min_count, config.max_vocabulary)
        }
    };
    let schema = new_schema(config, symbols)?;
    let stream = encode_corpus(uri, &corpus, &schema)?;
    drop(corpus);
    let [train, valid, test] = cut(stream.len(), config)?;
    let tokens = train.len();
    let stride = config.stride.unwrap_or(1);
    let train = TextSet::training_windows(Arc::clone(&stream), train, schema.max_tokens, stride);
    let train = train.ok_or_else(|| {
        let expected = format!("more than {} training tokens (data.max_tokens)", schema.max_tokens);
        DataError::source(uri, expected, tokens)
    })?;
    let part = |file: &Option<String>, range: Range<usize>| -> Result<Option<Pipeline<TextSet>>, DataError> {
        let set = match file {
            Some(file) => evaluation_file(file, config, &schema)?,
            None if range.is_empty() => return Ok(None),
            None => evaluation_windows(uri, Arc::clone(&stream), range, &schema)?,
        };
        Ok(Some(Pipeline::new(set, in_order(config, seed))))
    };
    let valid = part(&config.valid, valid)?;
    let test = part(&config.test, test)?;
    Ok(Opened { train: Pipeline::new(train, shuffled(config, seed)), valid, test, schema })
}

/// A schema of these symbols, without labels.
fn new_schema(config: &TextConfig, symbols: Vec<String>) -> Result<TextSchema, DataError> {
    let specials = specials(config.task, config.vocabulary);
    if symbols.is_empty() && config.vocabulary != VocabularyKind::Byte {
        let expected = format!("texts with a token that occurs at least {} times", config.min_count);
        return Err(DataError::source(&config.train, expected, "none"));
    }
    // Counted symbols are distinct and of the vocabulary's kind, so this never fails.
    let vocabulary = Vocabulary::new(config.vocabulary, specials, symbols)
        .ok_or_else(|| DataError::source(&config.train, "distinct symbols", "one twice"))?;
    Ok(TextSchema {
        task: config.task,
        vocabulary,
        lowercase: config.lowercase,
        max_tokens: config.max_tokens,
        text_column: config.text_column.clone(),
        label_column: config.label_column.clone(),
        whole_files: false,
        labels: Vec::new(),
    })
}

/// The recipe, with what the schema fixed in training.
fn as_trained(config: &TextConfig, schema: &TextSchema) -> TextConfig {
    TextConfig {
        task: schema.task,
        text_column: schema.text_column.clone(),
        label_column: schema.label_column.clone(),
        ..config.clone()
    }
}

/// The distinct labels of the training file, whatever part they fall into.
fn labels(texts: &Texts, config: &TextConfig) -> Result<Vec<String>, DataError> {
    let distinct: BTreeSet<&String> = texts.texts.iter().filter_map(|text| text.label.as_ref()).collect();
    let mut labels: Vec<String> = distinct.into_iter().cloned().collect();
    sort_labels(&mut labels);
    match labels.as_slice() {
        [] => Err(DataError::source(&config.train, "at least two classes", "no label")),
        [only] => Err(DataError::source(&config.train, "at least two classes", format!("only `{only}`"))),
        _ => Ok(labels),
    }
}

fn split_texts(texts: &Texts, config: &TextConfig, seed: u64) -> Result<Split, DataError> {
    let (valid, test) = fractions(config);
    split::random(texts.texts.len(), valid, test, seed)
}

/// The fractions to cut off: none where a file is given.
fn fractions(config: &TextConfig) -> (f64, f64) {
    let fraction = |uri: &Option<String>, fraction| if uri.is_some() { 0.0 } else { fraction };
    (fraction(&config.valid, config.valid_fraction), fraction(&config.test, config.test_fraction))
}

/// Encodes labelled texts. Those of an unknown label are errors, or skipped and counted on top of
/// `skipped`.
fn labelled(
    texts: &[Text],
    rows: &[u64],
    config: &TextConfig,
    schema: &TextSchema,
    mut skipped: u64,
) -> Result<TextSet, DataError> {
    let classes: HashMap<&str, u32> = schema.labels.iter().map(String::as_str).zip(0..).collect();
    let mut encoded = Vec::with_capacity(rows.len());
    let mut targets = Vec::with_capacity(rows.len());
    for text in rows.iter().map(|&row| &texts[row as usize]) {
        let label = text.label.as_deref().unwrap_or_default();
        match classes.get(label) {
            Some(&class) => {
                encoded.push(encode_text(text, schema)?);
                targets.push(class);
            }
            None if config.on_corrupt == OnCorrupt::Skip => skipped += 1,
            None => {
                let place = text.line.map_or("label".to_string(), |line| format!("line {line}, label"));
                let expected = format!("one of {}", quoted(&schema.labels));
                let found = format!("`{}`", shortened(label));
                return Err(DataError::malformed(&text.uri, place, expected, found));
            }
        }
    }
    match (encoded.is_empty(), rows.first()) {
        (true, Some(&row)) => {
            Err(DataError::source(&texts[row as usize].uri, "at least one text with a known label", "none"))
        }
        _ => Ok(TextSet::texts(schema.len(), &encoded, Some(targets), skipped)),
    }
}

fn labelled_file(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let texts = reader::read(uri, config, schema.whole_files, true)?;
    let rows: Vec<u64> = (0..texts.texts.len() as u64).collect();
    labelled(&texts.texts, &rows, config, schema, texts.skipped)
}

/// The parts of a long text: training, validation, test.
fn cut(len: usize, config: &TextConfig) -> Result<[Range<usize>; 3], DataError> {
    let (valid, test) = fractions(config);
    split::tail(len, valid, test)
}

fn encode_corpus(uri: &str, corpus: &str, schema: &TextSchema) -> Result<Arc<Stream>, DataError> {
    let mut stream = Stream::new(schema.len());
    // Line by line, so that the wide ids of the whole text never exist at once. No token of any
    // kind spans a line break.
    for (line, text) in (1..).zip(corpus.split_inclusive('\n')) {
        stream.extend(&schema.encode_first(text, usize::MAX, uri, line)?);
    }
    Ok(Arc::new(stream))
}

fn encode_text(text: &Text, schema: &TextSchema) -> Result<Vec<u32>, DataError> {
    schema.encode_first(&text.text, schema.max_tokens, &text.uri, text.line.unwrap_or(1))
}

fn evaluation_file(uri: &str, config: &TextConfig, schema: &TextSchema) -> Result<TextSet, DataError> {
    let corpus = reader::read_corpus(uri, config)?;
    let stream = encode_corpus(uri, &corpus, schema)?;
    let range = 0..stream.len();
    evaluation_windows(uri, stream, range, schema)
}

fn evaluation_windows(
    uri: &str,
    stream: Arc<Stream>,
    range: Range<usize>,
    schema: &TextSchema,
) -> Result<TextSet, DataError> {
    let tokens = range.len();
    TextSet::evaluation_windows(stream, range, schema.max_tokens)
        .ok_or_else(|| DataError::source(uri, "at least two tokens to evaluate on", tokens))
}

fn shuffled(config: &TextConfig, seed: u64) -> PipelineConfig {
    PipelineConfig { shuffle: Some(seed), ..in_order(config, seed) }
}

fn in_order(config: &TextConfig, seed: u64) -> PipelineConfig {
    PipelineConfig { shuffle: None, seed, on_corrupt: config.on_corrupt, workers: config.workers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
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
        let samples = (0..set.len()).map(|index| set.sample(index, 0).unwrap()).collect();
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
        let first = opened.train.dataset().sample(0, 0).unwrap();
        let second = opened.train.dataset().sample(1, 0).unwrap();
        assert_ne!(first, second);
        let batch = opened.train.batches(Default::default(), 12, &Device::flex()).next().unwrap().unwrap();
        assert_eq!(batch.input.tokens.dims(), [12, 64]);
        let folder = tempfile::tempdir().unwrap();
        opened.schema.save(folder.path()).unwrap();
        let schema = TextSchema::load(folder.path()).unwrap();
        assert_eq!(schema, opened.schema);
        let again = open_evaluation(&config, &schema, None, 1).unwrap();
        let last = valid.len() - 1;
        assert_eq!(again.dataset().sample(last, 0).unwrap(), valid.dataset().sample(last, 0).unwrap());
        let inputs = ["x".to_string()];
        assert!(message(open_prediction(&config, &schema, &inputs)).contains("continues a prompt"));
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

    #[test]
    fn prediction_reads_files_and_arguments() {
        let long = "b ".repeat(40);
        let files = Files::new(&[("t.csv", LABELLED), ("n.txt", "a\n\nz\n"), ("n.csv", "id,text\n1,c\n")]);
        let config = classify(&files);
        let schema = open(&config, 0).unwrap().schema;
        let inputs = [files.uri("n.txt"), files.uri("n.csv"), "a d".to_string(), long];
        let (pipeline, names) = open_prediction(&config, &schema, &inputs).unwrap();
        let (tokens, targets) = rows(pipeline.dataset());
        assert_eq!(tokens, [[3, 0, 0], [1, 0, 0], [4, 0, 0], [3, 5, 0], [2, 2, 2]]);
        assert!(targets.is_empty());
        assert!(
            names[0].ends_with("n.txt:1") && names[1].ends_with("n.txt:3") && names[2].ends_with("n.csv:2")
        );
        assert_eq!(names[3], "a d");
        assert_eq!(names[4].chars().count(), 41);
        assert!(message(open_prediction(&config, &schema, &["gone.csv".into()])).contains("gone.csv"));
        assert!(message(open_prediction(&config, &schema, &[])).contains("no input"));
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
        let (pipeline, names) = open_prediction(&config, &opened.schema, &inputs).unwrap();
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
        assert!(
            message(open(&test, 0)).contains("line 2, label: expected one of `ham`, `spam`, found `eggs`")
        );
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
        assert_eq!(words.schema.vocabulary.symbols(), [".", "cat", "the", "a", "ran", "sat"]);
        assert_eq!(words.schema.len(), 7);
        let bytes = open(&model(VocabularyKind::Byte), 0).unwrap();
        assert_eq!(bytes.schema.len(), 256);
        assert_eq!(bytes.schema.decode(&bytes.schema.encode("Ünd").unwrap()), "ünd");
        let strided = open(&TextConfig { stride: Some(2), ..model(VocabularyKind::Byte) }, 0).unwrap();
        assert_eq!(strided.train.len(), bytes.train.len().div_ceil(2));
    }
}
