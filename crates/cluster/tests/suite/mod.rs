//! The promises of every communicator, whatever the number of ranks.

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

/// Buckets of odd lengths, an empty one too, as they are and rounded in turn, with numbers that bf16 holds
/// exactly; each rank's count as often as its number says, and those of the third bucket twice as often.
fn buckets(communicator: &dyn Communicator) {
    let (rank, size) = (communicator.rank(), communicator.size());
    let lengths = [5usize, 0, 1, 300_007, 17, 300_007];
    let wire = |i: usize| if i.is_multiple_of(2) { Wire::F32 } else { Wire::Bf16 };
    let words = |rank: usize| {
        vec![(rank + 1) as f64, 2.0 * (rank + 1) as f64, if rank == 0 { 1.0 } else { 0.0 }, 0.0]
    };
    let bucket = |i| Bucket {
        length: lengths[i],
        wire: wire(i),
        times: usize::from(i == 2),
        over: 2,
        sums: Vec::new(),
    };
    let mut buckets: Vec<Bucket> = (0..lengths.len()).map(bucket).collect();
    let numbers =
        |i: usize, round: usize| (0..lengths[i]).map(move |at| ((at + round) % 16) as f32).collect();
    // Later rounds find what those before have left. Each rank sends in a sequence of its own.
    for round in 0..3 {
        let all = communicator.sum_buckets(&words(rank), &mut buckets, &mut |send| {
            for step in 0..lengths.len() {
                let i = (step + round * rank) % lengths.len();
                send(i, numbers(i, round));
                if step == 3 {
                    let mut one = [1.0];
                    communicator.sum(&mut one);
                    assert_eq!(one, [size as f64], "a sum while buckets are under way");
                }
            }
        });
        assert_eq!(all, (0..size).map(words).collect::<Vec<_>>());
        for (i, bucket) in buckets.iter().enumerate() {
            let times = (size * (size + 1) / 2) as f32 * if i == 2 { 2.0 } else { 1.0 };
            assert_eq!(bucket.sums.len(), lengths[i]);
            for (at, &number) in bucket.sums.iter().enumerate() {
                assert_eq!(number, ((at + round) % 16) as f32 * times, "number {at} of bucket {i}");
            }
        }
    }
    // The mean over the ranks, and what there is nothing of.
    buckets[0].over = 0;
    buckets[3].over = 3;
    communicator.sum_buckets(&words(rank), &mut buckets, &mut |send| {
        (0..lengths.len()).for_each(|i| send(i, numbers(i, 1)));
    });
    assert!((buckets[0].sums[4] - 5.0).abs() < 1e-6, "{}", buckets[0].sums[4]);
    assert!(buckets[3].sums.iter().all(|&number| number == 0.0));
    let all = communicator.sum_buckets(&[rank as f64], &mut [], &mut |_| ());
    assert_eq!(all, (0..size).map(|rank| vec![rank as f64]).collect::<Vec<_>>());
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
        let mut buckets = [Bucket { length: 4099, wire, times: 0, over: 1, sums: Vec::new() }];
        communicator.sum_buckets(&[1.0, 3.0], &mut buckets, &mut |send| {
            let mut state = 2_654_435_769u32.wrapping_mul(rank + 1);
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 1e3 - 8e3
            };
            send(0, (0..4099).map(|_| next()).collect());
        });
        let sums = buckets[0].sums.iter();
        let bits: Vec<u8> = sums.flat_map(|number| number.to_bits().to_le_bytes()).collect();
        let all = communicator.gather(&bits);
        assert!(all.iter().all(|other| *other == bits), "the ranks hold different sums");
    }
}
