//! The lines of a recipe: keys with their values, each with its reason in a comment.

use serde::Serialize;
use std::fmt::Write;

/// The column that comments begin in, where values are short.
const COMMENTS_FROM: usize = 32;

/// A recipe under way.
pub(super) struct Lines {
    text: String,
}

impl Lines {
    /// The head of a recipe.
    pub(super) fn new(name: &str) -> Self {
        let mut lines = Lines { text: String::new() };
        lines.key("name", name, "names the run folder, runs/…");
        lines
    }

    /// Begins a section.
    pub(super) fn section(&mut self, name: &str) {
        let _ = writeln!(self.text, "\n[{name}]");
    }

    /// A key with its value, and the reason for it.
    pub(super) fn key(&mut self, key: &str, value: impl Serialize, why: &str) {
        let value = spelled(&value);
        let line = format!("{} = {value}", quoted_key(key));
        if why.is_empty() {
            let _ = writeln!(self.text, "{line}");
        } else {
            let _ = writeln!(self.text, "{line:<COMMENTS_FROM$} # {}", commented(why));
        }
    }

    /// A comment of its own.
    pub(super) fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", format!("# {}", commented(text)).trim_end());
    }

    /// The recipe.
    pub(super) fn text(self) -> String {
        self.text
    }
}

/// A key, in quotes where TOML needs them.
fn quoted_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { key.to_string() } else { spelled(key) }
}

/// A value as TOML has it: JSON's strings, numbers, truth values and lists, but for the delete character, which
/// stands as it is in JSON.
fn spelled(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("a plain value is JSON").replace('\u{7f}', "\\u007f")
}

/// The text of a comment, on one line and without control characters, which TOML allows none of.
fn commented(text: &str) -> String {
    text.replace('\n', " ").replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_of_a_column_makes_a_recipe_that_can_be_read() {
        for code in (0..0x3000).filter_map(char::from_u32) {
            let name = format!("a{code}\"\\ '''b{code}");
            let mut lines = Lines::new(&name);
            lines.comment(&name);
            lines.key(&name, [&name], &name);
            let read: toml::Table = lines.text().parse().unwrap();
            assert_eq!(read["name"].as_str(), Some(name.as_str()));
            assert_eq!(read[&name].as_array().unwrap()[0].as_str(), Some(name.as_str()));
        }
    }
}
