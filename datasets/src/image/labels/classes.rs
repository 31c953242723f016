//! The classes and labels that rows say together.

use super::rows::{Answer, Row};
use crate::image::ImageConfig;
use crate::image::gathered::Classes;
use crate::records::{quoted, sort_labels};
use crate::{DataError, bounds};
use std::collections::{BTreeSet, HashMap};

/// Different whole numbers as labels above which it is told that they are classes.
const MANY_NUMBERS: usize = 20;

/// The rows, one a picture.
///
/// # Errors
/// When two of a picture differ.
pub(super) fn without_repeats(uri: &str, rows: Vec<Row>) -> Result<Vec<Row>, DataError> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    let mut repeats = 0u64;
    for row in rows {
        let Some(&at) = places.get(&row.uri) else {
            places.insert(row.uri.clone(), kept.len());
            kept.push(row);
            continue;
        };
        let first = &kept[at];
        for (what, is_same) in
            [("answer about", first.answer == row.answer), ("group of", first.group == row.group)]
        {
            if !is_same {
                let expected = format!("the same {what} {} as in {}", row.uri, first.place);
                return Err(DataError::source(&row.place, expected, "another"));
            }
        }
        repeats += 1;
    }
    if repeats > 0 {
        log::warn!("{uri}: {repeats} rows say again what another row says, and count once");
    }
    Ok(kept)
}

/// The number of each row's group; none where pictures are not held out by groups.
pub(super) fn groups(rows: &[Row]) -> Option<Vec<u32>> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut groups = Vec::with_capacity(rows.len());
    for row in rows {
        let next = numbers.len() as u32;
        groups.push(*numbers.entry(row.group.as_deref()?).or_insert(next));
    }
    Some(groups)
}

/// The classes of rows.
///
/// # Errors
/// When they are numbers that are not whole, or more than any model has.
pub(super) fn classes(uri: &str, rows: &[Row]) -> Result<Classes, DataError> {
    let class = |row: &Row| match &row.answer {
        Answer::Class(class) => class.clone(),
        Answer::Nothing | Answer::Value(_) | Answer::Labels(_) => String::new(),
    };
    let mut names: Vec<String> = rows.iter().map(class).collect::<BTreeSet<_>>().into_iter().collect();
    if names.len() > bounds::MOST_CLASSES {
        return Err(DataError::source(
            uri,
            "labels that are classes",
            format!("{} different ones", names.len()),
        ));
    }
    let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        if let Some(number) = numbers.iter().find(|number| number.fract() != 0.0) {
            let expected = "\"value\", as the labels are numbers and not all are whole";
            return Err(DataError::config("target", expected, format!("\"class\" with the label {number}")));
        }
        if numbers.len() > MANY_NUMBERS {
            log::warn!(
                "{uri}: {} different numbers are classes; data.target = \"value\" learns them as numbers",
                numbers.len()
            );
        }
    }
    sort_labels(&mut names);
    let index: HashMap<&str, usize> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let classes = rows.iter().map(|row| index[class(row).as_str()]).collect();
    Ok(Classes::Named { uri: uri.to_string(), names, classes })
}

/// The labels of rows, of which a picture may have any number: in the order of their columns, or sorted.
///
/// # Errors
/// When there are more than any model has.
pub(super) fn several(uri: &str, config: &ImageConfig, rows: &[Row]) -> Result<Classes, DataError> {
    let of = |row: &Row| match &row.answer {
        Answer::Labels(labels) => labels.clone(),
        Answer::Nothing | Answer::Class(_) | Answer::Value(_) => BTreeSet::new(),
    };
    let mut names = config.label_columns.clone();
    if names.is_empty() {
        names = rows.iter().flat_map(of).collect::<BTreeSet<_>>().into_iter().collect();
        sort_labels(&mut names);
    }
    if names.len() > bounds::MOST_CLASSES {
        let found = format!("{} different ones", names.len());
        return Err(DataError::source(uri, "labels that pictures share", found));
    }
    let index: HashMap<&str, usize> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let set = |row: &Row| -> BTreeSet<usize> { of(row).iter().map(|label| index[label.as_str()]).collect() };
    let sets: Vec<Vec<usize>> = rows.iter().map(|row| set(row).into_iter().collect()).collect();
    let mut has = vec![false; names.len()];
    sets.iter().flatten().for_each(|label| has[*label] = true);
    let never: Vec<String> =
        names.iter().zip(has).filter(|(_, has)| !has).map(|(name, _)| name.clone()).collect();
    if !never.is_empty() {
        log::warn!("{uri}: no picture has the labels {}", quoted(&never));
    }
    Ok(Classes::Several { uri: uri.to_string(), names, sets })
}
