//! The values that a pickle makes, in one list: containers hold places in it.

use std::ops::Index;

/// Values that a pickle may make.
pub(super) const MOST_VALUES: usize = 4_000_000;

/// Bytes that calls, attributes and names may copy from values: one value can be named in many places.
const MOST_COPIED: usize = 256 << 20;

/// A place in the list of values.
pub(super) type Place = usize;

/// Everything that is neither a tensor nor leads to one.
pub(super) const OTHER: Place = 0;
pub(super) const FALSE: Place = 1;
pub(super) const TRUE: Place = 2;

/// A tensor as the pickle describes it. Sizes, strides and the offset count numbers, not bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// The name of the storage in the archive.
    pub(crate) storage: String,
    /// The type of its numbers, `FloatStorage` or `uint16`.
    pub(crate) kind: String,
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

impl Described {
    /// The bytes of a copy.
    pub(super) fn size(&self) -> usize {
        let sizes = (self.shape.len() + self.strides.len()) * size_of::<usize>();
        size_of::<Described>() + self.storage.len() + self.kind.len() + sizes
    }
}

/// A storage as the pickle names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) name: String,
    /// The type of its numbers, `FloatStorage`.
    pub(crate) kind: String,
    /// Its numbers, where the pickle says how many.
    pub(crate) count: Option<usize>,
    /// The first of them, where this is a part of the storage: only the oldest files have such parts.
    pub(crate) offset: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Other,
    Bool(bool),
    Int(i64),
    Text(String),
    /// A list, a tuple or a set.
    List(Vec<Place>),
    /// A dictionary, or an object with its attributes.
    Dict(Vec<(Place, Place)>),
    /// A class or function by its module and name.
    Class(String),
    Storage(Box<Storage>),
    Tensor(Box<Described>),
}

/// The list.
pub(super) struct Values {
    values: Vec<Value>,
    /// Bytes copied so far.
    copied: usize,
}

impl Index<Place> for Values {
    type Output = Value;

    fn index(&self, place: Place) -> &Value {
        &self.values[place]
    }
}

impl Values {
    /// The list with [`OTHER`], [`FALSE`] and [`TRUE`] alone.
    pub(super) fn new() -> Self {
        Values { values: vec![Value::Other, Value::Bool(false), Value::Bool(true)], copied: 0 }
    }

    /// Counts bytes that are about to be copied or walked through.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn copy(&mut self, bytes: usize) -> Result<(), String> {
        self.copied = self.copied.saturating_add(bytes);
        if self.copied > MOST_COPIED {
            return Err(format!("at most {MOST_COPIED} bytes of values that are used again"));
        }
        Ok(())
    }

    /// The values in the order in which they were made.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// Adds a value; its place.
    ///
    /// # Errors
    /// When there are too many.
    pub(super) fn add(&mut self, value: Value) -> Result<Place, String> {
        if self.values.len() >= MOST_VALUES {
            return Err(format!("at most {MOST_VALUES} values"));
        }
        self.values.push(value);
        Ok(self.values.len() - 1)
    }

    /// Adds items to a list; an object of a class that acts as one keeps none.
    pub(super) fn extend(&mut self, list: Place, items: &[Place]) {
        if let Value::List(list) = &mut self.values[list] {
            list.extend_from_slice(items);
        }
    }

    /// Adds pairs to a dictionary; an object of a class that acts as one keeps none.
    pub(super) fn set(&mut self, dict: Place, pairs: Vec<(Place, Place)>) {
        if let Value::Dict(dict) = &mut self.values[dict] {
            dict.extend(pairs);
        }
    }

    /// Gives a dictionary its pairs, where it has none yet.
    pub(super) fn fill(&mut self, dict: Place, pairs: Vec<(Place, Place)>) {
        if let Value::Dict(own) = &mut self.values[dict]
            && own.is_empty()
        {
            *own = pairs;
        }
    }

    /// A text.
    pub(super) fn text(&self, place: Place) -> Option<&String> {
        if let Value::Text(text) = &self[place] { Some(text) } else { None }
    }

    /// The places in a list.
    pub(super) fn list(&self, place: Place) -> Option<&[Place]> {
        if let Value::List(items) = &self[place] { Some(items) } else { None }
    }

    /// A number that may be a size.
    pub(super) fn size(&self, place: Place) -> Option<usize> {
        if let Value::Int(number) = self[place] { usize::try_from(number).ok() } else { None }
    }

    /// The last part of a class's name.
    pub(super) fn class_name(&self, place: Place) -> Option<String> {
        let Value::Class(name) = &self[place] else { return None };
        Some(name.rsplit('.').next().unwrap_or(name).to_string())
    }
}
