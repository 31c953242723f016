//! Opening tables: for training, evaluation and prediction.

use super::config::TableConfig;
use super::encode::Encoder;
use super::read::Frames;
use super::resumed::check_same;
use super::rows::Rows;
use super::schema::TableSchema;
use super::set::TableSet;
use super::split::{Divided, divide};
use super::survey::infer;
use super::{file, streamed};
use crate::records::split;
use crate::store::{Known, is_streamed};
use crate::{DataError, Dataset, Opened, Pipeline, PipelineConfig, Shuffle};

/// Reads the training table, infers its columns, and splits off the parts that the recipe asks for.
///
/// Fractions are drawn with `seed`, or cut by time, as the recipe says; the rows of each part keep the file's
/// order.
///
/// # Errors
/// When the recipe does not fit the data, or the data cannot be read: see the crate's
/// [`DataError`].
pub fn open(config: &TableConfig, seed: u64) -> Result<Opened<TableSet, TableSchema>, DataError> {
    config.check()?;
    match is_streamed(&config.train, config.stream) {
        true => streamed::open(config, seed, None),
        false => held(config, seed, None),
    }
}

/// As [`open`], for a run that goes on: the columns are those of `schema`, which the run began with, whatever
/// the data are by now.
///
/// # Errors
/// As [`open`], and when the table is not the one that the run began with: the difference is named.
pub fn reopen(
    config: &TableConfig,
    seed: u64,
    schema: TableSchema,
) -> Result<Opened<TableSet, TableSchema>, DataError> {
    config.check()?;
    let config = &config.as_trained(&schema);
    match schema.streamed.is_some() {
        true => streamed::open(config, seed, Some(schema)),
        false if is_streamed(&config.train, config.stream) => Err(Known::none(&config.train)),
        false => held(config, seed, Some(schema)),
    }
}

/// Opens a table in memory; `known` are the columns of a run that goes on.
fn held(
    config: &TableConfig,
    seed: u64,
    known: Option<TableSchema>,
) -> Result<Opened<TableSet, TableSchema>, DataError> {
    let frames = Frames::read(&config.train, config, known.as_ref())?;
    let Divided { split, by, skipped: undivided } = divide(&frames, config, known.as_ref(), seed)?;
    let mut rows = frames.divide(&split.train);
    let found = infer(&frames, &mut rows, config, known.as_ref().filter(|known| !known.days))?;
    let left_out = found.skipped + frames.skipped + undivided;
    let mut skipped = left_out;
    let schema = match &known {
        Some(known) => {
            check_same(&config.train, known, &found)?;
            known
        }
        None => &found,
    };
    let parts = [rows, frames.divide(&split.valid), frames.divide(&split.test)];
    let [(train, _), valid, test] = frames.encode(&Encoder::new(schema, config, true), parts, None)?;
    let mut part = |uri: &Option<String>, (rows, left_out): (Rows, u64)| {
        let set = match uri {
            Some(uri) => Some(file::open(uri, config, schema)?),
            None => (rows.rows > 0).then(|| TableSet::held(rows, left_out)),
        };
        skipped += set.as_ref().map_or(0, Dataset::skipped);
        Ok::<_, DataError>(set.map(|set| Pipeline::new(set, config.in_order(seed))))
    };
    let (valid, test) = (part(&config.valid, valid)?, part(&config.test, test)?);
    let shuffled = PipelineConfig { shuffle: Shuffle::Full(seed), ..config.in_order(seed) };
    let train = Pipeline::new(TableSet::held(train, left_out), shuffled);
    let schema = known.unwrap_or_else(|| {
        let counts = |part: &Pipeline<TableSet>| part.dataset().classes_of(found.labels().len());
        let parts = [counts(&train), valid.as_ref().and_then(counts), test.as_ref().and_then(counts)];
        split::tell_lacking(&config.train, found.labels(), parts);
        TableSchema { skipped, split: by, ..found }
    });
    Ok(Opened { train, valid, test, schema })
}

/// Reads a table to evaluate on: `uri`, or the recipe's test set, or else its validation set, split
/// off in the same way as by [`open`].
///
/// # Errors
/// When the recipe has neither, or the data cannot be read.
pub fn open_evaluation(
    config: &TableConfig,
    schema: &TableSchema,
    uri: Option<&str>,
    seed: u64,
) -> Result<Pipeline<TableSet>, DataError> {
    config.check_sizes()?;
    let config = &config.as_trained(schema);
    let uri = uri.map(String::from);
    let given = match (&uri, &config.test, &config.valid) {
        (Some(uri), _, _) | (None, Some(uri), _) => Some(uri),
        (None, None, Some(uri)) if config.test_fraction == 0.0 => Some(uri),
        _ => None,
    };
    let set = match given {
        Some(uri) => file::open(uri, config, schema)?,
        None => {
            split::check(config.valid_fraction, config.test_fraction)?;
            if config.test_fraction == 0.0 && config.valid_fraction == 0.0 {
                return Err(DataError::config("test", "a test or validation set to evaluate on", "neither"));
            }
            if schema.streamed.is_some() {
                let set = streamed::held_out(config, schema, seed)?;
                return Ok(Pipeline::new(set, config.in_order(seed)));
            }
            let frames = Frames::read(&config.train, config, Some(schema))?;
            let Divided { split, .. } = divide(&frames, config, Some(schema), seed)?;
            let rows = frames.divide(if split.test.is_empty() { &split.valid } else { &split.test });
            file::held(Frames { skipped: 0, ..frames }, rows, config, schema)?
        }
    };
    Ok(Pipeline::new(set, config.in_order(seed)))
}

#[cfg(test)]
mod guesses;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Format;
    use crate::table::{Category, Encoding, TableTarget, TargetKind};
    use crate::{Dataset, Draw, OnCorrupt};
    use bonfire_contract::{Loader, Target};
    use burn::tensor::Device;

    pub(super) struct Files(tempfile::TempDir);

    impl Files {
        pub(super) fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                std::fs::write(folder.path().join(name), text).unwrap();
            }
            Files(folder)
        }

        pub(super) fn uri(&self, name: &str) -> String {
            self.0.path().join(name).to_str().unwrap().to_string()
        }

        pub(super) fn config(&self, name: &str) -> TableConfig {
            TableConfig { train: self.uri(name), target: "y".into(), workers: 0, ..Default::default() }
        }
    }

    /// The whole set as one batch: numeric rows, category rows, targets.
    pub(super) fn rows(set: &TableSet) -> (Vec<Vec<f32>>, Vec<Vec<i64>>, Vec<f32>) {
        let samples = (0..set.len()).map(|index| set.sample(index, Draw::default()).unwrap()).collect();
        let (table, target) = set.collate(samples, &Device::flex());
        let ([_, n], [_, m]) = (table.numeric.dims(), table.categories.dims());
        let numeric: Vec<f32> = table.numeric.into_data().iter().collect();
        let categories: Vec<i64> = table.categories.into_data().iter().collect();
        let split = |width: usize| width.max(1);
        let target = match target {
            Target::Classes(classes) => classes.into_data().iter().collect(),
            Target::Values(values) => values.into_data().iter().collect(),
            _ => Vec::new(),
        };
        (
            numeric.chunks(split(n)).map(<[f32]>::to_vec).collect(),
            categories.chunks(split(m)).map(<[i64]>::to_vec).collect(),
            target,
        )
    }

    pub(super) fn message<T>(result: Result<T, DataError>) -> String {
        match result {
            Ok(_) => panic!("expected an error"),
            Err(error) => {
                let message = error.to_string();
                assert!(!message.contains('\n'), "{message}");
                message
            }
        }
    }

    fn adult() -> TableConfig {
        let names = [
            "age",
            "workclass",
            "fnlwgt",
            "education",
            "education-num",
            "marital-status",
            "occupation",
            "relationship",
            "race",
            "sex",
            "capital-gain",
            "capital-loss",
            "hours-per-week",
            "native-country",
            "income",
        ];
        TableConfig {
            train: "builtin:adult.data.gz".into(),
            test: Some("builtin:adult.test.gz".into()),
            column_names: Some(names.map(String::from).to_vec()),
            separator: Some(", ".into()),
            comment: Some('|'),
            strip_label_suffix: Some(".".into()),
            target: "income".into(),
            ..Default::default()
        }
    }

    #[test]
    fn adult_is_read_whole() {
        let config = adult();
        let opened = open(&config, 1).unwrap();
        let schema = &opened.schema;
        assert_eq!(opened.train.len(), 32_561);
        assert_eq!(opened.test.as_ref().unwrap().len(), 16_281);
        assert!(opened.valid.is_none());
        assert_eq!(schema.labels(), ["<=50K", ">50K"]);
        let missing: Vec<(&str, u64)> = schema
            .columns
            .iter()
            .filter(|column| column.missing > 0)
            .map(|column| (column.name.as_str(), column.missing))
            .collect();
        // The counts of UCI's own description of the set.
        assert_eq!(missing, [("workclass", 1836), ("occupation", 1843), ("native-country", 583)]);
        assert_eq!(schema.num_numeric(), 6 + 8 + 16 + 7 + 14 + 6 + 5 + 2 + 41);
        assert_eq!(schema.numeric_names().len(), schema.num_numeric());
        let (train, _, _) = rows(opened.train.dataset());
        for (column, name) in
            schema.numeric_names().iter().enumerate().filter(|(_, name)| !name.contains('='))
        {
            let cells = || train.iter().map(|row| f64::from(row[column]));
            let mean = cells().sum::<f64>() / 32_561.0;
            let variance = cells().map(|cell| (cell - mean).powi(2)).sum::<f64>() / 32_561.0;
            assert!(mean.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "{name}: {mean}, {variance}");
        }
        let (_, _, classes) = rows(opened.test.unwrap().dataset());
        assert_eq!(classes.iter().sum::<f32>(), 3846.0);
    }

    #[test]
    fn adult_with_embeddings_has_an_unknown_slot_a_column() {
        let opened = open(&TableConfig { one_hot: false, test: None, ..adult() }, 1).unwrap();
        assert_eq!(opened.schema.num_numeric(), 6);
        assert_eq!(opened.schema.category_sizes(), [9, 17, 8, 15, 7, 6, 3, 42]);
        let set = opened.train.dataset().rows();
        let unknown = set.indices.iter().filter(|&&index| index == 0).count();
        assert_eq!(unknown, 1836 + 1843 + 583);
    }

    #[test]
    fn diamonds_have_a_price() {
        let config = TableConfig {
            train: "builtin:diamonds.csv.gz".into(),
            target: "price".into(),
            ..Default::default()
        };
        let opened = open(&config, 1).unwrap();
        assert_eq!(opened.train.len(), 53_940);
        let TableTarget::Value { name, mean, std } = &opened.schema.target else {
            panic!("expected a value")
        };
        assert_eq!(name, "price");
        assert!((mean - 3932.799722).abs() < 1e-5 && (std - 3989.402758).abs() < 1e-4, "{mean} {std}");
        assert_eq!(opened.schema.num_numeric(), 6 + 5 + 7 + 8);
        let (_, _, values) = rows(opened.train.dataset());
        assert!((f64::from(values[0]) * std + mean - 326.0).abs() < 1e-2);
    }

    #[test]
    fn a_run_that_goes_on_keeps_its_columns_or_is_told_how_the_table_has_changed() {
        let text = |rows: std::ops::Range<usize>, labels: usize| -> String {
            rows.map(|row| format!("{row},{},l{}\n", ["a", "b"][row % 2], row % labels)).collect()
        };
        let files = Files::new(&[("t.csv", &format!("n,c,y\n{}", text(0..40, 2)))]);
        let config = TableConfig { valid_fraction: 0.25, ..files.config("t.csv") };
        let began = open(&config, 1).unwrap();
        let again = reopen(&config, 1, began.schema.clone()).unwrap();
        assert_eq!(again.schema, began.schema);
        assert_eq!(again.train.dataset().rows().numbers, began.train.dataset().rows().numbers);
        let reopened = |content: String| {
            std::fs::write(files.uri("t.csv"), content).unwrap();
            message(reopen(&config, 1, began.schema.clone())).split_once(": ").unwrap().1.to_string()
        };
        assert_eq!(
            reopened(format!("n,c,y\n{}", text(0..44, 2))),
            "expected the 30 training rows that the run began with, found 33"
        );
        assert_eq!(
            reopened(format!("n,c,y\n{}", text(0..40, 3))),
            "expected the classes that the run began with, `l0`, `l1`, found `l2` new"
        );
        let renamed = reopened(format!("n,d,y\n{}", text(0..40, 2)));
        assert!(renamed.ends_with("found `d` new, `c` missing"), "{renamed}");
        let values = (0..40).map(|row| format!("{row},a,{row}.5\n")).collect::<String>();
        assert!(
            reopened(format!("n,c,y\n{values}")).ends_with("classes that the run began with, found values")
        );
        let other: String =
            (100..140).map(|row| format!("{row},{},l{}\n", ["a", "b"][row % 2], row % 2)).collect();
        let changed = reopened(format!("n,c,y\n{other}"));
        assert!(changed.contains("expected the numbers that the run began with (mean "), "{changed}");
        let typed =
            (0..40).map(|row| format!("x{row},{},l{}\n", ["a", "b"][row % 2], row % 2)).collect::<String>();
        let typed = reopened(format!("n,c,y\n{typed}"));
        assert!(typed.ends_with("expected numbers, which the run began with, found categories"), "{typed}");
    }

    const SMALL: &str = "n,c,y\n1,red,a\n,blue,b\n3,?,a\n2,red,b\n";

    #[test]
    fn numbers_are_standardised_and_missing_ones_indicated() {
        let files = Files::new(&[("t.csv", SMALL)]);
        let opened = open(&files.config("t.csv"), 0).unwrap();
        assert_eq!(opened.schema.numeric_names(), ["n", "n_missing", "c=blue", "c=red"]);
        let (numeric, categories, classes) = rows(opened.train.dataset());
        let one = 1.5f32.sqrt();
        let expected =
            [[-one, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0], [one, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        for (row, expected) in numeric.iter().zip(expected) {
            assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{row:?} {expected:?}");
        }
        assert!(categories.is_empty());
        assert_eq!(classes, [0.0, 1.0, 0.0, 1.0]);
        let raw = TableConfig { standardise: false, one_hot: false, ..files.config("t.csv") };
        let (numeric, categories, _) = rows(open(&raw, 0).unwrap().train.dataset());
        assert_eq!(numeric, [[1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [2.0, 0.0]]);
        assert_eq!(categories, [[2], [1], [0], [2]]);
    }

    #[test]
    fn a_saved_schema_encodes_bit_for_bit_alike() {
        let config = TableConfig {
            train: "builtin:diamonds.csv.gz".into(),
            target: "price".into(),
            test_fraction: 0.1,
            ..Default::default()
        };
        let opened = open(&config, 7).unwrap();
        let folder = tempfile::tempdir().unwrap();
        opened.schema.save(folder.path()).unwrap();
        let schema = TableSchema::load(folder.path()).unwrap();
        assert_eq!(schema, opened.schema);
        let again = open_evaluation(&config, &schema, None, 7).unwrap();
        let test = opened.test.unwrap();
        assert_eq!(again.dataset().rows().numbers, test.dataset().rows().numbers);
        assert_eq!(again.dataset().rows().targets, test.dataset().rows().targets);
        assert_eq!(opened.train.len() + again.len(), 53_940);
    }

    #[test]
    fn statistics_see_the_training_rows_alone() {
        let text: String = (0..100).map(|row| format!("{row},{}\n", row % 2)).collect();
        let files = Files::new(&[("t.csv", &format!("x,y\n{text}"))]);
        let config = TableConfig { valid_fraction: 0.2, test_fraction: 0.1, ..files.config("t.csv") };
        let opened = open(&config, 3).unwrap();
        assert_eq!(
            (opened.train.len(), opened.valid.unwrap().len(), opened.test.unwrap().len()),
            (70, 20, 10)
        );
        assert_eq!(opened.schema.rows, 70);
        let mean = |set: &TableSet| set.rows().numbers.iter().sum::<f32>() / set.rows().rows as f32;
        assert!(mean(opened.train.dataset()).abs() < 1e-5);
    }

    #[test]
    fn a_recipe_that_names_no_column_learns_the_nearest() {
        let files = Files::new(&[("t.csv", SMALL)]);
        let error = message(open(&TableConfig { target: "yy".into(), ..files.config("t.csv") }, 0));
        assert!(error.starts_with("data.target:") && error.contains("the nearest are `y`"), "{error}");
        let numeric = TableConfig { numeric: vec!["m".into()], ..files.config("t.csv") };
        assert!(message(open(&numeric, 0)).starts_with("data.numeric:"));
        let ignore = TableConfig { ignore: vec!["n".into(), "c".into()], ..files.config("t.csv") };
        assert!(message(open(&ignore, 0)).contains("at least one input column"));
    }

    #[test]
    fn cells_that_do_not_fit_are_errors_with_their_place_or_skipped() {
        let files = Files::new(&[
            ("stray.csv", "n,y\n1,a\n2,b\nx,a\n4,b\n"),
            ("infinite.csv", "n,y\n1,a\ninf,b\n"),
            ("huge.csv", "n,y\n1,a\n1e300,b\n"),
            ("nan.csv", "n,y\n1,a\nnan,b\n3,a\n"),
            ("unlabelled.csv", "n,y\n1,a\n2,\n3,b\n"),
            ("one.csv", "n,y\n1,a\n2,a\n"),
            ("none.csv", "n,z,y\n1,,a\n2,?,b\n"),
            ("price.csv", "n,y\n1,0.5\n2,0.25\n3,?\n4,much\n5,2\n6,3\n"),
        ]);
        let error = |name| message(open(&files.config(name), 0));
        let stray = error("stray.csv");
        assert!(stray.contains("stray.csv, line 4, column `n`: expected a number"), "{stray}");
        assert!(stray.ends_with("found `x`"), "{stray}");
        assert!(error("infinite.csv").contains("line 3, column `n`: expected a finite number"));
        assert!(error("huge.csv").contains("line 3"));
        assert!(error("unlabelled.csv").contains("line 3, column `y`: expected a target, found no value"));
        assert!(error("one.csv").contains("at least two classes, found only `a`"));
        let named = TableConfig { numeric: vec!["z".into()], ..files.config("none.csv") };
        assert!(message(open(&named, 0)).contains("column `z`: expected a value in some training row"));
        assert!(error("price.csv").contains("line 4, column `y`"));
        let opened = open(&files.config("nan.csv"), 0).unwrap();
        assert_eq!(opened.schema.numeric_names(), ["n", "n_missing"]);
        for (name, rows) in [("stray.csv", 3), ("infinite.csv", 1), ("unlabelled.csv", 2), ("price.csv", 4)] {
            let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..files.config(name) };
            let opened = open(&skip, 0).unwrap();
            assert_eq!(opened.train.len(), rows, "{name}");
            assert!(opened.schema.skipped > 0 && opened.train.dataset().skipped() == opened.schema.skipped);
        }
        let declared = TableConfig { categorical: vec!["n".into()], ..files.config("stray.csv") };
        assert_eq!(open(&declared, 0).unwrap().schema.num_numeric(), 4);
    }

    #[test]
    fn many_classes_are_read_at_once_and_too_many_refused() {
        let lines = |count: usize| -> String { (0..count).map(|row| format!("{row},l{row}\n")).collect() };
        let many = format!("n,y\n{}", lines(65_536));
        let files = Files::new(&[("most.csv", &many), ("more.csv", &format!("{many}1,one more\n"))]);
        let opened = open(&files.config("most.csv"), 0).unwrap();
        assert_eq!((opened.train.len(), opened.schema.labels().len()), (65_536, 65_536));
        let error = message(open(&files.config("more.csv"), 0));
        assert!(error.contains("column `y`: expected at most 65536 classes"), "{error}");
        assert!(error.ends_with("is this column a class?"), "{error}");
    }

    #[test]
    fn a_label_outside_the_set_is_an_error() {
        let files = Files::new(&[("t.csv", SMALL), ("e.csv", "n,c,y\n1,red,a\n1,red,z\n")]);
        let config = files.config("t.csv");
        let schema = open(&config, 0).unwrap().schema;
        let evaluate = |config: &TableConfig| open_evaluation(config, &schema, Some(&files.uri("e.csv")), 0);
        let error = message(evaluate(&config));
        assert!(error.contains("line 3, column `y`: expected one of `a`, `b`, found `z`"), "{error}");
        let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..config.clone() };
        assert_eq!(evaluate(&skip).unwrap().len(), 1);
        assert!(message(open_evaluation(&config, &schema, None, 0)).starts_with("data.test"));
    }

    #[test]
    fn rare_categories_share_the_unknown_slot() {
        let files = Files::new(&[("t.csv", "c,y\na,0\na,1\nb,0\nb,1\nc,0\n")]);
        let config = TableConfig { max_categories: 2, ..files.config("t.csv") };
        let opened = open(&config, 0).unwrap();
        let expected = Encoding::Categorical(Category { categories: vec!["a".into(), "b".into()], rare: 1 });
        assert_eq!(opened.schema.columns[0].encoding, expected);
        assert!(opened.schema.to_string().contains("too rare for a category of their own: c in 1 cells"));
    }

    #[test]
    fn spellings_are_told_apart_where_they_are_names_and_nowhere_else() {
        let text = "v,w,y\n1.1,1.0,a.50\n1.10,1,1.50\nx,x,2.50\n1.1,1.00,2.5\n";
        let files = Files::new(&[("t.csv", text)]);
        let config = TableConfig {
            categorical: vec!["v".into(), "w".into()],
            strip_label_suffix: Some(".50".into()),
            target_kind: Some(TargetKind::Class),
            one_hot: false,
            ..files.config("t.csv")
        };
        let opened = open(&config, 0).unwrap();
        assert_eq!(opened.schema.labels(), ["1", "2", "2.5", "a"]);
        assert_eq!(opened.schema.category_sizes(), [4, 5]);
        let (_, categories, classes) = rows(opened.train.dataset());
        assert_eq!(classes, [3.0, 0.0, 1.0, 2.0]);
        assert_eq!(categories.iter().map(|row| row[0]).collect::<Vec<_>>(), [1, 2, 3, 1]);
        let words = "w,y\n1.0,a\n1,b\nx,a\nTrue,b\n1.00,a\ntrue,b\n";
        let files = Files::new(&[("t.csv", words)]);
        let guessed = open(&TableConfig { one_hot: false, ..files.config("t.csv") }, 0).unwrap();
        let (_, categories, _) = rows(guessed.train.dataset());
        assert_eq!(categories, [[1], [1], [3], [2], [1], [2]]);
    }

    #[test]
    fn a_schema_of_earlier_versions_tells_spellings_apart_and_goes_on() {
        let files = Files::new(&[("t.csv", "w,y\n1.0,True\n1,False\n2,True\n1.0,False\n")]);
        let config = TableConfig { one_hot: false, categorical: vec!["w".into()], ..files.config("t.csv") };
        let mut schema = open(&config, 0).unwrap().schema;
        let TableTarget::Classes { labels, .. } = &mut schema.target else { panic!("{schema:?}") };
        *labels = ["False", "True"].map(String::from).to_vec();
        // The recipe said nothing of categories; the cells were text for another reason.
        let undeclared = TableConfig { categorical: Vec::new(), ..config };
        let evaluated = open_evaluation(&undeclared, &schema, Some(&files.uri("t.csv")), 0).unwrap();
        let (_, categories, classes) = rows(evaluated.dataset());
        assert_eq!(categories, [[1], [2], [3], [1]]);
        assert_eq!(classes, [1.0, 0.0, 1.0, 0.0]);
        let numbers: String = (0..9).map(|row| format!("{row},{}\n", ["no", "1.0"][row % 2])).collect();
        let files = Files::new(&[("t.csv", &format!("x,y\n{numbers}"))]);
        let config = files.config("t.csv");
        let mut schema = open(&config, 0).unwrap().schema;
        assert_eq!(schema.labels(), ["1", "no"]);
        let TableTarget::Classes { labels, .. } = &mut schema.target else { panic!("{schema:?}") };
        labels[0] = "1.0".into();
        assert_eq!(reopen(&config, 0, schema.clone()).unwrap().schema, schema);
    }

    #[test]
    fn a_key_that_whole_blocks_of_objects_lack_is_missing_there() {
        let object = |row: usize| match row {
            0..60 => format!("{{\"a\": {row}, \"y\": {}}}\n", row % 2),
            _ => format!("{{\"a\": {row}, \"b\": \"x{}\", \"y\": {}}}\n", row % 3, row % 2),
        };
        let text: String = (0..90).map(object).collect();
        let files = Files::new(&[("t.jsonl", &text)]);
        let opened = open(&TableConfig { one_hot: false, ..files.config("t.jsonl") }, 0).unwrap();
        let (_, categories, _) = rows(opened.train.dataset());
        let expected: Vec<i64> = (0..90).map(|row| if row < 60 { 0 } else { row % 3 + 1 }).collect();
        assert_eq!(categories.concat(), expected);
        assert_eq!(opened.schema.columns[1].missing, 60);
    }

    #[test]
    fn jsonl_trains_like_csv() {
        let json: String = ["1,red,a", ",blue,b", "3,,a", "2,red,b"]
            .iter()
            .map(|row| {
                let cells: Vec<&str> = row.split(',').collect();
                let text = |cell: &str| if cell.is_empty() { "null".into() } else { format!("\"{cell}\"") };
                let number = if cells[0].is_empty() { "null" } else { cells[0] };
                format!("{{\"n\": {number}, \"c\": {}, \"y\": {}}}\n", text(cells[1]), text(cells[2]))
            })
            .collect();
        let files = Files::new(&[("t.csv", SMALL), ("t.jsonl", &json), ("t.txt", &json)]);
        let sorted = |name: &str, format| {
            let opened = open(&TableConfig { format, ..files.config(name) }, 0).unwrap();
            let names = opened.schema.numeric_names();
            let mut order: Vec<usize> = (0..names.len()).collect();
            order.sort_by_key(|&column| &names[column]);
            let (numeric, _, classes) = rows(opened.train.dataset());
            let numeric: Vec<Vec<f32>> =
                numeric.iter().map(|row| order.iter().map(|&column| row[column]).collect()).collect();
            (numeric, classes)
        };
        assert_eq!(sorted("t.csv", None), sorted("t.jsonl", None));
        assert_eq!(sorted("t.csv", None), sorted("t.txt", Some(Format::Jsonl)));
    }

    #[test]
    fn pipelines_read_every_row_once() {
        let files = Files::new(&[("t.csv", SMALL)]);
        let opened = open(&files.config("t.csv"), 5).unwrap();
        let batches = opened.train.batches(Default::default(), 3, &Device::flex());
        let sizes: Vec<u64> = batches.map(|batch| batch.unwrap().consumed).collect();
        assert_eq!(sizes, [3, 1]);
    }
}
