//! Names, labels and cells in the words of an error.

use bonfire_contract::most_alike;

/// The names most like `name`: "the nearest are `age`, `sex`".
pub(crate) fn nearest(names: &[String], name: &str) -> String {
    const MOST: usize = 3;
    let nearest = most_alike(name, names.iter().map(String::as_str), MOST);
    let nearest: Vec<String> = nearest.into_iter().map(|name| format!("`{name}`")).collect();
    format!("the nearest are {}", nearest.join(", "))
}

/// The finding where none of the names is `name`: "none; the nearest are `age`, `sex`".
pub(crate) fn none_but(names: &[String], name: &str) -> String {
    if names.is_empty() { "none".to_string() } else { format!("none; {}", nearest(names, name)) }
}

/// Labels: all of a few, the first of many.
pub(crate) fn quoted(labels: &[String]) -> String {
    const MOST: usize = 12;
    let names: Vec<String> = labels.iter().take(MOST).map(|label| format!("`{label}`")).collect();
    let more = if labels.len() > MOST { format!(" … ({} in all)", labels.len()) } else { String::new() };
    names.join(", ") + &more
}

/// Names of columns: all of a few dozen, the first of more.
pub(crate) fn listed(names: &[String]) -> String {
    const MOST: usize = 50;
    let more = if names.len() > MOST { format!(", … ({} in all)", names.len()) } else { String::new() };
    names[..names.len().min(MOST)].join(", ") + &more
}

/// A cell: its first 40 characters, on one line.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST).collect();
    if text.chars().nth(MOST).is_some() { line + "…" } else { line }
}
