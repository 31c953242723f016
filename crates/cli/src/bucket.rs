//! A run folder in a bucket: a copy on this machine that the run works in, and that is put into the bucket at each
//! checkpoint and at the end.
//!
//! ```text
//! s3://bucket/runs/x  ◀── files that changed ──  $BONFIRE_CACHE/runs/HASH-x-PID/run
//!                     ── resume, predict ─────▶
//! ```
//!
//! A bucket has no rename, but shows each object whole: a checkpoint's files are put first, and its manifest, without
//! which it is none, after them; what is to go loses its manifest first. So whenever this process is killed, the bucket
//! holds a run that can be resumed from its newest whole checkpoint. A lock on a bucket there is none: two processes
//! that train one run there is for the user not to start.

use anyhow::{Context, Result, bail};
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
    /// What the bucket holds: length and time of change of the copy that was put there.
    there: HashMap<String, (u64, SystemTime)>,
    /// Held while this process works in the copy.
    _lock: File,
}

impl BucketRun {
    /// The run that `path` names, if it lies across a network.
    ///
    /// # Errors
    /// When its copy cannot be made.
    pub fn of(path: &Path) -> Result<Option<Self>> {
        let Some(uri) = path.to_str().filter(|path| source::is_remote(path)) else { return Ok(None) };
        if uri.starts_with("http") {
            bail!("{uri}: expected a run folder on a disk or in a bucket, found a web server");
        }
        let uri = uri.trim_end_matches('/').to_string();
        let beginning = cache_path("runs", &uri, source::name(&uri));
        remove_abandoned(&beginning);
        let scratch = PathBuf::from(format!("{}-{}", beginning.display(), std::process::id()));
        let place = || scratch.display().to_string();
        fs::create_dir_all(scratch.join("run")).with_context(place)?;
        let lock = File::create(scratch.join("lock")).with_context(place)?;
        lock.lock().with_context(place)?;
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
    pub fn exists(&self) -> Result<bool> {
        Ok(Object::open(&format!("{}/run.json", self.uri))?.exists()?)
    }

    /// Copies the run from the bucket, with its checkpoints or without.
    ///
    /// # Errors
    /// When the bucket cannot be read.
    pub fn fetch(&mut self, checkpoints: bool) -> Result<()> {
        let uris = source::list(&self.uri)?;
        for uri in &uris {
            let name = uri[self.uri.len()..].trim_start_matches('/').to_string();
            if name.is_empty() || name.split('/').any(|part| part == "..") {
                continue;
            }
            let folder = uri.rsplit_once('/').map_or("", |(folder, _)| folder);
            if name.starts_with("checkpoints/") && !uris.contains(&format!("{folder}{MANIFEST}")) {
                // Left by a process that was killed while it put or removed a checkpoint: the next put removes it.
                self.there.insert(name, (0, SystemTime::UNIX_EPOCH));
                continue;
            }
            if checkpoints || !name.starts_with("checkpoints/") {
                let path = self.local().join(&name);
                let place = || path.display().to_string();
                fs::create_dir_all(path.parent().unwrap_or(&self.scratch)).with_context(place)?;
                fs::write(&path, Object::open(uri)?.read()?).with_context(place)?;
                self.there.insert(name, state(&path)?);
            }
        }
        Ok(())
    }

    /// Makes the bucket hold what the copy holds.
    ///
    /// # Errors
    /// When the bucket cannot be written to; each checkpoint there is whole, or none.
    pub fn put(&mut self) -> Result<()> {
        let mut names = Vec::new();
        files(&self.local(), "", &mut names)?;
        // The log before the checkpoints, which say how much of it is theirs; manifests after what they name.
        names.sort_by_key(|name| (name.ends_with(MANIFEST), name.starts_with("checkpoints/"), name.clone()));
        for name in &names {
            let path = self.local().join(name);
            let state = state(&path)?;
            if self.there.get(name) != Some(&state) {
                let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
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
pub struct Publisher(pub Rc<RefCell<BucketRun>>);

impl Listener for Publisher {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Saved { .. } = event
            && let Err(error) = self.0.borrow_mut().put()
        {
            // Training goes on: the next checkpoint puts what is lacking, and at the end this counts.
            eprintln!("warning: {error:#}");
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

/// What tells whether a file was written again.
fn state(path: &Path) -> Result<(u64, SystemTime)> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    Ok((metadata.len(), metadata.modified()?))
}

/// The names of the files below `folder`, but for hidden ones: locks, and what is being written.
fn files(folder: &Path, prefix: &str, names: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => files(&entry.path(), &format!("{prefix}{name}/"), names)?,
            false => names.push(format!("{prefix}{name}")),
        }
    }
    Ok(())
}
