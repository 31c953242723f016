//! The data of rank 0, handed to all ranks, which need not see its disk.

use super::Ranks;
use crate::TrainError;
use crate::keep::Checkpoint;
use bonfire_checkpoint::{Files, Weights};
use bonfire_cluster::broadcast_files;
use bonfire_contract::Task;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

impl Ranks {
    /// Rank 0's value and the files with it; the values of the others do not count.
    fn of_first<T: Serialize + DeserializeOwned>(&self, own: T, files: Files) -> (T, Files) {
        if self.alone() {
            return (own, files);
        }
        let (own, files) = if self.is_first() {
            (rmp_serde::to_vec(&own).expect("plain numbers and strings"), files)
        } else {
            (Vec::new(), Files::new())
        };
        let value = self.communicator().broadcast(0, own);
        let value = rmp_serde::from_slice(&value).expect("bytes from rank 0 of the same build");
        (value, broadcast_files(self.communicator(), files))
    }

    /// Rank 0's number.
    pub(crate) fn number_of_first(&self, own: f32) -> f32 {
        let bytes = self.communicator().broadcast(0, own.to_le_bytes().to_vec());
        f32::from_le_bytes(bytes.try_into().expect("4 bytes"))
    }

    /// The truth on rank 0, on all ranks.
    pub(crate) fn holds_of_first(&self, own: bool) -> bool {
        self.of_first(own, Files::new()).0
    }

    /// Rank 0's checkpoint.
    pub(crate) fn checkpoint_of_first(&self, own: Option<Checkpoint>) -> Option<Checkpoint> {
        let (head, files) = match own {
            Some(Checkpoint { name, path, files, warnings }) => (Some((name, path, warnings)), files),
            None => (None, Files::new()),
        };
        let (head, files) = self.of_first::<Option<(String, PathBuf, Vec<String>)>>(head, files);
        head.map(|(name, path, warnings)| Checkpoint { name, path, files, warnings })
    }

    /// Rank 0's file: its path and its bytes.
    pub(crate) fn file_of_first(&self, own: Option<(String, Vec<u8>)>) -> Option<(String, Vec<u8>)> {
        let (exists, files) = self.of_first(own.is_some(), own.into_iter().collect());
        if exists { files.into_iter().next() } else { None }
    }

    /// The model with rank 0's weights.
    ///
    /// # Errors
    /// When the weights of rank 0 do not fit the model; on all ranks.
    pub(crate) fn model_of_first<M: Task>(&self, model: M) -> Result<M, TrainError> {
        const FILE: &str = "weights of rank 0";
        if self.alone() {
            return Ok(model);
        }
        let own = if self.is_first() {
            Weights::of(&model).to_safetensors(Path::new(FILE)).map(Some)
        } else {
            Ok(None)
        };
        let own = self.agreed(own.map_err(TrainError::from))?;
        let own = own.into_iter().map(|bytes| (FILE.to_string(), bytes)).collect();
        let (_, files) = self.of_first((), own);
        Ok(Weights::from_safetensors(&files[FILE], Path::new(FILE))?.apply(model, Path::new(FILE))?)
    }
}
