//! The gradient of one step: its pieces, on this rank and on all.

use crate::costs::{Costs, measured};
use crate::exchange::{Brought, add_statistics, take_statistics};
use crate::gradient::Accumulated;
use crate::passes::Forward;
use crate::ranks::Word;
use crate::session::number;
use crate::training::{Pieces, Steps, beside_the_kernels};
use crate::{Event, TrainError};
use bonfire_contract::{Batch, Portion, Position, Task};
use bonfire_kernels::{Draws, Together, multiply_adds};
use burn::optim::GradientsParams;

impl<M: Task> Steps<'_, M> {
    /// Adds up the gradient of one step, piece by piece.
    pub(crate) fn accumulate(&mut self) -> Result<Pieces, TrainError> {
        let (plan, drop_last) = (self.plan, self.config.train.drop_last);
        let position = self.feed.position();
        let left = plan.epoch.saturating_sub(position.samples);
        let within = position.samples % plan.step;
        // The last, short step of an epoch is not even begun where it would be dropped.
        let short = drop_last && within == 0 && left < plan.step;
        // A checkpoint may stand between an epoch's last piece and its step, or between a step's.
        let mut ended = short || left == 0;
        let mut wanted = match within == 0 && self.session.state.pieces > 0 {
            true => 0,
            false => plan.step - within,
        };
        self.mean = None;
        let losses = self.session.pending();
        self.statistics = GradientsParams::new();
        add_statistics(&self.progress.model, self.table, &mut self.statistics);
        // What one rank alone knows of a signal it tells the others after its piece.
        let mut signal = if self.ranks.alone() { self.pass.interrupt.raised() } else { None };
        while signal.is_none() && !ended && wanted > 0 {
            let size = (plan.piece as u64).min(wanted) as usize;
            let before = self.feed.position();
            let left = plan.epoch.saturating_sub(before.samples);
            // The step's last piece, after which the ranks exchange gradients, and on the way what else they have to say.
            let last =
                self.exchange.is_some() && self.least_squares.is_none() && (size as u64 >= wanted.min(left));
            let read = self.feed.next(size);
            let (piece, mut failure) = match read {
                Ok(Some(portion)) => {
                    wanted -= portion.consumed().min(wanted);
                    (Some(portion), None)
                }
                // The epoch has fewer samples than it said, on all ranks.
                Ok(None) => {
                    ended = true;
                    break;
                }
                Err(error) => (None, Some(TrainError::from(error))),
            };
            let mut word = Word { clock: self.session.clock(), ..Word::default() };
            let batch = piece.and_then(Portion::batch);
            // A rank without samples comes to no batch norm, for which the others would wait.
            let together = match &self.together {
                Some(together) if self.ranks.saying(batch.is_some()) == self.ranks.count() => {
                    Some(together.clone())
                }
                _ => None,
            };
            // A piece whose backward pass goes on while gradients are exchanged.
            let mut open = None;
            if let Some(batch) = batch {
                let added = match self.least_squares.is_some() {
                    true => self.add_to_least_squares(batch),
                    false => self.forward(batch, before, together.as_ref(), last).map(|(piece, samples)| {
                        let loss = piece.loss();
                        match piece.is_watched() {
                            true => open = Some((piece, samples)),
                            false => self.backward(piece, samples, together.as_ref()),
                        }
                        (loss, samples)
                    }),
                };
                match added {
                    Ok((loss, samples)) if self.ranks.alone() => {
                        word.samples = samples;
                        self.session.add_loss(loss, samples);
                    }
                    Ok((loss, samples)) => {
                        word.samples = samples;
                        word.loss = number(loss) * samples as f64;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            word.failed = failure.is_some();
            word.signal = self.pass.interrupt.raised();
            let word = match last {
                true => self.exchange(open, word, together.as_ref()),
                false => self.ranks.agree(word),
            };
            if word.failed {
                let error = self.ranks.together(failure.map_or(Ok(()), Err)).expect_err("a rank has failed");
                self.undo(losses);
                return Ok(Pieces::Failed(error));
            }
            let state = &mut self.session.state;
            state.position = self.feed.position();
            if word.samples > 0 {
                state.pieces += 1;
                state.piece_samples += word.samples;
                if !self.ranks.alone() {
                    self.session.add_known_loss(word.loss / word.samples as f64, word.samples);
                }
            }
            self.session.clock_due |= word.clock;
            signal = word.signal;
            // With the last sample used, the epoch's end is known without asking for more.
            ended = self.feed.position().samples >= plan.epoch;
            if last {
                break;
            }
        }
        Ok(match (signal, ended) {
            (Some(signal), _) => Pieces::Interrupted(signal),
            (None, true) => Pieces::EpochEnded,
            (None, false) => Pieces::Whole,
        })
    }

    /// The forward pass of this rank's part of a piece, which begins at a position, and its samples. `watch` asks for gradients
    /// as they come.
    fn forward(
        &mut self,
        batch: Batch<M::Input>,
        start: Position,
        together: Option<&Together>,
        watch: bool,
    ) -> Result<(Forward<M>, u64), TrainError> {
        let (progress, session) = (&mut self.progress, &mut self.session);
        let samples = batch.samples.len() as u64;
        let share = self.ranks.share();
        // The kernels' dropout is a function of the step and of a sample's place in its batch, whatever the ranks and pieces;
        // elsewhere each rank draws anew for each piece.
        let state = &session.state;
        let seed = mix(self.config.seed, state.step, state.pieces * share.ranks + share.rank);
        self.pass.device.seed(seed);
        let ahead = share.of(start.samples..u64::MAX).next().unwrap_or(start.samples) - start.samples;
        let draws = Draws {
            seed: mix(self.config.seed, state.step, u64::MAX),
            first: start.samples % self.plan.step + ahead,
            step: share.ranks,
        };
        let watch = watch && bonfire_kernels::serve(self.pass.device);
        // While a second handle is held, the batch is not among what the forward pass frees.
        let held = (!self.told).then(|| batch.clone());
        let forward = || {
            Together::within(together, || {
                draws.within(|| Forward::new(&progress.model, batch, &self.config.train, seed, watch))
            })
        };
        let piece = if held.is_some() {
            let ((piece, multiply_adds), bytes) = measured(self.pass.device, || multiply_adds(forward));
            piece.check(&self.config.train)?;
            session.emit(&Event::Costs(&Costs::new(self.table, samples, multiply_adds, bytes)))?;
            self.told = true;
            piece
        } else {
            forward()
        };
        drop(held);
        Ok((piece, samples))
    }

    /// Adds the gradient of a piece.
    fn backward(&mut self, piece: Forward<M>, samples: u64, together: Option<&Together>) {
        let (progress, table) = (&mut self.progress, self.table);
        beside_the_kernels(self.pass.device, || {
            Together::within(together, || {
                progress.add_gradient(piece, samples, table, &mut |_, _| unreachable!("nothing is watched"));
            });
        });
    }

    /// Goes back to the beginning of the open step, with the losses before it.
    pub(crate) fn undo(&mut self, losses: usize) {
        self.progress.accumulated = Accumulated::default();
        self.progress.model = take_statistics(self.progress.model.clone(), self.table, &mut self.statistics);
        self.session.forget_losses(losses);
        let state = &mut self.session.state;
        let Position { epoch, samples } = state.position;
        let within = match samples % self.plan.step {
            0 if state.pieces > 0 => self.plan.step, // all of them, but the step was not taken
            within => within,
        };
        state.position = Position { epoch, samples: samples - within };
        (state.pieces, state.piece_samples) = (0, 0);
        self.feed.go_to(state.position);
    }

    /// Brings the gradient of an open step together, for rank 0 to save.
    pub(crate) fn collect_gradient(&mut self) {
        let (pieces, samples) = (self.session.state.pieces, self.session.state.piece_samples);
        if pieces == 0 {
            return;
        }
        if let Some(mean) = self.mean_gradient()
            && self.ranks.writes()
        {
            self.progress.accumulated = Accumulated::of_all(mean, pieces, samples, self.table);
        }
    }

    /// The mean gradient of the open step, on all ranks the same; none where there is one rank.
    pub(crate) fn mean_gradient(&mut self) -> Option<GradientsParams> {
        self.exchange.as_ref()?;
        if self.mean.is_none() {
            self.exchange(None, Word::default(), None);
        }
        self.mean.take()
    }

    /// Brings the mean gradient of the open step to all ranks, over all its samples, while the backward pass of its last
    /// piece goes on; and what they have to say. The ranks also go on with the mean of their running statistics, and so with
    /// the same model: each has normalised by its own part of the batch, and counts as often as it had samples.
    fn exchange(&mut self, open: Option<(Forward<M>, u64)>, word: Word, together: Option<&Together>) -> Word {
        let Some(exchange) = &mut self.exchange else { return word };
        let (ranks, progress, table) = (&self.ranks, &mut self.progress, self.table);
        let more = open.as_ref().map(|(_, samples)| *samples);
        let brought = Brought {
            weight: progress.accumulated.weight(more),
            samples: progress.accumulated.samples + more.unwrap_or(0),
            word,
        };
        let device = self.pass.device.clone().without_autodiff();
        let mut statistics = GradientsParams::new();
        add_statistics(&progress.model, table, &mut statistics);
        let (mut mean, word) = beside_the_kernels(self.pass.device, || {
            exchange.mean(ranks, table, brought, &device, |packing| {
                packing.rest(statistics);
                if let Some((piece, samples)) = open {
                    Together::within(together, || {
                        progress.add_gradient(piece, samples, table, &mut |at, gradient| {
                            packing.early(at, gradient)
                        });
                    });
                }
                packing.rest(std::mem::take(&mut progress.accumulated).gradient);
            })
        });
        self.progress.model = take_statistics(self.progress.model.clone(), self.table, &mut mean);
        self.mean = Some(mean);
        word
    }
}

/// A seed for what is random in a piece of a step, as far from the next piece's as from any other
/// (SplitMix64's finaliser, Steele et al. 2014).
pub(crate) fn mix(seed: u64, step: u64, piece: u64) -> u64 {
    [step, piece].into_iter().fold(seed, |state, part| {
        let mut z = state.wrapping_add(part.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
