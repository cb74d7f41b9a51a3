//! Python's pickles, as far as state dicts need them: a machine with a stack that builds values and calls nothing.

use std::collections::HashMap;

/// A value of a pickle.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Tuples, lists and sets.
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// A function or class, by its name.
    Global(String),
    /// What a function would make of arguments, if it were called; and the state it would be given.
    Call(String, Vec<Value>, Option<Box<Value>>),
    /// What a pickle refers to outside of it.
    Outside(Box<Value>),
}

impl Value {
    /// A number, or a bool as one.
    pub fn number(&self) -> Option<f64> {
        match *self {
            Value::Int(x) => Some(x as f64),
            Value::Float(x) => Some(x),
            Value::Bool(x) => Some(x as u8 as f64),
            _ => None,
        }
    }
}

/// Where a list began.
struct Mark(usize);

/// Reads a pickle of protocol 2 to 5.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    let (mut stack, mut marks, mut memo): (Vec<Value>, Vec<Mark>, HashMap<u32, Value>) = Default::default();
    let mut input = Input { bytes, at: 0 };
    loop {
        let at = input.at;
        let code = input.byte()?;
        let short = || format!("an empty stack at byte {at}");
        macro_rules! pop {
            () => {
                stack.pop().ok_or_else(short)?
            };
        }
        macro_rules! since_mark {
            () => {{
                let Mark(from) = marks.pop().ok_or_else(short)?;
                if from > stack.len() {
                    return Err(short());
                }
                stack.split_off(from)
            }};
        }
        match code {
            b'\x80' => drop(input.take(1)?),
            b'\x95' => drop(input.take(8)?),
            b'(' => marks.push(Mark(stack.len())),
            b'.' => return Ok(pop!()),
            b'0' => drop(pop!()),
            b'1' => drop(since_mark!()),
            b'2' => stack.push(stack.last().ok_or_else(short)?.clone()),
            b'N' => stack.push(Value::None),
            b'\x88' => stack.push(Value::Bool(true)),
            b'\x89' => stack.push(Value::Bool(false)),
            b'J' => stack.push(Value::Int(i32::from_le_bytes(input.array()?) as i64)),
            b'K' => stack.push(Value::Int(input.byte()? as i64)),
            b'M' => stack.push(Value::Int(u16::from_le_bytes(input.array()?) as i64)),
            b'\x8a' => {
                let n = input.byte()? as usize;
                stack.push(Value::Int(long(input.take(n)?)?));
            }
            b'G' => stack.push(Value::Float(f64::from_be_bytes(input.array()?))),
            b'X' | b'T' | b'B' => {
                let n = u32::from_le_bytes(input.array()?) as usize;
                stack.push(input.text(n)?);
            }
            b'\x8c' | b'U' | b'C' => {
                let n = input.byte()? as usize;
                stack.push(input.text(n)?);
            }
            b'c' => {
                let (module, name) = (input.line()?, input.line()?);
                stack.push(Value::Global(format!("{module}.{name}")));
            }
            b'\x93' => match (pop!(), pop!()) {
                (Value::Text(name), Value::Text(module)) => stack.push(Value::Global(format!("{module}.{name}"))),
                _ => return Err(format!("a global without a name at byte {at}")),
            },
            b')' | b']' | b'\x8f' => stack.push(Value::List(Vec::new())),
            b'}' => stack.push(Value::Dict(Vec::new())),
            b't' | b'l' | b'\x91' => {
                let list = since_mark!();
                stack.push(Value::List(list));
            }
            b'd' => {
                let list = since_mark!();
                stack.push(Value::Dict(pairs(list)));
            }
            b'\x85' | b'\x86' | b'\x87' => {
                let n = (code - b'\x84') as usize;
                let from = stack.len().checked_sub(n).ok_or_else(short)?;
                let list = stack.split_off(from);
                stack.push(Value::List(list));
            }
            b'a' | b'e' => {
                let new = if code == b'a' { vec![pop!()] } else { since_mark!() };
                match stack.last_mut() {
                    Some(Value::List(list)) => list.extend(new),
                    // A subclass of a list, which is built as any object.
                    Some(Value::Call(_, arguments, _)) => arguments.extend(new),
                    _ => return Err(format!("no list to append to at byte {at}")),
                }
            }
            b's' | b'u' => {
                let new = if code == b's' {
                    let value = pop!();
                    vec![pop!(), value]
                } else {
                    since_mark!()
                };
                match stack.last_mut() {
                    Some(Value::Dict(dict)) => dict.extend(pairs(new)),
                    _ => return Err(format!("no dict to add to at byte {at}")),
                }
            }
            b'R' | b'\x81' => match (pop!(), pop!()) {
                // An ordered dict is a dict: what is put in comes later.
                (Value::List(arguments), Value::Global(name)) if name == "collections.OrderedDict" => {
                    let all = arguments.into_iter().next();
                    let entries = if let Some(Value::List(entries)) = all { entries } else { Vec::new() };
                    let pair = |entry| match entry {
                        Value::List(pair) => pairs(pair),
                        _ => Vec::new(),
                    };
                    stack.push(Value::Dict(entries.into_iter().flat_map(pair).collect()));
                }
                (Value::List(arguments), Value::Global(name)) => stack.push(Value::Call(name, arguments, None)),
                _ => return Err(format!("a call of no function at byte {at}")),
            },
            b'b' => {
                let state = pop!();
                if let Some(Value::Call(.., place)) = stack.last_mut() {
                    *place = Some(Box::new(state));
                }
            }
            b'Q' => {
                let what = pop!();
                stack.push(Value::Outside(Box::new(what)));
            }
            b'q' | b'r' | b'\x94' => {
                let number = match code {
                    b'q' => input.byte()? as u32,
                    b'r' => u32::from_le_bytes(input.array()?),
                    _ => memo.len() as u32,
                };
                memo.insert(number, stack.last().ok_or_else(short)?.clone());
            }
            b'h' | b'j' => {
                let number = if code == b'h' { input.byte()? as u32 } else { u32::from_le_bytes(input.array()?) };
                stack.push(memo.get(&number).ok_or_else(|| format!("nothing kept as {number} at byte {at}"))?.clone());
            }
            other => return Err(format!("the code {other:#04x} at byte {at} is none of a state dict's")),
        }
    }
}

fn pairs(list: Vec<Value>) -> Vec<(Value, Value)> {
    let mut list = list.into_iter();
    std::iter::from_fn(|| Some((list.next()?, list.next()?))).collect()
}

fn long(bytes: &[u8]) -> Result<i64, String> {
    if bytes.len() > 8 {
        return Err(format!("an integer of {} bytes", bytes.len()));
    }
    let negative = bytes.last().is_some_and(|&byte| byte & 0x80 != 0);
    let mut all = if negative { [0xff; 8] } else { [0; 8] };
    all[..bytes.len()].copy_from_slice(bytes);
    Ok(i64::from_le_bytes(all))
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("it ends at byte {}", self.bytes.len()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N)?.try_into().expect("as many bytes"))
    }

    fn text(&mut self, n: usize) -> Result<Value, String> {
        Ok(Value::Text(String::from_utf8_lossy(self.take(n)?).into_owned()))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.bytes[self.at..];
        let n = rest.iter().position(|&byte| byte == b'\n').ok_or("it ends within a name")?;
        let line = self.take(n + 1)?;
        Ok(String::from_utf8_lossy(&line[..n]).into_owned())
    }
}
