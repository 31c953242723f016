//! Optimizers by recipe: their names, and which parameters get weight decay. Burn's, or those of `bonfire-kernels` that
//! do the same in one pass and read the same records.

use crate::TrainError;
use crate::config::{above_zero, check};
use crate::parameters::Parameter;
use bonfire_kernels::optimizer as fused;
use burn::module::{ParamGroup, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{self as burns, AdjustLrFn, LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

mod options;
pub use options::{Adafactor, Adagrad, Adam, AdamW, Adan, Lamb, Lion, Muon, RmsProp, Sgd};

/// The recipe's section `[optimizer]`. `learning_rate` is the schedule's peak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum OptimizerConfig {
    /// Gradient descent, with momentum (Sutskever et al. 2013) where asked for.
    Sgd(Sgd),
    /// Adam (Kingma and Ba 2014); weight decay is added to the gradient.
    Adam(Adam),
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2017).
    #[serde(rename = "adamw")]
    AdamW(AdamW),
    /// Sign of an interpolated momentum (Chen et al. 2023).
    Lion(Lion),
    /// Adam with layer-wise trust ratios (You et al. 2019).
    Lamb(Lamb),
    /// Adam with factored second moments (Shazeer and Stern 2018).
    Adafactor(Adafactor),
    /// Orthogonalised momentum for matrices (Jordan 2024), by their paths; AdamW for the rest.
    Muon(Muon),
    /// Per-element rates from summed squares (Duchi et al. 2011).
    Adagrad(Adagrad),
    /// Per-element rates from averaged squares (Hinton 2012).
    #[serde(rename = "rmsprop")]
    RmsProp(RmsProp),
    /// Adam with Nesterov momentum of gradient differences (Xie et al. 2022).
    Adan(Adan),
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig::AdamW(AdamW::default())
    }
}

impl OptimizerConfig {
    /// The names a recipe may write.
    pub const NAMES: [&str; 10] =
        ["sgd", "adam", "adamw", "lion", "lamb", "adafactor", "muon", "adagrad", "rmsprop", "adan"];

    /// The optimizer of this name with its default options.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sgd" => OptimizerConfig::Sgd(Sgd::default()),
            "adam" => OptimizerConfig::Adam(Adam::default()),
            "adamw" => OptimizerConfig::AdamW(AdamW::default()),
            "lion" => OptimizerConfig::Lion(Lion::default()),
            "lamb" => OptimizerConfig::Lamb(Lamb::default()),
            "adafactor" => OptimizerConfig::Adafactor(Adafactor::default()),
            "muon" => OptimizerConfig::Muon(Muon::default()),
            "adagrad" => OptimizerConfig::Adagrad(Adagrad::default()),
            "rmsprop" => OptimizerConfig::RmsProp(RmsProp::default()),
            "adan" => OptimizerConfig::Adan(Adan::default()),
            _ => return None,
        })
    }

    /// The peak learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.rate_and_decay().0
    }

    fn rate_and_decay(&self) -> (f64, f64) {
        match self {
            OptimizerConfig::Sgd(o) => (o.learning_rate, o.weight_decay),
            OptimizerConfig::Adam(o) => (o.learning_rate, o.weight_decay),
            OptimizerConfig::AdamW(o) => (o.learning_rate, o.weight_decay),
            OptimizerConfig::Lion(o) => (o.learning_rate, o.weight_decay),
            OptimizerConfig::Lamb(o) => (o.learning_rate, o.weight_decay),
            OptimizerConfig::Adafactor(o) => (o.learning_rate, o.weight_decay),
            OptimizerConfig::Muon(o) => (o.learning_rate, o.weight_decay),
            OptimizerConfig::Adagrad(o) => (o.learning_rate, o.weight_decay),
            OptimizerConfig::RmsProp(o) => (o.learning_rate, o.weight_decay),
            OptimizerConfig::Adan(o) => (o.learning_rate, o.weight_decay),
        }
    }

    /// Refuses options that no optimizer can have.
    ///
    /// # Errors
    /// Names the recipe's key, what it may be, and what it was.
    pub fn check(&self) -> Result<(), TrainError> {
        let (rate, decay) = self.rate_and_decay();
        above_zero("optimizer.learning_rate", Some(rate))?;
        let holds = decay.is_finite() && decay >= 0.0;
        check("optimizer.weight_decay", "a finite number from 0 on", decay, holds)?;
        let fraction = |key: &str, value: f64| {
            let holds = (0.0..1.0).contains(&value);
            check(&format!("optimizer.{key}"), "a number from 0 to below 1", value, holds)
        };
        let epsilon = |value: f64| above_zero("optimizer.epsilon", Some(value));
        let betas = |beta_1: f64, beta_2: f64| {
            fraction("beta_1", beta_1)?;
            fraction("beta_2", beta_2)
        };
        match self {
            OptimizerConfig::Sgd(o) => {
                fraction("momentum", o.momentum)?;
                fraction("dampening", o.dampening)?;
                let held = !o.nesterov || o.momentum > 0.0;
                check("optimizer.nesterov", "false where momentum is 0", o.nesterov, held)
            }
            OptimizerConfig::Adam(o) => betas(o.beta_1, o.beta_2).and_then(|()| epsilon(o.epsilon)),
            OptimizerConfig::AdamW(o) => betas(o.beta_1, o.beta_2).and_then(|()| epsilon(o.epsilon)),
            OptimizerConfig::Lion(o) => betas(o.beta_1, o.beta_2),
            OptimizerConfig::Lamb(o) => betas(o.beta_1, o.beta_2).and_then(|()| epsilon(o.epsilon)),
            OptimizerConfig::Adafactor(o) => {
                above_zero("optimizer.clip_threshold", Some(o.clip_threshold))?;
                let holds = o.decay_rate.is_finite() && o.decay_rate < 0.0;
                check("optimizer.decay_rate", "a finite number below 0", o.decay_rate, holds)
            }
            OptimizerConfig::Muon(o) => {
                fraction("momentum", o.momentum)?;
                betas(o.beta_1, o.beta_2).and_then(|()| epsilon(o.epsilon))
            }
            OptimizerConfig::Adagrad(o) => {
                let (key, value) = ("optimizer.learning_rate_decay", o.learning_rate_decay);
                check(key, "a finite number from 0 on", value, value.is_finite() && value >= 0.0)?;
                epsilon(o.epsilon)
            }
            OptimizerConfig::RmsProp(o) => {
                fraction("alpha", o.alpha)?;
                fraction("momentum", o.momentum)?;
                epsilon(o.epsilon)
            }
            OptimizerConfig::Adan(o) => {
                betas(o.beta_1, o.beta_2)?;
                fraction("beta_3", o.beta_3)?;
                epsilon(o.epsilon)
            }
        }
    }

    /// The optimizer for these parameters, each with the factor of `rates` on its learning rate; those of one
    /// dimension get weight decay only where `decay_all` says so.
    pub(crate) fn build(&self, parameters: &[Parameter], rates: &[f64], decay_all: bool) -> ModuleOptimizer {
        let decay = self.rate_and_decay().1;
        let parameters: Vec<(&Parameter, f64)> = parameters.iter().zip(rates.iter().copied()).collect();
        let parameters = parameters.as_slice();
        // Every optimizer is built twice, with its decay and without; groups choose between them.
        match self {
            OptimizerConfig::Sgd(o) => {
                let momentum = (o.momentum > 0.0).then_some(MomentumConfig {
                    momentum: o.momentum,
                    dampening: o.dampening,
                    nesterov: o.nesterov,
                });
                let sgd = |decay| fused::Sgd::new(momentum.clone(), factor(decay));
                grouped(sgd, decay, parameters, decay_all)
            }
            OptimizerConfig::Adam(o) => {
                let moments = moments(o.beta_1, o.beta_2, o.epsilon);
                let adam = |decay| fused::Adam::new(moments, factor(decay), o.amsgrad);
                grouped(adam, decay, parameters, decay_all)
            }
            OptimizerConfig::AdamW(o) => {
                let moments = moments(o.beta_1, o.beta_2, o.epsilon);
                let adamw = |decay| fused::AdamW::new(moments, decay as f32, o.amsgrad);
                grouped(adamw, decay, parameters, decay_all)
            }
            OptimizerConfig::Lion(o) => {
                let config =
                    burns::LionConfig::new().with_beta_1(o.beta_1 as f32).with_beta_2(o.beta_2 as f32);
                let lion = |decay| config.clone().with_weight_decay(decay as f32).build();
                grouped(lion, decay, parameters, decay_all)
            }
            OptimizerConfig::Lamb(o) => {
                let moments = moments(o.beta_1, o.beta_2, o.epsilon);
                let lamb = |decay| fused::Lamb::new(moments, decay as f32);
                grouped(lamb, decay, parameters, decay_all)
            }
            OptimizerConfig::Adafactor(o) => {
                let config = burns::AdafactorConfig::new()
                    .with_clip_threshold(o.clip_threshold as f32)
                    .with_decay_rate(o.decay_rate)
                    .with_relative_step(o.relative_step)
                    .with_scale_parameter(o.scale_parameter);
                let adafactor = |decay| config.clone().with_weight_decay(decay as f32).build();
                grouped(adafactor, decay, parameters, decay_all)
            }
            OptimizerConfig::Muon(o) => {
                let moments = moments(o.beta_1, o.beta_2, o.epsilon);
                let rest = |decay| fused::AdamW::new(moments, decay as f32, false);
                let momentum = MomentumConfig { momentum: o.momentum, dampening: 0.0, nesterov: o.nesterov };
                let muon = burns::MuonConfig::new()
                    .with_momentum(momentum)
                    .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
                    .with_weight_decay(penalty(decay))
                    .build();
                let (matrices, others): (Vec<_>, Vec<_>) =
                    parameters.iter().partition(|(parameter, _)| orthogonalised(parameter));
                let optimizer = grouped(rest, decay, &others, decay_all);
                by_rate(&matrices).into_iter().fold(optimizer, |optimizer, (factor, ids)| {
                    let inner = muon.clone();
                    optimizer.with_group(ids, Scaled { inner, factor }, None)
                })
            }
            OptimizerConfig::Adagrad(o) => {
                let config = burns::AdaGradConfig::new()
                    .with_lr_decay(o.learning_rate_decay)
                    .with_epsilon(o.epsilon as f32);
                let adagrad = |decay| config.clone().with_weight_decay(penalty(decay)).build();
                grouped(adagrad, decay, parameters, decay_all)
            }
            OptimizerConfig::RmsProp(o) => {
                let config = burns::RmsPropConfig::new()
                    .with_alpha(o.alpha as f32)
                    .with_momentum(o.momentum as f32)
                    .with_epsilon(o.epsilon as f32)
                    .with_centered(o.centered);
                let rmsprop = |decay| config.clone().with_weight_decay(penalty(decay)).build();
                grouped(rmsprop, decay, parameters, decay_all)
            }
            OptimizerConfig::Adan(o) => {
                let config = burns::AdanConfig::new()
                    .with_beta_1(o.beta_1 as f32)
                    .with_beta_2(o.beta_2 as f32)
                    .with_beta_3(o.beta_3 as f32)
                    .with_epsilon(o.epsilon as f32);
                let adan = |decay| config.clone().with_weight_decay(decay as f32).build();
                grouped(adan, decay, parameters, decay_all)
            }
        }
    }
}

fn moments(beta_1: f64, beta_2: f64, epsilon: f64) -> fused::Moments {
    fused::Moments { beta_1: beta_1 as f32, beta_2: beta_2 as f32, epsilon: epsilon as f32 }
}

/// Whether Muon takes a parameter: a matrix that is, by its path, neither a table of look-ups nor a
/// last layer.
fn orthogonalised(parameter: &Parameter) -> bool {
    const LEFT_TO_ADAMW: [&str; 5] = ["embed", "position", "token", "head", "output"];
    parameter.shape.len() == 2 && !LEFT_TO_ADAMW.iter().any(|word| parameter.path.contains(word))
}

fn factor(decay: f64) -> Option<f32> {
    (decay > 0.0).then_some(decay as f32)
}

fn penalty(decay: f64) -> Option<WeightDecayConfig> {
    factor(decay).map(WeightDecayConfig::new)
}

/// The optimizer with decay for everything, then without it for parameters of one dimension; and at rates of their own
/// for those that have one.
fn grouped<O: Optimizer>(
    make: impl Fn(f64) -> O,
    decay: f64,
    parameters: &[(&Parameter, f64)],
    decay_all: bool,
) -> ModuleOptimizer {
    let mut optimizer = ModuleOptimizer::from(make(decay));
    let (decayed, plain): (Vec<_>, Vec<_>) =
        parameters.iter().partition(|(parameter, _)| decay == 0.0 || decay_all || parameter.shape.len() >= 2);
    for (members, own) in [(decayed, decay), (plain, 0.0)] {
        for (factor, ids) in by_rate(&members) {
            optimizer = match factor == 1.0 {
                true if own == decay => optimizer,
                true => optimizer.with_group(ids, make(own), None),
                false => optimizer.with_group(ids, Scaled { inner: make(own), factor }, None),
            };
        }
    }
    optimizer
}

/// The different factors, and the parameters of each.
fn by_rate(parameters: &[(&Parameter, f64)]) -> Vec<(f64, ParamGroup)> {
    let mut groups: Vec<(f64, Vec<ParamId>)> = Vec::new();
    for (parameter, factor) in parameters {
        match groups.iter_mut().find(|(known, _)| known == factor) {
            Some((_, ids)) => ids.push(parameter.id),
            None => groups.push((*factor, vec![parameter.id])),
        }
    }
    groups.into_iter().map(|(factor, ids)| (factor, ParamGroup::from_ids(ids))).collect()
}

/// An optimizer at a multiple of the learning rate.
#[derive(Clone)]
struct Scaled<O> {
    inner: O,
    factor: f64,
}

impl<O: Optimizer> Optimizer for Scaled<O> {
    type State<const D: usize> = O::State<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        self.inner.step(lr * self.factor, tensor, grad, state)
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        O::to_device(state, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn muon_takes_matrices_by_their_path() {
        let taken = |path: &str, shape: &[usize]| {
            let (path, shape) = (path.to_string(), shape.to_vec());
            orthogonalised(&Parameter { path, id: ParamId::from(1), shape, trained: true })
        };
        assert!(taken("blocks.0.attention.query.weight", &[8, 8]));
        assert!(!taken("blocks.0.attention.query.bias", &[8]));
        assert!(!taken("stem.weight", &[8, 3, 3, 3]));
        for left in ["embedding.weight", "position.weight", "class_token", "head.weight", "output.weight"] {
            assert!(!taken(left, &[8, 8]), "{left}");
        }
    }

    #[test]
    fn names_are_what_recipes_write() {
        for name in OptimizerConfig::NAMES {
            let optimizer = OptimizerConfig::named(name).unwrap();
            optimizer.check().unwrap();
            let parsed: OptimizerConfig = toml::from_str(&format!("name = {name:?}")).unwrap();
            assert_eq!(parsed, optimizer);
            assert_eq!(serde_json::to_value(&optimizer).unwrap()["name"], name);
            let unknown = format!("name = {name:?}\nlearning_rat = 1.0");
            let error = toml::from_str::<OptimizerConfig>(&unknown).unwrap_err().to_string();
            assert!(error.contains("learning_rat"), "{error}");
        }
        assert_eq!(OptimizerConfig::named("adamax"), None);
    }

    #[test]
    fn impossible_options_name_their_key() {
        let wrong = [
            ("optimizer.learning_rate", "name = \"adamw\"\nlearning_rate = 0.0"),
            ("optimizer.weight_decay", "name = \"sgd\"\nweight_decay = -1.0"),
            ("optimizer.nesterov", "name = \"sgd\"\nnesterov = true"),
            ("optimizer.beta_2", "name = \"lion\"\nbeta_2 = 1.0"),
            ("optimizer.epsilon", "name = \"adan\"\nepsilon = nan"),
            ("optimizer.decay_rate", "name = \"adafactor\"\ndecay_rate = 0.5"),
        ];
        for (key, text) in wrong {
            let error = toml::from_str::<OptimizerConfig>(text).unwrap().check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key}: expected ")), "{error}");
        }
    }
}
