//! An object under way: nobody sees it before its last byte.

use super::object::{Object, Stat};
use crate::DataError;
use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt};
use std::io::{self, Write};

/// Bytes that one request carries; S3 asks for at least 5 MiB in all but the last.
const PART: usize = 8 << 20;

/// Writes an object in parts, for what is too large to be held; as whole as [`Object::write`]. Dropped before
/// [`Writer::finish`], it leaves nothing.
pub struct Writer {
    object: Object,
    upload: Option<Box<dyn MultipartUpload>>,
    buffer: Vec<u8>,
}

impl Writer {
    /// Begins to write `object`.
    pub fn new(object: Object) -> Self {
        Writer { object, upload: None, buffer: Vec::new() }
    }

    fn send(&mut self) -> object_store::Result<()> {
        let part = Bytes::from(std::mem::take(&mut self.buffer));
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => {
                let begun = self.object.wait(self.object.store().put_multipart(self.object.path()))?;
                none.insert(begun)
            }
        };
        let sent = upload.put_part(part.into());
        self.object.wait(sent)
    }

    /// Shows the object, whole.
    ///
    /// # Errors
    /// When the place cannot be written to; nothing is left there then.
    pub fn finish(mut self) -> Result<Stat, DataError> {
        if self.upload.is_none() {
            return self.object.write(std::mem::take(&mut self.buffer).into());
        }
        let refused = |writer: &Writer, error| writer.object.refused(error);
        if !self.buffer.is_empty() {
            self.send().map_err(|error| refused(&self, error))?;
        }
        if let Some(mut upload) = self.upload.take() {
            let completed = self.object.wait(upload.complete());
            completed.map_err(|error| refused(&self, error))?;
        }
        self.object.stat()
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PART {
            self.send().map_err(|error| io::Error::other(self.object.refused(error)))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take() {
            // The error that led here is the one to report.
            let _ = self.object.wait(upload.abort());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_object_appears_whole_and_an_abandoned_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let object = Object::create(folder.path().join("x.bin").to_str().unwrap()).unwrap();
        let bytes: Vec<u8> = (0..2 * PART + 5).map(|at| at as u8).collect();
        let write = |object: &Object| {
            let mut writer = Writer::new(object.clone());
            bytes.chunks(1 << 20).for_each(|piece| writer.write_all(piece).unwrap());
            writer
        };
        drop(write(&object));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(write(&object).finish().unwrap().size, bytes.len() as u64);
        assert!(object.read().unwrap() == bytes);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
