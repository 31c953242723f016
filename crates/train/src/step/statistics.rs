//! The running statistics of batch norm, which move with the forward passes and not with the update.

use crate::parameters::Parameter;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// The running statistics of a model, by the identities of its parameters.
pub(crate) fn statistics<M: Module>(model: &M, table: &[Parameter]) -> GradientsParams {
    let mut found = GradientsParams::new();
    if table.iter().any(Parameter::is_statistic) {
        // `valid` also takes in the statistics of the last batch, which are pending until then.
        model.valid().visit(&mut Collect { table, found: &mut found });
    }
    found
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

/// A model under training with the running statistics that are among `tensors`, which are taken out.
pub(crate) fn with_statistics<M: Module>(model: M, table: &[Parameter], tensors: &mut GradientsParams) -> M {
    if !table.iter().any(Parameter::is_statistic) {
        return model;
    }
    // The statistics of the last batch are pending, and would come on top.
    drop(model.valid());
    model.map(&mut Assign { table, tensors })
}

struct Assign<'a> {
    table: &'a [Parameter],
    tensors: &'a mut GradientsParams,
}

fn is_statistic(table: &[Parameter], id: ParamId) -> bool {
    table.iter().any(|parameter| parameter.id == id && parameter.is_statistic())
}

impl ModuleMapper for Assign<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !is_statistic(self.table, param.id) {
            return param;
        }
        match self.tensors.remove::<D>(param.id) {
            Some(tensor) => param.map(|_| Tensor::from_inner(tensor)),
            None => param,
        }
    }
}
