//! Batches: the inputs of models of each kind, and their targets. `B` samples, `C` channels, `H` x `W`
//! pixels, `T` tokens or features, `N` numeric columns, `M` categorical columns, `O` outputs.

use burn::tensor::{Bool, Device, Int, Tensor};

/// Pictures, `[B, C, H, W]` f32, normalised as the data set's transforms say.
#[derive(Clone, Debug)]
pub struct Images {
    /// `[B, C, H, W]`
    pub pixels: Tensor<4>,
}

/// Token sequences of one length, the shorter ones padded at their end.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Indices into the vocabulary, `[B, T]`.
    pub tokens: Tensor<2, Int>,
    /// True where a position is padding and carries no text, `[B, T]`.
    pub padding: Tensor<2, Bool>,
}

/// Texts as weighted features, in no order: the words and n-grams that each holds. Texts of fewer features than
/// the longest have features of the weight 0 at their end.
#[derive(Clone, Debug)]
pub struct Bags {
    /// The numbers of the features, `[B, T]`.
    pub features: Tensor<2, Int>,
    /// The weight of each, `[B, T]`.
    pub weights: Tensor<2>,
}

/// Rows of a table. Either part may have zero columns, never both.
#[derive(Clone, Debug)]
pub struct Table {
    /// Standardised numeric columns, `[B, N]`.
    pub numeric: Tensor<2>,
    /// Category indices, one column an attribute, `[B, M]`; index 0 is the unknown category.
    pub categories: Tensor<2, Int>,
}

/// A batch's input of any kind, where the kind of the data is known only while the program runs.
#[derive(Clone, Debug)]
pub enum AnyInput {
    /// Pictures.
    Images(Images),
    /// Token sequences.
    Tokens(Tokens),
    /// Weighted features.
    Bags(Bags),
    /// Table rows.
    Table(Table),
}

/// The input of a [`Task`](crate::Task).
pub trait Input: Clone + Send + 'static {
    /// This kind of input, from the kind that the data have; `None` where the two do not fit. Table rows are
    /// also made from pictures, flattened.
    fn from_any(input: AnyInput) -> Option<Self>;

    /// The number of samples `B`.
    fn len(&self) -> usize;

    /// True where there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The device that holds the tensors.
    fn device(&self) -> Device;
}

impl Input for AnyInput {
    fn from_any(input: AnyInput) -> Option<Self> {
        Some(input)
    }

    fn len(&self) -> usize {
        match self {
            AnyInput::Images(input) => input.len(),
            AnyInput::Tokens(input) => input.len(),
            AnyInput::Bags(input) => input.len(),
            AnyInput::Table(input) => input.len(),
        }
    }

    fn device(&self) -> Device {
        match self {
            AnyInput::Images(input) => input.device(),
            AnyInput::Tokens(input) => input.device(),
            AnyInput::Bags(input) => input.device(),
            AnyInput::Table(input) => input.device(),
        }
    }
}

impl Input for Images {
    fn from_any(input: AnyInput) -> Option<Self> {
        if let AnyInput::Images(images) = input { Some(images) } else { None }
    }

    fn len(&self) -> usize {
        self.pixels.dims()[0]
    }

    fn device(&self) -> Device {
        self.pixels.device()
    }
}

impl Input for Tokens {
    fn from_any(input: AnyInput) -> Option<Self> {
        if let AnyInput::Tokens(tokens) = input { Some(tokens) } else { None }
    }

    fn len(&self) -> usize {
        self.tokens.dims()[0]
    }

    fn device(&self) -> Device {
        self.tokens.device()
    }
}

impl Input for Bags {
    fn from_any(input: AnyInput) -> Option<Self> {
        if let AnyInput::Bags(bags) = input { Some(bags) } else { None }
    }

    fn len(&self) -> usize {
        self.features.dims()[0]
    }

    fn device(&self) -> Device {
        self.features.device()
    }
}

impl Input for Table {
    fn from_any(input: AnyInput) -> Option<Self> {
        match input {
            AnyInput::Table(table) => Some(table),
            AnyInput::Images(images) => Some(images.into()),
            AnyInput::Tokens(_) | AnyInput::Bags(_) => None,
        }
    }

    fn len(&self) -> usize {
        self.numeric.dims()[0]
    }

    fn device(&self) -> Device {
        self.numeric.device()
    }
}

/// Pictures as rows of numbers, `C * H * W` numeric columns, so that a table model trains on them.
impl From<Images> for Table {
    fn from(images: Images) -> Self {
        let [batch, _, _, _] = images.pixels.dims();
        let device = images.pixels.device();
        Table {
            numeric: images.pixels.flatten(1, 3), // [B, C * H * W]
            categories: Tensor::zeros([batch, 0], &device),
        }
    }
}

/// The thing that an output is compared with.
#[derive(Clone, Debug)]
pub enum Target {
    /// Class indices, `[B]`.
    Classes(Tensor<1, Int>),
    /// The probability of each class, `[B, K]`, where samples were mixed.
    Probabilities(Tensor<2>),
    /// Real values, `[B, O]`, standardised as the columns' statistics say.
    Values(Tensor<2>),
    /// The token that follows each token of the input, `[B, T]`.
    NextTokens(Tensor<2, Int>),
    /// The input itself (autoencoders).
    Input,
    /// None: samples to predict, whose answer nobody knows. No loss and no metric takes it.
    Absent,
}

/// Some samples of an epoch, in the order's sequence.
#[derive(Clone, Debug)]
pub struct Batch<I> {
    /// The model's input.
    pub input: I,
    /// The target that its output is compared with.
    pub target: Target,
    /// The number of each sample in its set, from 0 on, `[B]`.
    pub samples: Vec<u64>,
    /// Samples of the order that the batch used up: its own, the corrupt ones it skipped, and those of other
    /// shares.
    pub consumed: u64,
}
