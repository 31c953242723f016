//! Files that lie beside data and are none: told by their names.

use crate::source;

/// What is looked at, in the words of an error.
pub(super) const TAKEN: &str = "pictures (a folder for each class, a table of their names, tar shards), a table (CSV, \
                                JSON, Parquet, Excel …) or texts (.txt, a folder for each class)";

/// A kind of files that are no data.
#[derive(Debug)]
pub(super) struct Foreign {
    /// The kind, in words.
    pub what: &'static str,
    /// The endings of their names, in small letters.
    endings: &'static [&'static str],
}

#[rustfmt::skip]
static BY_ENDING: [Foreign; 7] = [
    Foreign { what: "notes", endings: &["md", "markdown", "rst", "adoc", "tex", "bib", "names"] },
    Foreign { what: "source code", endings: &[
        "py", "pyi", "r", "rmd", "jl", "m", "c", "h", "cc", "cpp", "hpp", "cs", "go", "java", "kt", "js", "ts", "rs",
        "rb", "php", "pl", "swift", "scala", "lua", "sh", "bash", "bat", "ps1", "sql", "css", "cmake",
    ] },
    Foreign { what: "a notebook", endings: &["ipynb"] },
    Foreign { what: "settings", endings: &["yaml", "yml", "toml", "ini", "cfg", "conf", "lock", "properties"] },
    Foreign { what: "a document", endings: &[
        "pdf", "doc", "docx", "odt", "rtf", "ppt", "pptx", "odp", "ps", "epub",
    ] },
    Foreign { what: "a sound", endings: &["wav", "mp3", "flac", "ogg", "m4a"] },
    Foreign { what: "a film", endings: &["mp4", "avi", "mov", "mkv", "webm"] },
];

/// Whole names, in small letters.
static BY_NAME: [(&str, Foreign); 4] = [
    ("license licence copying copyright notice", Foreign { what: "a licence", endings: &[] }),
    ("readme authors changelog citation", Foreign { what: "notes", endings: &[] }),
    ("makefile dockerfile", Foreign { what: "settings", endings: &[] }),
    ("requirements.txt cmakelists.txt robots.txt", Foreign { what: "settings", endings: &[] }),
];

/// The kind of a file that is no data, by its name; none where it may be data.
pub(super) fn of(uri: &str) -> Option<&'static Foreign> {
    let name = source::unpacked_name(uri).to_lowercase();
    let by_name = BY_NAME.iter().find(|(names, _)| names.split(' ').any(|known| known == name));
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let by_ending = || BY_ENDING.iter().find(|foreign| foreign.endings.contains(&ending));
    by_name.map(|(_, foreign)| foreign).or_else(by_ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_code_and_documents_are_no_data() {
        for (name, what) in [
            ("a/b/notes.MD", Some("notes")),
            ("adult.names", Some("notes")),
            ("load.py", Some("source code")),
            ("load.py.gz", Some("source code")),
            ("x.ipynb", Some("a notebook")),
            ("LICENSE", Some("a licence")),
            ("requirements.txt", Some("settings")),
            ("paper.pdf", Some("a document")),
            ("rows.csv", None),
            ("adult.data", None),
            ("rows", None),
            ("licenses.csv", None),
            ("text.txt", None),
        ] {
            assert_eq!(of(name).map(|foreign| foreign.what), what, "{name}");
        }
    }
}
