use crate::records::split::told;
use crate::table::TargetKind;
use crate::text::{
    TextConfig, TextSchema, TextSet, VocabularyKind, open, open_evaluation, open_prediction, reopen,
};
use crate::{DataError, Dataset, Draw, OnCorrupt, Pipeline};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use bonfire_contract::Target;
use burn::tensor::Device;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::sync::Arc;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.0.path().join(name), text).unwrap();
        self.uri(name)
    }

    fn uri(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// A Parquet file of texts and labels, whose metadata name the classes as Hugging Face does.
    fn parquet(&self, name: &str, labels: ArrayRef, names: Option<&[&str]>) -> String {
        let texts = (0..labels.len()).map(|row| ["awful mess", "great fun"][row % 2]);
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let batch = RecordBatch::try_from_iter([("text", texts), ("label", labels)]).unwrap();
        let metadata = names.map(|names| {
            let feature = serde_json::json!({"names": names, "_type": "ClassLabel"});
            let value = serde_json::json!({"info": {"features": {"label": feature}}}).to_string();
            vec![KeyValue::new("huggingface".to_string(), value)]
        });
        let properties = WriterProperties::builder().set_key_value_metadata(metadata).build();
        let file = std::fs::File::create(self.0.path().join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        self.uri(name)
    }
}

fn config(train: String) -> TextConfig {
    TextConfig { train, workers: 0, ..TextConfig::default() }
}

fn message<T>(result: Result<T, DataError>) -> String {
    result.map(drop).unwrap_err().to_string()
}

/// The targets of a set, as numbers; `classes` or `values`.
fn targets(set: &TextSet) -> (&'static str, Vec<f32>) {
    let samples = (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
    match set.collate(samples, &Device::flex()).1 {
        Target::Classes(classes) => ("classes", classes.into_data().iter().collect()),
        Target::Values(values) => {
            assert_eq!(values.dims()[1], 1);
            ("values", values.into_data().iter().collect())
        }
        _ => ("none", Vec::new()),
    }
}

fn csv(labels: &[&str]) -> String {
    let rows: String =
        labels.iter().enumerate().map(|(row, label)| format!("{label},word{}\n", row % 3)).collect();
    format!("label,text\n{rows}")
}

/// Texts labelled -4.0 to 4.0 are values, by the rule of tables.
#[test]
fn labels_of_many_numbers_are_values() {
    let folder = Folder::new();
    let fractions = csv(&["-4.0", "1.5", "0.25", "2.25"]);
    let opened = open(&config(folder.write("t.csv", &fractions)), 0).unwrap();
    // By numpy: mean 0 and standard deviation sqrt(5.84375) of the four numbers.
    let (mean, std) = opened.schema.value.unwrap();
    assert_eq!((mean, std), (0.0, 2.41738495073));
    assert!(opened.schema.labels().is_empty());
    let (kind, values) = targets(opened.train.dataset());
    let expected = [-4.0, 1.5, 0.25, 2.25].map(|value: f64| (value / std) as f32);
    assert_eq!((kind, values), ("values", expected.to_vec()));
    assert!(opened.schema.to_string().contains("target: label, a value, mean 0.000000"), "{}", opened.schema);
    assert!(opened.schema.to_string().contains("-4 to 2.25"), "{}", opened.schema);

    let few = csv(&["1", "5", "3", "5"]);
    let few = open(&config(folder.write("few.csv", &few)), 0).unwrap();
    assert_eq!(few.schema.labels(), ["1", "3", "5"]);
    let many: Vec<String> = (0..21).map(|number| number.to_string()).collect();
    let many = csv(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let many = config(folder.write("many.csv", &many));
    assert!(open(&many, 0).unwrap().schema.value.is_some());
    let class = TextConfig { target_kind: Some(TargetKind::Class), ..many };
    assert_eq!(open(&class, 0).unwrap().schema.labels().len(), 21);
    let words = config(folder.write("words.csv", &csv(&["1", "2", "x"])));
    let value = TextConfig { target_kind: Some(TargetKind::Value), ..words };
    let error = message(open(&value, 0));
    assert!(error.ends_with("line 4, column `label`: expected a number, found `x`"), "{error}");
    let skipping = TextConfig { on_corrupt: OnCorrupt::Skip, ..value };
    let opened = open(&skipping, 0).unwrap();
    assert_eq!((opened.train.dataset().len(), opened.train.dataset().skipped()), (2, 1));
}

#[test]
fn a_run_of_values_reads_values_and_goes_on() {
    let folder = Folder::new();
    let config = config(folder.write("t.csv", &csv(&["-4.0", "1.5", "0.25", "2.25"])));
    let schema = open(&config, 0).unwrap().schema;
    let kept = tempfile::tempdir().unwrap();
    schema.save(kept.path()).unwrap();
    assert_eq!(TextSchema::load(kept.path()).unwrap(), schema);
    let whole = folder.write("whole.csv", &csv(&["1", "2"]));
    let (kind, values) = targets(open_evaluation(&config, &schema, Some(&whole), 0).unwrap().dataset());
    assert_eq!(
        (kind, values),
        ("values", [1.0, 2.0].map(|value: f64| (value / 2.41738495073) as f32).to_vec())
    );
    let word = folder.write("word.csv", &csv(&["1", "good"]));
    let error = message(open_evaluation(&config, &schema, Some(&word), 0));
    assert!(error.ends_with("line 3, label: expected a number, found `good`"), "{error}");
    assert!(reopen(&config, 0, schema.clone()).is_ok());
    folder.write("t.csv", &csv(&["-4.0", "1.5", "0.25", "2.5"]));
    let error = message(reopen(&config, 0, schema));
    assert!(error.contains("expected the labels that the run began with, mean 0, "), "{error}");
}

/// One value has one class, in whatever spelling, of training texts and of others.
#[test]
fn spellings_of_a_label_are_one_class() {
    let folder = Folder::new();
    let mixed = config(folder.write("t.csv", &csv(&["1", "1.0", "0", "0.0", "1"])));
    let opened = open(&mixed, 0).unwrap();
    assert_eq!(opened.schema.labels(), ["0", "1"]);
    assert_eq!(targets(opened.train.dataset()).1, [1.0, 1.0, 0.0, 0.0, 1.0]);
    let truth = config(folder.write("truth.csv", &csv(&["True", "false", "true", "False"])));
    assert_eq!(open(&truth, 0).unwrap().schema.labels(), ["false", "true"]);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 0.0]));
    let floats = folder.parquet("floats.parquet", floats, None);
    let evaluated = open_evaluation(&mixed, &opened.schema, Some(&floats), 0).unwrap();
    assert_eq!(targets(evaluated.dataset()).1, [1.0, 0.0]);
}

/// A run of an earlier version has a class for each spelling, and goes on with them.
#[test]
fn labels_of_an_earlier_run_are_matched_as_they_were() {
    let folder = Folder::new();
    let config = config(folder.write("t.csv", &csv(&["1", "1.0", "2.50", "1"])));
    let classes = TextConfig { target_kind: Some(TargetKind::Class), ..config.clone() };
    let schema = open(&classes, 0).unwrap().schema;
    let labels = ["1.0", "1", "2.50"].map(String::from).to_vec();
    let earlier = TextSchema { labels, class_names: false, summary: None, ..schema };
    // The recipe of that run says nothing of the target's kind, and the labels are no values for that.
    let again = reopen(&config, 0, earlier.clone()).unwrap();
    assert_eq!(again.schema.labels, ["1.0", "1", "2.50"]);
    assert_eq!(targets(again.train.dataset()).1, [1.0, 0.0, 2.0, 1.0]);
    let alone = TextSchema { labels: ["1.0", "2.50"].map(String::from).to_vec(), ..earlier };
    let again = reopen(&config, 0, alone).unwrap();
    assert_eq!(targets(again.train.dataset()).1, [0.0, 0.0, 1.0, 0.0]);
}

/// As `datasets` writes them; -1 is a label that nobody knows.
#[test]
fn numbers_with_names_in_parquet_are_classes_of_these_names() {
    let folder = Folder::new();
    let numbers = |labels: &[i64]| -> ArrayRef { Arc::new(Int64Array::from(labels.to_vec())) };
    let names: Option<&[&str]> = Some(&["negative", "positive"]);
    let train = folder.parquet("train.parquet", numbers(&[0, 1, 0, 1]), names);
    let test = folder.parquet("test.parquet", numbers(&[-1, 1, -1]), names);
    for stream in [false, true] {
        let config = TextConfig { stream: Some(stream), ..config(train.clone()) };
        let opened = open(&config, 0).unwrap();
        assert_eq!(opened.schema.labels(), ["negative", "positive"]);
        assert_eq!(targets(opened.train.dataset()).1, [0.0, 1.0, 0.0, 1.0]);
        let error = message(open_evaluation(
            &TextConfig { stream: None, ..config.clone() },
            &opened.schema,
            Some(&test),
            0,
        ));
        assert!(error.ends_with("row 1: expected a label under `label`, found none"), "{error}");
        let skip = TextConfig { on_corrupt: OnCorrupt::Skip, stream: None, ..config.clone() };
        let evaluated = open_evaluation(&skip, &opened.schema, Some(&test), 0).unwrap();
        assert_eq!((targets(evaluated.dataset()).1, evaluated.dataset().skipped()), (vec![1.0], 2));
        // Texts to predict need no label.
        let parts = open_prediction(&config, &opened.schema, std::slice::from_ref(&test)).unwrap();
        assert_eq!(parts.map(|part| part.unwrap().samples.dataset().len()).sum::<u64>(), 3);
    }
    let plain = TextConfig { class_names: false, ..config(train.clone()) };
    let schema = open(&plain, 0).unwrap().schema;
    assert_eq!(schema.labels(), ["0", "1"]);
    // A run of an earlier version has the numbers as its labels, whatever its recipe says of names.
    let earlier = TextSchema { class_names: false, summary: None, ..schema };
    let again = reopen(&config(train), 0, earlier.clone()).unwrap();
    assert_eq!(targets(again.train.dataset()).1, [0.0, 1.0, 0.0, 1.0]);
    let known = folder.parquet("known.parquet", numbers(&[1, 0]), names);
    let evaluated = open_evaluation(&config(known.clone()), &earlier, Some(&known), 0).unwrap();
    assert_eq!(targets(evaluated.dataset()).1, [1.0, 0.0]);
}

#[test]
fn names_of_folders_are_classes_whatever_they_are() {
    let folder = Folder::new();
    for class in 0..22 {
        let name = format!("t/{class}");
        std::fs::create_dir_all(folder.uri(&name)).unwrap();
        folder.write(&format!("{name}/a.txt"), "some words");
    }
    let schema = open(&config(folder.uri("t")), 0).unwrap().schema;
    assert_eq!(schema.labels().len(), 22);
}

#[test]
fn a_label_of_its_own_for_every_text_is_refused_by_its_keys() {
    let folder = Folder::new();
    let names: Vec<String> = (0..30).map(|row| format!("id{row}")).collect();
    let own = config(folder.write("t.csv", &csv(&names.iter().map(String::as_str).collect::<Vec<_>>())));
    let error = message(open(&own, 0));
    assert!(error.contains("column `label`: expected a label that texts share"), "{error}");
    assert!(
        error.contains("data.label_column") && error.ends_with("one of its own for each of 30 texts"),
        "{error}"
    );
    assert!(open(&TextConfig { target_kind: Some(TargetKind::Class), ..own }, 0).is_ok());
    let shared: Vec<&str> = names.iter().map(String::as_str).chain(["id0"; 5]).collect();
    let schema = open(&config(folder.write("s.csv", &csv(&shared))), 0).unwrap().schema;
    assert!(schema.to_string().contains("warning: 30 classes of 35 texts"), "{schema}");
}

#[test]
fn the_training_texts_are_told_in_numbers() {
    let folder = Folder::new();
    let text = "label,text\nspam,b b c d\nham,a b\nham,\nham,a b\neggs,b\n";
    let config = TextConfig { max_tokens: 3, min_count: 2, ..config(folder.write("t.csv", text)) };
    let opened = open(&config, 0).unwrap();
    let expected = "5 training texts, 0 texts skipped as corrupt\n\
                    target: label, 3 classes: ham 3, eggs 1, spam 1\n\
                    texts: 1.8 words each, at most 4; data.max_tokens of 3 cuts 1 of them (20.0 %)\n\
                    vocabulary: 2 of 4 different words, the commonest\n\
                    empty: 1 texts\n\
                    duplicates: 1 texts are also there before\n";
    assert_eq!(opened.schema.to_string(), expected);
    let streamed = open(&TextConfig { stream: Some(true), ..config.clone() }, 0).unwrap().schema;
    assert_eq!(streamed.summary, opened.schema.summary);
    // A class that is held out whole is named.
    let rare: Vec<&str> = ["a", "b"].into_iter().cycle().take(40).chain(["rare"]).collect();
    let rare = TextConfig {
        valid_fraction: 0.5,
        stratify: Some(false),
        ..self::config(folder.write("r.csv", &csv(&rare)))
    };
    let told = (0..20).flat_map(|seed| told(&rare.train, || _ = open(&rare, seed).unwrap()));
    let lost = "1 class without a training sample, which no model learns: `rare` (1 sample)";
    assert!(told.into_iter().any(|line| line == lost));
    let kept = tempfile::tempdir().unwrap();
    opened.schema.save(kept.path()).unwrap();
    assert_eq!(TextSchema::load(kept.path()).unwrap().to_string(), expected);
}

#[test]
fn many_classes_are_told_by_the_commonest() {
    let folder = Folder::new();
    let labels: Vec<String> = (0..12).flat_map(|class| vec![format!("c{class:02}"); 20 - class]).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let schema = open(&config(folder.write("t.csv", &csv(&labels))), 0).unwrap().schema;
    let told = schema.to_string();
    assert!(
        told.contains("12 classes: c00 20, c01 19, ") && told.contains(", and 2 others of 9 to 10 texts\n"),
        "{told}"
    );
}

/// Values of texts that are read by blocks have the mean and deviation of those in memory.
#[test]
fn streamed_values_are_the_held_ones() {
    let folder = Folder::new();
    let labels: Vec<String> = (0..100).map(|row| format!("{}", f64::from(row) * 0.37 - 4.0)).collect();
    let config = config(folder.write("t.csv", &csv(&labels.iter().map(String::as_str).collect::<Vec<_>>())));
    let held = open(&config, 1).unwrap();
    let streamed = open(&TextConfig { stream: Some(true), window_bytes: 400, ..config }, 1).unwrap();
    assert_eq!(TextSchema { streamed: None, ..streamed.schema }, held.schema);
    assert_eq!(targets(streamed.train.dataset()), targets(held.train.dataset()));
}

fn ngrams(train: String) -> TextConfig {
    TextConfig { vocabulary: VocabularyKind::Ngrams, ..config(train) }
}

#[test]
fn a_run_of_ngrams_goes_on_with_its_features_or_says_how_texts_differ() {
    let folder = Folder::new();
    let text = "label,text\na,one two\nb,two one\na,one two three\n";
    let config = ngrams(folder.write("t.csv", text));
    let opened = open(&config, 0).unwrap();
    assert_eq!(opened.schema.tokenizer.symbols()[..2], ["one", "two"]);
    let kept = tempfile::tempdir().unwrap();
    opened.schema.save(kept.path()).unwrap();
    let schema = TextSchema::load(kept.path()).unwrap();
    assert_eq!(schema, opened.schema);
    let ngrams = schema.ngrams.as_ref().unwrap();
    assert_eq!((ngrams.documents, &ngrams.frequencies[..]), (3, &[3, 3, 2, 1, 1, 1][..]));
    assert!(reopen(&config, 0, schema.clone()).is_ok());
    folder.write("t.csv", &text.replace("three", "four"));
    assert!(message(reopen(&config, 0, schema)).contains("tokens that the run began with"));
}

#[test]
fn ngrams_that_are_read_by_blocks_are_the_held_ones() {
    let folder = Folder::new();
    let rows: String =
        (0..200).map(|row| format!("{},word{} and word{}\n", row % 2, row % 7, row % 11)).collect();
    let uri = folder.write("t.csv", &format!("label,text\n{rows}"));
    for config in [
        ngrams(uri.clone()),
        TextConfig { hash_buckets: 64, ..ngrams(uri.clone()) },
        TextConfig { max_vocabulary: Some(9), min_count: 3, valid_fraction: 0.0, ..ngrams(uri.clone()) },
    ] {
        let held = open(&config, 1).unwrap();
        let streamed = open(&TextConfig { stream: Some(true), window_bytes: 900, ..config }, 1).unwrap();
        assert_eq!(TextSchema { streamed: None, ..streamed.schema.clone() }, held.schema);
        let all = |pipeline: &Pipeline<TextSet>| -> Vec<_> {
            let set = pipeline.dataset();
            (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect()
        };
        assert_eq!(all(&streamed.train), all(&held.train));
    }
}
