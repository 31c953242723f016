//! The last step of channels-last kernels, from sums to numbers of the output.

use crate::activation::{Activation, chosen};
use crate::simd::Simd;
use crate::threads::Shared;

/// The work on complete sums: `activation(scale[c] * sum + shift[c] + residual)`. What is `None` is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finish<'a> {
    /// One number for each output channel, as of a batch norm.
    pub scale: Option<&'a [f32]>,
    /// One number for each output channel: a bias, or what a batch norm adds.
    pub shift: Option<&'a [f32]>,
    /// Numbers of the output's shape, channels last.
    pub residual: Option<&'a [f32]>,
    pub activation: Activation,
}

/// The most lanes of a vector. Scales and shifts are padded to whole vectors of any instruction set.
const MOST_LANES: usize = 16;

/// A [`Finish`] for one call: scales and shifts have whole vectors, and all sizes are checked.
pub(crate) struct Finisher<'a> {
    scale: Vec<f32>,
    shift: Vec<f32>,
    residual: Option<&'a [f32]>,
    activation: Activation,
    channels: usize,
    to: Shared<'a, f32>,
}

impl<'a> Finisher<'a> {
    /// Finishes sums into `to`, pixels of `channels` numbers.
    ///
    /// # Panics
    /// When the scale, the shift or the residual is of another length than the channels or `to`.
    pub(crate) fn new(finish: Finish<'a>, channels: usize, to: &'a mut [f32]) -> Self {
        let padded = |numbers: Option<&[f32]>, otherwise: f32| {
            let mut padded = vec![otherwise; channels.next_multiple_of(MOST_LANES)];
            if let Some(numbers) = numbers {
                padded[..channels].copy_from_slice(numbers);
            }
            padded
        };
        if let Some(residual) = finish.residual {
            assert_eq!(residual.len(), to.len(), "the residual of an output");
        }
        Finisher {
            scale: padded(finish.scale, 1.0),
            shift: padded(finish.shift, 0.0),
            residual: finish.residual,
            activation: finish.activation,
            channels,
            to: Shared::new(to),
        }
    }

    /// Finishes rows of sums, one for each pixel of `pixels`, whose first number belongs to channel `first`.
    /// A row has `width` sums, whole vectors. Those beyond the last channel are dropped.
    ///
    /// # Safety
    /// `sums` must have that many rows. Each pixel must be one of the output, and nobody else may use these
    /// channels of it meanwhile. `first` must be a multiple of the lanes, below the number of channels.
    #[inline(always)]
    pub(crate) unsafe fn rows<S: Simd>(
        &self,
        s: S,
        sums: *const f32,
        width: usize,
        first: usize,
        pixels: &[usize],
    ) {
        chosen!(self.activation, |activation| {
            // SAFETY: the caller's promise.
            unsafe { self.rows_by(s, activation, sums, width, first, pixels) }
        });
    }

    /// [`Finisher::rows`] with one activation.
    ///
    /// # Safety
    /// The same.
    #[inline(always)]
    unsafe fn rows_by<S: Simd>(
        &self,
        s: S,
        activation: Activation,
        sums: *const f32,
        width: usize,
        first: usize,
        pixels: &[usize],
    ) {
        let channels = width.min(self.channels - first);
        let whole = channels / S::LANES * S::LANES;
        let (scale, shift) = (self.scale[first..].as_ptr(), self.shift[first..].as_ptr());
        let residual = self.residual.map(<[f32]>::as_ptr);
        let mut sums = sums;
        for pixel in pixels {
            let place = pixel * self.channels + first;
            // SAFETY: the caller promises the sums, and a pixel of the output with these channels. The
            // residual is as long as the output. Scales and shifts are padded to whole vectors, and `first`
            // is at the beginning of one.
            unsafe {
                let to = self.to.pointer().add(place);
                for at in (0..whole).step_by(S::LANES) {
                    let sum = s.load_from(sums.add(at));
                    let mut value = s.mul_add(sum, s.load_from(scale.add(at)), s.load_from(shift.add(at)));
                    if let Some(residual) = residual {
                        value = s.add(value, s.load_from(residual.add(place + at)));
                    }
                    s.store_to(to.add(at), activation.apply(s, value));
                }
                if whole < channels {
                    let left = channels - whole;
                    let sum = s.load_from(sums.add(whole));
                    let mut value =
                        s.mul_add(sum, s.load_from(scale.add(whole)), s.load_from(shift.add(whole)));
                    if let Some(residual) = residual {
                        value = s.add(value, s.load_first_from(residual.add(place + whole), left));
                    }
                    s.store_first_to(to.add(whole), activation.apply(s, value), left);
                }
                sums = sums.add(width);
            }
        }
    }
}
