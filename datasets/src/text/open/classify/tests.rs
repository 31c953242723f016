use crate::records::split::told;
use crate::table::TargetKind;
use crate::text::{TextConfig, TextSchema, TextSet, open, open_evaluation, reopen};
use crate::{DataError, Dataset, Draw, OnCorrupt, Opened, SplitBy};
use bonfire_contract::Loader;
use std::collections::BTreeSet;
use std::fs;

/// Texts in a file of this name.
fn texts(name: &str, text: &str) -> (tempfile::TempDir, TextConfig) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let config = TextConfig {
        train: path.display().to_string(),
        valid_fraction: 0.2,
        test_fraction: 0.25,
        workers: 0,
        ..Default::default()
    };
    (folder, config)
}

/// 400 texts, a number each: 20 of one class, 120 of another and 260 of a third; of 23 authors, and each of a
/// day of its own.
fn csv() -> String {
    let row = |row: u64| format!("{row},{},author {},{}\n", class(row), row * row % 23, day(row * 77 % 400));
    "text,label,author,day\n".to_string() + &(0..400).map(row).collect::<String>()
}

fn class(row: u64) -> &'static str {
    match row % 20 {
        0 => "rare",
        1..7 => "some",
        _ => "most",
    }
}

fn day(number: u64) -> String {
    format!("{}-{:02}-{:02}", 2000 + number / 336, number / 28 % 12 + 1, number % 28 + 1)
}

/// The sample of each text, as it is encoded.
fn samples(set: &TextSet) -> Vec<String> {
    (0..set.len()).map(|index| format!("{:?}", set.sample(index, Draw::default()).unwrap())).collect()
}

fn parts(opened: &Opened<TextSet, TextSchema>) -> [Vec<String>; 3] {
    let held_out = [&opened.valid, &opened.test].map(|part| samples(part.as_ref().unwrap().dataset()));
    let [valid, test] = held_out;
    [samples(opened.train.dataset()), valid, test]
}

/// The sizes of the parts, which a run that goes on, and an evaluation from the run folder, find again.
fn assert_found_again(config: &TextConfig, seed: u64) -> ([u64; 3], TextSchema) {
    let opened = open(config, seed).unwrap();
    let folder = tempfile::tempdir().unwrap();
    opened.schema.save(folder.path()).unwrap();
    let schema = TextSchema::load(folder.path()).unwrap();
    assert_eq!(schema, opened.schema);
    let expected = parts(&opened);
    assert_eq!(parts(&reopen(config, seed, schema.clone()).unwrap()), expected);
    let tested = open_evaluation(config, &schema, None, seed).unwrap();
    assert_eq!(samples(tested.dataset()), expected[2]);
    (expected.map(|part| part.len() as u64), schema)
}

fn message<T>(result: Result<T, DataError>) -> String {
    let message = result.err().expect("an error").to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn classes_have_their_shares_of_each_part() {
    let (_folder, config) = texts("t.csv", &csv());
    for seed in 0..3 {
        let (sizes, schema) = assert_found_again(&config, seed);
        assert_eq!((sizes, &schema.split), ([220, 80, 100], &SplitBy::Stratified));
        let opened = open(&config, seed).unwrap();
        let counted = [Some(&opened.train), opened.valid.as_ref(), opened.test.as_ref()]
            .map(|part| part.unwrap().dataset().classes_of(3).unwrap());
        // Classes are in the order of their names: most, rare, some.
        assert_eq!(counted, [[143, 11, 66], [52, 4, 24], [65, 5, 30]]);
    }
}

#[test]
fn runs_of_earlier_versions_hold_out_what_they_did() {
    let (_folder, config) = texts("t.csv", &csv());
    let began = open(&TextConfig { stratify: Some(false), ..config.clone() }, 1).unwrap();
    assert_eq!(began.schema.split, SplitBy::Random);
    assert_ne!(parts(&began), parts(&open(&config, 1).unwrap()));
    assert_eq!(parts(&reopen(&config, 1, began.schema.clone()).unwrap()), parts(&began));
    let tested = open_evaluation(&config, &began.schema, None, 1).unwrap();
    assert_eq!(samples(tested.dataset()), parts(&began)[2]);
}

#[test]
fn classes_that_a_part_lacks_are_told_when_a_run_begins() {
    let row = |row: usize| format!("t{row},{}\n", if row == 40 { "d" } else { ["a", "b"][row % 2] });
    let (_folder, config) =
        texts("t.csv", &("text,label\n".to_string() + &(0..90).map(row).collect::<String>()));
    let uri = config.train.clone();
    let mut schema = None;
    let begun = told(&uri, || schema = Some(open(&config, 1).unwrap().schema));
    let lacking =
        ["validation", "test"].map(|part| format!("1 class without a {part} sample: `d` (1 sample)"));
    assert_eq!(begun, lacking);
    let goes_on = told(&uri, || _ = reopen(&config, 1, schema.unwrap()).unwrap());
    assert!(goes_on.is_empty(), "{goes_on:?}");
    let streamed = TextConfig { stream: Some(true), window_bytes: 1500, ..config };
    let lines = told(&uri, || _ = open(&streamed, 1).unwrap());
    assert_eq!(lines[0], "streamed sets hold out whole blocks of samples: not stratified");
    assert!(lines.len() == 3 && lines[1..].iter().all(|line| line.ends_with("`d` (1 sample)")), "{lines:?}");
}

#[test]
fn values_have_no_shares() {
    let row = |row: usize| format!("t{row},{}.5\n", row % 7);
    let (_folder, config) =
        texts("t.csv", &("text,label\n".to_string() + &(0..90).map(row).collect::<String>()));
    let (_, schema) = assert_found_again(&config, 1);
    assert_eq!((schema.split, schema.labels.len()), (SplitBy::Random, 0));
    let error = message(open(&TextConfig { stratify: Some(true), ..config.clone() }, 1));
    assert_eq!(error, "data.stratify: expected false where the target is no class, found true");
    let classes = TextConfig { target_kind: Some(TargetKind::Class), ..config };
    assert_eq!(assert_found_again(&classes, 1).1.split, SplitBy::Stratified);
}

#[test]
fn no_author_is_on_two_sides() {
    let (_folder, config) = texts("t.csv", &csv());
    let config = TextConfig { group_column: Some("author".into()), ..config };
    for seed in 0..4 {
        let (sizes, schema) = assert_found_again(&config, seed);
        assert_eq!(schema.split, SplitBy::Groups("author".into()));
        assert!(sizes[1].abs_diff(80) <= 36 && sizes[2].abs_diff(100) <= 36, "{sizes:?}");
        let opened = open(&config, seed).unwrap();
        let rows: Vec<String> = (0..400).map(|row: u64| row.to_string()).collect();
        // Texts of validation and tests are unknown words: their numbers are those that training has not.
        let trained: BTreeSet<&String> = opened.schema.tokenizer.symbols().iter().collect();
        assert_eq!(trained.len() as u64, sizes[0]);
        let author = |row: u64| row * row % 23;
        let held_out: BTreeSet<u64> =
            (0..400).filter(|&row| !trained.contains(&rows[row as usize])).map(author).collect();
        assert!(
            (0..400)
                .filter(|&row| held_out.contains(&author(row)))
                .all(|row| !trained.contains(&rows[row as usize]))
        );
    }
}

#[test]
fn the_last_texts_are_held_out() {
    let (_folder, config) = texts("t.csv", &csv());
    let config = TextConfig { time_column: Some("day".into()), ..config };
    let (sizes, schema) = assert_found_again(&config, 1);
    assert_eq!((sizes, &schema.split), ([220, 80, 100], &SplitBy::Time("day".into())));
    let trained: BTreeSet<u64> = schema.tokenizer.symbols().iter().map(|row| row.parse().unwrap()).collect();
    assert_eq!(trained, (0..400).filter(|row| row * 77 % 400 < 220).collect());
}

#[test]
fn a_text_without_its_group_or_time_is_an_error_or_skipped() {
    let lines: String = (0..60)
        .map(|row| match row {
            7 => format!("{{\"text\": \"t{row}\", \"label\": {}}}\n", row % 2),
            _ => format!(
                "{{\"text\": \"t{row}\", \"label\": {}, \"who\": {}, \"at\": \"{}\"}}\n",
                row % 2,
                row % 9,
                day(row)
            ),
        })
        .collect();
    let (_folder, config) = texts("t.jsonl", &lines);
    for (config, expected) in [
        (TextConfig { group_column: Some("who".into()), ..config.clone() }, "column `who`: expected a group"),
        (
            TextConfig { time_column: Some("at".into()), ..config.clone() },
            "column `at`: expected a number or a date",
        ),
    ] {
        let error = message(open(&config, 1));
        assert!(error.contains("t.jsonl:8, ") && error.contains(expected), "{error}");
        assert!(error.ends_with("found no value"), "{error}");
        let skip = TextConfig { on_corrupt: OnCorrupt::Skip, ..config };
        assert_eq!(assert_found_again(&skip, 1).0.iter().sum::<u64>(), 59);
        assert_eq!(open(&skip, 1).unwrap().train.dataset().skipped(), 1);
    }
    let dots = TextConfig { time_column: Some("text".into()), ..config.clone() };
    assert!(message(open(&dots, 1)).ends_with("found `t0`"));
    let (_folder, csv) = texts("t.csv", &csv());
    let absent = TextConfig { group_column: Some("auhtor".into()), ..csv };
    let error = message(open(&absent, 1));
    assert!(error.starts_with("data.group_column") && error.contains("the nearest are `author`"), "{error}");
}

#[test]
fn files_given_beside_the_texts_need_neither_group_nor_time() {
    let (folder, config) = texts("t.csv", &csv());
    let given = folder.path().join("e.csv").display().to_string();
    fs::write(&given, "text,label\n1,rare\n2,some\n").unwrap();
    let config = TextConfig { group_column: Some("author".into()), test: Some(given.clone()), ..config };
    let opened = open(&config, 1).unwrap();
    assert_eq!(opened.test.unwrap().len(), 2);
    assert_eq!(open_evaluation(&config, &opened.schema, Some(&given), 1).unwrap().len(), 2);
    let streamed = TextConfig { stream: Some(true), valid_fraction: 0.0, ..config };
    assert_eq!(open(&streamed, 1).unwrap().test.unwrap().len(), 2);
}

#[test]
fn streamed_texts_refuse_what_blocks_cannot_do() {
    let (_folder, config) = texts("t.csv", &csv());
    let config = TextConfig { stream: Some(true), window_bytes: 1500, ..config };
    for (key, config) in [
        ("stratify", TextConfig { stratify: Some(true), ..config.clone() }),
        ("group_column", TextConfig { group_column: Some("author".into()), ..config.clone() }),
        ("time_column", TextConfig { time_column: Some("day".into()), ..config.clone() }),
    ] {
        let error = message(open(&config, 1));
        assert!(
            error.starts_with(&format!("data.{key}: expected none where the set is streamed")),
            "{error}"
        );
    }
    let opened = open(&config, 1).unwrap();
    assert_eq!(opened.schema.split, SplitBy::Random);
    assert_eq!(opened.train.len() + opened.valid.unwrap().len() + opened.test.unwrap().len(), 400);
}
