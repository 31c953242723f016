//! A request to stop, from a signal or from the program itself.

use crate::TrainError;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// A request to stop that training looks at between pieces. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    received: Arc<AtomicUsize>,
    /// A signal that comes while this holds ends the process at once.
    impatient: Arc<AtomicBool>,
}

impl Interrupt {
    /// An interrupt that only [`Interrupt::raise`] raises.
    pub fn new() -> Self {
        Self::default()
    }

    /// The interrupt of the process, raised by SIGINT, SIGTERM and SIGUSR1, which batch systems send ahead of
    /// their time limit. A second signal ends the process at once with status 128 + signal, and so does the
    /// first while nothing trains.
    ///
    /// # Errors
    /// When the system refuses to install the handlers.
    pub fn from_signals() -> Result<Self, TrainError> {
        static SIGNALS: OnceLock<Interrupt> = OnceLock::new();
        if let Some(interrupt) = SIGNALS.get() {
            return Ok(interrupt.clone());
        }
        let interrupt = Interrupt::default();
        interrupt.impatient.store(true, Ordering::SeqCst);
        for signal in [SIGINT, SIGTERM, SIGUSR1] {
            // In this order: the first signal finds `impatient` unset, and sets it for the second.
            flag::register_conditional_shutdown(signal, 128 + signal, interrupt.impatient.clone())
                .and_then(|_| flag::register_usize(signal, interrupt.received.clone(), signal as usize))
                .and_then(|_| flag::register(signal, interrupt.impatient.clone()))
                .map_err(TrainError::Signals)?;
        }
        Ok(SIGNALS.get_or_init(|| interrupt).clone())
    }

    /// Asks training to stop after its current piece, as if `signal` had come.
    pub fn raise(&self, signal: i32) {
        self.received.store(signal.unsigned_abs() as usize, Ordering::SeqCst);
    }

    /// The signal that came, if any.
    pub(crate) fn raised(&self) -> Option<i32> {
        match self.received.load(Ordering::SeqCst) {
            0 => None,
            signal => Some(signal as i32),
        }
    }

    /// Takes signals as requests until the guard is dropped; from then on they end the process again.
    pub(crate) fn listen(&self) -> Listening<'_> {
        self.impatient.store(false, Ordering::SeqCst);
        Listening(self)
    }
}

/// The guard of [`Interrupt::listen`].
pub(crate) struct Listening<'a>(&'a Interrupt);

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        self.0.impatient.store(true, Ordering::SeqCst);
    }
}
