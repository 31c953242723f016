//! The columns of a table as a schema keeps them.

use super::{Category, Date, Facts, Field, Number};
use serde::{Deserialize, Serialize};

/// An input column and how its cells become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name in the files.
    pub name: String,
    /// Cells of the training rows without a value.
    pub missing: u64,
    /// The way of a cell to numbers.
    pub encoding: Encoding,
    /// Facts beside these about its training cells; none in a schema of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
}

/// The way of the cells of a column to numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A number.
    Numeric(Number),
    /// One of some categories.
    Categorical(Category),
    /// A date or a time.
    Date(Date),
}

impl Encoding {
    /// The kind of column that it is.
    pub(crate) fn field(&self) -> &dyn Field {
        match self {
            Encoding::Numeric(number) => number,
            Encoding::Categorical(category) => category,
            Encoding::Date(date) => date,
        }
    }
}

impl Column {
    /// The categories that its index is one of, behind the unknown; none where it holds numbers or dates.
    pub fn categories(&self) -> &[String] {
        self.encoding.field().categories()
    }

    /// The numeric columns of a batch that this one becomes; `one_hot` where categories become some.
    pub(crate) fn width(&self, one_hot: bool) -> usize {
        let field = self.encoding.field();
        field.kept().numbers + if one_hot { field.categories().len() } else { 0 }
    }
}
