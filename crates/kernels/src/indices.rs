//! Indices in tensors, checked once.

use burn::backend::flex::FlexTensor;
use burn::tensor::DType;

/// A tensor's indices row after row, each below a bound.
#[derive(Clone, Debug)]
pub(crate) struct Indices(Vec<usize>);

impl Indices {
    /// The indices of `tensor`. `what` names an index in the panic's message.
    ///
    /// # Panics
    /// When an index is negative or not below `bound`.
    pub(crate) fn new(tensor: &FlexTensor, bound: usize, what: &str) -> Self {
        let tensor = tensor.to_contiguous();
        macro_rules! read {
            ($kind:ty) => {{
                let numbers: &[$kind] = tensor.as_slice().expect("row after row");
                let check = |(place, number): (usize, &$kind)| {
                    let index = usize::try_from(*number).ok().filter(|index| *index < bound);
                    index.unwrap_or_else(|| panic!("{what} {number} at {place}: expected below {bound}"))
                };
                numbers.iter().enumerate().map(check).collect()
            }};
        }
        Indices(match tensor.dtype() {
            DType::I64 => read!(i64),
            DType::I32 => read!(i32),
            DType::I16 => read!(i16),
            DType::I8 => read!(i8),
            DType::U64 => read!(u64),
            DType::U32 => read!(u32),
            DType::U16 => read!(u16),
            DType::U8 => read!(u8),
            other => panic!("{what}: expected whole numbers, found {other:?}"),
        })
    }
}

impl std::ops::Deref for Indices {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}
