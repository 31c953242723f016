//! Every registered architecture on small data. A formula fills its weights, so that backends can be compared
//! without a shared random generator.

use anyhow::Result;
use bonfire::contract::{AnyInput, Bags, Images, Input, Output, Table, Target, Task, Tokens};
use bonfire::models::registry::{ARCHITECTURES, Entry};
use bonfire::models::spec::{Question, Sample, Spec};
use bonfire::prelude::*;
use bonfire::recipe::{Document, model_options};
use bonfire::run::{Build, VisitModel};
use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use serde_json::{Map, Value, json};

/// Every architecture on each kind of data that it takes, of sizes that run in moments.
pub fn cases() -> Vec<(&'static Entry, Spec)> {
    let each = |entry: &'static Entry| {
        let counted = entry.counted.map(|example| (entry, reduced(example())));
        [Some((entry, small(entry))), counted]
    };
    ARCHITECTURES.iter().flat_map(each).flatten().collect()
}

/// An architecture's example, reduced to sizes that run in moments.
pub fn small(architecture: &Entry) -> Spec {
    reduced((architecture.example)())
}

fn reduced(mut spec: Spec) -> Spec {
    match &mut spec.sample {
        Sample::Table { num_numeric, .. } => *num_numeric = 5,
        Sample::Text { vocabulary, max_tokens } => (*vocabulary, *max_tokens) = (11, 6),
        Sample::Bag { features } => *features = 11,
        // the smallest size of ImageNet's models whose five halvings leave more than one place to norm
        Sample::Image([_, height, width]) if *height > 64 => (*height, *width) = (64, 64),
        Sample::Image(_) => {}
    }
    if let Question::Class(classes @ 1000..) = &mut spec.question {
        *classes = 10;
    }
    spec
}

/// True for ImageNet's architectures.
fn is_large(architecture: &Entry) -> bool {
    matches!((architecture.example)().question, Question::Class(1000..))
}

/// Options that leave a large architecture one block a stage, or two blocks in a row: all kinds of its
/// layers, at little cost. The comparison with PyTorch in `models` checks the deep ones.
fn shallow(architecture: &Entry, known: &Map<String, Value>) -> Option<(String, Value)> {
    if !is_large(architecture) {
        return None;
    }
    let layers = match known.get("layers")? {
        Value::Array(stages) => vec![1; stages.len()].into(),
        _ => 2.into(),
    };
    Some(("layers".to_string(), layers))
}

/// The architecture's options without random layers, and shallow if it is large.
pub fn calm(architecture: &Entry) -> Map<String, Value> {
    let known = model_options::defaults(architecture.name).unwrap();
    let random = ["dropout", "drop_path", "noise"];
    let random =
        random.iter().filter(|key| known.contains_key(**key)).map(|key| (key.to_string(), json!(0.0)));
    random.chain(shallow(architecture, &known)).collect()
}

/// Builds an architecture on a device and passes it to `visitor`.
pub fn with<V: VisitModel>(
    architecture: &Entry,
    spec: &Spec,
    device: &Device,
    visitor: V,
) -> Result<V::Output> {
    let document = Document::parse("test", "")?;
    let options = calm(architecture);
    let build = Build {
        name: architecture.name,
        options: &options,
        spec,
        document: &document,
        device,
        seed: Some(1),
        memory: None,
    };
    Ok(build.visit(visitor)?)
}

/// A batch of `samples` for the spec, by formula.
pub fn batch<I: Input>(spec: &Spec, samples: usize, device: &Device) -> (I, Target) {
    let wave = |count: usize, phase: f32| -> Vec<f32> {
        (0..count).map(|index| (index as f32 * 0.7 + phase).sin()).collect()
    };
    let integers = |count: usize, below: usize, factor: usize| -> Vec<i64> {
        (0..count).map(|index| ((index * factor + index / 3 + 1) % below) as i64).collect()
    };
    let (input, tokens) = match &spec.sample {
        Sample::Image([channels, height, width]) => {
            // Waves repeat, and pooling would choose between numbers that differ by rounding only.
            let count = samples * channels * height * width;
            let pixels = (0..count).map(|index| 0.5 + 0.5 * scattered(0, index)).collect();
            let data = TensorData::new(pixels, [samples, *channels, *height, *width]);
            (AnyInput::Images(Images { pixels: Tensor::from_data(data, device) }), 0)
        }
        Sample::Table { num_numeric, .. } => {
            let data = TensorData::new(wave(samples * num_numeric, 0.3), [samples, *num_numeric]);
            let categories = Tensor::<2, Int>::zeros([samples, 0], device);
            (AnyInput::Table(Table { numeric: Tensor::from_data(data, device), categories }), 0)
        }
        Sample::Bag { features } => {
            const LENGTH: usize = 4;
            let shape = [samples, LENGTH];
            let numbers = TensorData::new(integers(samples * LENGTH, *features, 5), shape);
            let weights = TensorData::new(wave(samples * LENGTH, 0.3), shape);
            let (features, weights) =
                (Tensor::from_data(numbers, device), Tensor::from_data(weights, device));
            (AnyInput::Bags(Bags { features, weights }), 0)
        }
        Sample::Text { vocabulary, max_tokens } => {
            let data =
                TensorData::new(integers(samples * max_tokens, *vocabulary, 5), [samples, *max_tokens]);
            let classify = spec.question != Question::NextToken;
            let padding = (0..samples * max_tokens).map(|index| {
                let (row, column) = (index / max_tokens, index % max_tokens);
                classify && row % 2 == 1 && column + 2 >= *max_tokens
            });
            let padding = TensorData::new(padding.collect(), [samples, *max_tokens]);
            let tokens = Tokens {
                tokens: Tensor::from_data(data, device),
                padding: Tensor::from_data(padding, device),
            };
            (AnyInput::Tokens(tokens), *max_tokens)
        }
    };
    let target = match spec.question {
        Question::Class(classes) => {
            let data = TensorData::new(integers(samples, classes, 3), [samples]);
            Target::Classes(Tensor::from_data(data, device))
        }
        Question::Labels(labels) => {
            let data: Vec<f32> =
                integers(samples * labels, 2, 3).into_iter().map(|label| label as f32).collect();
            Target::Probabilities(Tensor::from_data(TensorData::new(data, [samples, labels]), device))
        }
        Question::Value(values) => Target::Values(Tensor::from_data(
            TensorData::new(wave(samples * values, 1.1), [samples, values]),
            device,
        )),
        Question::NextToken => {
            let Sample::Text { vocabulary, .. } = spec.sample else {
                unreachable!("language models read text")
            };
            let data = TensorData::new(integers(samples * tokens, vocabulary, 7), [samples, tokens]);
            Target::NextTokens(Tensor::from_data(data, device))
        }
        Question::Reconstruction => Target::Input,
    };
    (I::from_any(input).expect("the example fits its architecture"), target)
}

/// A number in `[-1, 1)` that looks random: smooth numbers make degenerate activations.
fn scattered(stream: usize, index: usize) -> f32 {
    let mut mixed = (stream as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (index as u64 + 1);
    for _ in 0..3 {
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    }
    (mixed >> 40) as f32 / (1u32 << 23) as f32 - 1.0
}

/// Fills every float parameter by a formula of its place, the same on all backends.
pub fn filled<M: Module>(model: M) -> M {
    struct Fill {
        path: Vec<String>,
        containers: Vec<String>,
        count: usize,
        variational: bool,
    }
    impl ModuleMapper for Fill {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.push(name.to_string());
            self.containers.push(container.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
            self.containers.pop();
        }

        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            self.count += 1;
            let path = self.path.join(".");
            let stream = self.count;
            // The variational code's variance is held at almost 0, because the noise it scales differs
            // between backends.
            let by_batch = self.containers.iter().any(|container| container.ends_with("BatchNorm"));
            let codes = self.variational && path.starts_with("encoder.layers.1");
            param.map(|tensor| {
                let shape = tensor.dims();
                let count: usize = shape.iter().product();
                let (center, spread) = match () {
                    // Batch norm's outputs are kept four deviations away from 0, where a ReLU's slope jumps.
                    // Otherwise one of a million numbers near 0 is rounded to different sides by two
                    // backends, which changes a gradient by a hundredth.
                    () if by_batch && path.ends_with("gamma") => (0.25, 0.025),
                    () if by_batch && path.ends_with("beta") => (1.0, 0.1),
                    // Scales and variances are near one.
                    () if path.contains("gamma") || path.ends_with("running_var") => (1.0, 0.1),
                    () if D == 1 => (0.0, 0.1),
                    // A variance that keeps the activations' variance, whichever axis is the input.
                    () => (0.0, (3.0 / shape[0].max(count / shape[0]) as f32).sqrt()),
                };
                let width = shape[D - 1];
                let value = |index: usize| {
                    if codes && index % width >= width / 2 {
                        if D == 1 { -30.0 } else { 0.0 }
                    } else {
                        center + spread * scattered(stream, index)
                    }
                };
                let values: Vec<f32> = (0..count).map(value).collect();
                let gradient = tensor.is_require_grad();
                let tensor = Tensor::from_data(TensorData::new(values, shape), &tensor.device());
                tensor.set_require_grad(gradient)
            })
        }
    }
    let variational = std::any::type_name::<M>().ends_with("VariationalAutoencoder");
    model.map(&mut Fill { path: Vec::new(), containers: Vec::new(), count: 0, variational })
}

/// Path and values of every float parameter.
pub fn weights<M: Module>(model: &M) -> Vec<(String, Vec<f32>)> {
    struct Read {
        path: Vec<String>,
        weights: Vec<(String, Vec<f32>)>,
    }
    impl ModuleVisitor for Read {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }

        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.weights.push((self.path.join("."), numbers(param.val())));
        }
    }
    let mut read = Read { path: Vec::new(), weights: Vec::new() };
    model.visit(&mut read);
    read.weights
}

/// A tensor's numbers on the host.
pub fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_to_vec().unwrap()
}

/// A model's output, as numbers.
pub fn answer(output: Output) -> Vec<f32> {
    match output {
        Output::Logits(logits) => numbers(logits),
        Output::Values(values) => numbers(values),
        Output::TokenLogits(logits) => numbers(logits),
        Output::Reconstruction { output, .. } => numbers(output),
    }
}

/// Gradient descent from filled weights.
pub struct Descent<'a> {
    pub spec: &'a Spec,
    pub device: &'a Device,
    pub optimizer: ModuleOptimizer,
    pub steps: usize,
    pub learning_rate: f64,
}

/// The loss before each step, the weights before the first and after the last step, and the trained model's
/// answer.
pub struct Trace {
    pub losses: Vec<f32>,
    pub before: Vec<(String, Vec<f32>)>,
    pub after: Vec<(String, Vec<f32>)>,
    pub answer: Vec<f32>,
}

impl VisitModel for Descent<'_> {
    type Output = Trace;

    fn visit<A: Architecture>(self, model: A::Model, _: A) -> Trace {
        let mut model = filled(model);
        let before = weights(&model);
        let (input, target) = batch::<<A::Model as Task>::Input>(self.spec, 4, self.device);
        assert_eq!(input.len(), 4);
        let mut optimizer = self.optimizer;
        let mut losses = Vec::new();
        for _ in 0..self.steps {
            let loss = model.loss(input.clone(), target.clone());
            losses.push(numbers(loss.clone())[0]);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(self.learning_rate, model, gradients);
        }
        let (input, _) = batch::<<A::Model as Task>::Input>(self.spec, 4, &self.device.clone().inner());
        let answer = answer(model.valid().predict(input));
        Trace { losses, before, after: weights(&model), answer }
    }
}
