//! Which ops use the leaves of a graph: counted as the ops go forwards, and counted down as they go backwards.

use burn::backend::Flex;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::ops::NodeGuard;
use burn::backend::flex::FlexTensor;
use burn::backend::ops::FloatTensorOps;
use scoped_tls_hkt::scoped_thread_local;
use std::cell::RefCell;
use std::collections::HashMap;

/// Leaves, and how many ops of this crate use each.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    leaves: HashMap<NodeId, Leaf>,
}

#[derive(Debug)]
struct Leaf {
    place: usize,
    /// Ops that have yet to find their part of its gradient.
    uses: usize,
    /// The parts so far.
    sum: Option<FlexTensor>,
}

thread_local! {
    /// The leaves of the forward pass under way.
    static COUNTED: RefCell<Option<Uses>> = const { RefCell::new(None) };
}

scoped_thread_local! {
    /// Takes a part of the gradient of a leaf, or gives it back.
    static mut TAKES: for<'a> &'a mut (dyn FnMut(NodeId, FlexTensor) -> Option<FlexTensor> + 'a)
}

impl Uses {
    /// Runs a forward pass on this thread, and counts the uses of leaves that it [enters](enter).
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

    /// Runs the backward pass on this thread. `hand_over` gets the gradient of a leaf, by its place, when the last of the uses
    /// has run, or after the pass where some do not run.
    pub(crate) fn watch<R>(
        mut self,
        hand_over: &mut dyn FnMut(usize, FlexTensor),
        work: impl FnOnce() -> R,
    ) -> R {
        let mut takes = |leaf: NodeId, part: FlexTensor| {
            // Ops of another pass were not counted.
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
        // What was kept for a use that the loss does not depend on.
        for Leaf { place, sum, .. } in self.leaves.into_values() {
            if let Some(sum) = sum {
                hand_over(place, sum);
            }
        }
        outcome
    }
}

/// Begins to count the uses of a leaf, in a pass that is counted.
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

/// Called with what an op's backward pass found for an input: what is left to Burn.
pub(crate) fn found(input: NodeId, gradient: FlexTensor) -> Option<FlexTensor> {
    match TAKES.is_set() {
        true => TAKES.with(|takes| takes(input, gradient)),
        false => Some(gradient),
    }
}
