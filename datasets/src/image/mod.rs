//! Image data sets: IDX files and folders of PNG and JPEG files, to batches of pixels.
//!
//! ```text
//! IDX file, class folders --> picture [H, W, C] u8 --> resize, crop, flip, normalise --> [C, H, W] f32
//! ```
//!
//! Picture files are read and decoded when their sample is wanted, in the pipeline's threads: only
//! names and labels are held. The pixels of an IDX file are held as one buffer.

mod config;
mod decode;
mod folder;
mod gather;
mod idx;
mod open;
mod picture;
mod schema;
mod set;
mod transform;

pub use config::{ImageConfig, ImageTarget};
pub use open::{open, open_evaluation, open_prediction};
pub use schema::ImageSchema;
pub use set::{ImageSample, ImageSet};
