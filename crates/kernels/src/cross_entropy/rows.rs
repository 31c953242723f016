//! The loss and the gradient of rows of logits.

use crate::simd::{Kernel, Simd};
use crate::threads::Shared;

/// The targets of the rows.
#[derive(Clone, Copy)]
pub(super) enum Goal<'a> {
    Classes { classes: &'a [usize], weights: Option<&'a [f32]>, smoothing: f32 },
    Soft(&'a [f32]),
}

/// The first logit. The gradient may overwrite the logits, so they cannot be a slice.
#[derive(Clone, Copy)]
pub(super) struct From(pub(super) *const f32);

// SAFETY: each thread reads its own rows alone.
unsafe impl Send for From {}
// SAFETY: as above.
unsafe impl Sync for From {}

/// Computes the losses of some rows, and the gradient of the mean of all rows' losses with respect to these
/// rows' logits.
pub(super) struct Rows<'a> {
    pub from: From,
    /// The memory for the gradients, if they are wanted. It may be the logits' own.
    pub to: Option<Shared<'a, f32>>,
    /// The index of the first row.
    pub first: usize,
    pub losses: &'a mut [f32],
    /// The number of all rows.
    pub rows: usize,
    pub classes: usize,
    pub goal: Goal<'a>,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut lanes = [0.0; 16];
        lanes.iter_mut().enumerate().for_each(|(lane, number)| *number = lane as f32);
        let lanes = s.load(&lanes);
        for (index, loss) in self.losses.iter_mut().enumerate() {
            let row = self.first + index;
            let start = row * self.classes;
            // SAFETY: the row's logits are inside the tensor's.
            let from = unsafe { self.from.0.add(start) };
            // SAFETY: as above; the gradient has the logits' shape.
            let to = self.to.map(|to| unsafe { to.pointer().add(start) });
            let row = match self.goal {
                Goal::Soft(targets) => Row {
                    from,
                    to,
                    length: self.classes,
                    scale: 1.0 / self.rows as f32,
                    class: None,
                    targets: Some(&targets[start..start + self.classes]),
                    weight: 1.0,
                    smoothing: 0.0,
                },
                Goal::Classes { classes, weights, smoothing } => Row {
                    from,
                    to,
                    length: self.classes,
                    scale: 1.0 / self.rows as f32,
                    class: Some(classes[row]),
                    targets: None,
                    weight: weights.map_or(1.0, |weights| weights[row]),
                    smoothing,
                },
            };
            // SAFETY: `length` logits are at `from`, and room for as many at `to`, which no other thread
            // touches; the class is below `length`.
            *loss = unsafe { row.run(s, lanes) };
        }
    }
}

struct Row<'a> {
    from: *const f32,
    to: Option<*mut f32>,
    length: usize,
    /// `1 / N`
    scale: f32,
    class: Option<usize>,
    targets: Option<&'a [f32]>,
    weight: f32,
    smoothing: f32,
}

impl Row<'_> {
    /// `count` numbers of the row from `place` on, and `outside` in the lanes beyond them.
    ///
    /// # Safety
    /// The numbers must be readable.
    #[inline(always)]
    unsafe fn load<S: Simd>(
        &self,
        s: S,
        lanes: S::F32,
        from: *const f32,
        place: usize,
        outside: f32,
    ) -> S::F32 {
        let count = self.length - place;
        // SAFETY: the caller's contract.
        unsafe {
            if count >= S::LANES {
                return s.load_from(from.add(place));
            }
            let inside = s.less(lanes, s.splat(count as f32));
            s.select(inside, s.load_first_from(from.add(place), count), s.splat(outside))
        }
    }

    /// # Safety
    /// `to` must have room for the row.
    #[inline(always)]
    unsafe fn store<S: Simd>(&self, s: S, to: *mut f32, place: usize, value: S::F32) {
        let count = self.length - place;
        // SAFETY: the caller's contract.
        unsafe {
            if count >= S::LANES {
                s.store_to(to.add(place), value);
            } else {
                s.store_first_to(to.add(place), value, count);
            }
        }
    }

    /// The row's loss. Also writes its gradient.
    ///
    /// # Safety
    /// `length` numbers must be readable at `from` and writable at `to`, which may be the same place.
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S, lanes: S::F32) -> f32 {
        // SAFETY: every place below is below `length`, as the class is.
        unsafe {
            if self.weight == 0.0 {
                if let Some(to) = self.to {
                    to.write_bytes(0, self.length);
                }
                return 0.0;
            }
            let mut largest = [s.splat(f32::NEG_INFINITY); 2];
            let mut place = 0;
            while place < self.length {
                let x = self.load(s, lanes, self.from, place, f32::NEG_INFINITY);
                largest[0] = s.max(x, largest[0]);
                place += S::LANES;
                if place < self.length {
                    let x = self.load(s, lanes, self.from, place, f32::NEG_INFINITY);
                    largest[1] = s.max(x, largest[1]);
                    place += S::LANES;
                }
            }
            let largest = s.largest(s.max(largest[0], largest[1]));
            let shift = s.splat(largest);
            let of_class = self.class.map_or(0.0, |class| self.from.add(class).read() - largest);
            let zero = s.splat(0.0);
            let (mut sum, mut distances) = (zero, zero);
            // the sum of the targets, and the sum of their products with the distances
            let (mut mass, mut product) = (zero, zero);
            let mut place = 0;
            while place < self.length {
                let x = s.sub(self.load(s, lanes, self.from, place, f32::NEG_INFINITY), shift);
                let e = exp_below_zero(s, x);
                sum = s.add(sum, e);
                if self.smoothing > 0.0 {
                    let x = s.sub(self.load(s, lanes, self.from, place, largest), shift);
                    distances = s.add(distances, x);
                }
                if let Some(targets) = self.targets {
                    let x = s.sub(self.load(s, lanes, self.from, place, largest), shift);
                    let target = self.load(s, lanes, targets.as_ptr(), place, 0.0);
                    mass = s.add(mass, target);
                    product = s.mul_add(target, x, product);
                }
                if let Some(to) = self.to {
                    self.store(s, to, place, e);
                }
                place += S::LANES;
            }
            let sum = s.sum(sum);
            let of_sum = sum.ln();
            let (mass, product) = (s.sum(mass), s.sum(product));
            if let Some(to) = self.to {
                let mass = if self.targets.is_some() { mass } else { 1.0 };
                let factor = s.splat(self.weight * self.scale * mass / sum);
                let evenly = s.splat(self.weight * self.scale * self.smoothing / self.length as f32);
                let mut place = 0;
                while place < self.length {
                    let e = self.load(s, lanes, to, place, 0.0);
                    let mut slope = s.sub(s.mul(e, factor), evenly);
                    if let Some(targets) = self.targets {
                        let target = self.load(s, lanes, targets.as_ptr(), place, 0.0);
                        slope = s.neg_mul_add(target, s.splat(self.scale), slope);
                    }
                    self.store(s, to, place, slope);
                    place += S::LANES;
                }
                if let Some(class) = self.class {
                    let place = to.add(class);
                    place.write(place.read() - self.weight * self.scale * (1.0 - self.smoothing));
                }
            }
            if self.targets.is_some() {
                return mass * of_sum - product;
            }
            let mut nats = of_sum - of_class;
            if self.smoothing > 0.0 {
                let evenly = of_sum - s.sum(distances) / self.length as f32;
                nats = nats * (1.0 - self.smoothing) + evenly * self.smoothing;
            }
            nats * self.weight
        }
    }
}

/// `e^x` for `x` up to 0, as [`exp`](crate::simd::math::exp) but without its care for large and infinite
/// numbers. Most of a row's time is spent here.
#[inline(always)]
fn exp_below_zero<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // this order of the operands keeps a NaN
    let low = s.splat(-87.33);
    let (p, n) = crate::simd::math::exp_parts(s, s.max(low, x));
    s.select(s.less(x, low), s.splat(0.0), s.scale(p, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::run;

    #[test]
    fn exponentials_are_exact_to_a_few_units() {
        struct Apply<'a>(&'a mut [f32]);
        impl Kernel for Apply<'_> {
            type Output = ();
            #[inline(always)]
            fn run<S: Simd>(self, s: S) {
                for part in self.0.chunks_mut(S::LANES) {
                    let e = exp_below_zero(s, s.load_first(part));
                    s.store_first(part, e);
                }
            }
        }
        let inputs: Vec<f32> = (0..200_000).map(|i| i as f32 * -4.3e-4).collect();
        let mut found = inputs.clone();
        run(Apply(&mut found));
        for (x, found) in inputs.into_iter().zip(found) {
            let expected = f64::from(x).exp();
            assert!((f64::from(found) - expected).abs() < 3e-7 * expected, "{x}: {found} against {expected}");
        }
        let mut far = [-100.0, -1e30, f32::NEG_INFINITY, f32::NAN];
        run(Apply(&mut far));
        assert_eq!(far[..3], [0.0; 3]);
        assert!(far[3].is_nan());
    }
}
