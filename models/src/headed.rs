//! A model in two parts: features of a sample, and the head that answers about them. A head alone can be
//! trained on features that are computed once: a linear probe (Alain and Bengio, "Understanding intermediate
//! layers using linear classifier probes", 2016).

use crate::objective::Objective;
use bonfire_contract::{Output, Table, Target, Task};
use burn::module::{Devices, Module, ModuleMapper, ModuleVisitor};
use burn::tensor::{Device, Tensor};

/// A model that ends in a head.
pub trait Headed {
    /// What the model takes.
    type Input;

    /// Everything but the head and the dropout before it.
    ///
    /// # Shapes
    /// - output: `[B, F]`
    fn features(&self, input: Self::Input) -> Tensor<2>;

    /// The numbers at the head.
    ///
    /// # Shapes
    /// - features: `[B, F]`
    /// - output: `[B, O]`
    fn answer(&self, features: Tensor<2>) -> Tensor<2>;

    /// The question that the head answers.
    fn objective(&self) -> &Objective;
}

/// The two parts of a model, where it has them.
pub type Parts<M> = fn(&M) -> Option<&dyn Headed<Input = <M as Task>::Input>>;

/// A model whose input are its own features, as numeric columns. Its tensors are those of the whole model, by
/// the same paths.
#[derive(Clone, Debug)]
pub struct Probe<M: Task> {
    model: M,
    parts: Parts<M>,
}

impl<M: Task> Probe<M> {
    /// The model as a probe; nothing where it has no head on features.
    pub fn new(model: M, parts: Parts<M>) -> Option<Self> {
        parts(&model)?;
        Some(Probe { model, parts })
    }

    /// The two parts.
    ///
    /// # Panics
    /// Never: a model that has parts keeps them.
    pub fn headed(&self) -> &dyn Headed<Input = M::Input> {
        (self.parts)(&self.model).expect("a probe's model has parts")
    }
}

impl<M: Task> Task for Probe<M> {
    type Input = Table;

    fn predict(&self, input: Table) -> Output {
        let headed = self.headed();
        headed.objective().output(headed.answer(input.numeric))
    }

    /// Nats for classes, the objective's error for values.
    fn loss(&self, input: Table, target: Target) -> Tensor<1> {
        let headed = self.headed();
        headed.objective().loss(headed.answer(input.numeric), target)
    }
}

/// The model's own, so that paths and records are the whole model's.
impl<M: Task> Module for Probe<M> {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.model.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Probe { model: self.model.fork(device), ..self }
    }

    fn to_device(self, device: &Device) -> Self {
        Probe { model: self.model.to_device(device), ..self }
    }

    fn train(self) -> Self {
        Probe { model: self.model.train(), ..self }
    }

    fn valid(&self) -> Self {
        Probe { model: self.model.valid(), parts: self.parts }
    }

    fn materialize(self) -> Self {
        Probe { model: self.model.materialize(), ..self }
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.model.visit(visitor);
    }

    fn map<P: ModuleMapper>(self, mapper: &mut P) -> Self {
        Probe { model: self.model.map(mapper), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Architecture;
    use crate::registry::{ARCHITECTURES, Visit, visit};
    use bonfire_contract::{AnyInput, Input};
    use burn::tensor::Tolerance;

    /// The answers of the whole model and of its parts; nothing where it has none.
    struct Both<'a>(&'a AnyInput);

    impl Visit for Both<'_> {
        type Output = Option<(Tensor<2>, Tensor<2>, usize)>;

        fn visit<A: Architecture>(self, default: A) -> Self::Output {
            let device = Device::flex();
            device.seed(3);
            let model = default.init(&device).materialize();
            let input = || <A::Model as Task>::Input::from_any(self.0.clone()).expect("it eats the example");
            let values = |output| match output {
                Output::Logits(values) | Output::Values(values) => Some(values),
                _ => None,
            };
            let whole = values(model.predict(input()))?;
            let probe = Probe::new(model.clone(), A::headed)?;
            let features = probe.headed().features(input());
            let categories = Tensor::zeros([features.dims()[0], 0], &device);
            let tensors = probe.num_params();
            assert_eq!(tensors, model.num_params());
            let parts = values(probe.predict(Table { numeric: features, categories }))?;
            Some((whole, parts, tensors))
        }
    }

    #[test]
    fn features_and_head_are_the_whole_model() {
        let mut names = Vec::new();
        // Depth and width are sized for photographs: the small ones of each family are enough.
        for entry in ARCHITECTURES {
            if ["34", "50", "101", "152", "_small", "_s16", "_b16"]
                .iter()
                .any(|end| entry.name.ends_with(end))
            {
                continue;
            }
            let spec = (entry.example)();
            let input = spec.sample.zeros(&Device::flex());
            let Some((whole, parts, _)) = visit(entry.name, &spec, Both(&input)).unwrap() else { continue };
            parts.into_data().assert_approx_eq::<f32>(&whole.into_data(), Tolerance::absolute(1e-5));
            names.push(entry.name);
        }
        let expected = [
            "lenet",
            "cnn",
            "resnet",
            "resnet9",
            "resnet18",
            "mobilenet_v2",
            "efficientnet_b0",
            "efficientnet_lite0",
            "convnext_tiny",
            "vit_ti16",
            "lstm",
            "gru",
            "transformer",
        ];
        assert_eq!(names, expected);
    }
}
