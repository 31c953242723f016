//! Fine-tuning: layers that stay as they are, and layers that learn at rates of their own.
//!
//! A pattern names tensors by their paths in the module, `*` standing for anything: `head*`, `stages.0.*`,
//! `*.norm.gamma`; `bonfire models NAME` lists the paths.

use crate::check::{above_zero, check};
use crate::{Parameter, TrainError};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use glob::Pattern;

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

/// The module with the tensors that `patterns` name frozen: they are not trained. Running statistics of a
/// frozen norm still follow the data.
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
    Ok(module.map(&mut Freezer { path: Vec::new(), patterns }))
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::ParamId;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::Device;

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
