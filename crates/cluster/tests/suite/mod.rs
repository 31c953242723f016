//! What every communicator promises, whatever the number of ranks.

use bonfire_cluster::{Communicator, Wire};

/// Walks the contract; every rank of the job calls it. Panics where it does not hold.
pub fn holds(communicator: &dyn Communicator) {
    let (rank, size) = (communicator.rank(), communicator.size());
    assert!(rank < size);
    let (local, nearby) = communicator.on_this_host();
    assert!(local < nearby && nearby <= size);
    assert!(!communicator.host(rank).is_empty());
    sums(communicator);
    for wire in [Wire::F32, Wire::Bf16] {
        buckets(communicator, wire);
    }
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

/// Buckets of odd lengths, an empty one too, with numbers that bf16 holds exactly.
fn buckets(communicator: &dyn Communicator, wire: Wire) {
    let (rank, size) = (communicator.rank(), communicator.size());
    let lengths = [5usize, 0, 1, 300_007, 17];
    let mut buckets: Vec<Vec<f32>> = lengths.iter().map(|&length| vec![f32::NAN; length]).collect();
    let mut filled = Vec::new();
    communicator.sum_buckets(&mut buckets, wire, &mut |i, bucket| {
        assert_eq!(bucket.len(), lengths[i]);
        filled.push(i);
        for (at, number) in bucket.iter_mut().enumerate() {
            *number = ((at % 16) * (rank + 1)) as f32;
        }
    });
    assert_eq!(filled, [0, 1, 2, 3, 4], "each bucket is filled once, in sequence");
    let times = size * (size + 1) / 2;
    for bucket in &buckets {
        for (at, &number) in bucket.iter().enumerate() {
            assert_eq!(number, ((at % 16) * times) as f32, "number {at} of {}", bucket.len());
        }
    }
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
        let mut buckets = vec![vec![0.0f32; 4099]];
        communicator.sum_buckets(&mut buckets, wire, &mut |_, bucket| {
            let mut state = 2_654_435_769u32.wrapping_mul(rank + 1);
            for number in bucket.iter_mut() {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *number = (state >> 8) as f32 / 1e3 - 8e3;
            }
        });
        let bits: Vec<u8> = buckets[0].iter().flat_map(|number| number.to_bits().to_le_bytes()).collect();
        let all = communicator.gather(&bits);
        assert!(all.iter().all(|other| *other == bits), "the ranks hold different sums");
    }
}
