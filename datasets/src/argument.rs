//! Arguments that are a text themselves, or name files of texts.

use crate::records::Format;
use crate::source;
use std::path::{Path, is_separator};

/// True for an argument that names files and is no text: it begins with a scheme, as `s3://bucket/x` and
/// `builtin:x` do; or it is one word that has a separator of paths, or ends as a [`Format`] does; or a file,
/// a folder or a match of its glob is there. So a mistyped file is missing, and never an odd text.
pub fn names_files(argument: &str) -> bool {
    if begins_with_scheme(argument) {
        return true;
    }
    let is_word = !argument.contains(char::is_whitespace);
    let like_a_file = argument.contains(is_separator) || Format::named(argument).is_some();
    is_word && like_a_file || is_there(argument)
}

/// `scheme:` of an embedded set, or `scheme://`.
fn begins_with_scheme(argument: &str) -> bool {
    let scheme = argument.split_once("://").map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    };
    scheme.is_some_and(is_scheme) || argument.starts_with("builtin:")
}

/// True where a local path is there. Braces stand for names whose files may not be.
fn is_there(argument: &str) -> bool {
    source::list(argument).is_ok_and(|paths| paths.iter().any(|path| Path::new(path).exists()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_file_is_one_though_none_is_there() {
        for file in [
            "promt.txt",
            "promt.TXT.gz",
            "gone.parquet",
            "texts-{0..9}.jsonl",
            "data/smz",
            "./x",
            "s3://bucket/x",
            "S3://bucket/a name of words",
            "file:///gone",
            "builtin:no-such-set",
        ] {
            assert!(names_files(file), "{file}");
        }
    }

    #[test]
    fn texts_are_texts() {
        for text in [
            "",
            "ROMEO:",
            "You have won!",
            "what is in notes.txt",
            "this and/or that",
            "why not? {a,b} or *none*",
            "see http://example.org/x",
            "smile ://",
            "note: call me",
            "v1.2",
        ] {
            assert!(!names_files(text), "{text}");
        }
    }

    #[test]
    fn a_file_that_is_there_needs_no_ending() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a name of words");
        let path = path.to_str().unwrap();
        assert!(!names_files(path));
        std::fs::write(path, "text").unwrap();
        assert!(names_files(path));
        assert!(names_files("src") && !names_files("sources"));
    }
}
