//! Errors of recipes: always with the key and, where there is one, the line.

/// An error of reading or resolving a recipe. Its message is one line.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Text that is no TOML.
    #[error("{place}: {message}")]
    Syntax {
        /// File and line, or the `--set` argument.
        place: String,
        /// The parser's message, on one line.
        message: String,
    },
    /// A key that no part of Bonfire reads.
    #[error("{place}: unknown key '{key}'{suggestion}")]
    UnknownKey {
        /// File and line, or the `--set` argument.
        place: String,
        /// The whole dotted key.
        key: String,
        /// The nearest known key, or the known keys, as a phrase.
        suggestion: String,
    },
    /// A known key with a value it cannot have.
    #[error("{place}: {key}: expected {expected}, found {found}")]
    Value {
        /// File and line, or the `--set` argument.
        place: String,
        /// The whole dotted key.
        key: String,
        /// The values that the key may have.
        expected: String,
        /// The value that it has.
        found: String,
    },
    /// A name that neither a file nor a built-in recipe has.
    #[error("recipe '{name}': expected a TOML file or one of {known}, found neither{suggestion}")]
    UnknownRecipe {
        /// The name that was asked for.
        name: String,
        /// The built-in recipes, separated by commas.
        known: String,
        /// The nearest built-in name as a phrase; empty where none is near.
        suggestion: String,
    },
    /// A file that cannot be read.
    #[error("{path}: expected a recipe in TOML, found nothing readable: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// The system's refusal. A part of the message, so no `source()`, which a chain of errors would print
        /// a second time.
        cause: std::io::Error,
    },
    /// Data for which no recipe can be proposed.
    #[error("{uri}: expected {expected}, found {found}")]
    NoProposal {
        /// The data, or the option that was given for them.
        uri: String,
        /// The thing that is needed.
        expected: String,
        /// The thing that is there.
        found: String,
    },
}
