//! The walk from a pickle's root to its tensors, by the names on the way.

use super::values::{Described, Place, Value, Values};
use std::collections::BTreeMap;

/// Names that a walk through the values may meet: a value can be held in several places.
const MOST_NAMES: usize = 1_000_000;

/// Containers within containers.
const DEEPEST: usize = 64;

/// The tensors below `root`.
///
/// # Errors
/// When there are too many values on the way.
pub(super) fn named(values: &Values, root: Place) -> Result<BTreeMap<String, Described>, String> {
    let mut walk = Walk { values, met: 0, path: Vec::new(), within: Vec::new() };
    let mut found = BTreeMap::new();
    walk.collect(root, &mut found)?;
    Ok(found)
}

/// The walk from the root to the tensors.
struct Walk<'a> {
    values: &'a Values,
    met: usize,
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
            Value::Tensor(described) => drop(found.insert(self.path.join("."), (**described).clone())),
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.step(index.to_string(), *item, found)?;
                }
            }
            Value::Dict(pairs) => {
                for (key, value) in pairs {
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
        if matches!(self.values[place], Value::Other | Value::Int(_) | Value::Text(_) | Value::Class(_)) {
            return Ok(());
        }
        self.path.push(name);
        let walked = self.collect(place, found);
        self.path.pop();
        walked
    }
}
