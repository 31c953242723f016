//! A keyed permutation without a table.
//!
//! ```text
//! position --[ a x b grid: left = position % a, right = position / a ]--> ROUNDS times
//!     left  = (left  + F(right)) mod a
//!     right = (right + F(left))  mod b   --> index = left + a * right, again while >= len
//! ```
//!
//! The permutation is a Feistel network over a grid just larger than the data, so it needs no
//! table: looking up one position costs the same, and no memory, for ten samples and for 10^15.
//! Black and Rogaway, "Ciphers with arbitrary finite domains", 2002 (the generalised Feistel
//! cipher and cycle walking).

use bonfire_contract::{SplitMix64, scale};

/// Pairs of half-rounds. Four make a Feistel network hard to tell from a random permutation;
/// twice as many also mix the tiny grids, where one half-round moves a single pair.
const ROUNDS: usize = 8;

/// Positions that are looked up side by side.
const SIDE_BY_SIDE: usize = 8;

/// A permutation of `0..len`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permutation {
    len: u64,
    /// The keys of the two halves of each round.
    keys: [[u64; 2]; ROUNDS],
    /// The sides of the grid: `a * b` is at least `len`, and less than `len + a`.
    a: u64,
    b: u64,
}

impl Permutation {
    /// The permutation of `0..len` that `key` chooses.
    pub(super) fn new(key: u64, len: u64) -> Self {
        let root = len.isqrt();
        let a = if root * root < len { root + 1 } else { root.max(1) };
        let half = |number: u64| SplitMix64::at(key ^ number, 0);
        let keys = std::array::from_fn(|round| [half(2 * round as u64), half(2 * round as u64 + 1)]);
        Permutation { len, keys, a, b: len.div_ceil(a) }
    }

    /// The number at `position`, which is below `len`.
    pub(super) fn at(&self, position: u64) -> u64 {
        self.each([position])[0]
    }

    /// The numbers at `positions`, each in the place of its position.
    pub(super) fn all(&self, positions: &mut [u64]) {
        let (chunks, rest) = positions.as_chunks_mut::<SIDE_BY_SIDE>();
        chunks.iter_mut().for_each(|chunk| *chunk = self.each(*chunk));
        rest.iter_mut().for_each(|position| *position = self.at(*position));
    }

    /// The numbers at some positions: their rounds side by side, as each round of one waits for the one before.
    fn each<const N: usize>(&self, positions: [u64; N]) -> [u64; N] {
        let most = positions.iter().max().copied().unwrap_or(0);
        assert!(most < self.len, "position {most} of an order of {}", self.len);
        let (mut left, mut right) = (positions.map(|at| at % self.a), positions.map(|at| at / self.a));
        self.rounds(&mut left, &mut right);
        // The network permutes the whole grid; walking its cycle until it comes back below `len`
        // leaves a permutation of what is below `len`. It started there, so the walk ends, and as
        // fewer than `a` cells are beyond, a second step is needed about once in sqrt(len) calls.
        std::array::from_fn(|place| {
            let (mut left, mut right) = ([left[place]], [right[place]]);
            loop {
                let index = u128::from(left[0]) + u128::from(self.a) * u128::from(right[0]);
                if index < u128::from(self.len) {
                    return index as u64;
                }
                self.rounds(&mut left, &mut right);
            }
        })
    }

    /// One step of the network for each of some cells.
    fn rounds<const N: usize>(&self, left: &mut [u64; N], right: &mut [u64; N]) {
        // `mix` of the key and a half, of which the key's part is always the same.
        let bits = |key: u64, half: u64| SplitMix64::at(key.wrapping_add(half), 0);
        for [key_left, key_right] in self.keys {
            for place in 0..N {
                left[place] = add(left[place], scale(bits(key_left, right[place]), self.a), self.a);
            }
            for place in 0..N {
                right[place] = add(right[place], scale(bits(key_right, left[place]), self.b), self.b);
            }
        }
    }
}

/// `(x + y) mod modulus` for `x` and `y` below `modulus`, without overflow.
fn add(x: u64, y: u64, modulus: u64) -> u64 {
    let room = modulus - x;
    if y < room { x + y } else { y - room }
}
