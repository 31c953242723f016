//! The sources of bytes: a URI that can be listed and read, through the `object_store` trait.
//!
//! ```text
//! URI -> braces and globs -> Location -> Object: stat, ranges, stream, write
//!                                        local | builtin | s3 gs az http hf hdfs (features)
//! ```
//!
//! A URI is a path (`data/train`, `/data/train.csv`), `file:///…`, `builtin:NAME` for a set
//! embedded in the binary, or remote: `s3://bucket/…`, `gs://…`, `az://…`, `https://…`,
//! `hf://datasets/OWNER/NAME@REVISION/…`, `hdfs://…`, each behind a cargo feature of this crate.
//! Where files are listed, a URI may be a glob (`data/*.csv`) or have braces
//! (`train-{000..127}.tar`); an existing file whose name has such characters is taken as it stands.
//!
//! A member of a zip is `file.zip/member.csv`, whatever store the zip is in.
//!
//! Everything blocks. What crosses a network is asked for again after a wait that grows, and a body
//! that breaks goes on at the byte where it broke.

mod archive;
mod body;
mod bounded;
mod builtin;
pub(crate) mod cache;
pub(crate) mod copies;
mod failure;
#[cfg(feature = "http")]
mod hub;
mod kept;
mod local;
mod location;
mod object;
pub(crate) mod packing;
mod pattern;
#[cfg(feature = "s3")]
mod profile;
mod remote;
mod walk;
mod writer;

pub(crate) use archive::members;
pub(crate) use object::is_of_transfer;
pub use object::{Object, Stat, Stream, stats};
pub use walk::walk;
pub use writer::Writer;

use crate::DataError;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use location::{BUILTIN, Location, Remote};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore};

/// Reads a whole object. Blocks until it is there.
///
/// # Errors
/// When nothing readable is there.
pub fn read(uri: &str) -> Result<Bytes, DataError> {
    Object::open(uri)?.read()
}

/// Reads a whole object, and unpacks it when its first bytes are those of gzip, zstd, bzip2, xz or zip. Several
/// streams of one packing, one after the other, are unpacked as one; of a zip it is the one member with data.
///
/// # Errors
/// When nothing readable is there, or the packed stream is damaged or cut short.
pub fn read_unpacked(uri: &str) -> Result<Bytes, DataError> {
    packing::unpack(uri, read(uri)?)
}

/// Unpacks bytes, which errors call `uri`, as [`read_unpacked`] does.
///
/// # Errors
/// When the packed stream is damaged or cut short.
pub(crate) fn unpacked(uri: &str, bytes: Bytes) -> Result<Bytes, DataError> {
    packing::unpack(uri, bytes)
}

/// Files that this process may have open at once, where the system tells it.
pub(crate) fn files_at_once() -> Option<u64> {
    local::files_at_once()
}

/// True where reading the URI crosses a network.
pub fn is_remote(uri: &str) -> bool {
    matches!(Location::parse(uri), Ok(Location::Remote(_)))
}

/// True where nothing can be written below the URI: on web servers, and on the Hugging Face Hub.
pub fn is_read_only(uri: &str) -> bool {
    matches!(Location::parse(uri), Ok(Location::Remote(remote)) if remote.feature == "http")
}

/// True where a local path is there, or a match of its glob, or one of the names that its braces mean. What
/// is across a network is taken to be there.
pub fn is_there(uri: &str) -> bool {
    match Location::parse(uri) {
        Ok(Location::Local(path)) if path.exists() => true,
        Ok(Location::Local(_)) if pattern::is_glob(uri) || uri.contains('{') => {
            list(uri).is_ok_and(|paths| paths.iter().any(|path| std::path::Path::new(path).exists()))
        }
        Ok(Location::Local(_)) | Err(_) => false,
        Ok(Location::Builtin(_) | Location::Remote(_)) => true,
    }
}

/// True where the URI names a folder rather than one object. A bucket has no folders: there it is the
/// beginning of other objects' names, which costs a request to find out.
pub fn is_folder(uri: &str) -> bool {
    match Location::parse(uri) {
        Ok(Location::Builtin(name)) => builtin::is_folder(&name),
        Ok(Location::Local(path)) => path.is_dir(),
        Ok(Location::Remote(remote)) if !pattern::is_glob(&remote.path) && !uri.contains('{') => {
            let (Ok(store), Ok(path)) = (remote::store(uri, &remote), remote.object(uri)) else {
                return false;
            };
            matches!(remote::wait(true, async { store.list(Some(&path)).next().await }), Some(Ok(_)))
        }
        Ok(Location::Remote(_)) | Err(_) => false,
    }
}

/// The URIs of every object below a folder, matching a glob or meant by braces, sorted but for
/// braces, whose order is their own; a file's URI lists itself. Each begins as it was given.
///
/// # Errors
/// When nothing of that name is there, or nothing matches the glob.
pub fn list(uri: &str) -> Result<Vec<String>, DataError> {
    if archive::split(uri).is_some() {
        return Ok(vec![uri.to_string()]);
    }
    let location = Location::parse(uri)?;
    let taken_as_it_stands = matches!(&location, Location::Local(path) if path.exists());
    if uri.contains('{') && !taken_as_it_stands {
        let mut uris = Vec::new();
        for name in pattern::expand(uri)? {
            match pattern::is_glob(&name) {
                true => uris.extend(list(&name)?),
                // Whether it is there, reading it will tell: a request each would be many.
                false => uris.push(name),
            }
        }
        return Ok(uris);
    }
    match location {
        Location::Builtin(name) if builtin::is_folder(&name) => {
            let prefix = ObjectPath::from(name.as_str());
            list_below(uri, &format!("{BUILTIN}{name}"), &*builtin::store(), &prefix, false)
        }
        Location::Builtin(name) => builtin::object(uri, &name).map(|_| vec![uri.to_string()]),
        Location::Local(path) if path.is_dir() => {
            let mut uris = Vec::new();
            let base = uri.trim_end_matches('/');
            walk::walk_folder(base, &path, &mut Vec::new(), &mut |uri| {
                uris.push(uri);
                Ok(())
            })?;
            uris.sort_unstable();
            Ok(uris)
        }
        Location::Local(path) if path.exists() || !pattern::is_glob(uri) => {
            local::object(uri, &path, "a file or folder").map(|_| vec![uri.to_string()])
        }
        Location::Local(path) => local::matches(uri, &path),
        Location::Remote(remote) if pattern::is_glob(&remote.path) => remote_matches(uri, &remote),
        Location::Remote(remote) => {
            let (store, path) = (remote::store(uri, &remote)?, remote.object(uri)?);
            let below = match list_below(uri, uri, &*store, &path, true) {
                // Most web servers cannot list.
                Err(_) if remote.is_web() => Vec::new(),
                below => below?,
            };
            // A name that is one object's lists nothing below.
            Ok(if below.is_empty() { vec![uri.to_string()] } else { below })
        }
    }
}

/// What lies right in a folder.
#[derive(Debug, Default)]
pub(crate) struct RightBelow {
    /// Its folders, sorted.
    pub folders: Vec<String>,
    /// Its files, sorted.
    pub files: Vec<String>,
}

/// What lies right in a folder, not below the folders of it: each begins as the URI was given.
///
/// # Errors
/// When it is no folder, or cannot be listed.
pub(crate) fn right_below(uri: &str) -> Result<RightBelow, DataError> {
    let expected = "a folder";
    let (store, prefix, remote): (std::sync::Arc<dyn ObjectStore>, _, _) = match Location::parse(uri)? {
        Location::Builtin(_) => return Ok(RightBelow::default()),
        Location::Local(path) => (local::store(), local::object(uri, &path, expected)?, false),
        Location::Remote(remote) => (remote::store(uri, &remote)?, remote.object(uri)?, true),
    };
    let ask = || store.list_with_delimiter(Some(&prefix));
    let found = remote::wait(remote, remote::again(remote, ask)).map_err(|error| {
        DataError::unreachable(uri, failure::expected(&error, expected), failure::found(&error))
    })?;
    let base = uri.trim_end_matches('/');
    let named = |paths: Vec<ObjectPath>| {
        let mut uris: Vec<String> =
            paths.iter().filter_map(|path| Some(format!("{base}/{}", path.filename()?))).collect();
        uris.sort_unstable();
        uris
    };
    let files = found.objects.into_iter().map(|object| object.location).collect();
    Ok(RightBelow { folders: named(found.common_prefixes), files: named(files) })
}

/// Every object below `prefix`, as URIs below `base`.
fn list_below(
    uri: &str,
    base: &str,
    store: &dyn ObjectStore,
    prefix: &ObjectPath,
    remote: bool,
) -> Result<Vec<String>, DataError> {
    let above = prefix.as_ref().len();
    let base = base.trim_end_matches('/');
    let below =
        |object: ObjectMeta| format!("{base}/{}", object.location.as_ref()[above..].trim_start_matches('/'));
    let ask = || store.list(Some(prefix)).map_ok(below).try_collect();
    let mut uris: Vec<String> = remote::wait(remote, remote::again(remote, ask)).map_err(|error| {
        DataError::unreachable(uri, failure::expected(&error, "a readable folder"), failure::found(&error))
    })?;
    uris.sort_unstable();
    Ok(uris)
}

/// The objects of a bucket that match a glob, sorted; what lies below the glob's first folder is listed.
fn remote_matches(uri: &str, remote: &Remote) -> Result<Vec<String>, DataError> {
    let glob = pattern::glob(uri, &remote.path)?;
    let folder = Remote { path: pattern::folder_above(&remote.path).to_string(), ..remote.clone() };
    let (store, path) = (remote::store(uri, remote)?, folder.object(uri)?);
    let root = remote.root();
    let base = format!("{root}/{}", folder.path);
    let mut uris = list_below(uri, &base, &*store, &path, true)?;
    uris.retain(|found| {
        let path = found.strip_prefix(&root).unwrap_or(found).trim_start_matches('/');
        glob.matches_with(path, pattern::MATCHING)
    });
    match uris.is_empty() {
        false => Ok(uris),
        true => Err(DataError::unreachable(uri, "a file that matches", "none")),
    }
}

/// The last part of a URI: `photo.png` of `data/photo.png`.
pub fn name(uri: &str) -> &str {
    uri.rsplit(['/', ':']).next().unwrap_or(uri)
}

/// The last part of a URI in lower case, without the ending of a packing: `part.csv` of `data/Part.csv.gz`.
pub(crate) fn unpacked_name(uri: &str) -> String {
    let name = name(uri).to_lowercase();
    let packing =
        [".gz", ".zst", ".zstd", ".bz2", ".xz", ".zip"].iter().find_map(|ending| name.strip_suffix(ending));
    packing.unwrap_or(&name).to_string()
}

/// An error's message without the line breaks that some libraries put into theirs.
pub(crate) fn one_line(error: impl ToString) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn message<T: std::fmt::Debug>(result: Result<T, DataError>) -> String {
        let message = result.unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn files_are_read_by_path_and_by_uri() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b#1é.txt");
        fs::write(&path, "text").unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(read(path).unwrap(), "text");
        let encoded = path.replace(' ', "%20").replace('#', "%23");
        assert_eq!(read(&format!("file://{encoded}")).unwrap(), "text");
        assert_eq!(read(&format!("file://localhost{encoded}")).unwrap(), "text");
        assert_eq!(list(path).unwrap(), [path]);
        assert!(!is_folder(path));
        fs::write(folder.path().join("empty"), "").unwrap();
        assert_eq!(read_unpacked(folder.path().join("empty").to_str().unwrap()).unwrap(), "");
    }

    #[test]
    fn a_relative_path_starts_at_the_working_folder() {
        assert!(read("src/source.rs").unwrap().starts_with(b"//! The sources of bytes"));
        assert!(read("./src/../src/source.rs").is_ok());
        let found = list("./src/source/").unwrap();
        assert!(found.is_sorted() && found.iter().all(|file| file.starts_with("./src/source/")), "{found:?}");
        for name in ["archive.rs", "hub/tests.rs"] {
            assert!(found.contains(&format!("./src/source/{name}")), "{found:?}");
        }
    }

    #[test]
    fn folders_and_globs_are_listed_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.csv", "b/10.csv", "a.csv", "b/deep/x.txt"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let root = folder.path().to_str().unwrap();
        let below = |uris: Vec<String>| -> Vec<String> {
            uris.iter().map(|uri| uri.strip_prefix(root).unwrap().to_string()).collect()
        };
        assert_eq!(below(list(root).unwrap()), ["/a.csv", "/b/10.csv", "/b/2.csv", "/b/deep/x.txt"]);
        assert_eq!(below(list(&format!("{root}/b/*.csv")).unwrap()), ["/b/10.csv", "/b/2.csv"]);
        assert_eq!(below(list(&format!("{root}/**/*.csv")).unwrap()), ["/a.csv", "/b/10.csv", "/b/2.csv"]);
        assert_eq!(list(&format!("file://{root}/b/deep")).unwrap(), [format!("file://{root}/b/deep/x.txt")]);
        assert!(is_folder(root));
        let braces = format!("{root}/b/{{10,2}}.csv");
        assert_eq!(below(list(&braces).unwrap()), ["/b/10.csv", "/b/2.csv"]);
        fs::write(&braces, "").unwrap();
        assert_eq!(list(&braces).unwrap(), [braces]);
        let error = message(list(&format!("{root}/*.parquet")));
        assert!(error.contains("a file that matches") && error.ends_with("found none"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_wherever_they_lead() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("far.txt"), "far").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        let uris = list(folder.path().to_str().unwrap()).unwrap();
        assert_eq!(uris.len(), 1);
        assert!(uris[0].ends_with("/link/far.txt"));
        assert_eq!(read(&uris[0]).unwrap(), "far");
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_eq!(message(read("no/such.csv")), "no/such.csv: expected a file, found nothing of that name");
        assert_eq!(
            message(list("no/such")),
            "no/such: expected a file or folder, found nothing of that name"
        );
        assert_eq!(message(read("src")), "src: expected a file, found a folder");
        assert_eq!(message(read("")), "\"\": expected a path or a URI, found nothing");
        #[cfg(not(feature = "s3"))]
        {
            let remote = message(read("s3://bucket/train.csv"));
            assert!(remote.contains("--features s3") && remote.ends_with("the feature `s3`"), "{remote}");
        }
        assert!(message(read("file://host/x")).contains("absolute path"));
        assert!(message(read("ftp://host/x")).contains("the scheme \"ftp\""));
    }

    #[test]
    fn builtin_sets_are_read_listed_and_suggested() {
        let labels = read_unpacked("builtin:fashion-mnist-small/t10k-labels-idx1-ubyte.gz").unwrap();
        assert_eq!(labels.len(), 8 + 500);
        for name in builtin::names() {
            assert!(!read_unpacked(&format!("builtin:{name}")).unwrap().is_empty(), "{name}");
        }
        assert!(is_folder("builtin:fashion-mnist-small"));
        let pictures = list("builtin:fashion-mnist-small").unwrap();
        assert_eq!(pictures.len(), 4);
        assert_eq!(pictures[0], "builtin:fashion-mnist-small/t10k-images-idx3-ubyte.gz");
        assert_eq!(list("builtin:adult.data.gz").unwrap(), ["builtin:adult.data.gz"]);
        let error = message(read("builtin:iris"));
        assert!(error.contains("adult.data.gz, adult.test.gz, diamonds.csv.gz"), "{error}");
        assert!(message(list("builtin:iris")).contains("sms-spam.csv.gz"));
    }

    #[test]
    fn names_are_the_last_part() {
        assert_eq!(name("data/photo.png"), "photo.png");
        assert_eq!(name("builtin:adult.data.gz"), "adult.data.gz");
        assert_eq!(name("plain"), "plain");
    }
}
