//! Image data sets: IDX files, and picture files in folders, tar shards or Parquet, to batches of pixels.
//!
//! ```text
//! IDX file, class folders, shards --> picture [H, W, C] u8 --> resize, crop, flip, normalise
//!     --> [C, H, W] f32
//! ```
//!
//! Picture files are read and decoded when their sample is wanted, in the pipeline's threads: only
//! names and labels are held, and of shards not even these. The pixels of an IDX file are held as one
//! buffer.

mod bench;
mod config;
mod decode;
mod folder;
mod form;
mod gather;
mod gathered;
mod idx;
mod infer;
mod jpeg;
mod labels;
mod look;
mod mix;
mod open;
mod picture;
mod place;
mod predict;
mod preview;
mod request;
mod schema;
mod set;
mod streamed;
mod transform;

pub use bench::{Measured, Work, bench};
pub use config::{ImageConfig, ImageTarget};
pub(crate) use decode::{Facts, check as check_picture, facts as picture_facts};
pub(crate) use folder::is_picture;
pub use folder::pictures_of;
pub use form::Grey;
pub use look::size_of;
pub(crate) use look::{IdxLook, facts_of, facts_of_bytes, look_at_idx};
pub use open::{open, open_evaluation, reopen};
pub use predict::open_prediction;
pub use preview::{Preview, Shown, preview, show};
pub use request::records;
pub use schema::{ImageSchema, ValueMoments};
pub use set::{ImageSample, ImageSet};
pub use transform::{ColorJitter, Growth, Interpolation, RandAugment, Resize};

/// Bytes of the pixels that a picture file has.
pub(crate) fn decoded_bytes(bytes: &[u8]) -> Result<usize, crate::DataError> {
    Ok(decode::decode(&"x", bytes, &form::Form::colour(), &picture::whole)?.pixels.len())
}

/// Pictures or labels of an IDX file.
pub(crate) fn idx_count(bytes: &[u8]) -> Result<usize, crate::DataError> {
    let held = bytes::Bytes::copy_from_slice(bytes);
    match idx::is_pictures(bytes) {
        true => Ok(idx::IdxPictures::parse("x", held)?.count),
        false => Ok(idx::parse_labels("x", held)?.len()),
    }
}
