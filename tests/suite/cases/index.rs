//! Indexing, sorting, searching.

use super::{ANY, Case, index};
use wgrad::{BagMode, Combine, EmbeddingBagOptions, Index, NewAxis, Tensor};

pub fn cases() -> Vec<Case> {
    [places(), combined(), brackets(), order()].into_iter().flatten().collect()
}

fn places() -> Vec<Case> {
    vec![
        Case::new("gather", &[(&[3, 4], ANY)], move |x| x[0].gather(1, &index(&x[0], &[0, 3, 3, 1], &[2, 2])).sin()),
        Case::new("scatter_add", &[(&[3, 4], ANY), (&[2, 3], ANY)], move |x| {
            x[0].scatter_add(0, &index(&x[0], &[0, 2, 2, 0, 1, 2], &[2, 3]), &x[1]).sin()
        }),
        Case::new("index_select", &[(&[3, 4], ANY)], move |x| {
            x[0].index_select(0, &index(&x[0], &[2, 0, 2], &[3])).sin()
        }),
        Case::new("gather of 0-d", &[(&[], ANY)], |x| x[0].gather(0, &index(&x[0], &[0, 0], &[2])).sin()),
        Case::new("take", &[(&[2, 3], ANY)], |x| x[0].t().take(&index(&x[0], &[0, -1, 2, 2], &[2, 2])).sin()),
        Case::new("take_along_dim", &[(&[3, 1], ANY)], |x| {
            x[0].take_along_dim(&index(&x[0], &[0, 2, 2, 1], &[2, 2]), 0).sin()
        }),
        Case::new("scatter", &[(&[3, 4], ANY), (&[3, 3], ANY)], |x| {
            x[0].scatter(1, &index(&x[0], &[0, 3, 1, 2], &[2, 2]), &x[1]).sin()
        }),
        Case::new("scatter of a number", &[(&[3, 4], ANY)], |x| {
            x[0].scatter(0, &index(&x[0], &[2, 2], &[1, 2]), 0.5).sin()
        }),
        Case::new("scatter_add of a larger source", &[(&[3], ANY), (&[4], ANY)], |x| {
            x[0].scatter_add(0, &index(&x[0], &[1, 1, 0], &[3]), &x[1]).sin()
        }),
        Case::new("put", &[(&[2, 3], ANY), (&[3], ANY), (&[2], ANY)], |x| {
            let y = x[0].put(&index(&x[0], &[0, -1, 2], &[3]), &x[1], false);
            y.put(&index(&x[0], &[1, 1], &[2]), &x[2], true).sin()
        }),
        Case::new("index_add", &[(&[3, 4], ANY), (&[3, 2], ANY)], |x| {
            x[0].index_add(-1, &index(&x[0], &[3, 3], &[2]), &x[1], 0.5).sin()
        }),
        Case::new("index_copy", &[(&[3, 4], ANY), (&[2, 4], ANY)], |x| {
            x[0].index_copy(0, &index(&x[0], &[2, 0], &[2]), &x[1]).sin()
        }),
        Case::new("index_fill", &[(&[3, 4], ANY), (&[], ANY)], |x| {
            x[0].index_fill(0, &index(&x[0], &[2], &[1]), 0.5).index_fill(1, &index(&x[0], &[0, 2], &[2]), &x[1]).sin()
        }),
        Case::new("fill", &[(&[2, 3], ANY), (&[], ANY)], |x| {
            let y = &x[0] * 2.0;
            y.select(0, 1).fill_(&x[1]).unwrap();
            y.sin() * x[0].fill(&x[1])
        }),
        Case::new("masked_fill", &[(&[3, 4], ANY), (&[], ANY)], |x| {
            x[0].masked_fill(&x[0].gt(0.5), 0.25).masked_fill(&x[0].lt(-0.5), &x[1]).sin()
        }),
        Case::new("masked_select", &[(&[3, 4], ANY)], |x| x[0].masked_select(&x[0].gt(0.0)).unwrap().sin()),
        Case::new("masked_scatter", &[(&[3, 4], ANY), (&[12], ANY)], |x| {
            x[0].masked_scatter(&x[0].gt(0.0), &x[1]).sin()
        }),
        Case::new("select_scatter", &[(&[3, 4], ANY), (&[3], ANY)], |x| x[0].select_scatter(&x[1], 1, -2).sin()),
        Case::new("slice_scatter", &[(&[5, 2], ANY), (&[2, 2], ANY)], |x| x[0].slice_scatter(&x[1], 0, 1, -1, 2).sin()),
        Case::new("diagonal_scatter", &[(&[3, 4], ANY), (&[3], ANY)], |x| x[0].diagonal_scatter(&x[1], 1, 0, 1).sin()),
        Case::new("as_strided_scatter", &[(&[3, 4], ANY), (&[2, 2], ANY)], |x| {
            x[0].t().as_strided_scatter(&x[1], [2, 2], [1, 5], 2).sin()
        }),
        Case::new("embedding", &[(&[5, 2], ANY)], |x| index(&x[0], &[0, 4, 4, 1], &[2, 2]).embedding(&x[0]).sin()),
        Case::new("embedding_bag", &[(&[5, 2], ANY), (&[4], ANY)], |x| {
            let bags = index(&x[0], &[0, 4, 4, 1], &[4]);
            let options = |mode, per_sample_weights| EmbeddingBagOptions {
                mode,
                per_sample_weights,
                offsets: Some(index(&x[0], &[0, 1, 1], &[3])),
                ..Default::default()
            };
            let sum = bags.embedding_bag(&x[0], options(BagMode::Sum, Some(x[1].clone())));
            let mean = bags.embedding_bag(&x[0], options(BagMode::Mean, None));
            sum.sin()
                + mean.sin()
                    * index(&x[0], &[0, 4, 2, 1, 3, 2], &[3, 2])
                        .embedding_bag(&x[0], EmbeddingBagOptions { mode: BagMode::Max, ..Default::default() })
        }),
        Case::new("bincount", &[(&[4], ANY)], |x| {
            index(&x[0], &[0, 3, 3, 1], &[4]).bincount(Some(&x[0]), 2).unwrap().sin()
        }),
    ]
}

/// Scattering into places that hold something.
fn combined() -> Vec<Case> {
    let kinds = [Combine::Sum, Combine::Prod, Combine::Mean, Combine::Amax, Combine::Amin];
    let all = kinds.into_iter().flat_map(|combine| [(combine, true), (combine, false)]);
    let mut cases: Vec<Case> = all
        .map(|(combine, own)| {
            let name = format!("scatter_reduce {combine:?}{}", if own { "" } else { " of the source" });
            Case::new(&name, &[(&[3, 4], ANY), (&[4, 2], ANY)], move |x| {
                x[0].scatter_reduce(0, &index(&x[0], &[0, 2, 0, 1, 2, 2, 0, 1], &[4, 2]), &x[1], combine, own).sin()
            })
        })
        .collect();
    cases.push(Case::new("index_reduce", &[(&[3, 4], ANY), (&[3, 3], ANY)], |x| {
        x[0].index_reduce(1, &index(&x[0], &[0, 3, 3], &[3]), &x[1], Combine::Prod, true).sin()
    }));
    cases.push(Case::new("scatter_reduce with a 0 among the factors", &[(&[2], ANY), (&[3], ANY)], |x| {
        let zero = &x[1] * index(&x[0], &[1, 0, 1], &[3]);
        x[0].scatter_reduce(0, &index(&x[0], &[0, 0, 1], &[3]), &zero, Combine::Prod, true).sin()
    }));
    cases
}

/// `x[…]`.
fn brackets() -> Vec<Case> {
    let rows = |x: &[Tensor]| index(&x[0], &[1, -1, 1], &[3]);
    let columns = |x: &[Tensor]| index(&x[0], &[0, 2, 0], &[3]);
    vec![
        Case::new("index by numbers and ranges", &[(&[3, 4, 5], ANY)], |x| {
            x[0].index((-1, Index::slice(1, -1, 1), NewAxis, ..2)).unwrap().sin()
        }),
        Case::new("index by a tensor", &[(&[3, 4], ANY)], move |x| x[0].index((.., rows(x))).unwrap().sin()),
        Case::new("index by two tensors", &[(&[2, 4, 5], ANY)], move |x| {
            x[0].index((.., rows(x), columns(x))).unwrap().sin()
        }),
        Case::new("index by separated tensors", &[(&[3, 2, 4], ANY)], move |x| {
            x[0].index((rows(x), .., columns(x).unsqueeze(1))).unwrap().sin()
        }),
        Case::new("index by a mask and a tensor", &[(&[3, 4, 2], ANY)], |x| {
            let mask = index(&x[0], &[1, 0, 1], &[3]).gt(0);
            x[0].index((mask, 1.., index(&x[0], &[0, 1], &[2]))).unwrap().sin()
        }),
        Case::new("index by a mask of two dimensions", &[(&[3, 4, 2], ANY)], |x| {
            x[0].index(x[0].select(2, 0).gt(0.0)).unwrap().sin()
        }),
        Case::new("index_put", &[(&[3, 4, 3], ANY), (&[3, 1], ANY)], move |x| {
            x[0].index_put((.., index(&x[0], &[1, 3, 0], &[3]), 1..), x[1].expand([3, 2]), false).unwrap().sin()
        }),
        Case::new("index_put accumulated", &[(&[3, 4, 3], ANY), (&[3, 4], ANY)], move |x| {
            x[0].index_put((rows(x), .., columns(x)), &x[1], true).unwrap().sin()
        }),
        Case::new("index_put of a view", &[(&[3, 4], ANY), (&[2], ANY)], |x| {
            x[0].index_put((1, 1..3), &x[1], false).unwrap().index_put((0, ..2), &x[1], true).unwrap().sin()
        }),
        Case::new("index_put_ of a mask", &[(&[3, 4], ANY), (&[], ANY)], |x| {
            let y = &x[0] * 2.0;
            y.index_put_((1.., index(&x[0], &[1, 0, 1, 0], &[4]).gt(0)), &x[1], false).unwrap();
            y.sin()
        }),
    ]
}

fn order() -> Vec<Case> {
    vec![
        Case::new("sort", &[(&[3, 4], ANY)], |x| x[0].sort(0, true).0.sin() * x[0].sort(1, false).0),
        Case::new("msort", &[(&[3, 4], ANY)], |x| x[0].msort().sin()),
        Case::new("topk", &[(&[3, 4], ANY)], |x| x[0].topk(2, 1, true).0.sin() * x[0].topk(2, -1, false).0),
        Case::new("kthvalue", &[(&[3, 4], ANY)], |x| x[0].kthvalue(2, 0, false).0.sin()),
        Case::new("mode", &[(&[3, 4], ANY)], |x| x[0].mode(1, true).0.sin()),
        Case::new("unique", &[(&[3, 4], ANY)], |x| x[0].unique(None).unwrap().values.sin()),
        Case::new("unique of columns", &[(&[3, 4], ANY)], |x| x[0].unique(1).unwrap().values.sin()),
    ]
}
