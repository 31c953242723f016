//! A slow link between two hosts. The kernel's own delay, `netem`, is a module that many machines lack.

use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tappers::Tap;

/// The longest frame in bytes: Ethernet's payload and its header.
const FRAME: usize = 1514;

/// Two TAP devices, with threads that carry frames from each to the other. The link is removed with the hosts
/// that it joins.
pub struct Link {
    ends: [String; 2],
}

impl Link {
    /// A link on which a frame takes `delay`.
    ///
    /// # Errors
    /// When this process may not make TAP devices.
    pub fn new(delay: Duration) -> io::Result<Self> {
        let taps = [Arc::new(Tap::new()?), Arc::new(Tap::new()?)];
        for (from, to) in [(0, 1), (1, 0)] {
            carry(taps[from].clone(), taps[to].clone(), delay);
        }
        let [a, b] = taps.map(|tap| tap.name().map(|name| name.name().to_string_lossy().into_owned()));
        Ok(Link { ends: [a?, b?] })
    }

    /// The names of the two devices, one to be moved to each host.
    pub fn ends(&self) -> &[String; 2] {
        &self.ends
    }
}

/// Carries frames until their source device is gone. Frames to an end that is down are lost.
fn carry(from: Arc<Tap>, to: Arc<Tap>, delay: Duration) {
    let (send, frames) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut frame = [0; FRAME];
        while let Ok(length) = from.recv(&mut frame) {
            if send.send((Instant::now() + delay, frame[..length].to_vec())).is_err() {
                break;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, frame) in frames {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let _ = to.send(&frame);
        }
    });
}
