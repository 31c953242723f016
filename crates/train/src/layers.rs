//! Fine-tuning: layers that stay as they are, and layers that learn at rates of their own.
//!
//! A pattern names tensors by their paths in the module, `*` standing for anything: `head*`, `stages.0.*`,
//! `*.norm.gamma`; `bonfire models NAME` lists the paths.

use crate::check::{above_zero, check};
use crate::{Parameter, TrainError};
use burn::module::{Flag, Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use glob::Pattern;
use std::collections::BTreeSet;

/// Factors on the learning rate.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRates {
    /// Patterns and their factors; the first that names a tensor counts.
    pub factors: Vec<(String, f64)>,
    /// The factor from one block to the one before it, from the head, which has 1, down to the stem: 0.65 to
    /// 0.9 for fine-tuning (Howard and Ruder, "Universal language model fine-tuning", 2018; Bao et al.,
    /// "BEiT", 2021).
    pub decay: f64,
}

impl Default for LayerRates {
    fn default() -> Self {
        LayerRates { factors: Vec::new(), decay: 1.0 }
    }
}

impl LayerRates {
    /// Refuses factors that no run can have.
    ///
    /// # Errors
    /// Names the recipe's key, its possible values, and the value found.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        above_zero("finetune.layer_decay", Some(self.decay))?;
        check("finetune.layer_decay", "at most 1", self.decay, self.decay <= 1.0)?;
        for (pattern, factor) in &self.factors {
            parsed("finetune.layer_rates", pattern)?;
            let holds = factor.is_finite() && *factor >= 0.0;
            check("finetune.layer_rates", "finite factors from 0 on", factor, holds)?;
        }
        Ok(())
    }

    /// The factor of each parameter.
    ///
    /// # Errors
    /// When a pattern names none.
    pub(crate) fn of(&self, parameters: &[Parameter]) -> Result<Vec<f64>, TrainError> {
        let patterns = self.factors.iter().map(|(pattern, factor)| {
            let parsed = parsed("finetune.layer_rates", pattern)?;
            used(
                "finetune.layer_rates",
                &parsed,
                parameters.iter().map(|parameter| parameter.path.as_str()),
            )?;
            Ok((parsed, *factor))
        });
        let patterns: Vec<(Pattern, f64)> = patterns.collect::<Result<_, TrainError>>()?;
        let mut blocks: Vec<&str> = Vec::new();
        for parameter in parameters {
            let block = block(&parameter.path);
            if !blocks.contains(&block) {
                blocks.push(block);
            }
        }
        Ok(parameters
            .iter()
            .map(|parameter| {
                let found = patterns.iter().find(|(pattern, _)| pattern.matches(&parameter.path));
                let place = blocks.iter().position(|known| *known == block(&parameter.path)).unwrap_or(0);
                let above = (blocks.len() - 1 - place) as i32;
                found.map_or(1.0, |(_, factor)| *factor) * self.decay.powi(above)
            })
            .collect())
    }
}

/// The block that a tensor is in: its path up to the last number (`stages.2.5`), or else its first part
/// (`head`).
fn block(path: &str) -> &str {
    let mut end = path.find('.').unwrap_or(path.len());
    let mut at = 0;
    for part in path.split('.') {
        at += part.len();
        // Numbers deeper than two levels are within a block: the layers of its branch.
        if part.bytes().all(|byte| byte.is_ascii_digit()) && path[..at].matches('.').count() <= 2 {
            end = at;
        }
        at += 1;
    }
    &path[..end]
}

/// The module with the tensors that `patterns` name frozen: they are not trained. A layer whose tensors are all
/// frozen computes as in evaluation: a batch norm by its running statistics, which stay as they are, and
/// nothing is dropped, neither numbers nor whole branches. A graph begins at the first layer that is trained,
/// so that the layers before it keep nothing for a backward pass.
///
/// A dropout that stands between layers, of which some are trained, drops numbers where the layer before or
/// behind it is trained: before a trained head, say, but not between frozen embeddings and frozen blocks.
///
/// # Errors
/// When a pattern cannot be one, or names no tensor.
pub fn freeze<M: Module>(module: M, patterns: &[String]) -> Result<M, TrainError> {
    let key = "finetune.freeze";
    let parameters = crate::parameters(&module);
    let patterns = patterns.iter().map(|pattern| {
        let parsed = parsed(key, pattern)?;
        used(key, &parsed, parameters.iter().map(|parameter| parameter.path.as_str()))?;
        Ok(parsed)
    });
    let patterns = patterns.collect::<Result<Vec<_>, TrainError>>()?;
    let frozen = |path: &str| patterns.iter().any(|pattern| pattern.matches(path));
    let off = switches(&module).off(&frozen);
    Ok(module.map(&mut Freezer { path: Vec::new(), patterns, off }))
}

/// The switches of a module between training and evaluation, among its tensors.
#[derive(Default)]
struct Switches {
    path: Vec<String>,
    /// The path of each tensor but for running statistics, in visiting order.
    tensors: Vec<String>,
    /// The path of each switch, and the number of tensors before it.
    switches: Vec<(String, usize)>,
}

fn switches<M: Module>(module: &M) -> Switches {
    let mut found = Switches::default();
    module.visit(&mut found);
    found
}

impl ModuleVisitor for Switches {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if !crate::parameters::names_statistic(&path) {
            self.tensors.push(path);
        }
    }

    fn visit_flag(&mut self, _flag: &Param<Flag>) {
        self.switches.push((self.path.join("."), self.tensors.len()));
    }
}

impl Switches {
    /// The switches that the layers around them turn off.
    fn off(&self, frozen: &dyn Fn(&str) -> bool) -> BTreeSet<String> {
        let off = self.switches.iter().filter(|(path, place)| self.is_off(path, *place, frozen));
        off.map(|(path, _)| path.clone()).collect()
    }

    /// True where the nearest module around the switch that has tensors trains none of them; of a switch
    /// between layers, where neither neighbour is trained.
    fn is_off(&self, switch: &str, place: usize, frozen: &dyn Fn(&str) -> bool) -> bool {
        let mut around = switch;
        loop {
            around = around.rfind('.').map_or("", |end| &around[..end]);
            let within = |tensor: &str| {
                around.is_empty() || tensor.strip_prefix(around).is_some_and(|rest| rest.starts_with('.'))
            };
            let first = self.tensors.iter().position(|tensor| within(tensor));
            let Some(first) = first else {
                if around.is_empty() {
                    return false;
                }
                continue;
            };
            let count = self.tensors[first..].iter().take_while(|tensor| within(tensor)).count();
            let tensors = &self.tensors[first..first + count];
            if tensors.iter().all(|tensor| frozen(tensor)) {
                return true;
            }
            let (before, behind) = tensors.split_at(place.saturating_sub(first).min(count));
            // A norm's own tensors surround its switch; what ends a block acts on all of it.
            let Some(behind) = behind.first() else { return false };
            return frozen(behind) && before.last().is_none_or(|tensor| frozen(tensor));
        }
    }
}

fn parsed(key: &str, pattern: &str) -> Result<Pattern, TrainError> {
    Pattern::new(pattern).map_err(|error| {
        TrainError::config(key, format!("a pattern ({})", error.msg), format!("'{pattern}'"))
    })
}

fn used<'a>(
    key: &str,
    pattern: &Pattern,
    mut paths: impl Iterator<Item = &'a str>,
) -> Result<(), TrainError> {
    if paths.any(|path| pattern.matches(path)) {
        Ok(())
    } else {
        Err(TrainError::config(key, "patterns that name tensors of the model", format!("'{pattern}'")))
    }
}

struct Freezer {
    path: Vec<String>,
    patterns: Vec<Pattern>,
    /// The paths of the switches to turn off.
    off: BTreeSet<String>,
}

impl ModuleMapper for Freezer {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        let frozen = self.patterns.iter().any(|pattern| pattern.matches(&path));
        if frozen { param.set_require_grad(false) } else { param }
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        if self.off.contains(&self.path.join(".")) { flag.with_value(false) } else { flag }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_checkpoint::Weights;
    use bonfire_contract::{Output, Table, Target, Task};
    use burn::module::ParamId;
    use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{Device, Distribution};

    fn parameter(path: &str) -> Parameter {
        Parameter { path: path.into(), id: ParamId::from(1), shape: vec![2], trained: true }
    }

    #[test]
    fn rates_decay_from_the_head_down_and_patterns_multiply() {
        let paths = ["stem.weight", "stages.0.0.convolutions.1.weight", "stages.0.1.norm.gamma", "head.bias"];
        let parameters = paths.map(parameter);
        assert_eq!(paths.map(block), ["stem", "stages.0.0", "stages.0.1", "head"]);
        assert_eq!(block("blocks.11.mlp.weight"), "blocks.11");
        let plain = LayerRates::default();
        assert_eq!(plain.of(&parameters).unwrap(), [1.0; 4]);
        let decayed = LayerRates { decay: 0.5, ..plain.clone() };
        assert_eq!(decayed.of(&parameters).unwrap(), [0.125, 0.25, 0.5, 1.0]);
        let factors = vec![("head*".to_string(), 10.0), ("*".to_string(), 0.1)];
        let both = LayerRates { factors, decay: 0.5 };
        assert_eq!(both.of(&parameters).unwrap(), [0.0125, 0.025, 0.05, 10.0]);
        let unused = LayerRates { factors: vec![("tail*".into(), 1.0)], decay: 1.0 };
        let error = unused.of(&parameters).unwrap_err().to_string();
        assert!(error.contains("finetune.layer_rates") && error.contains("tail*"), "{error}");
        assert!(LayerRates { decay: 1.5, ..plain.clone() }.check().is_err());
        assert!(LayerRates { factors: vec![("*".into(), -1.0)], decay: 1.0 }.check().is_err());
    }

    #[derive(Module, Debug)]
    struct Net {
        first: Linear,
        head: Linear,
    }

    #[derive(Module, Debug)]
    struct Block {
        linear: Linear,
        norm: BatchNorm,
        dropout: Dropout,
    }

    impl Block {
        fn forward(&self, x: Tensor<2>) -> Tensor<2> {
            self.dropout.forward(self.norm.forward(self.linear.forward(x)))
        }
    }

    /// Dropouts where the models have them: behind an embedding, within blocks, before the head.
    #[derive(Module, Debug)]
    struct Deep {
        stem: Linear,
        embedded: Dropout,
        blocks: Vec<Block>,
        dropout: Dropout,
        head: Linear,
    }

    impl Deep {
        fn new(device: &Device) -> Self {
            device.seed(4);
            let linear = || LinearConfig::new(6, 6).init(device);
            let dropout = || DropoutConfig::new(0.4).init();
            let block = |_| Block {
                linear: linear(),
                norm: BatchNormConfig::new(6).init(device),
                dropout: dropout(),
            };
            Deep {
                stem: linear(),
                embedded: dropout(),
                blocks: (0..2).map(block).collect(),
                dropout: dropout(),
                head: LinearConfig::new(6, 3).init(device),
            }
        }

        fn features(&self, x: Tensor<2>) -> Tensor<2> {
            let x = self.embedded.forward(self.stem.forward(x));
            self.blocks.iter().fold(x, |x, block| block.forward(x))
        }
    }

    impl Task for Deep {
        type Input = Table;

        fn predict(&self, input: Table) -> Output {
            Output::Values(self.head.forward(self.dropout.forward(self.features(input.numeric))))
        }

        fn loss(&self, input: Table, _target: Target) -> Tensor<1> {
            let Output::Values(values) = self.predict(input) else { unreachable!() };
            (values - 1.0).square().mean()
        }
    }

    fn rows(device: &Device, seed: u64) -> Table {
        device.seed(seed);
        let numeric = Tensor::random([16, 6], Distribution::Normal(0.7, 2.0), device);
        Table { numeric, categories: Tensor::zeros([16, 0], device) }
    }

    fn frozen(patterns: &[&str]) -> Deep {
        let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.to_string()).collect();
        freeze(Deep::new(&Device::flex().autodiff()), &patterns).unwrap()
    }

    #[test]
    fn twenty_steps_leave_frozen_tensors_and_running_statistics_to_the_bit() {
        let device = Device::flex().autodiff();
        let mut model = frozen(&["stem*", "blocks*"]);
        let before = Weights::of(&model);
        let mut optimizer = SgdConfig::new().init();
        for step in 0..20 {
            let loss = model.loss(rows(&device, step), Target::Absent);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(0.1, model, gradients);
        }
        let after = Weights::of(&model);
        for (path, tensor) in after.iter() {
            let same = before.get(path) == Some(tensor);
            assert_eq!(same, !path.starts_with("head"), "{path}");
        }
    }

    #[test]
    fn a_frozen_backbone_computes_as_in_evaluation_and_off_the_graph() {
        let (device, plain) = (Device::flex().autodiff(), Device::flex());
        let model = frozen(&["stem*", "blocks*"]);
        let features = model.features(rows(&device, 1).numeric);
        assert!(!features.is_tracked());
        let evaluated = model.valid().features(rows(&plain, 1).numeric);
        features.inner().into_data().assert_eq(&evaluated.clone().into_data(), true);

        // The gradient of the head, whose own dropout is off here, is that of the evaluated backbone.
        let mut model = model;
        model.dropout = DropoutConfig::new(0.0).init();
        let loss = model.loss(rows(&device, 1), Target::Absent);
        let found = model.head.weight.val().grad(&loss.backward()).unwrap();
        let alone = model.head.forward(Tensor::from_inner(evaluated)) - 1.0;
        let expected = model.head.weight.val().grad(&alone.square().mean().backward()).unwrap();
        found.into_data().assert_eq(&expected.into_data(), true);
    }

    #[test]
    fn a_switch_follows_the_layers_around_it() {
        let on = |model: &Deep| {
            let enabled = |dropout: &Dropout| dropout.training.is_enabled();
            let [first, last] = [&model.blocks[0], &model.blocks[1]];
            [
                enabled(&model.embedded),
                first.norm.training.is_enabled(),
                enabled(&first.dropout),
                last.norm.training.is_enabled(),
                enabled(&last.dropout),
                enabled(&model.dropout),
            ]
        };
        assert_eq!(on(&frozen(&[])), [true; 6]);
        assert_eq!(on(&frozen(&["stem*", "blocks.0*"])), [false, false, false, true, true, true]);
        assert_eq!(on(&frozen(&["stem*", "blocks*"])), [false, false, false, false, false, true]);
        assert_eq!(on(&frozen(&["head*"])), [true; 6], "the layer before it is trained");
        assert_eq!(on(&frozen(&["*.gamma"])), [true; 6], "half a norm is no frozen norm");
        assert_eq!(on(&frozen(&["*.linear.*", "*.beta", "*.gamma", "stem*"]))[..5], [false; 5]);
        assert_eq!(on(&frozen(&["*"])), [false; 6]);
        // What was frozen stays so through an evaluation.
        let again = frozen(&["stem*", "blocks*"]).valid().train();
        assert_eq!(on(&again), [false, false, false, false, false, true]);
    }

    #[test]
    fn frozen_tensors_are_not_trained() {
        let device = Device::flex().autodiff();
        let net = || Net {
            first: LinearConfig::new(2, 3).init(&device),
            head: LinearConfig::new(3, 1).init(&device),
        };
        let frozen = freeze(net(), &["first.*".to_string()]).unwrap();
        let trained: Vec<bool> = crate::parameters(&frozen).iter().map(|p| p.trained).collect();
        assert_eq!(trained, [false, false, true, true]);
        let error = freeze(net(), &["nothing*".to_string()]).unwrap_err().to_string();
        assert!(error.contains("finetune.freeze") && error.contains("nothing*"), "{error}");
    }
}
