//! Views and layout.

use super::super::call::{Stop, Value, unsupported};
use super::{Answer, Args, one, shape};
use wgrad::{Indexing, PadMode, Pieces, Tensor};

pub fn call(function: &str, a: &mut Args) -> Answer {
    if let Some(pieces) = pieces(function, a)? {
        return Ok(Some(pieces));
    }
    if let Some(y) = joined(function, a)? {
        return one(y);
    }
    one(match function {
        "reshape" => a.tensor()?.reshape(sizes(a, "shape")?),
        "view" => a.tensor()?.view(sizes(a, "size")?),
        "reshape_as" => a.tensor()?.reshape_as(&a.tensor()?),
        "view_as" => a.tensor()?.view_as(&a.tensor()?),
        "expand_as" => a.tensor()?.expand_as(&a.tensor()?),
        "ravel" => a.tensor()?.ravel(),
        "flatten" => a.tensor()?.flatten(a.int_or("start_dim", 0)?, a.int_or("end_dim", -1)?),
        "unflatten" => a.tensor()?.unflatten(a.int("dim")?, shape(a, "sizes")?),
        "permute" => a.tensor()?.permute(sizes(a, "dims")?),
        "transpose" => a.tensor()?.transpose(a.int("dim0")?, a.int("dim1")?),
        "swapaxes" => a.tensor()?.swapaxes(a.int("axis0")?, a.int("axis1")?),
        "swapdims" => a.tensor()?.swapdims(a.int("dim0")?, a.int("dim1")?),
        "movedim" => a.tensor()?.movedim(shape(a, "source")?, shape(a, "destination")?),
        "moveaxis" => a.tensor()?.moveaxis(shape(a, "source")?, shape(a, "destination")?),
        "t" => a.tensor()?.t(),
        "adjoint" => a.tensor()?.adjoint(),
        "mT" => a.tensor()?.mt(),
        "expand" => a.tensor()?.expand(sizes(a, "size")?),
        "broadcast_to" => a.tensor()?.broadcast_to(sizes(a, "size")?),
        "narrow" => {
            let (x, dim, start) = (a.tensor()?, a.int("dim")?, a.next("start"));
            let start = match start {
                Value::Int(start) => start as isize,
                Value::Tensor(start) => start.item()? as isize,
                _ => return unsupported("a start that is no integer"),
            };
            let start = if start < 0 { start + x.size(dim) as isize } else { start };
            x.narrow(dim, start as usize, a.int("length")? as usize)
        }
        "select" => a.tensor()?.select(a.int("dim")?, a.int("index")?),
        "flip" => a.tensor()?.flip(sizes(a, "dims")?),
        "fliplr" => a.tensor()?.fliplr(),
        "flipud" => a.tensor()?.flipud(),
        "rot90" => {
            let (x, k) = (a.tensor()?, a.int_or("k", 1)?);
            x.rot90(k, a.ints("dims")?.unwrap_or(vec![0, 1]))
        }
        "squeeze" => match (a.tensor()?, a.ints("dim")?) {
            (x, None) => x.squeeze(()),
            (x, Some(dims)) if dims.is_empty() => x,
            (x, Some(dims)) => x.squeeze(dims),
        },
        "unsqueeze" => a.tensor()?.unsqueeze(a.int("dim")?),
        // `F.unfold` takes more arguments, and has images.
        "unfold" if a.positional.len() + a.named.len() == 4 => {
            a.tensor()?.unfold(a.int("dimension")?, a.int("size")? as usize, a.int("step")? as usize)
        }
        "as_strided" => {
            let (x, size, stride) = (a.tensor()?, shape(a, "size")?, shape(a, "stride")?);
            let offset = match a.next("storage_offset") {
                Value::Int(offset) => Some(offset as usize),
                _ => None,
            };
            x.as_strided(size, stride, offset)
        }
        "diagonal" => a.tensor()?.diagonal(a.int_or("offset", 0)?, a.int_or("dim1", 0)?, a.int_or("dim2", 1)?),
        "diag" => a.tensor()?.diag(a.int_or("diagonal", 0)?),
        "diagflat" => a.tensor()?.diagflat(a.int_or("offset", 0)?),
        "diag_embed" => a.tensor()?.diag_embed(a.int_or("offset", 0)?, a.int_or("dim1", -2)?, a.int_or("dim2", -1)?),
        "tril" => a.tensor()?.tril(a.int_or("diagonal", 0)?),
        "triu" => a.tensor()?.triu(a.int_or("diagonal", 0)?),
        "pad" => {
            let (x, pad, mode) = (a.tensor()?, shape(a, "pad")?, a.next("mode"));
            let value = a.number("value", 0.0)?;
            let mode = match mode {
                Value::None => PadMode::Constant(value),
                Value::Text(mode) if mode == "constant" => PadMode::Constant(value),
                Value::Text(mode) if mode == "reflect" => PadMode::Reflect,
                Value::Text(mode) if mode == "replicate" => PadMode::Replicate,
                Value::Text(mode) if mode == "circular" => PadMode::Circular,
                _ => return unsupported("a mode of padding"),
            };
            x.pad(pad, mode)
        }
        "constant_pad_nd" => {
            let (x, pad) = (a.tensor()?, shape(a, "pad")?);
            x.pad(pad, PadMode::Constant(a.number("value", 0.0)?))
        }
        "roll" => a.tensor()?.roll(shape(a, "shifts")?, a.ints("dims")?.unwrap_or_default()),
        "repeat" => a.tensor()?.repeat(sizes(a, "repeats")?),
        "tile" => a.tensor()?.tile(sizes(a, "dims")?),
        // How long the result will be is known here without being told.
        "repeat_interleave" if a.named.remove("output_size").is_some() => return call(function, a),
        "repeat_interleave" => match (a.tensor()?, a.next("repeats"), a.next("dim")) {
            (x, Value::Int(n), Value::Int(dim)) => x.repeat_interleave(n as usize, dim as isize),
            (x, Value::Int(n), _) => x.repeat_interleave(n as usize, None),
            (x, Value::Tensor(counts), Value::Int(dim)) => x.repeat_interleave_by(&counts, dim as isize)?,
            (x, Value::Tensor(counts), _) => x.repeat_interleave_by(&counts, None)?,
            _ => return unsupported("such repeats"),
        },
        "contiguous" => a.tensor()?.contiguous(),
        "clone" => a.tensor()?.copy(),
        _ => return Ok(None),
    })
}

/// What gives several tensors.
fn pieces(function: &str, a: &mut Args) -> Answer {
    let at = |value: Value| match value {
        Value::Int(n) => Ok(Pieces::One(n as isize)),
        Value::Tensor(at) => {
            let list: Vec<isize> = at.to_data()?.to_f64().iter().map(|&i| i as isize).collect();
            Ok(if at.rank() == 0 { Pieces::One(list[0]) } else { Pieces::List(list) })
        }
        value => value.ints().map_or_else(|| unsupported("such sections"), |list| Ok(Pieces::List(list))),
    };
    Ok(Some(match function {
        "split" | "split_with_sizes" | "unsafe_split" => {
            let (x, sizes) = (a.tensor()?, at(a.next("split_size_or_sections"))?);
            x.split(sizes, a.int_or("dim", 0)?)
        }
        "chunk" | "unsafe_chunk" => a.tensor()?.chunk(a.int("chunks")? as usize, a.int_or("dim", 0)?),
        "unbind" => a.tensor()?.unbind(a.int_or("dim", 0)?),
        "tensor_split" => {
            let (x, sections) = (a.tensor()?, at(a.next("indices_or_sections"))?);
            x.tensor_split(sections, a.int_or("dim", 0)?)
        }
        "hsplit" => a.tensor()?.hsplit(at(a.next("indices_or_sections"))?),
        "vsplit" => a.tensor()?.vsplit(at(a.next("indices_or_sections"))?),
        "dsplit" => a.tensor()?.dsplit(at(a.next("indices_or_sections"))?),
        "meshgrid" => {
            let tensors = tensors(a, "tensors")?;
            let xy = matches!(a.named.remove("indexing"), Some(Value::Text(xy)) if xy == "xy");
            Tensor::meshgrid(&tensors, if xy { Indexing::Xy } else { Indexing::Ij })
        }
        "broadcast_tensors" => Tensor::broadcast_tensors(&tensors(a, "tensors")?),
        "atleast_1d" => tensors(a, "tensors")?.iter().map(Tensor::atleast_1d).collect(),
        "atleast_2d" => tensors(a, "tensors")?.iter().map(Tensor::atleast_2d).collect(),
        "atleast_3d" => tensors(a, "tensors")?.iter().map(Tensor::atleast_3d).collect(),
        _ => return Ok(None),
    }))
}

/// What joins tensors.
fn joined(function: &str, a: &mut Args) -> Result<Option<Tensor>, Stop> {
    Ok(Some(match function {
        "cat" | "concat" | "concatenate" => Tensor::cat(&a.next("tensors").tensors()?, a.int_or("dim", 0)?),
        "stack" => Tensor::stack(&a.next("tensors").tensors()?, a.int_or("dim", 0)?),
        "hstack" => Tensor::hstack(&a.next("tensors").tensors()?),
        "vstack" | "row_stack" => Tensor::vstack(&a.next("tensors").tensors()?),
        "dstack" => Tensor::dstack(&a.next("tensors").tensors()?),
        "column_stack" => Tensor::column_stack(&a.next("tensors").tensors()?),
        "vander" => {
            let x = a.tensor()?;
            let n = a.ints("N")?.map(|n| n[0] as usize);
            x.vander(n, a.flag("increasing"))
        }
        "linalg.vander" => {
            let (x, n) = (a.tensor()?, a.ints("N")?.map(|n| n[0] as usize));
            x.atleast_1d().vander(n, true)
        }
        "block_diag" => Tensor::block_diag(&tensors(a, "tensors")?),
        "cartesian_prod" => Tensor::cartesian_prod(&tensors(a, "tensors")?),
        "combinations" => {
            let (x, r) = (a.tensor()?, a.int_or("r", 2)? as usize);
            x.combinations(r, a.flag("with_replacement"))
        }
        _ => return Ok(None),
    }))
}

/// Sizes as one list, or as the positional arguments that are left.
fn sizes(a: &mut Args, name: &str) -> Result<Vec<isize>, Stop> {
    let mut sizes = shape(a, name)?;
    while let Some(Value::Int(n)) = a.positional.front() {
        sizes.push(*n as isize);
        a.positional.pop_front();
    }
    Ok(sizes)
}

/// Tensors as one list, or as the positional arguments that are left.
fn tensors(a: &mut Args, name: &str) -> Result<Vec<Tensor>, Stop> {
    let mut tensors = a.next(name).tensors()?;
    while let Some(Value::Tensor(x)) = a.positional.front() {
        tensors.push(x.clone());
        a.positional.pop_front();
    }
    Ok(tensors)
}
