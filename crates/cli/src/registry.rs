//! Every architecture by name: what it eats, its options, and how it is built for given data.
//! A new one is one line of `architectures!` below.

use crate::document::{Document, RecipeError};
use crate::feed::Fed;
use crate::loss::LossConfig;
use crate::section::overlay_without;
use crate::spec::{Misfit, Question, Sample, Spec};
use bonfire_contract::{ConfigError, Task};
use bonfire_models::*;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::{Map, Value};

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

    /// Called once with the model that was built. The config is the model's, all keys resolved.
    ///
    /// # Errors
    /// Whatever the visitor's own work meets.
    fn visit<M>(self, model: M, options: Map<String, Value>) -> anyhow::Result<Self::Output>
    where
        M: Task,
        M::Input: Fed;
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

        /// Builds a model and hands it to `visitor`.
        ///
        /// # Errors
        /// When the architecture does not fit the data, or an option or size is impossible; and
        /// the visitor's own errors.
        pub fn build<V: Visit>(build: &Build, visitor: V) -> anyhow::Result<V::Output> {
            match build.name {
                $($name => {
                    let default = (|$spec: &Spec| -> Result<_, Misfit> { Ok($config) })(build.spec)
                        .map_err(|misfit| build.document.wrong(misfit.key, misfit.expected, misfit.found))?;
                    let config = overlay_without(build.document, "model", build.options, &default, &DATA_KEYS)?;
                    let options = options(&config);
                    bounded(build.document, &options)?;
                    config.check().map_err(|error| impossible(build.document, &error))?;
                    build.device.seed(build.seed);
                    let model = initialised(build.document, config.init(build.device))?;
                    visitor.visit(model, options)
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
        |spec| ResNetConfig::new(spec.image()?, spec.objective()?);
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
    /// Each parameter's path, shape and count.
    pub summary: String,
}

/// Describes an architecture.
///
/// # Errors
/// When this machine has no device of this build's backends.
pub fn describe(name: &str) -> anyhow::Result<Description> {
    struct Describe;
    impl Visit for Describe {
        type Output = Description;

        fn visit<M: Task>(self, model: M, options: Map<String, Value>) -> anyhow::Result<Description>
        where
            M::Input: Fed,
        {
            let trained = bonfire_train::parameters(&model).into_iter().filter(|parameter| parameter.trained);
            let parameters = trained.map(|parameter| parameter.numbers()).sum();
            Ok(Description { options, parameters, summary: bonfire_train::tensor_summary(&model) })
        }
    }
    let architecture = ARCHITECTURES.iter().find(|architecture| architecture.name == name);
    let architecture = architecture.unwrap_or_else(|| unreachable!("'{name}' is not registered"));
    let device = bonfire_device::first()?.autodiff();
    let document = Document::parse("defaults", "").expect("an empty document parses");
    let spec = (architecture.example)();
    build(
        &Build { name, options: &Map::new(), spec: &spec, document: &document, device: &device, seed: 1 },
        Describe,
    )
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
