//! Files below a folder, one after the other: of a local folder the names of one folder at a time are held,
//! of a bucket one page of its listing.

use super::location::Location;
use super::{failure, list, one_line, pattern, remote};
use crate::DataError;
use futures::StreamExt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Hands what [`list`] lists to `take`, and in its order. Files that match a glob and those of braces are
/// listed whole.
///
/// # Errors
/// `take`'s own, and as [`list`].
pub fn walk(uri: &str, take: &mut dyn FnMut(String) -> Result<(), DataError>) -> Result<(), DataError> {
    match Location::parse(uri)? {
        Location::Local(path) if path.is_dir() => {
            walk_folder(uri.trim_end_matches('/'), &path, &mut Vec::new(), take)
        }
        // The whole of a web server is not listed page by page, and most cannot list.
        Location::Remote(remote)
            if !remote.is_web() && !pattern::is_glob(&remote.path) && !uri.contains('{') =>
        {
            walk_bucket(uri, &remote, take)
        }
        _ => list(uri)?.into_iter().try_for_each(take),
    }
}

/// Hands the files below a local folder to `take`; `above` are the folders that are being walked, to which a
/// link must not lead back.
pub(super) fn walk_folder(
    uri: &str,
    folder: &Path,
    above: &mut Vec<PathBuf>,
    take: &mut dyn FnMut(String) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let refused = |error: std::io::Error| DataError::unreachable(uri, "a readable folder", one_line(error));
    let real = folder.canonicalize().map_err(refused)?;
    if above.contains(&real) {
        return Err(DataError::unreachable(uri, "a folder", "a link to one that it lies in"));
    }
    above.push(real);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // A link to nothing, or a file that was removed since.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(refused(error)),
        };
        let name = path.file_name().unwrap_or_default().to_str().map(String::from);
        let Some(name) = name else {
            return Err(DataError::unreachable(uri, "file names in UTF-8", format!("{path:?}")));
        };
        // As names sort that are written out whole: what is below a folder after its slash.
        names.push(if metadata.is_dir() { name + "/" } else { name });
    }
    names.sort_unstable();
    for name in names {
        match name.strip_suffix('/') {
            Some(name) => walk_folder(&format!("{uri}/{name}"), &folder.join(name), above, take)?,
            None => take(format!("{uri}/{name}"))?,
        }
    }
    above.pop();
    Ok(())
}

fn walk_bucket(
    uri: &str,
    remote: &super::Remote,
    take: &mut dyn FnMut(String) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let (store, prefix) = (remote::store(uri, remote)?, remote.object(uri)?);
    let (above, base) = (prefix.as_ref().len(), uri.trim_end_matches('/'));
    let mut objects = store.list(Some(&prefix));
    let mut any = false;
    while let Some(object) = remote::wait(true, objects.next()) {
        let object = object.map_err(|error| {
            DataError::unreachable(
                uri,
                failure::expected(&error, "a readable folder"),
                failure::found(&error),
            )
        })?;
        any = true;
        take(format!("{base}/{}", object.location.as_ref()[above..].trim_start_matches('/')))?;
    }
    // A name that is one object's lists nothing below.
    if any { Ok(()) } else { take(uri.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walked(uri: &str) -> Result<Vec<String>, DataError> {
        let mut found = Vec::new();
        walk(uri, &mut |uri| {
            found.push(uri);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn what_is_walked_is_what_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.png", "b/10.png", "b.png", "b-/1.png", "a/deep/x/1.png", "Z.png", "é/ü.png"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(folder.path().join("empty")).unwrap();
        let root = folder.path().to_str().unwrap();
        for uri in [root.to_string(), format!("{root}/"), format!("{root}/b.png"), format!("{root}/*/*.png")]
        {
            assert_eq!(walked(&uri).unwrap(), list(&uri).unwrap(), "{uri}");
        }
        assert_eq!(walked(root).unwrap().len(), 7);
        assert!(walked(&format!("{root}/gone")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_but_not_in_circles() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("1.png"), "").unwrap();
        symlink(other.path(), folder.path().join("linked")).unwrap();
        symlink("nowhere", folder.path().join("broken")).unwrap();
        let root = folder.path().to_str().unwrap();
        assert_eq!(walked(root).unwrap(), [format!("{root}/linked/1.png")]);
        assert_eq!(list(root).unwrap(), walked(root).unwrap());
        let deep = format!("{root}/**/*.png");
        assert_eq!(list(&deep).unwrap(), [format!("{root}/linked/1.png")]);
        symlink(folder.path(), folder.path().join("circle")).unwrap();
        for uri in [root, &deep, &format!("{root}/")] {
            assert!(list(uri).unwrap_err().to_string().contains("a link to one that it lies in"), "{uri}");
        }
        assert!(walked(root).unwrap_err().to_string().contains("a link to one that it lies in"));
    }
}
