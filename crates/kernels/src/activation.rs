//! Activations, for whole slices and as the last step of other ops.

use crate::simd::{Kernel, Simd, math, run};
use crate::threads::{self, Shared};
use burn::tensor::{Tensor, activation};

/// A function applied to each number of an op's output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    #[default]
    Identity,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)` (Krizhevsky 2010; Sandler et al. 2018).
    Relu6,
    /// `x Phi(x)` with the normal distribution's `Phi` (Hendrycks and Gimpel 2016).
    Gelu,
    /// GELU by its approximation with a hyperbolic tangent, as GPT-2 has it.
    GeluTanh,
    /// `x sigmoid(x)` (Elfwing et al. 2017).
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

/// Calls `$work` with the activation as a constant. A loop inside then chooses once, where otherwise it would
/// choose for each vector. `$work` is compiled once for each activation.
macro_rules! chosen {
    ($activation:expr, |$constant:ident| $work:expr) => {
        $crate::activation::chosen!(
            $activation, $constant, $work, [Identity Relu Relu6 Gelu GeluTanh Silu Tanh]
        )
    };
    ($activation:expr, $constant:ident, $work:expr, [$($name:ident)*]) => {
        match $activation {
            $($crate::activation::Activation::$name => {
                let $constant = $crate::activation::Activation::$name;
                $work
            })*
        }
    };
}
pub(crate) use chosen;

const SQRT_2_OVER_PI: f32 = 0.797_884_56;
const CUBIC: f32 = 0.044_715;

impl Activation {
    /// The activation by Burn's own ops, for any shape.
    pub fn plain<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        match self {
            Activation::Identity => x,
            Activation::Relu => activation::relu(x),
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::Gelu => activation::gelu(x),
            Activation::GeluTanh => activation::gelu_approximate(x),
            Activation::Silu => activation::silu(x),
            Activation::Tanh => activation::tanh(x),
        }
    }

    /// True if the derivative follows from the output alone.
    pub(crate) fn is_known_by_output(self) -> bool {
        matches!(self, Activation::Identity | Activation::Relu | Activation::Relu6 | Activation::Tanh)
    }

    /// True if the activation takes an instruction or two.
    #[inline(always)]
    pub(crate) fn is_cheap(self) -> bool {
        matches!(self, Activation::Identity | Activation::Relu | Activation::Relu6)
    }

    /// The activation of `x` if it [`is_cheap`](Activation::is_cheap), else `x`.
    #[inline(always)]
    pub(crate) fn apply_cheap<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        match self {
            Activation::Relu => s.max(x, s.splat(0.0)),
            Activation::Relu6 => s.min(s.max(x, s.splat(0.0)), s.splat(6.0)),
            _ => x,
        }
    }

    /// The activation of `x`.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        match self {
            Activation::Identity | Activation::Relu | Activation::Relu6 => self.apply_cheap(s, x),
            Activation::Gelu => {
                let erf = math::erf(s, s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2)));
                let half = s.mul(x, s.splat(0.5));
                s.mul_add(half, erf, half)
            }
            Activation::GeluTanh => {
                let (gate, _) = gelu_tanh(s, x);
                s.mul(x, gate)
            }
            Activation::Silu => s.mul(x, math::sigmoid(s, x)),
            Activation::Tanh => math::tanh(s, x),
        }
    }

    /// The derivative at the activation's input `x`. If [`Activation::is_known_by_output`], `x` is the
    /// activation's output.
    #[inline(always)]
    pub(crate) fn derivative<S: Simd>(self, s: S, x: S::F32) -> S::F32 {
        let one = s.splat(1.0);
        match self {
            Activation::Identity => one,
            Activation::Relu => s.select(s.less(s.splat(0.0), x), one, s.splat(0.0)),
            Activation::Relu6 => {
                let below = s.select(s.less(x, s.splat(6.0)), one, s.splat(0.0));
                s.select(s.less(s.splat(0.0), x), below, s.splat(0.0))
            }
            Activation::Gelu => {
                let inner = s.mul(x, s.splat(std::f32::consts::FRAC_1_SQRT_2));
                let (erf, gauss) = math::erf_and_exp(s, inner);
                let phi = s.mul_add(s.splat(0.5), erf, s.splat(0.5));
                let density = s.mul(gauss, s.splat(0.398_942_3)); // 1 / sqrt(2 pi)
                s.mul_add(x, density, phi)
            }
            Activation::GeluTanh => {
                // gate = sigmoid(2 u), and its derivative gate (1 - gate) 2 u'
                let (gate, square) = gelu_tanh(s, x);
                let slope = s.mul_add(s.splat(3.0 * CUBIC), square, one);
                let slope = s.mul(slope, s.splat(2.0 * SQRT_2_OVER_PI));
                let change = s.mul(s.mul(gate, s.sub(one, gate)), slope);
                s.mul_add(x, change, gate)
            }
            Activation::Silu => {
                let gate = math::sigmoid(s, x);
                s.mul(gate, s.mul_add(x, s.sub(one, gate), one))
            }
            Activation::Tanh => s.neg_mul_add(x, x, one),
        }
    }
}

/// The gate `(1 + tanh u) / 2 = sigmoid(2 u)` with `u = sqrt(2 / pi) (x + 0.044715 x^3)`, and `x^2`.
#[inline(always)]
fn gelu_tanh<S: Simd>(s: S, x: S::F32) -> (S::F32, S::F32) {
    // for larger squares the gate is 0 or 1; an infinite square times the gate's 0 would be no number
    let square = s.min(s.splat(1e3), s.mul(x, x));
    let u = s.mul(x, s.mul_add(s.splat(CUBIC), square, s.splat(1.0)));
    (math::sigmoid(s, s.mul(u, s.splat(2.0 * SQRT_2_OVER_PI))), square)
}

/// `to = gradient * derivative(x)`. `x` is the argument of [`Activation::derivative`].
#[inline(always)]
pub(crate) fn slopes<S: Simd>(s: S, activation: Activation, x: &[f32], gradient: &[f32], to: &mut [f32]) {
    let chunks = x.chunks(S::LANES).zip(gradient.chunks(S::LANES));
    for ((x, gradient), to) in chunks.zip(to.chunks_mut(S::LANES)) {
        let slope = activation.derivative(s, s.load_first(x));
        s.store_first(to, s.mul(slope, s.load_first(gradient)));
    }
}

/// `to = activation(to)`.
#[inline(always)]
pub(crate) fn activate<S: Simd>(s: S, activation: Activation, to: &mut [f32]) {
    for to in to.chunks_mut(S::LANES) {
        let value = activation.apply(s, s.load_first(to));
        s.store_first(to, value);
    }
}

/// [`slopes`] on all threads. `x` is the argument of [`Activation::derivative`].
pub(crate) fn backward(activation: Activation, x: &[f32], gradient: &[f32], to: &mut [f32]) {
    struct Slopes<'a>(Activation, &'a [f32], &'a [f32], &'a mut [f32]);
    impl Kernel for Slopes<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let Slopes(activation, x, gradient, to) = self;
            chosen!(activation, |activation| slopes(s, activation, x, gradient, to));
        }
    }
    assert_eq!((x.len(), gradient.len()), (to.len(), to.len()));
    let shared = Shared::new(to);
    threads::ranges(x.len(), 1 << 14, |range| {
        // SAFETY: the ranges do not overlap.
        let to = unsafe { shared.part(range.clone()) };
        run(Slopes(activation, &x[range.clone()], &gradient[range], to));
    });
}
