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
    use crate::*;
    use bonfire_contract::{AnyInput, Images, Input, Tokens};
    use burn::tensor::{Distribution, Int, Tolerance};

    /// Holds the parts of a model together to the whole.
    fn assert_parts<A: Architecture>(name: &str, config: A, input: AnyInput) {
        let device = Device::flex();
        device.seed(3);
        config.check().unwrap();
        let model = config.init(&device).materialize();
        let input = || <A::Model as Task>::Input::from_any(input.clone()).expect("it eats the input");
        let values = |output| match output {
            Output::Logits(values) | Output::Values(values) => values,
            _ => panic!("{name} answers no question of classes or values"),
        };
        let whole = values(model.predict(input()));
        let probe = Probe::new(model.clone(), A::headed).expect(name);
        assert_eq!(probe.num_params(), model.num_params());
        let features = probe.headed().features(input());
        let categories = Tensor::zeros([features.dims()[0], 0], &device);
        let parts = values(probe.predict(Table { numeric: features, categories }));
        parts.into_data().assert_approx_eq::<f32>(&whole.into_data(), Tolerance::absolute(1e-5));
    }

    #[test]
    fn features_and_head_are_the_whole_model() {
        let device = Device::flex();
        let picture = [3, 32, 32];
        let pixels = Tensor::<4>::random([2, 3, 32, 32], Distribution::Default, &device);
        let images = || AnyInput::Images(Images { pixels: pixels.clone() });
        let classes = || Objective::classes(3);
        assert_parts("lenet", LeNetConfig::new(picture, classes()), images());
        let cnn = || CnnConfig::new(picture, classes()).with_widths(vec![4, 6]);
        assert_parts("cnn", cnn().with_hidden(8), images());
        assert_parts("cnn without a hidden layer", cnn().with_hidden(0), images());
        assert_parts(
            "resnet",
            SmallResNetConfig::new(picture, classes()).with_depth(8).with_width(4),
            images(),
        );
        assert_parts("resnet9", ResNet9Config::new(picture, classes()).with_width(4), images());
        let resnet18 = ResNetConfig::resnet18(picture, classes()).with_layers([1; 4]).with_width(4);
        assert_parts("resnet18", resnet18, images());
        let mobilenet =
            MobileNetV2Config::new(picture, classes()).with_layers([1; 7]).with_width_multiplier(0.25);
        assert_parts("mobilenet_v2", mobilenet, images());
        let efficientnet = EfficientNetConfig::b0(picture, Objective::values(2)).with_layers([1; 7]);
        assert_parts("efficientnet_b0", efficientnet, images());
        let convnext = ConvNeXtConfig::tiny(picture, classes()).with_layers([1; 4]).with_width(4);
        assert_parts("convnext_tiny", convnext, images());
        for pooling in [PatchPooling::ClassToken, PatchPooling::Mean] {
            let vit = VisionTransformerConfig::ti16(picture, Objective::binary())
                .with_layers(2)
                .with_width(12)
                .with_pooling(pooling);
            assert_parts("vit_ti16", vit, images());
        }
        let tokens = Tensor::<2, Int>::from_data([[1, 2, 3, 4], [5, 6, 0, 0]], &device);
        let padding = tokens.clone().equal_elem(0);
        let texts = || AnyInput::Tokens(Tokens { tokens: tokens.clone(), padding: padding.clone() });
        assert_parts("lstm", LstmClassifierConfig::new(9, classes()), texts());
        assert_parts("gru", GruClassifierConfig::new(9, classes()), texts());
        assert_parts("transformer", TransformerClassifierConfig::new(9, 4, classes()), texts());
        // A model of values in, values out has no features before its head.
        let rows = LinearRegressionConfig::new(2, Objective::values(1)).init(&device);
        assert!(Probe::new(rows, LinearRegressionConfig::headed).is_none());
    }
}
