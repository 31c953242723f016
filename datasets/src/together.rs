//! Work on many numbered things, several at once, taken in their order.

use crate::DataError;
use std::num::NonZero;

/// Things under way at once, at least: a server answers several requests faster than one.
const FEWEST_AT_ONCE: usize = 4;

/// Does `work` for each of `numbers` on threads of its own and hands the results to `take` in the order
/// of `numbers`, whichever is done first. No more results are held than there are threads.
///
/// # Errors
/// The first of `work` or `take`, in the order of `numbers`.
pub(crate) fn together<T: Send>(
    numbers: &[usize],
    work: impl Fn(usize) -> Result<T, DataError> + Sync,
    mut take: impl FnMut(usize, T) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get).max(FEWEST_AT_ONCE);
    for chunk in numbers.chunks(at_once) {
        let done: Vec<_> = std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> = chunk.iter().map(|&number| scope.spawn(move || work(number))).collect();
            threads.into_iter().map(|thread| thread.join().expect("work does not panic")).collect()
        });
        for (&number, result) in chunk.iter().zip(done) {
            take(number, result?)?;
        }
    }
    Ok(())
}
