//! Norms of rows. Each direction is one pass over memory: a row stays in the first cache while it is summed
//! and written.

use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};

/// The statistics that a norm takes from a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The mean, and the deviation around it (Ba et al. 2016).
    Layer,
    /// The root of the mean square (Zhang and Sennrich 2019).
    RootMeanSquare,
}

/// The inverse deviation of each row, and its mean if the norm has one.
#[derive(Clone, Debug)]
pub(super) struct Statistics {
    pub means: Vec<f32>,
    pub inverses: Vec<f32>,
}

/// The least count of numbers that is worth a thread.
const LEAST: usize = 1 << 14;

/// `(x - mean) / deviation * weight + bias` for each row of `weight.len()` numbers.
pub(super) fn forward(
    kind: Kind,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    epsilon: f32,
) -> (Vec<f32>, Statistics) {
    let width = weight.len();
    let rows = x.len() / width.max(1);
    assert_eq!(x.len(), rows * width, "whole rows of {width}");
    assert!(bias.is_none_or(|bias| bias.len() == width), "a bias of {width}");
    let mut output = for_overwriting(x.len());
    let mut statistics = Statistics { means: for_overwriting(rows), inverses: for_overwriting(rows) };
    let to = Shared::new(&mut output);
    let (means, inverses) = (Shared::new(&mut statistics.means), Shared::new(&mut statistics.inverses));
    threads::ranges(rows, LEAST / width.max(1) + 1, |range| {
        let numbers = range.start * width..range.end * width;
        // SAFETY: the ranges do not overlap.
        let (to, means, inverses) =
            unsafe { (to.part(numbers.clone()), means.part(range.clone()), inverses.part(range)) };
        run(Forward { kind, x: &x[numbers], weight, bias, epsilon, to, means, inverses });
    });
    (output, statistics)
}

struct Forward<'a> {
    kind: Kind,
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    epsilon: f32,
    to: &'a mut [f32],
    means: &'a mut [f32],
    inverses: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.weight.len();
        let share = 1.0 / width as f32;
        for row in 0..self.means.len() {
            let x = &self.x[row * width..][..width];
            let mean = match self.kind {
                Kind::Layer => sum(s, x) * share,
                Kind::RootMeanSquare => 0.0,
            };
            let inverse = 1.0 / (squares(s, x, mean) * share + self.epsilon).sqrt();
            (self.means[row], self.inverses[row]) = (mean, inverse);
            let (mean, inverse) = (s.splat(mean), s.splat(inverse));
            let to = &mut self.to[row * width..][..width];
            let mut at = 0;
            while at < width {
                let end = (at + S::LANES).min(width);
                let normal = s.mul(s.sub(s.load_first(&x[at..end]), mean), inverse);
                let weight = s.load_first(&self.weight[at..end]);
                let value = match self.bias {
                    Some(bias) => s.mul_add(normal, weight, s.load_first(&bias[at..end])),
                    None => s.mul(normal, weight),
                };
                s.store_first(&mut to[at..end], value);
                at = end;
            }
        }
    }
}

/// The sum of a row, in four chains of additions.
#[inline(always)]
fn sum<S: Simd>(s: S, x: &[f32]) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let chunks = x.chunks_exact(4 * S::LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for k in 0..4 {
            sums[k] = s.add(sums[k], s.load(&chunk[k * S::LANES..]));
        }
    }
    for x in rest.chunks(S::LANES) {
        sums[0] = s.add(sums[0], s.load_first(x));
    }
    s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

/// The sum of the squared distances of a row's numbers from their mean, in four chains of additions.
#[inline(always)]
fn squares<S: Simd>(s: S, x: &[f32], mean: f32) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let center = s.splat(mean);
    let chunks = x.chunks_exact(4 * S::LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for k in 0..4 {
            let x = s.sub(s.load(&chunk[k * S::LANES..]), center);
            sums[k] = s.mul_add(x, x, sums[k]);
        }
    }
    let mut tail = 0.0;
    for x in rest.chunks(S::LANES) {
        if x.len() == S::LANES {
            let x = s.sub(s.load(x), center);
            sums[0] = s.mul_add(x, x, sums[0]);
        } else {
            // lanes beyond the end would count as numbers that are 0
            tail = x.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        }
    }
    s.sum(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3]))) + tail
}

/// The wanted gradients of a backward pass.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub x: bool,
    pub weight: bool,
    pub bias: bool,
}

/// The gradients of `x`, weight and bias; one that is not wanted is empty. With `n = (x - mean) / deviation`
/// and `g = gradient * weight`, the gradient of `x` is `(g - mean(g) - n mean(g n)) / deviation`.
pub(super) fn backward(
    kind: Kind,
    x: &[f32],
    weight: &[f32],
    statistics: &Statistics,
    gradient: &[f32],
    wanted: Wanted,
) -> [Vec<f32>; 3] {
    let width = weight.len();
    let rows = statistics.means.len();
    assert_eq!([x.len(), gradient.len()], [rows * width; 2], "rows of {width} and their gradient");
    let mut of_x = for_overwriting(if wanted.x { x.len() } else { 0 });
    let parts = threads::parts(rows, LEAST / width.max(1) + 1);
    let length = |wanted: bool| if wanted { width } else { 0 };
    let (of_weight, of_bias) = (length(wanted.weight), length(wanted.bias));
    let mut sums = vec![0.0; parts * (of_weight + of_bias)];
    let (to, shared) = (Shared::new(&mut of_x), Shared::new(&mut sums));
    threads::parallel(parts, |part| {
        let range = threads::range(rows, parts, part, 1);
        let numbers = range.start * width..range.end * width;
        // SAFETY: the ranges of rows do not overlap, and each part has sums of its own.
        let (to, sums) = unsafe {
            let size = of_weight + of_bias;
            let to = to.part(if wanted.x { numbers.clone() } else { 0..0 });
            (to, shared.part(part * size..(part + 1) * size))
        };
        let (of_weight, of_bias) = sums.split_at_mut(of_weight);
        run(Backward {
            kind,
            x: &x[numbers.clone()],
            weight,
            means: &statistics.means[range.clone()],
            inverses: &statistics.inverses[range],
            gradient: &gradient[numbers],
            to,
            of_weight,
            of_bias,
        });
    });
    let size = of_weight + of_bias;
    let (first, others) = sums.split_at_mut(size);
    for part in others.chunks_exact(size.max(1)) {
        first.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
    sums.truncate(size);
    let of_bias = sums.split_off(of_weight);
    [of_x, sums, of_bias]
}

struct Backward<'a> {
    kind: Kind,
    x: &'a [f32],
    weight: &'a [f32],
    means: &'a [f32],
    inverses: &'a [f32],
    gradient: &'a [f32],
    to: &'a mut [f32],
    of_weight: &'a mut [f32],
    of_bias: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.weight.len();
        let share = 1.0 / width as f32;
        let zero = s.splat(0.0);
        for row in 0..self.means.len() {
            let (x, gradient) = (&self.x[row * width..][..width], &self.gradient[row * width..][..width]);
            let (mean, inverse) = (s.splat(self.means[row]), s.splat(self.inverses[row]));
            let (mut plain, mut turned) = ([zero; 2], [zero; 2]);
            let mut at = 0;
            let mut chain = 0;
            while at < width {
                let end = (at + S::LANES).min(width);
                let slope = s.load_first(&gradient[at..end]);
                let normal = s.mul(s.sub(s.load_first(&x[at..end]), mean), inverse);
                if !self.of_weight.is_empty() {
                    let to = &mut self.of_weight[at..end];
                    let sum = s.mul_add(slope, normal, s.load_first(to));
                    s.store_first(to, sum);
                }
                if !self.of_bias.is_empty() {
                    let to = &mut self.of_bias[at..end];
                    let sum = s.add(slope, s.load_first(to));
                    s.store_first(to, sum);
                }
                let scaled = s.mul(slope, s.load_first(&self.weight[at..end]));
                plain[chain] = s.add(plain[chain], scaled);
                turned[chain] = s.mul_add(scaled, normal, turned[chain]);
                chain ^= 1;
                at = end;
            }
            if self.to.is_empty() {
                continue;
            }
            let plain = match self.kind {
                Kind::Layer => s.splat(s.sum(s.add(plain[0], plain[1])) * share),
                Kind::RootMeanSquare => zero,
            };
            let turned = s.splat(s.sum(s.add(turned[0], turned[1])) * share);
            let to = &mut self.to[row * width..][..width];
            let mut at = 0;
            while at < width {
                let end = (at + S::LANES).min(width);
                let normal = s.mul(s.sub(s.load_first(&x[at..end]), mean), inverse);
                let scaled = s.mul(s.load_first(&gradient[at..end]), s.load_first(&self.weight[at..end]));
                let value = s.neg_mul_add(normal, turned, s.sub(scaled, plain));
                s.store_first(&mut to[at..end], s.mul(value, inverse));
                at = end;
            }
        }
    }
}
