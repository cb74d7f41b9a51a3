//! Every misuse: its text, the caller's line, and that everything else stays usable.

mod conv;
mod create;
mod index;
mod linalg;
mod loss;
mod nn;
mod optim;
mod pointwise;
mod reduce;
mod view;

use crate::common::devices;
use wgrad::autograd::{GradOptions, grad};
use wgrad::{BackwardOptions, DType, Device, Tensor, catch};

/// The text of the misuse inside `f`.
fn misuse<T>(f: impl FnOnce() -> T) -> String {
    let Err(error) = catch(f) else { panic!("nothing was refused") };
    assert!(error.is_misuse());
    error.to_string()
}

fn check(dev: &Device, want: &str, f: impl FnOnce(&Device)) {
    let got = misuse(|| f(dev));
    let (text, line) = got.split_once(" (at ").unwrap_or_else(|| panic!("no line in {got}"));
    assert_eq!(text, want);
    assert!(line.contains("misuse"), "{line} is not the caller's line");
    assert_eq!((Tensor::ones([2], dev) + 1.0).to_vec::<f32>().unwrap(), [2.0, 2.0], "{} stays usable", dev.name());
}

#[test]
fn recording_refuses_what_does_not_fit() {
    for dev in devices() {
        let dev = &dev;
        let zeros = |shape: &[usize]| Tensor::zeros(shape, dev);
        check(dev, "add: shapes do not broadcast: [2, 3] and [4]", |_| drop(zeros(&[2, 3]) + zeros(&[4])));
        check(dev, "matmul: inner sizes differ: [2, 3] x [4, 5] (3 != 4)", |_| {
            drop(zeros(&[2, 3]).matmul(&zeros(&[4, 5])))
        });
        check(dev, "matmul: batches do not broadcast: [2, 1, 1] x [3, 1, 1]", |_| {
            drop(zeros(&[2, 1, 1]).matmul(&zeros(&[3, 1, 1])))
        });
        check(dev, "matmul: a 0-d operand: [] x [1]", |_| drop(zeros(&[]).matmul(&zeros(&[1]))));
        check(dev, "matmul: needs two operands of one number type: [1] x [1] of i32 and f32", |d| {
            drop(Tensor::new([1], d).matmul(&zeros(&[1])));
        });
        check(dev, "sum: dimension 2 is out of range for shape [2, 3] (-2..=1)", |_| {
            drop(zeros(&[2, 3]).sum_dim(2, false))
        });
        check(dev, "sum: dimension named twice in [0, -2] for shape [2, 3]", |_| {
            drop(zeros(&[2, 3]).sum_dim([0, -2], false))
        });
        check(dev, "amax: [0, 3] has no elements to compare", |_| drop(zeros(&[0, 3]).amax(0, false)));
        check(dev, "argmax: [0] has no elements to compare", |_| drop(zeros(&[0]).argmax(None, false)));
        check(dev, "mean: needs floats, not i32 elements of shape [1]", |d| drop(Tensor::new([1], d).mean()));
        check(dev, "reshape: [2, 3] with 6 elements does not fill [4, -1]", |_| drop(zeros(&[2, 3]).reshape([4, -1])));
        check(dev, "permute: [0, 0] does not name every dimension of [2, 3] once", |_| {
            drop(zeros(&[2, 3]).permute([0, 0]))
        });
        check(dev, "expand: [2, 3] does not expand to [4, 3]", |_| drop(zeros(&[2, 3]).expand([4, 3])));
        check(dev, "narrow: 1 + 3 reaches beyond dimension 1 of [2, 3]", |_| drop(zeros(&[2, 3]).narrow(1, 1, 3)));
        check(dev, "select: index 2 is out of range for dimension 0 of [2, 3]", |_| drop(zeros(&[2, 3]).select(0, 2)));
        check(dev, "select: a 0-d tensor has no dimensions", |_| drop(zeros(&[]).select(0, 0)));
        check(dev, "slice: a step of 0 through dimension 0 of [2]", |_| drop(zeros(&[2]).slice(0, None, None, 0)));
        check(dev, "unsqueeze: place 2 is out of range for shape [] (-1..=0)", |_| drop(zeros(&[]).unsqueeze(2)));
        check(dev, "t: [1, 2, 3] is no matrix; name the dimensions with transpose", |_| drop(zeros(&[1, 2, 3]).t()));
        check(dev, "where: the condition must be a bool tensor, not f32", |_| {
            drop(Tensor::where_(&zeros(&[1]), 1.0, 2.0))
        });
        check(dev, "gather: index [2, 2] does not fit [2] along dimension 0", |d| {
            drop(zeros(&[2]).gather(0, &Tensor::new([[0, 1], [1, 0]], d)));
        });
        check(dev, "gather: [0] has no elements for the index [1]", |d| {
            drop(zeros(&[0]).gather(0, &Tensor::new([0], d)))
        });
        check(dev, "gather: the index must hold integers, not f32", |_| drop(zeros(&[2]).gather(0, &zeros(&[2]))));
        check(dev, "scatter_add: index [3] does not fit [2] along dimension 0 and source [2]", |d| {
            drop(zeros(&[2]).scatter_add(0, &Tensor::new([0, 0, 0], d), &zeros(&[2])));
        });
        check(dev, "index_select: the index must be a list, not of shape [1, 1]", |d| {
            drop(zeros(&[2]).index_select(0, &Tensor::new([[0]], d)));
        });
        check(dev, "cat: shapes [2, 3] and [2, 4] differ beyond dimension 0", |_| {
            drop(Tensor::cat(&[zeros(&[2, 3]), zeros(&[2, 4])], 0));
        });
        check(dev, "cat: there are no tensors to join", |_| drop(Tensor::cat(&[], 0)));
        check(dev, "stack: there are no tensors to join", |_| drop(Tensor::stack(&[], 0)));
        check(dev, "stack: shapes differ: [[2], [3]]", |_| drop(Tensor::stack(&[zeros(&[2]), zeros(&[3])], 0)));
        check(dev, "new: rows differ in shape: [2] and [1]", |d| drop(Tensor::new(vec![vec![1.0, 2.0], vec![1.0]], d)));
        check(dev, "from_slice: 3 elements do not fill shape [2]", |d| {
            drop(Tensor::from_slice(&[1.0, 2.0, 3.0], 2, d))
        });
        check(dev, "zeros: negative size in shape [-1]", |d| drop(Tensor::zeros([-1], d)));
        check(dev, "arange: steps of -1 do not lead from 0 to 3", |d| drop(Tensor::arange(0, 3, -1, d)));
        check(dev, "randint: there is no integer from 3 up to but without 3", |d| drop(Tensor::randint(3, 3, [1], d)));
        check(dev, "item: a tensor of shape [2] has 2 elements, not one", |_| drop(zeros(&[2]).item()));
        check(dev, "to_vec: f32 elements of shape [1] cannot be read as i32; cast them", |_| {
            drop(zeros(&[1]).to_vec::<i32>())
        });
        check(dev, "requires_grad_: only floats can require grad, not i32 elements of shape [1]", |d| {
            drop(Tensor::new([1], d).requires_grad_(true));
        });
        check(dev, "set_grad: the gradient is f32 of shape [3], the tensor f32 of [2]", |_| {
            zeros(&[2]).set_grad(Some(zeros(&[3])))
        });
        check(dev, "add_: the operand's shape does not broadcast to [2]: the result has [3, 2]", |_| {
            drop(zeros(&[2]).add_(zeros(&[3, 2])).map(drop));
        });
        check(dev, "copy_: [3] does not broadcast to [2]", |_| drop(zeros(&[2]).copy_(&zeros(&[3])).map(drop)));
        check(dev, "add_: a view of shape [3] has several elements in one place; copy it first", |_| {
            drop(zeros(&[1]).expand([3]).add_(1.0).map(drop));
        });
    }
}

#[test]
fn devices_do_not_mix() {
    let devices = devices();
    for pair in devices.windows(2) {
        let (a, b) = (Tensor::zeros([2, 3], &pair[0]), Tensor::zeros([3], &pair[1]));
        let names = format!("{} and {}", pair[0].name(), pair[1].name());
        let text = misuse(|| &a + &b);
        assert!(
            text.starts_with(&format!("add: tensors of shapes [2, 3] and [3] are on different devices: {names}")),
            "{text}"
        );
        assert!(misuse(|| a.matmul(&b)).starts_with("matmul: tensors of shapes"));
        let moved = b.to_device(&pair[0]).unwrap();
        assert_eq!((&a + moved).to_vec::<f32>().unwrap(), [0.0; 6]);
    }
}

#[test]
fn double_precision_is_for_the_cpu() {
    for dev in devices() {
        let double = catch(|| Tensor::zeros([1], (&dev, DType::F64)));
        match dev == Device::cpu() {
            true => assert_eq!(double.unwrap().dtype(), DType::F64),
            false => {
                let text = double.unwrap_err().to_string();
                assert!(text.starts_with("zeros: f64 tensors cannot live on"), "{text}");
            }
        }
    }
}

#[test]
fn the_graph_refuses_what_it_cannot_do() {
    for dev in devices() {
        let leaf = || Tensor::new([1.0, 2.0], &dev).requires_grad_(true).unwrap();
        let x = leaf();
        let error = (&x * &x).backward().unwrap_err();
        assert!(error.is_graph());
        assert_eq!(
            error.to_string(),
            "backward: only a tensor of one element needs no gradient given, and this one has shape [2]"
        );

        let one = Tensor::new([1.0], &dev);
        let error = (&x * &x).backward_with(Some(&one), BackwardOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), "backward: the gradient has shape [1], the tensor [2]");

        let error = one.sum().backward().unwrap_err();
        assert_eq!(error.to_string(), "backward: the tensor of shape [] does not require grad and has no grad_fn");

        let y = (&x * &x).sum();
        y.backward().unwrap();
        let error = y.backward().unwrap_err();
        assert!(error.is_graph());
        assert!(
            error.to_string().starts_with("backward: the values saved by MulBackward0 (recorded at tests"),
            "{error}"
        );
        assert!(
            error.to_string().ends_with("were freed by an earlier backward; run that one with retain_graph"),
            "{error}"
        );

        let error = x.add_(1.0).map(drop).unwrap_err();
        assert!(error.is_in_place());
        assert_eq!(
            error.to_string(),
            "add_: a leaf that requires grad cannot be changed in place, shape [2]; use no_grad"
        );
        let error = x.narrow(0, 0, 1).zero_().map(drop).unwrap_err();
        assert!(error.to_string().starts_with("zero_: a view of a leaf that requires grad"), "{error}");

        let x = leaf();
        let y = &x * 2.0;
        let z = (&y * &y).sum();
        y.add_(1.0).unwrap();
        let error = z.backward().unwrap_err();
        assert!(error.is_in_place());
        let text = error.to_string();
        assert!(text.starts_with("backward: a value of shape [2] saved by MulBackward0 (recorded at tests"), "{text}");
        assert!(
            text.contains("was changed in place at tests") && text.ends_with("it is at version 1, version 0 was saved"),
            "{text}"
        );
        // Everything else stays usable, the leaf as well.
        (&x * 3.0).sum().backward().unwrap();
        assert_eq!(x.grad().unwrap().to_vec::<f32>().unwrap(), [3.0, 3.0]);

        let error = (&x * 2.0).requires_grad_(false).map(drop).unwrap_err();
        assert!(error.to_string().contains("always requires grad; detach it"), "{error}");
        let error = one.register_hook(|_| None).map(drop).unwrap_err();
        assert_eq!(error.to_string(), "register_hook: the tensor of shape [1] does not require grad");
        let error = grad(&[&(&x * 1.0).sum()], &[&leaf()], GradOptions::default()).map(drop).unwrap_err();
        assert!(error.to_string().starts_with("grad: the outputs do not depend on input 0 of shape [2]"), "{error}");
        let error = grad(&[&(&x * 1.0).sum()], &[&one], GradOptions::default()).map(drop).unwrap_err();
        assert_eq!(
            error.to_string(),
            "grad: input 0: the tensor of shape [1] does not require grad and has no grad_fn"
        );
    }
}

#[test]
fn unknown_devices_are_named_with_the_choices() {
    let error = Device::named("abacus").unwrap_err();
    assert!(error.is_unknown_device());
    assert!(error.to_string().starts_with("no device is called \"abacus\": choose cpu"), "{error}");
    for adapter in wgrad::adapters() {
        assert!(error.to_string().contains(&adapter.name), "{error}");
    }
    assert!(Device::twin(&Device::cpu()).unwrap_err().is_unknown_device());
}

#[test]
fn panics_that_are_no_misuse_pass_through_catch() {
    let caught = std::panic::catch_unwind(|| catch(|| std::panic::resume_unwind(Box::new("mine"))));
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "mine");
    // Misuse outside `catch` is an ordinary panic with the caller's line.
    let hook = std::panic::catch_unwind(|| Tensor::zeros([2], &Device::cpu()).reshape(3));
    assert_eq!(*hook.unwrap_err().downcast::<String>().unwrap(), "reshape: [2] with 2 elements does not fill [3]");
}

/// Without drivers there is no adapter; only a process of its own can have none.
#[test]
#[cfg(target_os = "linux")]
fn without_an_adapter_the_error_says_so() {
    const CHILD: &str = "WGRAD_TEST_WITHOUT_ADAPTER";
    if std::env::var_os(CHILD).is_some() {
        let error = Device::gpu().unwrap_err();
        assert!(error.is_no_adapter());
        assert!(error.to_string().starts_with("no graphics adapter was found; Mesa's software Vulkan"), "{error}");
        let choices = "no device is called \"abacus\": choose cpu (there is no graphics adapter)";
        assert_eq!(Device::best().unwrap_err().to_string(), choices);
        assert_eq!(Tensor::ones([2], &Device::cpu()).sum().item().unwrap(), 2.0);
        return;
    }
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "misuse::without_an_adapter_the_error_says_so"])
        .envs([(CHILD, "1"), ("WGRAD_DEVICE", "abacus"), ("VK_DRIVER_FILES", "/none"), ("VK_ICD_FILENAMES", "/none")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}
