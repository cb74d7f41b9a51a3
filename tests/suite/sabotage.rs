//! Planted faults: a wrong shader, a wrong fusion, a wrong gradient rule. Each must be caught by the suite's own checks;
//! a check that has never failed proves nothing.

use crate::cases::Case;
use crate::common::gpu;
use crate::derivatives::{check_first, check_second};
use std::sync::Arc;
use wgrad::testing::{Fault, Place, Plan, open_gpu, open_gpu_with, with_rule};
use wgrad::{Device, Error, GpuOptions, Tensor};

/// What the twin says of a computation on a GPU with a fault.
fn verdict(fault: impl Fn(&mut Plan) + Send + Sync + 'static) -> Option<Error> {
    gpu()?;
    let fault: Fault = Arc::new(fault);
    let twin = open_gpu(true, true, Some(fault)).unwrap();
    let x = Tensor::new([[0.5, -1.0], [2.0, 3.0]], &twin);
    let y = x.exp() - &x * 3.0;
    let error = y.sum_dim(1, false).to_vec::<f32>().expect_err("the twin did not notice the fault");
    assert!(error.is_mismatch(), "{error}");
    Some(error)
}

#[test]
fn the_twin_agrees_without_a_fault() {
    let Some(error) = gpu().map(|_| {
        let twin = open_gpu(true, true, Some(Arc::new(|_: &mut Plan| {}))).unwrap();
        let x = Tensor::new([[0.5, -1.0], [2.0, 3.0]], &twin);
        (x.exp() - &x * 3.0).sum_dim(1, false).to_vec::<f32>().err()
    }) else {
        return;
    };
    assert!(error.is_none(), "{error:?}");
}

#[test]
fn a_wrong_shader_is_caught_and_named() {
    let Some(error) = verdict(|plan| {
        for kernel in &mut plan.kernels {
            kernel.wgsl = kernel.wgsl.replace("return exp_(x);", "return exp_(x) * 1.0001;").into();
        }
    }) else {
        return;
    };
    let text = error.to_string();
    let adapter = gpu().unwrap().name();
    for part in ["exp", "[2, 2]", "sabotage.rs:", adapter.as_str(), "exp_(x) * 1.0001"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
}

#[test]
fn a_wrong_reduction_is_caught() {
    let caught = verdict(|plan| {
        for kernel in plan.kernels.iter_mut().filter(|kernel| kernel.label.contains("sum")) {
            kernel.wgsl = kernel.wgsl.replace("return a + b;", "return a - b;").into();
        }
    });
    assert!(caught.is_none_or(|error| error.to_string().contains("sum")));
}

#[test]
fn a_wrong_fusion_is_caught() {
    // The number 3 is taken from a wrong place among the parameters.
    let caught = verdict(|plan| {
        for kernel in plan.kernels.iter_mut().filter(|kernel| kernel.label.contains("mul")) {
            let last = kernel.params.len() - 1;
            kernel.params[last] = kernel.params[0];
        }
    });
    assert!(caught.is_none_or(|error| error.to_string().contains("mul")));
}

/// Texts, and what stands in their place in a wrong kernel.
type Changes = &'static [(&'static str, &'static str)];

/// Whether the twin notices that a text stands in the place of another one in every kernel.
fn notices(options: &GpuOptions, changes: Changes, f: impl Fn(&Device) -> Tensor) -> bool {
    let fault: Fault = Arc::new(move |plan: &mut Plan| {
        for kernel in &mut plan.kernels {
            for (right, wrong) in changes {
                kernel.wgsl = kernel.wgsl.replace(right, wrong).into();
            }
        }
    });
    let twin = open_gpu_with(options, true, Some(fault)).unwrap();
    f(&twin).to_data().is_err_and(|error| error.is_mismatch())
}

#[test]
fn a_wrong_row_program_is_caught() {
    if gpu().is_none() {
        return;
    }
    let softmax = |x: &Tensor| x.softmax(1);
    let norm = |x: &Tensor| x.layer_norm(64, None, None, 1e-5);
    let var = |x: &Tensor| x.var_dim(1, 1.0, false);
    // The last four cells of each row are left out.
    const SHORT: Changes = &[("col < cols", "col + 4u < cols")];
    // The squares are of differences that are off by their rounding: no more than that is forgiven.
    const LARGE: Changes = &[("return a * b;", "return a * b * 1.00002;")];
    type Function = fn(&Tensor) -> Tensor;
    let programs: [(&str, Function, Changes); 4] =
        [("softmax", softmax, SHORT), ("layer_norm", norm, SHORT), ("var", var, SHORT), ("var", var, LARGE)];
    for (name, f, changes) in programs {
        let x: Vec<f32> = (0..70 * 64).map(|i| (0.7 * i as f32).sin()).collect();
        let run = |dev: &Device| f(&Tensor::from_slice(&x, [70, 64], dev));
        assert!(!notices(&GpuOptions::default(), &[], run), "{name} without a fault");
        assert!(notices(&GpuOptions::default(), changes, run), "{name} with {changes:?}");
    }
}

#[test]
fn a_wrong_tile_is_caught() {
    if gpu().is_none() {
        return;
    }
    // One line of a tile takes its neighbour's numbers, in the form with subgroups and in the one without.
    const NEIGHBOUR: Changes = &[
        ("subgroupShuffle(x0.x, 0u)", "subgroupShuffle(x0.x, 1u)"),
        ("tile_b[p + right + 0u]", "tile_b[p + right + 1u]"),
    ];
    for adapted in [true, false] {
        let options = GpuOptions { adapted, ..Default::default() };
        let run = |dev: &Device| Tensor::rand([64, 64], dev).matmul(&Tensor::rand([64, 64], dev));
        assert!(!notices(&options, &[], run), "a product without a fault, {options:?}");
        assert!(notices(&options, NEIGHBOUR, run), "{options:?}");
    }
}

#[test]
fn two_bindings_exchanged_are_caught() {
    if gpu().is_none() {
        return;
    }
    let fault: Fault = Arc::new(|plan: &mut Plan| {
        for kernel in &mut plan.kernels {
            let inputs: Vec<usize> =
                (0..kernel.bindings.len()).filter(|&i| matches!(kernel.bindings[i].place, Place::Input(_))).collect();
            if let [a, b] = inputs[..] {
                kernel.bindings.swap(a, b);
            }
        }
    });
    let twin = open_gpu(true, true, Some(fault)).unwrap();
    let (a, b) = (Tensor::new([1.0, 2.0], &twin), Tensor::new([5.0, 7.0], &twin));
    assert!((&a - &b).to_vec::<f32>().unwrap_err().is_mismatch());
}

#[test]
fn wrong_gradient_rules_are_caught_and_placed() {
    let case = |slope: f64, second: f64| Case {
        name: "square".into(),
        operands: vec![(vec![3], (0.5, 2.0)), (vec![2, 3], (0.5, 2.0))],
        f: Box::new(move |x| {
            let again = x[1].clone();
            let factor = Tensor::from_slice(&[2.0, 2.0, 2.0, 2.0, 2.0, slope], [2, 3], (&x[1].device(), x[1].dtype()));
            // The gradient is right for a `second` of 0 only where its own derivative is asked for too.
            let rule =
                move |g: &Tensor| g * &again * &factor + g.detach() * &again * second - g * again.detach() * second;
            with_rule(&x[1], &x[1] * &x[1], rule) + &x[0]
        }),
    };
    check_first(&case(2.0, 0.0)).unwrap();
    check_second(&case(2.0, 0.0)).unwrap();
    let account = check_first(&case(2.00001, 0.0)).expect_err("differences did not notice the wrong rule");
    for part in ["square: gradcheck", "with respect to input 1", "element [1, 2] of the input, of shape [2, 3]"] {
        assert!(account.contains(part), "{part} is not in: {account}");
    }
    check_first(&case(2.0, 1.0)).unwrap();
    let account = check_second(&case(2.0, 1.0)).expect_err("differences did not notice the wrong second derivative");
    assert!(account.starts_with("square: gradgradcheck"), "{account}");
}
