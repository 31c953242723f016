//! One object, opened: asked for its size and version, read by ranges or from its beginning.

use super::body::Body;
use super::kept::Kept;
use super::location::Location;
use super::{BUILTIN, archive, builtin, failure, local, one_line, packing, remote};
use crate::{DataError, memory};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as ObjectPath;
use object_store::{
    Error, GetOptions, GetRange, GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt, coalesce_ranges,
};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// Ranges with a smaller gap between them come in one request: to read 1 MiB for nothing takes
/// about as long as another round trip (`object_store`'s own choice).
const COALESCE: u64 = object_store::OBJECT_STORE_COALESCE_DEFAULT;

/// Requests for sizes under way at once.
const STATS_AT_ONCE: usize = 32;

/// An object of any store; opening it makes no request.
#[derive(Clone, Debug)]
pub struct Object {
    uri: String,
    store: Arc<dyn ObjectStore>,
    path: ObjectPath,
    medium: Medium,
    /// The version whose ranges are kept on this machine.
    kept: Option<(&'static Kept, Arc<str>)>,
}

/// The way to an object.
#[derive(Clone, Debug)]
enum Medium {
    /// It lies in this process's memory.
    Memory,
    /// A file of this machine, by its path.
    File(Arc<Path>),
    /// One that is kept open.
    Open(Arc<File>),
    /// A network is crossed.
    Remote,
}

/// The version of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// The server's name for this version, or the time of the last change of a local file. A copy
    /// elsewhere has another.
    pub version: String,
}

impl Stat {
    fn of(meta: &ObjectMeta, remote: bool) -> Self {
        let version = match &meta.e_tag {
            // A local ETag holds the inode, which moving a folder to another disk changes.
            Some(tag) if remote => format!("etag {tag}"),
            _ => format!("modified {}", meta.last_modified.timestamp_micros()),
        };
        Stat { size: meta.size, version }
    }

    /// True where an object that was like `self` may still be the same now that it is like `now`.
    /// Versions of different kinds (a file that was uploaded) cannot be compared: there the size
    /// decides, and what is read must pass its checksum anyway.
    pub fn allows(&self, now: &Stat) -> bool {
        let kind = |stat: &Stat| stat.version.split(' ').next().map(str::to_string);
        self.size == now.size && (self.version == now.version || kind(self) != kind(now))
    }
}

impl Object {
    /// Opens what one URI names; braces and globs are not looked for. A member of a zip, `file.zip/member.csv`,
    /// is unpacked to the local cache first.
    ///
    /// # Errors
    /// When a local file is not there, this build has no store for the scheme, or a zip has no such member.
    pub fn open(uri: &str) -> Result<Self, DataError> {
        if let Some((zip, member)) = archive::split(uri) {
            return Ok(Object { uri: uri.to_string(), ..archive::member(uri, zip, member)? });
        }
        let (store, path, medium) = match Location::parse(uri)? {
            Location::Builtin(name) => (builtin::store(), builtin::object(uri, &name)?, Medium::Memory),
            Location::Local(path) if path.is_dir() => {
                return Err(DataError::unreachable(uri, "a file", "a folder"));
            }
            Location::Local(path) => {
                (local::store(), local::object(uri, &path, "a file")?, Medium::File(path.into()))
            }
            Location::Remote(remote) => (remote::store(uri, &remote)?, remote.object(uri)?, Medium::Remote),
        };
        Ok(Object { uri: uri.to_string(), store, path, medium, kept: None })
    }

    /// Bytes as an object, which errors call `uri`.
    pub(crate) fn in_memory(uri: &str, bytes: Bytes) -> Self {
        let (store, path) = (object_store::memory::InMemory::new(), ObjectPath::from("x"));
        futures::executor::block_on(store.put(&path, bytes.into())).expect("putting into memory cannot fail");
        Object { uri: uri.to_string(), store: Arc::new(store), path, medium: Medium::Memory, kept: None }
    }

    /// An object whose bytes are not packed: the file itself where it is a plain one of this machine, which is
    /// kept open, or else its bytes in memory.
    ///
    /// # Errors
    /// When nothing readable is there, or a packed stream is damaged or cut short.
    pub(crate) fn unpacked(uri: &str) -> Result<Self, DataError> {
        let object = Object::open(uri)?.kept_open()?;
        if matches!(object.medium, Medium::Open(_)) {
            let size = object.stat()?.size;
            if !packing::is_packed(&object.range(0..size.min(packing::MARK))?) {
                return Ok(object);
            }
        }
        Ok(Object::in_memory(uri, packing::unpack(uri, object.read()?)?))
    }

    /// Opens what may not be there yet, to write it; makes the local folders above it.
    ///
    /// # Errors
    /// When a local folder cannot be made, or this build has no store for the scheme.
    pub fn create(uri: &str) -> Result<Self, DataError> {
        match Location::parse(uri)? {
            Location::Builtin(_) => Err(DataError::unreachable(
                uri,
                "a place to write to",
                format!("{BUILTIN} sets, which never change"),
            )),
            Location::Local(path) => {
                let refuse =
                    |error: io::Error| DataError::unreachable(uri, "a place to write to", one_line(error));
                let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let parent = parent.unwrap_or(std::path::Path::new("."));
                std::fs::create_dir_all(parent).map_err(refuse)?;
                let Some(name) = path.file_name() else {
                    return Err(DataError::unreachable(uri, "a file's name", "none"));
                };
                let file = parent.canonicalize().map_err(refuse)?.join(name);
                let path = ObjectPath::from_absolute_path(&file)
                    .map_err(|error| DataError::unreachable(uri, "a place to write to", one_line(error)))?;
                let medium = Medium::File(file.into());
                Ok(Object { uri: uri.to_string(), store: local::store(), path, medium, kept: None })
            }
            Location::Remote(_) => Object::open(uri),
        }
    }

    /// The object, whose ranges are kept on this machine from now on where `$BONFIRE_CACHE_LIMIT` says so and
    /// it is across a network. It must be of the version `stat`.
    ///
    /// # Errors
    /// When the variable is no size.
    pub fn cached(mut self, stat: &Stat) -> Result<Self, DataError> {
        if self.is_remote()
            && let Some(kept) = Kept::of_this_machine()?
        {
            let version = format!("{} {} {}", self.uri, stat.size, stat.version);
            self.kept = Some((kept, version.into()));
        }
        Ok(self)
    }

    /// The URI that it was opened by.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// True where reading it crosses a network.
    pub fn is_remote(&self) -> bool {
        matches!(self.medium, Medium::Remote)
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    pub(super) fn path(&self) -> &ObjectPath {
        &self.path
    }

    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        remote::wait(self.is_remote(), future)
    }

    /// An error of the store, in this room's words.
    fn error(&self, error: Error) -> DataError {
        DataError::unreachable(
            &self.uri,
            failure::expected(&error, "a readable file"),
            failure::found(&error),
        )
    }

    /// Asks for size and version.
    async fn head(&self) -> object_store::Result<ObjectMeta> {
        match self.store.head(&self.path).await {
            // The answer to HEAD has no body, and so no reason: a byte is asked for to hear it.
            Err(refused) if self.is_remote() && failure::is_refusal(&refused) => {
                let options = GetOptions { range: Some(GetRange::Bounded(0..1)), ..GetOptions::default() };
                Err(self.store.get_opts(&self.path, options).await.err().unwrap_or(refused))
            }
            answer => answer,
        }
    }

    /// Size and version, by one small request.
    ///
    /// # Errors
    /// When nothing readable is there.
    pub fn stat(&self) -> Result<Stat, DataError> {
        let meta = self.wait(self.head()).map_err(|error| self.error(error))?;
        Ok(Stat::of(&meta, self.is_remote()))
    }

    /// True where something is there.
    ///
    /// # Errors
    /// When the store does not say.
    pub fn exists(&self) -> Result<bool, DataError> {
        match self.wait(self.head()) {
            Err(Error::NotFound { .. }) => Ok(false),
            answer => answer.map(|_| true).map_err(|error| self.error(error)),
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// When nothing readable is there, or it stops short more often than asking again helps.
    pub fn read(&self) -> Result<Bytes, DataError> {
        if let Medium::File(_) | Medium::Open(_) = &self.medium {
            memory::check_more(
                &self.uri,
                self.stat()?.size,
                "where it can be read in parts, data.stream = true does",
            )?;
        }
        self.wait(async { Body::open(self.store.clone(), self.path.clone(), None).await?.collect().await })
            .map_err(|error| self.error(error))
    }

    /// Reads byte ranges, in the order given. Neighbours and near neighbours come in one request.
    ///
    /// # Errors
    /// As [`Object::read`], and when a range ends behind the object.
    pub fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, DataError> {
        let fetched = match &self.medium {
            Medium::Remote => self.wait(coalesce_ranges(ranges, |range| self.fetch(range), COALESCE)),
            Medium::Memory => self.wait(self.store.get_ranges(&self.path, ranges)),
            Medium::File(path) => File::open(path)
                .and_then(|file| local::ranges(&file, ranges))
                .map_err(|error| self.refused_locally(error)),
            Medium::Open(file) => local::ranges(file, ranges).map_err(|error| self.refused_locally(error)),
        };
        let fetched = fetched.map_err(|error| self.error(error))?;
        for (range, bytes) in ranges.iter().zip(&fetched) {
            let (expected, found) = (range.end - range.start, bytes.len() as u64);
            if expected != found {
                let place = format!("byte {}", range.start);
                let found = format!("the end of the file after {found}");
                return Err(DataError::malformed(&self.uri, place, format!("{expected} bytes"), found));
            }
        }
        Ok(fetched)
    }

    fn refused_locally(&self, source: io::Error) -> Error {
        let path = self.path.to_string();
        match source.kind() {
            io::ErrorKind::NotFound => Error::NotFound { path, source: source.into() },
            _ => Error::Generic { store: "LocalFileSystem", source: source.into() },
        }
    }

    /// The object, whose local file is kept open: its ranges are of the file that is there now, whatever
    /// takes its place.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn kept_open(mut self) -> Result<Self, DataError> {
        if let Medium::File(path) = &self.medium {
            let file = File::open(path).map_err(|error| self.error(self.refused_locally(error)))?;
            self.medium = Medium::Open(Arc::new(file));
        }
        Ok(self)
    }

    /// Has the system read a range of a file that is kept open ahead, without waiting for it.
    pub(crate) fn will_need(&self, range: Range<u64>) {
        if let Medium::Open(file) = &self.medium {
            local::will_need(file, range);
        }
    }

    /// Reads one byte range.
    ///
    /// # Errors
    /// As [`Object::ranges`].
    pub fn range(&self, range: Range<u64>) -> Result<Bytes, DataError> {
        Ok(self.ranges(std::slice::from_ref(&range))?.remove(0))
    }

    async fn fetch(&self, range: Range<u64>) -> object_store::Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let Some((kept, version)) = &self.kept else {
            return Body::open(self.store.clone(), self.path.clone(), Some(range)).await?.collect().await;
        };
        let key = format!("{version} {}-{}", range.start, range.end);
        if let Some(bytes) = kept.get(&key) {
            return Ok(bytes);
        }
        let bytes =
            Body::open(self.store.clone(), self.path.clone(), Some(range.clone())).await?.collect().await?;
        if bytes.len() as u64 == range.end - range.start {
            kept.put(&key, &bytes);
        }
        Ok(bytes)
    }

    /// Everything from the beginning, as it arrives.
    ///
    /// # Errors
    /// When nothing readable is there.
    pub fn stream(&self) -> Result<Stream, DataError> {
        let result = self.wait(self.store.get(&self.path)).map_err(|error| self.error(error))?;
        Ok(Stream(match result.payload {
            GetResultPayload::File(file, _) => Bytewise::File(file),
            _ => {
                let body = Body::of(self.store.clone(), self.path.clone(), result);
                Bytewise::Body { body: Box::new(body), arrived: Bytes::new(), remote: self.is_remote() }
            }
        }))
    }

    /// Puts the object, whole or not at all: a local file is written beside and renamed, and a
    /// bucket shows an object when its last byte has come.
    ///
    /// # Errors
    /// When the place cannot be written to.
    pub fn write(&self, bytes: Bytes) -> Result<Stat, DataError> {
        let put = || self.store.put(&self.path, bytes.clone().into());
        self.wait(remote::again(self.is_remote(), put)).map_err(|error| self.refused(error))?;
        self.stat()
    }

    /// Removes the object.
    ///
    /// # Errors
    /// When the place cannot be written to.
    pub fn remove(&self) -> Result<(), DataError> {
        match self.wait(remote::again(self.is_remote(), || self.store.delete(&self.path))) {
            // The answer to an earlier attempt was lost.
            Err(Error::NotFound { .. }) if self.is_remote() => Ok(()),
            removed => removed.map_err(|error| self.refused(error)),
        }
    }

    /// Removes what a killed writer of this local file left beside it. Another one that is at work loses
    /// what it has written, and is told so.
    pub(crate) fn remove_unfinished(&self) -> Result<(), DataError> {
        let Medium::File(path) = &self.medium else { return Ok(()) };
        // The store writes to the file's name, `#` and a number.
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let begin = format!("{}#", name.to_string_lossy());
        let refuse =
            |error: io::Error| DataError::unreachable(&self.uri, "a place to write to", one_line(error));
        for entry in std::fs::read_dir(folder).map_err(refuse)? {
            let entry = entry.map_err(refuse)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix(&begin);
            if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
                std::fs::remove_file(entry.path()).map_err(refuse)?;
            }
        }
        Ok(())
    }

    /// An error of writing.
    pub(super) fn refused(&self, error: Error) -> DataError {
        let expected = match failure::is_of_credentials(&error) {
            true => "credentials that may write there",
            false => "a place to write to",
        };
        DataError::unreachable(&self.uri, expected, failure::found(&error))
    }
}

/// The sizes and versions of many objects, several requests at once.
///
/// # Errors
/// As [`Object::stat`].
pub fn stats(objects: &[Object]) -> Result<Vec<Stat>, DataError> {
    let Some(first) = objects.first() else { return Ok(Vec::new()) };
    let one = |object: Object| async move {
        let meta = object.head().await.map_err(|error| object.error(error))?;
        Ok(Stat::of(&meta, object.is_remote()))
    };
    first.wait(stream::iter(objects.to_vec()).map(one).buffered(STATS_AT_ONCE).try_collect())
}

/// The kind of a [`Stream`]'s errors of the network, which no decoder has.
const BROKEN: io::ErrorKind = io::ErrorKind::ConnectionAborted;

/// True for an error of reading or writing, which a decoder hands on; false for a decoder's own, of what it
/// has read.
pub(crate) fn is_of_transfer(error: &io::Error) -> bool {
    let of_writer = error.get_ref().is_some_and(|inner| inner.is::<DataError>());
    of_writer || error.raw_os_error().is_some() || error.kind() == BROKEN
}

/// A reader over an object.
pub struct Stream(Bytewise);

enum Bytewise {
    File(File),
    Body { body: Box<Body>, arrived: Bytes, remote: bool },
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Bytewise::File(file) => file.read(buffer),
            Bytewise::Body { body, arrived, remote } => {
                if arrived.is_empty() {
                    let next = remote::wait(*remote, body.next());
                    match next.map_err(|error| io::Error::new(BROKEN, failure::found(&error)))? {
                        Some(bytes) => *arrived = bytes,
                        None => return Ok(0),
                    }
                }
                let taken = arrived.split_to(arrived.len().min(buffer.len()));
                buffer[..taken.len()].copy_from_slice(&taken);
                Ok(taken.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn ranges_come_in_the_order_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        let bytes: Vec<u8> = (0..100).collect();
        fs::write(&path, &bytes).unwrap();
        let object = Object::open(path.to_str().unwrap()).unwrap();
        let read = object.ranges(&[90..100, 0..3, 2..5, 50..50]).unwrap();
        assert_eq!(read, [&bytes[90..], &bytes[..3], &bytes[2..5], &[]]);
        let short = object.range(95..120).unwrap_err().to_string();
        assert!(short.contains("x.bin") && short.contains("5"), "{short}");
        let mut streamed = Vec::new();
        object.stream().unwrap().read_to_end(&mut streamed).unwrap();
        assert_eq!(streamed, bytes);
        assert_eq!(object.stat().unwrap().size, 100);
        assert!(!object.is_remote());
    }

    #[test]
    fn an_embedded_set_streams_too() {
        let object = Object::open("builtin:sms-spam.csv.gz").unwrap();
        let mut streamed = Vec::new();
        object.stream().unwrap().read_to_end(&mut streamed).unwrap();
        assert_eq!(object.read().unwrap(), streamed);
        assert_eq!(object.range(0..2).unwrap(), [0x1f, 0x8b][..]);
        assert!(Object::create("builtin:new").is_err());
    }

    #[test]
    fn a_write_is_whole_and_changes_the_version() {
        let folder = tempfile::tempdir().unwrap();
        let uri = folder.path().join("a/b/x.bin").display().to_string();
        let object = Object::create(&uri).unwrap();
        let first = object.write("one".into()).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 1);
        let second = object.write("two and".into()).unwrap();
        assert_eq!((first.size, second.size), (3, 7));
        assert!(!first.allows(&second) && first.allows(&first));
        assert_eq!(stats(&[object.clone(), object]).unwrap(), [second.clone(), second]);
    }

    #[test]
    fn versions_of_another_kind_leave_the_size_to_decide() {
        let stat = |size, version: &str| Stat { size, version: version.to_string() };
        assert!(stat(5, "modified 3").allows(&stat(5, "etag \"a\"")));
        assert!(!stat(5, "modified 3").allows(&stat(6, "etag \"a\"")));
        assert!(!stat(5, "etag \"b\"").allows(&stat(5, "etag \"a\"")));
    }
}
