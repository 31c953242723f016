//! Convolutions of one channel's planes with its kernel.

use super::frame::{Frame, ROOM};
use crate::activation::Activation;
use crate::batch_norm::channels::Affine;
use crate::simd::Simd;
use crate::threads::Shared;
use crate::windows::Windows;

/// A vector of columns of an output plane: its start in the frames, its start in the output, and its count of
/// columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strip {
    from: usize,
    to: usize,
    count: usize,
}

/// The strips of the output planes that start at `starts`. The frames of their inputs lie one behind the
/// other.
#[inline(always)]
pub(super) fn strips<S: Simd>(_: S, sizes: &Windows, frame: &Frame, starts: &[usize], to: &mut Vec<Strip>) {
    to.clear();
    for (plane, start) in starts.iter().enumerate() {
        let mut column = 0;
        while column < sizes.out[1] {
            let count = S::LANES.min(sizes.out[1] - column);
            to.push(Strip { from: plane * frame.len() + column, to: start + column, count });
            column += count;
        }
    }
}

/// The work on complete sums, and their destination.
#[derive(Clone, Copy)]
pub(super) struct Emit<'a> {
    pub to: Shared<'a, f32>,
    /// The memory for the sums before the activation, if they are kept.
    pub sums: Option<Shared<'a, f32>>,
    pub bias: f32,
    /// The channel's map and the residual of a norm before the activation, if there is one.
    pub normed: Option<(Affine, Option<&'a [f32]>)>,
    /// Applied here if it is [cheap](Activation::is_cheap). Other activations follow once a plane is
    /// complete: the compiler would compute their polynomials for each vector, whichever was asked for.
    pub activation: Activation,
}

impl Emit<'_> {
    #[inline(always)]
    fn emit<S: Simd>(&self, s: S, value: S::F32, start: usize, count: usize) {
        if let Some(sums) = self.sums {
            // SAFETY: each plane of the output is one thread's.
            s.store_first(unsafe { sums.part(start..start + count) }, value);
        }
        let mut value = value;
        if let Some((map, residual)) = self.normed {
            value = map.apply(s, value);
            if let Some(residual) = residual {
                value = s.add(value, s.load_first(&residual[start..start + count]));
            }
        }
        // SAFETY: as above.
        let to = unsafe { self.to.part(start..start + count) };
        s.store_first(to, self.activation.apply_cheap(s, value));
    }
}

/// A convolution of framed planes.
#[derive(Clone, Copy)]
pub(super) struct Convolve<'a> {
    pub sizes: Windows,
    pub frame: Frame,
    pub frames: &'a [f32],
    /// The frame's [`Frame::offsets`].
    pub offsets: &'a [usize],
    /// The taps, row after row.
    pub weights: &'a [f32],
    pub emit: Emit<'a>,
}

impl Convolve<'_> {
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, s: S, strips: &[Strip]) {
        let plain = self.sizes.stride == [1; 2] && self.sizes.dilation == [1; 2];
        match (plain, self.sizes.kernel[0]) {
            (true, 3) => {
                let rest = self.chunks::<S, 3, 4>(s, strips);
                let rest = self.chunks::<S, 3, 2>(s, rest);
                self.chunks::<S, 3, 1>(s, rest);
            }
            (true, 5) => {
                let rest = self.chunks::<S, 5, 2>(s, strips);
                self.chunks::<S, 5, 1>(s, rest);
            }
            (true, 7) => {
                let rest = self.chunks::<S, 7, 2>(s, strips);
                self.chunks::<S, 7, 1>(s, rest);
            }
            _ => {
                let fours = strips.chunks_exact(4);
                let rest = fours.remainder();
                for four in fours {
                    self.any::<S, 4>(s, four);
                }
                for strip in rest {
                    self.any::<S, 1>(s, std::slice::from_ref(strip));
                }
            }
        }
    }

    #[inline(always)]
    fn chunks<'s, S: Simd, const K: usize, const V: usize>(&self, s: S, strips: &'s [Strip]) -> &'s [Strip] {
        let chunks = strips.chunks_exact(V);
        let rest = chunks.remainder();
        for chunk in chunks {
            self.rolling::<S, K, V>(s, chunk);
        }
        rest
    }

    /// Convolves with a kernel of `K` rows at a stride of 1. Each row of the input is read once and added to
    /// the sums of the `K` rows of the output that it touches, which stay in registers.
    #[inline(always)]
    fn rolling<S: Simd, const K: usize, const V: usize>(&self, s: S, strips: &[Strip]) {
        let (sizes, width) = (&self.sizes, self.frame.width);
        let columns = sizes.kernel[1];
        let strips: [Strip; V] = strips.try_into().expect("as many strips");
        // the last vector of the last row ends inside the frames
        let last = (sizes.size[0].max(1) - 1) * width + columns - 1 + S::LANES;
        assert!(strips.iter().all(|strip| strip.from + last <= self.frames.len()));
        assert!(self.weights.len() == K * columns && sizes.kernel[0] == K);
        let bias = s.splat(self.emit.bias);
        // sums[k] belongs to the row of the output for which this row of the input meets row k of the kernel
        let mut sums = [[bias; V]; K];
        for padded in 0..sizes.out[0] + K - 1 {
            let row = padded.wrapping_sub(sizes.padding[0]);
            if row < sizes.size[0] {
                for j in 0..columns {
                    // SAFETY: the loads end at `last` from a strip's start, which is inside; there are `K`
                    // rows of `columns` weights.
                    unsafe {
                        let mut x = [bias; V];
                        for v in 0..V {
                            x[v] = s.load_from(self.frames.as_ptr().add(strips[v].from + row * width + j));
                        }
                        for k in 0..K {
                            let weight = s.splat(*self.weights.get_unchecked(k * columns + j));
                            for v in 0..V {
                                sums[k][v] = s.mul_add(x[v], weight, sums[k][v]);
                            }
                        }
                    }
                }
            }
            if let Some(done) = padded.checked_sub(K - 1) {
                for v in 0..V {
                    self.emit.emit(s, sums[K - 1][v], strips[v].to + done * sizes.out[1], strips[v].count);
                }
            }
            for k in (1..K).rev() {
                sums[k] = sums[k - 1];
            }
            sums[0] = [bias; V];
        }
    }

    /// Convolves with any kernel and stride.
    #[inline(always)]
    fn any<S: Simd, const V: usize>(&self, s: S, strips: &[Strip]) {
        let (sizes, frame) = (&self.sizes, &self.frame);
        for out in 0..sizes.out[0] {
            let mut sums = [s.splat(self.emit.bias); V];
            for i in 0..sizes.kernel[0] {
                let Some(row) = sizes.row(out, i) else { continue };
                let weights = &self.weights[i * sizes.kernel[1]..(i + 1) * sizes.kernel[1]];
                for (weight, offset) in weights.iter().zip(self.offsets) {
                    let weight = s.splat(*weight);
                    let start = row * frame.width + offset;
                    for v in 0..V {
                        let x = s.load(&self.frames[strips[v].from + start..]);
                        sums[v] = s.mul_add(x, weight, sums[v]);
                    }
                }
            }
            for v in 0..V {
                self.emit.emit(s, sums[v], strips[v].to + out * sizes.out[1], strips[v].count);
            }
        }
    }
}

/// The gradient of the input at any stride. Each place of the input gathers from the windows that contain it.
pub(super) struct Gather<'a> {
    pub sizes: Windows,
    pub frame: Frame,
    /// The output's gradient, framed.
    pub gradient: &'a [f32],
    pub weights: &'a [f32],
    pub to: Shared<'a, f32>,
    pub start: usize,
}

/// A tap that links a phase of the input's columns to windows. `ahead` is the distance from a column's share
/// to its window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    phase: usize,
    tap: usize,
    ahead: isize,
}

/// The links of all phases, and the frame that the gradient needs for them: the zeros before a row, and the
/// numbers read from its start on.
pub(super) fn links(sizes: &Windows) -> (Vec<Link>, usize, usize) {
    let stride = sizes.stride[1];
    let mut links = Vec::new();
    for phase in 0..stride {
        for tap in 0..sizes.kernel[1] {
            let ahead = (phase + sizes.padding[1]) as isize - (tap * sizes.dilation[1]) as isize;
            if ahead.rem_euclid(stride as isize) == 0 {
                links.push(Link { phase, tap, ahead: ahead / stride as isize });
            }
        }
    }
    let left = links.iter().map(|link| -link.ahead).max().unwrap_or(0).max(0) as usize;
    let right = links.iter().map(|link| link.ahead).max().unwrap_or(0).max(0) as usize;
    (links, left, sizes.size[1].div_ceil(stride).next_multiple_of(ROOM) + right)
}

impl Gather<'_> {
    /// Computes the gradient. `holders` is memory for the rows of windows that contain a row of the input.
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, s: S, links: &[Link], holders: &mut Vec<[usize; 2]>) {
        let sizes = &self.sizes;
        let stride = sizes.stride[1];
        let second = links.iter().position(|link| link.phase > 0).unwrap_or(links.len());
        for row in 0..sizes.size[0] {
            holders.clear();
            for i in 0..sizes.kernel[0] {
                let Some(ahead) = (row + sizes.padding[0]).checked_sub(i * sizes.dilation[0]) else {
                    continue;
                };
                if ahead % sizes.stride[0] == 0 && ahead / sizes.stride[0] < sizes.out[0] {
                    let line = ahead / sizes.stride[0] * self.frame.width + self.frame.left;
                    holders.push([i * sizes.kernel[1], line]);
                }
            }
            let start = self.start + row * sizes.size[1];
            // SAFETY: each plane of the input is one thread's.
            let to = unsafe { self.to.part(start..start + sizes.size[1]) };
            let mut share = 0;
            while share * stride < sizes.size[1] {
                let to = &mut to[share * stride..];
                match stride {
                    1 => s.store_first(to, self.sum(s, links, holders, share)),
                    2 => {
                        let evens = self.sum(s, &links[..second], holders, share);
                        let odds = self.sum(s, &links[second..], holders, share);
                        let (first, second) = s.interleave(evens, odds);
                        s.store_first(to, first);
                        if to.len() > S::LANES {
                            s.store_first(&mut to[S::LANES..], second);
                        }
                    }
                    _ => {
                        for phase in 0..stride.min(to.len()) {
                            let first = links.partition_point(|link| link.phase < phase);
                            let end = links.partition_point(|link| link.phase <= phase);
                            let mut lanes = [0.0; ROOM];
                            s.store(&mut lanes, self.sum(s, &links[first..end], holders, share));
                            let places = to[phase..].iter_mut().step_by(stride);
                            for (to, lane) in places.zip(&lanes[..S::LANES]) {
                                *to = *lane;
                            }
                        }
                    }
                }
                share += S::LANES;
            }
        }
    }

    #[inline(always)]
    fn sum<S: Simd>(&self, s: S, links: &[Link], holders: &[[usize; 2]], share: usize) -> S::F32 {
        let mut sum = s.splat(0.0);
        for [weights, line] in holders {
            for link in links {
                let gradient = s.load(&self.gradient[(line + share).wrapping_add_signed(link.ahead)..]);
                sum = s.mul_add(gradient, s.splat(self.weights[weights + link.tap]), sum);
            }
        }
        sum
    }
}

/// Adds a plane's share to the gradient of the weight: a vector of partial sums for each tap.
pub(super) struct Correlate<'a> {
    pub sizes: Windows,
    pub frame: Frame,
    /// The frame's [`Frame::offsets`].
    pub offsets: &'a [usize],
    pub x: &'a [f32],
    pub gradient_frame: Frame,
    pub gradient: &'a [f32],
}

impl Correlate<'_> {
    #[inline(always)]
    pub(super) fn run<S: Simd>(&self, s: S, to: &mut [f32]) {
        let plain = self.sizes.stride == [1; 2] && self.sizes.dilation == [1; 2];
        match (plain, self.sizes.kernel[0]) {
            (true, 3) => self.groups::<S, 3>(s, to),
            (true, 5) => self.groups::<S, 5>(s, to),
            (true, 7) => self.groups::<S, 7>(s, to),
            _ => {
                for i in 0..self.sizes.kernel[0] {
                    let mut j = 0;
                    while j + 3 <= self.sizes.kernel[1] {
                        self.any::<S, 3>(s, i, j, to);
                        j += 3;
                    }
                    while j < self.sizes.kernel[1] {
                        self.any::<S, 1>(s, i, j, to);
                        j += 1;
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn groups<S: Simd, const K: usize>(&self, s: S, to: &mut [f32]) {
        let columns = self.sizes.kernel[1];
        let mut j = 0;
        while j + 3 <= columns {
            self.rolling::<S, K, 3>(s, j, to);
            j += 3;
        }
        if j + 2 <= columns {
            self.rolling::<S, K, 2>(s, j, to);
            j += 2;
        }
        if j < columns {
            self.rolling::<S, K, 1>(s, j, to);
        }
    }

    /// Correlates for a kernel of `K` rows at a stride of 1, and `V` of its columns from `first` on. Each row
    /// of the input meets the `K` rows of the gradient that it touches. They stay in registers, and so do the
    /// sums.
    #[inline(always)]
    fn rolling<S: Simd, const K: usize, const V: usize>(&self, s: S, first: usize, to: &mut [f32]) {
        let sizes = &self.sizes;
        let zero = s.splat(0.0);
        let mut sums = [[zero; V]; K];
        let mut column = 0;
        // the last vectors of the last rows end inside the frames
        let columns = sizes.out[1].next_multiple_of(S::LANES);
        let rows = self.frame.width * (sizes.size[0].max(1) - 1);
        assert!(rows + columns + first + V - 1 <= self.x.len());
        let rows = self.gradient_frame.width * (sizes.out[0] - 1);
        assert!(rows + self.gradient_frame.left + columns <= self.gradient.len());
        while column < sizes.out[1] {
            let mut gradients = [zero; K];
            for padded in 0..(sizes.padding[0] + sizes.size[0]).min(sizes.out[0] + K - 1) {
                for k in (1..K).rev() {
                    gradients[k] = gradients[k - 1];
                }
                gradients[0] = zero;
                if padded < sizes.out[0] {
                    let start = padded * self.gradient_frame.width + self.gradient_frame.left + column;
                    // SAFETY: inside, as asserted above.
                    gradients[0] = unsafe { s.load_from(self.gradient.as_ptr().add(start)) };
                }
                let Some(row) = padded.checked_sub(sizes.padding[0]) else { continue };
                for v in 0..V {
                    let start = row * self.frame.width + column + first + v;
                    // SAFETY: inside, as asserted above.
                    let x = unsafe { s.load_from(self.x.as_ptr().add(start)) };
                    for k in 0..K {
                        sums[k][v] = s.mul_add(x, gradients[k], sums[k][v]);
                    }
                }
            }
            column += S::LANES;
        }
        for k in 0..K {
            for v in 0..V {
                add(s, to, k * sizes.kernel[1] + first + v, sums[k][v]);
            }
        }
    }

    #[inline(always)]
    fn any<S: Simd, const V: usize>(&self, s: S, i: usize, first: usize, to: &mut [f32]) {
        let sizes = &self.sizes;
        let mut sums = [s.splat(0.0); V];
        for out in 0..sizes.out[0] {
            let Some(row) = sizes.row(out, i) else { continue };
            let mut column = 0;
            while column < sizes.out[1] {
                let start = out * self.gradient_frame.width + self.gradient_frame.left + column;
                let gradient = s.load(&self.gradient[start..]);
                for v in 0..V {
                    let x = s.load(&self.x[row * self.frame.width + self.offsets[first + v] + column..]);
                    sums[v] = s.mul_add(x, gradient, sums[v]);
                }
                column += S::LANES;
            }
        }
        for v in 0..V {
            add(s, to, i * sizes.kernel[1] + first + v, sums[v]);
        }
    }
}

/// Adds to the partial sums of tap `tap`.
#[inline(always)]
fn add<S: Simd>(s: S, to: &mut [f32], tap: usize, value: S::F32) {
    let to = &mut to[tap * ROOM..tap * ROOM + S::LANES];
    s.store(to, s.add(s.load(to), value));
}
