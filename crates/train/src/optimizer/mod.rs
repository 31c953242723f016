//! The optimizers: one file each, with its options, their check, and how it is built.
//!
//! The update itself is Burn's, or that of `bonfire-kernels` that does the same in one pass and reads the
//! same records. A new optimizer is a file with its options and their [`OptimizerOptions`], a `mod` line, and
//! a line of [`OptimizerConfig`].

use crate::TrainError;
use crate::check::{above_zero, check};
use crate::parameters::Parameter;
use crate::registered::registered;
use burn::optim::ModuleOptimizer;
use groups::Groups;

mod adafactor;
mod adagrad;
mod adam;
mod adamw;
mod adan;
mod groups;
mod lamb;
mod lion;
mod muon;
mod options;
mod rmsprop;
mod sgd;

/// The options of one optimizer.
trait OptimizerOptions {
    /// The peak learning rate.
    fn learning_rate(&self) -> f64;

    /// The weight decay, in the optimizer's own sense.
    fn weight_decay(&self) -> f64;

    /// Refuses options that the optimizer cannot have, but for the two above.
    ///
    /// # Errors
    /// Names the recipe's key, its possible values, and the value found.
    fn check(&self) -> Result<(), TrainError>;

    /// The optimizer, built once for each weight decay among the groups.
    fn build(&self, groups: &Groups) -> ModuleOptimizer;
}

registered! {
    /// The recipe's section `[optimizer]`. `learning_rate` is the schedule's peak.
    OptimizerConfig by OptimizerOptions {
        "sgd" => sgd::Sgd,
        "adam" => adam::Adam,
        "adamw" => adamw::AdamW,
        "lion" => lion::Lion,
        "lamb" => lamb::Lamb,
        "adafactor" => adafactor::Adafactor,
        "muon" => muon::Muon,
        "adagrad" => adagrad::Adagrad,
        "rmsprop" => rmsprop::RmsProp,
        "adan" => adan::Adan,
    }
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        OptimizerConfig::AdamW(AdamW::default())
    }
}

impl OptimizerConfig {
    /// The peak learning rate.
    pub fn learning_rate(&self) -> f64 {
        self.options().learning_rate()
    }

    /// Refuses options that no optimizer can have.
    ///
    /// # Errors
    /// Names the recipe's key, its possible values, and the value found.
    pub fn check(&self) -> Result<(), TrainError> {
        let options = self.options();
        above_zero("optimizer.learning_rate", Some(options.learning_rate()))?;
        let decay = options.weight_decay();
        let holds = decay.is_finite() && decay >= 0.0;
        check("optimizer.weight_decay", "a finite number from 0 on", decay, holds)?;
        options.check()
    }

    /// The optimizer for these parameters, each with the factor of `rates` on its learning rate. Parameters
    /// of one dimension get weight decay only where `decay_all` says so.
    pub(crate) fn build(&self, parameters: &[Parameter], rates: &[f64], decay_all: bool) -> ModuleOptimizer {
        let options = self.options();
        options.build(&Groups::new(parameters, rates, options.weight_decay(), decay_all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
