//! Tensors made like others, and in other types.

use super::super::call::{Stop, Value, unsupported};
use super::super::store::dtype;
use super::{Answer, Args, one, shape};
use wgrad::{DType, Device, Tensor};

pub fn call(function: &str, a: &mut Args) -> Answer {
    let to = match function {
        "to" => {
            let (x, Value::Text(to)) = (a.tensor()?, a.next("dtype")) else { return unsupported("a cast to no dtype") };
            return one(cast(&x, dtype(&to)?)?);
        }
        "bool" => Some(DType::Bool),
        "int" | "long" => Some(DType::I32),
        "float" => Some(DType::F32),
        "half" => Some(DType::F16),
        "bfloat16" => Some(DType::BF16),
        "double" => Some(DType::F64),
        _ => None,
    };
    if let Some(to) = to {
        return one(cast(&a.tensor()?, to)?);
    }
    if let "zeros_like" | "ones_like" | "full_like" | "new_zeros" | "new_ones" | "new_full" = function
        && let Some(Value::Text(to)) = a.named.remove("dtype")
    {
        let x = cast(&a.tensor()?.detach(), dtype(&to)?)?;
        a.positional.push_front(Value::Tensor(x));
    }
    one(match function {
        "zeros_like" => a.tensor()?.zeros_like(),
        "ones_like" => a.tensor()?.ones_like(),
        "full_like" => {
            let x = a.tensor()?;
            x.full_like(a.number("fill_value", 0.0)?)
        }
        "new_zeros" | "new_ones" | "new_full" => {
            let (x, sizes) = (a.tensor()?, shape(a, "size")?);
            match function {
                "new_zeros" => x.new_zeros(sizes),
                "new_ones" => x.new_ones(sizes),
                _ => x.new_full(sizes, a.number("fill_value", 0.0)?),
            }
        }
        "linspace" => {
            let (start, end) = (a.next("start"), a.next("end"));
            let ((Value::Tensor(x), _) | (_, Value::Tensor(x))) = (&start, &end) else {
                return unsupported("a range on no device");
            };
            let steps = a.int("steps")? as usize;
            let y = Tensor::linspace(number(&start)?, number(&end)?, steps, (&x.device(), DType::F32));
            match a.named.remove("dtype") {
                Some(Value::Text(to)) => y.cast(dtype(&to)?),
                _ => y,
            }
        }
        _ => return Ok(None),
    })
}

fn cast(x: &Tensor, to: DType) -> Result<Tensor, Stop> {
    if to == DType::F64 && x.device() != Device::cpu() {
        return unsupported("double precision beyond the CPU");
    }
    Ok(x.cast(to))
}

fn number(value: &Value) -> Result<f64, Stop> {
    Ok(match value {
        Value::Int(i) => *i as f64,
        Value::Float(x) => *x,
        Value::Tensor(x) => x.item()?,
        _ => return unsupported("an end that is no number"),
    })
}
