//! The left-hand side of a convolution's product, packed once a call in the order in which tiles read it.

use super::geometry::{Family, Outlet};
use crate::gemm::{PaddedRows, panel_height};
use crate::memory::for_overwriting;
#[cfg(doc)]
use crate::prepared;
use crate::simd::{Kernel, Simd, run};
use crate::threads::{self, Shared};
use burn::backend::flex::FlexTensor;
use std::ops::Range;

/// The number of rows of a panel that are packed at a time, about: 32 KiB of AVX-512's panels, which stay in
/// the first cache.
const DEPTH: usize = 256;

/// A weight as a caller has it.
#[derive(Clone, Copy)]
pub(super) struct Weight<'a> {
    /// Row after row.
    pub numbers: &'a [f32],
    /// The tensor of the same numbers, if what is made of it may be [kept](prepared::lasting).
    pub lasting: Option<&'a FlexTensor>,
}

impl<'a> Weight<'a> {
    /// A weight that nothing is kept of.
    pub(super) fn passing(numbers: &'a [f32]) -> Self {
        Weight { numbers, lasting: None }
    }
}

/// The rows of a weight as a product reads them:
/// `data[row * row_stride + channel * channel_stride + place * place_stride]`.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub data: &'a [f32],
    pub rows: usize,
    pub channels: usize,
    pub row_stride: usize,
    pub channel_stride: usize,
    pub place_stride: usize,
}

impl Weights<'_> {
    /// The transpose in which rows lie side by side: channel after channel, place after place.
    fn turned(&self, places: usize) -> Vec<f32> {
        let mut turned = for_overwriting(self.channels * places * self.rows);
        let to = Shared::new(&mut turned);
        let size = places * self.rows;
        threads::ranges(self.channels, (1 << 13) / size + 1, |channels| {
            // SAFETY: the ranges do not overlap.
            let to = unsafe { to.part(channels.start * size..channels.end * size) };
            run(Turn { weights: *self, places, channels, to });
        });
        turned
    }
}

struct Turn<'a> {
    weights: Weights<'a>,
    places: usize,
    channels: Range<usize>,
    to: &'a mut [f32],
}

impl Kernel for Turn<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Turn { weights, places, channels, to } = self;
        let Weights { data, rows, row_stride, channel_stride, .. } = weights;
        for (channel, to) in channels.zip(to.chunks_exact_mut(places * rows)) {
            let from = &data[channel * channel_stride..];
            assert!(from.len() >= (rows - 1) * row_stride + places);
            for row in (0..rows).step_by(S::LANES) {
                for place in (0..places).step_by(S::LANES) {
                    let size = ((rows - row).min(S::LANES), (places - place).min(S::LANES));
                    // SAFETY: the channel has `places` numbers in each of `rows` rows, here and there.
                    unsafe {
                        let from = from.as_ptr().add(row * row_stride + place);
                        let to = to.as_mut_ptr().add(place * rows + row);
                        s.transpose(from, row_stride, size, to, rows);
                    }
                }
            }
        }
    }
}

/// The packed weights: for each lot of rows, family and block of channels, panel after panel of rows, one
/// outlet's rows after another's.
pub(super) struct Packed {
    numbers: Vec<f32>,
    rows: usize,
    channels: usize,
    lots: usize,
    families: Vec<Layout>,
}

/// The layout of a family's packed weights.
struct Layout {
    taps: usize,
    outlets: usize,
    /// The number of channels in a block.
    block: usize,
    /// The first number and the padded row count of each lot.
    starts: Vec<(usize, usize)>,
}

/// A panel to pack.
struct Panel {
    family: usize,
    lot: usize,
    channels: Range<usize>,
    /// The rows among the family's rows in this lot.
    rows: Range<usize>,
    start: usize,
}

impl Packed {
    /// At least the bytes of a packed weight in which each row of the kernel has its place once.
    pub(super) fn bytes(weights: &Weights, places: usize) -> usize {
        let rows = weights.rows.next_multiple_of(run(TileRows));
        rows * weights.channels * places * size_of::<f32>()
    }

    /// Packs the weights for the families. `places` is the size of the kernel.
    pub(super) fn new(weights: Weights, places: usize, families: &[Family], lots: usize) -> Self {
        let Weights { rows, channels, .. } = weights;
        let whole = |family: &Family| {
            family.outlets.len() == 1 && family.outlets[0].places.iter().copied().eq(0..places)
        };
        let turned = match families {
            [family] if whole(family) => Vec::new(),
            _ => weights.turned(places),
        };
        let weights = if turned.is_empty() {
            weights
        } else {
            Weights {
                data: &turned,
                row_stride: 1,
                place_stride: rows,
                channel_stride: places * rows,
                ..weights
            }
        };
        let mut length = 0;
        let mut layouts = Vec::with_capacity(families.len());
        for family in families {
            let (taps, outlets) = (family.reach.len(), family.outlets.len());
            let blocks = ((channels * taps + DEPTH / 2) / DEPTH).clamp(1, channels.max(1));
            let mut starts = Vec::with_capacity(lots);
            for lot in 0..lots {
                let padded = run(PaddedRows(outlets * threads::range(rows, lots, lot, run(TileRows)).len()));
                starts.push((length, padded));
                length += padded * taps * channels;
            }
            layouts.push(Layout { taps, outlets, block: channels.div_ceil(blocks).max(1), starts });
        }
        let mut packed = Packed { numbers: for_overwriting(length), rows, channels, lots, families: layouts };
        let mut numbers = std::mem::take(&mut packed.numbers);
        let panels = packed.panels();
        let to = Shared::new(&mut numbers);
        threads::ranges(panels.len(), 8, |range| {
            for panel in &panels[range] {
                let family = &packed.families[panel.family];
                let size = run(PanelHeight(panel.rows.len())) * panel.channels.len() * family.taps;
                // SAFETY: the panels do not overlap.
                let to = unsafe { to.part(panel.start..panel.start + size) };
                let outlets = &families[panel.family].outlets;
                run(Pack { weights, outlets, lot: packed.rows(panel.lot), panel, to });
            }
        });
        packed.numbers = numbers;
        packed
    }

    fn panels(&self) -> Vec<Panel> {
        let tile = run(TileRows);
        let mut panels = Vec::new();
        for (number, family) in self.families.iter().enumerate() {
            for (lot, &(first, padded)) in family.starts.iter().enumerate() {
                let rows = family.outlets * self.rows(lot).len();
                for channels in self.blocks(number) {
                    let start = first + channels.start * family.taps * padded;
                    let depth = channels.len() * family.taps;
                    for row in (0..rows).step_by(tile) {
                        panels.push(Panel {
                            family: number,
                            lot,
                            channels: channels.clone(),
                            rows: row..(row + tile).min(rows),
                            start: start + row * depth,
                        });
                    }
                }
            }
        }
        panels
    }

    /// The rows in a lot.
    pub(super) fn rows(&self, lot: usize) -> Range<usize> {
        threads::range(self.rows, self.lots, lot, run(TileRows))
    }

    /// The blocks of channels of a family.
    pub(super) fn blocks(&self, family: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (channels, block) = (self.channels, self.families[family].block);
        (0..channels).step_by(block).map(move |start| start..(start + block).min(channels))
    }

    /// The most rows that a panel of columns has in one block.
    pub(super) fn deepest(&self) -> usize {
        self.families.iter().map(|family| family.block * family.taps).max().unwrap_or(0)
    }

    /// The panels of a lot, family and block.
    #[inline(always)]
    pub(super) fn block(&self, lot: usize, family: usize, channels: &Range<usize>) -> &[f32] {
        let Layout { taps, ref starts, .. } = self.families[family];
        let (first, padded) = starts[lot];
        &self.numbers[first + channels.start * taps * padded..][..channels.len() * taps * padded]
    }
}

struct TileRows;

impl Kernel for TileRows {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::TILE_ROWS
    }
}

struct PanelHeight(usize);

impl Kernel for PanelHeight {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        panel_height::<S>(self.0)
    }
}

struct Pack<'a> {
    weights: Weights<'a>,
    outlets: &'a [Outlet],
    lot: Range<usize>,
    panel: &'a Panel,
    to: &'a mut [f32],
}

impl Kernel for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Pack { weights, outlets, lot, panel, to } = self;
        let Weights { data, row_stride, channel_stride, place_stride, .. } = weights;
        let Panel { channels, rows, .. } = panel;
        let (count, height) = (rows.len(), panel_height::<S>(rows.len()));
        if count < height {
            to.fill(0.0);
        }
        let taps = outlets[0].places.len();
        if row_stride == 1 {
            // the rows of one outlet lie side by side
            let mut row = rows.start;
            while row < rows.end {
                let (outlet, inside) = (row / lot.len(), row % lot.len());
                let length = (lot.len() - inside).min(rows.end - row);
                let first = row - rows.start;
                let mut groups = to.chunks_exact_mut(height);
                for channel in channels.clone() {
                    for (place, group) in outlets[outlet].places.iter().zip(&mut groups) {
                        let from = lot.start + inside + channel * channel_stride + place * place_stride;
                        let numbers = s.load_first(&data[from..from + length]);
                        s.store_first(&mut group[first..first + length], numbers);
                    }
                }
                row += length;
            }
            return;
        }
        // a row's numbers lie in one piece, or in one piece for each channel
        let (pieces, length) =
            if channel_stride == taps { (1, channels.len() * taps) } else { (channels.len(), taps) };
        for piece in 0..pieces {
            let channel = channels.start + piece;
            let from = &data[(lot.start + rows.start) * row_stride + channel * channel_stride..];
            assert!(from.len() >= (count - 1) * row_stride + length);
            for k in (0..length).step_by(S::LANES) {
                let steps = (length - k).min(S::LANES);
                let to = &mut to[(piece * length + k) * height..];
                assert!(to.len() >= steps * height);
                // SAFETY: the lengths were checked: `count` rows of `length` numbers, and `steps` groups.
                unsafe {
                    let from = from.as_ptr().add(k);
                    s.transpose(from, row_stride, (count, steps), to.as_mut_ptr(), height);
                }
            }
        }
    }
}
