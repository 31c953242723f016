//! A look at data before there is a recipe: what a URI names, in which layout, and of which columns or classes.
//!
//! ```text
//! URI ─┬─ folder, glob: its files by their endings, their folders ─┬─> Found ─> a recipe, or a page of figures
//!      └─ file: its format, by ending or content ──────────────────┘
//! ```
//!
//! Nothing is written, and no more is read than tells: the first rows of a table, the headers of some pictures.

mod columns;
mod folder;
mod foreign;
mod listed;
mod pictures;
mod rows;
mod target;
mod words;

#[cfg(test)]
mod tests;

pub use columns::{ColumnKind, ColumnLook, Range};
pub use listed::{ListedLook, Several};
pub use pictures::{Layout as PictureLayout, PicturesLook};
pub use rows::{Guess, RowsLook};
pub use target::{Candidate, Question, Targets};

use crate::DataError;

/// The data at a URI.
#[derive(Debug)]
pub struct Look {
    /// The URI that training reads: the one that was asked for, or the file of a folder that was taken.
    pub train: String,
    /// Held-out samples that lie beside the training ones, by their name.
    pub valid: Option<String>,
    /// Samples that no decision is made on, by their name.
    pub test: Option<String>,
    /// The samples.
    pub found: Found,
    /// What was chosen or left out on the way, a line each, for a person to read.
    pub notes: Vec<String>,
}

/// The kind and the layout of samples.
#[derive(Debug)]
pub enum Found {
    /// Pictures in a folder a class, in shards, or in an IDX file.
    Pictures(PicturesLook),
    /// Rows with columns: a table, or labelled texts.
    Rows(RowsLook),
    /// Pictures that a table beside them names.
    Listed(Box<ListedLook>),
    /// Files of text in a folder a class: each class with the number of its files.
    TextFolders {
        /// In the order of their names.
        classes: Vec<(String, u64)>,
        /// True where the files have no ending that says they are text.
        unnamed: bool,
    },
    /// Plain text, from which a language model learns.
    Corpus {
        /// The number of files.
        files: u64,
        /// Their bytes, as they are stored.
        bytes: u64,
    },
}

/// The names of the columns of the first file of `uri`.
///
/// # Errors
/// When it cannot be read, or has no columns.
pub fn columns_of(uri: &str) -> Result<Vec<String>, DataError> {
    let files = crate::records::files(uri)?;
    let first = files.first().ok_or_else(|| DataError::source(uri, "at least one file", "none"))?;
    rows::names(first)
}

/// Looks at what `uri` names.
///
/// # Errors
/// When nothing is there or it cannot be read; when no layout that training reads is recognised, or several
/// files could be meant: the message says what is there and what is needed.
pub fn look(uri: &str) -> Result<Look, DataError> {
    folder::look(uri)
}
