//! The names of a CSV's columns, by its first row.

use crate::DataError;
use crate::records::dialect::Given;
use crate::records::once::warn_once;
use ::csv::StringRecord;
use std::collections::{HashMap, HashSet};

/// The names that a header gives its columns. An empty one is `column 3`, and of several that are alike all
/// but the first get a number behind, `a.1`, as in pandas; both are told, and so is a header of numbers where
/// the recipe does not say that there is one.
pub(super) fn of_header(uri: &str, line: u64, header: &StringRecord, given: Given<'_>) -> Vec<String> {
    let cells: Vec<&str> = header.iter().map(str::trim).collect();
    if !given.has_header && !cells.is_empty() && cells.iter().all(|cell| cell.parse::<f64>().is_ok()) {
        let first = cells.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        warn_once(format!(
            "{uri}, line {line}: the header is numbers ({first}{}); data.has_header = false if it is a row",
            if cells.len() > 3 { ", …" } else { "" }
        ));
    }
    let unnamed = cells.iter().filter(|cell| cell.is_empty()).count();
    if unnamed > 0 {
        let first = cells.iter().position(|cell| cell.is_empty()).unwrap_or(0);
        warn_once(format!(
            "{uri}, line {line}: {unnamed} of the columns have no name; `column {first}` is what the first of them is \
             called"
        ));
    }
    let named = |(index, cell): (usize, &&str)| match *cell {
        "" => format!("column {index}"),
        cell => cell.to_string(),
    };
    let names: Vec<String> = cells.iter().enumerate().map(named).collect();
    let distinct = distinct(&names);
    let written: HashSet<&String> = names.iter().collect();
    let renamed: Vec<String> =
        distinct.iter().filter(|name| !written.contains(name)).take(3).cloned().collect();
    if !renamed.is_empty() {
        warn_once(format!("{uri}, line {line}: columns of one name, called `{}` …", renamed.join("`, `")));
    }
    distinct
}

/// Names of which no two are alike, as pandas makes them.
fn distinct(names: &[String]) -> Vec<String> {
    let mut taken: HashSet<String> = names.iter().cloned().collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut distinct = Vec::with_capacity(names.len());
    for name in names {
        let count = counts.entry(name).or_default();
        let mut new = name.clone();
        while *count > 0 && taken.contains(&new) {
            new = format!("{name}.{count}");
            *count += 1;
        }
        *count = (*count).max(1);
        taken.insert(new.clone());
        distinct.push(new);
    }
    distinct
}

/// The names of a recipe for rows of `width` cells; without a header one of them may be lacking.
///
/// # Errors
/// The number of names, where it is not that of the cells.
pub(super) fn of_recipe(
    names: &[String],
    width: usize,
    header: bool,
    optional: Option<&str>,
) -> Result<Vec<String>, usize> {
    let mut names = names.to_vec();
    if names.len() == width + 1 && !header {
        names.retain(|name| Some(name.as_str()) != optional);
    }
    if names.len() == width { Ok(names) } else { Err(names.len()) }
}

/// Refuses names of a recipe of which two are alike.
///
/// # Errors
/// Names the first that is there twice.
pub(super) fn check_distinct(names: &[String]) -> Result<(), DataError> {
    let mut sorted: Vec<&String> = names.iter().collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(DataError::config("column_names", "distinct names", format!("`{}` twice", pair[0])))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The columns of `pandas.read_csv` (3.1) for these headers.
    #[test]
    fn columns_of_one_name_are_numbered_as_in_pandas() {
        for (header, columns) in [
            ("a,a,y", "a,a.1,y"),
            ("a,a,a,a.1", "a,a.2,a.3,a.1"),
            ("a,a.1,a", "a,a.1,a.2"),
            ("b,a,b,a,b", "b,a,b.1,a.1,b.2"),
            ("a.1,a,a,a", "a.1,a,a.2,a.3"),
            ("a,a,a.1,a.1", "a,a.2,a.1,a.1.1"),
        ] {
            let names: Vec<String> = header.split(',').map(str::to_string).collect();
            assert_eq!(distinct(&names).join(","), columns, "{header}");
        }
    }
}
