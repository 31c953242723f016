//! Reproducible randomness: every draw is a pure function of the numbers that name it.
//!
//! No generator is shared and no state is kept between samples, so a draw never depends on threads, on
//! restarts or on what was read before.
//!
//! Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014 (SplitMix64).

/// The increment of SplitMix64: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The output function of SplitMix64: a bijection of 64 bits in which every bit of the input changes every
/// bit of the output with a probability close to one half.
fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Mixes two numbers into one that looks random, as in `mix(mix(seed, epoch), index)`.
///
/// For either number held fixed it is a bijection of the other; the order of the two matters.
pub fn mix(a: u64, b: u64) -> u64 {
    SplitMix64::at(SplitMix64::at(a, 0).wrapping_add(b), 0)
}

/// Maps 64 random bits to `0..bound` by the high half of their product: no division. 0 when `bound` is 0; the
/// bias is below `bound / 2^64`.
pub fn scale(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

/// A stream of random numbers that one seed decides.
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        SplitMix64 { state: seed }
    }

    /// Number `place`, from 0 on, of a seed's stream: 64 random bits.
    pub fn at(seed: u64, place: u64) -> u64 {
        scramble(seed.wrapping_add(place.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// The next 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        scramble(self.state)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        scale(self.bits(), bound)
    }

    /// A number in `[0, 1)`, of 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with a probability of one half.
    pub fn coin(&mut self) -> bool {
        self.bits() >> 63 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_yields_its_published_numbers() {
        // The first outputs for seed 1234567 in the reference implementation by Vigna.
        let mut draws = SplitMix64::new(1_234_567);
        assert_eq!(draws.bits(), 6_457_827_717_110_365_317);
        assert_eq!(draws.bits(), 3_203_168_211_198_807_973);
        assert_eq!(draws.bits(), 9_817_491_932_198_370_423);
        assert_eq!(SplitMix64::at(1_234_567, 2), 9_817_491_932_198_370_423);
    }

    #[test]
    fn mixing_tells_its_arguments_apart() {
        assert_ne!(mix(1, 2), mix(2, 1));
        assert_ne!(mix(0, 0), 0);
        let mut seen: Vec<u64> = (0..100).flat_map(|a| (0..100).map(move |b| mix(a, b))).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 10_000);
    }

    #[test]
    fn draws_stay_below_their_bound_and_reach_every_value() {
        let mut draws = SplitMix64::new(7);
        let mut counts = [0usize; 5];
        for _ in 0..10_000 {
            counts[draws.below(5) as usize] += 1;
        }
        // 2,000 each, with a standard deviation of 40.
        assert!(counts.iter().all(|&count| (1_800..2_200).contains(&count)), "{counts:?}");
        assert_eq!(draws.below(0), 0);
        let units: Vec<f64> = (0..10_000).map(|_| draws.unit()).collect();
        assert!(units.iter().all(|unit| (0.0..1.0).contains(unit)));
        assert!((units.iter().sum::<f64>() / 10_000.0 - 0.5).abs() < 0.02);
        let heads = (0..10_000).filter(|_| draws.coin()).count();
        assert!((4_750..5_250).contains(&heads), "{heads}");
    }
}
