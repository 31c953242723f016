//! The contract of an architecture: everything that is known of a model beside its weights.

use crate::headed::Headed;
use crate::keys::LayerNames;
use crate::language::LanguageModel;
use crate::spec::{Misfit, Spec};
use bonfire_contract::{ConfigError, LeastSquares, Task};
use burn::config::Config;
use burn::tensor::{Device, TensorData};

/// The form of the pictures that published weights were trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedPixels {
    /// Pixels a side.
    pub size: usize,
    /// Subtracted from pixels in 0..1, for red, green and blue.
    pub mean: [f64; 3],
    /// Divides them after that.
    pub std: [f64; 3],
}

impl PublishedPixels {
    /// Mean and deviation of ImageNet's pixels, as torchvision's and most of timm's weights expect.
    pub const IMAGENET: PublishedPixels =
        PublishedPixels { size: 224, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };

    /// Pixels from -1 to 1, as TensorFlow's weights expect, and those that came from them.
    pub const SYMMETRIC: PublishedPixels = PublishedPixels { size: 224, mean: [0.5; 3], std: [0.5; 3] };
}

/// A config that makes a model, and knows what others must know of it.
///
/// The config's fields are the keys below a recipe's `[model]`, but for [`DATA_KEYS`](Self::DATA_KEYS). A
/// config that passes [`check`](Self::check) makes a model without a panic. The methods with a body are for
/// the few architectures that have more to say.
pub trait Architecture: Config + Clone {
    /// The module.
    type Model: Task;

    /// The fields that the data decide and no recipe gives.
    const DATA_KEYS: &'static [&'static str];

    /// True where pictures may have another size in each batch: convolutions up to a mean or a maximum over
    /// all places.
    const ANY_PICTURE_SIZE: bool = false;

    /// The config with its defaults, for data of these sizes and this question.
    ///
    /// # Errors
    /// When the model takes another kind of data, or answers another question.
    fn for_data(spec: &Spec) -> Result<Self, Misfit>;

    /// Refuses sizes that no such model can have, or no machine can hold.
    ///
    /// # Errors
    /// With the field, its bounds and its value.
    fn check(&self) -> Result<(), ConfigError>;

    /// The model with weights drawn from the device's generator.
    fn init(&self, device: &Device) -> Self::Model;

    /// The names that other libraries give to the model's layers: the library (`torchvision`, `timm`), and
    /// the names. None where no other library has weights for it.
    fn names_elsewhere(&self) -> Vec<(&'static str, LayerNames)> {
        Vec::new()
    }

    /// The pictures that the weights of a library were trained on, where the model takes pictures: those of
    /// ImageNet as torchvision brings them, unless the architecture says otherwise.
    fn published_pixels(&self, library: &str) -> PublishedPixels {
        let _ = library;
        PublishedPixels::IMAGENET
    }

    /// True where [`Architecture::fit`] takes a published tensor of `shape` for the model's at `path`. Nothing
    /// else of another shape is read from a file.
    fn can_fit(&self, path: &str, shape: &[usize]) -> bool {
        let _ = (path, shape);
        false
    }

    /// Published weights of another shape than the model's, made to fit it: positions of patches, for
    /// example, for pictures of another size. None where they cannot be.
    ///
    /// `path` is the tensor's in the model, `found` the published tensor in the model's layout; it is worked
    /// on with `device`.
    fn fit(&self, path: &str, found: &TensorData, device: &Device) -> Option<TensorData> {
        let _ = (path, found, device);
        None
    }

    /// The solution by least squares, where the model's values are weighted sums and its loss is the squared
    /// error.
    fn least_squares(&self) -> Option<LeastSquares<Self::Model>> {
        None
    }

    /// The model as features and a head, where it ends in a head that answers about features. The head is the
    /// model's field `head`.
    fn headed(model: &Self::Model) -> Option<&dyn Headed<Input = <Self::Model as Task>::Input>> {
        let _ = model;
        None
    }

    /// The model as a language model, where it is one: text can be sampled from it.
    fn language_model(model: &Self::Model) -> Option<&dyn LanguageModel> {
        let _ = model;
        None
    }
}
