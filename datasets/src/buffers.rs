//! Byte buffers that are used again: what is read next goes where what was read before has been.
//!
//! A new buffer must be zeroed before a file may be read into it, and lies in no cache of the processor; and
//! how much memory an allocator holds in the end depends on how long a program has run. A buffer that was
//! read into goes back when the last [`Bytes`] of it is dropped, on whatever thread; one for the pixels of a
//! picture, when these have been used.
//!
//! The number that waits is bounded by the number that was in use at once: a decoder that makes buffers of
//! its own, which are given back like the others, would otherwise leave one here with each picture.

use bytes::Bytes;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes of buffers that wait for use, at most.
const KEPT: usize = 32 << 20;

/// Buffers that wait at most for each that was in use at once: pictures are of different sizes.
const SPARE: usize = 2;

/// Buffers of less are left to the allocator.
const SMALLEST: usize = 16 << 10;

/// The free buffers of this process.
static FREE: Free = Free::new();

struct Free(Mutex<Buffers>);

struct Buffers {
    /// The buffers that wait for use, the one that was used last at the end.
    waiting: Vec<Vec<u8>>,
    /// The bytes of those that wait.
    bytes: usize,
    /// The number in use, and the most that ever were.
    taken: usize,
    most_taken: usize,
}

impl Free {
    const fn new() -> Self {
        Free(Mutex::new(Buffers { waiting: Vec::new(), bytes: 0, taken: 0, most_taken: 0 }))
    }

    fn buffers(&self) -> MutexGuard<'_, Buffers> {
        // Nothing that can panic leaves them half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of `len` bytes, whatever they are.
    fn take(&self, len: usize) -> Vec<u8> {
        let most = capacity(len);
        let found = {
            let mut buffers = self.buffers();
            buffers.taken += 1;
            buffers.most_taken = buffers.most_taken.max(buffers.taken);
            // The one used last is the likeliest to lie in the processor's cache.
            let fits = |buffer: &Vec<u8>| buffer.capacity() >= len && buffer.capacity() <= 2 * most;
            let found = buffers.waiting.iter().rposition(fits).map(|at| buffers.waiting.remove(at));
            buffers.bytes -= found.as_ref().map_or(0, Vec::capacity);
            found
        };
        let mut buffer = found.unwrap_or_else(|| Vec::with_capacity(most));
        match buffer.len() < len {
            true => buffer.resize(len, 0),
            false => buffer.truncate(len),
        }
        buffer
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers();
        let Buffers { waiting, bytes, taken, most_taken } = &mut *buffers;
        // One that was not taken here may have come.
        *taken = taken.saturating_sub(1);
        if buffer.capacity() > KEPT {
            return;
        }
        *bytes += buffer.capacity();
        waiting.push(buffer);
        while *bytes > KEPT || waiting.len() > SPARE * *most_taken {
            *bytes -= waiting.remove(0).capacity();
        }
    }
}

/// Room for `len` bytes, rounded up by an eighth at most, so that pictures of about one size share buffers.
fn capacity(len: usize) -> usize {
    len.next_multiple_of((len.next_power_of_two() >> 4).max(1))
}

/// A buffer out of [`FREE`], which goes back there.
struct Reused(Vec<u8>);

impl AsRef<[u8]> for Reused {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Reused {
    fn drop(&mut self) {
        FREE.give_back(std::mem::take(&mut self.0));
    }
}

/// A buffer of `len` bytes, whatever they are, to be [given back](give_back).
pub(crate) fn take(len: usize) -> Vec<u8> {
    if len < SMALLEST { vec![0; len] } else { FREE.take(len) }
}

/// Gives a buffer back, wherever it comes from.
pub(crate) fn give_back(buffer: Vec<u8>) {
    if buffer.capacity() >= SMALLEST {
        FREE.give_back(buffer);
    }
}

/// `len` bytes as `fill` writes them into a buffer whose former content is arbitrary; it says how many it
/// wrote.
///
/// # Errors
/// Those of `fill`.
pub(crate) fn filled<E>(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<Bytes, E> {
    if len < SMALLEST {
        let mut buffer = vec![0; len];
        let written = fill(&mut buffer)?;
        buffer.truncate(written);
        return Ok(buffer.into());
    }
    let mut buffer = Reused(FREE.take(len));
    let written = fill(&mut buffer.0)?;
    Ok(Bytes::from_owner(buffer).slice(..written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_never_too_large_or_too_many() {
        let free = Free::new();
        let mut first = free.take(100_000);
        assert_eq!(first.len(), 100_000);
        assert!((100_000..=112_500).contains(&first.capacity()), "{}", first.capacity());
        first.fill(7);
        let (at, capacity) = (first.as_ptr(), first.capacity());
        free.give_back(first);
        // Far smaller, or larger than it is: another one.
        for len in [20_000, 200_000] {
            let other = free.take(len);
            assert_ne!(other.as_ptr(), at);
        }
        let again = free.take(90_000);
        assert_eq!((again.as_ptr(), again.len(), again.capacity()), (at, 90_000, capacity));
        free.give_back(again);
        let large: Vec<_> = (0..5).map(|_| free.take(KEPT / 4)).collect();
        large.into_iter().for_each(|buffer| free.give_back(buffer));
        let buffers = free.buffers();
        assert!(buffers.bytes <= KEPT && buffers.waiting.len() == 4);
        assert_eq!(buffers.bytes, buffers.waiting.iter().map(Vec::capacity).sum::<usize>());
    }

    #[test]
    fn buffers_from_elsewhere_do_not_gather() {
        let free = Free::new();
        for _ in 0..100 {
            let file = free.take(50_000);
            free.give_back(file);
            // The picture that a decoder has made of it, too large for the next file.
            free.give_back(vec![0; 480_000]);
        }
        assert_eq!(free.buffers().waiting.len(), SPARE);
    }

    #[test]
    fn a_slice_keeps_its_buffer() {
        let fill = |value: u8| {
            move |buffer: &mut [u8]| {
                buffer.fill(value);
                Ok::<usize, ()>(buffer.len())
            }
        };
        let part = filled(40_000, fill(1)).unwrap().slice(10..20);
        let others: Vec<Bytes> = (2..6).map(|value| filled(40_000, fill(value)).unwrap()).collect();
        assert!(part.iter().all(|byte| *byte == 1));
        for (value, other) in (2..).zip(others) {
            assert!(other.len() == 40_000 && other.iter().all(|byte| *byte == value));
        }
        assert_eq!(filled(10, |_| Ok::<usize, ()>(4)).unwrap().len(), 4);
        assert_eq!(filled(99_999, |_| Err::<usize, &str>("no")).unwrap_err(), "no");
    }
}
