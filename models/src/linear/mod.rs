//! Models of table rows: linear, logistic and softmax regression, and the multi-layer perceptron; and the same
//! regressions of texts.

mod affine;
mod bag;
mod linear_regression;
mod logistic_regression;
mod mlp;

pub use bag::{BagRegression, BagRegressionConfig};
pub use linear_regression::{LinearRegression, LinearRegressionConfig};
pub use logistic_regression::{LogisticRegression, LogisticRegressionConfig};
pub use mlp::{Mlp, MlpConfig, Norm};

use bonfire_contract::ConfigError;

/// Refuses a table that has no column, or a categorical one without categories.
fn check_columns(
    model: &'static str,
    num_numeric: usize,
    category_sizes: &[usize],
) -> Result<(), ConfigError> {
    let columns = num_numeric + category_sizes.len();
    ConfigError::check(columns > 0, model, "num_numeric", "at least one column", "none, and no categories")?;
    let filled = category_sizes.iter().all(|size| *size > 0);
    let found = format!("{category_sizes:?}");
    ConfigError::check(filled, model, "category_sizes", "at least 1 category a column", found)
}
