//! Indexing, sorting, searching.

use super::check;
use crate::common::{devices, own_devices};
use wgrad::{Combine, Ellipsis, EmbeddingBagOptions, EmbeddingOptions, Tensor};

#[test]
fn indexing_refuses_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        let ints = |shape: &[usize]| Tensor::full(shape, 0, dev);
        check(dev, "index: places for 2 dimensions, of which [3] has 1", |_| drop(zeros(&[3]).index((0, 0))));
        check(dev, "unravel_index: the index must hold integers, not f32", |_| drop(zeros(&[2]).unravel_index([2, 3])));
        check(dev, "index: more than one `Ellipsis`, for shape [3]", |_| drop(zeros(&[3]).index((Ellipsis, Ellipsis))));
        check(dev, "select: index 3 is out of range for dimension 0 of [3]", |_| drop(zeros(&[3]).index(3)));
        check(dev, "index: index tensors do not broadcast: [[2], [3]]", |_| {
            drop(zeros(&[2, 2]).index((ints(&[2]), ints(&[3]))))
        });
        check(dev, "index: the index must hold integers, not f32", |_| drop(zeros(&[2]).index(zeros(&[2]))));
        check(dev, "index: a mask of [3] does not fit its dimensions of [2, 4]", |_| {
            drop(zeros(&[2, 4]).index(zeros(&[3]).gt(0.0)))
        });
        check(dev, "index_put: values [3] do not broadcast to places [2]", |_| {
            drop(zeros(&[4]).index_put(ints(&[2]), zeros(&[3]), true))
        });
        check(dev, "take: [0] has no elements for the index [1]", |_| drop(zeros(&[0]).take(&ints(&[1]))));
        check(dev, "take_along_dim: index [3] and [2, 2] differ in rank", |_| {
            drop(zeros(&[2, 2]).take_along_dim(&ints(&[3]), 0))
        });
        check(dev, "scatter: the source must hold f32, not i32", |_| {
            drop(zeros(&[2]).scatter(0, &ints(&[2]), ints(&[2])))
        });
        check(dev, "scatter_reduce: index [3] does not fit [2] along dimension 0 and source [2]", |_| {
            drop(zeros(&[2]).scatter_reduce(0, &ints(&[3]), &zeros(&[2]), Combine::Mean, true))
        });
        check(dev, "put: index [2] and source [3] differ in size", |_| {
            drop(zeros(&[4]).put(&ints(&[2]), &zeros(&[3]), false))
        });
        check(dev, "index_add: source [3, 2] is not 2 entries of dimension 0 of [4, 2]", |_| {
            drop(zeros(&[4, 2]).index_add(0, &ints(&[2]), &zeros(&[3, 2]), 1.0))
        });
        check(dev, "index_fill: the value must be a number or 0-d, not of shape [2]", |_| {
            drop(zeros(&[4]).index_fill(0, &ints(&[2]), zeros(&[2])))
        });
        check(dev, "masked_fill: the mask must hold bools, not f32 elements", |_| {
            drop(zeros(&[4]).masked_fill(&zeros(&[4]), 1.0))
        });
        check(dev, "masked_select: mask [3] and [4] do not broadcast", |_| {
            drop(zeros(&[4]).masked_select(&zeros(&[3]).gt(0.0)))
        });
        check(dev, "masked_scatter: a source of [0] has no elements for [4]", |_| {
            drop(zeros(&[4]).masked_scatter(&zeros(&[4]).gt(0.0), &zeros(&[0])))
        });
        check(dev, "nonzero_tuple: a 0-d tensor has no dimensions", |_| drop(zeros(&[]).nonzero_tuple()));
        check(dev, "select_scatter: the part of [2, 3] has shape [3], and the source [2]", |_| {
            drop(zeros(&[2, 3]).select_scatter(&zeros(&[2]), 0, 1))
        });
        check(dev, "as_strided_scatter: [2, 2] by [1, 1] may meet an element twice", |_| {
            drop(zeros(&[4]).as_strided_scatter(&zeros(&[2, 2]), [2, 2], [1, 1], 0))
        });
        check(dev, "embedding: the table [3] is no matrix", |_| drop(ints(&[2]).embedding(&zeros(&[3]))));
        check(dev, "embedding: padding_idx 3 is no row of [3, 2]", |_| {
            let options = EmbeddingOptions { padding_idx: Some(3), ..Default::default() };
            drop(ints(&[2]).embedding_with(&zeros(&[3, 2]), options))
        });
        check(dev, "embedding_bag: indices [2] with offsets none are no bags", |_| {
            drop(ints(&[2]).embedding_bag(&zeros(&[3, 2]), EmbeddingBagOptions::default()))
        });
        check(dev, "bincount: needs a list, not [2, 2]", |_| drop(ints(&[2, 2]).bincount(None, 0)));
        check(dev, "bincount: -1 is negative, in a list of [1]", |d| drop(Tensor::new([-1], d).bincount(None, 0)));
        check(dev, "one_hot: no classes for integers of shape [2]", |_| drop(ints(&[2]).one_hot(0)));
        check(dev, "histc: 0 parts from 0 to 1, for [2]", |_| drop(zeros(&[2]).histc(0, 0.0, 1.0)));
        check(dev, "topk: there are no 3 elements along dimension 0 of [2]", |_| drop(zeros(&[2]).topk(3, 0, true)));
        check(dev, "kthvalue: there is no element 0 along dimension 0 of [2]", |_| {
            drop(zeros(&[2]).kthvalue(0, 0, false))
        });
        check(dev, "mode: [0] has no elements to compare", |_| drop(zeros(&[0]).mode(0, false)));
        check(dev, "bucketize: boundaries [2, 2] are no list", |_| drop(zeros(&[2]).bucketize(&zeros(&[2, 2]), true)));
    }
}

#[test]
fn an_index_out_of_range_is_told_when_it_is_read() {
    for dev in own_devices() {
        let x = Tensor::zeros([2, 3], &dev);
        // One index out of range is not made good by the other.
        let (i, j) = (Tensor::new([0], &dev), Tensor::new([4], &dev));
        let error = x.index((&i, &j)).unwrap().to_vec::<f32>().unwrap_err();
        assert!(error.to_string().contains("is out of range for dimension 0 of size 6"), "{error}");
        let error = Tensor::new([3], &dev).one_hot(3).to_vec::<i32>().unwrap_err();
        assert!(error.to_string().contains("is out of range for dimension 1 of size 3"), "{error}");
    }
}
