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

use std::collections::{BTreeMap, HashMap};

/// Values that a pickle may make.
const MOST_VALUES: usize = 4_000_000;

/// Names that a walk through the values may meet: a value can be held in several places.
const MOST_NAMES: usize = 1_000_000;

/// Containers within containers.
const DEEPEST: usize = 64;

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

/// The tensors of a pickle by their names: the keys of dictionaries, the attributes of objects and the places
/// in lists on the way to them, joined by dots.
///
/// # Errors
/// Says in words what the pickle is not.
pub(crate) fn tensors(pickle: &[u8]) -> Result<BTreeMap<String, Described>, String> {
    let mut machine = Machine { rest: pickle, ..Machine::default() };
    machine.values.push(Value::Other);
    let root = machine.run()?;
    let mut walk = Walk { values: &machine.values, met: 0, path: Vec::new(), within: Vec::new() };
    let mut found = BTreeMap::new();
    walk.collect(root, &mut found)?;
    Ok(found)
}

/// A place in the list of values.
type Place = usize;

/// Everything that is neither a tensor nor leads to one.
const OTHER: Place = 0;

#[derive(Clone, Debug)]
enum Value {
    Other,
    Int(i64),
    Text(String),
    /// A list, a tuple or a set.
    List(Vec<Place>),
    /// A dictionary, or an object with its attributes.
    Dict(Vec<(Place, Place)>),
    /// A class or function by its module and name.
    Class(String),
    /// The name and the type of its numbers.
    Storage(String, String),
    Tensor(Box<Described>),
}

#[derive(Default)]
struct Machine<'a> {
    rest: &'a [u8],
    values: Vec<Value>,
    stack: Vec<Place>,
    /// Heights of the stack at its open marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
}

impl Machine<'_> {
    /// Runs the program and hands back its result.
    fn run(&mut self) -> Result<Place, String> {
        loop {
            let [code] = self.take::<1>()?;
            match code {
                b'.' => return self.pop(),
                0x80 => self.skip(1)?,
                0x95 => self.skip(8)?,
                b'(' => self.marks.push(self.stack.len()),
                b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.pop_mark()?),
                b'2' => self.stack.push(*self.stack.last().ok_or("a value to double")?),
                b'N' | 0x88 | 0x89 => self.stack.push(OTHER),
                b'K' => {
                    let [number] = self.take::<1>()?;
                    self.push(Value::Int(number.into()))?;
                }
                b'M' => {
                    let number = u16::from_le_bytes(self.take()?);
                    self.push(Value::Int(number.into()))?;
                }
                b'J' => {
                    let number = i32::from_le_bytes(self.take()?);
                    self.push(Value::Int(number.into()))?;
                }
                b'I' | b'L' => {
                    let line = self.line()?;
                    let number = line.trim_end_matches('L').parse();
                    self.push(number.map_or(Value::Other, Value::Int))?;
                }
                0x8a | 0x8b => {
                    let count = if code == 0x8a { 1 } else { 4 };
                    let number = whole(self.counted(count)?);
                    self.push(number)?;
                }
                b'F' => self.line().map(|_| self.stack.push(OTHER))?,
                b'G' => self.skip(8).map(|()| self.stack.push(OTHER))?,
                b'V' => {
                    let text = self.line()?;
                    self.push(Value::Text(text))?;
                }
                b'X' | 0x8c | 0x8d | b'T' | b'U' => {
                    let count = match code {
                        0x8c | b'U' => 1,
                        0x8d => 8,
                        _ => 4,
                    };
                    let text = String::from_utf8_lossy(self.counted(count)?).into_owned();
                    self.push(Value::Text(text))?;
                }
                b'S' => {
                    let line = self.line()?;
                    self.push(Value::Text(line.trim_matches(['\'', '"']).to_string()))?;
                }
                b'C' | b'B' | 0x8e | 0x96 => {
                    let count = match code {
                        b'C' => 1,
                        b'B' => 4,
                        _ => 8,
                    };
                    self.counted(count)?;
                    self.stack.push(OTHER);
                }
                b']' | b')' | 0x8f => self.push(Value::List(Vec::new()))?,
                b'}' => self.push(Value::Dict(Vec::new()))?,
                b't' | b'l' | 0x91 => {
                    let items = self.pop_mark()?;
                    self.push(Value::List(items))?;
                }
                0x85..=0x87 => {
                    let count = usize::from(code - 0x84);
                    let from = self.stack.len().checked_sub(count).ok_or("values for a tuple")?;
                    let items = self.stack.split_off(from);
                    self.push(Value::List(items))?;
                }
                b'd' => {
                    let pairs = paired(self.pop_mark()?);
                    self.push(Value::Dict(pairs))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend(&[item])?;
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.extend(&items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(vec![(key, value)])?;
                }
                b'u' => {
                    let pairs = paired(self.pop_mark()?);
                    self.set(pairs)?;
                }
                b'g' | b'h' | b'j' => {
                    let number = self.number(code, b'g', b'h')?;
                    let place = *self.memo.get(&number).ok_or("a value that was numbered before")?;
                    self.stack.push(place);
                }
                b'p' | b'q' | b'r' | 0x94 => {
                    let number =
                        if code == 0x94 { self.memo.len() as u64 } else { self.number(code, b'p', b'q')? };
                    self.memo.insert(number, *self.stack.last().ok_or("a value to number")?);
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Value::Class(format!("{module}.{name}")))?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (&self.values[module], &self.values[name])
                    else {
                        return Err("texts that name a class".into());
                    };
                    self.push(Value::Class(format!("{module}.{name}")))?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id);
                    self.push(storage)?;
                }
                b'R' | 0x81 => {
                    let (arguments, class) = (self.pop()?, self.pop()?);
                    let made = self.call(class, arguments, DEEPEST)?;
                    self.stack.push(made);
                }
                0x92 => {
                    let (_named, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                    let made = self.call(class, arguments, DEEPEST)?;
                    self.stack.push(made);
                }
                b'b' => {
                    let state = self.pop()?;
                    let object = *self.stack.last().ok_or("an object to build")?;
                    self.build(object, state);
                }
                other => return Err(format!("a known opcode, not 0x{other:02x}")),
            }
        }
    }

    /// The object that a call makes. Of calls that make no tensor, an object without attributes.
    fn call(&mut self, class: Place, arguments: Place, deepest: usize) -> Result<Place, String> {
        let name = if let Value::Class(name) = &self.values[class] { name.clone() } else { String::new() };
        let arguments =
            if let Value::List(items) = &self.values[arguments] { items.clone() } else { Vec::new() };
        match (name.as_str(), &arguments[..]) {
            ("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2", arguments) => {
                let made = self.described(arguments, None);
                self.add(made)
            }
            ("torch._utils._rebuild_tensor_v3", arguments) => {
                let kind = arguments.get(6).and_then(|place| self.class_name(*place));
                let made = self.described(arguments, Some(kind.unwrap_or_default()));
                self.add(made)
            }
            (
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
                [data, ..],
            ) => Ok(*data),
            ("torch._tensor._rebuild_from_type_v2", &[function, _, arguments, ..]) if deepest > 0 => {
                self.call(function, arguments, deepest - 1)
            }
            (
                "builtins.set" | "builtins.frozenset" | "__builtin__.set" | "__builtin__.frozenset",
                [items],
            ) => Ok(*items),
            ("collections.OrderedDict", &[items]) => {
                let Value::List(items) = &self.values[items] else {
                    return self.add(Value::Dict(Vec::new()));
                };
                let pair = |place: &Place| match &self.values[*place] {
                    Value::List(pair) if pair.len() == 2 => Some((pair[0], pair[1])),
                    _ => None,
                };
                let pairs = items.iter().filter_map(pair).collect();
                self.add(Value::Dict(pairs))
            }
            _ => self.add(Value::Dict(Vec::new())),
        }
    }

    /// A tensor of the arguments `storage, offset, size, strides`; nothing where they are others.
    fn described(&self, arguments: &[Place], kind: Option<String>) -> Value {
        let sizes = |place: Place| -> Option<Vec<usize>> {
            let Value::List(items) = &self.values[place] else { return None };
            items.iter().map(|item| self.size(*item)).collect()
        };
        let described = || {
            let [storage, offset, shape, strides, ..] = *arguments else { return None };
            let Value::Storage(name, numbers) = &self.values[storage] else { return None };
            let (shape, strides) = (sizes(shape)?, sizes(strides)?);
            (shape.len() == strides.len()).then_some(Described {
                storage: name.clone(),
                kind: kind.unwrap_or_else(|| numbers.clone()),
                offset: self.size(offset)?,
                shape,
                strides,
            })
        };
        described().map_or(Value::Other, |described| Value::Tensor(Box::new(described)))
    }

    /// The storage of an id `('storage', type, name, device, count)`.
    fn storage(&self, id: Place) -> Value {
        let Value::List(fields) = &self.values[id] else { return Value::Other };
        let [_, kind, name, ..] = fields[..] else { return Value::Other };
        let name = match &self.values[name] {
            Value::Text(name) => name.clone(),
            Value::Int(name) => name.to_string(),
            _ => return Value::Other,
        };
        Value::Storage(name, self.class_name(kind).unwrap_or_default())
    }

    /// Gives an object its attributes. A module of PyTorch's has its tensors by the names of its
    /// `state_dict`.
    fn build(&mut self, object: Place, state: Place) {
        let Value::Dict(attributes) = &self.values[state] else { return };
        let named = |wanted: &str| {
            let key = |key: &Place| matches!(&self.values[*key], Value::Text(text) if text == wanted);
            let found = attributes.iter().rev().find(|(name, _)| key(name));
            found.map(|(_, value)| &self.values[*value])
        };
        let tables = ["_parameters", "_buffers", "_modules"].map(|table| match named(table) {
            Some(Value::Dict(pairs)) => Some(pairs),
            _ => None,
        });
        let text = |place: &Place| match &self.values[*place] {
            Value::Text(text) => Some(text),
            _ => None,
        };
        let passing: Vec<&String> = match named("_non_persistent_buffers_set") {
            Some(Value::List(names)) => names.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        let pairs: Vec<(Place, Place)> = match tables {
            [Some(parameters), Some(buffers), Some(modules)] => {
                let buffers =
                    buffers.iter().filter(|(name, _)| text(name).is_none_or(|name| !passing.contains(&name)));
                parameters.iter().chain(buffers).chain(modules).copied().collect()
            }
            _ => attributes.clone(),
        };
        // A dictionary's own attributes are no entries: PyTorch keeps versions there.
        if let Value::Dict(own) = &mut self.values[object]
            && own.is_empty()
        {
            *own = pairs;
        }
    }

    /// Adds items to a list; an object of a class that acts as one keeps none.
    fn extend(&mut self, items: &[Place]) -> Result<(), String> {
        let list = *self.stack.last().ok_or("a list")?;
        if let Value::List(list) = &mut self.values[list] {
            list.extend_from_slice(items);
        }
        Ok(())
    }

    fn set(&mut self, pairs: Vec<(Place, Place)>) -> Result<(), String> {
        let dict = *self.stack.last().ok_or("a dictionary")?;
        if let Value::Dict(dict) = &mut self.values[dict] {
            dict.extend(pairs);
        }
        Ok(())
    }

    fn size(&self, place: Place) -> Option<usize> {
        if let Value::Int(number) = self.values[place] { usize::try_from(number).ok() } else { None }
    }

    /// The last part of a class's name.
    fn class_name(&self, place: Place) -> Option<String> {
        let Value::Class(name) = &self.values[place] else { return None };
        Some(name.rsplit('.').next().unwrap_or(name).to_string())
    }

    fn add(&mut self, value: Value) -> Result<Place, String> {
        if self.values.len() >= MOST_VALUES {
            return Err(format!("at most {MOST_VALUES} values"));
        }
        self.values.push(value);
        Ok(self.values.len() - 1)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        let place = self.add(value)?;
        self.stack.push(place);
        Ok(())
    }

    fn pop(&mut self) -> Result<Place, String> {
        self.stack.pop().ok_or_else(|| "a value on the stack".into())
    }

    fn pop_mark(&mut self) -> Result<Vec<Place>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("a mark on the stack")?))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or("more bytes")?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn skip(&mut self, count: usize) -> Result<(), String> {
        self.bytes(count).map(drop)
    }

    fn bytes(&mut self, count: usize) -> Result<&[u8], String> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or("more bytes")?;
        self.rest = rest;
        Ok(bytes)
    }

    /// Bytes behind their count, a little-endian number of `width` bytes.
    fn counted(&mut self, width: usize) -> Result<&[u8], String> {
        let count = self.bytes(width)?.iter().rev().fold(0u64, |count, byte| count << 8 | u64::from(*byte));
        self.bytes(usize::try_from(count).map_err(|_| "more bytes")?)
    }

    fn line(&mut self) -> Result<String, String> {
        let end = self.rest.iter().position(|byte| *byte == b'\n').ok_or("the end of a line")?;
        let line = String::from_utf8_lossy(&self.rest[..end]).trim_end_matches('\r').to_string();
        self.rest = &self.rest[end + 1..];
        Ok(line)
    }

    /// The number of a value: in a line, a byte, or four of them.
    fn number(&mut self, code: u8, line: u8, byte: u8) -> Result<u64, String> {
        if code == line {
            return self.line()?.parse().map_err(|_| "the number of a value".into());
        }
        let width = if code == byte { 1 } else { 4 };
        Ok(self.bytes(width)?.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }
}

/// A whole number of little-endian bytes in two's complement; one of more than 8 bytes is nobody's size.
fn whole(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Other;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}

fn paired(items: Vec<Place>) -> Vec<(Place, Place)> {
    items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// The walk from the root to the tensors.
struct Walk<'a> {
    values: &'a [Value],
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

#[cfg(test)]
mod tests {
    use super::*;

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
        // A list that holds itself.
        assert!(tensors(b"]q\x00h\x00a.").unwrap().is_empty());
    }
}
