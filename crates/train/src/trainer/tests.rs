//! The loop on a small regression with everything that has state: dropout, batch normalisation,
//! averaging, momentum, a short last batch, pieces.

mod ranks;

use super::*;
use crate::keep::{AVERAGE, OPTIMIZER, WEIGHTS};
use crate::step::mix;
use crate::{
    BatchSize, CheckpointConfig, Event, OptimizerConfig, ScheduleConfig, Select, Stopped, TrainConfig,
    TrainError, ValueScale, evaluate, optimizers, schedules,
};
use bonfire_checkpoint::{Existing, Weights, step_of_weights};
use bonfire_contract::{
    Batch, LoadError, Loader, Output, Portion, Portions, Position, Share, Table, Target, Task,
};
use bonfire_kernels::modules::{dropout, linear};
use bonfire_kernels::{Activation, batch_norm};
use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear};
use burn::tensor::{Bytes, Int, Tensor, TensorData};
use burn_pack::{Reader, Writer};
use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

/// Flex has one random generator for the whole process, which every step seeds.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// In memory where there is such a place: every checkpoint waits for the disk a dozen times.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[derive(Module, Debug)]
struct Net {
    first: Linear,
    norm: Option<BatchNorm>,
    dropout: Dropout,
    last: Linear,
}

/// Weights by formula, so that every call makes the same model.
fn net(normalised: bool, dropout: f64) -> Net {
    let device = Device::flex().autodiff();
    let linear = |rows: usize, columns: usize, scale: f32| {
        let values: Vec<f32> = (0..rows * columns).map(|i| scale * (i as f32 * 1.7).sin()).collect();
        let weight = Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), &device);
        let bias = Tensor::<1>::zeros([columns], &device);
        Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) }
    };
    Net {
        first: linear(3, 6, 0.5),
        norm: normalised.then(|| BatchNormConfig::new(6).init(&device)),
        dropout: DropoutConfig::new(dropout).init(),
        last: linear(6, 1, 0.3),
    }
}

impl Net {
    /// With weights of each kind: used by Burn's ops alone, by the kernels' alone, and by both.
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        let hidden = self.first.forward(input); // [B, 6]
        let hidden = match &self.norm {
            Some(norm) => batch_norm(norm, hidden, None, Activation::Identity),
            None => hidden,
        };
        let hidden = dropout(&self.dropout, hidden.tanh());
        let by_burn = hidden.clone().matmul(self.last.weight.val()).tanh() * 0.1;
        linear(&self.last, hidden, Activation::Identity) + by_burn // [B, 1]
    }
}

impl Task for Net {
    type Input = Table;

    fn predict(&self, input: Table) -> Output {
        Output::Values(self.forward(input.numeric))
    }

    fn loss(&self, input: Table, target: Target) -> Tensor<1> {
        let Target::Values(expected) = target else { panic!("the test set has values") };
        let error = self.forward(input.numeric) - expected;
        (error.clone() * error).mean()
    }
}

/// Rows in memory, in another order each epoch; raises an interrupt with the piece that it names.
struct Rows {
    count: u64,
    poison: Option<u64>,
    /// True for targets of 0 alone.
    flat: bool,
    raise: Option<(Interrupt, u64)>,
    /// The piece that cannot be read.
    unreadable: Option<u64>,
    pieces: Cell<u64>,
}

fn rows(count: u64) -> Rows {
    Rows { count, poison: None, flat: false, raise: None, unreadable: None, pieces: Cell::new(0) }
}

impl Rows {
    fn row(&self, index: u64) -> ([f32; 3], f32) {
        let x = [0.9, 2.3, 4.1].map(|phase: f32| (index as f32 * phase).sin());
        let y = if self.poison == Some(index) { f32::INFINITY } else { x[0] - 0.5 * x[1] * x[2] };
        (x, if self.flat { 0.0 } else { y })
    }
}

impl Loader<Table> for Rows {
    fn len(&self) -> u64 {
        self.count
    }

    fn portions(
        &self,
        start: Position,
        batch_size: usize,
        share: Share,
        device: &Device,
    ) -> Portions<'_, Table> {
        let device = device.clone();
        let firsts = (start.samples..self.count).step_by(batch_size);
        Box::new(firsts.map(move |first| {
            let consumed = (first + batch_size as u64).min(self.count) - first;
            let samples: Vec<u64> = share.of(first..first + consumed).collect();
            // A permutation, as 7 divides no count that the tests use.
            let order = samples.iter().map(|at| self.row((at * 7 + start.epoch * 5) % self.count));
            let (xs, ys): (Vec<_>, Vec<_>) = order.unzip();
            let size = ys.len();
            self.pieces.set(self.pieces.get() + 1);
            if let Some((interrupt, piece)) = &self.raise
                && *piece == self.pieces.get()
            {
                interrupt.raise(15);
            }
            if self.unreadable == Some(self.pieces.get()) {
                return Err(LoadError("rows: expected a piece, found none".into()));
            }
            let numeric = Tensor::from_data(TensorData::new(xs.concat(), [size, 3]), &device);
            let categories = Tensor::<2, Int>::zeros([size, 0], &device);
            let target = Target::Values(Tensor::from_data(TensorData::new(ys, [size, 1]), &device));
            Ok(match size {
                0 => Portion::Nothing { consumed },
                _ => Portion::Samples(Batch {
                    input: Table { numeric, categories },
                    target,
                    samples,
                    consumed,
                }),
            })
        }))
    }
}

fn config() -> FitConfig {
    FitConfig {
        train: TrainConfig {
            epochs: Some(3),
            batch_size: BatchSize::Samples(8),
            piece_size: 4,
            average: Some(0.9),
            clip_norm: Some(0.5),
            report_every: 2,
            ..TrainConfig::default()
        },
        optimizer: OptimizerConfig::AdamW(optimizers::AdamW { learning_rate: 0.02, ..Default::default() }),
        schedule: ScheduleConfig::Cosine(schedules::Cosine { warmup: 2, final_learning_rate: 1e-3 }),
        checkpoint: CheckpointConfig::default(),
        seed: 17,
        ..FitConfig::default()
    }
}

fn trainer(config: FitConfig) -> Trainer {
    Trainer::new(config, Device::flex().autodiff())
}

/// Trains in `folder` until the end, or until the interrupt that comes with `piece`.
fn run_until(config: FitConfig, folder: &Path, piece: Option<u64>) -> Summary {
    let interrupt = Interrupt::new();
    let mut train = rows(27);
    train.raise = piece.map(|piece| (interrupt.clone(), piece));
    let run = RunFolder::create(folder, Existing::Resume).unwrap();
    let mut trainer = trainer(config).run(run).resume(true).interrupt(interrupt);
    trainer.fit(net(true, 0.2), &train, Some(&rows(11))).unwrap().summary
}

/// Everything a run leaves that must not depend on interruptions.
fn traces(folder: &Path) -> (Vec<Vec<u8>>, Vec<String>) {
    let run = RunFolder::open(folder).unwrap();
    let loaded = run.checkpoint_store().load_newest().unwrap().unwrap();
    let mut files: Vec<_> = [WEIGHTS, AVERAGE, OPTIMIZER].map(|name| loaded.files[name].clone()).to_vec();
    files.push(fs::read(run.model()).unwrap());
    let text = fs::read_to_string(run.metrics()).unwrap();
    let records = text.lines().map(|line| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        record.as_object_mut().unwrap().remove("seconds");
        record.to_string()
    });
    (files, records.collect())
}

#[test]
fn an_interruption_at_any_piece_changes_no_bit() {
    let _alone = alone();
    let whole = folder();
    let summary = run_until(config(), whole.path(), None);
    assert_eq!((summary.steps, summary.epochs, summary.samples), (12, 3, 81));
    let expected = traces(whole.path());
    assert_eq!(expected.1.len(), 6 + 3, "6 training records and 3 evaluations: {:?}", expected.1);
    // 7 pieces an epoch: 4 + 4, 4 + 4, 4 + 4, 3.
    for piece in 1..=21 {
        let folder = self::folder();
        let summary = run_until(config(), folder.path(), Some(piece));
        assert_eq!(summary.stopped, Stopped::Interrupted(15), "piece {piece}");
        assert!(!folder.path().join("model.safetensors").exists(), "an unfinished run has no final weights");
        assert_eq!(run_until(config(), folder.path(), None).stopped, Stopped::Finished);
        assert!(traces(folder.path()) == expected, "interrupted at piece {piece}");
    }
}

#[test]
fn a_piece_that_cannot_be_read_changes_no_bit_of_the_run_that_goes_on() {
    let _alone = alone();
    // 9 pieces an epoch, 4 to a step: 3 + 3 + 3 + 3, 3 + 3 + 3 + 3, 3.
    let mut config = config();
    (config.train.batch_size, config.train.piece_size) = (BatchSize::Samples(12), 3);
    let whole = folder();
    run_until(config.clone(), whole.path(), None);
    let expected = traces(whole.path());
    // Of a step whole or begun by an earlier process, within its first epoch and its second.
    for interrupted in [None, Some(4), Some(5), Some(6), Some(7), Some(9), Some(14)] {
        for unreadable in 1..=4 {
            let folder = self::folder();
            if interrupted.is_some() {
                run_until(config.clone(), folder.path(), interrupted);
            }
            let run = RunFolder::create(folder.path(), Existing::Resume).unwrap();
            let mut trainer = trainer(config.clone()).run(run).resume(true).interrupt(Interrupt::new());
            let train = Rows { unreadable: Some(unreadable), ..rows(27) };
            let error = trainer.fit(net(true, 0.2), &train, Some(&rows(11))).unwrap_err().to_string();
            assert!(error.contains("expected a piece"), "{error}");
            // It is the folder's only writer for as long as it lives.
            drop(trainer);
            assert_eq!(run_until(config.clone(), folder.path(), None).stopped, Stopped::Finished);
            assert!(
                traces(folder.path()) == expected,
                "interrupted at piece {interrupted:?}, and piece {unreadable} of what follows is unreadable"
            );
        }
    }
}

#[test]
fn a_run_of_nothing_but_interruptions_ends_the_same() {
    let _alone = alone();
    let (whole, pieces) = (folder(), folder());
    run_until(config(), whole.path(), None);
    let mut runs = 1;
    while run_until(config(), pieces.path(), Some(1)).stopped != Stopped::Finished {
        runs += 1;
    }
    assert_eq!(runs, 22, "one piece each, and a last one that only finishes");
    assert!(traces(pieces.path()) == traces(whole.path()));
    // Resuming a finished run trains nothing and reports the same.
    let again = run_until(config(), pieces.path(), None);
    assert_eq!((again.steps, again.stopped), (12, Stopped::Finished));
    assert_eq!(again.metrics.len(), 4);
    assert!(traces(pieces.path()) == traces(whole.path()));
}

#[test]
fn every_optimizer_learns_and_continues_bit_for_bit() {
    let _alone = alone();
    for name in OptimizerConfig::NAMES {
        let mut config = config();
        config.optimizer = OptimizerConfig::named(name).unwrap();
        config.train = TrainConfig { epochs: None, steps: Some(40), average: None, ..config.train };
        config.schedule = ScheduleConfig::default();
        let set = rows(27);
        let before = evaluated(&net(true, 0.0).valid(), &set);
        let fitted = trainer(config.clone()).fit(net(true, 0.0), &set, None).unwrap();
        let after = evaluated(&fitted.model, &set);
        assert!(after < before, "{name}: {before} before training, {after} after");

        let folder = self::folder();
        let run = |interrupted: bool| {
            let interrupt = Interrupt::new();
            let mut train = rows(27);
            train.raise = interrupted.then(|| (interrupt.clone(), 30));
            let run = RunFolder::create(folder.path(), Existing::Resume).unwrap();
            let mut trainer = trainer(config.clone()).run(run).resume(true).interrupt(interrupt);
            trainer.fit(net(true, 0.0), &train, None).unwrap()
        };
        assert_eq!(run(true).summary.stopped, Stopped::Interrupted(15));
        let resumed = run(false);
        assert_eq!(bits(&resumed.model), bits(&fitted.model), "{name}");
    }
}

fn evaluated(model: &Net, set: &Rows) -> f64 {
    evaluate(model, set, &MetricConfig::default(), 8, &Device::flex()).unwrap().metrics[0].value
}

fn bits(model: &Net) -> Vec<u8> {
    Weights::of(model).to_safetensors(Path::new("model")).unwrap()
}

fn numbers(model: &Net) -> Vec<f32> {
    let weights = Weights::of(model);
    weights.iter().flat_map(|(_, data)| data.as_slice::<f32>().unwrap().to_vec()).collect()
}

/// A plain run without anything random.
fn plain(train: TrainConfig) -> Net {
    let optimizer =
        OptimizerConfig::Sgd(optimizers::Sgd { learning_rate: 0.1, momentum: 0.9, ..Default::default() });
    let config = FitConfig { train, optimizer, ..FitConfig::default() };
    trainer(config).fit(net(false, 0.0), &rows(27), None).unwrap().model
}

fn assert_close(a: &Net, b: &Net) {
    for (a, b) in numbers(a).into_iter().zip(numbers(b)) {
        assert!((a - b).abs() < 1e-5, "{a} against {b}");
    }
}

#[test]
fn batch_gradient_descent_is_one_batch_of_everything() {
    let _alone = alone();
    let train = |batch_size, piece_size| TrainConfig {
        epochs: Some(4),
        batch_size,
        piece_size,
        ..TrainConfig::default()
    };
    let full = plain(train(BatchSize::Full, 1024));
    assert_eq!(bits(&full), bits(&plain(train(BatchSize::Samples(27), 1024))));
    assert_close(&full, &plain(train(BatchSize::Full, 5)));
    assert_ne!(numbers(&full), numbers(&net(false, 0.0)), "it trained");
}

#[test]
fn accumulated_batches_are_one_large_batch() {
    let _alone = alone();
    let train = |batch, accumulate| TrainConfig {
        epochs: Some(2),
        batch_size: BatchSize::Samples(batch),
        accumulate,
        ..TrainConfig::default()
    };
    assert_close(&plain(train(4, 3)), &plain(train(12, 1)));
}

#[test]
fn dropping_the_last_batch_trains_whole_batches_alone() {
    let _alone = alone();
    let train = TrainConfig {
        epochs: Some(3),
        batch_size: BatchSize::Samples(8),
        drop_last: true,
        ..TrainConfig::default()
    };
    let config = FitConfig { train, ..FitConfig::default() };
    let summary = trainer(config.clone()).fit(net(false, 0.0), &rows(27), Some(&rows(4))).unwrap().summary;
    assert_eq!((summary.steps, summary.epochs, summary.samples), (9, 3, 72));
    let error = trainer(config).fit(net(false, 0.0), &rows(5), None).unwrap_err().to_string();
    assert!(error.contains("at least the 8 samples") && error.ends_with("found 5"), "{error}");
}

#[test]
fn weight_decay_leaves_biases_alone_unless_told() {
    let _alone = alone();
    let decayed = |decay_biases_and_norms| {
        let sgd = optimizers::Sgd { learning_rate: 1e-9, weight_decay: 1e8, ..Default::default() };
        let train = TrainConfig { steps: Some(1), decay_biases_and_norms, ..TrainConfig::default() };
        let config = FitConfig { train, optimizer: OptimizerConfig::Sgd(sgd), ..FitConfig::default() };
        let mut model = net(true, 0.0);
        model.first.bias = Some(Param::from_tensor(Tensor::<1>::ones([6], &Device::flex().autodiff())));
        let fitted = trainer(config).fit(model, &rows(27), None).unwrap().model;
        let weights = Weights::of(&fitted);
        let first = |path: &str| weights.get(path).unwrap().as_slice::<f32>().unwrap()[1];
        (first("first.weight"), first("first.bias"), first("norm.gamma"))
    };
    // Each step takes a tenth of what decays; the gradient moves nothing at this rate.
    let weight = 0.9 * 0.5 * 1.7f32.sin();
    for (all, rest) in [(false, 1.0), (true, 0.9)] {
        let (found, bias, gamma) = decayed(all);
        assert!((found - weight).abs() < 1e-5, "{found} against {weight}");
        assert!(
            (bias - rest).abs() < 1e-5 && (gamma - rest).abs() < 1e-5,
            "{bias} and {gamma} against {rest}"
        );
    }
}

#[test]
fn a_loss_that_is_no_number_stops_before_the_update_and_keeps_the_checkpoint() {
    let _alone = alone();
    let folder = self::folder();
    let mut train = rows(27);
    // Sample 20 comes in the sixth step: 7 at + 5 = 20 mod 27 at position 6 of the second epoch.
    let mut config = config();
    config.checkpoint = CheckpointConfig { every_steps: Some(1), ..CheckpointConfig::default() };
    config.train.average = None;
    let start = |config: FitConfig, train: &Rows| {
        let run = RunFolder::create(folder.path(), Existing::Resume).unwrap();
        trainer(config).run(run).resume(true).interrupt(Interrupt::new()).fit(net(true, 0.2), train, None)
    };
    let mut short = config.clone();
    short.train = TrainConfig { epochs: None, steps: Some(4), ..short.train };
    start(short, &train).unwrap();
    train.poison = Some(20);
    let error = start(config, &train).unwrap_err().to_string();
    assert!(error.starts_with("step 5: expected a finite loss, found inf"), "{error}");
    assert!(
        error.contains("; nothing after checkpoint step-000000004 was saved; start a new run"),
        "{error}"
    );
    assert_eq!(error.lines().count(), 1);
    let store = RunFolder::open(folder.path()).unwrap().checkpoint_store();
    assert_eq!(store.load_newest().unwrap().unwrap().name, "step-000000004");
}

#[test]
fn weights_that_are_no_number_are_never_saved() {
    let _alone = alone();
    let folder = self::folder();
    let sgd = optimizers::Sgd { learning_rate: 1e38, ..Default::default() };
    let train = TrainConfig { steps: Some(1), batch_size: BatchSize::Full, ..TrainConfig::default() };
    let config = FitConfig { train, optimizer: OptimizerConfig::Sgd(sgd), ..FitConfig::default() };
    let run = RunFolder::create(folder.path(), Existing::Refuse).unwrap();
    let mut model = net(false, 0.0);
    model.last.bias = Some(Param::from_tensor(Tensor::<1>::ones([1], &Device::flex().autodiff()) * 1e3));
    let error = trainer(config).run(run).interrupt(Interrupt::new()).fit(model, &rows(27), None).unwrap_err();
    assert!(matches!(error, TrainError::Diverged { .. }), "{error}");
    let run = RunFolder::open(folder.path()).unwrap();
    assert!(run.checkpoint_store().names().unwrap().is_empty() && !run.model().exists());
}

#[test]
fn a_damaged_newest_checkpoint_falls_back_and_ends_the_same() {
    let _alone = alone();
    let (whole, damaged) = (folder(), folder());
    let mut config = config();
    config.checkpoint = CheckpointConfig { every_steps: Some(1), keep: 3, ..CheckpointConfig::default() };
    run_until(config.clone(), whole.path(), None);
    run_until(config.clone(), damaged.path(), Some(10));
    let store = RunFolder::open(damaged.path()).unwrap().checkpoint_store();
    let newest = store.names().unwrap().pop().unwrap();
    fs::write(store.path(&newest).join(OPTIMIZER), b"half a file").unwrap();

    struct Warnings(std::rc::Rc<Cell<usize>>);
    impl Listener for Warnings {
        fn on(&mut self, event: &Event<'_>) {
            if let Event::Warning(text) = event {
                assert!(text.contains("optimizer.bpk"), "{text}");
                self.0.set(self.0.get() + 1);
            }
        }
    }
    let count = std::rc::Rc::new(Cell::new(0));
    let run = RunFolder::create(damaged.path(), Existing::Resume).unwrap();
    let mut trainer = trainer(config.clone()).run(run).resume(true).interrupt(Interrupt::new());
    trainer = trainer.listener(Box::new(Warnings(count.clone())));
    trainer.fit(net(true, 0.2), &rows(27), Some(&rows(11))).unwrap();
    assert_eq!(count.get(), 1);
    assert!(store.path(&format!(".damaged-{newest}")).is_dir());
    assert!(traces(damaged.path()) == traces(whole.path()));
}

/// Does something to the run folder once a checkpoint is written.
struct OnceSaved<F: FnMut(&str)>(F);

impl<F: FnMut(&str)> Listener for OnceSaved<F> {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Saved { checkpoint } = event {
            (self.0)(checkpoint);
        }
    }
}

#[test]
fn a_run_folder_that_goes_away_ends_training_and_loses_nothing() {
    let _alone = alone();
    let (whole, parent) = (folder(), folder());
    let mut config = config();
    config.checkpoint = CheckpointConfig { every_steps: Some(2), ..CheckpointConfig::default() };
    run_until(config.clone(), whole.path(), None);
    let expected = traces(whole.path());
    let (path, moved, rescued) =
        (parent.path().join("run"), parent.path().join("moved"), parent.path().join("run-rescued"));
    for (renamed, kept) in [(true, &moved), (false, &rescued)] {
        let run = RunFolder::create(&path, Existing::Refuse).unwrap();
        fs::write(path.join("columns.json"), "{}").unwrap();
        let (from, to) = (path.clone(), moved.clone());
        let goes_away = move |checkpoint: &str| {
            if checkpoint == "step-000000004" {
                if renamed { fs::rename(&from, &to).unwrap() } else { fs::remove_dir_all(&from).unwrap() }
            }
        };
        let mut trainer = trainer(config.clone()).run(run).resume(true).interrupt(Interrupt::new());
        trainer = trainer.listener(Box::new(OnceSaved(goes_away)));
        let error = trainer.fit(net(true, 0.2), &rows(27), Some(&rows(11))).unwrap_err().to_string();
        drop(trainer);
        assert!(
            error.contains("expected the folder of this run") && error.contains("step-000000006"),
            "{error}"
        );
        assert!(error.contains(&format!("--run {} --resume", kept.display())), "{error}");
        assert!(!path.exists() && kept.join("columns.json").exists());
        assert_eq!(run_until(config.clone(), kept, None).stopped, Stopped::Finished);
        assert!(traces(kept) == expected, "renamed: {renamed}");
    }
}

#[test]
fn a_best_checkpoint_that_is_gone_is_told_before_the_first_step() {
    let _alone = alone();
    let folder = folder();
    let mut config = config();
    config.train.select = Select::Best;
    // An evaluation an epoch, of 7 pieces.
    run_until(config.clone(), folder.path(), Some(10));
    let store = RunFolder::open(folder.path()).unwrap().checkpoint_store();
    let best = store.names().unwrap()[0].clone();
    assert_ne!(store.names().unwrap().last(), Some(&best));
    fs::remove_dir_all(store.path(&best)).unwrap();
    let run = RunFolder::create(folder.path(), Existing::Resume).unwrap();
    let mut trainer = trainer(config).run(run).resume(true).interrupt(Interrupt::new());
    let error = trainer.fit(net(true, 0.2), &rows(27), Some(&rows(11))).unwrap_err().to_string();
    assert!(error.contains(&best) && error.contains("the best evaluation so far"), "{error}");
}

#[test]
fn an_optimizer_file_of_another_model_or_damaged_under_a_right_checksum_is_refused() {
    let _alone = alone();
    let folder = folder();
    run_until(config(), folder.path(), Some(10));
    let store = RunFolder::open(folder.path()).unwrap().checkpoint_store();
    let name = store.names().unwrap().pop().unwrap();
    let files = store.load(&name).unwrap();
    let rewritten = |change: &dyn Fn(usize, burn_pack::Tensor) -> Option<burn_pack::Tensor>| {
        let reader = Reader::from_bytes(Bytes::from_bytes_vec(files[OPTIMIZER].clone())).unwrap();
        let scalars = reader.scalars().clone();
        let tensors = reader.into_tensors().unwrap().into_iter().enumerate();
        let mut writer = Writer::new(tensors.filter_map(|(at, tensor)| change(at, tensor)).collect());
        for (name, value) in scalars {
            writer = writer.with_scalar(&name, value);
        }
        writer.into_bytes().unwrap().to_vec()
    };
    let in_one_row = |tensor: burn_pack::Tensor| {
        let (name, dtype, _, id, bytes) = tensor.into_parts().unwrap();
        let numbers = bytes.len() / 4;
        burn_pack::Tensor::new(name, dtype, burn::tensor::Shape::from(vec![1, numbers]), id, bytes)
    };
    let cases = [
        rewritten(&|at, tensor| (at != 0).then_some(tensor)),
        rewritten(&|at, tensor| Some(if at == 0 { in_one_row(tensor) } else { tensor })),
        rewritten(&|_, tensor| {
            let (name, dtype, shape, _, bytes) = tensor.into_parts().unwrap();
            Some(burn_pack::Tensor::new(name, dtype, shape, None, bytes))
        }),
        files[OPTIMIZER][..files[OPTIMIZER].len() / 2].to_vec(),
        b"no pack".to_vec(),
    ];
    for (case, bytes) in cases.into_iter().enumerate() {
        store.remove(&name).unwrap();
        let mut damaged = files.clone();
        damaged.insert(OPTIMIZER.into(), bytes);
        store.save(&name, &damaged).unwrap();
        let run = RunFolder::create(folder.path(), Existing::Resume).unwrap();
        let mut trainer = trainer(config()).run(run).resume(true).interrupt(Interrupt::new());
        let fitted = trainer.fit(net(true, 0.2), &rows(27), Some(&rows(11)));
        let Err(error) = fitted else { panic!("case {case}: expected a refusal, found a training") };
        assert!(error.to_string().contains("optimizer.bpk"), "case {case}: {error}");
    }
}

#[test]
fn patience_ends_training_and_the_best_weights_are_selected() {
    let _alone = alone();
    let train = TrainConfig {
        epochs: Some(50),
        batch_size: BatchSize::Samples(8),
        early_stopping: Some(3),
        select: Select::Best,
        monitor: Some("rmse".into()),
        ..TrainConfig::default()
    };
    // Too high a rate: the validation error rises and falls.
    let optimizer = OptimizerConfig::Sgd(optimizers::Sgd { learning_rate: 0.8, ..Default::default() });
    let config = FitConfig { train, optimizer, ..FitConfig::default() };
    let metrics =
        MetricConfig { values: vec![ValueScale { mean: 3.0, std: 2.0 }], ..MetricConfig::default() };
    let valid = rows(11);
    let fit = |folder: Option<&Path>| {
        let mut trainer = trainer(config.clone()).metrics(metrics.clone()).interrupt(Interrupt::new());
        if let Some(folder) = folder {
            trainer = trainer.run(RunFolder::create(folder, Existing::Refuse).unwrap());
        }
        trainer.fit(net(false, 0.0), &rows(27), Some(&valid)).unwrap()
    };
    let folder = self::folder();
    let (kept, memory) = (fit(Some(folder.path())), fit(None));
    assert_eq!(kept.summary.stopped, Stopped::EarlyStopped);
    let text = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let errors: Vec<f64> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|record| record["kind"] == "valid")
        .map(|record| record["rmse"].as_f64().unwrap())
        .collect();
    let best = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let at = errors.iter().position(|error| *error == best).unwrap();
    assert_eq!(errors.len(), at + 1 + 3, "{errors:?}");
    let found = evaluate(&kept.model, &valid, &metrics, 4, &Device::flex()).unwrap().metrics;
    assert!((found[2].value - best).abs() < 1e-6 && found[2].name == "rmse", "{found:?} against {best}");
    assert!((kept.summary.metrics[2].value - best).abs() < 1e-12);
    assert_eq!(bits(&kept.model), bits(&memory.model));
}

/// A model that always says 0, whatever its weights are.
#[derive(Module, Debug)]
struct Zero {
    net: Net,
}

impl Task for Zero {
    type Input = Table;

    fn predict(&self, input: Table) -> Output {
        let [batch, _] = input.numeric.dims();
        Output::Values(Tensor::zeros([batch, 1], &input.numeric.device()))
    }

    fn loss(&self, input: Table, target: Target) -> Tensor<1> {
        self.net.loss(input, target)
    }
}

/// Hears the warnings.
struct Warnings(std::rc::Rc<std::cell::RefCell<Vec<String>>>);

impl Listener for Warnings {
    fn on(&mut self, event: &Event<'_>) {
        if let Event::Warning(text) = event {
            self.0.borrow_mut().push(text.to_string());
        }
    }
}

#[test]
fn the_best_of_evaluations_without_a_number_is_the_last_with_a_warning() {
    let _alone = alone();
    // All of no spread is explained, and all of it is missed: 0 / 0.
    let warned = |flat: bool| {
        let mut config = config();
        (config.train.select, config.train.monitor) = (Select::Best, Some("r2".into()));
        let heard = Warnings(Default::default());
        let warnings = heard.0.clone();
        let mut trainer = trainer(config).listener(Box::new(heard));
        let model = Zero { net: net(false, 0.0) };
        trainer.fit(model, &rows(27), Some(&Rows { flat, ..rows(11) })).unwrap();
        warnings.take()
    };
    assert_eq!(
        warned(true),
        ["train.select: expected an evaluation whose r2 is a number, found none: the weights are those of \
             the last step"]
    );
    assert!(warned(false).is_empty());
}

#[test]
fn a_validation_set_that_gives_no_number_is_named_by_its_sample() {
    let _alone = alone();
    let poisoned = Rows { poison: Some(4), ..rows(11) };
    let error = trainer(config()).fit(net(false, 0.0), &rows(27), Some(&poisoned)).unwrap_err().to_string();
    assert!(
        error.starts_with("evaluation, sample ")
            && error.ends_with("expected finite target values, found inf"),
        "{error}"
    );
}

/// A model whose first answer, and every other one after it, is no number.
#[derive(Module, Debug)]
struct Gaps {
    net: Net,
}

impl Task for Gaps {
    type Input = Table;

    fn predict(&self, input: Table) -> Output {
        static ANSWERS: AtomicU64 = AtomicU64::new(0);
        let values = self.net.forward(input.numeric);
        let finite = ANSWERS.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        Output::Values(if finite { values } else { values * f32::NAN })
    }

    fn loss(&self, input: Table, target: Target) -> Tensor<1> {
        self.net.loss(input, target)
    }
}

#[test]
fn an_evaluation_that_is_no_number_is_warned_of_once_and_never_the_best() {
    let _alone = alone();
    let folder = self::folder();
    let mut config = config();
    (config.train.select, config.train.epochs) = (Select::Best, Some(4));
    let heard = Warnings(Default::default());
    let warnings = heard.0.clone();
    let run = RunFolder::create(folder.path(), Existing::Refuse).unwrap();
    let mut trainer = trainer(config).run(run).interrupt(Interrupt::new()).listener(Box::new(heard));
    let fitted = trainer.fit(Gaps { net: net(false, 0.0) }, &rows(27), Some(&rows(11))).unwrap();
    assert_eq!((fitted.summary.stopped, fitted.summary.epochs), (Stopped::Finished, 4));
    assert_eq!(
        warnings.take(),
        [
            "evaluation on the valid set after step 4: expected finite outputs, found others for 11 of 11 samples: \
          no figure of such an evaluation is a number, and it is never the best"
        ]
    );
    let text = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let errors: Vec<Option<f64>> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|record| record["kind"] == "valid")
        .map(|record| record["mse"].as_f64())
        .collect();
    let [None, Some(second), None, Some(fourth)] = errors[..] else { panic!("{errors:?}") };
    assert!((fitted.summary.metrics[0].value - second.min(fourth)).abs() < 1e-12);
    // Outside training such an answer is an error.
    let error = evaluate(&fitted.model, &rows(11), &MetricConfig::default(), 11, &Device::flex());
    let error = error.unwrap_err().to_string();
    assert_eq!(error, "evaluation, sample 0 in batch 1: expected finite values, found NaN");
}

#[test]
fn a_test_with_the_fit_is_in_the_summary_and_the_log_once() {
    let _alone = alone();
    let folder = self::folder();
    for _ in 0..2 {
        let run = RunFolder::create(folder.path(), Existing::Resume).unwrap();
        let mut trainer = trainer(config()).run(run).resume(true).interrupt(Interrupt::new());
        let fitted = trainer.fit_and_test(net(true, 0.2), &rows(27), None, Some(&rows(11))).unwrap();
        let expected = evaluated(&fitted.model, &rows(11));
        assert_eq!(fitted.summary.test[0].name, "mse");
        assert!((fitted.summary.test[0].value - expected).abs() < 1e-6 && fitted.summary.metrics.is_empty());
        let text = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
        // Resuming a finished run takes its test record back before it adds its own.
        let tests: Vec<_> = text.lines().filter(|line| line.contains("\"test\"")).collect();
        assert_eq!(tests.len(), 1, "{text}");
        let record: serde_json::Value = serde_json::from_str(tests[0]).unwrap();
        assert_eq!((record["step"].as_u64(), record["samples"].as_u64()), (Some(12), Some(11)));
        assert!((record["rmse"].as_f64().unwrap() - fitted.summary.test[2].value).abs() < 1e-12);
    }
    // An interrupted run is not tested.
    let interrupt = Interrupt::new();
    let train = Rows { raise: Some((interrupt.clone(), 2)), ..rows(27) };
    let mut trainer = trainer(config()).interrupt(interrupt);
    let summary = trainer.fit_and_test(net(true, 0.2), &train, None, Some(&rows(11))).unwrap().summary;
    assert_eq!((summary.stopped, summary.test), (Stopped::Interrupted(15), Vec::new()));
}

#[test]
fn a_run_that_cannot_be_continued_is_left_as_it_is() {
    let _alone = alone();
    let folder = self::folder();
    run_until(config(), folder.path(), None);
    let resume = |train: TrainConfig| {
        let run = RunFolder::create(folder.path(), Existing::Resume).unwrap();
        let config = FitConfig { train, ..config() };
        let mut trainer = trainer(config).run(run).resume(true).interrupt(Interrupt::new());
        trainer.fit(net(true, 0.2), &rows(27), Some(&rows(11))).unwrap_err().to_string()
    };
    let before = traces(folder.path());
    let error = resume(TrainConfig { epochs: Some(2), ..config().train });
    assert_eq!(error, "train.epochs: expected at least 3, as the run has done 12 steps, found 2");
    let error = resume(TrainConfig { epochs: None, steps: Some(11), ..config().train });
    assert_eq!(error, "train.steps: expected at least the 12 steps that the run has done, found 11");
    assert!(traces(folder.path()) == before);

    let files =
        || ["model.safetensors", "metrics.jsonl"].map(|name| fs::read(folder.path().join(name)).unwrap());
    let before = files();
    fs::remove_dir_all(folder.path().join("checkpoints")).unwrap();
    let error = resume(config().train);
    assert!(error.contains("expected one to continue from") && error.lines().count() == 1, "{error}");
    assert!(files() == before);
    // Killed before its first checkpoint: it starts again.
    fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(run_until(config(), folder.path(), None).steps, 12);
}

#[test]
fn a_finished_run_that_goes_on_and_stops_keeps_weights_that_state_their_step() {
    let _alone = alone();
    let folder = folder();
    // 27 rows in batches of 8: 4 steps an epoch, 7 pieces.
    run_until(config(), folder.path(), None);
    let run = RunFolder::open(folder.path()).unwrap();
    let weights = fs::read(run.model()).unwrap();
    let steps = || (step_of_weights(&run.model()).unwrap(), run.checkpoint_store().newest_step().unwrap());
    assert_eq!(steps(), (Some(12), Some(12)));
    let mut longer = config();
    (longer.train.epochs, longer.schedule) = (Some(5), ScheduleConfig::Constant(Default::default()));
    run_until(longer.clone(), folder.path(), Some(4));
    assert_eq!(steps(), (Some(12), Some(13)));
    assert!(fs::read(run.model()).unwrap() == weights, "a stop has no final weights");
    run_until(longer, folder.path(), None);
    assert_eq!(steps(), (Some(20), Some(20)));
}

#[test]
fn the_best_checkpoint_is_kept_where_the_last_weights_are_selected() {
    let _alone = alone();
    let folder = self::folder();
    let train = TrainConfig { epochs: Some(4), batch_size: BatchSize::Samples(8), ..TrainConfig::default() };
    // Too high a rate: the validation error rises and falls.
    let optimizer = OptimizerConfig::Sgd(optimizers::Sgd { learning_rate: 0.8, ..Default::default() });
    let checkpoint = CheckpointConfig { every_steps: Some(1000), keep: 1, ..CheckpointConfig::default() };
    let config = FitConfig { train, optimizer, checkpoint, ..FitConfig::default() };
    let run = RunFolder::create(folder.path(), Existing::Refuse).unwrap();
    let mut trainer = trainer(config).run(run).interrupt(Interrupt::new());
    trainer.fit(net(false, 0.0), &rows(27), Some(&rows(11))).unwrap();
    let text = fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    let (_, best) = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|record| record["kind"] == "valid")
        .map(|record| (record["mse"].as_f64().unwrap(), record["step"].as_u64().unwrap()))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap();
    let names = RunFolder::open(folder.path()).unwrap().checkpoint_store().names().unwrap();
    assert_ne!(best, 16, "the case is one where the last is not the best");
    assert_eq!(names, [format!("step-{best:09}"), "step-000000016".into()]);
}

#[test]
fn what_a_run_cannot_be_is_said_before_it_starts() {
    let _alone = alone();
    let refused = |train: TrainConfig, valid: bool, set: Rows| {
        let config = FitConfig { train, ..FitConfig::default() };
        let rows = rows(4);
        let valid = valid.then_some(&rows as &dyn Loader<Table>);
        trainer(config).fit(net(false, 0.0), &set, valid).unwrap_err().to_string()
    };
    let best = TrainConfig { select: Select::Best, ..TrainConfig::default() };
    assert!(refused(best, false, rows(4)).starts_with("train.select: expected \"last\""));
    let patient = TrainConfig { early_stopping: Some(2), ..TrainConfig::default() };
    assert!(refused(patient, false, rows(4)).starts_with("train.early_stopping: expected none"));
    let monitored = TrainConfig { monitor: Some("mse".into()), ..TrainConfig::default() };
    let error = refused(monitored, false, rows(4));
    assert_eq!(error, "train.monitor: expected none without a validation set, found mse");
    let error = refused(TrainConfig::default(), false, rows(0));
    assert_eq!(error, "training set: expected at least one sample, found none");
    let unheard = TrainConfig { monitor: Some("bleu".into()), ..TrainConfig::default() };
    let error = refused(unheard, true, rows(4));
    assert_eq!(error, "train.monitor: expected one of mse, mae, rmse, r2, found bleu");
    let empty = evaluate(&net(false, 0.0).valid(), &rows(0), &MetricConfig::default(), 4, &Device::flex());
    assert!(empty.unwrap_err().to_string().starts_with("evaluation set: expected at least one sample"));
}

#[test]
fn checkpointing_is_refused_where_no_block_keeps_its_input() {
    let _alone = alone();
    let train = TrainConfig { gradient_checkpointing: true, ..TrainConfig::default() };
    let config = FitConfig { train, ..FitConfig::default() };
    let error = trainer(config).fit(net(true, 0.0), &rows(4), None).unwrap_err().to_string();
    assert!(error.starts_with("train.gradient_checkpointing: expected false for a model without"), "{error}");
    assert!(error.ends_with("found true"), "{error}");
}

#[test]
fn costs_are_told_once_and_the_pace_within_an_epoch() {
    struct Ear(std::rc::Rc<std::cell::RefCell<Vec<String>>>);
    impl Listener for Ear {
        fn on(&mut self, event: &Event<'_>) {
            let told = match event {
                Event::Costs(costs) => costs.to_string(),
                Event::Pace(pace) => pace.to_string(),
                _ => return,
            };
            self.0.borrow_mut().push(told);
        }
    }
    let _alone = alone();
    let train = TrainConfig { epochs: Some(2), batch_size: BatchSize::Samples(2), ..TrainConfig::default() };
    let config = FitConfig { train, ..FitConfig::default() };
    let told = std::rc::Rc::default();
    let mut trainer = trainer(config).listener(Box::new(Ear(std::rc::Rc::clone(&told))));
    trainer.fit(net(true, 0.0), &rows(27), None).unwrap();
    let told = told.borrow();
    assert_eq!(told.len(), 2, "{told:?}");
    // Running statistics are no parameters.
    assert!(told[0].starts_with("43 parameters, 43 trained; "), "{told:?}");
    assert!(
        told[1].starts_with("an epoch takes ") && told[1].ends_with("estimated from 9 steps"),
        "{told:?}"
    );
}

#[test]
fn seeds_of_neighbouring_pieces_are_unlike() {
    let seeds: std::collections::HashSet<u64> = (0..4)
        .flat_map(|seed| (0..50).flat_map(move |step| (0..50).map(move |piece| mix(seed, step, piece))))
        .collect();
    assert_eq!(seeds.len(), 4 * 50 * 50);
}
