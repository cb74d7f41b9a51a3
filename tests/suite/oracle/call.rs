//! The expressions of the cases: a reader for the part of Python they are written in.

use super::functions::{Args, apply};
use serde_json::Value as Json;
use std::collections::HashMap;
use wgrad::{Device, Index, Tensor};

/// Why a case cannot be checked.
pub enum Stop {
    /// The expression needs something that this crate or this test does not have.
    Unsupported(String),
    /// The crate refused what it should do.
    Failed(wgrad::Error),
}

impl From<wgrad::Error> for Stop {
    fn from(error: wgrad::Error) -> Stop {
        Stop::Failed(error)
    }
}

pub fn unsupported<T>(what: impl std::fmt::Display) -> Result<T, Stop> {
    Err(Stop::Unsupported(what.to_string()))
}

/// What a part of an expression stands for.
#[derive(Clone)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Tensor(Tensor),
}

impl From<&Json> for Value {
    fn from(json: &Json) -> Value {
        match json {
            Json::Null | Json::Object(_) => Value::None,
            Json::Bool(x) => Value::Bool(*x),
            Json::Number(x) => {
                x.as_i64().map_or_else(|| Value::Float(x.as_f64().expect("numbers are doubles")), Value::Int)
            }
            // JSON has no word for these.
            Json::String(x) if ["inf", "-inf", "nan"].contains(&x.as_str()) => {
                Value::Float(x.parse().expect("Rust reads them"))
            }
            Json::String(x) => Value::Text(x.clone()),
            Json::Array(x) => Value::List(x.iter().map(Value::from).collect()),
        }
    }
}

/// The integers of a JSON list.
pub fn ints(json: &Json) -> Vec<isize> {
    Value::from(json).ints().unwrap_or_default()
}

impl Value {
    pub fn ints(&self) -> Option<Vec<isize>> {
        match self {
            Value::Int(i) => Some(vec![*i as isize]),
            Value::List(items) => {
                items.iter().map(|x| if let Value::Int(i) = x { Some(*i as isize) } else { None }).collect()
            }
            _ => None,
        }
    }

    pub fn tensors(self) -> Result<Vec<Tensor>, Stop> {
        match self {
            Value::Tensor(x) => Ok(vec![x]),
            Value::List(items) => {
                items.into_iter().map(Value::tensors).collect::<Result<Vec<_>, _>>().map(|x| x.concat())
            }
            _ => unsupported("a list of something else than tensors"),
        }
    }
}

/// The value of an expression over inputs and attributes, tuples flattened.
pub fn evaluate(expression: &str, attrs: &Json, inputs: &HashMap<String, Tensor>) -> Result<Vec<Tensor>, Stop> {
    let attrs = attrs.as_object().into_iter().flatten().map(|(name, x)| (name.as_str(), Value::from(x)));
    let inputs = inputs.iter().map(|(name, x)| (name.as_str(), Value::Tensor(x.clone())));
    let mut reader = Reader { rest: expression, names: attrs.chain(inputs).collect() };
    let value = reader.value()?;
    if !reader.rest.is_empty() {
        return unsupported(format!("the syntax of {:?}", reader.rest));
    }
    value.tensors()
}

struct Reader<'a> {
    rest: &'a str,
    names: HashMap<&'a str, Value>,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self, mut part: impl FnMut(char) -> bool) -> &'a str {
        let rest = self.rest.trim_start();
        let (word, rest) = rest.split_at(rest.find(|c| !part(c)).unwrap_or(rest.len()));
        self.rest = rest;
        word
    }

    /// An expression: operators bind as in Python, `|` the least.
    fn value(&mut self) -> Result<Value, Stop> {
        self.bits(&[("|", "bitwise_or"), ("^", "bitwise_xor"), ("&", "bitwise_and")])
    }

    /// Operators between bits, each of which binds less than the next one.
    fn bits(&mut self, operators: &[(&str, &str)]) -> Result<Value, Stop> {
        let Some((&(token, name), tighter)) = operators.split_first() else { return self.sum() };
        let mut a = self.bits(tighter)?;
        while self.eat(token) {
            let b = self.bits(tighter)?;
            a = operator(name, vec![a, b])?;
        }
        Ok(a)
    }

    fn sum(&mut self) -> Result<Value, Stop> {
        let mut a = self.product()?;
        while let Some(op) = ["+", "-"].into_iter().find(|op| self.eat(op)) {
            let b = self.product()?;
            a = operator(if op == "+" { "add" } else { "sub" }, vec![a, b])?;
        }
        Ok(a)
    }

    fn product(&mut self) -> Result<Value, Stop> {
        let mut a = self.signed()?;
        let operators = [("*", "mul"), ("//", "floor_divide"), ("/", "div"), ("%", "remainder"), ("@", "matmul")];
        while let Some((_, name)) = operators.into_iter().find(|(op, _)| self.eat(op)) {
            let b = self.signed()?;
            a = operator(name, vec![a, b])?;
        }
        Ok(a)
    }

    fn signed(&mut self) -> Result<Value, Stop> {
        if self.eat("-") {
            let x = self.signed()?;
            return operator("neg", vec![x]);
        }
        let a = self.part()?;
        match self.eat("**") {
            true => {
                let b = self.signed()?;
                operator("pow", vec![a, b])
            }
            false => Ok(a),
        }
    }

    /// A name, a number, a list or a call, with the indices and methods behind it.
    fn part(&mut self) -> Result<Value, Stop> {
        let mut value = match self.rest.trim_start().chars().next() {
            Some('[') if self.eat("[") => Value::List(self.items("]", |reader| reader.value())?),
            Some('(') if self.eat("(") => self.group()?,
            Some('\'') if self.eat("'") => {
                let text = self.word(|c| c != '\'').to_string();
                self.eat("'");
                Value::Text(text)
            }
            Some('0'..='9') => {
                let mut last = ' ';
                let is_part = |c: char| {
                    let signed = matches!(last, 'e' | 'E') && matches!(c, '+' | '-');
                    last = c;
                    signed || c == '.' || c.is_alphanumeric()
                };
                let word = self.word(is_part);
                let int = word.parse().map(Value::Int);
                int.or_else(|_| word.parse().map(Value::Float))
                    .or_else(|_| unsupported(format!("the number {word}")))?
            }
            _ => self.name()?,
        };
        loop {
            if self.eat("[") {
                let Value::Tensor(x) = value else { return unsupported("an index into something else than a tensor") };
                let places = self.items("]", |reader| reader.place(&x.device()))?;
                value = Value::Tensor(x.index(places)?);
            } else if self.eat(".") {
                let method = self.word(|c| c == '_' || c.is_alphanumeric());
                value = self.call(method, Some(value))?;
            } else {
                return Ok(value);
            }
        }
    }

    /// A tuple, or a value in brackets.
    fn group(&mut self) -> Result<Value, Stop> {
        let start = self.rest;
        let mut items = self.items(")", |reader| reader.value())?;
        let text = start[..start.len() - self.rest.len() - 1].trim_end();
        Ok(if items.len() == 1 && !text.ends_with(',') { items.remove(0) } else { Value::List(items) })
    }

    fn items<T>(&mut self, end: &str, item: impl Fn(&mut Self) -> Result<T, Stop>) -> Result<Vec<T>, Stop> {
        let mut items = Vec::new();
        while !self.eat(end) {
            items.push(item(self)?);
            if !self.eat(",") && !self.rest.starts_with(end) {
                return unsupported(format!("the syntax of {:?}", self.rest));
            }
        }
        Ok(items)
    }

    /// A variable, a constant, or a call: `torch.f(…)`, `F.f(…)` or `x.f(…)`.
    fn name(&mut self) -> Result<Value, Stop> {
        let name = self.word(|c| c == '_' || c.is_alphanumeric());
        if (name == "torch" || name == "F") && self.eat(".") {
            let name = self.word(|c| c == '_' || c == '.' || c.is_alphanumeric());
            // Two functions have the name of another one.
            let own = ["linalg.norm", "linalg.vander"].contains(&name);
            let name = if own { name } else { name.rsplit('.').next().unwrap_or(name) };
            // Without brackets it is a dtype, as `torch.float16`.
            let called = self.rest.trim_start().starts_with('(');
            return if called { self.call(name, None) } else { Ok(Value::Text(name.to_string())) };
        }
        let constant = match name {
            "None" => Some(Value::None),
            "True" => Some(Value::Bool(true)),
            "False" => Some(Value::Bool(false)),
            _ => self.names.get(name).cloned(),
        };
        constant.map_or_else(|| unsupported(format!("the name {name:?}")), Ok)
    }

    /// A call of a function, or of a method of a value; a method without brackets is an attribute.
    fn call(&mut self, name: &str, owner: Option<Value>) -> Result<Value, Stop> {
        let mut args = Args::default();
        let bare = !self.eat("(");
        if bare && owner.is_none() {
            return unsupported(format!("the name {name:?}"));
        }
        args.positional.extend(owner);
        let given = if bare { Vec::new() } else { self.items(")", |reader| reader.argument())? };
        for (key, value) in given {
            match key {
                Some(key) => drop(args.named.insert(key.to_string(), value)),
                None => args.positional.push_back(value),
            }
        }
        let mut values = apply(name, &mut args)?;
        if let Some(left) = args.named.keys().next() {
            return unsupported(format!("argument {left} of {name}"));
        }
        if !args.positional.is_empty() {
            return unsupported(format!("the last arguments of {name}"));
        }
        Ok(match values.len() {
            1 => Value::Tensor(values.remove(0)),
            _ => Value::List(values.into_iter().map(Value::Tensor).collect()),
        })
    }

    fn argument(&mut self) -> Result<(Option<&'a str>, Value), Stop> {
        let start = self.rest;
        let key = self.word(|c| c == '_' || c.is_alphanumeric());
        if !key.is_empty() && self.eat("=") {
            return Ok((Some(key), self.value()?));
        }
        self.rest = start;
        Ok((None, self.value()?))
    }

    /// One place of `x[…]`; a list of integers is an index tensor.
    fn place(&mut self, device: &Device) -> Result<Index, Stop> {
        if self.eat("...") {
            return Ok(Index::Ellipsis);
        }
        let mut ends = Vec::new();
        loop {
            let open = self.rest.trim_start().starts_with([':', ',', ']']);
            ends.push(if open { Value::None } else { self.value()? });
            if !self.eat(":") {
                break;
            }
        }
        let end = |x: &Value| match x {
            Value::None => Ok(None),
            Value::Int(i) => Ok(Some(*i as isize)),
            _ => unsupported("a range between tensors"),
        };
        Ok(match ends.as_slice() {
            [Value::None] => Index::NewAxis,
            [Value::Int(i)] => Index::At(*i as isize),
            [Value::Tensor(index)] => Index::Tensor(index.clone()),
            [list @ Value::List(_)] => {
                let index = list.ints().map(|list| list.iter().map(|&i| i as i32).collect::<Vec<i32>>());
                Index::Tensor(Tensor::new(index.map_or_else(|| unsupported("such an index"), Ok)?, device))
            }
            [a, b] => Index::slice(end(a)?, end(b)?, 1),
            [a, b, step] => Index::slice(end(a)?, end(b)?, end(step)?.unwrap_or(1) as usize),
            _ => return unsupported("such an index"),
        })
    }
}

/// The results of a function that takes every argument.
fn applied(function: &str, mut args: Args) -> Result<Value, Stop> {
    let mut values = apply(function, &mut args)?;
    if let Some(left) = args.named.keys().next() {
        return unsupported(format!("argument {left} of {function}"));
    }
    if !args.positional.is_empty() {
        return unsupported(format!("the last arguments of {function}"));
    }
    Ok(match values.len() {
        1 => Value::Tensor(values.remove(0)),
        _ => Value::List(values.into_iter().map(Value::Tensor).collect()),
    })
}

/// An operator is a function of its operands; of numbers, only signs are needed.
fn operator(name: &str, operands: Vec<Value>) -> Result<Value, Stop> {
    match (name, operands.as_slice()) {
        ("neg", [Value::Int(i)]) => Ok(Value::Int(-i)),
        ("neg", [Value::Float(x)]) => Ok(Value::Float(-x)),
        _ => applied(name, Args { positional: operands.into(), ..Args::default() }),
    }
}
