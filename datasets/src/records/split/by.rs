//! The ways to divide a set, and the recipe's choice among them.

use super::times::Time;
use crate::{DataError, Split};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The way that samples are held out of a set, kept in the schema of a run: a run that goes on, and its
/// evaluation, hold out what the run began with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// All alike, at random; what schemas mean that do not say. Streamed sets hold out whole blocks so.
    #[default]
    Random,
    /// At random, of each class its share.
    Stratified,
    /// At random, whole groups: the samples of one value in this column.
    Groups(String),
    /// The last by this column.
    Time(String),
}

/// In the words that follow "held out:".
impl fmt::Display for SplitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SplitBy::Random => f.write_str("at random"),
            SplitBy::Stratified => f.write_str("at random, of each class its share"),
            SplitBy::Groups(column) => write!(f, "at random, whole groups of `{column}`, which is no input"),
            SplitBy::Time(column) => write!(f, "the last by `{column}`"),
        }
    }
}

/// The recipe's keys that say how a set is divided.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes<'a> {
    pub stratify: Option<bool>,
    pub group_column: Option<&'a str>,
    pub time_column: Option<&'a str>,
    /// Shares to hold out of the training set, for validation and tests.
    pub fractions: (f64, f64),
}

impl<'a> Wishes<'a> {
    /// Refuses ways that exclude each other.
    ///
    /// # Errors
    /// Names two keys.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let refuse = |key: &str, beside: &str, found: &str| {
            Err(DataError::config(key, format!("none beside data.{beside}"), format!("`{found}`")))
        };
        match *self {
            Wishes { group_column: Some(column), time_column: Some(_), .. } => {
                refuse("group_column", "time_column", column)
            }
            Wishes { stratify: Some(true), group_column: Some(column), .. } => {
                refuse("group_column", "stratify = true", column)
            }
            Wishes { stratify: Some(true), time_column: Some(column), .. } => {
                refuse("time_column", "stratify = true", column)
            }
            _ => Ok(()),
        }
    }

    /// True where something is held out of the training set.
    pub(crate) fn any(&self) -> bool {
        self.fractions != (0.0, 0.0)
    }

    /// The column that decides what is held out, and its key; none where no column does.
    pub(crate) fn column(&self) -> Option<(&'static str, &'a str)> {
        let group = self.group_column.map(|column| ("group_column", column));
        group.or(self.time_column.map(|column| ("time_column", column))).filter(|_| self.any())
    }

    /// The way that the recipe asks for; `are_classes` says whether the targets are.
    ///
    /// # Errors
    /// `are_classes`' own, and when classes are to have their shares where there are none.
    pub(crate) fn split(
        &self,
        are_classes: impl FnOnce() -> Result<bool, DataError>,
    ) -> Result<SplitBy, DataError> {
        match *self {
            _ if !self.any() => Ok(SplitBy::Random),
            Wishes { group_column: Some(column), .. } => Ok(SplitBy::Groups(column.to_string())),
            Wishes { time_column: Some(column), .. } => Ok(SplitBy::Time(column.to_string())),
            Wishes { stratify: Some(false), .. } => Ok(SplitBy::Random),
            Wishes { stratify, .. } => match (are_classes()?, stratify) {
                (true, _) => Ok(SplitBy::Stratified),
                (false, Some(true)) => {
                    Err(DataError::config("stratify", "false where the target is no class", true))
                }
                (false, _) => Ok(SplitBy::Random),
            },
        }
    }

    /// Refuses what blocks cannot do: their samples are held out together.
    ///
    /// # Errors
    /// Names the key, and the ways out.
    pub(crate) fn check_blocks(&self) -> Result<(), DataError> {
        let stratify = self.stratify.filter(|&wish| wish).map(|wish| ("stratify", wish.to_string()));
        let column = self.column().map(|(key, column)| (key, format!("`{column}`")));
        match column.or(stratify.filter(|_| self.any())) {
            None => Ok(()),
            Some((key, found)) => {
                let expected = "none where the set is streamed, as whole blocks of it are held out (`stream = \
                                false`, or files of their own for valid and test)";
                Err(DataError::config(key, expected, found))
            }
        }
    }

    /// Tells the log that whole blocks are held out where classes would have their shares.
    pub(crate) fn tell_blocks(&self, uri: &str) {
        if self.any() && self.stratify.is_none() {
            log::warn!("{uri}: streamed sets hold out whole blocks of samples: not stratified");
        }
    }
}

/// The samples of a set, each by what decides its part.
#[derive(Debug)]
pub(crate) enum Samples {
    /// So many, all alike.
    Alike(usize),
    /// The class of each.
    Classes(Vec<u32>),
    /// The group of each; none where it is in no part, as it cannot be read.
    Groups(Vec<Option<u32>>),
    /// The time of each; none where it is in no part.
    Times(Vec<Option<Time>>),
}

impl Samples {
    /// Divides the samples, a pure function of the arguments.
    ///
    /// # Errors
    /// When a part that is asked for, or the training part, holds no sample.
    pub(crate) fn divide(
        self,
        (valid_fraction, test_fraction): (f64, f64),
        seed: u64,
    ) -> Result<Split, DataError> {
        let (split, unit) = match self {
            Samples::Alike(len) => (Split::new(len as u64, valid_fraction, test_fraction, seed), "sample"),
            Samples::Classes(classes) => {
                (Split::stratified(&classes, valid_fraction, test_fraction, seed), "sample")
            }
            Samples::Groups(groups) => {
                let (present, groups) = known(groups);
                let split = Split::grouped(&groups, valid_fraction, test_fraction, seed);
                (split.among(&present), "group of samples")
            }
            Samples::Times(times) => {
                let (present, times) = known(times);
                let split = Split::by_time(&times, valid_fraction, test_fraction);
                (split.among(&present), "sample of a time of its own")
            }
        };
        let parts = [split.train.len(), split.valid.len(), split.test.len()];
        super::check_parts(parts, unit, valid_fraction, test_fraction)?;
        Ok(split)
    }
}

/// The samples that have a key, and their keys.
fn known<K>(keys: Vec<Option<K>>) -> (Vec<u64>, Vec<K>) {
    (0..).zip(keys).filter_map(|(index, key)| Some((index, key?))).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD_OUT: Wishes =
        Wishes { stratify: None, group_column: None, time_column: None, fractions: (0.0, 0.2) };

    #[test]
    fn classes_have_their_shares_unless_the_recipe_says_otherwise() {
        let by = |wishes: Wishes, classes| wishes.split(|| Ok(classes)).map_err(|error| error.to_string());
        assert_eq!(by(HELD_OUT, true), Ok(SplitBy::Stratified));
        assert_eq!(by(HELD_OUT, false), Ok(SplitBy::Random));
        assert_eq!(by(Wishes::default(), true), Ok(SplitBy::Random));
        assert_eq!(by(Wishes { stratify: Some(false), ..HELD_OUT }, true), Ok(SplitBy::Random));
        let stratify = Wishes { stratify: Some(true), ..HELD_OUT };
        assert_eq!(by(stratify, true), Ok(SplitBy::Stratified));
        let expected = "data.stratify: expected false where the target is no class, found true";
        assert_eq!(by(stratify, false), Err(expected.to_string()));
        let groups = Wishes { group_column: Some("g"), ..HELD_OUT };
        assert_eq!(by(groups, true), Ok(SplitBy::Groups("g".into())));
        let time = Wishes { time_column: Some("t"), stratify: Some(false), ..HELD_OUT };
        assert_eq!(by(time, true), Ok(SplitBy::Time("t".into())));
    }

    #[test]
    fn ways_that_exclude_each_other_are_refused() {
        let refused = |wishes: Wishes| wishes.check().unwrap_err().to_string();
        let both = Wishes { group_column: Some("g"), time_column: Some("t"), ..HELD_OUT };
        assert_eq!(refused(both), "data.group_column: expected none beside data.time_column, found `g`");
        let stratified = Wishes { stratify: Some(true), time_column: Some("t"), ..HELD_OUT };
        assert_eq!(
            refused(stratified),
            "data.time_column: expected none beside data.stratify = true, found `t`"
        );
        assert!(
            refused(Wishes { stratify: Some(true), group_column: Some("g"), ..HELD_OUT }).contains("`g`")
        );
        assert!(Wishes { stratify: Some(false), group_column: Some("g"), ..HELD_OUT }.check().is_ok());
    }

    #[test]
    fn blocks_hold_no_class_group_or_time_together() {
        let refused = |wishes: Wishes| wishes.check_blocks().err().map(|error| error.to_string());
        let of = |key: &str| refused(Wishes { stratify: Some(key == "stratify"), ..HELD_OUT });
        assert!(
            of("stratify").unwrap().starts_with("data.stratify: expected none where the set is streamed")
        );
        assert_eq!(of("none"), None);
        let group = refused(Wishes { group_column: Some("g"), ..HELD_OUT }).unwrap();
        assert!(group.starts_with("data.group_column") && group.ends_with("found `g`"), "{group}");
        assert!(refused(Wishes { time_column: Some("t"), ..HELD_OUT }).unwrap().contains("stream = false"));
        // Nothing is held out of it.
        assert_eq!(refused(Wishes { time_column: Some("t"), ..Wishes::default() }), None);
    }

    #[test]
    fn schemas_that_do_not_say_mean_at_random() {
        #[derive(Deserialize)]
        struct Schema {
            #[serde(default)]
            split: SplitBy,
        }
        let read = |text: &str| serde_json::from_str::<Schema>(text).unwrap().split;
        assert_eq!(read("{}"), SplitBy::Random);
        assert_eq!(read(r#"{"split": "random"}"#), SplitBy::Random);
        assert_eq!(read(r#"{"split": "stratified"}"#), SplitBy::Stratified);
        assert_eq!(read(r#"{"split": {"groups": "patient"}}"#), SplitBy::Groups("patient".into()));
        assert_eq!(read(r#"{"split": {"time": "day"}}"#), SplitBy::Time("day".into()));
    }

    #[test]
    fn parts_without_a_group_or_a_time_are_refused() {
        let refused = |samples: Samples| samples.divide((0.2, 0.2), 1).unwrap_err().to_string();
        let groups = refused(Samples::Groups([vec![Some(1); 5], vec![Some(2); 5]].concat()));
        assert_eq!(
            groups,
            "data.valid_fraction: expected a share that holds at least one group of samples, found 0.2 of 10"
        );
        let time = refused(Samples::Times(vec![Time::of_number(1.0); 10]));
        assert!(time.contains("at least one sample of a time of its own"), "{time}");
        let left =
            Samples::Groups(vec![Some(1), None, Some(2), Some(3), None]).divide((0.0, 0.4), 1).unwrap();
        assert_eq!(left.train.len() + left.test.len(), 3);
        assert!([left.train, left.test].concat().iter().all(|index| ![1, 4].contains(index)));
    }
}
