//! The pieces of one step, read and taken in one after the other.

use crate::r#loop::{FitLoop, Pieces};
use crate::ranks::Report;
use crate::step::Piece;
use crate::{Event, TrainError};
use bonfire_contract::{LoadError, Portion, Position, Task};

impl<M: Task> FitLoop<'_, M> {
    /// Takes in pieces until the step has all its samples.
    pub(crate) fn take_pieces(&mut self) -> Pieces {
        let (length, position) = (self.length, self.feed.position());
        let left = length.epoch.saturating_sub(position.samples);
        let within = position.samples % length.step;
        // The last, short step of an epoch is not even begun where it would be dropped.
        let short = self.config.train.drop_last && within == 0 && left < length.step;
        // A checkpoint may stand between an epoch's last piece and its step, or between a step's last piece
        // and its update.
        let mut ended = short || left == 0;
        let mut wanted = if within == 0 && self.state.pieces > 0 { 0 } else { length.step - within };
        let losses = self.losses.pending();
        self.step.begin(&self.learner);
        // Ranks of a job hear of a signal with the report of a piece, so that all stop after the same one.
        let mut signal = self.ranks.signal_known_to_all(&self.interrupt);
        while signal.is_none() && !ended && wanted > 0 {
            let piece = self.next_piece(wanted);
            let share = match self.feed.next(piece.samples as usize) {
                Ok(Some(share)) => Ok(share),
                // The epoch has fewer samples than it said, on all ranks.
                Ok(None) => {
                    ended = true;
                    break;
                }
                Err(error) => Err(error),
            };
            wanted -= share.as_ref().map_or(0, Portion::consumed).min(wanted);
            match self.take_piece(share, piece) {
                Ok(report) => signal = report.signal,
                Err(error) => {
                    self.undo(losses);
                    return Pieces::Failed(error);
                }
            }
            // With the last sample used, the epoch's end is known without asking for more.
            ended = self.feed.position().samples >= length.epoch;
            if self.step.is_closed() {
                break;
            }
        }
        match (signal, ended) {
            (Some(signal), _) => Pieces::Interrupted(signal),
            (None, true) => Pieces::EpochEnded,
            (None, false) => Pieces::Whole,
        }
    }

    /// The piece that follows, of a step that wants so many samples more.
    fn next_piece(&self, wanted: u64) -> Piece {
        let start = self.feed.position();
        let samples = (self.length.piece as u64).min(wanted);
        let left = self.length.epoch.saturating_sub(start.samples);
        let (step, number) = (self.state.step, self.state.pieces);
        Piece { samples, start, step, number, last: samples >= wanted.min(left) }
    }

    /// Takes in this rank's share of a piece, and counts the whole piece. The common report of all ranks
    /// comes back.
    ///
    /// # Errors
    /// When a rank cannot read or take in its share; on all ranks.
    fn take_piece(
        &mut self,
        share: Result<Portion<M::Input>, LoadError>,
        piece: Piece,
    ) -> Result<Report, TrainError> {
        let clock = self.keeper.clock_rings();
        let (share, read) = match share {
            Ok(share) => (share.batch(), Ok(())),
            Err(error) => (None, Err(TrainError::from(error))),
        };
        let taken = self.step.take(&mut self.learner, share, piece);
        let outcome = read.and(
            taken.and_then(|costs| costs.map_or(Ok(()), |costs| self.keeper.emit(&Event::Costs(&costs)))),
        );
        let own =
            Report { clock, failed: outcome.is_err(), signal: self.interrupt.raised(), ..Report::default() };
        let (report, loss) = self.step.end_piece(&mut self.learner, own, piece);
        if report.failed {
            return Err(self.ranks.agreed(outcome).expect_err("a rank has failed"));
        }
        let state = &mut self.state;
        state.position = self.feed.position();
        if report.samples > 0 {
            state.pieces += 1;
            state.piece_samples += report.samples;
            self.keeper.note_change();
        }
        if let Some(loss) = loss {
            self.losses.add(loss, report.samples);
        }
        self.keeper.clock_due |= report.clock;
        Ok(report)
    }

    /// Goes back to the beginning of the open step. Losses after the first `kept` that are not yet read are
    /// left out. What pieces of an earlier process did to running statistics and losses stays.
    pub(crate) fn undo(&mut self, kept: usize) {
        self.step.undo(&mut self.learner);
        self.losses.forget(kept);
        let state = &mut self.state;
        let Position { epoch, samples } = state.position;
        let within = match samples % self.length.step {
            0 if state.pieces > 0 => self.length.step, // all of them, but the step was not taken
            within => within,
        };
        state.position = Position { epoch, samples: samples - within };
        state.close_step();
        self.feed.go_to(state.position);
    }
}
