//! Reductions, statistics and scans.

use super::super::call::{Stop, Value, unsupported};
use super::super::store::dtype;
use super::{Answer, Args, one};
use wgrad::{Arg, CovOptions, Interpolation, MatrixNorm, Tensor};

pub fn call(function: &str, a: &mut Args) -> Answer {
    if matches!(function, "sum" | "mean" | "prod" | "nansum" | "cumsum" | "cumprod")
        && let Some(Value::Text(to)) = a.named.remove("dtype")
    {
        let x = a.tensor()?.cast(dtype(&to)?);
        a.positional.push_front(Value::Tensor(x));
    }
    one(match function {
        "sum" => match (a.tensor()?, a.ints("dim")?) {
            (x, None) => x.sum(),
            (x, Some(dims)) => x.sum_dim(dims, a.flag("keepdim")),
        },
        "mean" => match (a.tensor()?, a.ints("dim")?) {
            (x, None) => x.mean(),
            (x, Some(dims)) => x.mean_dim(dims, a.flag("keepdim")),
        },
        "prod" => match (a.tensor()?, a.ints("dim")?) {
            (x, None) => x.prod(),
            (x, Some(dims)) => x.prod_dim(dims, a.flag("keepdim")),
        },
        "any" => match (a.tensor()?, a.ints("dim")?) {
            (x, None) => x.any(),
            (x, Some(dims)) => x.any_dim(dims, a.flag("keepdim")),
        },
        "all" => match (a.tensor()?, a.ints("dim")?) {
            (x, None) => x.all(),
            (x, Some(dims)) => x.all_dim(dims, a.flag("keepdim")),
        },
        "logsumexp" => a.tensor()?.logsumexp(a.ints("dim")?.unwrap_or_default(), a.flag("keepdim")),
        "nansum" => a.tensor()?.nansum(a.ints("dim")?.unwrap_or_default(), a.flag("keepdim")),
        "nanmean" => a.tensor()?.nanmean(a.ints("dim")?.unwrap_or_default(), a.flag("keepdim")),
        "count_nonzero" => a.tensor()?.count_nonzero(a.ints("dim")?.unwrap_or_default()),
        "amax" => a.tensor()?.amax(a.ints("dim")?.unwrap_or_default(), a.flag("keepdim")),
        "amin" => a.tensor()?.amin(a.ints("dim")?.unwrap_or_default(), a.flag("keepdim")),
        "aminmax" => return two(a.tensor()?.aminmax(dimension(a)?, a.flag("keepdim"))),
        "argmax" => a.tensor()?.argmax(dimension(a)?, a.flag("keepdim")),
        "argmin" => a.tensor()?.argmin(dimension(a)?, a.flag("keepdim")),
        "max" | "min" if matches!(a.positional.get(1), Some(Value::Tensor(_))) => {
            let (x, y) = (a.tensor()?, a.tensor()?);
            if function == "max" { x.maximum(&y) } else { x.minimum(&y) }
        }
        "max" | "min" | "median" | "nanmedian" => {
            let (x, dim) = (a.tensor()?, dimension(a)?);
            return match (function, dim, a.flag("keepdim")) {
                ("max", None, _) => one(x.max()),
                ("min", None, _) => one(x.min()),
                ("median", None, _) => one(x.median()),
                (_, None, _) => one(x.nanmedian()),
                ("max", Some(dim), keepdim) => two(x.max_dim(dim, keepdim)),
                ("min", Some(dim), keepdim) => two(x.min_dim(dim, keepdim)),
                ("median", Some(dim), keepdim) => two(x.median_dim(dim, keepdim)),
                (_, Some(dim), keepdim) => two(x.nanmedian_dim(dim, keepdim)),
            };
        }
        "quantile" | "nanquantile" => {
            let (x, q) = (a.tensor()?, a.next("q"));
            let q = match q {
                Value::Tensor(q) => wgrad::Arg::from(q),
                Value::Float(q) => q.into(),
                Value::Int(q) => (q as f64).into(),
                _ => return unsupported("a share that is no number"),
            };
            let (dim, keepdim) = (dimension(a)?, a.flag("keepdim"));
            let between = match a.next("interpolation") {
                Value::None => Interpolation::Linear,
                Value::Text(word) => match word.as_str() {
                    "linear" => Interpolation::Linear,
                    "lower" => Interpolation::Lower,
                    "higher" => Interpolation::Higher,
                    "midpoint" => Interpolation::Midpoint,
                    "nearest" => Interpolation::Nearest,
                    _ => return unsupported(word),
                },
                _ => return unsupported("an interpolation without a name"),
            };
            match function {
                "quantile" => x.quantile_with(q, dim, keepdim, between),
                _ => x.nanquantile_with(q, dim, keepdim, between),
            }
        }
        "var" | "std" | "var_mean" | "std_mean" => {
            let x = a.tensor()?;
            // Without dimensions, the next argument says whether the estimate is unbiased.
            if let Some(flag @ Value::Bool(_)) = a.positional.pop_front_if(|x| matches!(x, Value::Bool(_))) {
                a.named.insert("unbiased".into(), flag);
            }
            let dims = a.ints("dim")?;
            let correction = a.named.remove("correction");
            let correction = match (correction, a.named.remove("unbiased")) {
                (Some(Value::Int(n)), _) => n as f64,
                (Some(Value::Float(n)), _) => n,
                (_, Some(Value::Bool(false))) => 0.0,
                _ => 1.0,
            };
            let keepdim = a.flag("keepdim");
            let all = dims.is_none() && !keepdim;
            let dims = dims.unwrap_or_default();
            match function {
                "var" if all => x.var(correction),
                "std" if all => x.std(correction),
                "var" => x.var_dim(dims, correction, keepdim),
                "std" => x.std_dim(dims, correction, keepdim),
                "var_mean" => return two(x.var_mean(dims, correction, keepdim)),
                _ => return two(x.std_mean(dims, correction, keepdim)),
            }
        }
        "norm" | "linalg.norm" | "vector_norm" | "matrix_norm" => norm(function, a)?,
        "sum_to_size" => {
            let (x, mut sizes) = (a.tensor()?, super::shape(a, "size")?);
            while let Some(more) = a.ints("size")? {
                sizes.extend(more);
            }
            x.sum_to_size(sizes)
        }
        "dist" => {
            let (x, y) = (a.tensor()?, a.tensor()?);
            x.dist(&y, a.number("p", 2.0)?)
        }
        "cov" => {
            let x = a.tensor()?;
            let mut weights = |name: &str| match a.named.remove(name) {
                Some(Value::Tensor(w)) => Some(w),
                _ => None,
            };
            let (frequencies, weights) = (weights("fweights"), weights("aweights"));
            x.cov(CovOptions { correction: a.number("correction", 1.0)?, frequencies, weights })
        }
        "corrcoef" => a.tensor()?.corrcoef(),
        "cumsum" => a.tensor()?.cumsum(a.int("dim")?),
        "cumprod" => a.tensor()?.cumprod(a.int("dim")?),
        "logcumsumexp" => a.tensor()?.logcumsumexp(a.int("dim")?),
        "frexp" => return two(a.tensor()?.frexp()),
        "cummax" => return two(a.tensor()?.cummax(a.int("dim")?)),
        "cummin" => return two(a.tensor()?.cummin(a.int("dim")?)),
        "diff" => {
            let (x, n) = (a.tensor()?, a.number("n", 1.0)?);
            let dim = dimension(a)?.unwrap_or(-1);
            let mut end = |name: &str| match a.next(name) {
                Value::Tensor(x) => Some(x),
                _ => None,
            };
            let (before, after) = (end("prepend"), end("append"));
            if n == 0.0 {
                return one(x);
            }
            let parts = [before, Some(x), after].into_iter().flatten().collect::<Vec<Tensor>>();
            Tensor::cat(&parts, dim).diff(n as usize, dim)
        }
        "gradient" => {
            let (x, spacing) = (a.tensor()?, a.next("spacing"));
            let arg = |x: Value| match x {
                Value::Tensor(x) => Ok(Arg::from(x)),
                Value::Float(x) => Ok(x.into()),
                Value::Int(x) => Ok(x.into()),
                _ => unsupported("such a spacing"),
            };
            let spacing = match spacing {
                Value::None => vec![],
                Value::List(each) => each.into_iter().map(arg).collect::<Result<Vec<Arg>, Stop>>()?,
                one => vec![arg(one)?],
            };
            let dims = a.ints("dim")?.unwrap_or_default();
            return Ok(Some(x.gradient(&spacing, dims, a.int_or("edge_order", 1)? as usize)));
        }
        "trapezoid" | "trapz" | "cumulative_trapezoid" => {
            let (y, x) = (a.tensor()?, a.next("x"));
            let dx: wgrad::Arg = match x {
                Value::Tensor(x) => x.into(),
                _ => a.number("dx", 1.0)?.into(),
            };
            let dim = dimension(a)?.unwrap_or(-1);
            match function {
                "cumulative_trapezoid" => y.cumulative_trapezoid(dx, dim),
                _ => y.trapezoid(dx, dim),
            }
        }
        _ => return Ok(None),
    })
}

/// The norms: `torch.linalg.norm` is one of matrices where its order is given and there are two dimensions.
fn norm(function: &str, a: &mut Args) -> Result<Tensor, Stop> {
    let (x, order) = (a.tensor()?, a.next(if function == "norm" { "p" } else { "ord" }));
    let (dims, keepdim) = (a.ints("dim")?, a.flag("keepdim"));
    let given = !matches!(order, Value::None);
    let p = match &order {
        Value::None => 2.0,
        Value::Text(fro) if fro == "fro" => 2.0,
        Value::Int(p) => *p as f64,
        Value::Float(p) => *p,
        _ => return unsupported("a norm of singular values"),
    };
    let matrices = function == "matrix_norm"
        || function == "linalg.norm" && given && dims.as_ref().map_or(x.rank(), |dims| dims.len()) == 2;
    if matrices {
        let dims = dims.as_ref().map_or([-2, -1], |dims| [dims[0], dims[1]]);
        let frobenius = !given || matches!(order, Value::Text(_));
        return Ok(x.matrix_norm(if frobenius { MatrixNorm::Fro } else { MatrixNorm::P(p) }, dims, keepdim));
    }
    Ok(match (function, dims) {
        ("vector_norm", dims) => x.vector_norm(p, dims.unwrap_or_default(), keepdim),
        (_, None) if p == 2.0 && !keepdim => x.norm(),
        (_, dims) => x.norm_dim(p, dims.unwrap_or_default(), keepdim),
    })
}

fn two((a, b): (Tensor, Tensor)) -> Answer {
    Ok(Some(vec![a, b]))
}

fn dimension(a: &mut Args) -> Result<Option<isize>, Stop> {
    match a.next("dim") {
        Value::None => Ok(None),
        Value::Int(dim) => Ok(Some(dim as isize)),
        _ => unsupported("several dimensions"),
    }
}
