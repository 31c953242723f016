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
        // JSON's strings, numbers, truth values and lists are TOML's, too.
        let value = serde_json::to_string(&value).expect("a plain value is JSON");
        let line = format!("{} = {value}", quoted_key(key));
        if why.is_empty() {
            let _ = writeln!(self.text, "{line}");
        } else {
            let _ = writeln!(self.text, "{line:<COMMENTS_FROM$} # {}", why.replace('\n', " "));
        }
    }

    /// A comment of its own.
    pub(super) fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "{}", format!("# {}", text.replace('\n', " ")).trim_end());
    }

    /// The recipe.
    pub(super) fn text(self) -> String {
        self.text
    }
}

/// A key, in quotes where TOML needs them.
fn quoted_key(key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if bare { key.to_string() } else { serde_json::to_string(key).expect("a text is JSON") }
}
