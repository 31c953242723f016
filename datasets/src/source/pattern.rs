//! Names that stand for many: braces, and the globs of remote listings.
//!
//! ```text
//! train-{00000..01023}.tar   1,024 names, each number as wide as the bounds are
//! {train,more}/*.tar         a list of names, then whatever matches
//! ```

use super::one_line;
use crate::DataError;
use glob::{MatchOptions, Pattern};

/// Names that one URI may stand for.
const MOST_NAMES: usize = 1 << 20;

/// `*` and `?` do not match slashes, `**` does, as on the local file system.
pub(super) const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// True where the name has characters that a glob gives a meaning to.
pub(super) fn is_glob(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// A glob, or why it is none.
pub(super) fn glob(uri: &str, pattern: &str) -> Result<Pattern, DataError> {
    Pattern::new(pattern).map_err(|error| DataError::unreachable(uri, "a glob", one_line(error)))
}

/// The folder above the first part of a path that has a glob's characters: what has to be listed.
pub(super) fn folder_above(path: &str) -> &str {
    let first = path.find(['*', '?', '[']).unwrap_or(path.len());
    path[..first].rfind('/').map_or("", |slash| &path[..slash])
}

/// The URIs that a URI with braces stands for, in its own order; a URI without any stands for itself.
///
/// # Errors
/// When a range runs backwards, a brace is not closed, or more than [`MOST_NAMES`] are meant.
pub(super) fn expand(uri: &str) -> Result<Vec<String>, DataError> {
    let refuse = |expected: &str, found: String| Err(DataError::unreachable(uri, expected, found));
    let mut names = vec![String::new()];
    let mut rest = uri;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((inside, behind)) = after.split_once('}') else {
            return refuse("a closing } after each {", format!("{{{after}"));
        };
        let choices = match inside.split_once("..") {
            Some((first, last)) => match range(first, last) {
                Some(numbers) => numbers,
                None => return refuse("{first..last}, two numbers that ascend", format!("{{{inside}}}")),
            },
            None => inside.split(',').map(str::to_string).collect(),
        };
        if names.len().saturating_mul(choices.len()) > MOST_NAMES {
            return refuse(&format!("at most {MOST_NAMES} names"), "more".to_string());
        }
        names = names
            .iter()
            .flat_map(|name| choices.iter().map(move |choice| format!("{name}{before}{choice}")))
            .collect();
        rest = behind;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// The numbers from `first` to `last`, padded with zeros where a bound is.
fn range(first: &str, last: &str) -> Option<Vec<String>> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    let (from, to): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let padded = [first, last].iter().any(|bound| bound.len() > 1 && bound.starts_with('0'));
    let width = if padded { first.len().max(last.len()) } else { 0 };
    // One more than the limit is enough to be refused for it.
    (from <= to).then(|| (from..=to).take(MOST_NAMES + 1).map(|number| format!("{number:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_stand_for_ranges_and_lists() {
        let expand = |uri| expand(uri).unwrap();
        assert_eq!(expand("plain.tar"), ["plain.tar"]);
        assert_eq!(expand("a-{8..11}.tar"), ["a-8.tar", "a-9.tar", "a-10.tar", "a-11.tar"]);
        assert_eq!(expand("a-{08..10}.tar"), ["a-08.tar", "a-09.tar", "a-10.tar"]);
        assert_eq!(expand("{a,b}/{0..1}"), ["a/0", "a/1", "b/0", "b/1"]);
        let shards = expand("s3://b/train-{00000..01023}.tar");
        assert_eq!((shards.len(), shards[1023].as_str()), (1024, "s3://b/train-01023.tar"));
    }

    #[test]
    fn impossible_braces_are_refused() {
        for (uri, found) in [
            ("a-{5..1}.tar", "{5..1}"),
            ("a-{x..y}", "{x..y}"),
            ("a-{1..", "{1.."),
            ("{0..99999}{0..99999}", "more"),
            ("{0..18446744073709551615}", "more"),
        ] {
            let message = expand(uri).unwrap_err().to_string();
            assert!(message.ends_with(&format!("found {found}")), "{message}");
        }
    }

    #[test]
    fn the_folder_above_a_glob_is_listed() {
        assert_eq!(folder_above("a/b/*.tar"), "a/b");
        assert_eq!(folder_above("a/b?/c/*.tar"), "a");
        assert_eq!(folder_above("*.tar"), "");
        assert!(is_glob("x[01]") && !is_glob("x{0..1}"));
        let pattern = glob("", "a/*.tar").unwrap();
        assert!(pattern.matches_with("a/x.tar", MATCHING) && !pattern.matches_with("a/b/x.tar", MATCHING));
    }
}
