//! Indexing, sorting, searching.

use super::super::call::{Stop, Value, unsupported};
use super::{Answer, Args, one, operand};
use wgrad::{BagMode, Combine, DType, EmbeddingBagOptions, EmbeddingOptions, Index, Tensor};

pub fn call(function: &str, a: &mut Args) -> Answer {
    if let Some(results) = ordered(function, a)? {
        return Ok(Some(results));
    }
    if let Some(y) = masked(function, a)? {
        return one(y);
    }
    one(match function {
        "gather" if a.named.remove("sparse_grad").is_some() => return call(function, a),
        "gather" => a.tensor()?.gather(a.int("dim")?, &a.index()?),
        "take" => a.tensor()?.take(&a.index()?),
        "take_along_dim" => {
            let (x, index) = (a.tensor()?, a.index()?);
            match a.next("dim") {
                Value::Int(dim) => x.take_along_dim(&index, dim as isize),
                _ => x.take_along_dim(&index, None),
            }
        }
        "index_select" => a.tensor()?.index_select(a.int("dim")?, &a.index()?),
        "scatter" => {
            let (x, dim, index) = (a.tensor()?, a.int("dim")?, a.index()?);
            let source = a.either("src", "value");
            match a.named.remove("reduce") {
                None => operand!(|source| x.scatter(dim, &index, source), source),
                Some(how) => {
                    let source = match source {
                        Value::Tensor(source) => source,
                        source => operand!(|source| x.zeros_like().index_put(vec![], source, true)?, source),
                    };
                    x.scatter_reduce(dim, &index, &source, combine(how)?, true)
                }
            }
        }
        "scatter_add" => a.tensor()?.scatter_add(a.int("dim")?, &a.index()?, &a.named_tensor("src")?),
        "scatter_reduce" | "index_reduce" => {
            let (x, dim, index, source) = (a.tensor()?, a.int("dim")?, a.index()?, a.either("src", "source"));
            let (source, combine) = (tensor(source)?, combine(a.next("reduce"))?);
            let include_self = !matches!(a.next("include_self"), Value::Bool(false));
            match function {
                "scatter_reduce" => x.scatter_reduce(dim, &index, &source, combine, include_self),
                _ => x.index_reduce(dim, &index, &source, combine, include_self),
            }
        }
        "index_add" => {
            let (x, dim, index, source) = (a.tensor()?, a.int("dim")?, a.index()?, a.named_tensor("source")?);
            x.index_add(dim, &index, &source, a.number("alpha", 1.0)?)
        }
        "index_copy" => a.tensor()?.index_copy(a.int("dim")?, &a.index()?, &a.named_tensor("source")?),
        "index_fill" => {
            let (x, dim, index, value) = (a.tensor()?, a.int("dim")?, a.index()?, a.next("value"));
            operand!(|value| x.index_fill(dim, &index, value), value)
        }
        "put" => {
            let (x, index, source) = (a.tensor()?, a.index()?, a.named_tensor("source")?);
            x.put(&index, &source, a.flag("accumulate"))
        }
        "index_put" => {
            let (x, places, values) = (a.tensor()?, a.next("indices"), a.next("values"));
            let Value::List(places) = places else { return unsupported("places that are no list") };
            let place = |place: Value| if let Value::Tensor(i) = place { Index::from(i) } else { Index::from(..) };
            let places: Vec<Index> = places.into_iter().map(place).collect();
            let accumulate = a.flag("accumulate");
            operand!(|values| x.index_put(places, values, accumulate)?, values)
        }
        "select_scatter" => {
            let (x, source) = (a.tensor()?, a.named_tensor("src")?);
            x.select_scatter(&source, a.int("dim")?, a.int("index")?)
        }
        "slice_scatter" => {
            let (x, source, dim) = (a.tensor()?, a.named_tensor("src")?, a.int_or("dim", 0)?);
            let (start, end) = (a.ints("start")?.map(|i| i[0]), a.ints("end")?.map(|i| i[0]));
            x.slice_scatter(&source, dim, start, end, a.int_or("step", 1)? as usize)
        }
        "diagonal_scatter" => {
            let (x, source, offset) = (a.tensor()?, a.named_tensor("src")?, a.int_or("offset", 0)?);
            x.diagonal_scatter(&source, offset, a.int_or("dim1", 0)?, a.int_or("dim2", 1)?)
        }
        "as_strided_scatter" => {
            let (x, source) = (a.tensor()?, a.named_tensor("src")?);
            let (size, stride) = (super::shape(a, "size")?, super::shape(a, "stride")?);
            x.as_strided_scatter(&source, size, stride, a.int_or("storage_offset", 0)? as usize)
        }
        "embedding" => {
            let (index, table) = (a.tensor()?, a.named_tensor("weight")?);
            index.embedding_with(&table, table_options(a)?)
        }
        "embedding_bag" => {
            let (index, table) = (a.tensor()?, a.named_tensor("weight")?);
            let offsets = a.next("offsets").tensors().ok().and_then(|mut x| x.pop());
            let mode = match a.named.remove("mode") {
                Some(Value::Text(mode)) if mode == "sum" => BagMode::Sum,
                Some(Value::Text(mode)) if mode == "max" => BagMode::Max,
                _ => BagMode::Mean,
            };
            let weights = a.named.remove("per_sample_weights");
            let options = EmbeddingBagOptions {
                mode,
                offsets,
                include_last_offset: matches!(a.named.remove("include_last_offset"), Some(Value::Bool(true))),
                per_sample_weights: weights.and_then(|w| w.tensors().ok()).and_then(|mut w| w.pop()),
                table: table_options(a)?,
            };
            index.embedding_bag(&table, options)
        }
        "fill" => {
            let (x, value) = (a.tensor()?, a.next("value"));
            operand!(|value| x.fill(value), value)
        }
        "one_hot" => {
            let x = a.tensor()?;
            let classes = match a.int_or("num_classes", -1)? {
                -1 => x.max().item()? as usize + 1,
                n => n as usize,
            };
            x.one_hot(classes)
        }
        "bincount" => {
            let (x, weights) = (a.tensor()?, a.next("weights").tensors().ok());
            x.bincount(weights.as_ref().map(|w| &w[0]), a.int_or("minlength", 0)? as usize)?
        }
        "histc" => {
            let (x, bins) = (a.tensor()?, a.int_or("bins", 100)? as usize);
            x.histc(bins, a.number("min", 0.0)?, a.number("max", 0.0)?)
        }
        _ => return Ok(None),
    })
}

/// What masks choose.
fn masked(function: &str, a: &mut Args) -> Result<Option<Tensor>, Stop> {
    Ok(Some(match function {
        "masked_fill" => {
            let (x, mask, value) = (a.tensor()?, a.named_tensor("mask")?, a.next("value"));
            operand!(|value| x.masked_fill(&mask, value), value)
        }
        "masked_select" => a.tensor()?.masked_select(&a.named_tensor("mask")?)?,
        "masked_scatter" => a.tensor()?.masked_scatter(&a.named_tensor("mask")?, &a.named_tensor("source")?),
        "argwhere" => a.tensor()?.argwhere()?,
        _ => return Ok(None),
    }))
}

/// Sorting and searching, and what gives several tensors.
fn ordered(function: &str, a: &mut Args) -> Answer {
    let pair = |(values, indices): (Tensor, Tensor)| vec![values, indices];
    Ok(Some(match function {
        "sort" => pair(sort_arguments(a).map(|(x, dim, descending)| x.sort(dim, descending))?),
        "argsort" => vec![sort_arguments(a).map(|(x, dim, descending)| x.argsort(dim, descending))?],
        "msort" => vec![a.tensor()?.msort()],
        "topk" => {
            let (x, k, dim) = (a.tensor()?, a.int("k")? as usize, a.int_or("dim", -1)?);
            let largest = !matches!(a.next("largest"), Value::Bool(false));
            a.next("sorted");
            pair(x.topk(k, dim, largest))
        }
        "kthvalue" => {
            let (x, k, dim) = (a.tensor()?, a.int("k")? as usize, a.int_or("dim", -1)?);
            pair(x.kthvalue(k, dim, a.flag("keepdim")))
        }
        "mode" => {
            let (x, dim) = (a.tensor()?, a.int_or("dim", -1)?);
            pair(x.mode(dim, a.flag("keepdim")))
        }
        "searchsorted" => {
            let (mut x, values) = (a.tensor()?, a.next("input"));
            let right = a.flag("right") || matches!(a.named.remove("side"), Some(Value::Text(side)) if side == "right");
            a.named.remove("out_int32");
            if let Some(Value::Tensor(order)) = a.named.remove("sorter") {
                x = x.gather(-1, &order);
            }
            let alone = !matches!(values, Value::Tensor(_));
            let places = operand!(|values| x.searchsorted(values, right), values);
            vec![if alone { places.reshape(()) } else { places }]
        }
        "bucketize" => {
            let (x, boundaries) = (a.tensor()?, a.named_tensor("boundaries")?);
            a.named.remove("out_int32");
            vec![x.bucketize(&boundaries, a.flag("right"))]
        }
        "isin" => {
            let (x, others) = (a.next("elements"), a.next("test_elements"));
            a.named.remove("assume_unique");
            let invert = matches!(a.named.remove("invert"), Some(Value::Bool(true)));
            let others = match (&x, others) {
                (_, Value::Tensor(others)) => others,
                (Value::Tensor(x), Value::Int(i)) => Tensor::full((), i as i32, &x.device()),
                (Value::Tensor(x), Value::Float(i)) => Tensor::full((), i, &x.device()),
                _ => return unsupported("isin without a tensor"),
            };
            let found = tensor(x)?.isin(&others);
            vec![if invert { found.logical_not() } else { found }]
        }
        "unravel_index" => {
            let x = a.tensor()?;
            x.unravel_index(super::shape(a, "shape")?)
        }
        "nonzero" => {
            let x = a.tensor()?;
            match a.flag("as_tuple") {
                true => x.atleast_1d().nonzero_tuple()?,
                false => vec![x.nonzero()?],
            }
        }
        "unique" | "unique_consecutive" => {
            let x = a.tensor()?;
            a.named.remove("sorted");
            let mut flag = |name: &str| matches!(a.named.remove(name), Some(Value::Bool(true)));
            let (inverse, counts) = (flag("return_inverse"), flag("return_counts"));
            let dim = a.ints("dim")?.map(|dims| dims[0]);
            let found = if function == "unique" { x.unique(dim)? } else { x.unique_consecutive(dim)? };
            let mut results = vec![found.values];
            results.extend(inverse.then_some(found.inverse));
            results.extend(counts.then_some(found.counts));
            results
        }
        _ => return Ok(None),
    }))
}

fn sort_arguments(a: &mut Args) -> Result<(Tensor, isize, bool), Stop> {
    a.named.remove("stable");
    let (x, dim) = (a.tensor()?, a.int_or("dim", -1)?);
    Ok((x, dim, a.flag("descending")))
}

fn combine(how: Value) -> Result<Combine, Stop> {
    let Value::Text(how) = how else { return unsupported("a reduction without a name") };
    Ok(match how.as_str() {
        "sum" | "add" => Combine::Sum,
        "prod" | "multiply" => Combine::Prod,
        "mean" => Combine::Mean,
        "amax" => Combine::Amax,
        "amin" => Combine::Amin,
        _ => return unsupported(format!("the reduction {how}")),
    })
}

fn table_options(a: &mut Args) -> Result<EmbeddingOptions, Stop> {
    let padding_idx = match a.next("padding_idx") {
        Value::Int(row) => Some(row as isize),
        _ => None,
    };
    let max_norm = match a.next("max_norm") {
        Value::Float(norm) => Some(norm),
        Value::Int(norm) => Some(norm as f64),
        _ => None,
    };
    let norm_type = a.number("norm_type", 2.0)?;
    Ok(EmbeddingOptions { padding_idx, max_norm, norm_type, scale_grad_by_freq: a.flag("scale_grad_by_freq") })
}

fn tensor(value: Value) -> Result<Tensor, Stop> {
    match value {
        Value::Tensor(x) => Ok(x),
        _ => unsupported("a call without a tensor"),
    }
}

impl Args {
    /// An index: an empty list of PyTorch's holds floats.
    fn index(&mut self) -> Result<Tensor, Stop> {
        let index = tensor(self.next("index"))?;
        Ok(if index.numel() == 0 { index.cast(DType::I32) } else { index })
    }

    fn named_tensor(&mut self, name: &str) -> Result<Tensor, Stop> {
        tensor(self.next(name))
    }

    /// An argument that has one of two names.
    fn either(&mut self, one: &str, other: &str) -> Value {
        match self.next(one) {
            Value::None => self.next(other),
            value => value,
        }
    }
}
