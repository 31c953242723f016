//! The wishes of a recipe, or of a run that goes on, about one column.

use super::{DateOrder, DatePart, Encoding};
use crate::OnCorrupt;

/// The recipe's wishes about a column.
#[derive(Clone, Debug)]
pub(crate) struct Wishes<'a> {
    /// What it is to hold; its cells decide where absent.
    pub kind: Option<Kind<'a>>,
    /// Categories that are kept, the most frequent first.
    pub max_categories: usize,
    /// The fate of a cell that is none of the column's type.
    pub on_corrupt: OnCorrupt,
    /// The numbers that dates become.
    pub date_parts: &'a [DatePart],
    /// The format of dates that the recipe states.
    pub date_format: Option<&'a str>,
    /// True where keys of the recipe say how numbers and dates are spelled: a target that may be some is refused
    /// until they do.
    pub spelled: bool,
}

/// What a column is to hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    /// Numbers, or values to predict.
    Numbers,
    /// Categories, or classes to predict.
    Categories,
    /// Dates, in whatever order their cells tell.
    Dates,
    /// What a run holds that began with it, whatever its cells look like.
    As(&'a Encoding),
}

impl Wishes<'static> {
    /// Of a recipe that says nothing of the column.
    pub(crate) fn none(max_categories: usize, on_corrupt: OnCorrupt) -> Self {
        let date_parts = &[DatePart::Days];
        Wishes { kind: None, max_categories, on_corrupt, date_parts, date_format: None, spelled: false }
    }
}

impl Wishes<'_> {
    /// The kind of the column, where it is known before its cells are.
    pub(super) fn stated(&self) -> Option<Stated<'_>> {
        Some(match self.kind.as_ref()? {
            Kind::Numbers | Kind::As(Encoding::Numeric(_)) => Stated::Numbers,
            Kind::Categories | Kind::As(Encoding::Categorical(_)) => Stated::Categories,
            Kind::Dates => Stated::Dates(None),
            Kind::As(Encoding::Date(date)) => Stated::Dates(Some(&date.order)),
        })
    }
}

/// The kind of a column that is known before its cells are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stated<'a> {
    /// Numbers.
    Numbers,
    /// Categories.
    Categories,
    /// Dates of this order, or of that which their cells tell.
    Dates(Option<&'a DateOrder>),
}
