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

use bonfire_contract::{mix, scale};

/// Pairs of half-rounds. Four make a Feistel network hard to tell from a random permutation;
/// twice as many also mix the tiny grids, where one half-round moves a single pair.
const ROUNDS: u64 = 8;

/// A permutation of `0..len`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permutation {
    len: u64,
    key: u64,
    /// The sides of the grid: `a * b` is at least `len`, and less than `len + a`.
    a: u64,
    b: u64,
}

impl Permutation {
    /// The permutation of `0..len` that `key` chooses.
    pub(super) fn new(key: u64, len: u64) -> Self {
        let root = len.isqrt();
        let a = if root * root < len { root + 1 } else { root.max(1) };
        Permutation { len, key, a, b: len.div_ceil(a) }
    }

    /// The number at `position`, which is below `len`.
    pub(super) fn at(&self, position: u64) -> u64 {
        assert!(position < self.len, "position {position} of an order of {}", self.len);
        let key = self.key;
        let (mut left, mut right) = (position % self.a, position / self.a);
        // The network permutes the whole grid; walking its cycle until it comes back below `len`
        // leaves a permutation of what is below `len`. It started there, so the walk ends, and as
        // fewer than `a` cells are beyond, a second step is needed about once in sqrt(len) calls.
        loop {
            for round in 0..ROUNDS {
                left = add(left, scale(mix(key ^ (2 * round), right), self.a), self.a);
                right = add(right, scale(mix(key ^ (2 * round + 1), left), self.b), self.b);
            }
            let index = u128::from(left) + u128::from(self.a) * u128::from(right);
            if index < u128::from(self.len) {
                return index as u64;
            }
        }
    }
}

/// `(x + y) mod modulus` for `x` and `y` below `modulus`, without overflow.
fn add(x: u64, y: u64, modulus: u64) -> u64 {
    let room = modulus - x;
    if y < room { x + y } else { y - room }
}
