use super::*;
use crate::text::{NgramUnit, TextConfig, VocabularyKind, open, open_prediction, records};
use bonfire_contract::Loader;

const TRAIN: &str = "label,text\na,The cat sat on the mat\nb,the dog sat\na,cat and dog and cat\nb,\n";
const QUERY: &str = "the cat and the bird sat and sat";

fn config(folder: &std::path::Path) -> TextConfig {
    std::fs::write(folder.join("t.csv"), TRAIN).unwrap();
    TextConfig {
        train: folder.join("t.csv").display().to_string(),
        vocabulary: VocabularyKind::Ngrams,
        lowercase: true,
        workers: 0,
        ..TextConfig::default()
    }
}

/// The n-grams of a text with their weights, by text.
fn weighed(config: &TextConfig, text: &str) -> (usize, Vec<(String, f32)>) {
    let schema = open(config, 0).unwrap().schema;
    let asked = records(config, &schema, &[(0, text.to_string())]).unwrap();
    let set = BagSet::of(asked.samples, schema.weigher().unwrap());
    let BagSample { features, weights, .. } = set.dataset().sample(0, Draw::default()).unwrap();
    let symbols = schema.tokenizer.symbols();
    let mut named: Vec<(String, f32)> =
        features.iter().map(|&feature| symbols[feature as usize].clone()).zip(weights).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    (schema.len(), named)
}

fn assert_weights(found: &[(String, f32)], expected: &[(&str, f32)]) {
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.0 == expected.0 && (found.1 - expected.1).abs() < 1e-6,
            "{found:?} is not {expected:?}"
        );
    }
}

/// The values are those of `TfidfVectorizer(ngram_range=(1, 2))`, with `sublinear_tf=True`, and with
/// `analyzer="char", ngram_range=(3, 5)`, fitted to the same four texts (scikit-learn 1.9.1).
#[test]
fn weights_are_those_of_scikit_learn() {
    let folder = tempfile::tempdir().unwrap();
    let words = config(folder.path());
    let (features, found) = weighed(&words, QUERY);
    let expected = [
        ("and", 0.5873637),
        ("cat", 0.2315421),
        ("cat and", 0.2936818),
        ("sat", 0.4630843),
        ("the", 0.4630843),
        ("the cat", 0.2936818),
    ];
    assert_eq!((features, found.len()), (18, 6));
    assert_weights(&found, &expected);
    let (_, found) = weighed(&TextConfig { sublinear_tf: true, ..words.clone() }, QUERY);
    let expected = [
        ("and", 0.5627516),
        ("cat", 0.2620444),
        ("cat and", 0.3323701),
        ("sat", 0.4436798),
        ("the", 0.4436798),
        ("the cat", 0.3323701),
    ];
    assert_weights(&found, &expected);
    let characters = TextConfig { ngram_unit: NgramUnit::Character, ngrams: [3, 5], ..words };
    let (features, found) = weighed(&characters, QUERY);
    let expected = [
        (" an", 0.2280827),
        (" and", 0.2280827),
        (" and ", 0.2280827),
        (" ca", 0.0899115),
        (" cat", 0.0899115),
        (" cat ", 0.1140413),
    ];
    assert_eq!((features, found.len()), (101, 35));
    assert_weights(&found, &expected);
    let sum: f64 = found.iter().map(|(_, weight)| f64::from(*weight)).sum();
    assert!((sum - 5.609854345626145).abs() < 1e-5, "{sum}");
}

#[test]
fn batches_are_padded_with_features_that_weigh_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let opened = open(&config, 0).unwrap();
    let weigher = opened.schema.weigher().unwrap();
    let train = BagSet::of(opened.train, weigher.clone());
    let samples = [0, 3].map(|index| train.dataset().sample(index, Draw::default()).unwrap()).to_vec();
    let (bags, target) = train.dataset().collate(samples, &Device::flex());
    // `the` is there twice: five different words and five pairs.
    assert_eq!((bags.features.dims(), bags.weights.dims()), ([2, 10], [2, 10]));
    let weights: Vec<f32> = bags.weights.into_data().iter().collect();
    let norm = |weights: &[f32]| weights.iter().map(|weight| weight * weight).sum::<f32>();
    assert!((norm(&weights[..10]) - 1.0).abs() < 1e-6);
    assert_eq!(weights[10..], [0.0; 10], "an empty text weighs nothing");
    let Target::Classes(classes) = target else { panic!("expected classes") };
    assert_eq!(classes.into_data().iter().collect::<Vec<i64>>(), [0, 1]);
    // A batch of texts without a known n-gram has a place all the same.
    let asked = ["zebra".to_string()];
    let part = open_prediction(&config, &opened.schema, &asked).unwrap().next().unwrap().unwrap();
    let asked = BagSet::of(part.samples, weigher);
    let batch = asked.batches(Default::default(), 8, &Device::flex()).next().unwrap().unwrap();
    assert_eq!((batch.input.features.dims(), batch.samples), ([1, 1], vec![0]));
    assert!(matches!(batch.target, Target::Absent));
}

#[test]
fn hashed_ngrams_need_no_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let config = TextConfig { hash_buckets: 32, ..config(folder.path()) };
    let schema = open(&config, 0).unwrap().schema;
    assert_eq!((schema.len(), schema.tokenizer.symbols().len()), (32, 0));
    let asked = records(&config, &schema, &[(0, QUERY.to_string())]).unwrap();
    let set = BagSet::of(asked.samples, schema.weigher().unwrap());
    let BagSample { features, weights, .. } = set.dataset().sample(0, Draw::default()).unwrap();
    let norm: f32 = weights.iter().map(|weight| weight * weight).sum();
    assert!(
        features.is_sorted() && features.iter().all(|&feature| feature < 32) && (norm - 1.0).abs() < 1e-6
    );
    assert!(schema.to_string().contains("vocabulary: n-grams hashed to 32 features"), "{schema}");
}
