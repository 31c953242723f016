//! Errors of data: the place, what was expected there, and what was found.

/// An error of reading data. Its message is one line.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DataError {
    /// A URI that cannot be reached: nothing of that name, a server that does not answer, credentials that do
    /// not serve, a disk that refuses. It says nothing of the samples there, so that no sample counts as
    /// corrupt by it.
    #[error("{uri}: expected {expected}, found {found}")]
    Unreachable {
        /// The URI as it was given.
        uri: String,
        /// The thing that should have been there.
        expected: String,
        /// The thing that was there.
        found: String,
    },
    /// A URI that names nothing of use.
    #[error("{uri}: expected {expected}, found {found}")]
    Source {
        /// The URI as it was given.
        uri: String,
        /// The thing that should have been there.
        expected: String,
        /// The thing that was there.
        found: String,
    },
    /// Bytes that are not what their format says.
    #[error("{uri}, {place}: expected {expected}, found {found}")]
    Malformed {
        /// The URI as it was given.
        uri: String,
        /// Line, byte, row or column.
        place: String,
        /// The content that the format asks for.
        expected: String,
        /// The content of the bytes.
        found: String,
    },
    /// A cell that is no number, and may be one: the recipe's keys name the marks between its digits.
    #[error("{uri}, {place}: expected {expected}, found {found}")]
    Marked {
        /// The URI as it was given.
        uri: String,
        /// Line or row, and column.
        place: String,
        /// The number, and the keys.
        expected: String,
        /// The cell.
        found: String,
    },
    /// Bytes of a record that are no text in the encoding of their file.
    #[error("{uri}, {place}: expected {expected}, found {found}")]
    Undecodable {
        /// The URI as it was given.
        uri: String,
        /// The line.
        place: String,
        /// The encoding.
        expected: String,
        /// The bytes, and the encoding that they may be in.
        found: String,
        /// The name of that encoding by the WHATWG's standard, where one fits.
        fitting: Option<&'static str>,
        /// True where the recipe leaves such records out.
        left_out: bool,
    },
    /// Data that would take more memory than they may.
    #[error(
        "{uri}: expected to hold it in {limit} of memory (BONFIRE_MEMORY, --max-memory), found {found}; {way}"
    )]
    Memory {
        /// The URI as it was given.
        uri: String,
        /// The limit.
        limit: String,
        /// The memory that is taken, and that would be.
        found: String,
        /// How less would be held.
        way: String,
    },
    /// A recipe's key that does not fit the data.
    #[error("data.{key}: expected {expected}, found {found}")]
    Config {
        /// The key below `[data]`.
        key: String,
        /// The values that it may have.
        expected: String,
        /// The value that it had.
        found: String,
    },
}

impl DataError {
    /// [`DataError::Unreachable`] from anything that prints.
    pub fn unreachable(uri: impl ToString, expected: impl ToString, found: impl ToString) -> Self {
        let (uri, expected, found) = (uri.to_string(), expected.to_string(), found.to_string());
        DataError::Unreachable { uri, expected, found }
    }

    /// True where nothing was read that could be corrupt.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, DataError::Unreachable { .. })
    }

    /// [`DataError::Source`] from anything that prints.
    pub fn source(uri: impl ToString, expected: impl ToString, found: impl ToString) -> Self {
        DataError::Source { uri: uri.to_string(), expected: expected.to_string(), found: found.to_string() }
    }

    /// [`DataError::Malformed`] from anything that prints.
    pub fn malformed(
        uri: impl ToString,
        place: impl ToString,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        DataError::Malformed {
            uri: uri.to_string(),
            place: place.to_string(),
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }

    /// The same as [`DataError::Marked`], where it is malformed content.
    pub(crate) fn marked(self) -> Self {
        match self {
            DataError::Malformed { uri, place, expected, found } => {
                DataError::Marked { uri, place, expected, found }
            }
            other => other,
        }
    }

    /// [`DataError::Config`] from anything that prints.
    pub fn config(key: impl ToString, expected: impl ToString, found: impl ToString) -> Self {
        DataError::Config { key: key.to_string(), expected: expected.to_string(), found: found.to_string() }
    }
}
