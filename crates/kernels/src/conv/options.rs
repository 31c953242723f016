//! How kernels move.

/// How a convolution's kernel moves: heights, then widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvOptions {
    /// Pixels from one output to the next.
    pub stride: [usize; 2],
    /// Zeros around the input, on each side.
    pub padding: [usize; 2],
    /// Pixels from one place of the kernel to the next.
    pub dilation: [usize; 2],
    /// Channels are convolved in as many groups, each apart from the others.
    pub groups: usize,
}

impl Default for ConvOptions {
    fn default() -> Self {
        ConvOptions { stride: [1; 2], padding: [0; 2], dilation: [1; 2], groups: 1 }
    }
}

/// How a transposed convolution's kernel moves: heights, then widths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTransposeOptions {
    /// Pixels of the output from one input to the next.
    pub stride: [usize; 2],
    /// Pixels cut off the output, on each side.
    pub padding: [usize; 2],
    /// Pixels put to the output's end.
    pub padding_out: [usize; 2],
    /// Pixels from one place of the kernel to the next.
    pub dilation: [usize; 2],
    /// Channels are convolved in as many groups, each apart from the others.
    pub groups: usize,
}

impl Default for ConvTransposeOptions {
    fn default() -> Self {
        let ConvOptions { stride, padding, dilation, groups } = ConvOptions::default();
        ConvTransposeOptions { stride, padding, padding_out: [0; 2], dilation, groups }
    }
}
