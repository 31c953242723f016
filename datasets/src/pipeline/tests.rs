use super::*;
use crate::{Draw, Shards, Window};
use bonfire_contract::{Table, Target};
use burn::tensor::{Tensor, TensorData};
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Samples that are their own index and draw; every `corrupt`-th index cannot be read.
struct Numbers {
    len: u64,
    corrupt: Option<u64>,
    read: Arc<AtomicUsize>,
}

impl Numbers {
    fn new(len: u64, corrupt: Option<u64>) -> Self {
        Numbers { len, corrupt, read: Arc::new(AtomicUsize::new(0)) }
    }

    fn is_corrupt(&self, index: u64) -> bool {
        self.corrupt.is_some_and(|every| index % every == every - 1)
    }
}

impl Dataset for Numbers {
    type Sample = [f32; 2];
    type Input = Table;

    fn len(&self) -> u64 {
        self.len
    }

    fn sample_bytes(&self) -> u64 {
        8
    }

    fn sample(&self, index: u64, draw: Draw) -> Result<[f32; 2], DataError> {
        self.read.fetch_add(1, Ordering::Relaxed);
        assert!(index < self.len);
        if self.is_corrupt(index) {
            Err(DataError::malformed("numbers", format!("sample {index}"), "a number", "none"))
        } else {
            Ok([index as f32, (draw.seed >> 44) as f32])
        }
    }

    fn collate(&self, samples: Vec<[f32; 2]>, device: &Device) -> (Table, Target) {
        let count = samples.len();
        let numeric = Tensor::from_data(TensorData::new(samples.concat(), [count, 2]), device);
        (Table { numeric, categories: Tensor::zeros([count, 0], device) }, Target::Absent)
    }
}

fn pipeline(data: Numbers, shuffle: Option<u64>, workers: usize) -> Pipeline<Numbers> {
    let on_corrupt = if data.corrupt.is_some() { OnCorrupt::Skip } else { OnCorrupt::Stop };
    let shuffle = shuffle.map_or(Shuffle::Never, Shuffle::Full);
    Pipeline::new(data, PipelineConfig { shuffle, seed: 11, on_corrupt, workers, ..stopping() })
}

/// In the set's own order, by two threads, to the first corrupt sample.
fn stopping() -> PipelineConfig {
    let (shuffle, on_corrupt) = (Shuffle::Never, OnCorrupt::Stop);
    PipelineConfig {
        shuffle,
        seed: 0,
        on_corrupt,
        repeats: 1,
        lanes: 1,
        workers: 2,
        prefetch_bytes: PREFETCH_BYTES,
    }
}

/// All samples from `start` on, flattened, and the size and consumption of each batch.
fn read(pipeline: &Pipeline<Numbers>, start: Position, batch_size: usize) -> (Vec<f32>, Vec<(usize, u64)>) {
    let portions = read_share(pipeline, start, batch_size, Share::WHOLE);
    let sizes = portions.iter().map(|(samples, consumed)| (samples.len() / 2, *consumed)).collect();
    (portions.into_iter().flat_map(|portion| portion.0).collect(), sizes)
}

/// A share of each batch from `start` on, flattened, and what the whole batch consumed.
fn read_share(
    pipeline: &Pipeline<Numbers>,
    start: Position,
    batch_size: usize,
    share: Share,
) -> Vec<(Vec<f32>, u64)> {
    let portions = pipeline.portions(start, batch_size, share, &Device::flex());
    let read = portions.map(|portion| {
        let portion = portion.unwrap();
        let consumed = portion.consumed();
        let Some(batch) = portion.batch() else { return (Vec::new(), consumed) };
        let read = batch.input.numeric.into_data().try_to_vec::<f32>().unwrap();
        let numbers: Vec<f32> = batch.samples.iter().map(|&number| number as f32).collect();
        assert_eq!(read.iter().step_by(2).copied().collect::<Vec<_>>(), numbers);
        (read, consumed)
    });
    read.collect()
}

/// Samples with their draws, as whole numbers.
fn pairs(samples: &[f32]) -> Vec<[u64; 2]> {
    samples.chunks(2).map(|sample| [sample[0] as u64, sample[1] as u64]).collect()
}

fn at(epoch: u64, samples: u64) -> Position {
    Position { epoch, samples }
}

#[test]
fn an_epoch_has_every_sample_once() {
    let pipeline = pipeline(Numbers::new(10, None), Some(3), 1);
    let (samples, sizes) = read(&pipeline, at(0, 0), 4);
    assert_eq!(sizes, [(4, 4), (4, 4), (2, 2)]);
    let mut indices: Vec<f32> = samples.iter().step_by(2).copied().collect();
    assert_ne!(indices, (0..10).map(|index| index as f32).collect::<Vec<_>>());
    indices.sort_by(f32::total_cmp);
    assert_eq!(indices, (0..10).map(|index| index as f32).collect::<Vec<_>>());
}

#[test]
fn each_epoch_has_its_own_order_and_draws() {
    let shuffled = pipeline(Numbers::new(50, None), Some(3), 0);
    assert_ne!(read(&shuffled, at(0, 0), 50).0, read(&shuffled, at(1, 0), 50).0);
    let sequential = pipeline(Numbers::new(50, None), None, 0);
    let (first, second) = (read(&sequential, at(0, 0), 50).0, read(&sequential, at(1, 0), 50).0);
    let indices = |samples: &[f32]| samples.iter().step_by(2).copied().collect::<Vec<_>>();
    assert_eq!(indices(&first), indices(&second));
    assert_ne!(first, second);
}

#[test]
fn repeats_follow_each_other_with_draws_of_their_own() {
    for workers in [0, 2] {
        let once = pipeline(Numbers::new(10, None), Some(3), workers);
        let mut repeated = pipeline(Numbers::new(10, None), Some(3), workers);
        repeated.config.repeats = 3;
        assert_eq!(Loader::<Table>::len(&repeated), 30);
        let (expected, (samples, sizes)) = (read(&once, at(2, 0), 4).0, read(&repeated, at(2, 0), 7));
        assert_eq!(sizes, [(7, 7), (7, 7), (7, 7), (7, 7), (2, 2)]);
        for (one, three) in expected.chunks(2).zip(samples.chunks(6)) {
            assert_eq!(one, &three[..2]);
            assert!(three[2] == one[0] && three[4] == one[0]);
            assert!(three[3] != one[1] && three[5] != one[1] && three[3] != three[5]);
        }
        // From the middle of one sample's repeats.
        assert_eq!(read(&repeated, at(2, 4), 7).0, samples[8..]);
    }
}

#[test]
fn repeats_stay_with_the_rank_that_has_their_lane() {
    let (lanes, repeats) = (4, 3);
    let mut pipeline = pipeline(Numbers::new(64, None), None, 2);
    let shards = Shards::new([8; 8]);
    pipeline.config.shuffle = Shuffle::Window(5, shards, Window { shards: 2, block: 3 });
    (pipeline.config.lanes, pipeline.config.repeats) = (lanes, repeats);
    for ranks in [1, 2, 4] {
        let mut all = Vec::new();
        for rank in 0..ranks {
            let parts = read_share(&pipeline, at(1, 0), 16, Share { rank, ranks });
            let mut counts = std::collections::BTreeMap::<u64, BTreeSet<u64>>::new();
            for [index, draw] in parts.iter().flat_map(|(samples, _)| pairs(samples)) {
                assert!(counts.entry(index).or_default().insert(draw), "draws of their own");
            }
            assert!(counts.values().all(|draws| draws.len() as u64 == repeats), "{rank} of {ranks}");
            all.extend(counts.into_keys());
        }
        all.sort_unstable();
        assert_eq!(all, (0..64).collect::<Vec<_>>(), "{ranks} ranks");
    }
}

#[test]
fn no_samples_and_positions_past_the_end_give_no_batches() {
    assert_eq!(read(&pipeline(Numbers::new(0, None), Some(1), 2), at(0, 0), 4).1, []);
    assert_eq!(read(&pipeline(Numbers::new(5, None), Some(1), 2), at(0, 5), 4).1, []);
    assert_eq!(read(&pipeline(Numbers::new(5, None), Some(1), 2), at(0, 99), 4).1, []);
    assert_eq!(read(&pipeline(Numbers::new(5, None), None, 1), at(0, 0), usize::MAX).1, [(5, 5)]);
}

#[test]
fn a_corrupt_sample_stops_with_its_error() {
    for workers in [0, 2] {
        let config = PipelineConfig { workers, ..stopping() };
        let pipeline = Pipeline::new(Numbers::new(10, Some(6)), config);
        let mut batches = pipeline.batches(at(0, 0), 4, &Device::flex());
        assert!(batches.next().unwrap().is_ok());
        let error = batches.next().unwrap().unwrap_err().to_string();
        assert_eq!(error, "numbers, sample 5: expected a number, found none");
        assert!(batches.next().is_none());
        assert_eq!(pipeline.skipped().count(), 0);
    }
}

#[test]
fn skipped_samples_are_counted_and_consumed() {
    for workers in [0, 1, 3] {
        // Indices 2, 5, 8 and 11 are corrupt: each batch has fewer samples for its own.
        let pipeline = pipeline(Numbers::new(12, Some(3)), None, workers);
        let (samples, sizes) = read(&pipeline, at(0, 0), 4);
        let indices: Vec<f32> = samples.iter().step_by(2).copied().collect();
        assert_eq!(indices, [0.0, 1.0, 3.0, 4.0, 6.0, 7.0, 9.0, 10.0]);
        assert_eq!(sizes, [(3, 4), (3, 4), (2, 4)]);
        assert_eq!(pipeline.skipped().count(), 4);
    }
}

#[test]
fn a_sample_skipped_in_every_epoch_counts_once() {
    let pipeline = pipeline(Numbers::new(12, Some(3)), Some(9), 2);
    for epoch in 0..3 {
        read(&pipeline, at(epoch, 0), 5);
        assert_eq!(pipeline.skipped().count(), 4);
    }
}

#[test]
fn an_epoch_of_corrupt_samples_is_an_error() {
    let pipeline = pipeline(Numbers::new(9, Some(1)), None, 2);
    let mut batches = pipeline.batches(at(0, 0), 4, &Device::flex());
    assert!(batches.next().unwrap().unwrap_err().to_string().contains("sample 8"));
    assert!(batches.next().is_none());
}

#[test]
fn reading_ahead_is_bounded_and_ends_with_the_iterator() {
    let data = Numbers::new(1_000_000, None);
    let read = data.read.clone();
    let pipeline = pipeline(data, Some(1), 2);
    let mut batches = pipeline.batches(at(0, 0), 8, &Device::flex());
    batches.next().unwrap().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    let ahead = read.load(Ordering::Relaxed);
    // Jobs of 4 samples: two batches and one job a worker are under way, beyond the job just taken.
    assert!((8..=28).contains(&ahead), "{ahead}");
    drop(batches);
    assert_eq!(Arc::strong_count(&pipeline.dataset), 1);
}

#[test]
fn reading_ahead_is_bounded_in_bytes() {
    // Room for 10 samples of 8 bytes, and no less than one a worker.
    for (prefetch_bytes, least, most) in [(80, 8, 8 + 10), (0, 8, 8 + 2)] {
        let data = Numbers::new(1_000_000, None);
        let read = data.read.clone();
        let pipeline = Pipeline::new(data, PipelineConfig { prefetch_bytes, ..stopping() });
        let mut batches = pipeline.batches(at(0, 0), 8, &Device::flex());
        batches.next().unwrap().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let ahead = read.load(Ordering::Relaxed);
        assert!((least..=most).contains(&ahead), "{prefetch_bytes}: {ahead}");
    }
}

/// A programmer's mistake in a worker must not leave the trainer waiting.
#[test]
#[should_panic(expected = "a bug in sample 3")]
fn a_panic_of_a_worker_reaches_the_caller() {
    struct Broken;
    impl Dataset for Broken {
        type Sample = ();
        type Input = Table;
        fn len(&self) -> u64 {
            100
        }
        fn sample(&self, index: u64, _draw: Draw) -> Result<(), DataError> {
            assert!(index != 3, "a bug in sample {index}");
            Ok(())
        }
        fn collate(&self, _samples: Vec<()>, device: &Device) -> (Table, Target) {
            let numeric = Tensor::zeros([1, 1], device);
            (Table { numeric, categories: Tensor::zeros([1, 0], device) }, Target::Absent)
        }
    }
    let config = PipelineConfig { on_corrupt: OnCorrupt::Skip, ..stopping() };
    Pipeline::new(Broken, config).batches(at(0, 0), 10, &Device::flex()).for_each(drop);
}

#[test]
fn what_cannot_be_reached_stops_although_corrupt_samples_are_skipped() {
    struct Far;
    impl Dataset for Far {
        type Sample = ();
        type Input = Table;
        fn len(&self) -> u64 {
            8
        }
        fn sample(&self, index: u64, _draw: Draw) -> Result<(), DataError> {
            match index {
                1 => Err(DataError::malformed("far", "sample 1", "a number", "none")),
                5 => Err(DataError::unreachable("far", "a readable file", "nothing of that name")),
                _ => Ok(()),
            }
        }
        fn collate(&self, samples: Vec<()>, device: &Device) -> (Table, Target) {
            let numeric = Tensor::zeros([samples.len(), 0], device);
            (Table { numeric, categories: Tensor::zeros([samples.len(), 0], device) }, Target::Absent)
        }
    }
    for workers in [0, 2] {
        let far = Pipeline::new(Far, PipelineConfig { on_corrupt: OnCorrupt::Skip, workers, ..stopping() });
        let batches: Vec<_> = far.batches(at(0, 0), 2, &Device::flex()).collect();
        assert_eq!(batches.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false]);
        let error = batches[2].as_ref().err().unwrap().to_string();
        assert_eq!(error, "far: expected a readable file, found nothing of that name");
        assert_eq!(far.skipped().met, BTreeSet::from([1]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn batches_depend_on_the_position_alone(
        len in 0u64..200, start in 0u64..220, epoch in 0u64..4, workers in 0usize..4,
        batch_size in 1usize..40, corrupt in proptest::option::of(2u64..7), shuffled: bool,
    ) {
        let shuffle = shuffled.then_some(5);
        let reference = pipeline(Numbers::new(len, corrupt), shuffle, 0);
        let (expected, _) = read(&reference, at(epoch, 0), 1);
        let tested = pipeline(Numbers::new(len, corrupt), shuffle, workers);
        let (whole, sizes) = read(&tested, at(epoch, 0), batch_size);
        prop_assert_eq!(&whole, &expected);
        prop_assert_eq!(sizes.iter().map(|size| size.1).sum::<u64>(), len);
        prop_assert!(sizes.iter().rev().skip(1).all(|size| size.1 == batch_size as u64));
        prop_assert_eq!(tested.skipped(), reference.skipped());

        // Resuming after any batch continues with the very samples and batches that follow.
        let batch = (start as usize) % sizes.len().max(1);
        let used: u64 = sizes[..batch.min(sizes.len())].iter().map(|size| size.1).sum();
        let kept: usize = sizes[..batch.min(sizes.len())].iter().map(|size| size.0).sum();
        let (rest, rest_sizes) = read(&tested, at(epoch, used), batch_size);
        prop_assert_eq!(&rest[..], &expected[2 * kept..]);
        prop_assert_eq!(&rest_sizes[..], &sizes[batch.min(sizes.len())..]);

        // From any position, whatever the batch size.
        if corrupt.is_none() {
            let (rest, _) = read(&tested, at(epoch, start), batch_size);
            prop_assert_eq!(&rest[..], &expected[2 * start.min(len) as usize..]);
        }
    }

    /// Ranks read together what one process reads, batch by batch, corrupt samples or none.
    #[test]
    fn the_shares_of_a_batch_are_the_batch(
        len in 0u64..120, start in 0u64..120, batch_size in 1usize..40, workers in 0usize..3,
        corrupt in proptest::option::of(2u64..7), ranks in prop::sample::select(vec![1u64, 2, 3, 4, 8]),
        lanes in proptest::option::of(1u64..9),
    ) {
        let mut tested = pipeline(Numbers::new(len, corrupt), Some(5), workers);
        if let Some(lanes) = lanes {
            let shards = Shards::new([len / 2, len - len / 2 - len / 7, len / 7]);
            tested.config.shuffle = Shuffle::Window(5, shards, Window { shards: 2, block: 3 });
            tested.config.lanes = lanes;
        }
        let whole = read_share(&tested, at(1, start), batch_size, Share::WHOLE);
        let mut shares: Vec<_> = (0..ranks)
            .map(|rank| read_share(&tested, at(1, start), batch_size, Share { rank, ranks }).into_iter())
            .collect();
        for (samples, consumed) in whole {
            let mut merged = Vec::new();
            for share in &mut shares {
                let (part, of_batch) = share.next().unwrap();
                prop_assert_eq!(of_batch, consumed);
                merged.extend(pairs(&part));
            }
            let mut expected = pairs(&samples);
            merged.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(merged, expected);
        }
        prop_assert!(shares.iter_mut().all(|share| share.next().is_none()));
    }

    /// Ranks that evaluate read each sample once together, each a run of neighbours.
    #[test]
    fn the_shares_of_a_set_in_its_own_order_are_runs(
        len in 0u64..120, batch_size in 1usize..40, workers in 0usize..3, ranks in 1u64..9,
    ) {
        let tested = pipeline(Numbers::new(len, None), None, workers);
        let mut next = 0;
        for rank in 0..ranks {
            for (samples, _) in read_share(&tested, at(0, 0), batch_size, Share { rank, ranks }) {
                for [index, _] in pairs(&samples) {
                    prop_assert_eq!(index, next);
                    next += 1;
                }
            }
        }
        prop_assert_eq!(next, len);
    }
}
