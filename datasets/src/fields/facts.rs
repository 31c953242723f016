//! What a survey tells of a column, for people to look at: no row is encoded by it.

use super::spread::Spread;
use crate::records::{round, round_days};
use serde::{Deserialize, Serialize};

/// The training cells of a column in a few figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// What made the column what it is.
    pub why: Why,
    /// Different values; none where there are too many to count: more than 256 numbers or dates, or more than
    /// 65,536 categories.
    pub distinct: Option<u64>,
    /// The lowest and the highest number, or date in days since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
    /// The commonest category and its cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commonest: Option<(String, u64)>,
}

/// What made a column numbers, categories or dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A key of the recipe.
    Recipe,
    /// Its cells.
    Cells,
}

impl Facts {
    /// The facts of numbers.
    pub(super) fn of(why: Why, spread: &Spread) -> Self {
        Facts::rounded(why, spread, round)
    }

    /// The facts of dates in days.
    pub(super) fn of_dates(why: Why, spread: &Spread) -> Self {
        Facts::rounded(why, spread, round_days)
    }

    fn rounded(why: Why, spread: &Spread, round: fn(f64) -> f64) -> Self {
        let range = (spread.count > 0).then(|| (round(spread.low), round(spread.high)));
        Facts { why, distinct: spread.different(), range, commonest: None }
    }
}
