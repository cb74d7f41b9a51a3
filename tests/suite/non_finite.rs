//! Where a number that is not finite comes from: the same answer on every device, told once by the next read.

use crate::common::own_devices;
use wgrad::{DType, Data, Device, Error, Kernel, KernelOptions, Result, Tensor};

/// Runs a test on every device while it watches.
fn watched(case: impl Fn(&Device) -> Result<()>) {
    for dev in own_devices() {
        eprintln!("on {}:", dev.name());
        dev.watch_non_finite(true);
        case(&dev).unwrap();
        dev.sync().unwrap();
    }
}

/// Checks that a read tells of an operation, its line, its place and its inputs; and that the next one gives the values.
#[track_caller]
fn expect(y: &Tensor, op: &str, line: u32, index: &str, inputs: &str) -> Vec<f32> {
    let error: Error = y.to_vec::<f32>().expect_err("nothing was found");
    assert!(error.is_non_finite(), "{error}");
    let text = error.to_string();
    for part in
        [&format!("{op}: the result of shape"), &format!("first at {index};"), &format!("its inputs were {inputs} (")]
    {
        assert!(text.contains(part.as_str()), "{part} is not in: {text}");
    }
    assert!(text.ends_with(&format!("non_finite.rs:{line})")), "line {line} is not in: {text}");
    y.to_vec::<f32>().expect("it is told once")
}

#[test]
fn an_operation_in_the_middle_of_a_chain_is_named() {
    watched(|dev| {
        let x = Tensor::new([[1.0, 2.0, 3.0], [4.0, -5.0, -6.0]], dev);
        let (y, line) = ((((&x * 2.0) + 1.0).log() * 0.5).exp() - 1.0, line!());
        let values = expect(&y, "log", line, "[1, 1]", "finite");
        assert!(values[..4].iter().all(|y| y.is_finite()) && values[4..].iter().all(|y| y.is_nan()));
        // The first one of several is told, here on a line of its own.
        let (a, line) = (x.log(), line!());
        let b = (&x - 1.0).log() + a;
        expect(&b, "log", line, "[1, 1]", "finite");
        Ok(())
    });
}

#[test]
fn backward_is_watched_too() {
    watched(|dev| {
        let x = Tensor::new([4.0, 0.0], dev).requires_grad_(true)?;
        let (y, line) = (x.sqrt(), line!());
        assert_eq!(y.to_vec::<f32>()?, [2.0, 0.0]);
        y.sum().backward()?;
        let g = x.grad().unwrap();
        let error = g.to_vec::<f32>().unwrap_err().to_string();
        assert!(
            error.contains("first at [1]; its inputs were finite")
                && error.contains("(in SqrtBackward0, of the operation recorded at ")
                && error.ends_with(&format!("rs:{line})")),
            "{error}"
        );
        assert_eq!(g.to_vec::<f32>()?, [0.25, f32::INFINITY]);
        Ok(())
    });
}

#[test]
fn sums_products_and_kernels_are_watched() {
    watched(|dev| {
        let x = Tensor::new([[1e38, 1e38], [3e38, 3e38]], dev);
        let (y, line) = (x.sum_dim(1, false), line!());
        expect(&y, "sum", line, "[1]", "finite");
        let (y, line) = (x.matmul(&x.t()), line!());
        expect(&y, "matmul", line, "[0, 0]", "finite");
        let text = "@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main(@builtin(workgroup_id) i: vec3<u32>) { y[i.x] = 1e38 * x[i.x]; }";
        let kernel =
            Kernel::new("large", text, |call| Data::F32(call.input::<f32>(0).iter().map(|x| 1e38 * x).collect()))?;
        let x = Tensor::new([1.0, 2.0, 1e3, 1e4], dev);
        let (y, line) = (kernel.call(&[&x], [4], KernelOptions::default()).relu(), line!());
        expect(&y, "large", line, "[2]", "finite");
        // A type of 16 bits overflows where one of 32 does not.
        let (y, line) = ((&x * 10.0).cast(DType::F16), line!());
        expect(&y.cast(DType::F32), "cast", line, "[3]", "finite");
        Ok(())
    });
}

#[test]
fn inputs_that_were_bad_already_are_told() {
    watched(|dev| {
        let x = Tensor::new([[1.0, f64::NAN, 2.0], [3.0, 4.0, f64::INFINITY]], dev);
        let (y, line) = (x.t() * 2.0, line!());
        expect(&y, "mul", line, "[1, 0]", "not finite already");
        // What is not read does not count: this column is finite, and its logarithm of 0 is not.
        let (y, line) = ((x.select(1, 0) - 1.0).log(), line!());
        expect(&y, "log", line, "[0]", "finite");
        let (y, line) = (Tensor::new([1.0, 2.0], dev) + f64::NEG_INFINITY, line!());
        expect(&y, "add", line, "[0]", "not finite already");
        // An operation may swallow a bad input; the one that comes later is not blamed for it.
        let zero = 1.0 / Tensor::new([f64::INFINITY], dev);
        let (y, line) = (Tensor::new([0.0], dev).log(), line!());
        expect(&y, "log", line, "[0]", "finite");
        assert_eq!(zero.to_vec::<f32>()?, [0.0]);
        Ok(())
    });
}

#[test]
fn the_first_of_several_flushes_is_told_and_in_place_operations_are_seen() {
    watched(|dev| {
        let x = Tensor::new([1.0, 2.0], dev);
        let line = line!() + 1;
        x.sub_(1.0)?.log_()?;
        dev.flush()?;
        let y = &x * f64::NAN;
        dev.flush()?;
        x.copy_(&(&x + 1.0))?;
        expect(&x, "log", line, "[0]", "finite");
        assert!(y.to_vec::<f32>()?[1].is_nan());
        // The status is clean again.
        assert_eq!(Tensor::ones([2], dev).exp().log2().to_vec::<f32>()?.len(), 2);
        Ok(())
    });
}

#[test]
fn finite_numbers_and_what_is_not_watched_are_silent() {
    watched(|dev| {
        let x = Tensor::arange(-2.0, 2.0, 0.5, dev).requires_grad_(true)?;
        x.exp().softmax(0).log().square().mean().backward()?;
        assert!(x.grad().unwrap().to_vec::<f32>()?.iter().all(|g| g.is_finite()));
        // Integers have no such numbers, whatever their bits are.
        assert_eq!((Tensor::new([i32::MAX - 1], dev) + 1).to_vec::<i32>()?, [i32::MAX]);
        // Turning it off forgets what was found, also if it is on again before the next read.
        for on in [false, true] {
            dev.watch_non_finite(true);
            let y = Tensor::zeros([2], dev).log();
            dev.watch_non_finite(false);
            dev.watch_non_finite(on);
            let z = Tensor::ones([2], dev).exp();
            assert_eq!((y.to_vec::<f32>()?, z.to_vec::<f32>()?.len()), (vec![f32::NEG_INFINITY; 2], 2));
        }
        dev.watch_non_finite(false);
        let y = Tensor::zeros([2], dev).log();
        dev.watch_non_finite(true);
        assert_eq!(y.to_vec::<f32>()?, [f32::NEG_INFINITY; 2]);
        dev.watch_non_finite(false);
        assert_eq!(Tensor::zeros([2], dev).log().to_vec::<f32>()?, [f32::NEG_INFINITY; 2]);
        Ok(())
    });
}

#[test]
fn nan_alone_is_watched_for_too() {
    for dev in own_devices() {
        dev.watch_nan(true);
        let mask = Tensor::new([[true, true], [true, false], [false, true]], &dev);
        let scores = Tensor::zeros([3, 2], &dev).requires_grad_(true).unwrap();
        let masked = scores.masked_fill(&mask, f64::NEG_INFINITY);
        // The first row has nothing left: 0 / 0.
        let (y, line) = (masked.softmax(1), line!());
        let error = y.to_vec::<f32>().unwrap_err().to_string();
        assert!(error.contains(" is NaN, first at [0, 0]; its inputs were not NaN (recorded at "), "{error}");
        assert!(error.ends_with(&format!("non_finite.rs:{line})")), "{error}");
        assert_eq!(y.to_vec::<f32>().unwrap()[2..], [0.0, 1.0, 1.0, 0.0]);
        let (z, line) = (&y * 2.0, line!());
        let error = z.to_vec::<f32>().unwrap_err().to_string();
        assert!(
            error.starts_with("mul: ") && error.contains("first at [0, 0]; its inputs were NaN already"),
            "{error}"
        );
        assert!(error.ends_with(&format!("non_finite.rs:{line})")), "{error}");
        // In backward, infinities pass as well.
        let x = Tensor::new([0.0, 4.0], &dev).requires_grad_(true).unwrap();
        x.sqrt().sum().backward().unwrap();
        assert_eq!(x.grad().unwrap().to_vec::<f32>().unwrap(), [f32::INFINITY, 0.25]);
        // What was asked for last counts.
        dev.watch_non_finite(true);
        expect(&Tensor::new([0.0], &dev).log(), "log", line!(), "[0]", "finite");
        dev.watch_nan(true);
        assert_eq!(Tensor::new([0.0], &dev).log().to_vec::<f32>().unwrap(), [f32::NEG_INFINITY]);
        dev.watch_nan(false);
        assert!(Tensor::new([-1.0], &dev).log().to_vec::<f32>().unwrap()[0].is_nan());
    }
}

#[test]
fn while_it_is_off_plans_are_as_they_were() {
    for dev in own_devices().into_iter().filter(|dev| !dev.name().starts_with("cpu") && !dev.name().starts_with("twin"))
    {
        let step = || {
            let y = (Tensor::new([1.0, 2.0], &dev) * 2.0).exp().sum();
            y.item().unwrap();
            dev.explain()
        };
        let plain = step();
        assert!(!plain.contains("status"), "{plain}");
        dev.watch_non_finite(true);
        let watching = step();
        assert!(watching.contains("watch exp") && watching.starts_with("7 kernels"), "{watching}");
        dev.watch_non_finite(false);
        assert_eq!(step(), plain);
    }
}
