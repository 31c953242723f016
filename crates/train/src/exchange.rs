//! The mean of what the ranks of a job computed: gradients, and the running statistics of batch norm.
//!
//! The tensors are packed into buckets in the reverse of the model's order, but for large ones, which are a bucket each:
//! their memory becomes the bucket, and the bucket's the mean's. The buckets are summed over the ranks while the next are
//! packed (Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", 2020). Burn's backward
//! pass hands over all gradients at its end, so that none can be sent before. The mean is over samples: each rank's
//! numbers count as often as it had samples.

use crate::parameters::{Parameter, by_rank};
use crate::ranks::Ranks;
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

/// How often a rank's tensors count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors {
    pub(crate) gradients: f64,
    pub(crate) statistics: f64,
}

/// The tensors that are exchanged, packed.
pub(crate) struct Exchange {
    layout: Vec<Packed>,
    /// One for each of these, and one that says which tensors there are.
    buckets: Vec<Bucket>,
}

/// What a bucket holds.
struct Packed {
    /// Places in the table.
    places: Vec<usize>,
    /// Running statistics, and no gradients.
    statistics: bool,
    /// How many more numbers it takes.
    room: usize,
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
        let wire = |packed: &Packed| if packed.statistics { Wire::F32 } else { wire };
        let bucket = |packed| Bucket { wire: wire(packed), ..Bucket::default() };
        let present = Bucket { factor: 1.0, ..Bucket::default() };
        let buckets = layout.iter().map(bucket).chain([present]).collect();
        Exchange { layout, buckets }
    }

    /// The sums over ranks of each rank's tensors times its factors. A tensor that no rank has is left out.
    pub(crate) fn sum(
        &mut self,
        ranks: &Ranks,
        table: &[Parameter],
        mut tensors: GradientsParams,
        factors: Factors,
        device: &Device,
    ) -> GradientsParams {
        let Exchange { layout, buckets } = self;
        for (packed, bucket) in layout.iter().zip(&mut *buckets) {
            bucket.factor = if packed.statistics { factors.statistics } else { factors.gradients } as f32;
        }
        let mut present = vec![0.0; table.len()];
        ranks.communicator().sum_buckets(buckets, &mut |i, numbers| {
            let Some(packed) = layout.get(i) else {
                numbers.clone_from(&present);
                return;
            };
            numbers.clear();
            for &at in &packed.places {
                let parameter = &table[at];
                let data: Option<TensorData> = by_rank!(parameter.shape.len(), D => {
                    tensors.remove::<D>(parameter.id).map(Tensor::into_data)
                });
                present[at] = f32::from(u8::from(data.is_some()));
                match data {
                    Some(data) if packed.places.len() == 1 => {
                        *numbers = data.try_into_vec().expect("gradients are f32");
                    }
                    Some(data) => numbers.extend(data.as_slice::<f32>().expect("gradients are f32")),
                    None => numbers.resize(numbers.len() + parameter.numbers(), 0.0),
                }
            }
        });
        let (present, buckets) = buckets.split_last_mut().expect("the bucket of those that there are");
        let mut sums = GradientsParams::new();
        for (packed, Bucket { numbers, .. }) in layout.iter().zip(buckets) {
            let mut from = 0;
            for &at in &packed.places {
                let parameter = &table[at];
                let values = match packed.places.len() {
                    1 => std::mem::take(numbers),
                    _ => numbers[from..][..parameter.numbers()].to_vec(),
                };
                from += parameter.numbers();
                if present.numbers[at] > 0.0 {
                    let data = TensorData::new(values, parameter.shape.clone());
                    by_rank!(parameter.shape.len(), D => {
                        sums.register(parameter.id, Tensor::<D>::from_data(data, device));
                    });
                }
            }
        }
        sums
    }
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
            (exchange.layout.into_iter().map(|packed| packed.places).collect::<Vec<_>>(), wires)
        };
        let (places, wires) = buckets(2);
        assert_eq!(places, [vec![6], vec![5, 2, 1], vec![4], vec![3], vec![0]]);
        assert_eq!(wires, [Wire::Bf16, Wire::Bf16, Wire::Bf16, Wire::F32, Wire::Bf16, Wire::F32]);
        // Of many ranks each would have little to add up of a tensor.
        assert_eq!(buckets(64).0, [vec![6], vec![5, 4, 2, 1], vec![3], vec![0]]);
        assert_eq!(buckets(512).0, [vec![6, 5, 4, 2, 1, 0], vec![3]]);
    }
}
