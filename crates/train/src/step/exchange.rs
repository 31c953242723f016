//! The exchange of a step: the ranks' gradients, and the running statistics of batch norm, become their mean
//! on all ranks.
//!
//! ```text
//! backward pass: gradient of the last layer -> its bucket is full -> sent  ┐
//!                gradient of the layer before -> …                         │ each bucket is summed over the
//!                …                                                         │ ranks while the backward pass
//!                gradient of the first layer -> its bucket is full -> sent ┘ goes on
//! then:          sums -> mean gradient, on all ranks the same bits
//! ```
//!
//! Tensors are packed into buckets in the reverse of the model's order, as the backward pass finds them (Li
//! et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", 2020). A large tensor
//! is a bucket of its own: its memory is sent as it is. The mean is over samples: the numbers of a rank count
//! as often as it had samples.
//!
//! Gradients come one by one (see [`Arrivals`]) where the kernels compute in f32 and no block computes twice.
//! Elsewhere Burn hands over all gradients at the end of its backward pass, and nothing overlaps.
//!
//! A gradient that came early may lack a part, as Burn's own ops add to it at the end of the backward pass.
//! The lacking part is then exchanged on its own, and from the next step on such a tensor is sent at the end
//! (`late`).
//!
//! [`Arrivals`]: bonfire_kernels::Arrivals

use super::packing::{BucketContent, Packing};
use crate::parameters::{Parameter, by_dimensions};
use crate::ranks::{Ranks, Report};
use bonfire_cluster::{Bucket, Wire};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

/// The least numbers of a bucket of several tensors: 4 MiB.
const BUCKET: usize = 1 << 20;

/// The least numbers of a tensor that is a bucket of its own: 64 KiB.
const LARGE: usize = 1 << 14;

/// The least numbers of a large tensor for each rank, which adds up its part of a bucket. A message of 16 KiB
/// takes as long to copy as to start.
const PART: usize = 1 << 12;

/// Places among the words that each rank sends before the numbers of its report: how often its gradients
/// count, and how many samples they are of.
const GRADIENTS: usize = 0;
const SAMPLES: usize = 1;
/// The place of a 1 from each rank.
const RANK: usize = 2;

/// The part of one rank in the mean.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contribution {
    /// The factor on its gradients before the sum is divided by the samples of all ranks.
    pub(super) weight: f64,
    /// Its samples of the step.
    pub(super) samples: u64,
    /// Its report, which goes with the gradients.
    pub(super) report: Report,
}

/// The buckets of a model's tensors.
pub(super) struct Exchange {
    contents: Vec<BucketContent>,
    /// For each tensor of the table, the bucket that it is in; none for a tensor that is not exchanged.
    bucket_of: Vec<Option<usize>>,
    /// A bucket for each content, then the bucket of marks: which tensors there are, and which came with a
    /// part lacking.
    buckets: Vec<Bucket>,
    /// For each tensor of the table, whether its early gradient lacks a part.
    late: Vec<bool>,
    wire: Wire,
}

impl Exchange {
    /// The exchange of a table of parameters among so many ranks. Gradients cross the network by `wire`,
    /// running statistics as they are.
    pub(super) fn new(table: &[Parameter], wire: Wire, ranks: usize) -> Self {
        let large = LARGE.max(ranks * PART);
        let full = BUCKET.max(large);
        let mut contents: Vec<BucketContent> = Vec::new();
        for (at, parameter) in table.iter().enumerate().rev() {
            let statistics = is_moving(table, parameter);
            if !parameter.trained && !statistics {
                continue;
            }
            let numbers = parameter.numbers();
            let open = contents
                .iter_mut()
                .rfind(|content| content.statistics == statistics && content.room >= numbers)
                .filter(|_| numbers < large);
            match open {
                Some(content) => {
                    content.tensors.push(at);
                    content.room -= numbers;
                }
                None => {
                    let room = if numbers < large { full - numbers } else { 0 };
                    contents.push(BucketContent { tensors: vec![at], statistics, room });
                }
            }
        }
        let bucket = |content: &BucketContent| {
            let length = content.tensors.iter().map(|&at| table[at].numbers()).sum();
            if content.statistics {
                Bucket { length, times: SAMPLES, over: SAMPLES, ..Bucket::default() }
            } else {
                of_gradients(length, wire)
            }
        };
        let marks = Bucket { length: 2 * table.len(), times: RANK, over: RANK, ..Bucket::default() };
        let buckets = contents.iter().map(bucket).chain([marks]).collect();
        let mut bucket_of = vec![None; table.len()];
        for (i, content) in contents.iter().enumerate() {
            content.tensors.iter().for_each(|&at| bucket_of[at] = Some(i));
        }
        Exchange { contents, bucket_of, buckets, late: vec![false; table.len()], wire }
    }

    /// The mean over the ranks of the tensors that `work` packs on each, and the common report. A tensor that
    /// no rank has is left out; all are where no rank has samples.
    pub(super) fn mean(
        &mut self,
        ranks: &Ranks,
        table: &[Parameter],
        own: Contribution,
        device: &Device,
        work: impl FnOnce(&mut Packing<'_, '_>),
    ) -> (GradientsParams, Report) {
        let mut words = vec![own.weight, own.samples as f64, 1.0];
        let report_at = words.len();
        words.extend(own.report.to_numbers());
        let Exchange { contents, bucket_of, buckets, late, .. } = self;
        let (mut work, mut lacking) = (Some(work), Vec::new());
        let all = ranks.communicator().sum_buckets(&words, buckets, &mut |send| {
            let mut packing = Packing::new(table, contents, bucket_of, late, send);
            if let Some(work) = work.take() {
                work(&mut packing);
            }
            lacking = packing.end();
        });
        let common = Report::common(all.iter().map(|words| &words[report_at..]));
        if all.iter().all(|words| words[SAMPLES] == 0.0) {
            return (GradientsParams::new(), common); // and not zeros
        }
        let (mut mean, completed) = self.unpack(table, device);
        if !completed.is_empty() {
            self.complete(&mut mean, &completed, lacking, &words, ranks, table, device);
        }
        (mean, common)
    }

    /// The tensors that the summed buckets hold, and the places of those that some rank sent with a part
    /// lacking.
    fn unpack(&mut self, table: &[Parameter], device: &Device) -> (GradientsParams, Vec<usize>) {
        let (marks, buckets) = self.buckets.split_last_mut().expect("the bucket of marks");
        let (present, lacking) = marks.sums.split_at(table.len());
        let mut mean = GradientsParams::new();
        for (content, Bucket { sums, .. }) in self.contents.iter().zip(buckets) {
            let mut from = 0;
            for &at in &content.tensors {
                let parameter = &table[at];
                let values = if content.tensors.len() == 1 {
                    std::mem::take(sums)
                } else {
                    sums[from..][..parameter.numbers()].to_vec()
                };
                from += parameter.numbers();
                if present[at] > 0.0 {
                    add(&mut mean, parameter, values, device);
                }
            }
        }
        (mean, (0..table.len()).filter(|&at| lacking[at] > 0.0).collect())
    }

    /// Exchanges the parts that were lacking, and sends these tensors at the end of the backward pass from
    /// now on.
    #[allow(clippy::too_many_arguments)] // one call
    fn complete(
        &mut self,
        mean: &mut GradientsParams,
        completed: &[usize],
        mut lacking: Vec<(usize, Vec<f32>)>,
        words: &[f64],
        ranks: &Ranks,
        table: &[Parameter],
        device: &Device,
    ) {
        let mut parts: Vec<Bucket> =
            completed.iter().map(|&at| of_gradients(table[at].numbers(), self.wire)).collect();
        ranks.communicator().sum_buckets(words, &mut parts, &mut |send| {
            for (i, &at) in completed.iter().enumerate() {
                let part = lacking.iter_mut().find(|(place, _)| *place == at);
                let part = part.map(|(_, values)| std::mem::take(values));
                send(i, part.unwrap_or_else(|| vec![0.0; table[at].numbers()]));
            }
        });
        for (&at, part) in completed.iter().zip(parts) {
            self.late[at] = true;
            add(mean, &table[at], part.sums, device);
        }
    }
}

/// A bucket of gradients, of `length` numbers.
fn of_gradients(length: usize, wire: Wire) -> Bucket {
    Bucket { length, wire, times: GRADIENTS, over: SAMPLES, ..Bucket::default() }
}

/// Adds values to the tensor of a parameter.
fn add(tensors: &mut GradientsParams, parameter: &Parameter, values: Vec<f32>, device: &Device) {
    let data = TensorData::new(values, parameter.shape.clone());
    by_dimensions!(parameter.shape.len(), D => {
        let more = Tensor::<D>::from_data(data, device);
        let sum = match tensors.remove::<D>(parameter.id) {
            Some(so_far) => so_far + more,
            None => more,
        };
        tensors.register(parameter.id, sum);
    });
}

/// True for a running statistic that moves in training: a frozen norm uses its statistics as they are.
fn is_moving(table: &[Parameter], statistic: &Parameter) -> bool {
    let of = |parameter: &Parameter| parameter.path.rsplit_once('.').map(|(norm, _)| norm.to_string());
    statistic.is_statistic()
        && table.iter().any(|parameter| parameter.trained && of(parameter) == of(statistic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::ParamId;

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
            let lengths = |content: &BucketContent| {
                content.tensors.iter().map(|&at| table[at].numbers()).sum::<usize>()
            };
            for (content, bucket) in exchange.contents.iter().zip(&exchange.buckets) {
                assert_eq!(bucket.length, lengths(content));
            }
            (exchange.contents.into_iter().map(|content| content.tensors).collect::<Vec<_>>(), wires)
        };
        let (places, wires) = buckets(2);
        assert_eq!(places, [vec![6], vec![5, 2, 1], vec![4], vec![3], vec![0]]);
        assert_eq!(wires, [Wire::Bf16, Wire::Bf16, Wire::Bf16, Wire::F32, Wire::Bf16, Wire::F32]);
        // Of many ranks each would have little to add up of a tensor.
        assert_eq!(buckets(64).0, [vec![6], vec![5, 4, 2, 1], vec![3], vec![0]]);
        assert_eq!(buckets(512).0, [vec![6, 5, 4, 2, 1, 0], vec![3]]);
    }

    #[test]
    fn a_part_that_an_early_gradient_lacks_is_added_and_waited_for_from_then_on() {
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
            let report = Report { samples: 4, loss: 2.0, ..Report::default() };
            let own = Contribution { weight: 4.0, samples: 8, report };
            let (mean, common) = exchange.mean(&ranks, &table, own, &device, |packing| {
                packing.early(2, filled(2, 1.0));
                packing.early(1, filled(1, 2.0));
                packing.early(0, filled(0, 3.0));
                let mut rest = GradientsParams::new();
                rest.register(table[1].id, Tensor::<1>::from_data(filled(1, 10.0), &device));
                rest.register(table[0].id, Tensor::<1>::from_data(filled(0, 20.0), &device));
                packing.rest(rest);
            });
            assert_eq!(common, report);
            let first =
                |at: usize| mean.get::<1>(table[at].id).map(|tensor| tensor.max().into_scalar::<f32>());
            let found: Vec<Option<f32>> = (0..4).map(first).collect();
            assert_eq!(found, [Some(11.5), Some(6.0), Some(0.5), None], "round {round}");
            assert_eq!(exchange.late, [true, true, false, false]);
        }
    }
}
