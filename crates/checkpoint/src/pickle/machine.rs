//! The stack machine that runs a pickle.

use super::rebuild;
use super::values::{Described, FALSE, OTHER, Place, TRUE, Value, Values};
use std::collections::{BTreeMap, HashMap};

/// Places that the stack, its marks, the numbered values and all containers may hold: more than any honest
/// pickle has of those that are taken, whose items have several bytes each.
const MOST_HELD: usize = 16 << 20;

/// Bytes of a text that may be a name. A longer one is nobody's.
const LONGEST_TEXT: usize = 1 << 16;

/// Runs a pickle: its values, the place of its result, and the bytes after it. `known` are tensors that the
/// pickle may name by their ids.
///
/// # Errors
/// Says in words what the pickle is not.
pub(super) fn run<'a>(
    pickle: &'a [u8],
    known: &BTreeMap<String, Described>,
) -> Result<(Values, Place, &'a [u8]), String> {
    let (stack, marks, memo) = (Vec::new(), Vec::new(), HashMap::new());
    let mut machine = Machine { rest: pickle, known, values: Values::new(), stack, marks, memo, placed: 0 };
    let root = machine.run()?;
    Ok((machine.values, root, machine.rest))
}

struct Machine<'a, 'k> {
    rest: &'a [u8],
    known: &'k BTreeMap<String, Described>,
    values: Values,
    stack: Vec<Place>,
    /// Heights of the stack at its open marks.
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
    /// Items of all containers.
    placed: usize,
}

impl Machine<'_, '_> {
    /// Runs the program and hands back its result.
    fn run(&mut self) -> Result<Place, String> {
        loop {
            if self.placed + self.stack.len() + self.marks.len() + self.memo.len() > MOST_HELD {
                return Err(format!("at most {MOST_HELD} items"));
            }
            let [code] = self.take::<1>()?;
            match code {
                b'.' => return self.pop(),
                0x80 => self.skip(1)?,
                0x95 => self.skip(8)?,
                b'(' => self.marks.push(self.stack.len()),
                b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.pop_mark()?),
                b'2' => self.stack.push(self.top("a value to double")?),
                b'N' => self.stack.push(OTHER),
                0x88 => self.stack.push(TRUE),
                0x89 => self.stack.push(FALSE),
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
                    self.push_text(text)?;
                }
                b'X' | 0x8c | 0x8d | b'T' | b'U' => {
                    let count = match code {
                        0x8c | b'U' => 1,
                        0x8d => 8,
                        _ => 4,
                    };
                    let text = self.counted(count)?;
                    let text = &text[..text.len().min(LONGEST_TEXT + 1)];
                    let text = String::from_utf8_lossy(text).into_owned();
                    self.push_text(text)?;
                }
                b'S' => {
                    let line = self.line()?;
                    self.push_text(line.trim_matches(['\'', '"']).to_string())?;
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
                    self.placed += count;
                    self.push(Value::List(items))?;
                }
                b'd' => {
                    let pairs = paired(self.pop_mark()?);
                    self.push(Value::Dict(pairs))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.placed += 1;
                    self.values.extend(self.top("a list")?, &[item]);
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.values.extend(self.top("a list")?, &items);
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.placed += 2;
                    self.values.set(self.top("a dictionary")?, vec![(key, value)]);
                }
                b'u' => {
                    let pairs = paired(self.pop_mark()?);
                    self.values.set(self.top("a dictionary")?, pairs);
                }
                b'g' | b'h' | b'j' => {
                    let number = self.number(code, b'g', b'h')?;
                    let place = *self.memo.get(&number).ok_or("a value that was numbered before")?;
                    self.stack.push(place);
                }
                b'p' | b'q' | b'r' | 0x94 => {
                    let number =
                        if code == 0x94 { self.memo.len() as u64 } else { self.number(code, b'p', b'q')? };
                    self.memo.insert(number, self.top("a value to number")?);
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push_class(&module, &name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(module), Value::Text(name)) = (&self.values[module], &self.values[name])
                    else {
                        return Err("texts that name a class".into());
                    };
                    let (module, name) = (module.clone(), name.clone());
                    self.push_class(&module, &name)?;
                }
                b'P' => {
                    let id = Value::Text(self.line()?);
                    let id = self.values.add(id)?;
                    self.push_persistent(id)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.push_persistent(id)?;
                }
                b'R' | 0x81 => {
                    let (arguments, class) = (self.pop()?, self.pop()?);
                    let made = rebuild::call(&mut self.values, class, arguments)?;
                    self.stack.push(made);
                }
                0x92 => {
                    let (_named, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                    let made = rebuild::call(&mut self.values, class, arguments)?;
                    self.stack.push(made);
                }
                b'b' => {
                    let state = self.pop()?;
                    let object = self.top("an object to build")?;
                    rebuild::build(&mut self.values, object, state)?;
                }
                other => return Err(format!("a known opcode, not 0x{other:02x}")),
            }
        }
    }

    fn top(&self, expected: &str) -> Result<Place, String> {
        self.stack.last().copied().ok_or_else(|| expected.into())
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        let place = self.values.add(value)?;
        self.stack.push(place);
        Ok(())
    }

    fn push_text(&mut self, text: String) -> Result<(), String> {
        if text.len() > LONGEST_TEXT {
            self.stack.push(OTHER);
            return Ok(());
        }
        self.push(Value::Text(text))
    }

    fn push_class(&mut self, module: &str, name: &str) -> Result<(), String> {
        if module.len() + name.len() > LONGEST_TEXT {
            return Err(format!("names of classes of at most {LONGEST_TEXT} bytes"));
        }
        self.values.copy(module.len() + name.len())?;
        self.push(Value::Class(format!("{module}.{name}")))
    }

    /// Pushes the value of an id of another part of the file: a tensor that is known already, or a storage.
    fn push_persistent(&mut self, id: Place) -> Result<(), String> {
        let known = match &self.values[id] {
            Value::Text(id) => self.known.get(id),
            Value::Int(id) => self.known.get(&id.to_string()),
            _ => None,
        };
        let meant = match known {
            Some(described) => {
                self.values.copy(described.size())?;
                Value::Tensor(Box::new(described.clone()))
            }
            None => rebuild::storage(&mut self.values, id)?,
        };
        self.push(meant)
    }

    fn pop(&mut self) -> Result<Place, String> {
        self.stack.pop().ok_or_else(|| "a value on the stack".into())
    }

    fn pop_mark(&mut self) -> Result<Vec<Place>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        let items = self.stack.split_off(mark.ok_or("a mark on the stack")?);
        self.placed += items.len();
        Ok(items)
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
        let line = &self.rest[..end.min(LONGEST_TEXT + 1)];
        let line = String::from_utf8_lossy(line).trim_end_matches('\r').to_string();
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
