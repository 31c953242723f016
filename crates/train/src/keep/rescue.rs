//! A run whose folder goes away while it trains: its next checkpoint is kept elsewhere, and training ends.

use super::{MetricsLog, State, Tensors};
use crate::TrainError;
use bonfire_checkpoint::{CheckpointError, Existing, RunFolder, Whereabouts, write_atomically};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The largest file that is remembered: a vocabulary is smaller.
const LARGEST: u64 = 64 << 20;
/// Files of a run folder that a training does not need when it goes on.
const UNNEEDED: [&str; 4] = ["metrics.jsonl", "model.safetensors", "report.html", "run.json"];

/// What a run folder held when training began, beside its log and its weights: the recipe and the schema.
#[derive(Default)]
pub(super) struct Remembered(Vec<(String, Vec<u8>)>);

impl Remembered {
    pub(super) fn of(run: &RunFolder) -> Self {
        let read = || -> io::Result<Vec<(String, Vec<u8>)>> {
            let mut files = Vec::new();
            for entry in fs::read_dir(run.path())? {
                let entry = entry?;
                let (name, found) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
                let needed = !name.starts_with('.') && !UNNEEDED.contains(&name.as_str());
                if needed && found.is_file() && found.len() <= LARGEST {
                    files.push((name, fs::read(entry.path())?));
                }
            }
            Ok(files)
        };
        // Nothing is lost by a folder that cannot be listed but the rescue.
        Remembered(read().unwrap_or_default())
    }

    /// Keeps a checkpoint of `run`, whose folder is `elsewhere`: where it was moved, or in a new folder beside
    /// the old path, with the log so far.
    ///
    /// # Errors
    /// Always: the error that the folder is gone, which says where the run goes on.
    pub(super) fn rescue<T>(
        &self,
        run: &RunFolder,
        elsewhere: &Whereabouts,
        log: Option<&MetricsLog>,
        state: &mut State,
        tensors: &Tensors<'_>,
    ) -> Result<T, TrainError> {
        let mut lost = "";
        if *elsewhere == Whereabouts::Gone && state.best.take().is_some() {
            lost =
                "; the checkpoint of the best evaluation is lost, and the next evaluation is the best so far";
        }
        let (fate, place) = match elsewhere {
            Whereabouts::Moved(path) => (format!("it at {}", path.display()), path.clone()),
            Whereabouts::Here | Whereabouts::Gone => ("it gone".to_string(), beside(run.path())),
        };
        let kept = || -> Result<String, TrainError> {
            let place = match elsewhere {
                Whereabouts::Moved(_) => RunFolder::open(&place)?,
                Whereabouts::Here | Whereabouts::Gone => {
                    let new = RunFolder::create(&place, Existing::Refuse)?;
                    for (name, bytes) in &self.0 {
                        write_atomically(&new.path().join(name), bytes)?;
                    }
                    if let Some(written) = log.and_then(|log| log.written().ok()) {
                        write_atomically(&new.metrics(), &written)?;
                    }
                    new
                }
            };
            let store = place.checkpoint_store();
            let name = store.next_name(state.step)?;
            store.save(&name, &tensors.files(state, &store.path(&name))?)?;
            Ok(name)
        };
        let outcome = match kept() {
            Ok(name) => format!(
                "checkpoint {name} is in {place}, and `bonfire train --run {place} --resume` goes on with it{lost}",
                place = place.display()
            ),
            Err(error) => format!("nothing could be kept in {}: {error}", place.display()),
        };
        let found = format!("{fate} after {} steps; {outcome}", state.step);
        Err(CheckpointError::Vanished { path: run.path().to_path_buf(), found }.into())
    }
}

/// A path beside `path` where nothing is.
fn beside(path: &Path) -> PathBuf {
    let with = |end: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let numbered = (2..).map(|number| with(format!("-rescued-{number}")));
    std::iter::once(with("-rescued".into()))
        .chain(numbered)
        .find(|path| !path.exists())
        .expect("numbers have no end")
}
