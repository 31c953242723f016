//! A plane laid out so that a convolution's loads need no care: its rows in a frame of zeros, each row parted into
//! as many phases as the stride, so that neighbouring windows have neighbouring numbers.

use crate::simd::Simd;
use crate::windows::Windows;

/// The widest vector: what a loop over vectors may read beyond the end of a row.
pub(super) const ROOM: usize = 16;

/// Zeros that start at a cache line, so that few loads from frames cross one.
pub(super) struct Zeros {
    numbers: Vec<f32>,
    start: usize,
}

impl Zeros {
    pub(super) fn new(length: usize) -> Zeros {
        let numbers = vec![0.0; length + ROOM];
        let start = numbers.as_ptr().align_offset(64).min(ROOM);
        Zeros { numbers, start }
    }
}

impl std::ops::Deref for Zeros {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[self.start..self.start + self.numbers.len() - ROOM]
    }
}

impl std::ops::DerefMut for Zeros {
    fn deref_mut(&mut self) -> &mut [f32] {
        let length = self.numbers.len() - ROOM;
        &mut self.numbers[self.start..self.start + length]
    }
}

impl Windows {
    /// Whether the padding stays within the kernel, so that the input's gradient is a convolution that pads too.
    pub(super) fn is_usual(&self) -> bool {
        (0..2).all(|axis| self.padding[axis] <= self.dilation[axis] * (self.kernel[axis] - 1))
    }

    /// With a stride of 1: the convolution that makes the gradient of the input of that of the output.
    pub(super) fn back(&self) -> Windows {
        let padding = [0, 1].map(|axis| self.dilation[axis] * (self.kernel[axis] - 1) - self.padding[axis]);
        Windows { size: self.out, padding, out: self.size, ..*self }
    }

    /// The row of the plane under a tap of a row of windows, where there is one.
    #[inline(always)]
    pub(super) fn row(&self, window: usize, tap: usize) -> Option<usize> {
        let row = (window * self.stride[0] + tap * self.dilation[0]).checked_sub(self.padding[0])?;
        (row < self.size[0]).then_some(row)
    }
}

/// Where numbers lie in a frame: row `r` starts at `r * width`, phase `p` of it at `p * phase` from there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub width: usize,
    pub phase: usize,
    pub stride: usize,
    /// Zeros before a row's first number, in numbers of the plane.
    pub left: usize,
    pub rows: usize,
}

impl Frame {
    /// For the input of a convolution.
    pub(super) fn of_input(sizes: &Windows) -> Frame {
        let stride = sizes.stride[1];
        let reach = sizes.dilation[1] * (sizes.kernel[1] - 1) / stride;
        let read = sizes.out[1].next_multiple_of(ROOM) + reach;
        let held = (sizes.size[1] + sizes.padding[1]).div_ceil(stride);
        let phase = (read.max(held) + ROOM).next_multiple_of(ROOM);
        Frame { width: phase * stride, phase, stride, left: sizes.padding[1], rows: sizes.size[0] }
    }

    /// For the gradient of the output, with `left` zeros before it and as many numbers read behind.
    pub(super) fn of_gradient(sizes: &Windows, left: usize, read: usize) -> Frame {
        let width = left + read.max(sizes.out[1].next_multiple_of(ROOM)) + ROOM;
        let width = width.next_multiple_of(ROOM);
        Frame { width, phase: width, stride: 1, left, rows: sizes.out[0] }
    }

    pub(super) fn len(&self) -> usize {
        self.width * self.rows
    }

    /// Where each column of a kernel finds its numbers for the first window of a row.
    pub(super) fn offsets(&self, sizes: &Windows) -> Vec<usize> {
        (0..sizes.kernel[1]).map(|tap| self.offset(tap * sizes.dilation[1])).collect()
    }

    /// Where the number that is `column` from the start of a padded row lies in that row.
    fn offset(&self, column: usize) -> usize {
        column % self.stride * self.phase + column / self.stride
    }

    /// Writes a plane of rows of `columns` numbers into its frame.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(&self, s: S, plane: &[f32], columns: usize, to: &mut [f32]) {
        for (row, to) in plane.chunks_exact(columns).zip(to.chunks_exact_mut(self.width)) {
            match self.stride {
                // zeros behind the numbers, where zeros are: a whole vector is sooner read again than a part
                1 if columns <= S::LANES => s.store(&mut to[self.left..], s.load_first(row)),
                1 => {
                    let to = &mut to[self.left..self.left + columns];
                    for (to, from) in to.chunks_mut(S::LANES).zip(row.chunks(S::LANES)) {
                        s.store_first(to, s.load_first(from));
                    }
                }
                2 => {
                    // the first number, and every second after it, is of the padding's phase
                    let (first, second) = (self.offset(self.left), self.offset(self.left + 1));
                    let mut column = 0;
                    while column < columns {
                        let from = &row[column..];
                        let count = from.len().min(2 * S::LANES);
                        let a = s.load_first(&from[..count.min(S::LANES)]);
                        let b = s.load_first(&from[count.min(S::LANES)..count]);
                        let (evens, odds) = (count.div_ceil(2), count / 2);
                        let start = first + column / 2;
                        s.store_first(&mut to[start..start + evens], s.evens(a, b));
                        let start = second + column / 2;
                        s.store_first(&mut to[start..start + odds], s.odds(a, b));
                        column += count;
                    }
                }
                _ => {
                    for (column, number) in row.iter().enumerate() {
                        to[self.offset(self.left + column)] = *number;
                    }
                }
            }
        }
    }
}
