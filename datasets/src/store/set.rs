//! Blocks that are fetched and decoded when they are wanted, and kept while they are.

use super::blocks::Source;
use super::lock::locked;
use crate::index::Block;
use crate::recent::Recent;
use crate::{DataError, ShardOrder, Shards, Shuffle, Window};
use std::sync::{Arc, Mutex};

/// A maker of records out of blocks.
pub(crate) trait Decode: Send + Sync + 'static {
    /// The records of a block; those that cannot be read among them.
    type Records: Send + Sync + 'static;

    /// Fetches and decodes a block.
    ///
    /// # Errors
    /// When the block as a whole cannot be read.
    fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<Self::Records, DataError>;
}

/// Decoded blocks, the ones used last; each is decoded once while it is kept.
pub(crate) struct Blocks<D: Decode> {
    source: Arc<Source>,
    decoder: D,
    /// Blocks that a lane of an order needs at a time.
    most: usize,
    recent: Mutex<Recent<usize, Arc<Slot<D::Records>>>>,
}

/// A decoded block; its lock is held while it is fetched, so that it is once.
type Slot<R> = Mutex<Option<Arc<R>>>;

impl<D: Decode> Blocks<D> {
    /// Keeps at most so many blocks a lane.
    pub(crate) fn new(source: Arc<Source>, decoder: D, most: usize) -> Self {
        Blocks { source, decoder, most, recent: Mutex::new(Recent::new(most as u64)) }
    }

    /// See [`Dataset::hold`](crate::Dataset::hold).
    pub(crate) fn hold(&self, lanes: u64) {
        locked(&self.recent).keep((self.most as u64).saturating_mul(lanes));
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// Block `number`, decoded.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn get(&self, number: usize) -> Result<Arc<D::Records>, DataError> {
        let slot = self.slot(number);
        let mut slot = locked(&slot);
        match &*slot {
            Some(records) => Ok(records.clone()),
            None => Ok(slot.insert(Arc::new(self.decode(number)?)).clone()),
        }
    }

    /// Fetches block `number`, unless it is there or on its way. What goes wrong is told when it is wanted.
    pub(crate) fn prepare(&self, number: usize) {
        let slot = self.slot(number);
        if let Ok(mut slot) = slot.try_lock()
            && slot.is_none()
        {
            *slot = self.decode(number).ok().map(Arc::new);
        }
    }

    /// Blocks that are kept or being fetched.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        locked(&self.recent).len()
    }

    fn slot(&self, number: usize) -> Arc<Slot<D::Records>> {
        let mut recent = locked(&self.recent);
        recent.get(&number).unwrap_or_else(|| {
            let slot = Arc::new(Slot::new(None));
            recent.put(number, slot.clone(), 1);
            slot
        })
    }

    fn decode(&self, number: usize) -> Result<D::Records, DataError> {
        let (shard, block) = self.source.find(number)?;
        self.decoder.decode(&self.source, shard, &block)
    }
}

/// The records of some blocks, by number.
pub(crate) struct BlockSet<D: Decode> {
    blocks: Blocks<D>,
    /// The blocks of the set.
    numbers: Vec<usize>,
    /// The place of each of them among the set's records.
    starts: Shards,
    /// Blocks that are shuffled together.
    window: usize,
    order: ShardOrder,
    /// Records that are worth fetching ahead.
    ahead: u64,
}

impl<D: Decode> std::fmt::Debug for BlockSet<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} blocks of {}", self.numbers.len(), self.source().uri())
    }
}

impl<D: Decode> BlockSet<D> {
    /// The records of the blocks `numbers`, of which `window` are shuffled together: about twice as many
    /// are held, the ones under way and the next.
    pub(crate) fn new(source: Arc<Source>, numbers: Vec<usize>, decoder: D, window: usize) -> Self {
        let starts = Shards::new(numbers.iter().map(|&number| source.size(number)));
        let ahead = (starts.samples() / numbers.len().max(1) as u64).saturating_mul(window as u64);
        let blocks = Blocks::new(source, decoder, 2 * window + 2);
        BlockSet { blocks, numbers, starts, window, order: ShardOrder::Window, ahead }
    }

    pub(crate) fn source(&self) -> &Source {
        self.blocks.source()
    }

    /// The number of records.
    pub(crate) fn len(&self) -> u64 {
        self.starts.samples()
    }

    /// To be read in an order; without this, in their own or by windows.
    pub(crate) fn ordered(self, order: ShardOrder) -> Self {
        let ahead = match order {
            // Each record may need another block, and what is fetched too early is dropped again.
            ShardOrder::Full => self.window as u64,
            ShardOrder::Window => self.ahead,
        };
        BlockSet { order, ahead, ..self }
    }

    /// The shuffling of the records.
    pub(crate) fn shuffle(&self, seed: u64) -> Shuffle {
        match self.order {
            ShardOrder::Full => Shuffle::Full(seed),
            ShardOrder::Window => {
                let window = Window { shards: self.window, block: u64::MAX };
                Shuffle::Window(seed, self.starts.clone(), window)
            }
        }
    }

    /// See [`Dataset::hold`](crate::Dataset::hold).
    pub(crate) fn hold(&self, lanes: u64) {
        self.blocks.hold(lanes);
    }

    /// Records that are worth fetching ahead: those of a window.
    pub(crate) fn ahead(&self) -> u64 {
        self.ahead
    }

    /// The block of record `index`, decoded, and the record's number in it.
    ///
    /// # Errors
    /// When the block cannot be read.
    pub(crate) fn read(&self, index: u64) -> Result<(Arc<D::Records>, usize), DataError> {
        let (at, within) = self.starts.find(index);
        Ok((self.blocks.get(self.numbers[at])?, within as usize))
    }

    /// Fetches the block of record `index`, unless it is there or on its way. What goes wrong is told when
    /// the record is read.
    pub(crate) fn prepare(&self, index: u64) {
        let (at, _) = self.starts.find(index);
        self.blocks.prepare(self.numbers[at]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Format, Layout};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A decoded block that is counted while it lives.
    struct Live(Arc<AtomicUsize>);

    impl Drop for Live {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The numbers of blocks that live, and that were decoded.
    #[derive(Default)]
    struct Counting(Arc<AtomicUsize>, Arc<AtomicUsize>);

    impl Decode for Counting {
        type Records = Live;

        fn decode(&self, source: &Source, shard: usize, block: &Block) -> Result<Live, DataError> {
            source.fetch(shard, block)?;
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.fetch_add(1, Ordering::Relaxed);
            Ok(Live(self.0.clone()))
        }
    }

    #[test]
    fn as_many_blocks_live_as_are_kept_and_each_is_decoded_once_while_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.txt");
        std::fs::write(&path, "a line of text\n".repeat(600)).unwrap();
        let source = Arc::new(Source::open(path.to_str().unwrap(), &Layout::plain(Format::Text)).unwrap());
        let (live, decoded) = (Arc::default(), Arc::default());
        let blocks = Blocks::new(source.clone(), Counting(Arc::clone(&live), Arc::clone(&decoded)), 5);
        for number in 0..source.len() {
            blocks.prepare(number);
            let _held = blocks.get(number).unwrap();
            blocks.get(number.saturating_sub(1)).unwrap();
            assert_eq!(live.load(Ordering::Relaxed), 5.min(number + 1));
        }
        assert!(source.len() > 30);
        assert_eq!(decoded.load(Ordering::Relaxed), source.len());
        drop(blocks);
        assert_eq!(live.load(Ordering::Relaxed), 0);
    }
}
