//! Kernels of the user's own: the same on every device, differentiable, and refused before a device sees what is wrong.

use crate::common::{gpu, on_every_device};
use wgrad::autograd::grad;
use wgrad::func::vmap;
use wgrad::testing::open_gpu;
use wgrad::{Data, Device, Kernel, KernelOptions, Result, Tensor, catch};

const BINDINGS: &str = "@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
";

/// `y[i]` from `i` by an expression, for every element of the result.
fn wgsl(expression: &str) -> String {
    format!(
        "{BINDINGS}@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {{
  let i = id.x;
  if (i < arrayLength(&y)) {{ y[i] = {expression}; }}
}}"
    )
}

/// `x³` with its gradient; on a GPU whatever `expression` says.
fn cube(expression: &str) -> Kernel {
    Kernel::new("cube", &wgsl(expression), |call| Data::F32(call.input::<f32>(0).iter().map(|x| x * x * x).collect()))
        .unwrap()
        .with_gradient(|call| vec![Some(call.g * &call.inputs[0] * &call.inputs[0] * 3.0)])
}

fn cubed(x: &Tensor) -> Tensor {
    cube("x[i] * x[i] * x[i]").call(&[x], x.shape(), KernelOptions::default())
}

/// Lines scaled by a number each, with sizes and a factor in the uniform, a result at the first binding, and an index.
fn scaled_lines() -> Kernel {
    let text = "struct Params { cols: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> row: array<i32>;
@compute @workgroup_size(8, 4)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = id.x * 32u + local;
  if (i < arrayLength(&y)) {
    y[i] = params.factor * x[u32(row[i / params.cols]) * params.cols + i % params.cols];
  }
}";
    Kernel::new("scaled_lines", text, |call| {
        let (x, row) = (call.input::<f32>(0), call.input::<i32>(1));
        let (cols, factor) = (call.params[0] as usize, f32::from_bits(call.params[1]));
        assert_eq!(call.input_shape(0)[1], cols);
        let line = |&r: &i32| x[r as usize * cols..][..cols].iter().map(|x| factor * x).collect::<Vec<_>>();
        assert_eq!(call.shape, [row.len(), cols]);
        Data::F32(row.iter().flat_map(line).collect())
    })
    .unwrap()
}

#[test]
fn a_kernel_gives_the_same_everywhere() {
    on_every_device(|dev| {
        let x = Tensor::arange(-100.0, 100.0, 0.5, dev);
        let y = cubed(&x).to_vec::<f32>()?;
        assert_eq!((y.len(), y[0], y[203], y[399]), (400, -1e6, 3.375, 99.5f32.powi(3)));

        let (kernel, x) = (scaled_lines(), Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dev));
        let rows = Tensor::new([1, 0, 1, 1], dev);
        let call = |factor: f32| {
            let options = KernelOptions { params: vec![3, factor.to_bits()], ..Default::default() };
            kernel.call(&[&x, &rows], [4, 3], options)
        };
        let wanted = [8.0, 10.0, 12.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 8.0, 10.0, 12.0];
        assert_eq!(call(2.0).to_vec::<f32>()?, wanted);
        assert_eq!(call(-1.0).to_vec::<f32>()?, wanted.map(|y| -y / 2.0));
        Ok(())
    });
}

#[test]
fn a_kernel_takes_its_place_in_a_chain() {
    on_every_device(|dev| {
        let x = Tensor::new([[0.0, 1.0], [2.0, 3.0]], dev);
        let y = (cubed(&(&x * 2.0 - 1.0)).relu() + 1.0).sum_dim(0, false);
        assert_eq!(y.to_vec::<f32>()?, [29.0, 128.0]);
        // Two at once, of which one feeds the other, and one input twice.
        let y = cubed(&cubed(&x)) + &x;
        assert_eq!(y.to_vec::<f32>()?, [0.0, 2.0, 514.0, 19686.0]);
        Ok(())
    });
    if gpu().is_some() {
        let dev = open_gpu(true, false, None).unwrap();
        let y = cubed(&(Tensor::ones([4], &dev) * 2.0 - 1.0).exp()).relu() + 1.0;
        dev.flush().unwrap();
        let plan = dev.explain();
        assert!(plan.starts_with("3 kernels") && plan.contains("cube ") && plan.contains("relu>add"), "{plan}");
        drop(y);
    }
}

#[test]
fn inputs_may_be_views_numbers_and_one_tensor_twice() {
    let text = "@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main(@builtin(workgroup_id) id: vec3<u32>) {
  y[id.x] = f32(arrayLength(&a)) + a[id.x] * b[id.x];
}";
    let kernel = Kernel::new("fma", text, |call| {
        let (a, b) = (call.input::<f32>(0), call.input::<f32>(1));
        Data::F32(a.iter().zip(b).map(|(x, y)| a.len() as f32 + x * y).collect())
    })
    .unwrap();
    on_every_device(|dev| {
        let x = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dev);
        let fma = |a: &Tensor, b: &Tensor| kernel.call(&[a, b], a.shape(), KernelOptions::default()).to_vec::<f32>();
        assert_eq!(fma(&x.t(), &x.t())?, [7.0, 22.0, 10.0, 31.0, 15.0, 42.0]);
        assert_eq!(fma(&x.select(1, 1), &x.select(0, 0).narrow(0, 1, 2))?, [6.0, 17.0]);
        assert_eq!(fma(&x.select(0, 1), &Tensor::ones([3], dev))?, [7.0, 8.0, 9.0]);
        assert_eq!(fma(&Tensor::full((), 3.0f32, dev).expand([2]), &x.select(1, 0))?, [5.0, 14.0]);
        assert_eq!(fma(&Tensor::zeros([0], dev), &Tensor::zeros([0], dev))?.len(), 0);
        Ok(())
    });
}

#[test]
fn derivatives_go_through_a_kernel() {
    on_every_device(|dev| {
        let x = Tensor::new([1.0, -2.0], dev).requires_grad_(true)?;
        let y = cubed(&(&x * 2.0));
        assert_eq!(y.grad_fn().unwrap().name(), "cubeBackward");
        let options = wgrad::autograd::GradOptions { create_graph: true, ..Default::default() };
        let first = grad(&[&y.sum()], &[&x], options.clone())?.remove(0).unwrap();
        assert_eq!(first.to_vec::<f32>()?, [24.0, 96.0]);
        let second = grad(&[&first.sum()], &[&x], options)?.remove(0).unwrap();
        assert_eq!(second.to_vec::<f32>()?, [48.0, -96.0]);
        Ok(())
    });
}

#[test]
fn a_kernel_is_batched_one_by_one() {
    on_every_device(|dev| {
        let x = Tensor::new([[1.0, 2.0], [-1.0, 3.0], [0.5, 0.0]], dev);
        let y = vmap(|x: &Tensor| cubed(&(x + 1.0)), 0, 0)(&x)?;
        assert_eq!(y.to_vec::<f32>()?, [8.0, 27.0, 0.0, 64.0, 3.375, 1.0]);
        Ok(())
    });
}

#[test]
fn without_a_rule_nothing_is_recorded_in_silence() {
    let dev = Device::cpu();
    let x = Tensor::ones([2, 3], &dev).requires_grad_(true).unwrap();
    let (kernel, rows) = (scaled_lines(), Tensor::new([0], &dev));
    let call = || kernel.call(&[&x, &rows], [1, 3], KernelOptions { params: vec![3, 0], ..Default::default() });
    let error = catch(call).unwrap_err();
    assert!(error.to_string().contains("scaled_lines: an input requires grad"), "{error}");
    let _guard = wgrad::autograd::no_grad();
    assert_eq!(call().to_vec::<f32>().unwrap(), [0.0; 3]);
}

#[test]
fn a_kernel_that_means_something_else_is_caught_and_named() {
    let Some(gpu) = gpu() else { return };
    let twin = Device::twin(&gpu).unwrap();
    let x = Tensor::new([1.0, 2.0, 3.0], &twin);
    let wrong = cube("x[i] * x[i] * x[i] * select(1.0, 1.0001, i == 2u)");
    let error = wrong.call(&[&x], [3], KernelOptions::default()).to_vec::<f32>().unwrap_err();
    assert!(error.is_mismatch(), "{error}");
    for part in ["cube differs", "1 of 3 elements differ; at 2", "kernels.rs:", "1.0001"] {
        assert!(error.to_string().contains(part), "{part} is not in: {error}");
    }
    // What is stated to be allowed is allowed.
    let y = wrong.with_tolerance(1e-3, 0.0).call(&[&x], [3], KernelOptions::default());
    assert_eq!(y.to_vec::<f32>().unwrap(), [1.0, 8.0, 27.0]);
}

#[test]
fn wrong_text_is_refused_with_its_place() {
    let error = |text: &str| Kernel::new("bad", text, |_| Data::F32(vec![])).unwrap_err();
    for (text, parts) in [
        (wgsl("x[i] * z"), ["bad:5:", "no definition in scope"]),
        (wgsl("x[i] * 2u"), ["bad:5:", "^"]),
        (wgsl("x[i]").replace("f32>;\n@group(0) @binding(2)", "f16>;\n@group(0) @binding(2)"), ["bad:1:", "f16"]),
        (wgsl("x[i]").replace("@workgroup_size(64)", "@workgroup_size(512)"), ["kernel bad", "more than 256"]),
    ] {
        let error = error(&text);
        assert!(error.is_data(), "{error}");
        for part in parts {
            assert!(error.to_string().contains(part), "{part} is not in: {error}");
        }
    }
}

#[test]
fn wrong_calls_are_refused_before_anything_runs() {
    on_every_device(|dev| {
        let (kernel, x, rows) = (scaled_lines(), Tensor::ones([2, 3], dev), Tensor::new([0, 1], dev));
        let options = |params: &[u32], workgroups| KernelOptions { params: params.to_vec(), workgroups };
        let cases: [(&str, &[&Tensor], &[usize], KernelOptions); 6] = [
            ("(f32, i32) and was given (f32)", &[&x], &[2, 3], options(&[3, 0], None)),
            ("(f32, i32) and was given (i32, f32)", &[&rows, &x], &[2, 3], options(&[3, 0], None)),
            ("has 2 words, and 1 were given", &[&x, &rows], &[2, 3], options(&[3], None)),
            ("each number must be 1 to 65535", &[&x, &rows], &[2, 3], options(&[3, 0], Some([1, 0, 1]))),
            ("each number must be 1 to 65535", &[&x, &rows], &[2, 3], options(&[3, 0], Some([70_000, 1, 1]))),
            ("go on in the second", &[&x, &rows], &[1 << 11, 1 << 11], options(&[3, 0], None)),
        ];
        for (part, inputs, shape, options) in cases {
            let error = catch(|| kernel.call(inputs, shape, options)).unwrap_err().to_string();
            assert!(error.starts_with("scaled_lines: ") && error.contains(part), "{error}");
        }
        let none = Tensor::zeros([0, 3], dev);
        let error = catch(|| kernel.call(&[&none, &rows], [2, 3], options(&[3, 0], None))).unwrap_err();
        assert!(error.to_string().contains("no device binds an input of shape [0, 3]"), "{error}");
        // A closure that gives too little is an error of the value, not of the program.
        let short = Kernel::new("short", &wgsl("x[i]"), |_| Data::I32(vec![1])).unwrap();
        if dev.name() != gpu().map_or(String::new(), |gpu| gpu.name()) {
            let error = short.call(&[&x], [2, 3], KernelOptions::default()).to_vec::<f32>().unwrap_err();
            assert!(error.to_string().contains("gave 1 elements of i32 instead of 6 of f32"), "{error}");
        }
        assert_eq!(cubed(&x).sum().item()?, 6.0);
        Ok(())
    });
}

#[test]
fn many_workgroups_go_on_in_the_second_dimension() {
    let text = format!(
        "{BINDINGS}@compute @workgroup_size(4)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32) {{
  let i = (id.y * groups.x + id.x) * 4u + local;
  if (i < arrayLength(&y)) {{ y[i] = x[0] + f32(i); }}
}}"
    );
    let kernel = Kernel::new("count", &text, |call| {
        Data::F32((0..call.shape[0]).map(|i| call.input::<f32>(0)[0] + i as f32).collect())
    })
    .unwrap();
    let n = 4 * 65535 + 7;
    for dev in [Some(Device::cpu()), gpu()].into_iter().flatten() {
        let y = kernel.call(&[&Tensor::ones([1], &dev)], [n], KernelOptions::default()).to_vec::<f32>().unwrap();
        assert!(y.iter().enumerate().all(|(i, &y)| y == i as f32 + 1.0));
    }
}

#[test]
fn the_plan_of_a_call_is_found_again_whatever_its_numbers() -> Result<()> {
    let Some(dev) = gpu().map(|_| open_gpu(true, false, None).unwrap()) else { return Ok(()) };
    let (kernel, x, rows) = (scaled_lines(), Tensor::new([[1.0; 3]; 2], &dev), Tensor::new([1, 0], &dev));
    let mut counts = Vec::new();
    for (of, factor) in [(&kernel, 1.0f32), (&kernel, 2.0), (&scaled_lines(), 3.0)] {
        let before = dev.stats();
        let options = KernelOptions { params: vec![3, factor.to_bits()], ..Default::default() };
        assert_eq!(of.call(&[&x, &rows], [2, 3], options).to_vec::<f32>()?, [factor; 6]);
        let now = dev.stats();
        counts.push((now.plan_hits - before.plan_hits, now.pipelines - before.pipelines));
    }
    // Another kernel is another plan, though its text is compiled already.
    assert_eq!(counts, [(0, 1), (1, 0), (0, 0)]);
    Ok(())
}
