//! The values that were used last, up to a weight: bytes, or a number of values that weigh 1 each.

use std::collections::HashMap;
use std::hash::Hash;

/// Values by key; the ones that were not used for longest make room for new ones.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    values: HashMap<K, Value<V>>,
    clock: u64,
    weight: u64,
    most: u64,
}

#[derive(Debug)]
struct Value<V> {
    value: V,
    weight: u64,
    used: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    /// Keeps values of at most that weight in all, and always the newest value.
    pub(crate) fn new(most: u64) -> Self {
        Recent { values: HashMap::new(), clock: 0, weight: 0, most }
    }

    /// Keeps another weight from here on; values beyond it go as new ones come.
    pub(crate) fn keep(&mut self, most: u64) {
        self.most = most;
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        self.clock += 1;
        let value = self.values.get_mut(key)?;
        value.used = self.clock;
        Some(value.value.clone())
    }

    /// The number of values.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn put(&mut self, key: K, value: V, weight: u64) {
        self.clock += 1;
        self.remove(&key);
        while self.weight + weight > self.most && !self.values.is_empty() {
            // Few values are kept: looking at each is cheaper than keeping them in order.
            let oldest = self.values.iter().min_by_key(|(_, value)| value.used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.remove(&oldest);
            }
        }
        self.weight += weight;
        self.values.insert(key, Value { value, weight, used: self.clock });
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some(removed) = self.values.remove(key) {
            self.weight -= removed.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut recent = Recent::new(10);
        recent.put("a", 1, 4);
        recent.put("b", 2, 4);
        assert_eq!(recent.get(&"a"), Some(1));
        recent.put("c", 3, 4);
        assert_eq!((recent.get(&"a"), recent.get(&"b"), recent.get(&"c")), (Some(1), None, Some(3)));
        recent.put("a", 5, 10);
        assert_eq!((recent.get(&"a"), recent.get(&"c")), (Some(5), None));
        // Larger than the bound: it is kept, alone.
        recent.put("d", 6, 99);
        assert_eq!((recent.get(&"a"), recent.get(&"d")), (None, Some(6)));
        recent.remove(&"d");
        assert_eq!((recent.get(&"d"), recent.weight), (None, 0));
    }
}
