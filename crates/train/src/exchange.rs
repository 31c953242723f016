//! The mean of what the ranks of a job computed: gradients, and the running statistics of batch norm.
//!
//! ```text
//! backward pass -> a gradient -> its bucket, when whole -> the other ranks' part of it -> sums -> mean gradient
//!                     (the next gradients are computed meanwhile)
//! ```
//!
//! The tensors are packed into buckets in the reverse of the model's order, but for large ones, which are a bucket each:
//! their memory is what is sent. Where the kernels compute, gradients come one by one (see [`Arrivals`]), and buckets are on
//! their way while the backward pass goes on (Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel
//! Training", 2020); elsewhere, in bf16 and where blocks run again, Burn hands over all gradients at the end of its backward pass. The mean is over samples: each rank's
//! numbers count as often as it had samples.
//!
//! [`Arrivals`]: bonfire_kernels::Arrivals

use crate::packing::{Packed, Packing};
use crate::parameters::{Parameter, by_rank};
use crate::ranks::{Ranks, Word};
use bonfire_cluster::{Bucket, Wire};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

/// Numbers of a bucket of several tensors, at least: 4 MiB.
const BUCKET: usize = 1 << 20;

/// Numbers from which on a tensor may be a bucket: 64 KiB.
const LARGE: usize = 1 << 14;

/// Numbers that each rank has to add up of a bucket, at least: a message of 16 KiB, whose copy takes as long as its start.
const PART: usize = 1 << 12;

/// The places of what a rank says of its tensors, before its [`Word`]: how often its gradients count, and how many samples
/// they are of.
const GRADIENTS: usize = 0;
const SAMPLES: usize = 1;
/// One for each rank.
const RANK: usize = 2;

/// What a rank's tensors are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Brought {
    /// How often its gradients count before they are divided by the samples of all ranks.
    pub(crate) weight: f64,
    /// Samples of the step.
    pub(crate) samples: u64,
    pub(crate) word: Word,
}

/// The tensors that are exchanged, packed.
pub(crate) struct Exchange {
    layout: Vec<Packed>,
    /// For each tensor of the table, its place in the layout.
    packed_in: Vec<Option<usize>>,
    /// One for each of these, and one that says which tensors there are.
    buckets: Vec<Bucket>,
    /// For each tensor of the table, whether what is handed over early is not all of its gradient.
    late: Vec<bool>,
    wire: Wire,
}

impl Exchange {
    /// What a job of so many ranks exchanges of a table: gradients as they are asked to cross the network, running
    /// statistics as they are.
    pub(crate) fn new(table: &[Parameter], wire: Wire, ranks: usize) -> Self {
        let large = LARGE.max(ranks * PART);
        let full = BUCKET.max(large);
        let mut layout: Vec<Packed> = Vec::new();
        for (at, parameter) in table.iter().enumerate().rev() {
            let statistics = is_moving(table, parameter);
            if !parameter.trained && !statistics {
                continue;
            }
            let numbers = parameter.numbers();
            let open = layout
                .iter_mut()
                .rfind(|packed| packed.statistics == statistics && packed.room >= numbers)
                .filter(|_| numbers < large);
            match open {
                Some(packed) => {
                    packed.places.push(at);
                    packed.room -= numbers;
                }
                None => {
                    let room = if numbers < large { full - numbers } else { 0 };
                    layout.push(Packed { places: vec![at], statistics, room });
                }
            }
        }
        let bucket = |packed: &Packed| {
            let length = packed.places.iter().map(|&at| table[at].numbers()).sum();
            match packed.statistics {
                true => Bucket { length, times: SAMPLES, over: SAMPLES, ..Bucket::default() },
                false => of_gradients(length, wire),
            }
        };
        let marks = Bucket { length: 2 * table.len(), times: RANK, over: RANK, ..Bucket::default() };
        let buckets = layout.iter().map(bucket).chain([marks]).collect();
        let mut packed_in = vec![None; table.len()];
        for (i, packed) in layout.iter().enumerate() {
            packed.places.iter().for_each(|&at| packed_in[at] = Some(i));
        }
        Exchange { layout, packed_in, buckets, late: vec![false; table.len()], wire }
    }

    /// The mean over ranks of what `work` packs on each, and what they say together. A tensor that no rank has is left
    /// out, and so are all where no rank has samples.
    pub(crate) fn mean(
        &mut self,
        ranks: &Ranks,
        table: &[Parameter],
        brought: Brought,
        device: &Device,
        work: impl FnOnce(&mut Packing<'_, '_>),
    ) -> (GradientsParams, Word) {
        let Exchange { layout, packed_in, buckets, late, wire } = self;
        let mut words = vec![brought.weight, brought.samples as f64, 1.0];
        let of_word = words.len();
        words.extend(brought.word.numbers());
        let (mut work, mut missed) = (Some(work), Vec::new());
        let all = ranks.communicator().sum_buckets(&words, buckets, &mut |send| {
            let mut packing = Packing::new(table, layout, packed_in, late, send);
            if let Some(work) = work.take() {
                work(&mut packing);
            }
            missed = packing.end();
        });
        let word = Word::of_all(all.iter().map(|words| &words[of_word..]));
        if all.iter().all(|words| words[SAMPLES] == 0.0) {
            return (GradientsParams::new(), word); // and not zeros
        }
        let (marks, sums) = buckets.split_last_mut().expect("the bucket of marks");
        let (present, completed) = marks.sums.split_at(table.len());
        let mut mean = GradientsParams::new();
        for (packed, Bucket { sums, .. }) in layout.iter().zip(sums) {
            let mut from = 0;
            for &at in &packed.places {
                let parameter = &table[at];
                let values = match packed.places.len() {
                    1 => std::mem::take(sums),
                    _ => sums[from..][..parameter.numbers()].to_vec(),
                };
                from += parameter.numbers();
                if present[at] > 0.0 {
                    add(&mut mean, parameter, values, device);
                }
            }
        }
        // What Burn found beside what was sent early goes after it, and waits for its end from now on.
        let completed: Vec<usize> = (0..table.len()).filter(|&at| completed[at] > 0.0).collect();
        if !completed.is_empty() {
            let mut more: Vec<Bucket> =
                completed.iter().map(|&at| of_gradients(table[at].numbers(), *wire)).collect();
            ranks.communicator().sum_buckets(&words, &mut more, &mut |send| {
                for (i, &at) in completed.iter().enumerate() {
                    let found = missed.iter_mut().find(|(place, _)| *place == at);
                    let found = found.map(|(_, values)| std::mem::take(values));
                    send(i, found.unwrap_or_else(|| vec![0.0; table[at].numbers()]));
                }
            });
            for (at, bucket) in completed.into_iter().zip(more) {
                late[at] = true;
                add(&mut mean, &table[at], bucket.sums, device);
            }
        }
        (mean, word)
    }
}

/// A bucket of so many numbers of gradients.
fn of_gradients(length: usize, wire: Wire) -> Bucket {
    Bucket { length, wire, times: GRADIENTS, over: SAMPLES, ..Bucket::default() }
}

/// Adds values to a tensor.
fn add(tensors: &mut GradientsParams, parameter: &Parameter, values: Vec<f32>, device: &Device) {
    let data = TensorData::new(values, parameter.shape.clone());
    by_rank!(parameter.shape.len(), D => {
        let more = Tensor::<D>::from_data(data, device);
        let sum = match tensors.remove::<D>(parameter.id) {
            Some(so_far) => so_far + more,
            None => more,
        };
        tensors.register(parameter.id, sum);
    });
}

/// Whether a running statistic moves in training: that of a frozen norm is used as it is.
fn is_moving(table: &[Parameter], statistic: &Parameter) -> bool {
    let of = |parameter: &Parameter| parameter.path.rsplit_once('.').map(|(norm, _)| norm.to_string());
    statistic.is_statistic()
        && table.iter().any(|parameter| parameter.trained && of(parameter) == of(statistic))
}

/// Puts the running statistics of a model beside its gradients.
pub(crate) fn add_statistics<M: Module>(model: &M, table: &[Parameter], gradients: &mut GradientsParams) {
    if !table.iter().any(Parameter::is_statistic) {
        return;
    }
    // Which also takes in the last batch's.
    model.valid().visit(&mut Collect { table, found: gradients });
}

struct Collect<'a> {
    table: &'a [Parameter],
    found: &'a mut GradientsParams,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if is_statistic(self.table, param.id) {
            self.found.register(param.id, param.val());
        }
    }
}

/// A model under training with the running statistics among its gradients, which are taken out.
pub(crate) fn take_statistics<M: Module>(
    model: M,
    table: &[Parameter],
    gradients: &mut GradientsParams,
) -> M {
    match table.iter().any(Parameter::is_statistic) {
        true => {
            // What the last batch left pending would come on top.
            drop(model.valid());
            model.map(&mut Assign { table, gradients })
        }
        false => model,
    }
}

struct Assign<'a> {
    table: &'a [Parameter],
    gradients: &'a mut GradientsParams,
}

fn is_statistic(table: &[Parameter], id: ParamId) -> bool {
    table.iter().any(|parameter| parameter.id == id && parameter.is_statistic())
}

impl ModuleMapper for Assign<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !is_statistic(self.table, param.id) {
            return param;
        }
        match self.gradients.remove::<D>(param.id) {
            Some(tensor) => param.map(|_| Tensor::from_inner(tensor)),
            None => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tensors_are_buckets_and_small_ones_share_them() {
        let parameter = |path: &str, numbers: usize, trained| Parameter {
            path: path.into(),
            id: ParamId::from(numbers as u64),
            shape: vec![numbers],
            trained,
        };
        let table = [
            parameter("first.weight", 1 << 20, true),
            parameter("first.bias", 10, true),
            parameter("norm.gamma", 20, true),
            parameter("norm.running_mean", 20, false),
            parameter("second.weight", 1 << 14, true),
            parameter("second.bias", 30, true),
            parameter("third.weight", 1 << 19, true),
            parameter("frozen.running_var", 5, false),
        ];
        let buckets = |ranks| {
            let exchange = Exchange::new(&table, Wire::Bf16, ranks);
            let wires: Vec<Wire> = exchange.buckets.iter().map(|bucket| bucket.wire).collect();
            let lengths =
                |packed: &Packed| packed.places.iter().map(|&at| table[at].numbers()).sum::<usize>();
            for (packed, bucket) in exchange.layout.iter().zip(&exchange.buckets) {
                assert_eq!(bucket.length, lengths(packed));
            }
            (exchange.layout.into_iter().map(|packed| packed.places).collect::<Vec<_>>(), wires)
        };
        let (places, wires) = buckets(2);
        assert_eq!(places, [vec![6], vec![5, 2, 1], vec![4], vec![3], vec![0]]);
        assert_eq!(wires, [Wire::Bf16, Wire::Bf16, Wire::Bf16, Wire::F32, Wire::Bf16, Wire::F32]);
        // Of many ranks each would have little to add up of a tensor.
        assert_eq!(buckets(64).0, [vec![6], vec![5, 4, 2, 1], vec![3], vec![0]]);
        assert_eq!(buckets(512).0, [vec![6, 5, 4, 2, 1, 0], vec![3]]);
    }

    #[test]
    fn what_burn_adds_to_an_early_gradient_is_made_up_for_and_waited_for_from_then_on() {
        let parameter = |id: u64, numbers: usize| Parameter {
            path: id.to_string(),
            id: ParamId::from(id),
            shape: vec![numbers],
            trained: true,
        };
        let table = [parameter(1, 2), parameter(2, 1 << 14), parameter(3, 1), parameter(4, 1)];
        let ranks = Ranks::new(std::sync::Arc::new(bonfire_cluster::Alone), Wire::F32);
        let mut exchange = Exchange::new(&table, Wire::F32, 1);
        let device = Device::flex();
        let filled = |at: usize, value: f32| TensorData::full([table[at].numbers()], value);
        for round in 0..2 {
            let word = Word { samples: 4, loss: 2.0, ..Word::default() };
            let brought = Brought { weight: 4.0, samples: 8, word };
            let (mean, said) = exchange.mean(&ranks, &table, brought, &device, |packing| {
                packing.early(2, filled(2, 1.0));
                packing.early(1, filled(1, 2.0));
                packing.early(0, filled(0, 3.0));
                let mut rest = GradientsParams::new();
                rest.register(table[1].id, Tensor::<1>::from_data(filled(1, 10.0), &device));
                rest.register(table[0].id, Tensor::<1>::from_data(filled(0, 20.0), &device));
                packing.rest(rest);
            });
            assert_eq!(said, word);
            let first =
                |at: usize| mean.get::<1>(table[at].id).map(|tensor| tensor.max().into_scalar::<f32>());
            let found: Vec<Option<f32>> = (0..4).map(first).collect();
            assert_eq!(found, [Some(11.5), Some(6.0), Some(0.5), None], "round {round}");
            assert_eq!(exchange.late, [true, true, false, false]);
        }
    }
}
