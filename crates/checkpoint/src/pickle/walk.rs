//! The walk from a pickle's root to its tensors, by the names on the way.

use super::values::{Described, Place, Value, Values};
use std::collections::BTreeMap;

/// Names that a walk through the values may meet: a value can be held in several places.
const MOST_NAMES: usize = 1_000_000;

/// Items of containers that a walk may pass by: a container can be held in several places.
const MOST_ITEMS: usize = 64 << 20;

/// Bytes of the names of tensors.
const MOST_NAMED: usize = 64 << 20;

/// Containers within containers.
const DEEPEST: usize = 64;

/// The tensors below `root`.
///
/// # Errors
/// When there are too many values on the way.
pub(super) fn named(values: &Values, root: Place) -> Result<BTreeMap<String, Described>, String> {
    let mut walk = Walk { values, met: 0, items: 0, named: 0, path: Vec::new(), within: Vec::new() };
    let mut found = BTreeMap::new();
    walk.collect(root, &mut found)?;
    Ok(found)
}

/// The walk from the root to the tensors.
struct Walk<'a> {
    values: &'a Values,
    met: usize,
    /// Items passed by.
    items: usize,
    /// Bytes of names and descriptions.
    named: usize,
    path: Vec<String>,
    /// The containers around the current one: an object may hold itself.
    within: Vec<Place>,
}

impl Walk<'_> {
    fn collect(&mut self, place: Place, found: &mut BTreeMap<String, Described>) -> Result<(), String> {
        self.met += 1;
        if self.met > MOST_NAMES {
            return Err(format!("at most {MOST_NAMES} values by name"));
        }
        if self.within.len() >= DEEPEST || self.within.contains(&place) {
            return Ok(());
        }
        let values = self.values;
        self.within.push(place);
        match &values[place] {
            Value::Tensor(described) => {
                self.name(described.size() + self.path.iter().map(|part| part.len() + 1).sum::<usize>())?;
                found.insert(self.path.join("."), (**described).clone());
            }
            Value::List(items) => {
                self.pass(items.len())?;
                for (index, item) in items.iter().enumerate().filter(|(_, item)| leads(values, **item)) {
                    self.step(index.to_string(), *item, found)?;
                }
            }
            Value::Dict(pairs) => {
                self.pass(pairs.len())?;
                for (key, value) in pairs.iter().filter(|(_, value)| leads(values, *value)) {
                    let key = match &values[*key] {
                        Value::Text(key) => key.clone(),
                        Value::Int(key) => key.to_string(),
                        _ => "?".to_string(),
                    };
                    self.step(key, *value, found)?;
                }
            }
            _ => {}
        }
        self.within.pop();
        Ok(())
    }

    fn step(
        &mut self,
        name: String,
        place: Place,
        found: &mut BTreeMap<String, Described>,
    ) -> Result<(), String> {
        self.name(name.len())?;
        self.path.push(name);
        let walked = self.collect(place, found);
        self.path.pop();
        walked
    }

    fn pass(&mut self, items: usize) -> Result<(), String> {
        self.items += items;
        if self.items > MOST_ITEMS {
            return Err(format!("at most {MOST_ITEMS} items of its containers"));
        }
        Ok(())
    }

    fn name(&mut self, bytes: usize) -> Result<(), String> {
        self.named += bytes;
        if self.named > MOST_NAMED {
            return Err(format!("at most {MOST_NAMED} bytes of names"));
        }
        Ok(())
    }
}

/// True for a value on whose way a tensor may lie.
fn leads(values: &Values, place: Place) -> bool {
    matches!(values[place], Value::List(_) | Value::Dict(_) | Value::Tensor(_))
}
