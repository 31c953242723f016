use crate::records::split::told;
use crate::table::{TableConfig, TableSchema, TableSet, open, open_evaluation, reopen};
use crate::{DataError, Dataset, OnCorrupt, Opened, SplitBy};
use bonfire_contract::Loader;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A table of these lines below a header.
struct Table(tempfile::TempDir);

impl Table {
    fn new(header: &str, rows: impl Iterator<Item = String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines: String = rows.map(|row| row + "\n").collect();
        std::fs::write(folder.path().join("t.csv"), format!("{header}\n{lines}")).unwrap();
        Table(folder)
    }

    fn uri(&self) -> String {
        self.0.path().join("t.csv").display().to_string()
    }

    fn config(&self) -> TableConfig {
        TableConfig {
            train: self.uri(),
            target: "y".into(),
            valid_fraction: 0.2,
            test_fraction: 0.25,
            standardise: false,
            workers: 0,
            ..Default::default()
        }
    }
}

/// The first number of each row: its number in the table.
fn ids(set: &TableSet) -> Vec<u64> {
    let rows = set.rows();
    rows.numbers.chunks(rows.layout.numbers).map(|row| row[0] as u64).collect()
}

/// The rows of training, validation and tests.
fn parts(opened: &Opened<TableSet, TableSchema>) -> [Vec<u64>; 3] {
    let held_out = [&opened.valid, &opened.test].map(|part| ids(part.as_ref().unwrap().dataset()));
    let [valid, test] = held_out;
    [ids(opened.train.dataset()), valid, test]
}

fn message<T>(result: Result<T, DataError>) -> String {
    let message = result.err().expect("an error").to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

/// The label of a row of [`classes`].
fn class(row: u64) -> &'static str {
    match row % 20 {
        0 => "rare",
        1..7 => "some",
        _ => "most",
    }
}

/// 400 rows: 20 of one class, 120 of another and 260 of a third.
fn classes() -> Table {
    Table::new("id,y", (0..400).map(|row| format!("{row},{}", class(row))))
}

/// What is held out is found again: by a run that goes on, by another process from the run folder, and by an
/// evaluation.
fn assert_found_again(config: &TableConfig, seed: u64) -> [Vec<u64>; 3] {
    let opened = open(config, seed).unwrap();
    let folder = tempfile::tempdir().unwrap();
    opened.schema.save(folder.path()).unwrap();
    let schema = TableSchema::load(folder.path()).unwrap();
    assert_eq!(schema, opened.schema);
    let again = reopen(config, seed, schema.clone()).unwrap();
    assert_eq!(again.schema, schema);
    let expected = parts(&opened);
    assert_eq!(parts(&again), expected);
    let tested = open_evaluation(config, &schema, None, seed).unwrap();
    assert_eq!(ids(tested.dataset()), expected[2]);
    expected
}

#[test]
fn classes_have_their_shares_of_each_part() {
    let table = classes();
    for seed in 0..3 {
        let parts = assert_found_again(&table.config(), seed);
        let counted = parts.map(|part| {
            ["rare", "some", "most"].map(|name| part.iter().filter(|&&row| class(row) == name).count())
        });
        assert_eq!(counted, [[11, 66, 143], [4, 24, 52], [5, 30, 65]]);
    }
    let opened = open(&table.config(), 1).unwrap();
    assert_eq!(opened.schema.split, SplitBy::Stratified);
    assert!(opened.schema.to_string().contains("held out: at random, of each class its share"));
    let again = open(&TableConfig { stratify: Some(true), ..table.config() }, 1).unwrap();
    assert_eq!(parts(&again), parts(&opened));
}

#[test]
fn runs_of_earlier_versions_hold_out_what_they_did() {
    let table = classes();
    let alike = TableConfig { stratify: Some(false), ..table.config() };
    let began = open(&alike, 1).unwrap();
    assert_eq!(began.schema.split, SplitBy::Random);
    assert_ne!(parts(&began), parts(&open(&table.config(), 1).unwrap()));
    // Neither the schema of such a run says how, nor its recipe.
    let folder = tempfile::tempdir().unwrap();
    began.schema.save(folder.path()).unwrap();
    let path = folder.path().join("columns.json");
    let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    json.as_object_mut().unwrap().remove("split").unwrap();
    std::fs::write(&path, json.to_string()).unwrap();
    let schema = TableSchema::load(folder.path()).unwrap();
    let goes_on = reopen(&table.config(), 1, schema.clone()).unwrap();
    assert_eq!(parts(&goes_on), parts(&began));
    assert_eq!(goes_on.schema.split, SplitBy::Random);
    let tested = open_evaluation(&table.config(), &schema, None, 1).unwrap();
    assert_eq!(ids(tested.dataset()), parts(&began)[2]);
}

#[test]
fn values_have_no_shares() {
    let table = Table::new("id,y", (0..100).map(|row| format!("{row},{row}.5")));
    let opened = open(&table.config(), 1).unwrap();
    assert_eq!(opened.schema.split, SplitBy::Random);
    let error = message(open(&TableConfig { stratify: Some(true), ..table.config() }, 1));
    assert_eq!(error, "data.stratify: expected false where the target is no class, found true");
    // The whole table says what the target is: the rows to train on may have whole numbers alone.
    let few = Table::new("id,y", (0..100).map(|row| format!("{row},{}", if row == 7 { 0.5 } else { 1.0 })));
    let seed = (0..99).find(|&seed| open(&few.config(), seed).is_ok()).unwrap();
    assert_eq!(open(&few.config(), seed).unwrap().schema.split, SplitBy::Random);
}

#[test]
fn a_class_keeps_a_row_to_train_on() {
    let rare = |row: u64| {
        if row == 150 {
            "d"
        } else if row % 77 == 3 {
            "c"
        } else {
            ["a", "b"][row as usize % 2]
        }
    };
    let table = Table::new("id,y", (0..200).map(|row| format!("{row},{}", rare(row))));
    for seed in 0..20 {
        let config = TableConfig { valid_fraction: 0.5, test_fraction: 0.0, ..table.config() };
        let opened = open(&config, seed).unwrap();
        let trained: BTreeSet<&str> = ids(opened.train.dataset()).into_iter().map(rare).collect();
        assert_eq!(trained, BTreeSet::from(["a", "b", "c", "d"]), "seed {seed}");
        assert_eq!(opened.valid.unwrap().len(), 100);
        assert_eq!(opened.train.dataset().classes_of(4).unwrap()[3], 1);
    }
}

#[test]
fn classes_that_a_part_lacks_are_told_when_a_run_begins() {
    let table = Table::new(
        "id,y",
        (0..400).map(|row| format!("{row},{}", if row == 40 { "d" } else { ["a", "b"][row % 2] })),
    );
    let (uri, config) = (table.uri(), table.config());
    let lacking = |parts: &[&str]| -> Vec<String> {
        parts.iter().map(|part| format!("1 class without a {part} sample: `d` (1 sample)")).collect()
    };
    let mut schema = None;
    let begun = told(&uri, || schema = Some(open(&config, 1).unwrap().schema));
    assert_eq!(begun, lacking(&["validation", "test"]));
    let goes_on = told(&uri, || _ = reopen(&config, 1, schema.unwrap()).unwrap());
    assert!(goes_on.is_empty(), "{goes_on:?}");
    let whole = TableConfig { valid_fraction: 0.0, test_fraction: 0.0, ..config.clone() };
    assert_eq!(told(&uri, || _ = open(&whole, 1).unwrap()), ["1 class of a single sample: `d` (1 sample)"]);
    // At random the row may be held out; then no model learns its class.
    let alike = TableConfig { stratify: Some(false), ..config.clone() };
    let lost = (0..40).map(|seed| told(&uri, || _ = open(&alike, seed).unwrap())).filter(|lines| {
        lines
            .iter()
            .any(|line| line == "1 class without a training sample, which no model learns: `d` (1 sample)")
    });
    assert!((5..35).contains(&lost.count()));
    // Of a streamed table it is a block that is held out or not.
    let streamed = TableConfig { stream: Some(true), window_bytes: 1500, ..config };
    let lines = told(&uri, || _ = open(&streamed, 1).unwrap());
    assert_eq!(lines[0], "streamed sets hold out whole blocks of samples: not stratified");
    assert!(lines.len() == 3 && lines[1..].iter().all(|line| line.ends_with("`d` (1 sample)")), "{lines:?}");
}

#[test]
fn spellings_of_a_class_and_rows_that_are_skipped_have_their_places() {
    let label = |row: u64| match row % 10 {
        0 => "",
        1 => "1.0",
        2..5 => "1",
        _ => "x",
    };
    let table = Table::new("id,y", (0..200).map(|row| format!("{row},{}", label(row))));
    assert!(message(open(&table.config(), 1)).contains("column `y`: expected a target, found no value"));
    let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..table.config() };
    let parts = assert_found_again(&skip, 1);
    let ones = parts.each_ref().map(|part| part.iter().filter(|&&row| label(row).starts_with('1')).count());
    assert_eq!(ones, [44, 16, 20]);
    assert_eq!(open(&skip, 1).unwrap().schema.skipped, 20);
}

/// Rows of 23 groups of unequal sizes, beside one another or not.
fn groups(spelled: fn(u64) -> String) -> Table {
    let row =
        move |row: u64| format!("{row},{},{}", spelled(row * row % 23), ["no", "yes"][row as usize % 2]);
    Table::new("id,who,y", (0..300).map(row))
}

#[test]
fn no_group_is_on_two_sides_and_its_name_is_no_input() {
    for spelled in [|group: u64| format!("patient {group}"), |group: u64| format!("{group}")] {
        let table = groups(spelled);
        let config = TableConfig { group_column: Some("who".into()), ..table.config() };
        for seed in 0..5 {
            let parts = assert_found_again(&config, seed);
            let of =
                parts.each_ref().map(|part| part.iter().map(|row| row * row % 23).collect::<BTreeSet<u64>>());
            assert_eq!(of.iter().map(BTreeSet::len).sum::<usize>(), 12);
            assert_eq!(parts.concat().len(), 300);
            // A group has 26 rows at the most.
            assert!(parts[1].len().abs_diff(60) <= 26 && parts[2].len().abs_diff(75) <= 26, "{parts:?}");
        }
        let schema = open(&config, 1).unwrap().schema;
        assert_eq!(schema.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["id"]);
        assert!(schema.to_string().contains("whole groups of `who`, which is no input"), "{schema}");
    }
}

#[test]
fn a_row_without_a_group_is_an_error_or_skipped() {
    let table = groups(|group| if group == 4 { String::new() } else { format!("p{group}") });
    let config = TableConfig { group_column: Some("who".into()), ..table.config() };
    let error = message(open(&config, 1));
    assert!(error.ends_with("t.csv, line 4, column `who`: expected a group, found no value"), "{error}");
    let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..config };
    let parts = assert_found_again(&skip, 1);
    let lost = 300 - parts.concat().len() as u64;
    assert!(lost > 20 && parts.concat().iter().all(|row| row * row % 23 != 4));
    let opened = open(&skip, 1).unwrap();
    assert_eq!((opened.schema.skipped, opened.train.dataset().skipped()), (lost, lost));
}

#[test]
fn a_column_that_is_not_there_is_named_with_the_nearest() {
    let table = groups(|group| group.to_string());
    for (key, config) in [
        ("group_column", TableConfig { group_column: Some("hwo".into()), ..table.config() }),
        ("time_column", TableConfig { time_column: Some("hwo".into()), ..table.config() }),
    ] {
        for config in [TableConfig { valid_fraction: 0.0, test_fraction: 0.0, ..config.clone() }, config] {
            let error = message(open(&config, 1));
            assert!(error.starts_with(&format!("data.{key}: expected a column of ")), "{error}");
            assert!(error.contains("the nearest are `who`") && error.ends_with("found `hwo`"), "{error}");
        }
    }
}

/// Rows of which each is of a time of its own, in no order.
fn at_times(spelled: fn(u64) -> String) -> Table {
    Table::new(
        "id,at,y",
        (0..200).map(|row| format!("{row},{},{}", spelled(row * 77 % 200), ["a", "b"][row as usize % 2])),
    )
}

#[test]
fn the_last_rows_are_held_out() {
    let time = |row: u64| row * 77 % 200;
    let spellings: [fn(u64) -> String; 9] = [
        |time| time.to_string(),
        |time| format!("{}", time as f64 - 100.25),
        |time| format!("20{:02}-{:02}-01", time / 12, time % 12 + 1),
        |time| format!("2024-01-01T{:02}:{:02}:00+02:00", time / 60, time % 60),
        |time| format!("{:02}.{:02}.20{:02}", time % 10 + 10, time / 10 % 12 + 1, time / 120),
        |time| format!("{:02}/{:02}/20{:02}", time / 10 % 12 + 1, time % 10 + 10, time / 120),
        |time| {
            format!(
                "{:02}/31/2024 {}:{:02} {}",
                time / 120 + 7,
                (time / 60 + 11) % 12 + 1,
                time % 60,
                if time < 720 { "AM" } else { "PM" }
            )
        },
        |time| {
            format!(
                "{} {}",
                ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug"][time as usize % 8],
                2000 + time / 8
            )
        },
        |time| format!("20{:02}-W{:02}", time / 50, time % 50 + 1),
    ];
    for spelled in spellings {
        let table = at_times(spelled);
        let config = TableConfig { time_column: Some("at".into()), max_categories: 300, ..table.config() };
        let parts = assert_found_again(&config, 1);
        assert_eq!(parts, assert_found_again(&config, 2));
        let times = parts.map(|part| part.into_iter().map(time).collect::<BTreeSet<u64>>());
        assert_eq!(times, [0..110, 110..150, 150..200].map(BTreeSet::from_iter));
        let names = |config: &TableConfig| -> Vec<String> {
            open(config, 1).unwrap().schema.columns.into_iter().map(|column| column.name).collect()
        };
        assert_eq!(names(&config), ["id", "at"]);
        let ignored = TableConfig { ignore: vec!["at".into()], ..config };
        assert_eq!(names(&ignored), ["id"]);
        let times =
            assert_found_again(&ignored, 1).map(|part| part.into_iter().map(time).collect::<BTreeSet<u64>>());
        assert_eq!(times, [0..110, 110..150, 150..200].map(BTreeSet::from_iter));
    }
}

#[test]
fn what_cannot_be_compared_as_a_time_is_refused_with_its_line() {
    let refused = |spelled: fn(u64) -> String| {
        let table = at_times(spelled);
        message(open(&TableConfig { time_column: Some("at".into()), ..table.config() }, 1))
    };
    let error = refused(|time| format!("week {time}"));
    assert!(error.contains("line 2, column `at`: expected a number or a date of ISO 8601"), "{error}");
    assert!(error.ends_with("(data.date_format), found `week 0`"), "{error}");
    let date = |time: u64| format!("{:02}.{:02}.2024", time % 28 + 1, time % 12 + 1);
    let error = refused(|time| if time == 77 { "soon".into() } else { format!("{}.01.2024", time % 28 + 1) });
    assert!(error.contains("line 3, column `at`: expected a date, the day first, as most"), "{error}");
    assert!(error.ends_with("found `soon`"), "{error}");
    let error = refused(|time| format!("{:02}/{:02}/2024", time % 12 + 1, time / 12 % 12 + 1));
    assert!(error.contains("line 2, column `at`: expected a date of one order"), "{error}");
    // What a format says goes before all else: by their digits these are numbers of another order.
    let table = at_times(date);
    for (format, mark) in [("%d.%m.%Y", "."), ("%d%m%Y", "")] {
        let text = std::fs::read_to_string(table.uri()).unwrap().replace('.', mark);
        std::fs::write(table.uri(), text).unwrap();
        let date_format = Some(format.to_string());
        let config = TableConfig {
            time_column: Some("at".into()),
            date_format,
            max_categories: 300,
            ..table.config()
        };
        let parts = assert_found_again(&config, 1);
        let days = parts.map(|part| {
            part.into_iter().map(|row| (row * 77 % 200 % 12, row * 77 % 200 % 28)).collect::<BTreeSet<_>>()
        });
        assert!(days[0].last() < days[1].first() && days[1].last() < days[2].first(), "{days:?}");
    }
    let mixed =
        at_times(|time| if time == 77 { "5".into() } else { format!("2024-01-{:02}", time % 28 + 1) });
    let mixed = TableConfig { time_column: Some("at".into()), ..mixed.config() };
    let error = message(open(&mixed, 1));
    assert!(
        error.contains("line 3, column `at`") && error.ends_with("found a number among dates"),
        "{error}"
    );
    let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..mixed };
    assert_eq!(assert_found_again(&skip, 1).concat().len(), 199);
    let at_once = at_times(|_| "2024-01-01".into());
    let at_once = TableConfig { time_column: Some("at".into()), ..at_once.config() };
    assert!(
        message(open(&at_once, 1))
            .starts_with("data.valid_fraction: expected a share that holds at least one sample of a time")
    );
}

#[test]
fn files_given_beside_the_table_need_neither_group_nor_time() {
    let table = groups(|group| format!("p{group}"));
    let given = table.0.path().join("e.csv");
    std::fs::write(&given, "id,y\n1,yes\n2,no\n").unwrap();
    let given = given.display().to_string();
    let config =
        TableConfig { group_column: Some("who".into()), test: Some(given.clone()), ..table.config() };
    let opened = open(&config, 1).unwrap();
    assert_eq!(opened.test.unwrap().len(), 2);
    assert_eq!(open_evaluation(&config, &opened.schema, Some(&given), 1).unwrap().len(), 2);
}

#[test]
fn streamed_tables_refuse_what_blocks_cannot_do() {
    let table = groups(|group| format!("p{group}"));
    let streamed = TableConfig { stream: Some(true), window_bytes: 1500, ..table.config() };
    for (key, config) in [
        ("stratify", TableConfig { stratify: Some(true), ..streamed.clone() }),
        ("group_column", TableConfig { group_column: Some("who".into()), ..streamed.clone() }),
        ("time_column", TableConfig { time_column: Some("id".into()), ..streamed.clone() }),
    ] {
        let error = message(open(&config, 1));
        assert!(
            error.starts_with(&format!("data.{key}: expected none where the set is streamed")),
            "{error}"
        );
        assert!(error.contains("stream = false"), "{error}");
        let whole = TableConfig { valid_fraction: 0.0, test_fraction: 0.0, ..config };
        assert_eq!(open(&whole, 1).unwrap().train.len(), 300);
    }
    let opened = open(&streamed, 1).unwrap();
    assert_eq!(opened.schema.split, SplitBy::Random);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn tables_are_divided_by_what_they_hold(
        rows in prop::collection::vec((0u8..3, 0u8..9, 0u16..500), 60..200), seed in 0u64..1000,
    ) {
        prop_assume!(rows.iter().any(|row| row.0 != rows[0].0));
        prop_assume!(rows.iter().map(|row| row.1).collect::<BTreeSet<_>>().len() > 5);
        let lines = rows.iter().enumerate().map(|(id, (y, who, at))| format!("{id},l{y},g{who},{at}"));
        let table = Table::new("id,y,who,at", lines);
        let by_group = TableConfig { group_column: Some("who".into()), ..table.config() };
        let by_time = TableConfig { time_column: Some("at".into()), ..table.config() };
        for config in [table.config(), by_group, by_time] {
            let parts = assert_found_again(&config, seed);
            let mut all = parts.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..rows.len() as u64).collect::<Vec<_>>());
            let [train, valid, test] = parts.map(|part| part.into_iter().map(|id| rows[id as usize]).collect::<Vec<_>>());
            if config.group_column.is_some() {
                prop_assert!(!train.iter().any(|row| valid.iter().chain(&test).any(|other| row.1 == other.1)));
                prop_assert!(!valid.iter().any(|row| test.iter().any(|other| row.1 == other.1)));
            }
            if config.time_column.is_some() {
                prop_assert!(train.iter().map(|row| row.2).max() < valid.iter().map(|row| row.2).min());
                prop_assert!(valid.iter().map(|row| row.2).max() < test.iter().map(|row| row.2).min());
            }
        }
    }
}
