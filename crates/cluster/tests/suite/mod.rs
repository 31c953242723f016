//! What every communicator promises, whatever the number of ranks.

use bonfire_cluster::{Bucket, Communicator, Wire};

/// Walks the contract; every rank of the job calls it. Panics where it does not hold.
pub fn holds(communicator: &dyn Communicator) {
    let (rank, size) = (communicator.rank(), communicator.size());
    assert!(rank < size);
    let (local, nearby) = communicator.on_this_host();
    assert!(local < nearby && nearby <= size);
    assert!(!communicator.host(rank).is_empty());
    sums(communicator);
    buckets(communicator);
    bytes(communicator);
    files(communicator);
    everybody_gets_the_same_bits(communicator);
    let before = communicator.waited();
    communicator.barrier();
    assert!(communicator.waited() >= before);
}

fn sums(communicator: &dyn Communicator) {
    let (rank, size) = (communicator.rank() as f64, communicator.size() as f64);
    let mut numbers = [1.0, rank, f64::MIN_POSITIVE * rank];
    communicator.sum(&mut numbers);
    let triangle = size * (size - 1.0) / 2.0;
    assert_eq!(numbers, [size, triangle, f64::MIN_POSITIVE * triangle]);
    communicator.sum(&mut []);
    let mut nan = [if rank == 0.0 { f64::NAN } else { 1.0 }];
    communicator.sum(&mut nan);
    assert!(nan[0].is_nan(), "what is no number on one rank is none in the sum");
}

/// Buckets of odd lengths, an empty one too, as they are and rounded in turn, with numbers that bf16 holds exactly; each
/// rank's count as often as its number says, and those of the third bucket twice as often.
fn buckets(communicator: &dyn Communicator) {
    let (rank, size) = (communicator.rank(), communicator.size());
    let lengths = [5usize, 0, 1, 300_007, 17, 300_007];
    let own = |i: usize, rank: usize| (if i == 2 { 2 } else { 1 }) * (rank + 1);
    let wire = |i: usize| if i.is_multiple_of(2) { Wire::F32 } else { Wire::Bf16 };
    let mut buckets: Vec<Bucket> = (0..lengths.len())
        .map(|i| Bucket { numbers: Vec::new(), factor: own(i, rank) as f32, wire: wire(i) })
        .collect();
    // The second round finds what the first has left.
    for round in 0..2 {
        let mut filled = Vec::new();
        communicator.sum_buckets(&mut buckets, &mut |i, numbers| {
            filled.push(i);
            *numbers = (0..lengths[i]).map(|at| ((at + round) % 16) as f32).collect();
        });
        assert_eq!(filled, [0, 1, 2, 3, 4, 5], "each bucket is filled once, in sequence");
        for (i, bucket) in buckets.iter().enumerate() {
            let times: usize = (0..size).map(|rank| own(i, rank)).sum();
            assert_eq!(bucket.numbers.len(), lengths[i]);
            for (at, &number) in bucket.numbers.iter().enumerate() {
                assert_eq!(number, ((at + round) % 16 * times) as f32, "number {at} of bucket {i}");
            }
        }
    }
    communicator.sum_buckets(&mut [], &mut |_, _| unreachable!("no bucket to fill"));
}

fn bytes(communicator: &dyn Communicator) {
    let (rank, size) = (communicator.rank(), communicator.size());
    for root in 0..size {
        for length in [0, 1, 100_000] {
            let mine = if rank == root { vec![root as u8 + 1; length] } else { vec![9; 3] };
            assert_eq!(communicator.broadcast(root, mine), vec![root as u8 + 1; length]);
        }
    }
    let mine = vec![rank as u8; 3 * rank];
    let all = communicator.gather(&mine);
    let expected: Vec<Vec<u8>> = (0..size).map(|rank| vec![rank as u8; 3 * rank]).collect();
    assert_eq!(all, expected);
}

fn files(communicator: &dyn Communicator) {
    let files = || {
        let pairs = [("state.json", vec![1, 0, 2]), ("empty", Vec::new()), ("a name", vec![7; 100_000])];
        pairs.map(|(name, bytes)| (name.to_string(), bytes)).into_iter().collect()
    };
    let mine = if communicator.rank() == 0 { files() } else { Default::default() };
    assert_eq!(bonfire_cluster::broadcast_files(communicator, mine), files());
}

/// Numbers whose sum depends on the sequence of adding: whichever it is, it is one.
fn everybody_gets_the_same_bits(communicator: &dyn Communicator) {
    let rank = communicator.rank() as u32;
    for wire in [Wire::F32, Wire::Bf16] {
        let mut buckets = [Bucket { numbers: vec![0.0; 4099], factor: 1.0 / 3.0, wire }];
        communicator.sum_buckets(&mut buckets, &mut |_, numbers| {
            let mut state = 2_654_435_769u32.wrapping_mul(rank + 1);
            for number in numbers.iter_mut() {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *number = (state >> 8) as f32 / 1e3 - 8e3;
            }
        });
        let sums = buckets[0].numbers.iter();
        let bits: Vec<u8> = sums.flat_map(|number| number.to_bits().to_le_bytes()).collect();
        let all = communicator.gather(&bits);
        assert!(all.iter().all(|other| *other == bits), "the ranks hold different sums");
    }
}
