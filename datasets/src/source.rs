//! Where bytes come from: a URI that can be listed and read, through the `object_store` trait.
//!
//! A URI is a path (`data/train`, `/data/train.csv`), `file:///…`, or `builtin:NAME` for a set
//! embedded in the binary. Remote schemes are features of `object_store` that this build lacks.
//! A path may be a glob (`data/*.csv`) where files are listed; an existing file whose name has
//! such characters is taken as it stands.

mod builtin;
mod local;

use crate::DataError;
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use std::io::Read;
use std::path::PathBuf;

/// The scheme of embedded sets.
const BUILTIN: &str = "builtin:";

/// The first bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What was typed, understood.
enum Location {
    /// A name below `builtin:`.
    Builtin(String),
    /// A path of the local file system, maybe a glob.
    Local(PathBuf),
}

impl Location {
    fn parse(uri: &str) -> Result<Self, DataError> {
        if let Some(name) = uri.strip_prefix(BUILTIN) {
            return Ok(Location::Builtin(name.trim_matches('/').to_string()));
        }
        let Some((scheme, rest)) = uri.split_once("://") else {
            return match uri.is_empty() {
                false => Ok(Location::Local(uri.into())),
                true => Err(DataError::source("\"\"", "a path or a URI", "nothing")),
            };
        };
        if !scheme.eq_ignore_ascii_case("file") {
            let found = format!("the remote scheme {scheme:?}");
            return Err(DataError::source(
                uri,
                "a local path or builtin:NAME, all that this build reads",
                found,
            ));
        }
        let path = rest.strip_prefix("localhost").unwrap_or(rest);
        if !path.starts_with('/') {
            return Err(DataError::source(uri, "an absolute path after file://", format!("{rest:?}")));
        }
        let decoded = ObjectPath::from_url_path(path)
            .map_err(|error| DataError::source(uri, "a percent-encoded path", one_line(error)))?;
        Ok(Location::Local(format!("/{decoded}").into()))
    }
}

/// Reads a whole object. Blocks until it is there.
///
/// # Errors
/// When nothing readable is there.
pub fn read(uri: &str) -> Result<Bytes, DataError> {
    match Location::parse(uri)? {
        Location::Builtin(name) => get(uri, builtin::store(), &builtin::object(uri, &name)?),
        Location::Local(path) if path.is_dir() => Err(DataError::source(uri, "a file", "a folder")),
        Location::Local(path) => get(uri, local::store(), &local::object(uri, &path, "a file")?),
    }
}

fn get(uri: &str, store: &dyn ObjectStore, object: &ObjectPath) -> Result<Bytes, DataError> {
    block_on(async { store.get(object).await?.bytes().await })
        .map_err(|error| DataError::source(uri, "a readable file", one_line(error)))
}

/// Reads a whole object, and unpacks it when its first bytes are gzip's. Several gzip members, one
/// after the other, are unpacked as one.
///
/// # Errors
/// When nothing readable is there, or the gzip stream is damaged or cut short.
pub fn read_unpacked(uri: &str) -> Result<Bytes, DataError> {
    unpack(uri, read(uri)?)
}

/// Unpacks `packed` when its first bytes are gzip's; `uri` names it in errors.
fn unpack(uri: &str, packed: Bytes) -> Result<Bytes, DataError> {
    if !packed.starts_with(&GZIP_MAGIC) {
        return Ok(packed);
    }
    // The size in a gzip trailer is a claim: the buffer grows with what is really unpacked.
    let mut unpacked = Vec::new();
    match MultiGzDecoder::new(&packed[..]).read_to_end(&mut unpacked) {
        Ok(_) => Ok(unpacked.into()),
        Err(error) => {
            let place = format!("gzip stream after {} unpacked bytes", unpacked.len());
            let found = match error.kind() {
                std::io::ErrorKind::UnexpectedEof => {
                    format!("the end of the file at byte {}", packed.len())
                }
                _ => one_line(error),
            };
            Err(DataError::malformed(uri, place, "a complete and undamaged gzip stream", found))
        }
    }
}

/// Whether the URI names a folder rather than one object.
pub fn is_folder(uri: &str) -> bool {
    match Location::parse(uri) {
        Ok(Location::Builtin(name)) => builtin::is_folder(&name),
        Ok(Location::Local(path)) => path.is_dir(),
        Err(_) => false,
    }
}

/// The URIs of every object below a folder (or matching a glob), sorted; a file's URI lists itself.
/// Each begins with the folder's URI as it was given.
///
/// # Errors
/// When nothing of that name is there, or nothing matches the glob.
pub fn list(uri: &str) -> Result<Vec<String>, DataError> {
    match Location::parse(uri)? {
        Location::Builtin(name) if builtin::is_folder(&name) => {
            let prefix = ObjectPath::from(name.as_str());
            list_below(uri, &format!("{BUILTIN}{name}"), builtin::store(), &prefix)
        }
        Location::Builtin(name) => builtin::object(uri, &name).map(|_| vec![uri.to_string()]),
        Location::Local(path) if path.is_dir() => {
            list_below(uri, uri, local::store(), &local::object(uri, &path, "a folder")?)
        }
        Location::Local(path) if path.exists() || !local::is_glob(&path) => {
            local::object(uri, &path, "a file or folder").map(|_| vec![uri.to_string()])
        }
        Location::Local(path) => local::matches(uri, &path),
    }
}

/// Every object below `prefix`, as URIs below `base`.
fn list_below(
    uri: &str,
    base: &str,
    store: &dyn ObjectStore,
    prefix: &ObjectPath,
) -> Result<Vec<String>, DataError> {
    let above = prefix.as_ref().len();
    let base = base.trim_end_matches('/');
    let objects = store.list(Some(prefix)).map(|object| {
        object.map(|object| format!("{base}/{}", object.location.as_ref()[above..].trim_start_matches('/')))
    });
    let mut uris: Vec<String> = block_on(objects.try_collect())
        .map_err(|error| DataError::source(uri, "a readable folder", one_line(error)))?;
    uris.sort_unstable();
    Ok(uris)
}

/// The last part of a URI: `photo.png` of `data/photo.png`.
pub fn name(uri: &str) -> &str {
    uri.rsplit(['/', ':']).next().unwrap_or(uri)
}

/// An error's message without the line breaks that some libraries put into theirs.
pub(crate) fn one_line(error: impl ToString) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::fs;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

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
        assert!(read("src/source.rs").unwrap().starts_with(b"//! Where bytes"));
        assert!(read("./src/../src/source.rs").is_ok());
        assert_eq!(list("./src/source/").unwrap(), ["./src/source/builtin.rs", "./src/source/local.rs"]);
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
        let remote = message(read("s3://bucket/train.csv"));
        assert!(remote.contains("local path or builtin:NAME") && remote.contains("\"s3\""), "{remote}");
        assert!(message(read("file://host/x")).contains("absolute path"));
        assert!(!is_folder("gs://bucket"));
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
    fn gzip_is_known_by_its_bytes() {
        let unpacked = |bytes: Vec<u8>| unpack("x", bytes.into());
        assert_eq!(unpacked(b"plain".to_vec()).unwrap(), "plain");
        assert_eq!(unpacked(gzip(b"packed")).unwrap(), "packed");
        assert_eq!(unpacked([gzip(b"one, "), gzip(b"two")].concat()).unwrap(), "one, two");
    }

    #[test]
    fn damaged_gzip_is_refused_with_its_place() {
        let text: Vec<u8> =
            (0..50_000u32).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
        let packed = gzip(&text);
        let cut = message(unpack("x.gz", packed[..packed.len() / 2].to_vec().into()));
        assert!(cut.starts_with("x.gz, gzip stream after "), "{cut}");
        assert!(cut.ends_with(&format!("found the end of the file at byte {}", packed.len() / 2)), "{cut}");
        assert!(message(unpack("x.gz", GZIP_MAGIC.to_vec().into())).contains("after 0 unpacked bytes"));
        // A wrong checksum, and a member followed by bytes that are none.
        let mut wrong = packed.clone();
        let checksum = wrong.len() - 8;
        wrong[checksum] ^= 1;
        assert!(message(unpack("x.gz", wrong.into())).contains("undamaged"));
        assert!(unpack("x.gz", [gzip(b"one"), b"garbage".to_vec()].concat().into()).is_err());
        let mut flipped = packed;
        flipped[2_000] ^= 0xff;
        assert!(unpack("x.gz", flipped.into()).is_err());
    }

    #[test]
    fn names_are_the_last_part() {
        assert_eq!(name("data/photo.png"), "photo.png");
        assert_eq!(name("builtin:adult.data.gz"), "adult.data.gz");
        assert_eq!(name("plain"), "plain");
    }
}
