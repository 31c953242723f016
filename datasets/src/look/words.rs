//! The words of names.

use crate::source;

/// The words of a file's name in small letters, its endings aside: `adult`, `test` of `Adult_test.csv.gz`.
pub(super) fn stem_words(uri: &str) -> Vec<String> {
    let name = source::unpacked_name(uri);
    words(name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem))
}

/// The words of a name in small letters.
pub(super) fn words(name: &str) -> Vec<String> {
    name.to_lowercase().split(|c: char| !c.is_alphanumeric()).map(str::to_string).collect()
}
