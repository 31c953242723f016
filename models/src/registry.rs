//! Every architecture by name, sorted from simple to hard. A new one is one line of `architectures!` below.
//!
//! The types of configs and models differ, so the caller says with a [`Visit`] what is to be done with any of
//! them.

use crate::architecture::Architecture;
use crate::spec::{Misfit, Sample, Spec};
use crate::*;
use bonfire_contract::{did_you_mean, nearest};

/// An architecture's facts that need no data.
pub struct Entry {
    /// The value of `[model] name`.
    pub name: &'static str,
    /// A line about it.
    pub about: &'static str,
    /// Data sizes to show and to test it with.
    pub example: fn() -> Spec,
    /// The same of texts as counted n-grams, where it takes them, too.
    pub counted: Option<fn() -> Spec>,
    /// True where pictures may have another size in each batch.
    pub any_picture_size: bool,
}

/// Work on an architecture, whichever it is.
pub trait Visit {
    /// The result of the work.
    type Output;

    /// Called once, with the architecture's default for the data.
    fn visit<A: Architecture>(self, default: A) -> Self::Output;
}

macro_rules! architectures {
    ($(
        $name:literal, $example:ident, $about:literal, $default:expr $(, or $counted:ident $of_counted:expr)?;
    )*) => {
        /// Every architecture, sorted from simple to hard.
        pub const ARCHITECTURES: &[Entry] = &[$(Entry {
            name: $name,
            about: $about,
            example: example::$example,
            counted: only(&[$(example::$counted)?]),
            any_picture_size: takes_any_picture_size($default),
        }),*];

        /// Hands the default of the architecture of that name, for data of these sizes, to `visitor`.
        ///
        /// # Errors
        /// When there is no such architecture, or it does not fit the data.
        pub fn visit<V: Visit>(name: &str, spec: &Spec, visitor: V) -> Result<V::Output, Misfit> {
            match name {
                $($(
                    $name if matches!(spec.sample, Sample::Bag { .. }) => {
                        Ok(visitor.visit(default(spec, $of_counted)?))
                    }
                )?)*
                $($name => Ok(visitor.visit(default(spec, $default)?)),)*
                _ => Err(unknown(name)),
            }
        }
    };
}

architectures! {
    "linear", values, "linear regression: least squares; also of counted n-grams", LinearRegressionConfig::for_data,
        or value_of_ngrams BagRegressionConfig::for_data;
    "logistic", rows, "logistic (softmax) regression; also of counted n-grams", LogisticRegressionConfig::for_data,
        or class_of_ngrams |spec| Ok(BagRegressionConfig::new(spec.bag()?, spec.classes()?));
    "mlp", rows, "multi-layer perceptron, with embeddings for categories", MlpConfig::for_data;
    "lenet", pictures, "LeNet-5 (LeCun et al. 1998)", LeNetConfig::for_data;
    "cnn", pictures, "convolutions with batch norm, in stages", CnnConfig::for_data;
    "resnet", pictures, "residual network for small pictures (He et al. 2015, section 4.2)",
        SmallResNetConfig::for_data;
    "resnet9", colours, "ResNet-9 for small pictures (Page 2018)", ResNet9Config::for_data;
    "resnet18", photographs, "ResNet-18 (He et al. 2015)",
        |spec| Ok(ResNetConfig::resnet18(spec.image()?, spec.objective()?));
    "resnet34", photographs, "ResNet-34",
        |spec| Ok(ResNetConfig::resnet34(spec.image()?, spec.objective()?));
    "resnet50", photographs, "ResNet-50 (v1.5)",
        |spec| Ok(ResNetConfig::resnet50(spec.image()?, spec.objective()?));
    "resnet101", photographs, "ResNet-101 (v1.5)",
        |spec| Ok(ResNetConfig::resnet101(spec.image()?, spec.objective()?));
    "resnet152", photographs, "ResNet-152 (v1.5)",
        |spec| Ok(ResNetConfig::resnet152(spec.image()?, spec.objective()?));
    "mobilenet_v2", photographs, "MobileNetV2 (Sandler et al. 2018)", MobileNetV2Config::for_data;
    "efficientnet_b0", photographs, "EfficientNet-B0 (Tan and Le 2019)",
        |spec| Ok(EfficientNetConfig::b0(spec.image()?, spec.objective()?));
    "efficientnet_lite0", photographs, "EfficientNet-Lite0: no squeeze and excitation, ReLU6",
        |spec| Ok(EfficientNetConfig::lite0(spec.image()?, spec.objective()?));
    "convnext_tiny", photographs, "ConvNeXt-Tiny (Liu et al. 2022)",
        |spec| Ok(ConvNeXtConfig::tiny(spec.image()?, spec.objective()?));
    "convnext_small", photographs, "ConvNeXt-Small",
        |spec| Ok(ConvNeXtConfig::small(spec.image()?, spec.objective()?));
    "vit_ti16", photographs, "vision transformer, tiny, patches of 16 (Dosovitskiy et al. 2020)",
        |spec| Ok(VisionTransformerConfig::ti16(spec.image()?, spec.objective()?));
    "vit_s16", photographs, "vision transformer, small, patches of 16",
        |spec| Ok(VisionTransformerConfig::s16(spec.image()?, spec.objective()?));
    "vit_b16", photographs, "vision transformer, base, patches of 16",
        |spec| Ok(VisionTransformerConfig::b16(spec.image()?, spec.objective()?));
    "autoencoder", picture_copies, "dense autoencoder", DenseAutoencoderConfig::for_data;
    "conv_autoencoder", picture_copies, "convolutional autoencoder", ConvAutoencoderConfig::for_data;
    "vae", picture_copies, "variational autoencoder (Kingma and Welling 2013)",
        VariationalAutoencoderConfig::for_data;
    "lstm", texts, "LSTM text classifier", LstmClassifierConfig::for_data;
    "gru", texts, "GRU text classifier", GruClassifierConfig::for_data;
    "transformer", texts, "transformer encoder, text classifier", TransformerClassifierConfig::for_data;
    "lstm_lm", corpus, "LSTM language model", LstmLanguageModelConfig::for_data;
    "gru_lm", corpus, "GRU language model", GruLanguageModelConfig::for_data;
    "gpt", corpus, "causal transformer (GPT-2's layout)", GptConfig::for_data;
}

/// The registered names, sorted from simple to hard.
pub fn names() -> Vec<&'static str> {
    ARCHITECTURES.iter().map(|entry| entry.name).collect()
}

/// The architecture of that name.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Entry, Misfit> {
    ARCHITECTURES.iter().find(|entry| entry.name == name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Misfit {
    let names = names();
    let expected = format!("one of {}", names.join(", "));
    let suggestion = did_you_mean(nearest(name, names));
    Misfit { key: "model.name", expected, found: format!("'{name}'{suggestion}") }
}

/// Calls a line's constructor; its type is known here, where a closure's is to be told.
fn default<A: Architecture>(spec: &Spec, make: fn(&Spec) -> Result<A, Misfit>) -> Result<A, Misfit> {
    make(spec)
}

/// The only one of a few; none of none.
const fn only(examples: &[fn() -> Spec]) -> Option<fn() -> Spec> {
    match examples {
        [example] => Some(*example),
        _ => None,
    }
}

const fn takes_any_picture_size<A: Architecture>(_: fn(&Spec) -> Result<A, Misfit>) -> bool {
    A::ANY_PICTURE_SIZE
}

/// Data sizes to show architectures with.
mod example {
    use crate::spec::{LossConfig, Question, Sample, Spec};

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

    pub fn value_of_ngrams() -> Spec {
        spec(Sample::Bag { features: 50_000 }, Question::Value(1))
    }

    pub fn class_of_ngrams() -> Spec {
        spec(Sample::Bag { features: 50_000 }, Question::Class(2))
    }

    pub fn corpus() -> Spec {
        spec(Sample::Text { vocabulary: 76, max_tokens: 64 }, Question::NextToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Question;
    use std::collections::BTreeSet;

    /// A config as JSON, and the keys that the data decide.
    struct Json;

    impl Visit for Json {
        type Output = (serde_json::Value, &'static [&'static str]);

        fn visit<A: Architecture>(self, default: A) -> Self::Output {
            default.check().unwrap();
            (serde_json::to_value(&default).unwrap(), A::DATA_KEYS)
        }
    }

    /// Every architecture with each kind of data that it takes.
    fn examples() -> impl Iterator<Item = (&'static str, fn() -> Spec)> {
        let each = |entry: &'static Entry| [Some(entry.example), entry.counted].map(|of| (entry.name, of));
        ARCHITECTURES.iter().flat_map(each).filter_map(|(name, of)| Some((name, of?)))
    }

    #[test]
    fn defaults_fit_their_examples_and_have_the_keys_that_data_decide() {
        for (name, example) in examples() {
            let (config, of_data) =
                visit(name, &example(), Json).unwrap_or_else(|error| panic!("{name}: {error}"));
            for key in of_data {
                assert!(config.get(key).is_some(), "{name} has no {key}");
            }
        }
    }

    #[test]
    fn other_data_change_no_key_that_a_recipe_gives() {
        for (name, example) in examples() {
            let mut other = example();
            match &mut other.sample {
                Sample::Image(shape) => *shape = [2, 64, 64],
                Sample::Text { vocabulary, max_tokens } => (*vocabulary, *max_tokens) = (9, 5),
                Sample::Bag { features } => *features = 3,
                Sample::Table { num_numeric, .. } => *num_numeric = 3,
            }
            if let Question::Class(classes) = &mut other.question {
                *classes += 1;
            }
            let (first, of_data) = visit(name, &example(), Json).unwrap();
            let (second, _) = visit(name, &other, Json).unwrap();
            for (key, value) in first.as_object().unwrap() {
                assert!(of_data.contains(&key.as_str()) || &second[key] == value, "{name}: {key}");
            }
        }
    }

    /// The keys of a recipe's `[model]` are known before the data are.
    #[test]
    fn options_are_the_same_for_every_kind_of_data() {
        for Entry { name, example, counted, .. } in ARCHITECTURES {
            let options = |example: &fn() -> Spec| {
                let (config, of_data) = visit(name, &example(), Json).unwrap();
                let mut keys = config.as_object().unwrap().clone();
                keys.retain(|key, _| !of_data.contains(&key.as_str()));
                keys
            };
            let of_counted = counted.as_ref().map(options);
            assert!(of_counted.is_none_or(|keys| keys == options(example)), "{name}");
        }
    }

    #[test]
    fn counted_texts_are_for_linear_models_and_these_say_how_to_count() {
        let counted = example::class_of_ngrams();
        let message = |name: &str, spec: &Spec| visit(name, spec, Json).err().unwrap().to_string();
        let error = message("lstm", &counted);
        assert!(
            error.contains("expected a model that eats text as counted n-grams (linear or logistic)"),
            "{error}"
        );
        assert!(message("logistic", &example::texts()).contains("data.vocabulary = \"ngrams\""));
        assert!(visit("linear", &counted, Json).is_ok());
        assert!(message("logistic", &example::value_of_ngrams()).contains("a regression model"));
    }

    #[test]
    fn names_are_found_once_and_others_not() {
        let once: BTreeSet<_> = names().into_iter().collect();
        assert_eq!(once.len(), ARCHITECTURES.len());
        assert_eq!(find("gpt").unwrap().name, "gpt");
        let error = find("gtp").err().unwrap().to_string();
        assert!(error.starts_with("model.name: expected one of linear, logistic, "), "{error}");
        assert!(error.ends_with(", found 'gtp'; did you mean 'gpt'?"), "{error}");
        let error = find("perceiver").err().unwrap().to_string();
        assert!(error.ends_with(", found 'perceiver'"), "none is near enough: {error}");
        assert!(visit("gtp", &example::corpus(), Json).is_err());
    }
}
