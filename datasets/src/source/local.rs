//! The local file system as an object store.

use super::walk::walk_folder;
use super::{one_line, pattern};
use crate::{DataError, buffers};
use bytes::Bytes;
use glob::MatchOptions;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use std::fs::File;
use std::io;
use std::ops::Range;
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
        std::io::ErrorKind::NotFound => DataError::unreachable(uri, expected, "nothing of that name"),
        _ => DataError::unreachable(uri, expected, one_line(error)),
    })?;
    ObjectPath::from_absolute_path(absolute)
        .map_err(|error| DataError::unreachable(uri, expected, one_line(error)))
}

/// Byte ranges of a file, into buffers that are used again. A range that ends behind the file is short.
pub(super) fn ranges(file: &File, ranges: &[Range<u64>]) -> io::Result<Vec<Bytes>> {
    let read = |range: &Range<u64>| {
        let wanted = range.end.saturating_sub(range.start);
        // What a damaged index asks for is not allocated: no file is read behind its end.
        let wanted = match wanted > LARGEST_UNASKED {
            true => wanted.min(file.metadata()?.len().saturating_sub(range.start)),
            false => wanted,
        };
        buffers::filled(wanted as usize, |buffer| fill(file, range.start, buffer))
    };
    ranges.iter().map(read).collect()
}

/// Has the system read a range ahead, where it can be told to. What goes wrong is met again by reading.
#[cfg(target_os = "linux")]
pub(super) fn will_need(file: &File, range: Range<u64>) {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    let len = range.end.saturating_sub(range.start);
    if let (Ok(start), Ok(len)) = (i64::try_from(range.start), i64::try_from(len)) {
        let _ = posix_fadvise(file, start, len, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn will_need(_file: &File, _range: Range<u64>) {}

/// Bytes of a range that are allocated without a look at the file's size.
const LARGEST_UNASKED: u64 = 16 << 20;

/// Reads from byte `start` on until `buffer` is full or the file ends. Other threads may read the same file.
fn fill(file: &File, start: u64, buffer: &mut [u8]) -> io::Result<usize> {
    #[cfg(unix)]
    use std::os::unix::fs::FileExt;
    #[cfg(windows)]
    use std::os::windows::fs::FileExt;
    let mut filled = 0;
    while filled < buffer.len() {
        let at = start.saturating_add(filled as u64);
        #[cfg(unix)]
        let read = file.read_at(&mut buffer[filled..], at);
        #[cfg(windows)]
        let read = file.seek_read(&mut buffer[filled..], at);
        match read {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The files that match a glob of folders in any depth. The crate would follow links in circles.
fn matches_below(uri: &str, pattern: &str) -> Result<Vec<String>, DataError> {
    let glob = pattern::glob(uri, pattern)?;
    let options = MatchOptions { require_literal_leading_dot: false, ..pattern::MATCHING };
    let (above, unnamed) = match pattern::folder_above(pattern) {
        "" if pattern.starts_with('/') => ("", "/"),
        "" => (".", "."),
        above => (above, above),
    };
    let mut uris = Vec::new();
    walk_folder(above, Path::new(unnamed), &mut Vec::new(), &mut |path| {
        let path =
            path.strip_prefix("./").filter(|_| above == "." && !pattern.starts_with("./")).unwrap_or(&path);
        if glob.matches_with(path, options) {
            uris.push(path.to_string());
        }
        Ok(())
    })?;
    Ok(uris)
}

/// The files that match a glob, sorted.
pub(super) fn matches(uri: &str, pattern: &Path) -> Result<Vec<String>, DataError> {
    let pattern = pattern.to_string_lossy();
    let mut uris = Vec::new();
    let paths = match pattern.contains("**") {
        true => {
            uris = matches_below(uri, &pattern)?;
            None
        }
        false => Some(
            glob::glob(&pattern).map_err(|error| DataError::unreachable(uri, "a glob", one_line(error)))?,
        ),
    };
    for path in paths.into_iter().flatten() {
        let path = path.map_err(|error| DataError::unreachable(uri, "readable folders", one_line(error)))?;
        if path.is_file() {
            let path = path.into_os_string().into_string();
            uris.push(
                path.map_err(|path| DataError::unreachable(uri, "file names in UTF-8", format!("{path:?}")))?,
            );
        }
    }
    if uris.is_empty() {
        return Err(DataError::unreachable(uri, "a file that matches", "none"));
    }
    uris.sort_unstable();
    Ok(uris)
}
/// The files that this process may have open at once.
#[cfg(unix)]
pub(super) fn files_at_once() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit};
    getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(now, _)| now)
}

#[cfg(not(unix))]
pub(super) fn files_at_once() -> Option<u64> {
    None
}
