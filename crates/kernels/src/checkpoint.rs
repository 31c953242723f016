//! Gradient checkpointing: a block keeps its input and no result within, and the backward pass runs it again
//! (Chen, Xu, Zhang and Guestrin, "Training deep nets with sublinear memory cost", 2016).
//!
//! A model calls [`block`] for each of its blocks. Inside a [`forward`] that keeps inputs only, a block runs
//! off the graph and its output starts a graph of its own. [`Checkpoints::backward`] then goes from the loss
//! to the last block's output, runs that block again on the graph, goes through it to the output of the block
//! before, and so on. Each piece is an ordinary graph of Burn's, so this works on every backend.
//!
//! Burn's own strategy (`Device::gradient_checkpointing`) computes single elementwise ops again and keeps the
//! rest. The fused ops of this crate leave it nothing to do.

use crate::Draws;
use crate::splitmix;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};
use std::cell::{Cell, RefCell};

thread_local! {
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
    static AGAIN: Cell<bool> = const { Cell::new(false) };
}

/// A forward pass under way.
struct Recording {
    seed: u64,
    /// The number of blocks so far.
    blocks: u64,
    /// The blocks to run again in the backward pass; `None` if blocks stay on the graph.
    kept: Option<Vec<Box<dyn Replay>>>,
}

/// Runs `run`, a model's forward pass and its loss. Returns its result and the blocks that the backward pass
/// runs again. With `keep`, a block keeps its input only.
///
/// A block's random numbers, such as dropout's, begin at a seed made of `seed` and the block's place. So they
/// are the same when the block runs again, and the same with and without `keep`.
pub fn forward<T>(seed: u64, keep: bool, run: impl FnOnce() -> T) -> (T, Checkpoints) {
    let recording = Recording { seed, blocks: 0, kept: keep.then(Vec::new) };
    let (outcome, recording) = recorded(recording, run);
    (outcome, Checkpoints { kept: recording.kept.unwrap_or_default() })
}

fn recorded<T>(recording: Recording, run: impl FnOnce() -> T) -> (T, Recording) {
    let before = RECORDING.replace(Some(recording));
    let outcome = run();
    let recording = RECORDING.replace(before).expect("put there above");
    (outcome, recording)
}

/// `run(module, x)` as a block, which may run again in the backward pass. Running statistics move once,
/// however often it runs.
///
/// The block's only input with a gradient must be `x`, and its only weights the module's. The loss may depend
/// on the graph before `x` through `x` alone, as it does where blocks follow each other.
pub fn block<M: Module + 'static, const D: usize>(
    module: &M,
    x: Tensor<D>,
    run: impl Fn(&M, Tensor<D>) -> Tensor<D> + Send + 'static,
) -> Tensor<D> {
    let place = RECORDING.with_borrow_mut(|recording| {
        recording.as_mut().map(|recording| {
            recording.blocks += 1;
            (recording.seed, recording.blocks, recording.kept.is_some())
        })
    });
    let Some((seed, number, keeps)) = place else { return run(module, x) };
    // Asked before the seed is set, since it may draw weights.
    let learns = learns(module);
    x.device().seed(mixed(seed, number));
    Draws::begin(number);
    let draws = Draws::current();
    if !keeps || !(learns || x.is_tracked()) {
        return run(module, x);
    }
    // The device still has autodiff, so that layers behave as in training.
    let off_the_graph = Tensor::from_inner(x.clone().inner());
    let output = run(&module.clone().no_grad(), off_the_graph);
    let output = Tensor::from_inner(output.inner()).require_grad();
    let module = module.clone();
    let kept = Kept { module, x, output: output.clone(), gradient: None, run, seed, number, draws };
    RECORDING.with_borrow_mut(|recording| {
        let kept_so_far = recording.as_mut().and_then(|recording| recording.kept.as_mut());
        kept_so_far.expect("a recording that keeps").push(Box::new(kept));
    });
    output
}

/// True while a block runs a second time, for its gradient. Counts of its first run must not be added again.
pub(crate) fn again() -> bool {
    AGAIN.get()
}

/// The blocks that kept their inputs only, in the order of the forward pass.
#[must_use = "the gradient ends at the last block's output without it"]
pub struct Checkpoints {
    kept: Vec<Box<dyn Replay>>,
}

impl Checkpoints {
    /// The number of blocks that kept their inputs only.
    pub fn blocks(&self) -> usize {
        self.kept.len()
    }

    /// The gradient of `loss`, `[1]`, for each parameter of `model` that it depends on. Without kept blocks,
    /// this is Burn's own `backward`.
    pub fn backward<M: Module>(self, loss: Tensor<1>, model: &M) -> GradientsParams {
        let mut kept = self.kept;
        let mut gradients = loss.backward();
        let mut total = GradientsParams::from_module(&mut gradients, model);
        loop {
            for block in &mut kept {
                block.collect(&mut gradients);
            }
            let Some(block) = kept.pop() else { return total };
            let Some(product) = block.replay() else { continue };
            gradients = product.backward();
            let more = GradientsParams::from_module(&mut gradients, model);
            model.visit(&mut Add { more, total: &mut total });
        }
    }
}

/// A block that runs again.
trait Replay: Send {
    /// Takes the gradient of the block's output out of `gradients`, the gradients of one piece of the graph.
    fn collect(&mut self, gradients: &mut Gradients);

    /// Runs the block again. Returns a number whose gradients are the loss's, or `None` if the loss does not
    /// depend on the block.
    fn replay(self: Box<Self>) -> Option<Tensor<1>>;
}

struct Kept<M, F, const D: usize> {
    module: M,
    x: Tensor<D>,
    /// The block's output, at which a graph of its own begins.
    output: Tensor<D>,
    gradient: Option<Tensor<D>>,
    run: F,
    seed: u64,
    number: u64,
    draws: Option<Draws>,
}

impl<M: Module, F: Fn(&M, Tensor<D>) -> Tensor<D> + Send, const D: usize> Replay for Kept<M, F, D> {
    fn collect(&mut self, gradients: &mut Gradients) {
        if let Some(more) = self.output.grad_remove(gradients) {
            self.gradient = Some(match self.gradient.take() {
                None => more,
                Some(so_far) => so_far + more,
            });
        }
    }

    fn replay(self: Box<Self>) -> Option<Tensor<1>> {
        let Kept { module, x, output, gradient, run, seed, number, draws } = *self;
        drop(output);
        let gradient = Tensor::from_inner(gradient?);
        x.device().seed(mixed(seed, number));
        // Blocks within the block get the same numbers again.
        let recording = Recording { seed, blocks: number, kept: None };
        AGAIN.set(true);
        let (output, _) = recorded(recording, || match draws {
            Some(draws) => draws.within(|| run(&module, x)),
            None => run(&module, x),
        });
        AGAIN.set(false);
        // the sum's gradient is 1, so the product's gradient is the block's
        output.is_tracked().then(|| (output * gradient).sum())
    }
}

/// Adds the gradients of one piece of the graph to the total.
struct Add<'a> {
    more: GradientsParams,
    total: &'a mut GradientsParams,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(more) = self.more.remove::<D>(param.id) {
            let sum = match self.total.remove::<D>(param.id) {
                None => more,
                Some(so_far) => so_far + more,
            };
            self.total.register(param.id, sum);
        }
    }
}

/// True if any weight of the module takes a gradient. Draws the weights that were not drawn yet: Burn's
/// clones share a weight until it is drawn, and freezing a clone before that would freeze the module's own.
fn learns<M: Module>(module: &M) -> bool {
    struct Look(bool);
    impl ModuleVisitor for Look {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let _drawn = param.val();
            self.0 |= param.is_require_grad();
        }
    }
    let mut look = Look(false);
    module.visit(&mut look);
    look.0
}

/// A block's seed. Neighbouring blocks' seeds are as unlike as any others (SplitMix64, Steele et al. 2014).
fn mixed(seed: u64, number: u64) -> u64 {
    splitmix::scrambled(seed.wrapping_add(number.wrapping_mul(splitmix::GOLDEN)))
}

#[cfg(test)]
mod tests {
    //! A chain of blocks with a stem, a head, shortcuts, dropout, batch norm and a weight that two parts
    //! share.

    use super::*;
    use crate::Activation;
    use crate::modules::{batch_norm, dropout, linear};
    use crate::testing::alone;
    use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig};
    use burn::tensor::{Device, Distribution};

    #[derive(Module, Debug)]
    struct Block {
        linear: Linear,
        norm: BatchNorm,
        dropout: Dropout,
    }

    impl Block {
        fn forward(&self, x: Tensor<2>) -> Tensor<2> {
            let branch = linear(&self.linear, x.clone(), Activation::Identity);
            x + dropout(&self.dropout, batch_norm(&self.norm, branch, None, Activation::Relu))
        }
    }

    #[derive(Module, Debug)]
    struct Net {
        stem: Linear,
        blocks: Vec<Block>,
    }

    impl Net {
        fn new(device: &Device) -> Self {
            device.seed(1);
            let block = |_| Block {
                linear: LinearConfig::new(6, 6).init(device),
                norm: BatchNormConfig::new(6).init(device),
                dropout: DropoutConfig::new(0.3).init(),
            };
            let net = Net { stem: LinearConfig::new(6, 6).init(device), blocks: (0..4).map(block).collect() };
            net.materialize()
        }

        /// The head's weight is the stem's, and the second block's output also reaches the loss directly.
        fn loss(&self, x: Tensor<2>) -> Tensor<1> {
            let mut x = linear(&self.stem, x, Activation::Tanh);
            let mut past = None;
            for (index, of_blocks) in self.blocks.iter().enumerate() {
                x = block(of_blocks, x, |of_blocks, x| of_blocks.forward(x));
                if index == 1 {
                    past = Some(x.clone());
                }
            }
            let x = x + past.expect("more than one block") * 0.5;
            x.matmul(self.stem.weight.val().transpose()).square().mean()
        }
    }

    struct Collect<'a>(&'a GradientsParams, Vec<Vec<f32>>);

    impl ModuleVisitor for Collect<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let values = |tensor: Tensor<D>| tensor.into_data().try_into_vec::<f32>().unwrap();
            self.1.push(self.0.get::<D>(param.id).map_or(Vec::new(), values));
            if !param.is_require_grad() {
                self.1.push(values(param.val()));
            }
        }
    }

    /// Gradients and running statistics after a step, and the number of blocks that kept their inputs only.
    fn step(keep: bool, change: impl Fn(Net) -> Net) -> (Vec<Vec<f32>>, usize) {
        let _alone = alone();
        let device = Device::flex().autodiff();
        let net = change(Net::new(&device));
        let x = Tensor::<2>::random([16, 6], Distribution::Normal(0.0, 1.0), &device);
        let (loss, checkpoints) = forward(8, keep, || net.loss(x));
        let blocks = checkpoints.blocks();
        let gradients = checkpoints.backward(loss, &net);
        let mut found = Collect(&gradients, Vec::new());
        net.valid().visit(&mut found);
        (found.1, blocks)
    }

    #[test]
    fn gradients_and_running_statistics_are_those_of_the_whole_graph() {
        let (whole, none) = step(false, |net| net);
        let (pieces, blocks) = step(true, |net| net);
        assert_eq!((none, blocks), (0, 4));
        assert_eq!(whole.len(), pieces.len());
        for (found, expected) in pieces.iter().zip(&whole) {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
                    "{found} is not {expected}"
                );
            }
        }
        assert!(whole.iter().flatten().any(|number| *number != 0.0));
    }

    #[test]
    fn frozen_blocks_stay_on_the_graph_until_something_learns() {
        let freeze = |count: usize| {
            move |mut net: Net| {
                net.stem = net.stem.no_grad();
                let blocks = net.blocks.into_iter().enumerate();
                net.blocks = blocks
                    .map(|(index, block)| if index < count { block.no_grad() } else { block })
                    .collect();
                net
            }
        };
        let ((whole, _), (pieces, blocks)) = (step(false, freeze(2)), step(true, freeze(2)));
        assert_eq!(blocks, 2);
        assert_eq!(whole, pieces);
    }

    #[test]
    fn elsewhere_a_block_is_a_plain_call() {
        let device = Device::flex().autodiff();
        let net = Net::new(&device);
        let x = Tensor::<2>::ones([4, 6], &device);
        let gradients = net.loss(x).backward();
        assert!(net.blocks[0].linear.weight.val().grad(&gradients).is_some());
    }
}
