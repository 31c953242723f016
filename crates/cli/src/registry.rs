//! Every architecture by name: what it eats, its options, and how it is built for given data.
//! A new one is one line of `architectures!` below.

use crate::document::{Document, RecipeError};
use crate::feed::{AnyInput, Fed};
use crate::loss::LossConfig;
use crate::section::overlay_without;
use crate::spec::{Misfit, Question, Sample, Spec};
use bonfire_contract::{ConfigError, Images, Table, Task, Tokens};
use bonfire_kernels::multiply_adds;
use bonfire_models::*;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;
use serde_json::{Map, Value};
use std::any::Any;

/// A registered architecture.
pub struct Architecture {
    /// What `[model] name` takes.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// Data sizes to show and to test it with.
    pub example: fn() -> Spec,
}

/// What the caller does with a model, whichever it is.
pub trait Visit {
    /// What comes of it.
    type Output;

    /// Called once with the model that was built, and what its config says.
    ///
    /// # Errors
    /// Whatever the visitor's own work meets.
    fn visit<M>(self, model: M, built: Built) -> anyhow::Result<Self::Output>
    where
        M: Task,
        M::Input: Fed;
}

/// What is known of a model that was built, beside its weights.
pub struct Built {
    /// The keys of its config that a recipe may give, all resolved.
    pub options: Map<String, Value>,
    /// What other libraries call its layers: the library, and the names; none where no other has weights for it.
    pub names: Vec<(&'static str, LayerNames)>,
    /// A vision transformer's config: positions of weights for pictures of another size are interpolated to its own.
    pub patches: Option<VisionTransformerConfig>,
}

/// What other libraries call the layers of a config's model.
fn names_elsewhere(config: &dyn Any) -> Vec<(&'static str, LayerNames)> {
    const VISION: &str = "torchvision";
    const TIMM: &str = "timm";
    if let Some(config) = config.downcast_ref::<ResNetConfig>() {
        return vec![(VISION, config.torchvision_names())];
    }
    if let Some(config) = config.downcast_ref::<MobileNetV2Config>() {
        return vec![(VISION, config.torchvision_names())];
    }
    if let Some(config) = config.downcast_ref::<EfficientNetConfig>() {
        let (vision, timm) = (config.torchvision_names(), config.timm_names());
        return vec![(VISION, vision), (TIMM, timm), ("google", config.google_names())];
    }
    if let Some(config) = config.downcast_ref::<ConvNeXtConfig>() {
        return vec![(VISION, config.torchvision_names())];
    }
    if let Some(config) = config.downcast_ref::<VisionTransformerConfig>() {
        return vec![(VISION, config.torchvision_names()), (TIMM, config.timm_names())];
    }
    Vec::new()
}

/// Everything that decides a model: its name, its options, the data's sizes, device and seed.
pub struct Build<'a> {
    /// The architecture's registered name.
    pub name: &'a str,
    /// The recipe's keys below `[model]`, but for the name.
    pub options: &'a Map<String, Value>,
    /// The data's sizes and the question asked.
    pub spec: &'a Spec,
    /// Where keys came from, for messages.
    pub document: &'a Document,
    /// Where the weights lie; with autodiff to train them.
    pub device: &'a Device,
    /// Seeds the initial weights.
    pub seed: u64,
}

/// Keys of configs that the data decide and no recipe gives.
const DATA_KEYS: [&str; 8] = [
    "num_numeric",
    "category_sizes",
    "objective",
    "picture",
    "vocabulary",
    "context",
    "max_tokens",
    "inputs",
];

/// Models whose pictures may be of another size in each batch: convolutions up to a mean over all pixels.
const OF_ANY_SIZE: [&str; 12] = [
    "resnet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "mobilenet_v2",
    "efficientnet_b0",
    "efficientnet_lite0",
    "convnext_tiny",
    "convnext_small",
    "resnet9",
];

/// Whether a model takes pictures of another size than those it was made for.
pub fn takes_any_size(name: &str) -> bool {
    OF_ANY_SIZE.contains(&name)
}

macro_rules! architectures {
    ($($name:literal, $example:ident, $about:literal, |$spec:ident| $config:expr;)*) => {
        /// Every architecture, sorted from simple to hard.
        pub const ARCHITECTURES: &[Architecture] =
            &[$(Architecture { name: $name, about: $about, example: example::$example }),*];

        /// Refuses keys below `[model]` that the architecture does not have, before any data are read.
        ///
        /// # Errors
        /// On an unknown key or a value of the wrong type, with its place.
        pub fn check_keys(document: &Document, name: &str, options: &Map<String, Value>) -> Result<(), RecipeError> {
            match name {
                $($name => {
                    let default = (|$spec: &Spec| -> Result<_, Misfit> { Ok($config) })(&example::$example());
                    let default = default.expect("an architecture fits its own example");
                    overlay_without(document, "model", options, &default, &DATA_KEYS).map(|_| ())
                })*
                other => unreachable!("'{other}' is not registered"),
            }
        }

        /// Builds a model, its weights still to be drawn, and hands it to `visitor`.
        fn assemble<V: Visit>(build: &Build, visitor: V) -> anyhow::Result<V::Output> {
            match build.name {
                $($name => {
                    let default = (|$spec: &Spec| -> Result<_, Misfit> { Ok($config) })(build.spec)
                        .map_err(|misfit| build.document.wrong(misfit.key, misfit.expected, misfit.found))?;
                    let config = overlay_without(build.document, "model", build.options, &default, &DATA_KEYS)?;
                    let patches = (&config as &dyn Any).downcast_ref().cloned();
                    let built = Built { options: options(&config), names: names_elsewhere(&config), patches };
                    bounded(build.document, &built.options)?;
                    config.check().map_err(|error| impossible(build.document, &error))?;
                    build.device.seed(build.seed);
                    visitor.visit(config.init(build.device), built)
                })*
                other => unreachable!("'{other}' is not registered"),
            }
        }
    };
}

architectures! {
    "linear", values, "linear regression: least squares",
        |spec| {
            let (numeric, categories) = spec.table()?;
            LinearRegressionConfig::new(numeric, spec.values()?).with_category_sizes(categories)
        };
    "logistic", rows, "logistic (softmax) regression",
        |spec| {
            let (numeric, categories) = spec.table()?;
            LogisticRegressionConfig::new(numeric, spec.classes()?).with_category_sizes(categories)
        };
    "mlp", rows, "multi-layer perceptron, with embeddings for categories",
        |spec| {
            let (numeric, categories) = spec.table()?;
            MlpConfig::new(numeric, categories, spec.objective()?)
        };
    "lenet", pictures, "LeNet-5 (LeCun et al. 1998)",
        |spec| LeNetConfig::new(spec.image()?, spec.objective()?);
    "cnn", pictures, "convolutions with batch norm, in stages",
        |spec| CnnConfig::new(spec.image()?, spec.objective()?);
    "resnet", pictures, "residual network for small pictures (He et al. 2015, section 4.2)",
        |spec| SmallResNetConfig::new(spec.image()?, spec.objective()?);
    "resnet9", colours, "ResNet-9 for small pictures (Page 2018)",
        |spec| ResNet9Config::new(spec.image()?, spec.objective()?);
    "resnet18", photographs, "ResNet-18 (He et al. 2015)",
        |spec| ResNetConfig::resnet18(spec.image()?, spec.objective()?);
    "resnet34", photographs, "ResNet-34",
        |spec| ResNetConfig::resnet34(spec.image()?, spec.objective()?);
    "resnet50", photographs, "ResNet-50 (v1.5)",
        |spec| ResNetConfig::resnet50(spec.image()?, spec.objective()?);
    "resnet101", photographs, "ResNet-101 (v1.5)",
        |spec| ResNetConfig::resnet101(spec.image()?, spec.objective()?);
    "resnet152", photographs, "ResNet-152 (v1.5)",
        |spec| ResNetConfig::resnet152(spec.image()?, spec.objective()?);
    "mobilenet_v2", photographs, "MobileNetV2 (Sandler et al. 2018)",
        |spec| MobileNetV2Config::new(spec.image()?, spec.objective()?);
    "efficientnet_b0", photographs, "EfficientNet-B0 (Tan and Le 2019)",
        |spec| EfficientNetConfig::b0(spec.image()?, spec.objective()?);
    "efficientnet_lite0", photographs, "EfficientNet-Lite0: no squeeze and excitation, ReLU6",
        |spec| EfficientNetConfig::lite0(spec.image()?, spec.objective()?);
    "convnext_tiny", photographs, "ConvNeXt-Tiny (Liu et al. 2022)",
        |spec| ConvNeXtConfig::tiny(spec.image()?, spec.objective()?);
    "convnext_small", photographs, "ConvNeXt-Small",
        |spec| ConvNeXtConfig::small(spec.image()?, spec.objective()?);
    "vit_ti16", photographs, "vision transformer, tiny, patches of 16 (Dosovitskiy et al. 2020)",
        |spec| VisionTransformerConfig::ti16(spec.image()?, spec.objective()?);
    "vit_s16", photographs, "vision transformer, small, patches of 16",
        |spec| VisionTransformerConfig::s16(spec.image()?, spec.objective()?);
    "vit_b16", photographs, "vision transformer, base, patches of 16",
        |spec| VisionTransformerConfig::b16(spec.image()?, spec.objective()?);
    "autoencoder", picture_copies, "dense autoencoder",
        |spec| DenseAutoencoderConfig::new(spec.reconstruction()?.numeric()?);
    "conv_autoencoder", picture_copies, "convolutional autoencoder",
        |spec| ConvAutoencoderConfig::new(spec.reconstruction()?.image()?);
    "vae", picture_copies, "variational autoencoder (Kingma and Welling 2013)",
        |spec| VariationalAutoencoderConfig::new(spec.reconstruction()?.numeric()?);
    "lstm", texts, "LSTM text classifier",
        |spec| LstmClassifierConfig::new(spec.text()?.0, spec.objective()?);
    "gru", texts, "GRU text classifier",
        |spec| GruClassifierConfig::new(spec.text()?.0, spec.objective()?);
    "transformer", texts, "transformer encoder, text classifier",
        |spec| {
            let (vocabulary, tokens) = spec.text()?;
            TransformerClassifierConfig::new(vocabulary, tokens, spec.objective()?)
        };
    "lstm_lm", corpus, "LSTM language model",
        |spec| {
            let (vocabulary, tokens) = spec.language()?;
            LstmLanguageModelConfig::new(vocabulary).with_context(tokens)
        };
    "gru_lm", corpus, "GRU language model",
        |spec| {
            let (vocabulary, tokens) = spec.language()?;
            GruLanguageModelConfig::new(vocabulary).with_context(tokens)
        };
    "gpt", corpus, "causal transformer (GPT-2's layout)",
        |spec| {
            let (vocabulary, tokens) = spec.language()?;
            GptConfig::new(vocabulary, tokens)
        };
}

/// Builds a model and hands it to `visitor`.
///
/// # Errors
/// When the architecture does not fit the data, or an option or size is impossible; and the visitor's own errors.
pub fn build<V: Visit>(build: &Build, visitor: V) -> anyhow::Result<V::Output> {
    struct Drawn<'a, V>(&'a Build<'a>, V);
    impl<V: Visit> Visit for Drawn<'_, V> {
        type Output = V::Output;

        fn visit<M: Task>(self, model: M, built: Built) -> anyhow::Result<V::Output>
        where
            M::Input: Fed,
        {
            let Drawn(build, visitor) = self;
            visitor.visit(initialised(build.document, model)?, built)
        }
    }
    assemble(build, Drawn(build, visitor))
}

/// The registered names, sorted from simple to hard.
pub fn names() -> Vec<&'static str> {
    ARCHITECTURES.iter().map(|architecture| architecture.name).collect()
}

/// Data sizes to show architectures with.
mod example {
    use super::*;

    fn spec(sample: Sample, question: Question) -> Spec {
        Spec { sample, question, loss: LossConfig::default() }
    }

    pub fn values() -> Spec {
        spec(Sample::Table { num_numeric: 20, category_sizes: Vec::new() }, Question::Value(1))
    }

    pub fn rows() -> Spec {
        spec(Sample::Table { num_numeric: 20, category_sizes: Vec::new() }, Question::Class(2))
    }

    pub fn pictures() -> Spec {
        spec(Sample::Image([1, 28, 28]), Question::Class(10))
    }

    pub fn colours() -> Spec {
        spec(Sample::Image([3, 32, 32]), Question::Class(10))
    }

    pub fn photographs() -> Spec {
        spec(Sample::Image([3, 224, 224]), Question::Class(1000))
    }

    pub fn picture_copies() -> Spec {
        spec(Sample::Image([1, 28, 28]), Question::Reconstruction)
    }

    pub fn texts() -> Spec {
        spec(Sample::Text { vocabulary: 5000, max_tokens: 128 }, Question::Class(2))
    }

    pub fn corpus() -> Spec {
        spec(Sample::Text { vocabulary: 76, max_tokens: 64 }, Question::NextToken)
    }
}

impl Architecture {
    /// `table`, `image` or `text`.
    pub fn eats(&self) -> &'static str {
        match (self.example)().sample {
            Sample::Table { .. } => "table",
            Sample::Image(_) => "image",
            Sample::Text { .. } => "text",
        }
    }

    /// The example's sizes in words.
    pub fn sizes(&self) -> String {
        let spec = (self.example)();
        let question = match spec.question {
            Question::Class(classes) => format!("answers with one of {classes} classes"),
            Question::Value(values) => format!("answers with {values} value"),
            Question::NextToken => "answers with the next token".to_string(),
            Question::Reconstruction => "answers with its input".to_string(),
        };
        let sample = match spec.sample {
            Sample::Table { num_numeric, .. } => {
                format!("rows of a table (here {num_numeric} numeric columns)")
            }
            Sample::Image([channels, height, width]) => {
                format!("pictures (here {channels} x {height} x {width})")
            }
            Sample::Text { vocabulary, max_tokens } => {
                format!("text (here a vocabulary of {vocabulary}, {max_tokens} tokens)")
            }
        };
        format!("{sample}, {question}")
    }
}

/// An architecture with its default options on its example's sizes.
pub struct Description {
    /// Options and their defaults.
    pub options: Map<String, Value>,
    /// The number of parameters that training changes: running statistics are not among them.
    pub parameters: usize,
    /// Multiply-adds of a forward pass of one sample, as papers count them; see [`multiply_adds`].
    pub multiply_adds: u64,
    /// Each parameter's path, shape and count.
    pub summary: String,
}

/// Describes an architecture. Its weights are not drawn: what is told does not depend on them.
///
/// # Errors
/// When this machine has no device of this build's backends.
pub fn describe(name: &str) -> anyhow::Result<Description> {
    struct Describe<'a>(&'a Spec, &'a Device);
    impl Visit for Describe<'_> {
        type Output = Description;

        fn visit<M: Task>(self, model: M, built: Built) -> anyhow::Result<Description>
        where
            M::Input: Fed,
        {
            let options = built.options;
            let Describe(spec, device) = self;
            let model = model.map(&mut Zeros);
            let summary = bonfire_train::tensor_summary(&model);
            let trained = bonfire_train::parameters(&model).into_iter().filter(|parameter| parameter.trained);
            let parameters = trained.map(|parameter| parameter.numbers()).sum();
            let input = M::Input::from_any(nothing(spec, &device.clone().inner()));
            let input = input.expect("an architecture fits its own example");
            let model = model.valid();
            let (_, multiply_adds) = multiply_adds(|| model.predict(input));
            Ok(Description { options, parameters, multiply_adds, summary })
        }
    }
    let device = bonfire_device::first()?.autodiff();
    let spec = (find(name).example)();
    by_default(name, &spec, &device, Describe(&spec, &device))
}

/// An architecture's options and their defaults.
///
/// # Errors
/// When this machine has no device of this build's backends.
pub fn default_options(name: &str) -> anyhow::Result<Map<String, Value>> {
    struct Options;
    impl Visit for Options {
        type Output = Map<String, Value>;

        fn visit<M: Task>(self, _: M, built: Built) -> anyhow::Result<Self::Output>
        where
            M::Input: Fed,
        {
            Ok(built.options)
        }
    }
    by_default(name, &(find(name).example)(), &bonfire_device::first()?, Options)
}

fn find(name: &str) -> &'static Architecture {
    let architecture = ARCHITECTURES.iter().find(|architecture| architecture.name == name);
    architecture.unwrap_or_else(|| unreachable!("'{name}' is not registered"))
}

/// Hands an architecture to `visitor` as it is where a recipe gives no option, its weights still to be drawn.
fn by_default<V: Visit>(name: &str, spec: &Spec, device: &Device, visitor: V) -> anyhow::Result<V::Output> {
    let document = Document::parse("defaults", "").expect("an empty document parses");
    assemble(&Build { name, options: &Map::new(), spec, document: &document, device, seed: 1 }, visitor)
}

/// Zeros for weights that are not drawn yet: memory that nobody writes is not taken.
struct Zeros;

impl ModuleMapper for Zeros {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if param.is_initialized() {
            return param;
        }
        let zeros = Tensor::zeros(param.lazy_shape(), &param.lazy_device());
        Param::initialized(param.id, zeros.require_grad())
    }
}

/// A sample of zeros.
fn nothing(spec: &Spec, device: &Device) -> AnyInput {
    match &spec.sample {
        Sample::Image([channels, height, width]) => {
            AnyInput::Images(Images { pixels: Tensor::zeros([1, *channels, *height, *width], device) })
        }
        Sample::Table { num_numeric, category_sizes } => AnyInput::Table(Table {
            numeric: Tensor::zeros([1, *num_numeric], device),
            categories: Tensor::zeros([1, category_sizes.len()], device),
        }),
        Sample::Text { max_tokens, .. } => {
            let shape = [1, *max_tokens];
            let padding = TensorData::new(vec![false; *max_tokens], shape);
            AnyInput::Tokens(Tokens {
                tokens: Tensor::zeros(shape, device),
                padding: Tensor::from_data(padding, device),
            })
        }
    }
}

/// A config's own refusal, under the recipe's key that decides the field.
fn impossible(document: &Document, error: &ConfigError) -> RecipeError {
    let key = match error.field.strip_prefix("objective.") {
        Some("loss") => "loss.name".to_string(),
        Some("outputs") => "data".to_string(),
        Some(field) => format!("loss.{field}"),
        None if error.field == "picture" => "data.resize".to_string(),
        None => format!("model.{}", error.field),
    };
    document.wrong(&key, &error.expected, &error.found)
}

/// Refuses sizes beyond any machine before memory is asked for.
fn bounded(document: &Document, options: &Map<String, Value>) -> Result<(), RecipeError> {
    const LARGEST: u64 = 1 << 20;
    const MOST_LAYERS: u64 = 1000;
    for (key, value) in options {
        let most = if key.contains("layers") || key.contains("convolutions") { MOST_LAYERS } else { LARGEST };
        let sizes = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let size = sizes.iter().filter_map(Value::as_u64).max().unwrap_or(0);
        if size > most || sizes.len() as u64 > MOST_LAYERS {
            return Err(document.wrong(&format!("model.{key}"), format!("at most {most}"), value));
        }
    }
    Ok(())
}

/// A config's keys that a recipe may give.
fn options(config: &impl Serialize) -> Map<String, Value> {
    let value = serde_json::to_value(config).expect("a config serialises");
    let Value::Object(mut options) = value else { return Map::new() };
    options.retain(|key, _| !DATA_KEYS.contains(&key.as_str()));
    options
}

/// Burn draws a parameter when it is first read; reading all of them now makes the weights depend
/// on the seed alone, not on the order in which a forward pass meets them.
///
/// # Errors
/// When there are more parameters than any machine's memory holds.
fn initialised<M: Module>(document: &Document, model: M) -> Result<M, RecipeError> {
    const MOST_PARAMETERS: usize = 100_000_000_000;
    let parameters = model.num_params();
    if parameters > MOST_PARAMETERS {
        let expected = format!("sizes of at most {MOST_PARAMETERS} parameters together");
        return Err(document.wrong("model", expected, format!("{parameters} parameters")));
    }
    struct Read;
    impl ModuleVisitor for Read {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let _ = param.val();
        }
    }
    model.visit(&mut Read);
    Ok(model)
}
