//! The column to predict: the one that is asked for or likely, and what is known of its classes.

use super::{Asked, refuse};
use crate::RecipeError;
use bonfire_contract::{did_you_mean, nearest};
use bonfire_datasets::look::{Candidate, ColumnLook, Look, Question, RowsLook};

/// The least share of rows that the rarest class should have, for accuracy to say something.
const BALANCED: f64 = 0.1;

/// Columns that are named in a line.
const NAMED: usize = 8;

/// The column to predict.
pub(super) struct Target {
    pub name: String,
    pub question: Question,
    pub why: String,
}

/// The column to predict.
pub(super) fn target(
    look: &Look,
    rows: &RowsLook,
    asked: &Asked,
    told: &mut Vec<String>,
) -> Result<Target, RecipeError> {
    let targets = rows.targets();
    let of = |candidate: &Candidate, why: &str| Target {
        name: candidate.name.clone(),
        question: candidate.question,
        why: why.to_string(),
    };
    if let Some(name) = &asked.target {
        let mut candidates = targets.likely.iter().chain(&targets.others);
        if let Some(found) = candidates.find(|candidate| candidate.name == *name) {
            told.push(format!("target: {}, as asked", asks(found)));
            return Ok(of(found, "as asked"));
        }
        if let Some(column) = rows.column(name) {
            let found = match &column.refused {
                Some(refused) => format!("`{name}`, which cannot be read as it stands: {refused}"),
                None => format!("`{name}`, a column of kind {}", column.kind.name()),
            };
            return Err(refuse(look, "--target to name a column of classes or numbers", found));
        }
        let names = || rows.columns.iter().map(|column| column.name.as_str());
        let expected = format!("--target to name one of {}", listed(names().map(str::to_string)));
        return Err(refuse(look, expected, format!("`{name}`{}", did_you_mean(nearest(name, names())))));
    }
    let others = listed(targets.others.iter().map(asks));
    let unlikely =
        targets.others.iter().filter_map(|other| Some(format!("`{}`, as {}", other.name, other.unlikely?)));
    let unlikely = listed(unlikely);
    if !unlikely.is_empty() {
        told.push(format!("not guessed to be the target: {unlikely}"));
    }
    if let Some(likely) = &targets.likely {
        let instead = if others.is_empty() { others } else { format!("; it could also be {others}") };
        told.push(format!("target: {}, a guess, as {}{instead}", asks(likely), targets.why));
        return Ok(of(likely, &format!("a guess: {}", targets.why)));
    }
    let found = match others.as_str() {
        "" => "no column of classes or numbers".to_string(),
        _ if !targets.equally_likely.is_empty() => {
            format!(
                "several that are likely by their names: {}",
                listed(targets.equally_likely.iter().map(asks))
            )
        }
        _ if !unlikely.is_empty() => {
            format!("none that is likely by its name; it could be {others}, but hardly {unlikely}")
        }
        _ => format!("none that is likely by its name; it could be {others}"),
    };
    Err(refuse(look, "--target COLUMN, the column to predict", found))
}

/// A candidate with its question.
pub(super) fn asks(candidate: &Candidate) -> String {
    match candidate.question {
        Question::Class(classes) => format!("`{}` ({classes} classes)", candidate.name),
        Question::Value => format!("`{}` (a value)", candidate.name),
    }
}

/// Some names, and the number of the others.
pub(super) fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.join(", ") + &more
}

/// The classes of a column, with their counts, and a warning where one is rare.
pub(super) fn classes(column: &ColumnLook) -> (String, Option<String>) {
    let counts: Vec<String> =
        column.commonest.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let more = column.distinct.unwrap_or_default().saturating_sub(counts.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let most = column.commonest.first().map_or(0, |class| class.1) as f64 / column.values.max(1) as f64;
    let rarest = (more.is_empty()).then(|| column.commonest.last()).flatten();
    let rare = rarest.filter(|class| (class.1 as f64) < BALANCED * column.values as f64);
    let warning = rare.map(|(name, count)| {
        format!(
            "`{name}` is {count} of {} rows: always to answer the commonest is right in {:.1} %; look at auroc and f1, \
             or weigh classes by loss.class_weights",
            column.values,
            100.0 * most
        )
    });
    (counts.join(", ") + &more, warning)
}
