//! The mean of what the ranks of a job computed: gradients, and the running statistics of batch norm.
//!
//! The tensors are packed into buckets in the reverse of the model's order, each with a number that says whether there is
//! one, and the buckets are summed over the ranks while the next are packed (Li et al., "PyTorch Distributed: Experiences
//! on Accelerating Data Parallel Training", 2020). Burn's backward pass hands over all gradients at its end, so that none
//! can be sent before. The mean is over samples: each rank's numbers count as often as it had samples.

use crate::parameters::{Parameter, by_rank};
use crate::ranks::Ranks;
use bonfire_cluster::Wire;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

/// Numbers of a bucket, but for a single larger tensor: 4 MiB.
const BUCKET: usize = 1 << 20;

/// The tensors of one kind that are exchanged, packed.
pub(crate) struct Exchange {
    wire: Wire,
    /// Of each bucket: places in the table.
    layout: Vec<Vec<usize>>,
    buckets: Vec<Vec<f32>>,
}

impl Exchange {
    /// What a job exchanges of a table, each part as it crosses the network: gradients as they are asked to, running
    /// statistics always as they are, by themselves where the two differ.
    pub(crate) fn all(table: &[Parameter], wire: Wire) -> Vec<Self> {
        let of = |wire, wanted: &dyn Fn(&Parameter) -> bool| Exchange::new(table, wire, wanted);
        let trained = |parameter: &Parameter| parameter.trained;
        let moving = |parameter: &Parameter| is_moving(table, parameter);
        match wire {
            Wire::F32 => vec![of(wire, &|parameter| trained(parameter) || moving(parameter))],
            Wire::Bf16 => vec![of(wire, &trained), of(Wire::F32, &moving)],
        }
    }

    fn new(table: &[Parameter], wire: Wire, wanted: &dyn Fn(&Parameter) -> bool) -> Self {
        let mut layout: Vec<Vec<usize>> = Vec::new();
        let mut room = 0;
        for at in (0..table.len()).rev().filter(|&at| wanted(&table[at])) {
            let numbers = table[at].numbers() + 1;
            match layout.last_mut().filter(|_| numbers <= room) {
                Some(bucket) => {
                    bucket.push(at);
                    room -= numbers;
                }
                None => {
                    layout.push(vec![at]);
                    room = BUCKET.saturating_sub(numbers);
                }
            }
        }
        let buckets = layout
            .iter()
            .map(|bucket| vec![0.0; bucket.iter().map(|&at| table[at].numbers() + 1).sum()])
            .collect();
        Exchange { wire, layout, buckets }
    }

    /// Puts into `sums` those over ranks of each rank's tensors times its `factor` for them. A tensor that no rank has is
    /// left out.
    pub(crate) fn sum(
        &mut self,
        ranks: &Ranks,
        table: &[Parameter],
        tensors: &mut GradientsParams,
        factor: impl Fn(&Parameter) -> f64,
        device: &Device,
        sums: &mut GradientsParams,
    ) {
        let Exchange { wire, layout, buckets } = self;
        ranks.communicator().sum_buckets(buckets, *wire, &mut |i, bucket| {
            let mut rest = bucket;
            for parameter in layout[i].iter().map(|&at| &table[at]) {
                let (numbers, after) = rest.split_at_mut(parameter.numbers());
                let (present, after) = after.split_first_mut().expect("a number after each tensor");
                rest = after;
                let data: Option<TensorData> = by_rank!(parameter.shape.len(), D => {
                    tensors.remove::<D>(parameter.id).map(Tensor::into_data)
                });
                let factor = factor(parameter) as f32;
                *present = f32::from(u8::from(data.is_some()));
                match &data {
                    Some(data) => {
                        let found = data.as_slice::<f32>().expect("gradients are f32");
                        for (to, from) in numbers.iter_mut().zip(found) {
                            *to = from * factor;
                        }
                    }
                    None => numbers.fill(0.0),
                }
            }
        });
        for (places, bucket) in layout.iter().zip(buckets) {
            let mut rest = bucket.as_slice();
            for parameter in places.iter().map(|&at| &table[at]) {
                let (numbers, after) = rest.split_at(parameter.numbers());
                rest = &after[1..];
                if after[0] > 0.0 {
                    let data = TensorData::new(numbers.to_vec(), parameter.shape.clone());
                    by_rank!(parameter.shape.len(), D => {
                        sums.register(parameter.id, Tensor::<D>::from_data(data, device));
                    });
                }
            }
        }
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
