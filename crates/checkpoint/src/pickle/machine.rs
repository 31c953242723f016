//! The stack machine that runs a pickle.

use super::rebuild;
use super::values::{OTHER, Place, Value, Values};
use std::collections::HashMap;

/// Runs a pickle: its values, and the place of its result.
///
/// # Errors
/// Says in words what the pickle is not.
pub(super) fn run(pickle: &[u8]) -> Result<(Values, Place), String> {
    let (stack, marks, memo) = (Vec::new(), Vec::new(), HashMap::new());
    let mut machine = Machine { rest: pickle, values: Values::new(), stack, marks, memo };
    let root = machine.run()?;
    Ok((machine.values, root))
}

struct Machine<'a> {
    rest: &'a [u8],
    values: Values,
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
                b'2' => self.stack.push(self.top("a value to double")?),
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
                    self.values.extend(self.top("a list")?, &[item]);
                }
                b'e' | 0x90 => {
                    let items = self.pop_mark()?;
                    self.values.extend(self.top("a list")?, &items);
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
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
                    let storage = rebuild::storage(&self.values, id);
                    self.push(storage)?;
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
                    rebuild::build(&mut self.values, object, state);
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
