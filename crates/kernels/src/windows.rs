//! The sizes of a window that slides over a plane: a pool's window, a convolution's kernel.

/// Windows over a plane of `size` numbers. All pairs are `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    pub(crate) size: [usize; 2],
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) dilation: [usize; 2],
    /// The number of windows.
    pub(crate) out: [usize; 2],
}

impl Windows {
    /// # Panics
    /// When a kernel, a stride or a dilation is 0, or the kernel is larger than the padded plane.
    pub(crate) fn new(
        size: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
    ) -> Self {
        let out = [0, 1].map(|axis| {
            assert!(
                kernel[axis] > 0 && stride[axis] > 0 && dilation[axis] > 0,
                "a kernel of {kernel:?}, a stride of {stride:?} and a dilation of {dilation:?}: none may be 0"
            );
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            let padded = size[axis] + 2 * padding[axis];
            assert!(
                padded >= reach,
                "a kernel of {kernel:?} (dilated by {dilation:?}) does not fit {size:?} pixels padded by {padding:?}"
            );
            (padded - reach) / stride[axis] + 1
        });
        Windows { size, kernel, stride, padding, dilation, out }
    }

    pub(crate) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    pub(crate) fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    pub(crate) fn plane_out(&self) -> usize {
        self.out[0] * self.out[1]
    }
}
