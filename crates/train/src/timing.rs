//! The clocks of a process: how long it trains, and which share of the steps' time it waits.

use crate::costs::Stopwatch;
use crate::feed::Feed;
use crate::ranks::Ranks;
use std::time::{Duration, Instant};

/// The clocks of a process that trains.
pub(crate) struct Timing {
    process_started: Instant,
    began: Instant,
    /// Seconds of training by earlier processes of the run.
    seconds_before: f64,
    /// Samples that earlier processes of the run trained on.
    samples_before: u64,
    /// Seconds from the start of the process to the end of its first step.
    pub(crate) first_step_seconds: Option<f64>,
    /// True where there are other ranks to wait for.
    several_ranks: bool,
    pub(crate) waits: Waits,
    pub(crate) stopwatch: Stopwatch,
}

impl Timing {
    /// Starts the clocks, after `seconds` of training on `samples` by earlier processes. `stopwatch`
    /// estimates the pace.
    pub(crate) fn start(
        process_started: Instant,
        seconds: f64,
        samples: u64,
        several_ranks: bool,
        stopwatch: Stopwatch,
    ) -> Self {
        Timing {
            process_started,
            began: Instant::now(),
            seconds_before: seconds,
            samples_before: samples,
            first_step_seconds: None,
            several_ranks,
            waits: Waits::default(),
            stopwatch,
        }
    }

    pub(crate) fn begin_step<I>(&mut self, feed: &Feed<'_, I>, ranks: &Ranks) {
        self.stopwatch.start();
        self.waits.begin(Waited { data: feed.waited(), ranks: ranks.waited() });
    }

    pub(crate) fn end_step<I>(&mut self, feed: &Feed<'_, I>, ranks: &Ranks) {
        self.waits.end(Waited { data: feed.waited(), ranks: ranks.waited() });
        self.first_step_seconds.get_or_insert_with(|| self.process_started.elapsed().as_secs_f64());
    }

    /// Seconds of training so far, all processes of the run together.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds_before + self.began.elapsed().as_secs_f64()
    }

    /// Samples that this process trained on, of all `samples` of the run.
    pub(crate) fn samples_here(&self, samples: u64) -> u64 {
        samples - self.samples_before
    }

    /// Samples a second of this process, evaluation included.
    pub(crate) fn samples_per_second(&self, samples: u64) -> f64 {
        self.samples_here(samples) as f64 / self.began.elapsed().as_secs_f64().max(1e-9)
    }

    /// The share of the steps' time that this process has waited for other ranks, where there are any.
    pub(crate) fn exchange_share(&self) -> Option<f64> {
        self.several_ranks.then(|| self.waits.for_ranks())
    }
}

/// The time of all steps so far, and the waiting within it. Evaluations and checkpoints between steps do not
/// count.
#[derive(Default)]
pub(crate) struct Waits {
    steps: Duration,
    data: Duration,
    ranks: Duration,
    /// The start of the step under way, and the time that this process had waited by then, in all.
    begun: Option<(Instant, Waited)>,
}

/// The time that a process has waited since it began.
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
    fn waiting_between_steps_does_not_count() {
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
