//! The keys that a run may change when it goes on.

use crate::Recipe;
use crate::paths::{PATHS, is_one_place};
use bonfire_datasets::table::MISSING;
use serde_json::Value;
use std::collections::BTreeMap;

/// The keys that no step depends on. A section or table stands for all keys below it.
pub const MAY_CHANGE: [&str; 12] = [
    "description",
    "device",
    "data.crops",
    "data.workers",
    "data.prefetch_bytes",
    "train.evaluate_every",
    "train.evaluate_batch_size",
    "train.top_k",
    "train.early_stopping",
    "train.report_every",
    "train.gradient_checkpointing",
    "checkpoint",
];

/// The test set, which no step depends on where it gives no share of the training set back.
pub const TEST: &str = "data.test";

/// The length of training, which no step depends on where the schedule does not.
pub const LENGTH: [&str; 2] = ["train.epochs", "train.steps"];

impl Recipe {
    /// The first key in which two recipes differ and that a run may not change when it goes on, with both its
    /// values; none where the second recipe describes the same run.
    pub fn difference(&self, other: &Recipe) -> Option<String> {
        self.difference_but(other, &[])
    }

    /// As [`difference`](Self::difference); where both recipes have a key of `moved`, its values may differ:
    /// the same data lie elsewhere.
    pub fn difference_but(&self, other: &Recipe, moved: &[&str]) -> Option<String> {
        let free = |key: &str| {
            MAY_CHANGE.iter().any(|free| is_at_or_below(key, free))
                || LENGTH.contains(&key)
                    && ![self, other].iter().any(|recipe| recipe.schedule.depends_on_length())
        };
        let (ours, theirs) = (self.keys(), other.keys());
        // A share is held out of the training set where no test set is given.
        let shared = |keys: &BTreeMap<String, Value>| {
            let share = keys.get("data.test_fraction").and_then(Value::as_f64);
            !keys.contains_key(TEST) && share.is_some_and(|share| share > 0.0)
        };
        let shares = shared(&ours) || shared(&theirs);
        let free = |key: &str| free(key) || key == TEST && !shares;
        let mut keys: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
        keys.sort();
        let same = |key: &str| match (ours.get(key), theirs.get(key)) {
            (Some(_), Some(_)) if moved.contains(&key) => true,
            (Some(a), Some(b)) if PATHS.contains(&key) => is_one_place(a, b),
            (a, b) => a == b,
        };
        let differing = keys.into_iter().find(|key| !same(key) && !free(key))?;
        let stated = |keys: &BTreeMap<String, Value>| match keys.get(differing) {
            Some(value) => format!("'{differing} = {value}'"),
            None => format!("no '{differing}'"),
        };
        Some(format!("{} against {}", stated(&ours), stated(&theirs)))
    }

    /// Every key that has a value, dotted.
    fn keys(&self) -> BTreeMap<String, Value> {
        let mut keys = BTreeMap::new();
        self.sections().into_iter().for_each(|(name, value)| flatten(name, value, &mut keys));
        // Marks that every table has add none, stated or not: earlier versions stated some of them.
        if keys.get("data.keep_default_missing") == Some(&Value::Bool(true))
            && let Some(Value::Array(marks)) = keys.get_mut("data.missing")
        {
            marks.retain(|mark| mark.as_str().is_none_or(|mark| !MISSING.contains(&mark)));
        }
        keys
    }
}

/// True where `key` is `section`, or one of the keys below it.
fn is_at_or_below(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Puts a value under its dotted key; of a table, each of its values.
fn flatten(path: &str, value: Value, keys: &mut BTreeMap<String, Value>) {
    match value {
        Value::Null => {}
        Value::Object(table) => {
            table.into_iter().for_each(|(key, value)| flatten(&format!("{path}.{key}"), value, keys));
        }
        value => _ = keys.insert(path.to_string(), value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BUILTIN, Document};

    fn recipe(sets: &[&str]) -> Recipe {
        let (name, text) = BUILTIN.iter().find(|(name, _)| *name == "fashion").unwrap();
        let mut document = Document::parse(name, text).unwrap();
        sets.iter().for_each(|set| document.set(set).unwrap());
        Recipe::resolve(&document).unwrap()
    }

    #[test]
    fn keys_that_no_step_depends_on_may_change() {
        let sets = [
            "description=x",
            "device=ndarray",
            "data.crops=5",
            "train.evaluate_every=7",
            "train.report_every=3",
            "checkpoint.every_steps=9",
            "data.workers=3",
            "data.prefetch_bytes=9",
            "train.evaluate_batch_size=7",
            "train.top_k=3",
            "data.test=elsewhere",
        ];
        assert_eq!(recipe(&[]).difference(&recipe(&sets)), None);
    }

    #[test]
    fn a_test_set_may_change_unless_the_training_set_changes_with_it() {
        let rows = |keys: &str| {
            let text = format!(
                "[data]\nkind = 'table'\ntrain = 'x.csv'\ntarget = 'y'\n{keys}\n[model]\nname = 'mlp'"
            );
            Recipe::resolve(&Document::parse("r.toml", &text).unwrap()).unwrap()
        };
        assert_eq!(rows("").difference(&rows("test = 'a.csv'")), None);
        let share = "test_fraction = 0.2";
        let beside = |test: &str| rows(&format!("{share}\ntest = '{test}'"));
        assert_eq!(beside("a.csv").difference(&beside("b.csv")), None);
        // The held out rows are trained on where a test set is given.
        let difference = rows(share).difference(&beside("b.csv")).unwrap();
        assert_eq!(difference, "no 'data.test' against 'data.test = \"b.csv\"'");
    }

    #[test]
    fn marks_that_every_table_has_may_be_stated() {
        let rows = |keys: &str| {
            let text = format!(
                "[data]\nkind = 'table'\ntrain = 'x.csv'\ntarget = 'y'\n{keys}\n[model]\nname = 'mlp'"
            );
            Recipe::resolve(&Document::parse("r.toml", &text).unwrap()).unwrap()
        };
        let stated = "missing = ['', '?', 'NA', 'NaN', 'null']";
        assert_eq!(rows("").difference(&rows(stated)), None);
        assert!(rows("").difference(&rows("missing = ['-']")).is_some());
        let alone = format!("keep_default_missing = false\n{stated}");
        assert!(rows("").difference(&rows(&alone)).is_some());
    }

    #[test]
    fn a_path_is_the_same_from_its_folder_on_and_may_be_told_to_have_moved() {
        let rows = |keys: &str| {
            let text = format!("[data]\nkind = 'table'\ntarget = 'y'\n{keys}\n[model]\nname = 'mlp'");
            Recipe::resolve(&Document::parse("r.toml", &text).unwrap()).unwrap()
        };
        let (relative, here) = (rows("train = 'd/x.csv'"), rows("train = '/r/d/x.csv'"));
        assert_eq!(relative.difference(&here), None);
        let there = rows("train = '/s/d/x.csv'");
        assert!(here.difference(&there).unwrap().starts_with("'data.train = "));
        assert_eq!(here.difference_but(&there, &["data.train"]), None);
        // A set that was not there is no set that has moved.
        let more = rows("train = '/r/d/x.csv'\nvalid = 'v.csv'");
        assert!(here.difference_but(&more, &["data.train", "data.valid"]).is_some());
    }

    #[test]
    fn a_key_that_steps_depend_on_is_named_with_both_values() {
        let difference = |set: &str| recipe(&[]).difference(&recipe(&[set]));
        let rate = difference("optimizer.learning_rate=0.5").unwrap();
        assert!(rate.contains("optimizer.learning_rate = ") && rate.ends_with("= 0.5'"), "{rate}");
        assert!(difference("data.valid_fraction=0.25").is_some());
        assert_eq!(
            difference("train.accumulate=3").unwrap(),
            "'train.accumulate = 1' against 'train.accumulate = 3'"
        );
    }

    #[test]
    fn the_length_may_change_under_a_schedule_that_does_not_depend_on_it() {
        let of = |schedule: &str, epochs: u64| {
            recipe(&[&format!("schedule.name={schedule}"), &format!("train.epochs={epochs}")])
        };
        assert_eq!(of("constant", 2).difference(&of("constant", 3)), None);
        let difference = of("one_cycle", 2).difference(&of("one_cycle", 3)).unwrap();
        assert_eq!(difference, "'train.epochs = 2' against 'train.epochs = 3'");
    }

    #[test]
    fn the_keys_that_may_change_are_keys_of_recipes() {
        let keys = recipe(&["train.evaluate_every=7", "train.early_stopping=3", "train.steps=9"]).keys();
        for free in MAY_CHANGE.iter().chain(&LENGTH).chain([&TEST]) {
            let known = keys.keys().any(|key| is_at_or_below(key, free));
            assert!(known || *free == "train.epochs", "{free}");
        }
    }
}
