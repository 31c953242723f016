//! The report of a piece: facts that one rank alone knows, and that all ranks decide by.

/// The report of one rank after a piece of work; or the common report of all ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Report {
    /// Samples of the piece.
    pub(crate) samples: u64,
    /// The sum of their losses.
    pub(crate) loss: f64,
    /// A signal that came.
    pub(crate) signal: Option<i32>,
    /// Something went wrong.
    pub(crate) failed: bool,
    /// A checkpoint is due by the clock of rank 0.
    pub(crate) clock: bool,
}

impl Report {
    /// The report as numbers, to be sent.
    pub(crate) fn to_numbers(self) -> [f64; 5] {
        let Report { samples, loss, signal, failed, clock } = self;
        let one = |yes: bool| f64::from(u8::from(yes));
        [samples as f64, loss, signal.map_or(0.0, f64::from), one(failed), one(clock)]
    }

    /// The common report, from the numbers of each rank in order.
    pub(crate) fn common<'a>(all: impl Iterator<Item = &'a [f64]>) -> Report {
        let mut common = Report::default();
        for (rank, numbers) in all.enumerate() {
            common.samples += numbers[0] as u64;
            common.loss += numbers[1];
            let signal = Some(numbers[2] as i32).filter(|&signal| signal > 0);
            // Of several signals the first rank's, on all ranks.
            common.signal = common.signal.or(signal);
            common.failed |= numbers[3] > 0.0;
            common.clock |= rank == 0 && numbers[4] > 0.0;
        }
        common
    }
}
