//! The files that a URI names.

use crate::{DataError, source};

/// The ending of every sidecar index.
pub(crate) const SIDECAR_ENDING: &str = ".index.parquet";

/// The files that a URI names: not the index beside them, and of a folder not what Spark and others leave
/// beside their parts (`_SUCCESS`, `.part-0.crc`).
///
/// # Errors
/// When nothing of that name is there.
pub(crate) fn files(uri: &str) -> Result<Vec<String>, DataError> {
    let mut files = source::list(uri)?;
    files.retain(|file| !file.ends_with(SIDECAR_ENDING));
    if source::is_folder(uri) {
        files.retain(|file| !source::name(file).starts_with(['.', '_']));
    }
    Ok(files)
}

/// The lower-case letters behind the last dot of a name, the ending of a packing aside; empty where there is
/// none.
pub(super) fn ending(uri: &str) -> String {
    let name = source::unpacked_name(uri);
    name.rsplit_once('.').map(|(_, ending)| ending.to_string()).unwrap_or_default()
}
