//! Weights in the order that the tiles read them, panel of output channels after panel.
//!
//! ```text
//! direct:    [panel][depth][output channel in the panel]
//! Winograd:  [panel][place in the transformed tile][input channel][output channel in the panel]
//! ```
//! A panel's channels are whole vectors; missing ones have zeros for weights.

use super::Order;
use crate::memory::for_overwriting;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use std::ops::Range;

/// Some vectors of output channels, which a tile makes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Panel {
    /// The first output channel.
    pub first: usize,
    pub vectors: usize,
}

/// The sizes of a vector and of a panel, for one instruction set.
struct Widths;

impl Kernel for Widths {
    type Output = (usize, usize);
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> (usize, usize) {
        // with 32 registers 6 rows by 4 vectors of sums, with 16 registers 6 by 2
        (S::LANES, if S::TILE_ROWS == 12 { 4 } else { 2 })
    }
}

/// Divides vectors of output channels into panels of `most`, with a single vector never alone beside others:
/// its tile would wait for its own sums.
fn widths(vectors: usize, most: usize) -> Vec<usize> {
    let mut widths = vec![most; vectors / most];
    match (vectors % most, widths.last_mut()) {
        (0, _) => {}
        (1, Some(last)) if most > 2 => {
            *last -= 1;
            widths.push(2);
        }
        (1, Some(last)) => *last += 1,
        (left, _) => widths.push(left),
    }
    widths
}

/// Packed weights, kept as long as a model predicts.
pub(super) struct Packed {
    pub panels: Vec<Panel>,
    /// The numbers that each output channel has.
    pub depth: usize,
    pub lanes: usize,
    numbers: Vec<f32>,
}

impl Packed {
    /// Room for `outputs` channels of `depth` numbers, which `fill` writes for one panel each.
    fn new(
        outputs: usize,
        depth: usize,
        fill: impl Fn(Panel, Range<usize>, usize, &mut [f32]) + Sync,
    ) -> Self {
        let (lanes, most) = run(Widths);
        let mut panels = Vec::new();
        let mut first = 0;
        for vectors in widths(outputs.div_ceil(lanes), most) {
            panels.push(Panel { first, vectors });
            first += vectors * lanes;
        }
        let mut numbers = for_overwriting(first * depth);
        let shared = Shared::new(&mut numbers);
        threads::parallel(panels.len(), |number| {
            let panel = panels[number];
            let width = panel.vectors * lanes;
            // SAFETY: panels do not overlap.
            let to = unsafe { shared.part(panel.first * depth..(panel.first + width) * depth) };
            fill(panel, panel.first..(panel.first + width).min(outputs), width, to);
        });
        Packed { panels, depth, lanes, numbers }
    }

    /// Weights `[outputs, inputs, taps]` for the implicit product. The depth is tap by tap for pixels whose
    /// channels are last, and channel by channel for planes.
    pub(super) fn direct(weight: &[f32], [outputs, inputs, taps]: [usize; 3], order: Order) -> Self {
        let depth = inputs * taps;
        Packed::new(outputs, depth, |_, channels, width, to| {
            for input in 0..inputs {
                for tap in 0..taps {
                    let place = match order {
                        Order::Last => tap * inputs + input,
                        Order::First => input * taps + tap,
                    };
                    let row = &mut to[place * width..(place + 1) * width];
                    row.fill(0.0);
                    for (to, output) in row.iter_mut().zip(channels.clone()) {
                        *to = weight[output * depth + input * taps + tap];
                    }
                }
            }
        })
    }

    /// Weights `[outputs, inputs, 3, 3]` as `G g G^T` for each pair of channels, made in double precision.
    /// `matrix` is `G`, with `N` rows.
    pub(super) fn winograd<const N: usize>(
        weight: &[f32],
        [outputs, inputs]: [usize; 2],
        matrix: [[f64; 3]; N],
    ) -> Self {
        Packed::new(outputs, inputs * N * N, |_, channels, width, to| {
            to.fill(0.0);
            for input in 0..inputs {
                for (at, output) in channels.clone().enumerate() {
                    let kernel = &weight[(output * inputs + input) * 9..][..9];
                    let rows = matrix.map(|line| {
                        [0, 1, 2].map(|j| (0..3).map(|i| line[i] * f64::from(kernel[i * 3 + j])).sum::<f64>())
                    });
                    for (i, row) in rows.iter().enumerate() {
                        for (j, line) in matrix.iter().enumerate() {
                            let number: f64 = row.iter().zip(line).map(|(a, b)| a * b).sum();
                            to[((i * N + j) * inputs + input) * width + at] = number as f32;
                        }
                    }
                }
            }
        })
    }

    /// The weights of a panel.
    #[inline(always)]
    pub(super) fn panel(&self, panel: Panel) -> &[f32] {
        let width = panel.vectors * self.lanes;
        &self.numbers[panel.first * self.depth..][..width * self.depth]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_hold_all_vectors_and_none_is_single_beside_others() {
        for most in [2, 4] {
            for vectors in 0..40 {
                let widths = widths(vectors, most);
                assert_eq!(widths.iter().sum::<usize>(), vectors);
                assert!(widths.iter().all(|width| (1..=4).contains(width)));
                assert!(vectors < 2 || !widths.contains(&1), "{vectors} in {widths:?}");
            }
        }
    }
}
