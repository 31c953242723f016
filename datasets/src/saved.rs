//! A schema on disk: one readable JSON file of the run folder.

use crate::source::one_line;
use crate::{DataError, memory};
use bonfire_contract::files::{self, replace};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Writes `schema` as `folder/name`, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn save(folder: &Path, name: &str, schema: &impl Serialize) -> Result<(), DataError> {
    let path = folder.join(name);
    let text = serde_json::to_string_pretty(schema)
        .map_err(|error| DataError::source(path.display(), "a schema that JSON can hold", error))?;
    replace(&path, (text + "\n").as_bytes())
        .map_err(|error| DataError::source(path.display(), "a file that can be written", one_line(error)))
}

/// Bytes that a schema may have: those of large vocabularies have some millions.
const LONGEST: u64 = 256 << 20;

/// Bytes that a byte of its text takes, at most about: words of three bytes, each with its number.
const TIMES: u64 = 24;

/// What says that a file is a schema, and which.
#[derive(Deserialize)]
struct Marks {
    #[serde(default)]
    format: Value,
    #[serde(default)]
    version: Value,
}

/// Reads `folder/name`, whose `format` and `version` must be these.
///
/// # Errors
/// When the file is not there, is no JSON, or is of another format or version.
pub(crate) fn load<S: DeserializeOwned>(
    folder: &Path,
    name: &str,
    format: &str,
    version: u64,
) -> Result<S, DataError> {
    let path = folder.join(name);
    let text = files::read_text(&path, LONGEST)
        .map_err(|error| DataError::source(path.display(), "a schema file", error))?;
    let malformed = |error: serde_json::Error| {
        let place = format!("line {}", error.line());
        DataError::malformed(path.display(), place, format!("a {format} schema"), error)
    };
    memory::check_more(
        &path.display().to_string(),
        TIMES * text.len() as u64,
        "a smaller vocabulary, or fewer columns",
    )?;
    let marks: Marks = serde_json::from_str(&text).map_err(malformed)?;
    for (key, found, expected) in
        [("format", marks.format, Value::from(format)), ("version", marks.version, Value::from(version))]
    {
        if found != expected {
            return Err(DataError::malformed(path.display(), format!("`{key}`"), expected, found));
        }
    }
    serde_json::from_str(&text).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;

    #[test]
    fn another_version_is_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let load = || load::<Value>(folder.path(), "s.json", "bonfire.test", 1);
        assert!(load().unwrap_err().to_string().contains("s.json"));
        save(folder.path(), "s.json", &json!({"format": "bonfire.test", "version": 1})).unwrap();
        assert!(load().is_ok());
        save(folder.path(), "s.json", &json!({"format": "bonfire.test", "version": 2})).unwrap();
        assert!(load().unwrap_err().to_string().contains("`version`: expected 1, found 2"));
        fs::write(folder.path().join("s.json"), "{\n\"format\": ").unwrap();
        assert!(load().unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("s.json/below")).unwrap();
        let error = save(folder.path(), "s.json", &json!(1)).unwrap_err().to_string();
        assert!(error.contains("a file that can be written") && !error.contains('\n'), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
