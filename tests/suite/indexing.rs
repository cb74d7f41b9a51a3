//! Indexing where values, shapes and sharing of storage tell more than derivatives.

use crate::common::on_every_device;
use wgrad::{
    BagMode, Combine, DType, Ellipsis, EmbeddingBagOptions, EmbeddingOptions, Index, NewAxis, PadMode, Tensor,
};

#[test]
fn brackets_without_tensors_are_views() {
    on_every_device(|dev| {
        let x = Tensor::zeros([3, 4], dev);
        let part = x.index((1.., Index::slice(None, None, 2)))?;
        assert!(part.shares_storage(&x));
        part.add_(1.0)?;
        assert_eq!(x.to_vec::<f32>()?, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        // A 0-d index tensor is its number.
        assert!(x.index((Tensor::new(2, dev), ..))?.shares_storage(&x));
        assert_eq!(x.index((..=1, NewAxis, -2..))?.shape(), [2, 1, 2]);
        assert_eq!(x.index((0..=1, ..=-2))?.shape(), [2, 3]);
        assert_eq!(x.index((NewAxis, Ellipsis, NewAxis))?.shape(), [1, 3, 4, 1]);
        Ok(())
    });
}

#[test]
fn index_tensors_stand_where_pytorch_puts_them() {
    on_every_device(|dev| {
        let x = Tensor::zeros([2, 3, 4, 5], dev);
        let (i, j) = (Tensor::new([0, 1, 0], dev), Tensor::new([[1], [2]], dev));
        assert_eq!(x.index((.., &i))?.shape(), [2, 3, 4, 5]);
        assert_eq!(x.index((.., &i, &j))?.shape(), [2, 2, 3, 5]);
        assert_eq!(x.index((.., &i, .., &j))?.shape(), [2, 3, 2, 4]);
        assert_eq!(x.index((.., &i, NewAxis, &j))?.shape(), [2, 3, 2, 1, 5]);
        // Numbers are taken first and separate nothing.
        assert_eq!(x.index((&i, 0, &i))?.shape(), [3, 5]);
        assert_eq!(x.index((0, .., &i))?.shape(), [3, 3, 5]);
        assert_eq!(x.index((Ellipsis, &i))?.shape(), [2, 3, 4, 3]);
        let mask = Tensor::new([[true, false, true], [false, false, true]], dev);
        assert_eq!(x.index(&mask)?.shape(), [3, 4, 5]);
        assert_eq!(x.index((&mask, &i))?.shape(), [3, 5]);
        assert_eq!(x.index(Tensor::new(true, dev))?.shape(), [1, 2, 3, 4, 5]);
        assert_eq!(x.index(Tensor::new(false, dev))?.shape(), [0, 2, 3, 4, 5]);
        let none = Tensor::zeros([0], (dev, DType::I32));
        assert_eq!(x.index((.., &none))?.shape(), [2, 0, 4, 5]);
        assert_eq!(Tensor::zeros([0, 3], dev).index((&none, 1))?.shape(), [0]);
        Ok(())
    });
}

#[test]
fn elements_are_found_counted_and_told_apart() {
    on_every_device(|dev| {
        let nan = f64::NAN;
        let x = Tensor::new([3.0, 1.0, nan, 3.0, nan], dev);
        let found = x.unique(None)?;
        assert_eq!(found.values.to_vec::<f32>()?[..2], [1.0, 3.0]);
        assert_eq!(found.inverse.to_vec::<i32>()?, [1, 0, 2, 1, 3]);
        assert_eq!(found.counts.to_vec::<i32>()?, [1, 2, 1, 1]);
        let runs = Tensor::new([[1, 1, 2], [2, 1, 1]], dev).unique_consecutive(None)?;
        assert_eq!(runs.values.to_vec::<i32>()?, [1, 2, 1]);
        assert_eq!((runs.inverse.shape(), runs.counts.to_vec::<i32>()?), (&[2, 3][..], vec![2, 2, 2]));
        let rows = Tensor::new([[2, 1], [1, 3], [2, 1]], dev).unique(0)?;
        assert_eq!(rows.values.to_vec::<i32>()?, [1, 3, 2, 1]);
        assert_eq!(rows.inverse.to_vec::<i32>()?, [1, 0, 1]);

        let others = Tensor::new([nan, 3.0], dev);
        assert_eq!(x.isin(&others).to_vec::<bool>()?, [true, false, false, true, false]);
        assert_eq!(x.isin(&Tensor::zeros([0], dev)).to_vec::<bool>()?, [false; 5]);
        assert_eq!(x.nonzero()?.shape(), [5, 1]);
        assert_eq!(Tensor::new(2.0, dev).nonzero()?.shape(), [1, 0]);

        let (values, places) = Tensor::new([[2, 1, 2, 1], [0, 5, 4, 5]], dev).mode(1, false);
        assert_eq!((values.to_vec::<i32>()?, places.to_vec::<i32>()?), (vec![1, 5], vec![3, 3]));

        let (big, twice) = (Tensor::new([-7, 1 << 30], dev), Tensor::new([0, 0, 1], dev));
        let mean = big.scatter_reduce(0, &twice, &Tensor::new([1, 2, (1 << 30) + 1], dev), Combine::Mean, true);
        assert_eq!(mean.to_vec::<i32>()?, [-2, -(1 << 30)], "whole numbers are rounded down, and wrap");
        assert_eq!(Tensor::full([3], 2.0, dev).histc(2, 0.0, 0.0).to_vec::<f32>()?, [0.0, 3.0]);
        assert_eq!(Tensor::new([1.0, 9.0, 4.0], dev).histc(2, 0.0, 0.0).to_vec::<f32>()?, [2.0, 1.0]);
        assert_eq!(Tensor::zeros([0], (dev, DType::I32)).bincount(None, 2)?.to_vec::<i32>()?, [0, 0]);
        Ok(())
    });
}

#[test]
fn rows_that_are_looked_up_are_kept_short() {
    on_every_device(|dev| {
        let table = Tensor::new([[3.0, 4.0], [6.0, 8.0], [0.3, 0.4]], dev).requires_grad_(true)?;
        let options = EmbeddingOptions { max_norm: Some(1.0), ..Default::default() };
        let rows = Tensor::new([0, 2, 0], dev).embedding_with(&table, options);
        rows.sum().backward()?;
        assert_eq!(table.grad().unwrap().to_vec::<f32>()?, [2.0, 2.0, 0.0, 0.0, 1.0, 1.0]);
        // Only what was looked up is changed, and only if it was too long.
        let got = table.detach().to_vec::<f32>()?;
        let want = [0.6, 0.8, 6.0, 8.0, 0.3, 0.4];
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}");
        let counted = EmbeddingOptions { padding_idx: Some(2), scale_grad_by_freq: true, ..Default::default() };
        let table = table.detach().copy().requires_grad_(true)?;
        Tensor::new([[0, 2], [0, 1]], dev).embedding_with(&table, counted).sum().backward()?;
        assert_eq!(table.grad().unwrap().to_vec::<f32>()?, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        Ok(())
    });
}

#[test]
fn layout_functions_take_every_type_and_empty_tensors() {
    on_every_device(|dev| {
        for dtype in [DType::Bool, DType::U32, DType::I32, DType::BF16, DType::F16, DType::F32] {
            let x = Tensor::new([[1, 0, 1], [0, 1, 1]], (dev, dtype));
            let all = [
                x.tril(0),
                x.triu(1),
                x.diag(0),
                x.roll(1, 1),
                x.pad([1, 1], PadMode::Constant(0.0)),
                x.pad([1, 1], PadMode::Reflect),
                x.repeat([2, 2]),
                x.repeat_interleave(2, 0),
                x.unfold(1, 2, 1),
                x.diag_embed(1, -2, -1),
                x.select(0, 0).vander(2, true),
                x.masked_fill(&x.eq(0), 1),
                x.index((Tensor::new([1, 0], dev), 1..))?,
                x.index_put(Tensor::new([1, 1], dev), 1, false)?,
                x.sort(1, false).0,
                x.unique(None)?.values,
                x.as_strided([2, 2], [1, 1], 0),
                Tensor::block_diag(&[x.clone(), x.clone()]),
            ];
            for y in all {
                assert_eq!(y.dtype(), dtype);
                assert_eq!(y.to_data()?.len(), y.numel());
            }
            let x = Tensor::zeros([0, 3], (dev, dtype));
            let shapes: [(Tensor, &[usize]); 12] = [
                (x.tril(0), &[0, 3]),
                (x.diag(1), &[0]),
                (x.roll(1, 0), &[0, 3]),
                (x.pad([1, 0, 0, 2], PadMode::Constant(1.0)), &[2, 4]),
                (x.repeat([2, 2]), &[0, 6]),
                (x.unfold(1, 2, 1), &[0, 2, 2]),
                (x.ravel(), &[0]),
                (x.rot90(1, [0, 1]), &[3, 0]),
                (x.sort(0, false).0, &[0, 3]),
                (x.unique(None)?.values, &[0]),
                (x.index((.., Tensor::new([1, 1], dev)))?, &[0, 2]),
                (x.take(&Tensor::zeros([0, 2], (dev, DType::I32))), &[0, 2]),
            ];
            for (y, shape) in shapes {
                assert_eq!((y.shape(), y.to_data()?.len()), (shape, y.numel()));
            }
        }
        Ok(())
    });
}

#[test]
fn overlapping_views_share_their_base() {
    on_every_device(|dev| {
        let x = Tensor::arange(0.0, 6.0, 1.0, dev).requires_grad_(true)?;
        let base = &x * 1.0;
        let windows = base.unfold(0, 3, 1);
        base.mul_(2.0)?;
        assert_eq!(windows.select(0, 1).to_vec::<f32>()?, [2.0, 4.0, 6.0]);
        (&windows * &windows).sum().backward()?;
        let want: Vec<f32> = [1.0, 2.0, 3.0, 3.0, 2.0, 1.0].iter().zip(0..).map(|(n, i)| n * 8.0 * i as f32).collect();
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, want);
        // Strides of one's own reach the storage behind a view, and writing there reaches the base.
        let y = Tensor::zeros([2, 3], dev);
        y.t().as_strided([2], [4], 1).add_(1.0)?;
        assert_eq!(y.to_vec::<f32>()?, [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
        Ok(())
    });
}

#[test]
fn bags_are_those_of_pytorch() {
    on_every_device(|dev| {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        let table = |dev| Tensor::new([[-inf, 1.0], [nan, 2.0], [3.0, inf], [4.0, -5.0]], dev);
        let bags = |index: &[i32], offsets: &[i32], mode, padding_idx| {
            let table = table(dev).requires_grad_(true).unwrap();
            let list = |x: &[i32]| Tensor::from_slice(x, x.len(), (dev, DType::I32));
            let options = EmbeddingBagOptions {
                mode,
                offsets: Some(list(offsets)),
                table: EmbeddingOptions { padding_idx, ..Default::default() },
                ..Default::default()
            };
            let y = list(index).embedding_bag(&table, options);
            y.sum().backward().unwrap();
            (y.to_vec::<f32>().unwrap(), table.grad().unwrap().to_vec::<f32>().unwrap())
        };
        for mode in [BagMode::Sum, BagMode::Mean, BagMode::Max] {
            // Bags of nothing depend on the table all the same.
            assert_eq!(bags(&[], &[0, 0], mode, None), (vec![0.0; 4], vec![0.0; 8]));
            assert_eq!(bags(&[], &[], mode, None), (vec![], vec![0.0; 8]));
            // Padding may hold NaN, in the middle and alone.
            let (y, g) = bags(&[1, 3, 1, 1], &[0, 2], mode, Some(1));
            assert_eq!((y, g), (vec![4.0, -5.0, 0.0, 0.0], vec![0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]), "{mode:?}");
        }
        // An infinity is a number of the table, and of equal rows the first one counts.
        let (y, g) = bags(&[0, 0, 2], &[0, 2], BagMode::Max, None);
        assert_eq!((y, g), (vec![-inf as f32, 1.0, 3.0, inf as f32], vec![1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]));
        let same = Tensor::ones([3, 1], dev).requires_grad_(true)?;
        let max = EmbeddingBagOptions { mode: BagMode::Max, ..Default::default() };
        Tensor::new([[2, 1]], dev).embedding_bag(&same, max).sum().backward()?;
        assert_eq!(same.grad().unwrap().to_vec::<f32>()?, [0.0, 0.0, 1.0]);
        Ok(())
    });
}
