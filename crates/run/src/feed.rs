//! Data of any kind to a model of any kind: loaders that wrap each batch's input in one enum, and unwrap it.

use bonfire_contract::{AnyInput, Batch, Input, Loader, Portion, Portions, Position, Share, Skipped};
use burn::tensor::Device;

/// A loader of any kind.
pub type AnyLoader = Box<dyn Loader<AnyInput>>;

/// Wraps the batches of a loader.
pub struct Wrapped<L, I> {
    loader: L,
    wrap: fn(I) -> AnyInput,
}

impl<L: Loader<I> + 'static, I: 'static> Wrapped<L, I> {
    /// A loader whose inputs are passed through `wrap`.
    pub fn boxed(loader: L, wrap: fn(I) -> AnyInput) -> AnyLoader {
        Box::new(Wrapped { loader, wrap })
    }
}

impl<L: Loader<I>, I> Loader<AnyInput> for Wrapped<L, I> {
    fn len(&self) -> u64 {
        self.loader.len()
    }

    fn portions(
        &self,
        start: Position,
        size: usize,
        share: Share,
        device: &Device,
    ) -> Portions<'_, AnyInput> {
        let portions = self.loader.portions(start, size, share, device);
        Box::new(portions.map(|portion| portion.map(|portion| with_input(portion, self.wrap))))
    }

    fn canonical_ranks(&self) -> Option<u64> {
        self.loader.canonical_ranks()
    }

    fn skipped(&self) -> Skipped {
        self.loader.skipped()
    }
}

/// Unwraps the batches of a loader into a model's kind of input.
pub struct Unwrapped<'a>(pub &'a dyn Loader<AnyInput>);

impl<I: Input> Loader<I> for Unwrapped<'_> {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn portions(&self, start: Position, size: usize, share: Share, device: &Device) -> Portions<'_, I> {
        let unwrap = |input| I::from_any(input).expect("the registry pairs models with data they eat");
        let portions = self.0.portions(start, size, share, device);
        Box::new(portions.map(move |portion| portion.map(|portion| with_input(portion, unwrap))))
    }

    fn canonical_ranks(&self) -> Option<u64> {
        self.0.canonical_ranks()
    }

    fn skipped(&self) -> Skipped {
        self.0.skipped()
    }
}

fn with_input<A, B>(portion: Portion<A>, change: impl FnOnce(A) -> B) -> Portion<B> {
    match portion {
        Portion::Samples(Batch { input, target, samples, consumed }) => {
            Portion::Samples(Batch { input: change(input), target, samples, consumed })
        }
        Portion::Nothing { consumed } => Portion::Nothing { consumed },
    }
}
