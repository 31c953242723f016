//! The uses of a graph's leaves by ops: counted up in the forward pass and down in the backward pass.

use burn::backend::Flex;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::ops::NodeGuard;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use scoped_tls_hkt::scoped_thread_local;
use std::cell::RefCell;
use std::collections::HashMap;

/// Leaves, and the number of this crate's ops that use each.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    leaves: HashMap<NodeId, Leaf>,
}

#[derive(Debug)]
struct Leaf {
    place: usize,
    /// The number of ops that have yet to compute their part of the leaf's gradient.
    uses: usize,
    /// The sum of the parts so far.
    sum: Option<FlexTensor>,
}

thread_local! {
    /// The leaves of the forward pass under way.
    static COUNTED: RefCell<Option<Uses>> = const { RefCell::new(None) };
}

scoped_thread_local! {
    /// Takes over a part of a leaf's gradient, or returns it for Burn.
    static mut TAKES: for<'a> &'a mut (dyn FnMut(NodeId, FlexTensor) -> Option<FlexTensor> + 'a)
}

impl Uses {
    /// Runs a forward pass on this thread and counts the uses of the leaves that it [enters](enter).
    pub(crate) fn count<R>(run: impl FnOnce() -> R) -> (R, Uses) {
        struct Before(Option<Uses>);
        impl Drop for Before {
            fn drop(&mut self) {
                COUNTED.set(self.0.take());
            }
        }
        let _before = Before(COUNTED.replace(Some(Uses::default())));
        let outcome = run();
        (outcome, COUNTED.take().unwrap_or_default())
    }

    /// Runs `work`, the backward pass, on this thread. `hand_over` gets a leaf's place and gradient when the
    /// leaf's last use has run, or after the pass if some uses never run.
    pub(crate) fn watch<R>(
        mut self,
        hand_over: &mut dyn FnMut(usize, FlexTensor),
        work: impl FnOnce() -> R,
    ) -> R {
        let mut takes = |leaf: NodeId, part: FlexTensor| {
            // Uses in another pass were not counted.
            let leaf = self.leaves.get_mut(&leaf).filter(|leaf| leaf.uses > 0);
            let Some(leaf) = leaf else { return Some(part) };
            let sum = match leaf.sum.take() {
                Some(sum) => Flex::float_add(sum, part),
                None => part,
            };
            leaf.uses -= 1;
            match leaf.uses {
                0 => hand_over(leaf.place, sum),
                _ => leaf.sum = Some(sum),
            }
            None
        };
        let outcome = TAKES.set(&mut takes, work);
        // Sums of leaves with a use that the loss does not depend on.
        for Leaf { place, sum, .. } in self.leaves.into_values() {
            if let Some(sum) = sum {
                hand_over(place, sum);
            }
        }
        outcome
    }
}

/// Begins to count the uses of a leaf, if this pass is counted.
pub(crate) fn enter(leaf: NodeId, place: usize) {
    COUNTED.with_borrow_mut(|counted| {
        if let Some(counted) = counted {
            counted.leaves.insert(leaf, Leaf { place, uses: 0, sum: None });
        }
    });
}

/// Called for the inputs of each op of a forward pass.
pub(crate) fn used(inputs: &[NodeGuard]) {
    COUNTED.with_borrow_mut(|counted| {
        let Some(counted) = counted else { return };
        for input in inputs {
            if let Some(leaf) = counted.leaves.get_mut(&input.id()) {
                leaf.uses += 1;
            }
        }
    });
}

/// Called with an input's gradient by an op's backward pass. Returns the gradient if it is left to Burn.
pub(crate) fn found(input: NodeId, gradient: FlexTensor) -> Option<FlexTensor> {
    if TAKES.is_set() { TAKES.with(|takes| takes(input, gradient)) } else { Some(gradient) }
}
