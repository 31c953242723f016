//! A shard of pictures as a tar in WebDataset's layout.

use super::plan::{Planned, Report, tar_bytes};
use crate::DataError;
use crate::source::{Object, Writer, one_line};
use std::io::{self, Write};

/// Writes a shard; false when it was there.
pub(super) fn write(uri: &str, samples: &[Planned], report: Report<'_>) -> Result<bool, DataError> {
    let object = Object::create(uri)?;
    let bytes = tar_bytes(samples);
    if object.stat().is_ok_and(|stat| stat.size == bytes) {
        return Ok(false);
    }
    object.remove_unfinished()?;
    let refused = |error: io::Error| DataError::source(uri, "a place to write to", one_line(error));
    let mut builder = tar::Builder::new(Writer::new(object.clone()));
    for sample in samples {
        let picture = sample.read(report)?;
        append(&mut builder, &format!("{}.{}", sample.key, sample.extension), &picture).map_err(refused)?;
        if let Some(class) = &sample.class {
            append(&mut builder, &format!("{}.cls", sample.key), class.as_bytes()).map_err(refused)?;
        }
    }
    builder.into_inner().map_err(refused)?.finish()?;
    Ok(true)
}

/// Appends a member without time and owner: the same pictures make the same shards.
fn append<W: Write>(builder: &mut tar::Builder<W>, name: &str, content: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, name, content)
}
