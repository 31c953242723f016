//! The local file system as an object store.

use super::one_line;
use crate::DataError;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The whole file system. Without a tokio runtime around it, it reads on the calling thread.
pub(super) fn store() -> Arc<dyn ObjectStore> {
    static STORE: LazyLock<Arc<LocalFileSystem>> = LazyLock::new(Arc::default);
    STORE.clone()
}

/// The store's name of what is at `path`; `expected` says in errors what should be there.
pub(super) fn object(uri: &str, path: &Path, expected: &str) -> Result<ObjectPath, DataError> {
    let absolute = path.canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => DataError::source(uri, expected, "nothing of that name"),
        _ => DataError::source(uri, expected, one_line(error)),
    })?;
    ObjectPath::from_absolute_path(absolute)
        .map_err(|error| DataError::source(uri, expected, one_line(error)))
}

/// The files that match a glob, sorted.
pub(super) fn matches(uri: &str, pattern: &Path) -> Result<Vec<String>, DataError> {
    let pattern = pattern.to_string_lossy();
    let paths = glob::glob(&pattern).map_err(|error| DataError::source(uri, "a glob", one_line(error)))?;
    let mut uris = Vec::new();
    for path in paths {
        let path = path.map_err(|error| DataError::source(uri, "readable folders", one_line(error)))?;
        if path.is_file() {
            let path = path.into_os_string().into_string();
            uris.push(
                path.map_err(|path| DataError::source(uri, "file names in UTF-8", format!("{path:?}")))?,
            );
        }
    }
    if uris.is_empty() {
        return Err(DataError::source(uri, "a file that matches", "none"));
    }
    uris.sort_unstable();
    Ok(uris)
}
