//! The table of a run that goes on, held against the columns that the run began with.

use super::schema::TableSchema;
use crate::DataError;
use crate::fields::{Encoding, TableTarget, share_spellings};
use crate::records::canonical;
use crate::resumed::check_names;

/// Refuses a table whose training rows are not those that a run `began` with; `found` are the columns as they
/// are learned from the rows of today.
///
/// # Errors
/// Names the first difference: columns, classes, the number of training rows, or the numbers or categories of
/// a column.
pub(super) fn check_same(uri: &str, began: &TableSchema, found: &TableSchema) -> Result<(), DataError> {
    let names = |schema: &TableSchema| -> Vec<String> {
        schema.columns.iter().map(|column| column.name.clone()).collect()
    };
    check_names(uri, "input columns", &names(began), &names(found))?;
    check_target(uri, &began.target, &found.target)?;
    if began.rows != found.rows {
        let expected = format!("the {} training rows that the run began with", began.rows);
        return Err(DataError::source(uri, expected, found.rows));
    }
    for (began, found) in began.columns.iter().zip(&found.columns) {
        check_encoding(uri, &began.name, &began.encoding, &found.encoding)?;
    }
    Ok(())
}

fn check_target(uri: &str, began: &TableTarget, found: &TableTarget) -> Result<(), DataError> {
    if began.name() != found.name() {
        let expected = format!("the target `{}` that the run began with", began.name());
        return Err(DataError::source(uri, expected, format!("`{}`", found.name())));
    }
    match (began, found) {
        (TableTarget::Classes { labels, .. }, TableTarget::Classes { labels: now, .. }) => {
            check_names(uri, "classes", &values(labels), &values(now))
        }
        (TableTarget::Value { name, mean, std }, TableTarget::Value { mean: now, std: spread, .. }) => {
            check_numbers(uri, name, (*mean, *std), (*now, *spread))
        }
        (TableTarget::Classes { .. }, TableTarget::Value { .. }) => {
            Err(DataError::source(uri, "a target of classes that the run began with", "values"))
        }
        (TableTarget::Value { .. }, TableTarget::Classes { .. }) => {
            Err(DataError::source(uri, "a target of values that the run began with", "classes"))
        }
    }
}

fn check_encoding(uri: &str, name: &str, began: &Encoding, found: &Encoding) -> Result<(), DataError> {
    let place = || format!("column `{name}`");
    match (began, found) {
        (Encoding::Numeric(began), Encoding::Numeric(now)) => {
            check_numbers(uri, name, (began.mean, began.std), (now.mean, now.std))
        }
        (Encoding::Categorical(began), Encoding::Categorical(now)) => check_names(
            uri,
            &format!("categories of `{name}`"),
            &values(&began.categories),
            &values(&now.categories),
        ),
        (Encoding::Date(began), Encoding::Date(now)) => {
            if began.order != now.order {
                let expected = format!("dates that the run began with, {}", began.order);
                return Err(DataError::malformed(uri, place(), expected, &now.order));
            }
            check_numbers(uri, name, (began.mean, began.std), (now.mean, now.std))
        }
        (began, now) => {
            let expected = format!("{}, which the run began with", kind(began));
            Err(DataError::malformed(uri, place(), expected, kind(now)))
        }
    }
}

/// What a column holds.
fn kind(encoding: &Encoding) -> &'static str {
    match encoding {
        Encoding::Numeric(_) => "numbers",
        Encoding::Categorical(_) => "categories",
        Encoding::Date(_) => "dates",
    }
}

/// Labels in the spelling that a table of today has them in; as they are where two are spellings of one value.
fn values(labels: &[String]) -> Vec<String> {
    match share_spellings(labels) {
        true => labels.to_vec(),
        false => labels.iter().map(|label| canonical(label).into_owned()).collect(),
    }
}

/// Refuses numbers of another mean or deviation, but for their last digits.
fn check_numbers(uri: &str, name: &str, began: (f64, f64), found: (f64, f64)) -> Result<(), DataError> {
    let most = 1e-9 * (began.0.abs() + began.1);
    if (began.0 - found.0).abs() <= most && (began.1 - found.1).abs() <= most {
        return Ok(());
    }
    let words = |(mean, std): (f64, f64)| format!("mean {mean}, standard deviation {std}");
    let expected = format!("the numbers that the run began with ({})", words(began));
    Err(DataError::malformed(uri, format!("column `{name}`"), expected, format!("others ({})", words(found))))
}
