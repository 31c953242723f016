//! Which share of the steps' time the trainer waits: for data, and for other ranks.

use std::time::{Duration, Instant};

/// The time of all steps so far, and the waiting within it. Evaluations and checkpoints between steps do not count.
#[derive(Default)]
pub(crate) struct Waits {
    steps: Duration,
    data: Duration,
    ranks: Duration,
    /// When the step under way began, and how long this process had waited by then, in all.
    begun: Option<(Instant, Waited)>,
}

/// How long a process has waited since it began.
#[derive(Clone, Copy)]
pub(crate) struct Waited {
    pub(crate) data: Duration,
    pub(crate) ranks: Duration,
}

impl Waits {
    pub(crate) fn begin(&mut self, waited: Waited) {
        self.begun = Some((Instant::now(), waited));
    }

    pub(crate) fn end(&mut self, waited: Waited) {
        let Some((began, before)) = self.begun.take() else { return };
        self.steps += began.elapsed();
        self.data += waited.data.saturating_sub(before.data);
        self.ranks += waited.ranks.saturating_sub(before.ranks);
    }

    /// The share of waiting for data, from 0 to 1.
    pub(crate) fn for_data(&self) -> f64 {
        self.share(self.data)
    }

    /// The share of waiting for other ranks, from 0 to 1.
    pub(crate) fn for_ranks(&self) -> f64 {
        self.share(self.ranks)
    }

    fn share(&self, part: Duration) -> f64 {
        part.as_secs_f64() / self.steps.as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_waited_between_steps_does_not_count() {
        let seconds = Duration::from_secs;
        let waited = |data, ranks| Waited { data: seconds(data), ranks: seconds(ranks) };
        let mut waits = Waits::default();
        assert_eq!((waits.for_data(), waits.for_ranks()), (0.0, 0.0));
        waits.end(waited(9, 9));
        assert_eq!(waits.steps, Duration::ZERO);
        waits.begun = Some((Instant::now() - seconds(10), waited(9, 9)));
        waits.end(waited(10, 14));
        assert!((waits.for_data() - 0.1).abs() < 0.01 && (waits.for_ranks() - 0.5).abs() < 0.01);
    }
}
