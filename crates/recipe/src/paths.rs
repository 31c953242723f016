//! The keys of a recipe that name files, and what two spellings of one place are.

use crate::Document;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The keys whose values are paths or URIs. A relative path starts at the recipe's folder, and one of `--set`
/// at the working folder; a run keeps them absolute.
pub const PATHS: [&str; 6] =
    ["data.train", "data.valid", "data.test", "data.labels", "data.folder", "finetune.pretrained"];

impl Document {
    /// The text of the key at `path`; none where there is no such key, or its value is something else.
    pub fn text(&self, path: &str) -> Option<&str> {
        let mut keys = path.split('.');
        let first = self.root.get(keys.next()?)?;
        keys.try_fold(first, |value, key| value.get(key))?.as_str()
    }

    /// Replaces the text of the key at `path`, which keeps its place; does nothing where there is no such key.
    pub fn replace_text(&mut self, path: &str, text: String) {
        let mut keys = path.split('.');
        let mut value = keys.next().and_then(|first| self.root.get_mut(first));
        for key in keys {
            value = value.and_then(|value| value.get_mut(key));
        }
        if let Some(value) = value {
            *value = Value::String(text);
        }
    }
}

/// True for a path that starts somewhere: no URI, no embedded set, and not absolute.
pub fn is_relative(path: &str) -> bool {
    !path.is_empty()
        && !path.contains("://")
        && !path.starts_with("builtin:")
        && Path::new(path).is_relative()
}

/// A relative path below an absolute folder; the folders above it that the path begins with are left out.
pub fn below(folder: &Path, path: &str) -> PathBuf {
    use std::path::Component;
    let mut whole = folder.to_path_buf();
    let mut is_first = true;
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if is_first => _ = whole.pop(),
            component => {
                whole.push(component);
                is_first = false;
            }
        }
    }
    whole
}

/// True where two values of a key that names files are one place. What a run of an earlier version kept may
/// be relative: nobody knows any more to which folder.
pub(crate) fn is_one_place(a: &Value, b: &Value) -> bool {
    let (Some(a), Some(b)) = (a.as_str(), b.as_str()) else { return a == b };
    let may_be = |short: &str, long: &str| {
        is_relative(short)
            && Path::new(long).is_absolute()
            && Path::new(long).ends_with(below(Path::new(""), short))
    };
    a == b || may_be(a, b) || may_be(b, a)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_start_at_a_folder_and_uris_nowhere() {
        for (path, whole) in [
            ("x.csv", "/r/s/x.csv"),
            ("./a/x.csv", "/r/s/a/x.csv"),
            ("../x-*.csv", "/r/x-*.csv"),
            ("../../../x", "/x"),
            ("a/../x", "/r/s/a/../x"),
            ("t-{00..09}.tar", "/r/s/t-{00..09}.tar"),
        ] {
            assert!(is_relative(path));
            assert_eq!(below(Path::new("/r/s"), path), Path::new(whole), "{path}");
        }
        for path in ["", "/x", "s3://b/x", "file:///x", "hf://datasets/o/n", "builtin:adult.data.gz"] {
            assert!(!is_relative(path), "{path}");
        }
    }

    #[test]
    fn a_key_is_read_and_replaced_by_its_path() {
        let mut document = Document::parse("r.toml", "[data]\ntrain = 'x.csv'\nworkers = 3").unwrap();
        assert_eq!(document.text("data.train"), Some("x.csv"));
        assert_eq!([document.text("data.valid"), document.text("data.workers")], [None; 2]);
        document.replace_text("data.train", "/r/x.csv".into());
        document.replace_text("data.valid", "/r/y.csv".into());
        assert_eq!(document.root["data"], json!({ "train": "/r/x.csv", "workers": 3 }));
        assert_eq!(document.place("data.train"), "r.toml:2");
    }

    #[test]
    fn what_an_earlier_run_kept_may_be_any_place_that_ends_like_it() {
        let is = |a: &str, b: &str| is_one_place(&json!(a), &json!(b));
        assert!(is("x.csv", "x.csv") && is("./d/x.csv", "/r/d/x.csv") && is("/r/d/x.csv", "d/x.csv"));
        assert!(!is("/a/x.csv", "/b/x.csv") && !is("x.csv", "/r/ax.csv") && !is("builtin:x", "/r/builtin:x"));
        assert!(is_one_place(&json!(3), &json!(3)) && !is_one_place(&json!(3), &json!("3")));
    }
}
