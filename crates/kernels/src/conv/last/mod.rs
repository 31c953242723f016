//! Convolutions of channels-last pixels for predictions: weights are packed once and kept, and everything
//! that follows a sum is done before it leaves the cache.
//!
//! Axes: `B` images, `H` by `W` pixels, `C` channels. Pixels are the rows of a product and output channels its
//! columns, so that planes of any size fill the tiles (Dukhan 2019, arXiv 1907.02129).
//!
//! | way | layers | error of a number, as a share of the sum of its terms' magnitudes |
//! |---|---|---|
//! | [direct] | all | [`Way::error`], as of any sum in `f32` |
//! | [winograd] F(2x2, 3x3) | 3x3, stride 1, more than 128 channels | the same |
//! | [winograd] F(4x4, 3x3) | 3x3, stride 1, 16 to 128 channels | about 10 times as large |
//!
//! A layer's way depends on its weight alone. With the fixed order of additions, a sample's answer has the
//! same bits in a batch of any size and for any number of threads.

mod direct;
mod finish;
pub(in crate::conv) mod op;
mod pack;
#[cfg(test)]
mod tests;
mod tile;
#[cfg(test)]
mod timings;
mod winograd;

use super::options::ConvOptions;
use crate::threads;
use crate::windows::Windows;
pub(crate) use finish::{Finish, Finisher};
use pack::Packed;

/// The order of an image's axes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Plane after plane: `[C, H, W]`.
    First,
    /// Pixel after pixel: `[H, W, C]`.
    Last,
}

/// The algorithm of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A matrix product whose rows are read where they lie.
    Direct,
    /// Winograd's F(2x2, 3x3): 4 outputs of a tile by 16 products, not 36.
    Winograd2,
    /// Winograd's F(4x4, 3x3): 16 outputs of a tile by 36 products, not 144.
    Winograd4,
}

impl Way {
    /// The way of a layer with a weight `[C_out, C_in, kernel height, kernel width]`.
    pub(crate) fn of(weight: [usize; 4], options: ConvOptions, order: Order) -> Way {
        let [outputs, inputs, rows, columns] = weight;
        let ConvOptions { stride, dilation, .. } = options;
        let three = [rows, columns] == [3, 3] && stride == [1, 1] && dilation == [1, 1];
        // with few channels the transforms take longer than the products they save
        if order == Order::First || !three || inputs.min(outputs) < 16 {
            Way::Direct
        } else if inputs.max(outputs) <= winograd::MOST_OF_FOUR {
            Way::Winograd4
        } else {
            Way::Winograd2
        }
    }

    /// The numbers of a packed weight of so many, about.
    fn packed_numbers(self, numbers: usize) -> usize {
        match self {
            Way::Direct => numbers,
            Way::Winograd2 => numbers * 16 / 9,
            Way::Winograd4 => numbers * 36 / 9,
        }
    }

    /// The largest error before the activation for inputs of normal size, as a share of the largest sum of
    /// `|weight * input|` among the output's numbers. Winograd's transforms add numbers of a whole tile, so
    /// that the error of a number depends on its neighbours' size.
    #[cfg(test)]
    pub(crate) fn error(self) -> f64 {
        match self {
            Way::Direct => 1e-6,
            Way::Winograd2 => 1e-6,
            Way::Winograd4 => 1e-5,
        }
    }
}

/// A convolution with packed weights.
pub(crate) struct Layer {
    inputs: usize,
    outputs: usize,
    options: ConvOptions,
    kernel: [usize; 2],
    order: Order,
    way: Way,
    packed: Packed,
    /// Zeros, which pixels outside of the image read.
    zeros: Vec<f32>,
}

impl Layer {
    /// Packs a weight `[C_out, C_in, kernel height, kernel width]` for images in this order.
    ///
    /// # Panics
    /// When there are several groups, or `weight` does not have that shape.
    pub(crate) fn new(weight: &[f32], shape: [usize; 4], options: ConvOptions, order: Order) -> Self {
        Layer::by(Way::of(shape, options, order), weight, shape, options, order)
    }

    /// [`Layer::new`] with a given way, which must serve the layer.
    fn by(way: Way, weight: &[f32], shape: [usize; 4], options: ConvOptions, order: Order) -> Self {
        let [outputs, inputs, rows, columns] = shape;
        assert_eq!(options.groups, 1, "channels-last convolutions have one group");
        assert_eq!(weight.len(), shape.iter().product::<usize>(), "a weight of {shape:?}");
        let packed = match way {
            Way::Direct => Packed::direct(weight, [outputs, inputs, rows * columns], order),
            Way::Winograd2 => Packed::winograd(weight, [outputs, inputs], winograd::KERNEL_OF_TWO),
            Way::Winograd4 => Packed::winograd(weight, [outputs, inputs], winograd::KERNEL_OF_FOUR),
        };
        let zeros = vec![0.0; inputs];
        Layer { inputs, outputs, options, kernel: [rows, columns], order, way, packed, zeros }
    }

    /// The height and width of the output of an image.
    ///
    /// # Panics
    /// When the kernel is larger than the padded image, or a stride or a dilation is 0.
    #[cfg(test)]
    pub(crate) fn out(&self, size: [usize; 2]) -> [usize; 2] {
        self.windows(size).out
    }

    fn windows(&self, size: [usize; 2]) -> Windows {
        let ConvOptions { stride, padding, dilation, .. } = self.options;
        Windows::new(size, self.kernel, stride, padding, dilation)
    }

    /// Convolves `x` and writes all of `to`.
    ///
    /// An infinity or NaN in the input, or a number within a factor of 100,000 of the largest, may spoil all
    /// outputs of its tile of 4 by 4 or 2 by 2 where the layer goes Winograd's way; by the direct way it
    /// reaches the outputs whose windows hold it.
    ///
    /// # Shapes
    /// - x: `[B, H, W, C_in]`, or `[B, C_in, H, W]` if the layer was made for that order
    /// - to and the residual: `[B, H', W', C_out]` with `[H', W']` the windows' count
    /// - scale and shift: `[C_out]`
    ///
    /// # Panics
    /// When the slices do not have these shapes, or the kernel is larger than the padded image.
    pub(crate) fn run(&self, x: &[f32], images: usize, size: [usize; 2], finish: Finish, to: &mut [f32]) {
        let windows = self.windows(size);
        assert_eq!(
            x.len(),
            images * windows.plane() * self.inputs,
            "the input of {images} images of {size:?}"
        );
        assert_eq!(to.len(), images * windows.plane_out() * self.outputs, "the output of {images} images");
        let finisher = Finisher::new(finish, self.outputs, to);
        if images * windows.plane_out() == 0 || self.outputs == 0 {
            return;
        }
        match self.way {
            Way::Direct => direct::run(self, x, images, windows, &finisher),
            Way::Winograd2 => winograd::run::<2, 4>(self, x, images, windows, &finisher),
            Way::Winograd4 => winograd::run::<4, 6>(self, x, images, windows, &finisher),
        }
    }
}

/// The number of parts of rows and of panels that threads share out, for a product of `rows` rows. Panels
/// are shared where the weights are larger than what they are multiplied by, as each thread then reads its
/// part of them alone.
fn shares(rows: usize, depth: usize, packed: &Packed) -> [usize; 2] {
    let threads = threads::count();
    let panels = packed.panels.len();
    let outputs = packed.panels.last().map_or(0, |panel| panel.first + panel.vectors * packed.lanes);
    if rows * depth * outputs < 1 << 17 {
        return [1, 1];
    }
    // the part of a thread that has the most to do, in parts of an even share
    let uneven = |count: usize| (count.div_ceil(threads) * threads) as f64 / count as f64;
    let (by_rows, by_panels) = (uneven(rows.div_ceil(6)), uneven(panels));
    if by_panels <= by_rows.max(1.07) && (outputs > rows || by_rows > 1.2) {
        [1, threads.min(panels)]
    } else {
        [threads.min(rows.div_ceil(6)), 1]
    }
}
