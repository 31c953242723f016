//! `metrics.jsonl`: one record a line.

use crate::{Event, Listener, LogRecord, TrainError};
use bonfire_checkpoint::CheckpointError;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The training log on disk.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// The first refusal of the file system; listeners cannot fail, so the trainer asks for it.
    refused: Option<io::Error>,
}

impl MetricsLog {
    /// Opens the log and drops what comes after its first `bytes` bytes: the records of steps that
    /// are about to be repeated.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn open(path: &Path, bytes: u64) -> Result<Self, TrainError> {
        let opened = || -> io::Result<(File, u64)> {
            let mut file =
                OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
            let length = file.metadata()?.len();
            let bytes = bytes.min(length);
            if bytes < length {
                file.set_len(bytes)?;
            }
            file.seek(SeekFrom::Start(bytes))?;
            Ok((file, bytes))
        };
        let (file, bytes) = opened().map_err(|cause| refusal(path, cause))?;
        Ok(MetricsLog { path: path.to_path_buf(), file, bytes, refused: None })
    }

    /// Opens the log to add records at its end.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn append(path: &Path) -> Result<Self, TrainError> {
        Self::open(path, u64::MAX)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&mut self, record: &LogRecord) -> Result<(), TrainError> {
        let line = format!("{}\n", record.to_json());
        self.file.write_all(line.as_bytes()).map_err(|cause| refusal(&self.path, cause))?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// The log's length in bytes, once all of it is on the disk.
    ///
    /// # Errors
    /// When the file system refuses, or refused a record before.
    pub fn sync(&mut self) -> Result<u64, TrainError> {
        self.check()?;
        self.file.sync_data().map_err(|cause| refusal(&self.path, cause))?;
        Ok(self.bytes)
    }

    /// The records so far, also where the file has no name any longer.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(crate) fn written(&self) -> io::Result<Vec<u8>> {
        let (mut file, mut text) = (self.file.try_clone()?, Vec::new());
        file.seek(SeekFrom::Start(0))?;
        Read::by_ref(&mut file).take(self.bytes).read_to_end(&mut text)?;
        // Both handles share one place.
        file.seek(SeekFrom::Start(self.bytes))?;
        Ok(text)
    }

    /// The error of a record that an event could not add.
    ///
    /// # Errors
    /// When the file system refused it.
    pub fn check(&mut self) -> Result<(), TrainError> {
        match self.refused.take() {
            None => Ok(()),
            Some(cause) => Err(refusal(&self.path, cause)),
        }
    }
}

impl Listener for MetricsLog {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Record(record) = event
            && self.refused.is_none()
            && let Err(TrainError::Checkpoint(CheckpointError::Io { cause, .. })) = self.write(record)
        {
            self.refused = Some(cause);
        }
    }
}

fn refusal(path: &Path, cause: io::Error) -> TrainError {
    CheckpointError::Io { action: "write", path: path.to_path_buf(), cause }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_contract::Metric;

    fn record(step: u64) -> LogRecord {
        LogRecord {
            kind: "train".into(),
            step,
            epoch: 0.5,
            seconds: 1.25,
            samples: 640,
            learning_rate: Some(0.1),
            metrics: vec![Metric::lower("loss", 0.5), Metric::higher("auroc", f64::NAN)],
        }
    }

    #[test]
    fn records_are_lines_and_the_tail_is_dropped_on_resume() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0).unwrap();
        log.on(&Event::Record(&record(1)));
        let bytes = log.sync().unwrap();
        log.on(&Event::Record(&record(2)));
        log.check().unwrap();
        drop(log);
        let mut log = MetricsLog::open(&path, bytes).unwrap();
        log.write(&record(3)).unwrap();
        drop(log);
        MetricsLog::append(&path).unwrap().write(&record(4)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let steps: Vec<_> = lines.iter().map(|line| line["step"].as_u64().unwrap()).collect();
        assert_eq!(steps, [1, 3, 4]);
        assert_eq!(lines[0]["loss"], 0.5);
        assert!(lines[0]["auroc"].is_null());
        assert_eq!(lines[0]["kind"], "train");
    }

    #[test]
    fn a_full_disk_is_told_once_asked() {
        let mut log = MetricsLog::append(Path::new("/dev/full")).unwrap();
        log.on(&Event::Record(&record(1)));
        let error = log.check().unwrap_err().to_string();
        assert!(error.starts_with("/dev/full: cannot write"), "{error}");
    }
}
