//! Images pixel after pixel, the channels of each side by side ("channels last"), within tensors whose axes are
//! `[B, C, H, W]` all the same.
//!
//! A tensor has strides, so that such an image is a view of `[B, H, W, C]`: every op sees the axes that it
//! expects. One that does not know this order copies the image into its own first.

use crate::flex::{self, Floats};
use burn::backend::flex::FlexTensor;

/// The numbers `[B, H, W, C]` of an image `[B, C, H, W]`.
pub(crate) fn image(numbers: Vec<f32>, [images, height, width, channels]: [usize; 4]) -> FlexTensor {
    flex::tensor(numbers, &[images, height, width, channels]).permute(&[0, 3, 1, 2])
}

/// True for an image `[B, C, H, W]` whose pixels lie one after the other.
pub(crate) fn are_together(image: &FlexTensor) -> bool {
    image.permute(&[0, 2, 3, 1]).is_contiguous()
}

/// True for an image `[B, C, H, W]` whose pixels lie one after the other, and whose planes do not.
pub(crate) fn come_first(image: &FlexTensor) -> bool {
    are_together(image) && !image.is_contiguous()
}

/// The numbers `[B, H, W, C]` of an image `[B, C, H, W]`, copied only where they lie otherwise.
pub(crate) fn of(image: FlexTensor) -> Floats {
    Floats::new(image.permute(&[0, 2, 3, 1]))
}
