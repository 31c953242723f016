//! Elementary functions on vectors.
//!
//! Each is a polynomial after a reduction of its range, as in Cephes (Moshier 1989) and its vectorised
//! descendants. The tests bound each one's error over the whole range.

use super::Simd;

/// `e^x`: 0 below -87.3, infinite from 88.72 on, and within 2 units in the last place between.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let (low, high) = (s.splat(-87.33), s.splat(88.72));
    let clamped = s.min(high, s.max(low, x));
    let (p, n) = exp_parts(s, clamped);
    // 2^n in two factors, since n reaches 128
    let half = s.round(s.mul(n, s.splat(0.5)));
    let scaled = s.scale(s.scale(p, half), s.sub(n, half));
    let flushed = s.select(s.less(x, low), s.splat(0.0), scaled);
    // `min` and `max` drop a NaN, and the product brings it back
    s.select(s.less(x, high), flushed, s.mul(x, s.splat(f32::INFINITY)))
}

/// `2^x` for the weights of a softmax, whose largest `x` is 0. The result is 0 below -100, so that no product
/// with a weight leaves the normal numbers, and within 3 units in the last place up to 126.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let low = s.splat(-100.0);
    let clamped = s.max(low, x);
    let n = s.round(clamped);
    let f = s.sub(clamped, n);
    // the polynomial of degree 5 of the least relative error on [-1/2, 1/2]
    let p = s.splat(1.327_647_1e-3);
    let p = s.mul_add(p, f, s.splat(9.675_542e-3));
    let p = s.mul_add(p, f, s.splat(5.550_713e-2));
    let p = s.mul_add(p, f, s.splat(2.402_212e-1));
    let p = s.mul_add(p, f, s.splat(6.931_469_4e-1));
    let p = s.mul_add(p, f, s.splat(1.000_000_1));
    s.select(s.less(x, low), s.splat(0.0), s.scale(p, n))
}

/// `p` in about [0.7, 1.5] and whole `n` with `e^x = p 2^n`, for `x` in [-87.33, 88.72].
#[inline(always)]
pub(crate) fn exp_parts<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    // x = n ln 2 + r, with ln 2 in two parts so that the product with n is exact
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.neg_mul_add(n, s.splat(0.693_359_4), x);
    let r = s.neg_mul_add(n, s.splat(-2.121_944_4e-4), r);
    let p = s.splat(1.987_569_1e-4);
    let p = s.mul_add(p, r, s.splat(1.398_199_9e-3));
    let p = s.mul_add(p, r, s.splat(8.333_452e-3));
    let p = s.mul_add(p, r, s.splat(4.166_579_6e-2));
    let p = s.mul_add(p, r, s.splat(1.666_666_5e-1));
    let p = s.mul_add(p, r, s.splat(5.000_000_1e-1));
    let p = s.mul_add(p, s.mul(r, r), s.add(r, s.splat(1.0)));
    (p, n)
}

/// `1 / (1 + e^-x)`
#[inline(always)]
pub(crate) fn sigmoid<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// The hyperbolic tangent. Near 0 it is a polynomial, because `1 - 2 / (e^2x + 1)` would cancel.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let magnitude = s.abs(x);
    let square = s.mul(x, x);
    let p = s.splat(-5.704_988_7e-3);
    let p = s.mul_add(p, square, s.splat(2.063_908_8e-2));
    let p = s.mul_add(p, square, s.splat(-5.373_971_4e-2));
    let p = s.mul_add(p, square, s.splat(1.333_144_2e-1));
    let p = s.mul_add(p, square, s.splat(-3.333_328_2e-1));
    let near = s.mul_add(s.mul(p, square), x, x);
    let one = s.splat(1.0);
    let e = exp(s, s.add(magnitude, magnitude));
    let far = s.sub(one, s.div(s.splat(2.0), s.add(e, one)));
    s.select(s.less(magnitude, s.splat(0.625)), near, s.copy_sign(far, x))
}

/// The error function. Away from 0 it is Abramowitz and Stegun's 7.1.26 sharpened to single precision, near 0
/// its series.
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::F32) -> S::F32 {
    erf_and_exp(s, x).0
}

/// The error function and `e^(-x^2)`, which it needs and its derivative needs too.
#[inline(always)]
pub(crate) fn erf_and_exp<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    let magnitude = s.abs(x);
    let square = s.mul(x, x);
    let gauss = exp(s, s.sub(s.splat(0.0), square));
    // |x| < 1: the series x * (2 / sqrt(pi)) * sum (-1)^k x^2k / (k! (2k + 1)), to k = 9
    let p = s.splat(-1.448_326_4e-7);
    let p = s.mul_add(p, square, s.splat(1.641_107_7e-6));
    let p = s.mul_add(p, square, s.splat(-1.492_565_0e-5));
    let p = s.mul_add(p, square, s.splat(1.205_533_3e-4));
    let p = s.mul_add(p, square, s.splat(-8.548_327e-4));
    let p = s.mul_add(p, square, s.splat(5.223_977_6e-3));
    let p = s.mul_add(p, square, s.splat(-2.686_617_1e-2));
    let p = s.mul_add(p, square, s.splat(1.128_379_2e-1));
    let p = s.mul_add(p, square, s.splat(-3.761_263_9e-1));
    let p = s.mul_add(p, square, s.splat(std::f32::consts::FRAC_2_SQRT_PI));
    let near = s.mul(p, x);
    // beyond: 1 - (a1 t + ... + a5 t^5) e^(-x^2), with t = 1 / (1 + 0.3275911 |x|): within 1.5e-7
    let one = s.splat(1.0);
    let t = s.div(one, s.mul_add(s.splat(0.327_591_1), magnitude, one));
    let q = s.splat(1.061_405_4);
    let q = s.mul_add(q, t, s.splat(-1.453_152));
    let q = s.mul_add(q, t, s.splat(1.421_413_7));
    let q = s.mul_add(q, t, s.splat(-0.284_496_74));
    let q = s.mul_add(q, t, s.splat(0.254_829_6));
    let far = s.neg_mul_add(s.mul(q, t), gauss, one);
    (s.select(s.less(magnitude, one), near, s.copy_sign(far, x)), gauss)
}

#[cfg(test)]
mod tests {
    use super::super::{Isa, Kernel, Simd, available, run_with};
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Exp,
        Exp2,
        Sigmoid,
        Tanh,
        Erf,
    }

    struct Apply<'a>(Function, &'a [f32]);

    impl Kernel for Apply<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<f32> {
            let mut out = vec![0.0; self.1.len()];
            for (from, to) in self.1.chunks(S::LANES).zip(out.chunks_mut(S::LANES)) {
                let x = s.load_first(from);
                let y = match self.0 {
                    Function::Exp => exp(s, x),
                    Function::Exp2 => exp2(s, x),
                    Function::Sigmoid => sigmoid(s, x),
                    Function::Tanh => tanh(s, x),
                    Function::Erf => erf(s, x),
                };
                s.store_first(to, y);
            }
            out
        }
    }

    /// The error function in double precision by its series and its continued fraction.
    fn erf_f64(x: f64) -> f64 {
        let magnitude = x.abs();
        let value = if magnitude < 3.0 {
            let (mut term, mut sum) = (magnitude, magnitude);
            for k in 1..200 {
                term *= -magnitude * magnitude / k as f64;
                sum += term / (2 * k + 1) as f64;
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        } else {
            let fraction = (1..60).rev().fold(magnitude, |tail, k| magnitude + k as f64 / 2.0 / tail);
            1.0 - (-magnitude * magnitude).exp() / fraction / std::f64::consts::PI.sqrt()
        };
        value.copysign(x)
    }

    #[test]
    fn errors_stay_within_a_few_units_in_the_last_place() {
        let inputs: Vec<f32> = (-100_000..=100_000).map(|i| i as f32 * 9e-4).collect();
        let reference = |function, x: f64| match function {
            Function::Exp => x.exp(),
            Function::Exp2 => x.exp2(),
            Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Function::Tanh => x.tanh(),
            Function::Erf => erf_f64(x),
        };
        let bounds =
            [(Function::Exp, 3e-7), (Function::Sigmoid, 5e-7), (Function::Tanh, 3e-7), (Function::Erf, 4e-7)];
        for isa in available() {
            for (function, bound) in bounds {
                let found = run_with(isa, Apply(function, &inputs));
                for (x, y) in inputs.iter().zip(found) {
                    let expected = reference(function, f64::from(*x));
                    if expected > 3.3e38 {
                        continue;
                    }
                    let error = (f64::from(y) - expected).abs() / expected.abs().max(1.2e-38);
                    // below the smallest normal number, results are flushed to 0
                    assert!(
                        error < bound || expected < 1.2e-38,
                        "{isa:?}: {function:?}({x}) = {y}, expected {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn powers_of_two_of_softmax() {
        let inputs: Vec<f32> = (-100_000..=1_000).map(|i| i as f32 * 9.99e-4).collect();
        for isa in available() {
            for (x, y) in inputs.iter().zip(run_with(isa, Apply(Function::Exp2, &inputs))) {
                let expected = f64::from(*x).exp2();
                assert!(
                    (f64::from(y) - expected).abs() < 4e-7 * expected,
                    "{isa:?}: {x} to {y}, not {expected}"
                );
            }
            let ends = [-100.1, -1e30, f32::NEG_INFINITY, f32::NAN];
            let found = run_with(isa, Apply(Function::Exp2, &ends));
            assert_eq!(found[..3], [0.0; 3], "{isa:?}");
            assert!(found[3].is_nan(), "{isa:?}");
        }
    }

    #[test]
    fn extreme_inputs() {
        for isa in available() {
            let of = |function, x: f32| run_with(isa, Apply(function, &[x]))[0];
            assert_eq!(of(Function::Exp, f32::NEG_INFINITY), 0.0, "{isa:?}");
            assert_eq!(of(Function::Exp, -1e30), 0.0);
            assert_eq!(of(Function::Exp, f32::INFINITY), f32::INFINITY);
            assert_eq!(of(Function::Exp, 88.73), f32::INFINITY);
            assert_eq!(of(Function::Exp, 1e30), f32::INFINITY);
            assert_eq!(of(Function::Exp, 0.0), 1.0);
            // exactly: the number it multiplies may be as large
            assert_eq!(of(Function::Sigmoid, -1e30), 0.0);
            assert_eq!(of(Function::Sigmoid, 1e30), 1.0);
            for function in [Function::Tanh, Function::Erf] {
                assert_eq!(of(function, f32::INFINITY), 1.0);
                assert_eq!(of(function, f32::NEG_INFINITY), -1.0);
                assert_eq!(
                    of(function, 1e-30),
                    if matches!(function, Function::Tanh) { 1e-30 } else { 1.128_379_2e-30 }
                );
            }
            for function in [Function::Exp, Function::Sigmoid, Function::Tanh, Function::Erf] {
                assert!(of(function, f32::NAN).is_nan(), "{isa:?} {function:?}");
            }
            assert!(Isa::named("avx512").is_some());
        }
    }
}
