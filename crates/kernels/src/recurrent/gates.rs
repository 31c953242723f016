//! Gates of a step, made for throughput. The sums of several gates share a division, which takes as long as
//! ten other instructions.

use crate::simd::Simd;

/// `1 + e^-x`, the reciprocal of a sigmoid. `x` is clamped to within 20 of 0, where the sigmoid is within
/// 2e-9 of its end, so that a product of four such numbers is finite.
#[inline(always)]
pub(super) fn under_sigmoid<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let power = s.mul(x, s.splat(-std::f32::consts::LOG2_E));
    // the constants are the first operands, so that a NaN stays
    let power = s.min(s.splat(28.8), s.max(s.splat(-28.8), power));
    let n = s.round(power);
    let f = s.sub(power, n);
    // 2^f by the polynomial of degree 5 of the least relative error on [-1/2, 1/2]
    let p = s.splat(1.327_647_1e-3);
    let p = s.mul_add(p, f, s.splat(9.675_542e-3));
    let p = s.mul_add(p, f, s.splat(5.550_713e-2));
    let p = s.mul_add(p, f, s.splat(2.402_212e-1));
    let p = s.mul_add(p, f, s.splat(6.931_469_4e-1));
    let p = s.mul_add(p, f, s.splat(1.000_000_1));
    s.add(s.scale(p, n), s.splat(1.0))
}

/// Numerator and denominator of the hyperbolic tangent, by the rational function of Eigen's `ptanh`. The
/// error is below 5e-7, near 0 too.
#[inline(always)]
pub(super) fn tanh<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    let x = s.min(s.splat(7.998_811_7), s.max(s.splat(-7.998_811_7), x));
    let square = s.mul(x, x);
    let p = s.splat(-2.760_768_5e-16);
    let p = s.mul_add(p, square, s.splat(2.000_187_9e-13));
    let p = s.mul_add(p, square, s.splat(-8.604_671_5e-11));
    let p = s.mul_add(p, square, s.splat(5.122_297e-8));
    let p = s.mul_add(p, square, s.splat(1.485_722_4e-5));
    let p = s.mul_add(p, square, s.splat(6.372_619_3e-4));
    let p = s.mul_add(p, square, s.splat(4.893_524_6e-3));
    let q = s.splat(1.198_258_4e-6);
    let q = s.mul_add(q, square, s.splat(1.185_347_06e-4));
    let q = s.mul_add(q, square, s.splat(2.268_434_6e-3));
    let q = s.mul_add(q, square, s.splat(4.893_525_2e-3));
    (s.mul(p, x), q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, available, run_with};

    struct Both<'a>(&'a [f32]);

    impl Kernel for Both<'_> {
        type Output = (Vec<f32>, Vec<f32>);

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> (Vec<f32>, Vec<f32>) {
            let (mut tangents, mut sigmoids) = (vec![0.0; self.0.len()], vec![0.0; self.0.len()]);
            let to = tangents.chunks_mut(S::LANES).zip(sigmoids.chunks_mut(S::LANES));
            for (x, (tangents, sigmoids)) in self.0.chunks(S::LANES).zip(to) {
                let x = s.load_first(x);
                let (over, under) = tanh(s, x);
                s.store_first(tangents, s.div(over, under));
                s.store_first(sigmoids, s.div(s.splat(1.0), under_sigmoid(s, x)));
            }
            (tangents, sigmoids)
        }
    }

    #[test]
    fn within_half_a_millionth_of_the_functions() {
        let inputs: Vec<f32> = (-40_000..=40_000).map(|i| i as f32 * 1e-3).collect();
        for isa in available() {
            let (tangents, sigmoids) = run_with(isa, Both(&inputs));
            for ((x, tangent), sigmoid) in inputs.iter().zip(tangents).zip(sigmoids) {
                let exact = f64::from(*x).tanh();
                assert!(
                    (f64::from(tangent) - exact).abs() <= 5e-7 * exact.abs(),
                    "{isa:?}: tanh {x} is {tangent}"
                );
                let exact = 1.0 / (1.0 + f64::from(-x).exp());
                assert!((f64::from(sigmoid) - exact).abs() <= 2e-7, "{isa:?}: sigmoid {x} is {sigmoid}");
            }
            let (tangents, sigmoids) = run_with(isa, Both(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]));
            assert!(tangents[0].is_nan() && sigmoids[0].is_nan(), "{isa:?}");
            assert!((tangents[1] - 1.0).abs() < 5e-7 && (tangents[2] + 1.0).abs() < 5e-7, "{isa:?}");
            assert!(sigmoids[1] == 1.0 && sigmoids[2] < 1e-8, "{isa:?}");
        }
    }
}
