//! A run folder in a bucket: a copy on this machine that the run works in, and that is put into the bucket at
//! each checkpoint and at the end.
//!
//! ```text
//! s3://bucket/runs/x  ◀── files that changed ──  $BONFIRE_CACHE/runs/HASH-x-PID/run
//!                     ── resume, predict ─────▶
//! ```
//!
//! A bucket cannot rename objects, but shows each object whole. A checkpoint without its manifest counts as
//! none: its other files are put before the manifest, and a checkpoint that is removed loses the manifest
//! first. So whenever this process is killed, the bucket holds a run that can be resumed from its newest
//! whole checkpoint. Buckets have no locks: nothing keeps two processes from training one run in a bucket,
//! and the user must not start them.

use crate::{Notices, RunError};
use bonfire_datasets::cache_path;
use bonfire_datasets::source::{self, Object};
use bonfire_train::{Event, Listener};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

/// The file that makes a checkpoint whole.
const MANIFEST: &str = "/manifest.json";

/// A run in a bucket, and its copy.
pub struct BucketRun {
    uri: String,
    scratch: PathBuf,
    /// The files in the bucket, with length and time of change of the copy that was put there.
    there: HashMap<String, (u64, SystemTime)>,
    /// Held while this process works in the copy.
    _lock: File,
}

impl BucketRun {
    /// The run that `path` names, if it lies across a network.
    ///
    /// # Errors
    /// When its copy cannot be made.
    pub fn of(path: &Path) -> Result<Option<Self>, RunError> {
        let Some(uri) = path.to_str().filter(|path| source::is_remote(path)) else { return Ok(None) };
        if source::is_read_only(uri) {
            let expected = "a run folder on a disk or in a bucket";
            return Err(RunError::unexpected(uri, expected, "a place where nothing is written"));
        }
        let uri = uri.trim_end_matches('/').to_string();
        let beginning = cache_path("runs", &uri, source::name(&uri));
        remove_abandoned(&beginning);
        let scratch = PathBuf::from(format!("{}-{}", beginning.display(), std::process::id()));
        let refused = RunError::io(&scratch);
        fs::create_dir_all(scratch.join("run")).map_err(&refused)?;
        let lock = File::create(scratch.join("lock")).map_err(&refused)?;
        lock.lock().map_err(&refused)?;
        Ok(Some(BucketRun { uri, scratch, there: HashMap::new(), _lock: lock }))
    }

    /// The copy.
    pub fn local(&self) -> PathBuf {
        self.scratch.join("run")
    }

    /// Whether the bucket holds a run under this name.
    ///
    /// # Errors
    /// When the bucket does not say: an answer that is lost must not pass for a place that is free.
    pub fn exists(&self) -> Result<bool, RunError> {
        Ok(Object::open(&format!("{}/run.json", self.uri))?.exists()?)
    }

    /// Copies the run from the bucket, with its checkpoints or with their manifests alone.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub fn fetch(&mut self, checkpoints: bool) -> Result<(), RunError> {
        let uris = source::list(&self.uri)?;
        for uri in &uris {
            let name = uri[self.uri.len()..].trim_start_matches('/').to_string();
            if name.is_empty() || name.split('/').any(|part| part == "..") {
                continue;
            }
            let folder = uri.rsplit_once('/').map_or("", |(folder, _)| folder);
            if name.starts_with("checkpoints/") && !uris.contains(&format!("{folder}{MANIFEST}")) {
                // Left by a process that was killed while it put or removed a checkpoint: the next put
                // removes it.
                self.there.insert(name, (0, SystemTime::UNIX_EPOCH));
                continue;
            }
            if checkpoints || !name.starts_with("checkpoints/") || name.ends_with(MANIFEST) {
                let path = self.local().join(&name);
                fs::create_dir_all(path.parent().unwrap_or(&self.scratch)).map_err(RunError::io(&path))?;
                fs::write(&path, Object::open(uri)?.read()?).map_err(RunError::io(&path))?;
                self.there.insert(name, state(&path)?);
            }
        }
        Ok(())
    }

    /// Makes the bucket hold what the copy holds.
    ///
    /// # Errors
    /// When the bucket cannot be written to; each checkpoint there is whole, or none.
    pub fn put(&mut self) -> Result<(), RunError> {
        let mut names = Vec::new();
        files(&self.local(), "", &mut names)?;
        // The log before the checkpoints, which say how much of it is theirs; manifests after what they name.
        names.sort_by_key(|name| (name.ends_with(MANIFEST), name.starts_with("checkpoints/"), name.clone()));
        for name in &names {
            let path = self.local().join(name);
            let state = state(&path)?;
            if self.there.get(name) != Some(&state) {
                let bytes = fs::read(&path).map_err(RunError::io(&path))?;
                Object::create(&format!("{}/{name}", self.uri))?.write(bytes.into())?;
                self.there.insert(name.clone(), state);
            }
        }
        let mut gone: Vec<String> = self.there.keys().filter(|name| !names.contains(name)).cloned().collect();
        gone.sort_by_key(|name| (!name.ends_with(MANIFEST), name.clone()));
        for name in gone {
            Object::open(&format!("{}/{name}", self.uri))?.remove()?;
            self.there.remove(&name);
        }
        Ok(())
    }
}

impl Drop for BucketRun {
    fn drop(&mut self) {
        // One that stays is removed when the run is opened again.
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// Puts a run into its bucket whenever a checkpoint is on the disk.
pub(crate) struct Publisher {
    pub bucket: Rc<RefCell<BucketRun>>,
    pub notices: Notices,
}

impl Listener for Publisher {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Saved { .. } = event
            && let Err(error) = self.bucket.borrow_mut().put()
        {
            // Training goes on: the next checkpoint puts the files that are lacking, and at the end an error
            // counts.
            (self.notices)(&format!("warning: {}", error.line()));
        }
    }
}

/// Removes the copies that killed processes left.
fn remove_abandoned(beginning: &Path) {
    let (Some(folder), Some(name)) = (beginning.parent(), beginning.file_name()) else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(&*name.to_string_lossy());
        if ours && File::open(entry.path().join("lock")).is_ok_and(|lock| lock.try_lock().is_ok()) {
            // Where it cannot be removed it only takes room.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Length and time of change of a file, which tell whether it was written again.
fn state(path: &Path) -> Result<(u64, SystemTime), RunError> {
    let metadata = fs::metadata(path).map_err(RunError::io(path))?;
    Ok((metadata.len(), metadata.modified().map_err(RunError::io(path))?))
}

/// The names of the files below `folder`, but for hidden ones: locks, and files that are being written.
fn files(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<(), RunError> {
    for entry in fs::read_dir(folder).map_err(RunError::io(folder))? {
        let entry = entry.map_err(RunError::io(folder))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type().map_err(RunError::io(folder))?.is_dir() {
            files(&entry.path(), &format!("{prefix}{name}/"), names)?;
        } else {
            names.push(format!("{prefix}{name}"));
        }
    }
    Ok(())
}
