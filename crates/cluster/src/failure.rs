//! The error of one rank, made known to all.

use crate::Communicator;

/// An error of a rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The rank; the first of several that failed.
    pub rank: usize,
    /// Its machine.
    pub host: String,
    /// Its error.
    pub message: String,
    /// True where every rank failed, by the same error.
    pub of_all: bool,
}

/// The failure of the first rank that brings an error, the same on all ranks. A rank that has not failed
/// brings none.
pub fn first_failure(communicator: &dyn Communicator, mine: Option<&str>) -> Option<Failure> {
    let messages = communicator.gather(mine.unwrap_or_default().as_bytes());
    let rank = messages.iter().position(|message| !message.is_empty())?;
    Some(Failure {
        rank,
        host: communicator.host(rank).to_string(),
        message: String::from_utf8_lossy(&messages[rank]).into_owned(),
        of_all: messages.iter().all(|message| *message == messages[rank]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Threads;

    #[test]
    fn the_first_failure_is_known_to_all() {
        let of = |messages: [Option<&'static str>; 3]| {
            let ranks = Threads::ranks(3).into_iter().zip(messages);
            let threads: Vec<_> = ranks
                .map(|(rank, message)| std::thread::spawn(move || first_failure(&*rank, message)))
                .collect();
            let mut found: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            found.dedup();
            assert_eq!(found.len(), 1, "{found:?}");
            found.remove(0).map(|failure| (failure.rank, failure.message, failure.of_all))
        };
        assert_eq!(of([None; 3]), None);
        assert_eq!(of([None, Some("no disk"), Some("no file")]), Some((1, "no disk".into(), false)));
        assert_eq!(of([Some("no key"); 3]), Some((0, "no key".into(), true)));
    }
}
