//! Indexing, sorting, searching.

use super::{Answer, Args, one};

pub fn call(function: &str, a: &mut Args) -> Answer {
    one(match function {
        "gather" => a.tensor()?.gather(a.int("dim")?, &a.tensor()?),
        "index_select" => a.tensor()?.index_select(a.int("dim")?, &a.tensor()?),
        "scatter_add" => a.tensor()?.scatter_add(a.int("dim")?, &a.tensor()?, &a.tensor()?),
        _ => return Ok(None),
    })
}
