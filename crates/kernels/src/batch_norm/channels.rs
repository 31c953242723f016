//! Sums and maps over a channel's numbers, which lie in one stretch in each image.

use crate::activation::{Activation, chosen};
use crate::simd::{Kernel, Simd};
use crate::threads::{self, Shared};
use std::ops::Range;

/// The shape of a tensor in memory, `[images, channels, size]`, row after row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planes {
    pub images: usize,
    pub channels: usize,
    pub size: usize,
}

impl Planes {
    /// The count of a channel's numbers.
    pub(crate) fn count(&self) -> usize {
        self.images * self.size
    }

    /// The stretches of memory, one an image, that hold the numbers `range` of a channel's `images * size`.
    #[inline(always)]
    fn stretches(self, channel: usize, range: Range<usize>) -> Stretches {
        Stretches { planes: self, channel, range }
    }
}

struct Stretches {
    planes: Planes,
    channel: usize,
    range: Range<usize>,
}

impl Iterator for Stretches {
    type Item = Range<usize>;

    #[inline(always)]
    fn next(&mut self) -> Option<Range<usize>> {
        if self.range.is_empty() {
            return None;
        }
        let (image, place) = (self.range.start / self.planes.size, self.range.start % self.planes.size);
        let start = (image * self.planes.channels + self.channel) * self.planes.size + place;
        let length = (self.planes.size - place).min(self.range.len());
        self.range.start += length;
        Some(start..start + length)
    }
}

/// The least count of numbers that is worth a thread.
const LEAST: usize = 1 << 14;

/// A step between two passes, which changes the results of all channels.
pub(crate) type Between<'a, T> = &'a dyn Fn(&mut [T]);

/// Calls `first` for every channel, then `second` with the channel's result, and returns the results.
///
/// A thread makes both calls for a channel while its numbers are in the cache. If there are too few channels
/// for the threads, they share ranges of each channel, and `join` joins the ranges' results in order.
/// `between` changes the results of all channels after `first` and before `second`.
pub(crate) fn in_turn<T: Copy + Default + Send + Sync>(
    planes: Planes,
    first: impl Fn(usize, Range<usize>) -> T + Sync,
    join: impl Fn(T, T) -> T,
    between: Option<Between<'_, T>>,
    second: impl Fn(usize, Range<usize>, T) + Sync,
) -> Vec<T> {
    let count = planes.count();
    let parts = threads::parts(planes.channels * count, LEAST);
    let mut found = vec![T::default(); planes.channels];
    let shared_out = parts == 1 || planes.channels.is_multiple_of(parts) || planes.channels >= 8 * parts;
    if between.is_none() && shared_out {
        let shared = Shared::new(&mut found);
        threads::parallel(parts, |part| {
            let channels = threads::range(planes.channels, parts, part, 1);
            // SAFETY: each channel is one thread's.
            let found = unsafe { shared.part(channels.clone()) };
            for (channel, found) in channels.zip(found) {
                *found = first(channel, 0..count);
                second(channel, 0..count, *found);
            }
        });
        return found;
    }
    let range = |piece: usize| threads::range(count, parts, piece % parts, 1);
    let mut pieces = vec![T::default(); planes.channels * parts];
    let shared = Shared::new(&mut pieces);
    threads::parallel(planes.channels * parts, |piece| {
        // SAFETY: each piece has a place of its own.
        let to = unsafe { shared.part(piece..piece + 1) };
        to[0] = first(piece / parts, range(piece));
    });
    for (found, pieces) in found.iter_mut().zip(pieces.chunks(parts)) {
        *found = pieces[1..].iter().fold(pieces[0], |all, piece| join(all, *piece));
    }
    if let Some(between) = between {
        between(&mut found);
    }
    threads::parallel(planes.channels * parts, |piece| {
        second(piece / parts, range(piece), found[piece / parts]);
    });
    found
}

/// The count of numbers summed in `f32` at a time: few enough to keep its accuracy, and to read them twice
/// from the nearest cache. Sums over chunks are in `f64`.
const CHUNK: usize = 4096;

struct Chunks(Range<usize>);

impl Iterator for Chunks {
    type Item = Range<usize>;

    #[inline(always)]
    fn next(&mut self) -> Option<Range<usize>> {
        let end = self.0.end.min(self.0.start + CHUNK);
        let chunk = self.0.start..end;
        self.0.start = end;
        (!chunk.is_empty()).then_some(chunk)
    }
}

/// The count of some numbers, their mean, and the sum of their squared distances from it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    pub count: f64,
    pub mean: f64,
    pub squares: f64,
}

impl Moments {
    /// The moments of both sets of numbers (Chan, Golub and LeVeque 1979).
    #[inline(always)]
    pub(crate) fn and(self, other: Moments) -> Moments {
        if self.count == 0.0 {
            return other;
        }
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        Moments {
            count,
            mean: self.mean + apart * (other.count / count),
            squares: self.squares + other.squares + apart * apart * (self.count * other.count / count),
        }
    }

    /// The biased variance.
    pub(crate) fn variance(&self) -> f64 {
        self.squares / self.count
    }
}

/// Computes the moments of the numbers `range` of a channel.
pub(crate) struct Measure<'a> {
    pub x: &'a [f32],
    pub planes: Planes,
    pub channel: usize,
    pub range: Range<usize>,
}

impl Kernel for Measure<'_> {
    type Output = Moments;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Moments {
        let mut all = Moments::default();
        for chunk in Chunks(self.range.clone()) {
            let count = chunk.len() as f32;
            let mut sum = [s.splat(0.0); 4];
            for stretch in self.planes.stretches(self.channel, chunk.clone()) {
                let x = &self.x[stretch];
                let fours = x.chunks_exact(4 * S::LANES);
                for x in fours.remainder().chunks(S::LANES) {
                    sum[0] = s.add(sum[0], s.load_first(x));
                }
                for x in fours {
                    for (i, sum) in sum.iter_mut().enumerate() {
                        *sum = s.add(*sum, s.load(&x[i * S::LANES..]));
                    }
                }
            }
            let mean = s.sum(s.add(s.add(sum[0], sum[1]), s.add(sum[2], sum[3]))) / count;
            let near = s.splat(mean);
            // `mean` is rounded, and the sum of the distances from it says by how much
            let (mut left, mut squares) = ([s.splat(0.0); 2], [s.splat(0.0); 2]);
            for stretch in self.planes.stretches(self.channel, chunk.clone()) {
                let x = &self.x[stretch];
                let twos = x.chunks_exact(2 * S::LANES);
                for x in twos.remainder().chunks(S::LANES) {
                    let apart = s.mul(s.sub(s.load_first(x), near), lanes(s, x.len()));
                    left[0] = s.add(left[0], apart);
                    squares[0] = s.mul_add(apart, apart, squares[0]);
                }
                for x in twos {
                    for i in 0..2 {
                        let apart = s.sub(s.load(&x[i * S::LANES..]), near);
                        left[i] = s.add(left[i], apart);
                        squares[i] = s.mul_add(apart, apart, squares[i]);
                    }
                }
            }
            let left = s.sum(s.add(left[0], left[1])) as f64;
            let squares = s.sum(s.add(squares[0], squares[1])) as f64;
            let count = count as f64;
            all = all.and(Moments {
                count,
                mean: mean as f64 + left / count,
                squares: (squares - left * left / count).max(0.0),
            });
        }
        all
    }
}

/// 1 in the first `count` lanes, 0 in the others.
#[inline(always)]
fn lanes<S: Simd>(s: S, count: usize) -> S::F32 {
    const ONES: [f32; 64] = [1.0; 64];
    s.load_first(&ONES[..count])
}

/// A channel's map, `(x - mean) * scale + bias`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Affine {
    pub mean: f32,
    pub scale: f32,
    pub bias: f32,
}

impl Affine {
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        s.mul_add(s.sub(x, s.splat(self.mean)), s.splat(self.scale), s.splat(self.bias))
    }
}

/// The maps and the residual of a norm that another op applies to its own numbers, which then are written
/// once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normed<'a> {
    /// One map for each channel.
    pub maps: &'a [Affine],
    /// One number for each of the op's, in the same places.
    pub residual: Option<&'a [f32]>,
}

/// Computes `to = activation(affine(x) + residual)` for the numbers `range` of a channel.
pub(crate) struct Map<'a> {
    pub x: &'a [f32],
    pub residual: Option<&'a [f32]>,
    pub to: Shared<'a, f32>,
    pub planes: Planes,
    pub channel: usize,
    pub range: Range<usize>,
    pub affine: Affine,
    pub activation: Activation,
}

impl Kernel for Map<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        chosen!(self.activation, |activation| self.map(s, activation));
    }
}

impl Map<'_> {
    #[inline(always)]
    fn map<S: Simd>(&self, s: S, activation: Activation) {
        for stretch in self.planes.stretches(self.channel, self.range.clone()) {
            // SAFETY: each place belongs to one channel and one range of it, which one thread maps.
            let to = unsafe { self.to.part(stretch.clone()) };
            let x = self.x[stretch.clone()].chunks(S::LANES);
            match self.residual {
                None => {
                    for (x, to) in x.zip(to.chunks_mut(S::LANES)) {
                        let value = self.affine.apply(s, s.load_first(x));
                        s.store_first(to, activation.apply(s, value));
                    }
                }
                Some(residual) => {
                    let residual = residual[stretch].chunks(S::LANES);
                    for ((x, residual), to) in x.zip(residual).zip(to.chunks_mut(S::LANES)) {
                        let value = s.add(self.affine.apply(s, s.load_first(x)), s.load_first(residual));
                        s.store_first(to, activation.apply(s, value));
                    }
                }
            }
        }
    }
}

/// The numbers from which the activation's derivative follows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    /// None: the derivative is 1.
    Nothing,
    /// The input alone, since no residual was added.
    ByInput,
    /// The input and the residual.
    ByResidual(&'a [f32]),
    /// The output.
    ByOutput(&'a [f32]),
}

/// The memory from which a kernel reads the gradient, or the slopes.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    Apart(&'a [f32]),
    /// The memory that threads write, each its own numbers. A number is read before it is overwritten.
    Written(Shared<'a, f32>),
}

impl Source<'_> {
    /// The numbers at `places`, at most a vector.
    #[inline(always)]
    fn load<S: Simd>(self, s: S, places: Range<usize>) -> S::F32 {
        match self {
            Source::Apart(numbers) => s.load_first(&numbers[places]),
            // SAFETY: each place belongs to one channel and one range of it, which one thread is at work on.
            Source::Written(numbers) => s.load_first(unsafe { numbers.part(places) }),
        }
    }
}

/// Computes the slopes, `gradient * derivative`: the gradient before the activation. Writes them to `to`, if
/// there is one, and sums them and their products with `x - mean`, for the numbers `range` of a channel.
pub(crate) struct Slopes<'a> {
    pub x: &'a [f32],
    pub gradient: Source<'a>,
    pub told: Told<'a>,
    pub to: Option<Shared<'a, f32>>,
    pub planes: Planes,
    pub channel: usize,
    pub range: Range<usize>,
    pub affine: Affine,
    pub activation: Activation,
}

impl Slopes<'_> {
    #[inline(always)]
    fn slope<S: Simd>(&self, s: S, x: S::F32, gradient: S::F32, places: Range<usize>) -> S::F32 {
        let at = match self.told {
            Told::Nothing => return gradient,
            Told::ByInput => self.affine.apply(s, x),
            Told::ByResidual(residual) => s.add(self.affine.apply(s, x), s.load_first(&residual[places])),
            Told::ByOutput(output) => s.load_first(&output[places]),
        };
        if self.activation == Activation::Relu {
            return s.select(s.less(s.splat(0.0), at), gradient, s.splat(0.0));
        }
        let by_output = matches!(self.told, Told::ByOutput(_));
        let at = match self.activation {
            // tanh's derivative follows from the output
            Activation::Tanh if !by_output => self.activation.apply(s, at),
            _ => at,
        };
        s.mul(gradient, self.activation.derivative(s, at))
    }
}

impl Kernel for Slopes<'_> {
    /// The sum of the slopes, and the sum of their products with `x - mean`.
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f64; 2] {
        let mut all = [0.0; 2];
        let mean = s.splat(self.affine.mean);
        for chunk in Chunks(self.range.clone()) {
            let (mut sum, mut products) = (s.splat(0.0), s.splat(0.0));
            for stretch in self.planes.stretches(self.channel, chunk) {
                let mut start = stretch.start;
                while start < stretch.end {
                    let places = start..stretch.end.min(start + S::LANES);
                    start = places.end;
                    let x = s.load_first(&self.x[places.clone()]);
                    let gradient = self.gradient.load(s, places.clone());
                    let slope = self.slope(s, x, gradient, places.clone());
                    if let Some(to) = self.to {
                        // SAFETY: as in `Map`.
                        s.store_first(unsafe { to.part(places) }, slope);
                    }
                    sum = s.add(sum, slope);
                    products = s.mul_add(slope, s.sub(x, mean), products);
                }
            }
            all[0] += s.sum(sum) as f64;
            all[1] += s.sum(products) as f64;
        }
        all
    }
}

/// Computes the input's gradient, `to = slope * scale - constant - (x - mean) * linear`, for the numbers
/// `range` of a channel.
pub(crate) struct Spread<'a> {
    pub x: &'a [f32],
    pub slope: Source<'a>,
    pub to: Shared<'a, f32>,
    pub planes: Planes,
    pub channel: usize,
    pub range: Range<usize>,
    pub mean: f32,
    pub scale: f32,
    pub constant: f32,
    pub linear: f32,
}

impl Kernel for Spread<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (mean, scale) = (s.splat(self.mean), s.splat(self.scale));
        let (constant, linear) = (s.splat(self.constant), s.splat(self.linear));
        for stretch in self.planes.stretches(self.channel, self.range.clone()) {
            let mut start = stretch.start;
            while start < stretch.end {
                let places = start..stretch.end.min(start + S::LANES);
                start = places.end;
                let slope = self.slope.load(s, places.clone());
                let x = s.sub(s.load_first(&self.x[places.clone()]), mean);
                let rest = s.neg_mul_add(x, linear, s.sub(s.mul(slope, scale), constant));
                // SAFETY: as in `Map`.
                s.store_first(unsafe { self.to.part(places) }, rest);
            }
        }
    }
}
