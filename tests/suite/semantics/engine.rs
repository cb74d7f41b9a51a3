//! Backward, `grad`, retained graphs, higher derivatives, leaves.

use super::*;
use std::sync::{Arc, Mutex};
use wgrad::autograd::{GradientEdge, TensorOrEdge, backward};
use wgrad::{DType, catch};

facts! {
    accumulate_01 => |dev| {
        let x = t([1.0, 2.0, 3.0], dev);
        assert!(x.grad().is_none());
        x.pow(2.0).sum().backward()?;
        assert_eq!(stored(&x), [2.0, 4.0, 6.0]);
    }
    accumulate_03 => |dev| {
        let x = t([2.0], dev);
        (&x * &x).backward()?;
        let g = x.grad().unwrap();
        g.zero_()?;
        (&x * 3.0).backward()?;
        assert_eq!((stored(&x), x.grad().unwrap().is_same(&g)), (vec![3.0], true));
        x.set_grad(None);
        (&x * 5.0).backward()?;
        assert_eq!((stored(&x), x.grad().unwrap().is_same(&g)), (vec![5.0], false));
    }
    accumulate_04 => |dev| {
        let x = t([1.0], dev);
        (&x * 2.0).backward()?;
        let g = x.grad().unwrap();
        (&x * 2.0).backward()?;
        assert_eq!((x.grad().unwrap().is_same(&g), values(&g)), (true, vec![4.0]));
    }
    accumulate_06 => |dev| {
        let x = t([1.0, 1.0], dev);
        x.set_grad(Some(Tensor::new([10.0, 20.0], dev)));
        (&x * 2.0).sum().backward()?;
        assert_eq!(stored(&x), [12.0, 22.0]);
    }
    accumulate_08 => |dev| {
        let x = t([1.0, 1.0], dev);
        raises(catch(|| x.set_grad(Some(Tensor::ones([2], (dev, DType::F16))))), "set_grad: the gradient is f16 of shape [2], the tensor f32 of [2]");
    }
    accumulate_09 => |dev| {
        let (x, g) = (t([1.0, 1.0], dev), Tensor::ones([2], dev));
        weighted(&x.copy(), &g)?;
        x.grad().unwrap().mul_(7.0)?;
        assert_eq!((values(&g), stored(&x)), (vec![1.0, 1.0], vec![7.0, 7.0]));
    }
    accumulate_11 => |dev| {
        let (x, y) = (t([1.0], dev), t([1.0], dev));
        (&x * 2.0).backward()?;
        assert_eq!((stored(&x), y.grad().is_none()), (vec![2.0], true));
    }
    accumulate_13 => |dev| {
        let x = t([1.0], dev);
        (&x * 2.0).backward()?;
        x.zero_grad();
        assert!(x.grad().is_none());
        (&x * 2.0).backward()?;
        x.grad().unwrap().zero_()?;
        assert_eq!(stored(&x), [0.0]);
    }
    backward_args_01 => |dev| {
        raises((t([1.0, 2.0], dev) * 2.0).backward(), "backward: only a tensor of one element needs no gradient given, and this one has shape [2]");
    }
    backward_args_02 => |dev| {
        let x = t([3.0], dev);
        (&x * &x).reshape([1, 1, 1]).backward()?;
        assert_eq!(stored(&x), [6.0]);
    }
    backward_args_04 => |dev| {
        let x = t([1.0, 2.0], dev);
        raises(weighted(&(&x * 2.0), &Tensor::new([1.0], dev)), "backward: the gradient has shape [1], the tensor [2]");
        raises(weighted(&(&x * 2.0), &Tensor::new(1.0, dev)), "backward: the gradient has shape [], the tensor [2]");
    }
    backward_args_06 => |dev| {
        raises(Tensor::new(2.0, dev).backward(), "backward: the tensor of shape [] does not require grad and has no grad_fn");
        raises((Tensor::ones([2], dev) * 3.0).sum().backward(), "backward: the tensor of shape [] does not require grad and has no grad_fn");
    }
    backward_args_07 => |dev| {
        let x = t(3.0, dev);
        x.backward()?;
        assert_eq!(stored(&x), [1.0]);
    }
    backward_args_09 => |dev| {
        let x = t(2.0, dev);
        backward(&[&(&x * 2.0), &x.pow(3.0)], &[], BackwardOptions::default())?;
        assert_eq!(stored(&x), [14.0]);
        x.zero_grad();
        let gradients = [Some(Tensor::new(5.0, dev)), None];
        backward(&[&(&x * 2.0), &x.pow(3.0)], &gradients, BackwardOptions::default())?;
        assert_eq!(stored(&x), [22.0]);
    }
    backward_args_11 => |dev| {
        let x = t(3.0, dev);
        let y = &x * 2.0;
        backward(&[&y, &(&y * &y)], &[], BackwardOptions::default())?;
        assert_eq!(stored(&x), [26.0]);
    }
    backward_args_12 => |dev| {
        let (a, b) = (t(2.0, dev), t(3.0, dev));
        let options = BackwardOptions { inputs: Some(vec![(&a).into()]), ..Default::default() };
        (&a * &b).backward_with(None, options)?;
        assert_eq!((stored(&a), b.grad().is_none()), (vec![3.0], true));
    }
    backward_args_14 => |dev| {
        let x = t(2.0, dev);
        let options = BackwardOptions { inputs: Some(vec![]), ..Default::default() };
        raises((&x * &x).backward_with(None, options), "backward: the list of inputs is empty");
    }
    backward_args_16 => |dev| {
        let (x, v) = (t([2.0], dev), t([3.0], dev));
        weighted(&(&x * &x), &v)?;
        assert_eq!((stored(&x), x.grad().unwrap().requires_grad(), v.grad().is_none()), (vec![12.0], false, true));
    }
    backward_args_17 => |dev| {
        let other = if dev.name() == "cpu" { DType::F64 } else { DType::F16 };
        let x = t([1.0, 2.0], dev);
        weighted(&(&x * 2.0), &Tensor::new([1.0, 0.5], (dev, other)))?;
        assert_eq!((stored(&x), x.grad().unwrap().dtype()), (vec![2.0, 1.0], DType::F32));
    }
    retain_01 => |dev| {
        let x = t(3.0, dev);
        let y = &x * &x;
        y.backward()?;
        raises(y.backward(), "backward: the values saved by MulBackward0");
    }
    retain_03 => |dev| {
        let x = t(3.0, dev);
        let y = &x * &x;
        y.backward_with(None, keep())?;
        y.backward_with(None, keep())?;
        y.backward()?;
        assert_eq!(stored(&x), [18.0]);
        raises(y.backward(), "backward: the values saved by MulBackward0");
    }
    retain_04 => |dev| {
        let x = t(3.0, dev);
        let a = &x * &x;
        let (y, z) = (&a + 1.0, &a * 2.0);
        y.backward()?;
        raises(z.backward(), "backward: the values saved by MulBackward0");
    }
    retain_06 => |dev| {
        let x = t(3.0, dev);
        let y = x.pow(3.0);
        d(&y, &x)?;
        raises(d(&y, &x), "backward: the values saved by PowBackward0");
    }
    retain_08 => |dev| {
        let x = t(2.0, dev);
        let y = &x * &x;
        let options = GradOptions { create_graph: true, retain_graph: Some(false), ..Default::default() };
        let g = grad(&[&y], &[&x], options)?.remove(0).unwrap();
        assert_eq!((g.item()?, g.requires_grad()), (4.0, true));
        raises(d(&y, &x), "backward: the values saved by MulBackward0");
    }
    retain_09 => |dev| {
        let x = t(3.0, dev);
        let y = &x * &x;
        let node = y.grad_fn().unwrap();
        assert_eq!(node.saved_tensors()?[0].item()?, 3.0);
        y.backward()?;
        raises(node.saved_tensors(), "backward: the values saved by MulBackward0");
    }
    double_02 => |dev| {
        let x = t(2.0, dev);
        let g = d(&x.pow(2.0), &x)?;
        assert!(!g.requires_grad() && g.grad_fn().is_none());
    }
    double_03 => |dev| {
        let x = t(2.0, dev);
        let g = recorded(&(&x * 5.0), &x)?;
        assert!(!g.requires_grad());
        raises(d(&g, &x), "grad: the tensor of shape [] does not require grad and has no grad_fn");
    }
    double_05 => |dev| {
        let (x, v) = (t([1.0, 2.0, 3.0], dev), Tensor::new([1.0, 0.0, -1.0], dev));
        let at = |i| x.select(0, i);
        let y = at(0) * at(1) * at(2) + at(0).pow(3.0);
        let g = recorded(&y, &x)?;
        let h = d(&(&g * &v).sum(), &x)?;
        assert_eq!((values(&g), values(&h)), (vec![9.0, 3.0, 2.0], vec![4.0, 2.0, 2.0]));
    }
    double_07 => |dev| {
        let (w, x) = (t([1.0, -2.0], dev), t([3.0, 1.0], dev));
        let s = (&w * &x).sum().tanh();
        let g = recorded(&s, &x)?;
        (g.norm() - 1.0).pow(2.0).backward()?;
        assert_eq!(five(&w.grad().unwrap()), [0.49987, 0.22001]);
        assert_eq!(five(&x.grad().unwrap()), [0.17425, -0.3485]);
    }
    double_08 => |dev| {
        let (x, u) = (t([1.0, 2.0], dev), Tensor::ones([3], dev).requires_grad_(true)?);
        let at = |i| x.select(0, i);
        let y = Tensor::stack(&[at(0) * at(1), at(0).pow(2.0), at(1) + 1.0], 0);
        let options =
            GradOptions { grad_outputs: vec![Some(u.clone())], create_graph: true, ..Default::default() };
        let g = grad(&[&y], &[&x], options)?.remove(0).unwrap();
        let options = GradOptions { grad_outputs: vec![Some(Tensor::new([1.0, -1.0], dev))], ..Default::default() };
        assert_eq!(values(grad(&[&g], &[&u], options)?[0].as_ref().unwrap()), [1.0, 2.0, -1.0]);
    }
    double_10 => |dev| {
        let x = t([-1.0, 2.0], dev);
        let g = recorded(&x.relu().pow(2.0).sum(), &x)?;
        assert_eq!((values(&g), values(&d(&g.sum(), &x)?)), (vec![0.0, 4.0], vec![0.0, 2.0]));
    }
    double_12 => |dev| {
        let (a, b) = (t([[1.0, 2.0], [3.0, 4.0]], dev), t([[1.0, 0.0], [2.0, -1.0]], dev));
        let g = recorded(&a.matmul(&b).sum(), &a)?;
        g.pow(2.0).sum().backward()?;
        assert_eq!((values(&g), stored(&b)), (vec![1.0; 4], vec![4.0; 4]));
        assert!(a.grad().is_none());
    }
    double_13 => |dev| {
        let x = t([0.0, 1.0, 2.0], dev);
        let g = recorded(&x.softmax(0).select(0, 0), &x)?;
        let h = d(&g.select(0, 1), &x)?;
        assert_eq!(five(&g), [0.08193, -0.02203, -0.05989]);
        assert_eq!(five(&h), [-0.01807, -0.01125, 0.02931]);
    }
    grad_fn_01 => |dev| {
        let x = t([1.0, 2.0], dev);
        assert_eq!((values(&d(&(&x * &x).sum(), &x)?), x.grad().is_none()), (vec![2.0, 4.0], true));
    }
    grad_fn_02 => |dev| {
        let (x, y) = (t(1.0, dev), t(1.0, dev));
        raises(grad(&[&(&x * 2.0)], &[&x, &y], GradOptions::default()), "grad: the outputs do not depend on input 1 of shape []; allow_unused gives None for it");
        let options = GradOptions { allow_unused: Some(true), ..Default::default() };
        let g = grad(&[&(&x * 2.0)], &[&x, &y], options)?;
        assert_eq!((g[0].as_ref().unwrap().item()?, g[1].is_none()), (2.0, true));
        // That an input needs no gradient is another matter.
        let (plain, options) = (Tensor::ones([2], dev), |materialize_grads| GradOptions {
            allow_unused: Some(true),
            materialize_grads,
            ..Default::default()
        });
        for zeros in [false, true] {
            raises(grad(&[&(&x * 2.0)], &[&x, &plain], options(zeros)), "grad: input 1: the tensor of shape [2] does not require grad");
        }
    }
    a_gradient_may_have_another_type_than_its_leaf => |dev| {
        let w = Tensor::new([1.0, 2.0], (dev, DType::F16)).requires_grad_(true)?;
        assert_eq!(w.grad_dtype(), DType::F16);
        let before = (&w * 3.0).sum();
        w.set_grad_dtype(DType::F32)?;
        for _ in 0..2 {
            (&w * 2.0).sum().backward()?;
        }
        let g = w.grad().unwrap();
        assert_eq!((g.dtype(), w.grad_dtype(), w.dtype(), values(&g)), (DType::F32, DType::F32, DType::F16, vec![4.0, 4.0]));
        raises(w.set_grad_dtype(DType::F16), "set_grad_dtype: there is a gradient of type f32 already, not f16; zero_grad first");
        raises((&w * 2.0).set_grad_dtype(DType::F32), "set_grad_dtype: only leaves, not a result of shape [2]");
        let narrow = Tensor::ones([2], (dev, DType::F16));
        raises(catch(|| w.set_grad(Some(narrow.clone()))), "set_grad: the gradient is f16 of shape [2], the tensor f32 of [2]");
        w.set_grad(Some(Tensor::ones([2], dev)));
        raises(catch(|| w.set_grad_dtype(DType::I32)), "set_grad_dtype: i32, for a tensor of shape [2], is no float");
        // What was recorded before has the type of before, and is added.
        before.backward()?;
        assert_eq!(stored(&w), [4.0, 4.0]);
    }
    grad_fn_04 => |dev| {
        let (x, y) = (t(1.0, dev), t(1.0, dev));
        let options = |allow_unused| GradOptions { allow_unused, materialize_grads: true, ..Default::default() };
        raises(grad(&[&(&x * 2.0)], &[&x, &y], options(Some(false))), "grad: materialize_grads gives zeros for what allow_unused refuses");
        let g = grad(&[&(&x * 2.0)], &[&x, &y], options(None))?;
        assert_eq!(g[1].as_ref().unwrap().item()?, 0.0);
    }
    grad_fn_06 => |dev| {
        let x = t(2.0, dev);
        let y = &x * 3.0;
        let g = grad(&[&(&y * &y + &x)], &[&x, &y], GradOptions::default())?;
        assert_eq!(g.iter().map(|g| g.as_ref().unwrap().item().unwrap()).collect::<Vec<_>>(), [37.0, 12.0]);
    }
    grad_fn_07 => |dev| {
        let x = t([1.0, 2.0], dev);
        let grad_outputs = vec![None, Some(Tensor::new([1.0, 2.0], dev))];
        let g = grad(&[&x.sum(), &(&x * &x)], &[&x], GradOptions { grad_outputs, ..Default::default() })?;
        assert_eq!(values(g[0].as_ref().unwrap()), [3.0, 9.0]);
    }
    grad_fn_09 => |dev| {
        let (x, c) = (t(3.0, dev), Tensor::new(2.0, dev));
        raises(grad(&[&(&x * &c)], &[&x, &c], GradOptions::default()), "grad: input 1: the tensor of shape [] does not require grad");
    }
    grad_fn_11 => |dev| {
        let x = t(3.0, dev);
        let y = x.detach() * 2.0 + t(1.0, dev);
        raises(d(&y, &x), "grad: the outputs do not depend on input 0 of shape []; allow_unused gives None for it");
        let options = GradOptions { allow_unused: Some(true), ..Default::default() };
        assert!(grad(&[&y], &[&x], options)?[0].is_none());
    }
    grad_fn_12 => |dev| {
        let (x, y) = (t(1.0, dev), t(1.0, dev));
        let (a, b) = (&x * 2.0, &y * 2.0);
        let seen = Arc::new(Mutex::new(Vec::new()));
        for (name, x) in [("a", &a), ("b", &b)] {
            let seen = seen.clone();
            x.register_hook(move |_| { seen.lock().unwrap().push(name); None })?;
        }
        d(&(&a + &b), &x)?;
        assert_eq!(*seen.lock().unwrap(), ["a"]);
    }
    grad_fn_16 => |dev| {
        let x = t(2.0, dev);
        let y = &x * 3.0;
        let (edge, z) = (GradientEdge::of(&y)?, &y * &y);
        drop(y);
        let inputs: [&dyn TensorOrEdge; 2] = [&edge, &x];
        let g = grad(&[&z], &inputs, GradOptions::default())?;
        assert_eq!(g.iter().map(|g| g.as_ref().unwrap().item().unwrap()).collect::<Vec<_>>(), [12.0, 36.0]);
    }
    edges_and_tensors_are_outputs_too => |dev| {
        let x = t(2.0, dev);
        let y = &x * 3.0;
        let (edge, z) = (GradientEdge::of(&y)?, &y * &y);
        let outputs: [&dyn TensorOrEdge; 2] = [&edge, &z];
        let g = grad(&outputs, &[&x], GradOptions { retain_graph: Some(true), ..Default::default() })?;
        assert_eq!(g[0].as_ref().unwrap().item()?, 39.0);
        backward(&outputs, &[None, Some(Tensor::new(2.0, dev))], BackwardOptions::default())?;
        assert_eq!(stored(&x), [75.0]);
        // Of what is not reached there are zeros of the edge's shape.
        let other = GradientEdge::of(&(t([1.0, 2.0], dev) * 1.0))?;
        let options = GradOptions { materialize_grads: true, ..Default::default() };
        assert_eq!(values(grad(&[&x * 1.0], &[&other], options.clone())?[0].as_ref().unwrap()), [0.0, 0.0]);
        let zeros = |create_graph| grad(&[&x * 1.0], &[&other], GradOptions { create_graph, ..options.clone() });
        assert_eq!([true, false].map(|create| zeros(create).unwrap()[0].as_ref().unwrap().requires_grad()), [true, false]);
        raises(grad(&[&x * 1.0], &[] as &[&Tensor], GradOptions::default()), "grad: the list of inputs is empty");
        raises(GradientEdge::of(&Tensor::new(1.0, dev)), "does not require grad");
    }
    // Of a leaf's edge the gradient is stored; what arrives at another one is shown to hooks.
    edges_are_inputs_of_backward => |dev| {
        let (x, w) = (t(2.0, dev), t(1.0, dev));
        let (y, seen) = (&x * 3.0, Arc::new(Mutex::new(Vec::new())));
        let told = seen.clone();
        y.register_hook(move |g| {
            told.lock().unwrap().push(g.item().unwrap());
            None
        })?;
        let z = &y * &y * &w;
        for edge in [GradientEdge::of(&y)?, GradientEdge::of(&x)?] {
            assert!(x.grad().is_none());
            let inputs = Some(vec![edge.into()]);
            z.backward_with(None, BackwardOptions { inputs, retain_graph: Some(true), ..Default::default() })?;
            assert_eq!((w.grad().is_none(), y.grad().is_none()), (true, true));
        }
        assert_eq!((stored(&x), seen.lock().unwrap().clone()), (vec![36.0], vec![12.0, 12.0]));
    }
    there_is_one_gradient_for_each_output_or_none => |dev| {
        let x = t([1.0, 2.0], dev);
        let given = vec![Some(Tensor::ones([2], dev))];
        let options = GradOptions { grad_outputs: given.clone(), ..Default::default() };
        raises(grad(&[&x * 2.0, x.sum()], &[&x], options), "grad: 2 outputs and 1 gradients");
        raises(backward(&[&x * 2.0, x.sum()], &given, BackwardOptions::default()), "backward: 2 outputs and 1 gradients");
    }
    nodes_are_called_as_in_pytorch => |dev| {
        let (x, y) = (t([[1.0, 2.0], [3.0, 4.0]], dev), t([[2.0, 1.0], [0.5, 3.0]], dev));
        let index = Tensor::new([1, 0], dev);
        let expected = [
            (x.pow(2.0), "PowBackward0"), (x.pow(&y), "PowBackward1"), (x.rpow(2.0), "PowBackward2"),
            (&x - 1.0, "SubBackward0"), (&x - &y, "SubBackward0"), (1.0 - &x, "RsubBackward1"), (&x / 2.0, "DivBackward0"),
            (x.fmod(2.0), "FmodBackward0"), (x.fmod(&y), "FmodBackward1"), (&x % 2.0, "RemainderBackward0"),
            (x.remainder(&y), "RemainderBackward1"), (x.clamp(0.0, 1.0), "ClampBackward1"), (x.sum(), "SumBackward0"),
            (x.sum_dim(0, false), "SumBackward1"), (x.max(), "MaxBackward1"), (x.reshape([4]), "ViewBackward0"),
            (x.t(), "TBackward0"), (x.index_select(0, &index), "IndexSelectBackward0"), (x.sort(0, false).0, "SortBackward0"),
            (x.topk(1, 0, true).0, "TopkBackward0"), (x.cummax(0).0, "CummaxBackward0"), (x.matmul(&y), "MmBackward0"),
            (x.copy(), "CloneBackward0"), (x.narrow(0, 0, 1), "SliceBackward0"), (x.select(0, 0), "SelectBackward0"),
        ];
        let (v, rows, mask) = (t([1.0, 2.0], dev), t([[5.0, 6.0], [7.0, 8.0]], dev), x.gt(2.0));
        let (n, one) = (t(0.5, dev), t([[1.0, 2.0]], dev));
        let more = [
            (x.max_dim(0, false).0, "MaxBackward0"), (x.max_dim(0, true).0, "MaxBackward0"), (x.min_dim(0, false).0, "MinBackward0"),
            (x.median(), "MedianBackward0"), (x.median_dim(0, false).0, "MedianBackward1"), (x.nanmedian(), "NanmedianBackward0"),
            (x.nanmedian_dim(0, false).0, "NanmedianBackward1"), (x.kthvalue(1, 0, false).0, "KthvalueBackward0"),
            (x.mode(0, false).0, "ModeBackward0"), (x.prelu(&v), "PreluKernelBackward0"), (x.leaky_relu(0.1), "LeakyReluBackward0"),
            (x.nan_to_num(0.0, None, None), "NanToNumBackward0"), (x.glu(1), "GluBackward0"), (x.lerp(&y, 0.3), "LerpBackward0"),
            (x.lerp(&y, &y), "LerpBackward1"), (x.addcmul(&y, &y, 2.0), "AddcmulBackward0"),
            (x.addcdiv(&y, &y, 2.0), "AddcdivBackward0"), (x.var_mean((), 1.0, false).0, "VarMeanBackward0"),
            (x.var_mean(0, 1.0, false).1, "VarMeanBackward0"), (x.std_mean((), 1.0, false).0, "StdMeanBackward0"),
            (x.std_mean(0, 1.0, false).1, "StdMeanBackward0"), (x.index_add(0, &index, &rows, 1.0), "IndexAddBackward0"),
            (x.index_copy(0, &index, &rows), "IndexCopyBackward0"), (x.take(&index), "TakeBackward0"),
            (x.masked_fill(&mask, 0.0), "MaskedFillBackward0"), (x.masked_fill(&mask, &n), "MaskedFillBackward1"),
            (x.index_fill(0, &index, 1.0), "IndexFillBackward0"), (x.index_fill(0, &index, &n), "IndexFillBackward1"),
            (x.masked_select(&mask)?, "MaskedSelectBackward0"), (x.scatter(0, &index.unsqueeze(1), &rows), "ScatterBackward0"),
            (x.scatter(0, &index.unsqueeze(1), 1.0), "ScatterBackward1"), (x.tril(0), "TrilBackward0"), (x.triu(0), "TriuBackward0"),
            (x.trace(), "TraceBackward0"), (x.repeat([2, 2]), "RepeatBackward0"), (x.tile(2), "RepeatBackward0"),
            (x.nansum((), false), "NansumBackward0"), (x.norm(), "LinalgVectorNormBackward0"),
            (x.norm_dim(1.0, 0, false), "LinalgVectorNormBackward0"), (x.norm_dim(f64::INFINITY, 0, false), "LinalgVectorNormBackward0"),
            (one.squeeze(()), "SqueezeBackward0"), (one.squeeze(0), "SqueezeBackward1"), (one.squeeze([0, 1]), "SqueezeBackward2"),
        ];
        for (i, (y, name)) in expected.iter().chain(&more).enumerate() {
            assert_eq!(y.grad_fn().unwrap().name(), *name, "expression {i}");
        }
    }
    what_a_quotient_and_a_norm_keep => |dev| {
        let (a, b) = (t([1.0, 2.0], dev), t([3.0, 4.0], dev));
        let kept = |y: &Tensor| y.grad_fn().unwrap().saved_bytes();
        assert_eq!((kept(&(&a / &b)), kept(&(1.0 / &b)), kept(&(&a / 2.0))), (16, 8, 0));
        assert_eq!(kept(&a.layer_norm(2, None, None, 1e-5)), 8);
    }
    leaf_01 => |dev| {
        let (x, c) = (t(1.0, dev), Tensor::new(1.0, dev));
        let (y, d) = (&x * &c, &c * 2.0);
        let told = |x: &Tensor| (x.is_leaf(), x.requires_grad(), x.grad_fn().map(|node| node.name()));
        let want = [(true, true, None), (true, false, None), (false, true, Some("MulBackward0")), (true, false, None)];
        assert_eq!([&x, &c, &y, &d].map(told), want);
    }
    leaf_03 => |dev| {
        let y = t(1.0, dev) * 2.0;
        raises(y.requires_grad_(false), "requires_grad_: a result of recorded operations, of shape [], always requires grad; detach it");
        assert!(y.requires_grad_(true)?.is_same(&y));
    }
    leaf_04 => |dev| {
        raises(catch(|| Tensor::new([1, 2], dev).requires_grad_(true)), "requires_grad_: only floats can require grad, not i32 elements of shape [2]");
        raises(catch(|| Tensor::new([true], dev).requires_grad_(true)), "requires_grad_: only floats can require grad, not bool elements of shape [1]");
    }
    leaf_06 => |dev| {
        let x = t(2.0, dev);
        let y = &x * 3.0;
        x.requires_grad_(false)?;
        y.backward()?;
        assert!(x.grad().is_none());
    }
    leaf_08 => |dev| {
        let x = t(2.0, dev);
        let y = &x * 3.0;
        y.retain_grad()?;
        y.retain_grad()?;
        x.retain_grad()?;
        (&y * &y).backward()?;
        assert_eq!((stored(&y), stored(&x)), (vec![12.0], vec![36.0]));
        assert_eq!((y.retains_grad(), x.retains_grad()), (true, false));
    }
    leaf_09 => |dev| {
        let x = t(2.0, dev);
        let y = &x * 3.0;
        y.retain_grad()?;
        let z = &y * &y;
        z.backward_with(None, keep())?;
        z.backward()?;
        assert_eq!((stored(&y), stored(&x)), (vec![24.0], vec![72.0]));
    }
    leaf_11 => |dev| {
        let x = t(2.0, dev);
        let y = &x * 3.0;
        y.retain_grad()?;
        y.mul_(5.0)?;
        (&y * 1.0).backward()?;
        assert_eq!((stored(&y), stored(&x)), (vec![1.0], vec![15.0]));
    }
    leaf_13 => |dev| {
        let x = t([1.0, 3.0, 2.0], dev);
        let (sorted, places) = x.sort(0, false);
        let all = [x.gt(1.0), x.argmax(0, false), x.cast(DType::I32), places, sorted, x.floor()];
        assert_eq!(all.map(|x| x.requires_grad()), [false, false, false, false, true, true]);
    }
    leaf_14 => |dev| {
        let x = t([1.0], dev);
        let c = x.deep_copy()?;
        assert!(c.requires_grad() && c.is_leaf() && !c.shares_storage(&x) && c.grad().is_none());
        x.set_grad(Some(Tensor::new([7.0], dev)));
        let c = x.deep_copy()?;
        x.grad().unwrap().add_(1.0)?;
        assert_eq!(stored(&c), [7.0]);
        raises((&x * 2.0).deep_copy(), "deep_copy: only leaves, not a result of shape [1]");
        assert!(!x.copy().is_leaf());
    }
    leaf_16 => |dev| {
        let x = t([1.0, 2.0], dev);
        let r = x.eq(x.detach());
        assert_eq!((r.to_vec::<bool>()?, r.requires_grad()), (vec![true, true], false));
    }
}
