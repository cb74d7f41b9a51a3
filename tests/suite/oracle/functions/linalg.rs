//! Products.

use super::super::call::{Stop, Value, unsupported};
use super::{Answer, Args, one};
use wgrad::{Arg, Tensor};

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
        "matmul" => a.tensor()?.matmul(&a.tensor()?),
        "mm" => a.tensor()?.mm(&a.tensor()?),
        "mv" => a.tensor()?.mv(&a.tensor()?),
        "bmm" => a.tensor()?.bmm(&a.tensor()?),
        "dot" => a.tensor()?.dot(&a.tensor()?),
        "vdot" => a.tensor()?.vdot(&a.tensor()?),
        "inner" => a.tensor()?.inner(&a.tensor()?),
        "outer" | "ger" => a.tensor()?.outer(&a.tensor()?),
        "kron" => a.tensor()?.kron(&a.tensor()?),
        "trace" => a.tensor()?.trace(),
        "cross" => a.tensor()?.cross(&a.tensor()?, a.number("dim", -1.0)? as isize),
        "cdist" => {
            let (x, y, p) = (a.tensor()?, a.tensor()?, a.number("p", 2.0)?);
            // PyTorch's way to compute it, not what.
            a.next("compute_mode");
            x.cdist(&y, p)
        }
        "pdist" => a.tensor()?.pdist(a.number("p", 2.0)?),
        "vecdot" => a.tensor()?.vecdot(&a.tensor()?, a.int_or("dim", -1)?),
        "matrix_power" => a.tensor()?.matrix_power(a.int("n")? as usize),
        "multi_dot" | "chain_matmul" => {
            let mut matrices = Vec::new();
            while !a.positional.is_empty() {
                matrices.extend(a.next("tensors").tensors()?);
            }
            Tensor::chain_matmul(&matrices)
        }
        "tensordot" => {
            let (x, y) = (a.tensor()?, a.tensor()?);
            match a.next("dims") {
                Value::Int(n) => x.tensordot(&y, n as usize),
                Value::List(lists) => match (lists.first().and_then(Value::ints), lists.get(1).and_then(Value::ints)) {
                    (Some(a), Some(b)) => x.tensordot(&y, (a, b)),
                    _ => return unsupported("tensordot over such dimensions"),
                },
                _ => x.tensordot(&y, 2),
            }
        }
        "einsum" => {
            let Value::Text(equation) = a.next("equation") else { return unsupported("einsum without an equation") };
            let mut operands = Vec::new();
            while !a.positional.is_empty() {
                operands.extend(a.next("operands").tensors()?);
            }
            Tensor::einsum(&equation, &operands.iter().collect::<Vec<_>>())
        }
        "addmm" | "addmv" | "addbmm" | "baddbmm" | "addr" => {
            let (c, x, y) = (a.tensor()?, a.tensor()?, a.tensor()?);
            let (beta, alpha) = (factor(a, "beta")?, factor(a, "alpha")?);
            match function {
                "addmm" => c.addmm(&x, &y, beta, alpha),
                "addmv" => c.addmv(&x, &y, beta, alpha),
                "addbmm" => c.addbmm(&x, &y, beta, alpha),
                "baddbmm" => c.baddbmm(&x, &y, beta, alpha),
                _ => c.addr(&x, &y, beta, alpha),
            }
        }
        _ => return Ok(None),
    })
}

fn factor(a: &mut Args, name: &str) -> Result<Arg, Stop> {
    Ok(match a.next(name) {
        Value::None => Arg::from(1),
        Value::Int(n) => Arg::from(n),
        Value::Float(x) => Arg::from(x),
        _ => return unsupported(format!("{name} that is no number")),
    })
}
