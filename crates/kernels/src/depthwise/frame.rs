//! The layout in which a convolution's loads need no bounds: a plane's rows in a frame of zeros. Each row is
//! split into as many phases as the stride, so that neighbouring windows read neighbouring numbers.

use crate::simd::Simd;
use crate::windows::Windows;

/// The lanes of the widest vector: the most numbers that a loop over vectors reads beyond the end of a row.
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
    /// True if the padding stays within the kernel. The input's gradient is then a convolution with padding
    /// too.
    pub(crate) fn is_usual(&self) -> bool {
        (0..2).all(|axis| self.padding[axis] <= self.dilation[axis] * (self.kernel[axis] - 1))
    }

    /// The convolution that turns the output's gradient into the input's, at a stride of 1.
    pub(super) fn back(&self) -> Windows {
        let padding = [0, 1].map(|axis| self.dilation[axis] * (self.kernel[axis] - 1) - self.padding[axis]);
        Windows { size: self.out, padding, out: self.size, ..*self }
    }

    /// The plane's row under a tap of a row of windows, if it exists.
    #[inline(always)]
    pub(super) fn row(&self, window: usize, tap: usize) -> Option<usize> {
        let row = (window * self.stride[0] + tap * self.dilation[0]).checked_sub(self.padding[0])?;
        (row < self.size[0]).then_some(row)
    }
}

/// The layout of a frame: row `r` starts at `r * width`, and phase `p` of the row at `p * phase` from there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub width: usize,
    pub phase: usize,
    pub stride: usize,
    /// The number of zeros before a row's first number, counted in columns of the plane.
    pub left: usize,
    pub rows: usize,
}

impl Frame {
    /// The frame of a convolution's input.
    pub(super) fn of_input(sizes: &Windows) -> Frame {
        let stride = sizes.stride[1];
        let reach = sizes.dilation[1] * (sizes.kernel[1] - 1) / stride;
        let read = sizes.out[1].next_multiple_of(ROOM) + reach;
        let held = (sizes.size[1] + sizes.padding[1]).div_ceil(stride);
        let phase = (read.max(held) + ROOM).next_multiple_of(ROOM);
        Frame { width: phase * stride, phase, stride, left: sizes.padding[1], rows: sizes.size[0] }
    }

    /// The frame of the output's gradient, with `left` zeros before each row and at least `read` numbers from
    /// there on.
    pub(super) fn of_gradient(sizes: &Windows, left: usize, read: usize) -> Frame {
        let width = left + read.max(sizes.out[1].next_multiple_of(ROOM)) + ROOM;
        let width = width.next_multiple_of(ROOM);
        Frame { width, phase: width, stride: 1, left, rows: sizes.out[0] }
    }

    pub(super) fn len(&self) -> usize {
        self.width * self.rows
    }

    /// The offset in a row at which each column of a kernel reads for the row's first window.
    pub(super) fn offsets(&self, sizes: &Windows) -> Vec<usize> {
        (0..sizes.kernel[1]).map(|tap| self.offset(tap * sizes.dilation[1])).collect()
    }

    /// The offset in a row of the number that is `column` from the start of the padded row.
    fn offset(&self, column: usize) -> usize {
        column % self.stride * self.phase + column / self.stride
    }

    /// Writes a plane with rows of `columns` numbers into its frame.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(&self, s: S, plane: &[f32], columns: usize, to: &mut [f32]) {
        for (row, to) in plane.chunks_exact(columns).zip(to.chunks_exact_mut(self.width)) {
            match self.stride {
                // the frame has zeros beyond the numbers: a whole vector is sooner read again than a part of
                // one
                1 if columns <= S::LANES => s.store(&mut to[self.left..], s.load_first(row)),
                1 => {
                    let to = &mut to[self.left..self.left + columns];
                    for (to, from) in to.chunks_mut(S::LANES).zip(row.chunks(S::LANES)) {
                        s.store_first(to, s.load_first(from));
                    }
                }
                2 => {
                    // the first number, and every second one after it, has the padding's phase
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
