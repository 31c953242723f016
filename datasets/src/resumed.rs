//! The names that a run learned from its data, held against the names that the data have when it goes on.

use crate::DataError;
use crate::records::{quoted, shortened};
use std::collections::HashSet;

/// Refuses names that are not those that a run began with; `kind` says what they name, as "classes".
///
/// # Errors
/// Names what is new and what is missing, or the first name that stands in another place.
pub(crate) fn check_names(
    uri: &str,
    kind: &str,
    began: &[String],
    found: &[String],
) -> Result<(), DataError> {
    let Some(at) = (0..began.len().max(found.len())).find(|&at| began.get(at) != found.get(at)) else {
        return Ok(());
    };
    let expected = format!("the {kind} that the run began with, {}", quoted(&shown(began)));
    let parts = [(without(found, began), "new"), (without(began, found), "missing")];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, word)| format!("{} {word}", quoted(names)))
        .collect();
    let difference = match (parts.is_empty(), found.get(at)) {
        (true, Some(name)) => format!("them in another order, `{}` in place {}", shortened(name), at + 1),
        _ => parts.join(", "),
    };
    Err(DataError::source(uri, expected, difference))
}

/// The names that are not among `others`, as messages show them.
fn without(names: &[String], others: &[String]) -> Vec<String> {
    let others: HashSet<&String> = others.iter().collect();
    shown(names.iter().filter(|name| !others.contains(name)))
}

/// Names on one line, each short enough for a message.
fn shown<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    names.into_iter().map(|name| shortened(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_by_name() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let check = |found: &[&str]| check_names("x", "classes", &names(&["cat", "dog"]), &names(found));
        check(&["cat", "dog"]).unwrap();
        let refused = |found: &[&str]| {
            let message = check(found).unwrap_err().to_string();
            message
                .strip_prefix("x: expected the classes that the run began with, `cat`, `dog`, found ")
                .unwrap()
                .to_string()
        };
        assert_eq!(refused(&["ant", "cat", "dog"]), "`ant` new");
        assert_eq!(refused(&["cat"]), "`dog` missing");
        assert_eq!(refused(&["ant", "cat"]), "`ant` new, `dog` missing");
        assert_eq!(refused(&["dog", "cat"]), "them in another order, `dog` in place 1");
    }
}
