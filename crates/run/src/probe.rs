//! Features that a frozen model computes once, in memory, for the training of its head alone.
//!
//! ```text
//! pictures -> model, as in evaluation -> features [N, F] ─┐ shuffled anew each epoch
//!                                                         └─> head -> loss
//! ```

use crate::Notices;
use bonfire_contract::{
    Batch, Input, LoadError, Loader, Portion, Portions, Position, Share, Skipped, Table, Target, Task,
};
use bonfire_datasets::{Order, size};
use bonfire_models::Probe;
use bonfire_train::TrainError;
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::time::Instant;

/// Bytes of features that are held: those of a million samples with 1,024 numbers each.
const MOST_BYTES: u64 = 4 << 30;

/// The features of a set, in the order in which it was read.
pub(crate) struct Features {
    /// Numbers of a sample, `F`.
    width: usize,
    /// `[N, F]`
    numbers: Vec<f32>,
    targets: Targets,
    /// The number of each sample in its set.
    samples: Vec<u64>,
    skipped: Skipped,
    /// The seed of each epoch's order; none for the set's own order.
    seed: Option<u64>,
}

/// The targets of samples.
enum Targets {
    Classes(Vec<i64>),
    /// So many values a sample.
    Values(Vec<f32>, usize),
}

/// The way to compute features.
pub(crate) struct Computing<'a> {
    /// Samples at once.
    pub(crate) batch_size: usize,
    pub(crate) device: &'a Device,
    pub(crate) notices: &'a Notices,
}

impl Computing<'_> {
    /// The features of a set, by a model that computes as in evaluation. `seed` is that of the order of
    /// training; `set` names the set in messages.
    ///
    /// # Errors
    /// When a sample cannot be read, or the features would take more memory than [`MOST_BYTES`].
    pub(crate) fn of<M: Task>(
        &self,
        probe: &Probe<M>,
        loader: &dyn Loader<M::Input>,
        set: &str,
        seed: Option<u64>,
    ) -> Result<Features, TrainError> {
        let started = Instant::now();
        let probe = probe.valid();
        let device = self.device.clone().without_autodiff();
        let mut features = Features {
            width: 0,
            numbers: Vec::new(),
            targets: Targets::Classes(Vec::new()),
            samples: Vec::new(),
            skipped: Skipped::default(),
            seed,
        };
        for batch in loader.batches(Position::default(), self.batch_size, &device) {
            let Batch { input, target, samples, .. } = batch?;
            let (count, found) = (input.len(), probe.headed().features(input));
            let [_, width] = found.dims();
            if features.samples.is_empty() {
                check_size(loader.len(), width)?;
            }
            features.width = width;
            features.numbers.extend(found.into_data().iter::<f32>());
            features.targets.extend(target, count)?;
            features.samples.extend(samples);
        }
        features.skipped = loader.skipped();
        if features.samples.is_empty() {
            let expected = "at least one sample that can be read".to_string();
            return Err(TrainError::Empty { set: "probed", expected, found: "none".into() });
        }
        (self.notices)(&format!(
            "probe: {} {set} samples, {} features each ({}), computed once in {:.1} s",
            features.samples.len(),
            features.width,
            size(4 * features.numbers.len() as u64),
            started.elapsed().as_secs_f64()
        ));
        Ok(features)
    }
}

/// Refuses more features than are held.
fn check_size(samples: u64, width: usize) -> Result<(), TrainError> {
    let bytes = samples.saturating_mul(4 * width as u64);
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    Err(TrainError::Config {
        key: "finetune.probe".into(),
        expected: format!("false, as at most {} of features are held", size(MOST_BYTES)),
        found: format!("{samples} samples of {width} features, {}", size(bytes)),
    })
}

impl Targets {
    fn extend(&mut self, target: Target, count: usize) -> Result<(), TrainError> {
        match (target, self) {
            (Target::Classes(classes), Targets::Classes(all)) => {
                all.extend(classes.into_data().iter::<i64>())
            }
            (Target::Values(values), this) => {
                let values: Vec<f32> = values.into_data().iter::<f32>().collect();
                let each = values.len() / count.max(1);
                match this {
                    Targets::Values(all, _) => all.extend(values),
                    first => *first = Targets::Values(values, each),
                }
            }
            _ => {
                return Err(TrainError::Config {
                    key: "finetune.probe".into(),
                    expected: "false where targets are neither classes nor values".into(),
                    found: "true".into(),
                });
            }
        }
        Ok(())
    }

    /// The targets of the samples at `places`.
    fn at(&self, places: &[usize], device: &Device) -> Target {
        match self {
            Targets::Classes(all) => {
                let classes: Vec<i64> = places.iter().map(|place| all[*place]).collect();
                let data = TensorData::new(classes, [places.len()]);
                Target::Classes(Tensor::<1, Int>::from_data(data, device))
            }
            Targets::Values(all, each) => {
                let values: Vec<f32> =
                    places.iter().flat_map(|place| &all[place * each..(place + 1) * each]).copied().collect();
                Target::Values(Tensor::from_data(TensorData::new(values, [places.len(), *each]), device))
            }
        }
    }
}

impl Features {
    fn batch(&self, places: &[usize], consumed: u64, device: &Device) -> Batch<Table> {
        let rows =
            places.iter().flat_map(|place| &self.numbers[place * self.width..(place + 1) * self.width]);
        let rows: Vec<f32> = rows.copied().collect();
        let count = places.len();
        let numeric = Tensor::from_data(TensorData::new(rows, [count, self.width]), device);
        let categories = Tensor::zeros([count, 0], device);
        Batch {
            input: Table { numeric, categories },
            target: self.targets.at(places, device),
            samples: places.iter().map(|place| self.samples[*place]).collect(),
            consumed,
        }
    }
}

impl Loader<Table> for Features {
    fn len(&self) -> u64 {
        self.samples.len() as u64
    }

    fn portions(
        &self,
        start: Position,
        batch_size: usize,
        share: Share,
        device: &Device,
    ) -> Portions<'_, Table> {
        let len = Loader::len(self);
        let order = match self.seed {
            Some(seed) => Order::shuffled(seed, start.epoch, len),
            None => Order::sequential(len),
        };
        let (device, batch_size) = (device.clone(), batch_size.max(1) as u64);
        let starts = (start.samples.min(len)..len).step_by(batch_size as usize);
        Box::new(starts.map(move |from| -> Result<Portion<Table>, LoadError> {
            let to = (from + batch_size).min(len);
            let places: Vec<usize> = share.of(from..to).map(|position| order.at(position) as usize).collect();
            let consumed = to - from;
            Ok(match places.is_empty() {
                true => Portion::Nothing { consumed },
                false => Portion::Samples(self.batch(&places, consumed, &device)),
            })
        }))
    }

    fn skipped(&self) -> Skipped {
        self.skipped.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(seed: Option<u64>) -> Features {
        Features {
            width: 2,
            numbers: (0..14).map(|number| number as f32).collect(),
            targets: Targets::Classes((0..7).collect()),
            samples: (0..7).map(|number| 10 * number).collect(),
            skipped: Skipped::default(),
            seed,
        }
    }

    /// The numbers, classes and features of an epoch from a position on, in batches of three.
    fn epoch(features: &Features, epoch: u64, samples: u64) -> Vec<(u64, i64, f32)> {
        let device = Device::flex();
        let mut all = Vec::new();
        for batch in features.batches(Position { epoch, samples }, 3, &device) {
            let Batch { input, target, samples, .. } = batch.unwrap();
            let Target::Classes(classes) = target else { unreachable!() };
            let classes: Vec<i64> = classes.into_data().iter().collect();
            let rows: Vec<f32> = input.numeric.into_data().iter().collect();
            let firsts = rows.chunks(2).map(|row| row[0]);
            all.extend(samples.into_iter().zip(classes).zip(firsts).map(|((s, c), f)| (s, c, f)));
        }
        all
    }

    #[test]
    fn an_epoch_has_each_sample_once_in_an_order_of_its_own() {
        let expected: Vec<(u64, i64, f32)> =
            (0..7).map(|number| (10 * number, number as i64, 2.0 * number as f32)).collect();
        assert_eq!(epoch(&features(None), 3, 0), expected);
        let shuffled = features(Some(5));
        let (first, second) = (epoch(&shuffled, 0, 0), epoch(&shuffled, 1, 0));
        assert!(first != second && first != expected);
        for mut order in [first.clone(), second] {
            order.sort_by_key(|sample| sample.0);
            assert_eq!(order, expected);
        }
        // A run goes on within an epoch.
        assert_eq!(epoch(&shuffled, 0, 4), first[4..]);
    }

    #[test]
    fn more_features_than_are_held_are_refused_with_their_size() {
        check_size(1 << 20, 1024).unwrap();
        let error = check_size(1 << 30, 1280).unwrap_err().to_string();
        assert!(error.starts_with("finetune.probe: expected false, as at most"), "{error}");
        assert!(error.contains("1073741824 samples of 1280 features"), "{error}");
    }
}
