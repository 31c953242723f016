//! The meaning of the numbers at a model's head, and the loss that pulls them to their target.
//! `B` samples, `K` classes, `O` values.

use bonfire_contract::{ConfigError, Output, Target};
use bonfire_kernels::{ErrorOfValue, mean_error, widened};
use burn::config::Config;
use burn::tensor::activation::{log_softmax, softplus};
use burn::tensor::{Int, Tensor, assert_shape};
use serde::{Deserialize, Serialize};

/// The family of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Negative log-likelihood of one class among `K`, in nats.
    CrossEntropy,
    /// Negative log-likelihood of one class among two, from one logit, in nats.
    BinaryCrossEntropy,
    /// Negative log-likelihood of `K` questions, each class or not, with a sigmoid each, in nats: the mean
    /// over the classes. Wightman, Touvron and Jégou, "ResNet strikes back", 2021, section 2.
    SigmoidCrossEntropy,
    /// Squared error `(y - t)^2`, in the square of the target's unit.
    Squared,
    /// Absolute error `|y - t|`, in the target's unit.
    Absolute,
    /// Huber's error: `d^2 / 2` up to `huber_delta`, linear beyond (Huber 1964).
    Huber,
}

/// The question a predictive model answers: how many outputs its head has, and the loss on them.
///
/// The loss is a mean over samples, and over the `O` values of a sample where there are several.
#[derive(Config, Debug, PartialEq)]
pub struct Objective {
    /// Classes `K` for cross-entropy, 2 for binary cross-entropy, values `O` for the errors.
    pub outputs: usize,
    /// The loss that training lowers.
    pub loss: LossKind,
    /// The share of the target's probability that is spread evenly over all classes, in `[0, 1)`
    /// (Szegedy et al. 2016, section 7).
    #[config(default = 0.0)]
    pub label_smoothing: f64,
    /// A factor for each class, multiplied onto the loss of its samples. The mean still divides by the number
    /// of samples, unlike PyTorch's, which divides by the sum of their weights: so losses of pieces of a
    /// batch average to the loss of the whole.
    pub class_weights: Option<Vec<f64>>,
    /// The error at which Huber's turns from quadratic to linear, in the target's (standardised) unit.
    #[config(default = 1.0)]
    pub huber_delta: f64,
}

impl Objective {
    /// Cross-entropy over `classes` classes.
    pub fn classes(classes: usize) -> Self {
        Objective::new(classes, LossKind::CrossEntropy)
    }

    /// Binary cross-entropy.
    pub fn binary() -> Self {
        Objective::new(2, LossKind::BinaryCrossEntropy)
    }

    /// Squared error of `values` values.
    pub fn values(values: usize) -> Self {
        Objective::new(values, LossKind::Squared)
    }

    /// True where the outputs are classes, false where they are values.
    pub fn is_classification(&self) -> bool {
        use LossKind::{BinaryCrossEntropy, CrossEntropy, SigmoidCrossEntropy};
        matches!(self.loss, CrossEntropy | BinaryCrossEntropy | SigmoidCrossEntropy)
    }

    /// The width of the model's last layer: 1 for binary cross-entropy, otherwise `outputs`.
    pub fn head(&self) -> usize {
        match self.loss {
            LossKind::BinaryCrossEntropy => 1,
            _ => self.outputs,
        }
    }

    /// Refuses what no loss can have; `model` is named in the error.
    ///
    /// # Errors
    /// When there are too few outputs for the loss, the smoothing is outside `[0, 1)`, the weights are not
    /// one non-negative number a class with a positive one among them, `huber_delta` is not positive, or a
    /// setting of classes is given for values.
    pub fn check(&self, model: &'static str) -> Result<(), ConfigError> {
        let (least, most) = match self.loss {
            LossKind::CrossEntropy | LossKind::SigmoidCrossEntropy => (2, usize::MAX),
            LossKind::BinaryCrossEntropy => (2, 2),
            _ => (1, usize::MAX),
        };
        let expected = match self.loss {
            LossKind::BinaryCrossEntropy => "exactly 2 classes",
            LossKind::CrossEntropy | LossKind::SigmoidCrossEntropy => "at least 2 classes",
            _ => "at least 1 value",
        };
        let fits = (least..=most).contains(&self.outputs);
        ConfigError::check(fits, model, "objective.outputs", expected, self.outputs)?;
        let smoothing = self.label_smoothing;
        let field = "objective.label_smoothing";
        if self.is_classification() {
            ConfigError::check(
                (0.0..1.0).contains(&smoothing),
                model,
                field,
                "at least 0 and below 1",
                smoothing,
            )?
        } else {
            ConfigError::check(smoothing == 0.0, model, field, "0 where values are predicted", smoothing)?
        }
        if let Some(weights) = &self.class_weights {
            let field = "objective.class_weights";
            let found = format!("{weights:?}");
            let classes = self.is_classification();
            ConfigError::check(classes, model, field, "none where values are predicted", &found)?;
            let expected = format!("{} numbers, one a class", self.outputs);
            ConfigError::check(weights.len() == self.outputs, model, field, expected, &found)?;
            let usable = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0)
                && weights.iter().any(|weight| *weight > 0.0);
            ConfigError::check(usable, model, field, "finite, at least 0 and not all 0", &found)?;
        }
        let delta = self.huber_delta;
        let usable = delta.is_finite() && delta > 0.0;
        ConfigError::check(usable, model, "objective.huber_delta", "a positive number", delta)
    }

    /// The model's answer, from the numbers at its head.
    ///
    /// # Shapes
    /// - head: `[B, self.head()]`
    /// - output: logits `[B, K]` for classes (one logit `z` becomes `[0, z]`), values `[B, O]` otherwise
    pub fn output(&self, head: Tensor<2>) -> Output {
        if self.is_classification() { Output::Logits(self.logits(head)) } else { Output::Values(head) }
    }

    /// The mean loss over the samples, `[1]`: nats for classes, an error for values.
    ///
    /// # Shapes
    /// - head: `[B, self.head()]`
    /// - target: classes `[B]`, their probabilities `[B, K]`, or values `[B, O]`
    ///
    /// # Panics
    /// When the target is not of this objective's kind.
    pub fn loss(&self, head: Tensor<2>, target: Target) -> Tensor<1> {
        let head = widened(head);
        match target {
            Target::Classes(classes) if self.loss == LossKind::SigmoidCrossEntropy => {
                let probabilities = classes.one_hot(self.outputs).float(); // [B, K]
                self.cross_entropy_of_probabilities(head, probabilities)
            }
            Target::Classes(classes) if self.is_classification() => {
                self.cross_entropy(self.logits(head), classes)
            }
            Target::Probabilities(probabilities) if self.is_classification() => {
                self.cross_entropy_of_probabilities(self.logits(head), probabilities)
            }
            Target::Values(values) if !self.is_classification() => self.error(head, values),
            target => panic!("a target of {:?} was expected, found {}", self.loss, kind_of(&target)),
        }
    }

    /// `[B, head]` to `[B, K]`. The sigmoid of one logit is the softmax of `[0, z]`, so that both
    /// classifications share one stable loss.
    fn logits(&self, head: Tensor<2>) -> Tensor<2> {
        match self.loss {
            LossKind::BinaryCrossEntropy => Tensor::cat(vec![head.zeros_like(), head], 1), // [B, 2]
            _ => head,
        }
    }

    fn cross_entropy(&self, logits: Tensor<2>, classes: Tensor<1, Int>) -> Tensor<1> {
        let [batch, _] = logits.dims();
        assert_shape!(classes, [batch]);
        let weights = self.class_weights.as_ref().map(|weights| {
            let weights = Tensor::<1>::from_data(weights.as_slice(), &logits.device()); // [K]
            weights.select(0, classes.clone()) // [B]
        });
        bonfire_kernels::cross_entropy(logits, classes, weights, self.label_smoothing)
    }

    /// Smoothing spreads a share of the probability of each sample, and a class's weight multiplies its part.
    fn cross_entropy_of_probabilities(&self, logits: Tensor<2>, probabilities: Tensor<2>) -> Tensor<1> {
        let [batch, classes] = logits.dims();
        assert_shape!(probabilities, [batch, classes]);
        let smoothing = self.label_smoothing;
        let smooth = probabilities * (1.0 - smoothing) + smoothing / classes as f64; // [B, K]
        let losses = match self.loss {
            // -p log s(z) - (1 - p) log(1 - s(z)) = softplus(z) - p z
            LossKind::SigmoidCrossEntropy => {
                let losses = softplus(logits.clone(), 1.0) - smooth * logits; // [B, K]
                losses / classes as f64
            }
            _ => smooth * -log_softmax(logits, 1),
        };
        let weighted = match &self.class_weights {
            Some(weights) => {
                let weights = Tensor::<1>::from_data(weights.as_slice(), &losses.device()); // [K]
                losses * weights.unsqueeze()
            }
            None => losses,
        };
        weighted.sum() / batch as f64
    }

    fn error(&self, output: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
        let [batch, values] = output.dims();
        assert_shape!(target, [batch, values]);
        let error = match self.loss {
            LossKind::Absolute => ErrorOfValue::Absolute,
            LossKind::Huber => ErrorOfValue::Huber(self.huber_delta),
            _ => ErrorOfValue::Squared,
        };
        mean_error(output, target, error)
    }
}

fn kind_of(target: &Target) -> &'static str {
    match target {
        Target::Classes(_) => "classes",
        Target::Probabilities(_) => "probabilities of classes",
        Target::Values(_) => "values",
        Target::NextTokens(_) => "next tokens",
        Target::Input => "the input itself",
        Target::Absent => "no target",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tolerance};

    fn classes(labels: &[i64]) -> Target {
        Target::Classes(Tensor::from_data(labels, &Device::flex()))
    }

    fn head<const N: usize, const O: usize>(rows: [[f32; O]; N]) -> Tensor<2> {
        Tensor::from_data(rows, &Device::flex())
    }

    fn loss(objective: &Objective, head: Tensor<2>, target: Target) -> f64 {
        f64::from(objective.loss(head, target).into_scalar::<f32>())
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0), "{found} is not {expected}");
    }

    #[test]
    fn cross_entropy_of_known_probabilities() {
        let logits = head([[0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()], [0.1f32.ln(), 0.1f32.ln(), 0.8f32.ln()]]);
        let expected = -(0.7f64.ln() + 0.1f64.ln()) / 2.0;
        assert_near(loss(&Objective::classes(3), logits, classes(&[0, 1])), expected);
    }

    #[test]
    fn smoothing_mixes_the_even_distribution_in() {
        let logits = head([[0.7f32.ln(), 0.2f32.ln(), 0.1f32.ln()]]);
        let even = -(0.7f64.ln() + 0.2f64.ln() + 0.1f64.ln()) / 3.0;
        let objective = Objective::classes(3).with_label_smoothing(0.1);
        assert_near(loss(&objective, logits, classes(&[1])), 0.9 * -0.2f64.ln() + 0.1 * even);
    }

    #[test]
    fn probabilities_of_one_class_are_that_class() {
        let rows = [[0.3, -1.0, 0.2], [2.0, 0.1, -3.0]];
        let certain = || Target::Probabilities(head([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]));
        for objective in [
            Objective::classes(3).with_label_smoothing(0.1),
            Objective::new(3, LossKind::SigmoidCrossEntropy).with_label_smoothing(0.2),
            Objective::new(3, LossKind::SigmoidCrossEntropy).with_class_weights(Some(vec![0.5, 2.0, 1.0])),
        ] {
            let expected = loss(&objective, head(rows), classes(&[1, 0]));
            assert_near(loss(&objective, head(rows), certain()), expected);
        }
        // The loss of a mixture is the mean of both.
        let objective = Objective::classes(3);
        let mixed = Target::Probabilities(head([[0.25, 0.75, 0.0]]));
        let parts = [0, 1].map(|class| loss(&objective, head([rows[0]]), classes(&[class])));
        assert_near(loss(&objective, head([rows[0]]), mixed), 0.25 * parts[0] + 0.75 * parts[1]);
    }

    #[test]
    fn sigmoid_cross_entropy_of_hand_values_and_far_out() {
        let objective = Objective::new(2, LossKind::SigmoidCrossEntropy);
        let softplus = |z: f64| z.exp().ln_1p();
        let expected = (softplus(-1.5) + softplus(0.5)) / 2.0;
        assert_near(loss(&objective, head([[1.5, 0.5]]), classes(&[0])), expected);
        assert_near(loss(&objective, head([[-200.0, -200.0]]), classes(&[0])), 100.0);
    }

    #[test]
    fn weights_multiply_their_samples_and_the_mean_stays_over_samples() {
        let logits = head([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]);
        let objective = Objective::classes(2).with_class_weights(Some(vec![1.0, 4.0]));
        assert_near(loss(&objective, logits, classes(&[0, 0, 1])), 2f64.ln() * (1.0 + 1.0 + 4.0) / 3.0);
    }

    #[test]
    fn binary_cross_entropy_of_hand_values_and_far_out() {
        let objective = Objective::binary();
        let softplus = |z: f64| z.exp().ln_1p();
        let expected = (softplus(-1.5) + softplus(-0.5)) / 2.0;
        assert_near(loss(&objective, head([[1.5], [-0.5]]), classes(&[1, 0])), expected);
        assert_near(loss(&objective, head([[-200.0], [200.0]]), classes(&[1, 0])), 200.0);
        assert_near(loss(&objective, head([[200.0], [-200.0]]), classes(&[1, 0])), 0.0);
    }

    #[test]
    fn binary_logit_reads_as_two_logits() {
        let Output::Logits(logits) = Objective::binary().output(head([[1.5], [-2.0]])) else {
            panic!("classes have logits");
        };
        logits
            .into_data()
            .assert_approx_eq::<f32>(&head([[0.0, 1.5], [0.0, -2.0]]).into_data(), Tolerance::absolute(0.0));
    }

    #[test]
    fn binary_gradient_at_zero_is_half() {
        let device = Device::flex().autodiff();
        let logit = Tensor::<2>::zeros([1, 1], &device).require_grad();
        let target = Target::Classes(Tensor::from_data([0], &device));
        let gradients = Objective::binary().loss(logit.clone(), target).backward();
        assert_near(f64::from(logit.grad(&gradients).unwrap().into_scalar::<f32>()), 0.5);
    }

    #[test]
    fn errors_of_hand_values() {
        let target = || Target::Values(head([[0.0, 0.0], [0.0, 0.0]]));
        let output = || head([[0.5, -0.5], [3.0, -1.0]]);
        let of = |kind| Objective::new(2, kind);
        assert_near(loss(&of(LossKind::Squared), output(), target()), (0.25 + 0.25 + 9.0 + 1.0) / 4.0);
        assert_near(loss(&of(LossKind::Absolute), output(), target()), 5.0 / 4.0);
        let huber = of(LossKind::Huber).with_huber_delta(2.0);
        assert_near(loss(&huber, output(), target()), (0.125 + 0.125 + 2.0 * (3.0 - 1.0) + 0.5) / 4.0);
    }

    #[test]
    fn pieces_average_to_the_whole() {
        let rows = [[0.3, -1.0], [2.0, 0.1], [-0.4, 0.4]];
        let objective = Objective::classes(2).with_class_weights(Some(vec![0.5, 3.0]));
        let whole = loss(&objective, head(rows), classes(&[1, 0, 1]));
        let first = loss(&objective, head([rows[0]]), classes(&[1]));
        let rest = loss(&objective, head([rows[1], rows[2]]), classes(&[0, 1]));
        assert_near((first + 2.0 * rest) / 3.0, whole);
    }

    #[test]
    fn refuses_what_no_loss_can_have() {
        let refused = [
            Objective::classes(1),
            Objective::new(3, LossKind::BinaryCrossEntropy),
            Objective::values(0),
            Objective::classes(3).with_label_smoothing(1.0),
            Objective::classes(3).with_label_smoothing(-0.1),
            Objective::classes(3).with_label_smoothing(f64::NAN),
            Objective::values(1).with_label_smoothing(0.1),
            Objective::classes(3).with_class_weights(Some(vec![1.0, 1.0])),
            Objective::classes(2).with_class_weights(Some(vec![0.0, 0.0])),
            Objective::classes(2).with_class_weights(Some(vec![-1.0, 1.0])),
            Objective::values(1).with_class_weights(Some(vec![1.0])),
            Objective::values(1).with_huber_delta(0.0),
        ];
        for objective in refused {
            assert!(objective.check("test").is_err(), "{objective:?}");
        }
        assert_eq!(
            Objective::classes(1).check("mlp").unwrap_err().to_string(),
            "mlp: objective.outputs: expected at least 2 classes, found 1"
        );
        for objective in [Objective::classes(2), Objective::binary(), Objective::values(3)] {
            objective.check("test").unwrap();
        }
    }

    #[test]
    #[should_panic(expected = "a target of Squared was expected, found classes")]
    fn a_target_of_another_kind_is_a_programmers_mistake() {
        loss(&Objective::values(1), head([[1.0]]), classes(&[0]));
    }

    #[test]
    fn every_key_shows_in_the_default() {
        let json = serde_json::to_value(Objective::classes(2)).unwrap();
        for key in ["outputs", "loss", "label_smoothing", "class_weights", "huber_delta"] {
            assert!(json.get(key).is_some(), "{key} is hidden");
        }
        assert_eq!(serde_json::from_value::<Objective>(json).unwrap(), Objective::classes(2));
    }
}
