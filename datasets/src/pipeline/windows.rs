//! The batches of an epoch as ranges of positions, and a share's part of each.

use bonfire_contract::Share;
use std::iter::StepBy;
use std::ops::Range;

/// The positions that are left, window by window: one a batch.
#[derive(Clone)]
pub(super) struct Windows {
    positions: Range<u64>,
    size: u64,
    share: Share,
}

impl Windows {
    /// Windows of `batch_size` positions, but for the last.
    pub(super) fn new(positions: Range<u64>, batch_size: usize, share: Share) -> Self {
        Windows { positions, size: batch_size.max(1) as u64, share }
    }

    /// The most positions of the share in one window.
    pub(super) fn most(&self) -> usize {
        self.size.div_ceil(self.share.ranks).try_into().unwrap_or(usize::MAX)
    }

    /// The positions that are left, those of other shares too.
    pub(super) fn positions(&self) -> &Range<u64> {
        &self.positions
    }

    /// Positions of a window, but for the last.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The ranks that share the windows.
    pub(super) fn ranks(&self) -> u64 {
        self.share.ranks
    }

    /// The share's positions that are left, of all windows.
    pub(super) fn of_share(&self) -> StepBy<Range<u64>> {
        self.share.of(self.positions.clone())
    }
}

impl Iterator for Windows {
    /// All positions of a window, and the share's.
    type Item = (Range<u64>, StepBy<Range<u64>>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.positions.is_empty() {
            return None;
        }
        let start = self.positions.start;
        let end = start.saturating_add(self.size).min(self.positions.end);
        self.positions.start = end;
        Some((start..end, self.share.of(start..end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_shares_of_all_ranks_are_the_windows(
            start in 0u64..50, len in 0u64..200, size in 1usize..20, ranks in 1u64..9,
        ) {
            let positions = start..start + len;
            let of = |rank| Windows::new(positions.clone(), size, Share { rank, ranks });
            let mut merged = Vec::new();
            let mut shares: Vec<Windows> = (0..ranks).map(of).collect();
            for (window, _) in Windows::new(positions.clone(), size, Share::WHOLE) {
                prop_assert!(window.end - window.start <= size as u64);
                for share in &mut shares {
                    let most = share.most() as u64;
                    let (same, part) = share.next().unwrap();
                    prop_assert_eq!(&same, &window);
                    prop_assert!(part.clone().count() as u64 <= most);
                    merged.extend(part);
                }
            }
            prop_assert!(shares.iter_mut().all(|share| share.next().is_none()));
            merged.sort_unstable();
            prop_assert_eq!(merged, positions.clone().collect::<Vec<_>>());
        }

        #[test]
        fn a_shares_positions_are_those_of_its_windows(
            start in 0u64..50, len in 0u64..200, size in 1usize..20, ranks in 1u64..9, rank in 0u64..9,
        ) {
            let windows = Windows::new(start..start + len, size, Share { rank: rank % ranks, ranks });
            let by_window: Vec<u64> = windows.clone().flat_map(|(_, part)| part).collect();
            prop_assert_eq!(windows.of_share().collect::<Vec<_>>(), by_window);
        }
    }
}
