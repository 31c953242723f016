//! The keys that a query sees.

use crate::simd::Simd;

/// Added to the score of a key without text. It is far below any real score, and finite, so that a row with
/// nothing else to see stays a number.
pub(super) const HIDDEN: f64 = -1e4;

/// The visible keys of every batch item.
#[derive(Clone, Debug, Default)]
pub(super) struct Visible {
    /// The place of the first query among the keys, if a query sees no later key.
    pub causal: Option<usize>,
    /// The number of keys up to the last with text, or of all keys if none has text. Empty if all keys count.
    counts: Vec<usize>,
    /// The biases of the scores, as exponents of two, if keys without text stand between others.
    biases: Vec<Option<Vec<f32>>>,
}

impl Visible {
    /// `mask` holds `keys` numbers for each batch item: 1 for keys with text and 0 for others.
    pub(super) fn new(causal: Option<usize>, mask: Option<&[f32]>, keys: usize) -> Self {
        let mut visible = Visible { causal, ..Visible::default() };
        for item in mask.into_iter().flat_map(|mask| mask.chunks_exact(keys.max(1))) {
            let count = item.iter().rposition(|text| *text != 0.0).map_or(keys, |last| last + 1);
            let holes = item[..count].contains(&0.0) && item[count - 1] != 0.0;
            visible.counts.push(count);
            visible.biases.push(holes.then(|| {
                let bias =
                    |text: &f32| ((f64::from(*text) - 1.0) * -HIDDEN * std::f64::consts::LOG2_E) as f32;
                let mut biases: Vec<f32> = item[..count].iter().map(bias).collect();
                biases.resize(count.next_multiple_of(super::tile::KEYS), 0.0);
                biases
            }));
        }
        visible
    }

    /// The number of a batch item's keys that any query sees. No query sees a later key.
    #[inline(always)]
    pub(super) fn count(&self, item: usize, keys: usize) -> usize {
        self.counts.get(item).copied().unwrap_or(keys)
    }

    /// The number of keys that one query sees, from the first on.
    #[inline(always)]
    pub(super) fn seen(&self, item: usize, query: usize, keys: usize) -> usize {
        let count = self.count(item, keys);
        self.causal.map_or(count, |first| count.min(first + query + 1))
    }

    /// The first query that sees the key.
    #[inline(always)]
    pub(super) fn first_to_see(&self, key: usize) -> usize {
        self.causal.map_or(0, |first| key.saturating_sub(first))
    }

    #[inline(always)]
    pub(super) fn bias(&self, item: usize) -> Option<&[f32]> {
        self.biases.get(item).and_then(|bias| bias.as_deref())
    }
}

const MOST_LANES: usize = 16;
static TAIL: [f32; 2 * MOST_LANES] = {
    let mut tail = [0.0; 2 * MOST_LANES];
    let mut lane = MOST_LANES;
    while lane < 2 * MOST_LANES {
        tail[lane] = f32::NEG_INFINITY;
        lane += 1;
    }
    tail
};

/// A vector of 0 in the first `count` lanes, or all lanes if there are fewer, and of negative infinity in the
/// others.
#[inline(always)]
pub(super) fn tail<S: Simd>(s: S, count: usize) -> S::F32 {
    s.load(&TAIL[MOST_LANES - count.min(MOST_LANES)..])
}
