//! Options of convolutions.

/// Options of a convolution. All pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvOptions {
    /// The distance in pixels between the inputs of neighbouring outputs.
    pub stride: [usize; 2],
    /// The number of zeros around the input, on each side.
    pub padding: [usize; 2],
    /// The distance in pixels between neighbouring taps of the kernel.
    pub dilation: [usize; 2],
    /// The number of groups of channels; each is convolved apart from the others.
    pub groups: usize,
}

impl Default for ConvOptions {
    fn default() -> Self {
        ConvOptions { stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 }
    }
}

/// Options of a transposed convolution. All pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTransposeOptions {
    /// The distance in pixels between the outputs of neighbouring inputs.
    pub stride: [usize; 2],
    /// The number of pixels cut off the output, on each side.
    pub padding: [usize; 2],
    /// The number of pixels added to the output's end.
    pub padding_out: [usize; 2],
    /// The distance in pixels between neighbouring taps of the kernel.
    pub dilation: [usize; 2],
    /// The number of groups of channels; each is convolved apart from the others.
    pub groups: usize,
}

impl Default for ConvTransposeOptions {
    fn default() -> Self {
        let ConvOptions { stride, padding, dilation, groups } = ConvOptions::default();
        ConvTransposeOptions { stride, padding, padding_out: [0; 2], dilation, groups }
    }
}
