//! Several ranks, as threads: they train what one process trains, stop together and go on in another number.

use super::*;
use crate::Precision;
use bonfire_cluster::Threads;

/// The outcome of a job.
struct Outcome {
    /// Rank 0's, which all ranks share.
    fitted: Result<Fitted<Net>, TrainError>,
    /// Each rank's samples, in the sequence in which it read them.
    read: Vec<Vec<u64>>,
}

/// The settings of a job.
#[derive(Clone)]
struct Plot {
    config: FitConfig,
    normalised: bool,
    /// The run folder of rank 0.
    folder: Option<std::path::PathBuf>,
    /// The rank and the piece with which a signal comes to it alone.
    signal: Option<(usize, u64)>,
    /// A sample that cannot be read.
    unreadable: Option<u64>,
    /// Positions of each epoch whose samples are passed over.
    skipped: Option<std::ops::Range<u64>>,
    /// True where the run folder takes no checkpoint any more once training has begun.
    full: bool,
    valid: bool,
}

fn plot(config: FitConfig) -> Plot {
    Plot {
        config,
        normalised: false,
        folder: None,
        signal: None,
        unreadable: None,
        skipped: None,
        full: false,
        valid: false,
    }
}

/// Rows that remember which were read, and of which one cannot be.
struct Watched {
    rows: Rows,
    unreadable: Option<u64>,
    skipped: Option<std::ops::Range<u64>>,
    read: std::cell::RefCell<Vec<u64>>,
}

impl Loader<Table> for Watched {
    fn len(&self) -> u64 {
        self.rows.len()
    }

    fn portions(&self, start: Position, size: usize, share: Share, device: &Device) -> Portions<'_, Table> {
        let epoch = start.epoch * self.rows.count;
        Box::new(self.rows.portions(start, size, share, device).map(move |portion| {
            if let Ok(Portion::Samples(batch)) = &portion {
                if self.skipped.as_ref().is_some_and(|skipped| skipped.contains(&batch.samples[0])) {
                    return Ok(Portion::Nothing { consumed: batch.consumed });
                }
                if let Some(bad) = self.unreadable.filter(|bad| batch.samples.contains(bad)) {
                    return Err(LoadError(format!("rows, row {bad}: expected a number, found none").into()));
                }
                self.read.borrow_mut().extend(batch.samples.iter().map(|sample| epoch + sample));
            }
            portion
        }))
    }
}

/// Trains with so many ranks.
fn job(plot: &Plot, ranks: usize) -> Outcome {
    let threads = Threads::ranks(ranks).into_iter().map(|communicator| {
        let plot = plot.clone();
        let work = move || {
            let rank = communicator.rank();
            let interrupt = Interrupt::new();
            let mut rows = rows(27);
            rows.raise = plot
                .signal
                .filter(|(signalled, _)| *signalled == rank)
                .map(|(_, piece)| (interrupt.clone(), piece));
            let (unreadable, skipped) = (plot.unreadable, plot.skipped);
            let train = Watched { rows, unreadable, skipped, read: Default::default() };
            let mut trainer =
                trainer(plot.config).communicator(communicator).resume(true).interrupt(interrupt);
            if let (Some(folder), 0) = (&plot.folder, rank) {
                let run = RunFolder::create(folder, Existing::Resume).unwrap();
                if plot.full {
                    trainer = trainer.listener(Box::new(Fills(run.checkpoints())));
                }
                trainer = trainer.run(run);
            }
            let valid = super::rows(11);
            let valid = plot.valid.then_some(&valid as &dyn Loader<Table>);
            // The ranks begin with rank 0's weights, whatever theirs.
            let model = net(plot.normalised, 0.2);
            let model = if rank == 0 { model } else { model.map(&mut Off) };
            (trainer.fit(model, &train, valid), train.read.into_inner())
        };
        // A pool of its own, as a process has: a rank that waits within a batch norm holds a thread of it.
        std::thread::spawn(|| {
            rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool").install(work)
        })
    });
    let mut ended: Vec<_> = threads.collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).collect();
    let read = ended.iter_mut().map(|(_, read)| std::mem::take(read)).collect();
    let mut fitted: Vec<_> = ended.into_iter().map(|(fitted, _)| fitted).collect();
    if let Ok(first) = &fitted[0] {
        for other in &fitted[1..] {
            assert_eq!(
                bits(&other.as_ref().unwrap().model),
                bits(&first.model),
                "all ranks end with the same"
            );
        }
    }
    Outcome { fitted: fitted.swap_remove(0), read }
}

/// Puts a file where checkpoints should go, with the first step.
struct Fills(std::path::PathBuf);

impl Listener for Fills {
    fn on(&mut self, event: &Event<'_>) {
        if matches!(event, Event::Step(_)) && self.0.is_dir() {
            fs::remove_dir_all(&self.0).unwrap();
            fs::write(&self.0, "no folder").unwrap();
        }
    }
}

/// Other weights.
struct Off;

impl burn::module::ModuleMapper for Off {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.add_scalar(0.25).detach().require_grad())
    }
}

/// The rows of each step's batch, whichever rank read them.
fn in_order(outcome: &Outcome) -> Vec<u64> {
    let mut all: Vec<u64> = outcome.read.concat();
    all.sort_unstable();
    all
}

fn near(a: &Net, b: &Net) {
    for (a, b) in numbers(a).into_iter().zip(numbers(b)) {
        assert!((a - b).abs() < 1e-5 * (1.0 + b.abs()), "{a} against {b}");
    }
}

/// As [`config`], in SGD, which no rounding error is blown up by.
fn smooth() -> FitConfig {
    let sgd = optimizers::Sgd { learning_rate: 0.05, momentum: 0.9, ..Default::default() };
    FitConfig { optimizer: OptimizerConfig::Sgd(sgd), ..config() }
}

/// As [`smooth`], with batch norm over all ranks. The last 3 rows are left out: they are fewer than 4 ranks,
/// which could not measure them together.
fn synchronised() -> FitConfig {
    let train = TrainConfig { sync_batch_norm: true, piece_size: 8, drop_last: true, ..smooth().train };
    FitConfig { train, ..smooth() }
}

#[test]
fn any_number_of_ranks_trains_what_one_process_does() {
    let _alone = alone();
    let together = synchronised().train;
    let full = TrainConfig { batch_size: BatchSize::Full, piece_size: 3, epochs: Some(5), ..smooth().train };
    let dropping = TrainConfig { drop_last: true, accumulate: 2, ..smooth().train };
    for (train, normalised) in [(smooth().train, false), (together, true), (full, false), (dropping, false)] {
        let plot = Plot { normalised, valid: true, ..plot(FitConfig { train, ..smooth() }) };
        let one = job(&plot, 1);
        let expected = one.fitted.as_ref().unwrap();
        for ranks in [2, 3, 4] {
            let several = job(&plot, ranks);
            let fitted = several.fitted.as_ref().unwrap();
            near(&fitted.model, &expected.model);
            let (ours, theirs) = (&fitted.summary, &expected.summary);
            assert_eq!((ours.steps, ours.samples), (theirs.steps, theirs.samples));
            for (ours, theirs) in ours.metrics.iter().zip(&theirs.metrics) {
                assert!((ours.value - theirs.value).abs() < 1e-5, "{ours:?} against {theirs:?}");
            }
            assert_eq!(in_order(&several), in_order(&one), "every sample once, on one rank");
        }
    }
}

#[test]
fn gradients_rounded_on_the_wire_train_nearly_the_same() {
    let _alone = alone();
    let exact = job(&plot(smooth()), 2).fitted.unwrap();
    let train = TrainConfig { exchange: Precision::Bf16, ..smooth().train };
    let rounded = job(&plot(FitConfig { train, ..smooth() }), 2).fitted.unwrap();
    assert_ne!(bits(&exact.model), bits(&rounded.model));
    for (a, b) in numbers(&exact.model).into_iter().zip(numbers(&rounded.model)) {
        assert!((a - b).abs() < 0.02, "{a} against {b}");
    }
}

#[test]
fn batch_norm_by_rank_ends_with_one_model() {
    let _alone = alone();
    let fitted = job(&Plot { normalised: true, ..plot(smooth()) }, 3).fitted.unwrap();
    let mean = Weights::of(&fitted.model);
    assert!(mean.iter().any(|(path, _)| path.ends_with("running_mean")));
}

/// A signal to one rank stops all at the same piece; another number of ranks goes on, and no sample is lost
/// or read twice.
#[test]
fn a_job_goes_on_in_another_number_of_ranks() {
    let _alone = alone();
    let whole = job(&plot(smooth()), 1);
    let expected = whole.fitted.as_ref().unwrap();
    for (first, then, piece) in [(4, 2, 1), (2, 4, 4), (1, 3, 7), (3, 1, 9), (2, 2, 6)] {
        let folder = folder();
        let stopping = Plot {
            folder: Some(folder.path().to_path_buf()),
            signal: Some((first - 1, piece)),
            ..plot(smooth())
        };
        let begun = job(&stopping, first);
        assert_eq!(begun.fitted.as_ref().unwrap().summary.stopped, Stopped::Interrupted(15));
        let ended = job(&Plot { signal: None, ..stopping }, then);
        near(&ended.fitted.as_ref().unwrap().model, &expected.model);
        let mut read = [in_order(&begun), in_order(&ended)].concat();
        read.sort_unstable();
        assert_eq!(read, in_order(&whole), "{first} ranks, then {then}");
    }
}

/// A batch of which no sample can be read is passed over, and leaves the running statistics as they are.
#[test]
fn a_step_that_nobody_can_read_changes_nothing() {
    let _alone = alone();
    let plot = Plot { normalised: true, skipped: Some(8..16), ..plot(smooth()) };
    let fitted = job(&plot, 2).fitted.unwrap();
    let steps = 3 * 3; // of 4 batches an epoch
    assert_eq!(fitted.summary.steps, steps);
    let one = job(&Plot { normalised: false, ..plot.clone() }, 1).fitted.unwrap();
    let two = job(&Plot { normalised: false, ..plot }, 2).fitted.unwrap();
    near(&two.model, &one.model);
    let statistics = Weights::of(&fitted.model);
    let variance = statistics.iter().find(|(path, _)| path.ends_with("running_var")).unwrap().1.clone();
    // A step of zeros would leave a tenth of what it found.
    assert!(variance.iter::<f32>().all(|variance| variance > 0.02), "{variance:?}");
}

/// A sample that one rank cannot read ends all ranks with that rank's error, and with a checkpoint of the
/// last step.
#[test]
fn an_error_of_one_rank_is_known_to_all_and_loses_no_step() {
    let _alone = alone();
    let folder = folder();
    // The second rank of 2 reads the odd rows.
    // By a model whose running statistics the failed step has moved on the other rank.
    let failing = Plot {
        normalised: true,
        folder: Some(folder.path().to_path_buf()),
        unreadable: Some(21),
        ..plot(synchronised())
    };
    let error = job(&failing, 2).fitted.unwrap_err().to_string();
    assert_eq!(error, "rank 1 on this machine: rows, row 21: expected a number, found none");
    let store = RunFolder::open(folder.path()).unwrap().checkpoint_store();
    assert_eq!(store.names().unwrap(), ["step-000000002"]);

    let ended = job(&Plot { unreadable: None, ..failing }, 3);
    let whole = job(&Plot { normalised: true, ..plot(synchronised()) }, 1);
    near(&ended.fitted.unwrap().model, &whole.fitted.unwrap().model);
}

#[test]
fn a_run_folder_that_refuses_ends_all_ranks() {
    let _alone = alone();
    let folder = folder();
    let refusing = Plot { folder: Some(folder.path().to_path_buf()), full: true, ..plot(smooth()) };
    let error = job(&refusing, 2).fitted.unwrap_err().to_string();
    assert!(error.starts_with("rank 0 on this machine: ") && error.contains("checkpoints"), "{error}");
}

#[test]
fn a_batch_is_shared_by_as_many_ranks_as_it_has_samples() {
    let _alone = alone();
    let train = TrainConfig { batch_size: BatchSize::Samples(2), ..smooth().train };
    let error = job(&plot(FitConfig { train, ..smooth() }), 3).fitted.unwrap_err().to_string();
    assert_eq!(
        error,
        "train.batch_size: expected at least the 3 ranks of the job, which share each batch, found 2"
    );
}

#[test]
fn the_learning_rate_follows_the_batch_where_it_is_asked_to() {
    let config = |scale_learning_rate| TrainConfig { scale_learning_rate, ..TrainConfig::default() };
    let factor = |scaling| config(scaling).rate_factor(1024);
    assert_eq!(factor(crate::RateScaling::None), 1.0);
    assert_eq!(factor(crate::RateScaling::Linear), 4.0);
    assert_eq!(factor(crate::RateScaling::Sqrt), 2.0);
}
