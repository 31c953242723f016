//! The sizes of a convolution, and the pairs of input and output that a tap of its kernel connects.

use super::options::{ConvOptions, ConvTransposeOptions};
use crate::count;
use crate::windows::Windows;

/// The sizes and options of a convolution. A transposed convolution is described by the convolution whose
/// input gradient it is, so that its input is this one's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    pub images: usize,
    pub groups: usize,
    /// Channels of the input in a group.
    pub inputs: usize,
    /// Channels of the output in a group.
    pub outputs: usize,
    /// Height and width, as for all pairs below.
    pub input: [usize; 2],
    pub output: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
}

/// The grid of a product: its positions over all images are the product's columns. Each position reads
/// numbers of one tensor, and its result goes to one or more positions of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub size: [usize; 2],
    /// Position `(i, j)` reads around `(i, j) * read_step`.
    pub read_step: [usize; 2],
    /// Position `(i, j)` writes from `(i, j) * write_step` on, before the next position's.
    pub write_step: [usize; 2],
    pub families: Vec<Family>,
}

/// The outlets whose sums are made of the same numbers read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Family {
    /// The offsets from a grid's position at which the kernel's taps read.
    pub reach: Vec<[isize; 2]>,
    pub outlets: Vec<Outlet>,
}

/// One of the positions that a position of the grid writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outlet {
    /// The offset from the first of these positions, less than `write_step`.
    pub phase: [usize; 2],
    /// The taps' places in a row of the weight.
    pub places: Vec<usize>,
}

impl Geometry {
    /// The geometry of a convolution of `[N, C_in, H, W]` by
    /// `[C_out, C_in / groups, kernel height, kernel width]`.
    ///
    /// # Panics
    /// When the shapes do not fit each other, the kernel is larger than the padded image, or an option other
    /// than the padding is 0.
    pub(super) fn convolution(x: [usize; 4], weight: [usize; 4], options: ConvOptions) -> Self {
        let ConvOptions { stride, padding, dilation, groups } = options;
        let ([images, channels, height, width], [outputs, inputs, rows, columns]) = (x, weight);
        assert!(
            groups > 0 && channels == inputs * groups && outputs.is_multiple_of(groups),
            "an input of {x:?} and a weight of {weight:?} in {groups} groups: C_in / groups, and C_out in whole groups"
        );
        let (input, kernel) = ([height, width], [rows, columns]);
        let output = Windows::new(input, kernel, stride, padding, dilation).out;
        let outputs = outputs / groups;
        Geometry { images, groups, inputs, outputs, input, output, kernel, stride, padding, dilation }
    }

    /// The convolution whose input gradient is the transposed convolution of `[N, C_in, H, W]` by
    /// `[C_in, C_out / groups, kernel height, kernel width]`.
    ///
    /// # Panics
    /// When the shapes do not fit each other, the output is empty, or an option other than the paddings is 0.
    pub(super) fn transposed(x: [usize; 4], weight: [usize; 4], options: ConvTransposeOptions) -> Self {
        let ConvTransposeOptions { stride, padding, padding_out, dilation, groups } = options;
        let ([images, channels, height, width], [outputs, inputs, rows, columns]) = (x, weight);
        assert!(
            groups > 0 && channels == outputs && outputs.is_multiple_of(groups),
            "an input of {x:?} and a weight of {weight:?} in {groups} groups: C_in, in whole groups"
        );
        let (output, kernel) = ([height, width], [rows, columns]);
        let input = [0, 1].map(|axis| {
            assert!(
                kernel[axis] > 0 && stride[axis] > 0 && dilation[axis] > 0,
                "a kernel of {kernel:?}, a stride of {stride:?} and a dilation of {dilation:?}: none may be 0"
            );
            let reach = output[axis].saturating_sub(1) * stride[axis]
                + dilation[axis] * (kernel[axis] - 1)
                + 1
                + padding_out[axis];
            assert!(
                reach > 2 * padding[axis],
                "nothing is left of {output:?} pixels with a kernel of {kernel:?} and a padding of {padding:?}"
            );
            reach - 2 * padding[axis]
        });
        let outputs = outputs / groups;
        Geometry { images, groups, inputs, outputs, input, output, kernel, stride, padding, dilation }
    }

    /// The windows that the kernel takes of a plane.
    pub(super) fn windows(&self) -> Windows {
        let Geometry { input: size, output: out, kernel, stride, padding, dilation, .. } = *self;
        Windows { size, kernel, stride, padding, dilation, out }
    }

    /// True if each output depends on the input at the same position alone.
    pub(super) fn is_point(&self) -> bool {
        let point = self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0];
        point && self.input == self.output
    }

    /// An equivalent convolution with the fewest axes: planes of one row if the kernel is a point.
    pub(super) fn simplified(mut self) -> Self {
        if self.is_point() {
            self.input = [1, self.input[0] * self.input[1]];
            self.output = self.input;
        }
        self
    }

    /// True if each channel is convolved by itself.
    pub(super) fn is_depthwise(&self) -> bool {
        self.inputs == 1 && self.outputs == 1 && self.groups > 1
    }

    /// Counts the multiplications.
    pub(super) fn count(&self) {
        count::add(&[self.output_length(), self.inputs, self.taps()]);
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    pub(super) fn input_plane(&self) -> usize {
        self.input[0] * self.input[1]
    }

    pub(super) fn output_plane(&self) -> usize {
        self.output[0] * self.output[1]
    }

    pub(super) fn input_length(&self) -> usize {
        self.images * self.groups * self.inputs * self.input_plane()
    }

    pub(super) fn output_length(&self) -> usize {
        self.images * self.groups * self.outputs * self.output_plane()
    }

    pub(super) fn weight_length(&self) -> usize {
        self.groups * self.outputs * self.inputs * self.taps()
    }

    /// The grid of the forward pass, from the input to the output.
    pub(super) fn forward(&self) -> Grid {
        let reach = |axis: usize, place: usize| {
            (place * self.dilation[axis]).cast_signed() - self.padding[axis].cast_signed()
        };
        let columns = self.kernel[1];
        let taps = (0..self.taps()).map(|place| [reach(0, place / columns), reach(1, place % columns)]);
        let outlet = Outlet { phase: [0, 0], places: (0..self.taps()).collect() };
        Grid {
            size: self.output,
            read_step: self.stride,
            write_step: [1, 1],
            families: vec![Family { reach: taps.collect(), outlets: vec![outlet] }],
        }
    }

    /// The grid of the backward pass, from the output's gradient to the input's. Output `o` reads input `i`
    /// through tap `t` if `o * stride + t * dilation - padding = i`. So the taps depend on the remainder of
    /// `i` by the stride.
    pub(super) fn backward(&self) -> Grid {
        let mut families: Vec<Family> = Vec::new();
        for above in 0..self.stride[0].min(self.input[0]) {
            for left in 0..self.stride[1].min(self.input[1]) {
                let (mut reach, mut places) = (Vec::new(), Vec::new());
                for (i, down) in self.taps_of_phase(0, above) {
                    for (j, across) in self.taps_of_phase(1, left) {
                        reach.push([down, across]);
                        places.push(i * self.kernel[1] + j);
                    }
                }
                if reach.is_empty() {
                    continue;
                }
                let outlet = Outlet { phase: [above, left], places };
                match families.iter_mut().find(|family| family.reach == reach) {
                    Some(family) => family.outlets.push(outlet),
                    None => families.push(Family { reach, outlets: vec![outlet] }),
                }
            }
        }
        let size = [0, 1].map(|axis| self.input[axis].div_ceil(self.stride[axis]));
        Grid { size, read_step: [1, 1], write_step: self.stride, families }
    }

    /// The taps on one axis that inputs with this remainder meet, and the offsets of their outputs.
    fn taps_of_phase(&self, axis: usize, phase: usize) -> impl Iterator<Item = (usize, isize)> {
        let (padding, dilation, stride) = (self.padding[axis], self.dilation[axis], self.stride[axis]);
        (0..self.kernel[axis]).filter_map(move |place| {
            let distance = (phase + padding).cast_signed() - (place * dilation).cast_signed();
            let stride = stride.cast_signed();
            (distance % stride == 0).then_some((place, distance / stride))
        })
    }
}
