//! The tensors that a pickle of PyTorch names. Nothing is executed: of the objects that lie beside the
//! tensors (arguments, an optimizer, numpy's numbers, paths, dates, classes of the script), only what they
//! hold is kept, never what they are.
//!
//! ```text
//! pickle: a program of one-byte opcodes for a stack machine, each followed by its operands
//!     c module\n name\n     a class           q n   the top under number n
//!     X [length: u32 le]    a text            h n   number n again
//!     ( … t    a tuple      ( … u  pairs into the dictionary below      Q  a storage, by a tuple
//!     R  a call: of torch._utils._rebuild_tensor_v2, a tensor           b  the attributes of an object
//! ```
//!
//! Values lie in one list, and containers hold places in it, so that a value that is named twice is held once
//! and a hostile file cannot multiply.

mod machine;
mod rebuild;
mod values;
mod walk;

pub(crate) use values::{Described, Storage};

use std::borrow::Cow;
use std::collections::BTreeMap;
use values::{Place, Value, Values};

/// A pickle that was run.
pub(crate) struct Pickle {
    values: Values,
    root: Place,
}

/// Runs the pickle at the beginning of `bytes`; what it made, and the bytes after it. `known` are tensors that it
/// may name by ids.
///
/// # Errors
/// Says in words what the pickle is not.
pub(crate) fn run<'a>(
    bytes: &'a [u8],
    known: &BTreeMap<String, Described>,
) -> Result<(Pickle, &'a [u8]), String> {
    let (values, root, rest) = machine::run(bytes, known)?;
    Ok((Pickle { values, root }, rest))
}

impl Pickle {
    /// The tensors by their names: the keys of dictionaries, the attributes of objects and the places in lists
    /// on the way to them, joined by dots.
    ///
    /// # Errors
    /// When there are too many values on the way.
    pub(crate) fn tensors(&self) -> Result<BTreeMap<String, Described>, String> {
        walk::named(&self.values, self.root)
    }

    /// The storages that the pickle names, in its order.
    pub(crate) fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.values.iter().filter_map(|value| match value {
            Value::Storage(storage) => Some(&**storage),
            _ => None,
        })
    }

    /// The result, where it is a whole number.
    pub(crate) fn number(&self) -> Option<i64> {
        if let Value::Int(number) = self.values[self.root] { Some(number) } else { None }
    }

    /// The result, where it is a list or a tuple: its items that are texts, numbers or classes, in words.
    pub(crate) fn words(&self) -> Option<impl Iterator<Item = Option<Cow<'_, str>>>> {
        self.words_at(self.root)
    }

    /// The result, where it is a list: of each item what [`Pickle::words`] says of a result.
    pub(crate) fn lines(
        &self,
    ) -> Option<impl Iterator<Item = Option<impl Iterator<Item = Option<Cow<'_, str>>>>>> {
        Some(self.values.list(self.root)?.iter().map(|place| self.words_at(*place)))
    }

    fn words_at(&self, place: Place) -> Option<impl Iterator<Item = Option<Cow<'_, str>>>> {
        Some(self.values.list(place)?.iter().map(|place| match &self.values[*place] {
            Value::Text(text) => Some(text.into()),
            Value::Int(number) => Some(number.to_string().into()),
            Value::Class(_) => self.values.class_name(*place).map(Cow::from),
            _ => None,
        }))
    }

    /// The truth value under `name`, where the result is a dictionary.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        let Value::Dict(pairs) = &self.values[self.root] else { return None };
        let named = |key: &Place| self.values.text(*key).is_some_and(|key| key == name);
        let (_, value) = pairs.iter().rev().find(|(key, _)| named(key))?;
        match self.values[*value] {
            Value::Bool(flag) => Some(flag),
            Value::Int(flag) => Some(flag != 0),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::values::{Described, MOST_VALUES};
    use std::collections::BTreeMap;

    fn tensors(pickle: &[u8]) -> Result<BTreeMap<String, Described>, String> {
        super::run(pickle, &BTreeMap::new())?.0.tensors()
    }

    #[test]
    fn hostile_pickles_are_errors_and_bounded() {
        let error = |pickle: &[u8]| tensors(pickle).unwrap_err();
        for cut in
            [&b""[..], b"\x80", b"X\xff\xff\xff\xffab", b"\x8d\xff\xff\xff\xff\xff\xff\xff\xffab", b"cabc\n"]
        {
            error(cut);
        }
        assert_eq!(error(b"."), "a value on the stack");
        assert_eq!(error(b"t."), "a mark on the stack");
        assert_eq!(error(b"h\x07."), "a value that was numbered before");
        assert_eq!(error(b"\x82\x01."), "a known opcode, not 0x82");
        assert!(error(&[b']'].repeat(MOST_VALUES)).contains("at most"));
        // Lists of one list twice, fifty times over: 2^50 names, in 150 bytes.
        let bomb = [&b"]"[..], &b"2\x86".repeat(50), b"."].concat();
        assert!(error(&bomb).contains("at most"));
        // Lists within lists, deeper than anybody's names.
        let deep = [&b"]".repeat(100_000)[..], &b"a".repeat(99_999), b"."].concat();
        assert!(tensors(&deep).unwrap().is_empty());
        // A long name of a storage a million times, and a long dictionary as the attributes of as many objects.
        let text = [&b"X\x60\xea\x00\x00"[..], &b"n".repeat(60_000)].concat();
        let head = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n";
        let storages = [&head[..], &text, b"NNtq\x00(", &b"h\x00Q".repeat(1_000_000), b"l."].concat();
        assert!(error(&storages).contains("bytes of values that are used again"));
        let attributes = [&b"}("[..], &b"NN".repeat(1_000_000), b"uq\x00("].concat();
        let objects = [&attributes[..], &b"}h\x00b".repeat(1_000_000), b"l."].concat();
        assert!(error(&objects).contains("bytes of values that are used again"));
        assert!(error(&b"(".repeat(20_000_000)).contains("at most"));
        assert!(error(&[&b"]"[..], &b"2".repeat(20_000_000)].concat()).contains("at most"));
        // A list that holds itself.
        assert!(tensors(b"]q\x00h\x00a.").unwrap().is_empty());
    }
}
