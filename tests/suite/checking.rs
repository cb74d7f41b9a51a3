//! What helps to find errors in models: gradient checks, anomaly detection, pictures and ledgers of graphs, audits.

use crate::common::devices;
use std::collections::HashSet;
use std::panic::Location;
use wgrad::autograd::graph::{self, ledger, to_dot, to_svg};
use wgrad::autograd::{
    self, Context, Finding, Function, GradOptions, GradcheckOptions, apply, audit, detect_anomaly, gradcheck,
    gradgradcheck, no_grad, saved_tensors_hooks,
};
use wgrad::func::{grad, hessian, jacrev, vmap};
use wgrad::testing::with_rule;
use wgrad::{BackwardOptions, DType, Device, Error, Result, Tensor};

fn leaf(x: &[f64], dev: &Device) -> Tensor {
    Tensor::from_slice(x, [x.len()], dev).requires_grad_(true).unwrap()
}

fn double(x: &[f64]) -> Tensor {
    Tensor::from_slice(x, [x.len()], (&Device::cpu(), DType::F64)).requires_grad_(true).unwrap()
}

/// The line this is called from, in this file.
#[track_caller]
fn line() -> u32 {
    Location::caller().line()
}

/// Asserts that an error's text has all these parts.
#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn an_anomaly_names_the_node_the_line_and_the_shapes_and_stops_backward() {
    for dev in devices() {
        let (a, b) = (leaf(&[1.0, 2.0, 3.0], &dev), leaf(&[4.0, 0.0, 4.0], &dev));
        let (x, at) = (&a * &b, line());
        let y = x.sqrt().sum();
        let _scope = detect_anomaly(true);
        // The slope of the root of 0 is infinite, which passes, and times 0 no number.
        let error = y.backward().unwrap_err();
        says(&error, &["Function 'MulBackward0' returned nan values in its 0th output.", "gradient of shape [3]"]);
        says(&error, &[&format!("checking.rs:{at}:")]);
        assert!(a.grad().is_none() && b.grad().is_none());
    }
}

struct Broken;

impl Function for Broken {
    fn forward(&mut self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(vec![&inputs[0] * 2.0])
    }

    fn backward(&self, _: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        // Whatever goes wrong in here is passed on.
        gradients[0].as_ref().unwrap().backward()?;
        Ok(vec![None])
    }
}

#[test]
fn a_backward_that_fails_says_which_forward_line_it_was_for() {
    let x = leaf(&[1.0], &Device::cpu());
    let (y, at) = (apply(Broken, &[&x]).unwrap().remove(0), line());
    let plain = y.backward_with(None, BackwardOptions { retain_graph: Some(true), ..Default::default() }).unwrap_err();
    assert!(!plain.to_string().contains("recorded at"), "{plain}");
    let _scope = detect_anomaly(false);
    let error = y.backward().unwrap_err();
    assert!(error.is_graph());
    says(&error, &[&plain.to_string(), &format!("BrokenBackward was recorded at tests/suite/checking.rs:{at}:")]);
}

#[test]
fn gradcheck_tells_the_wrong_one_of_several_inputs_outputs_and_elements() {
    for fast_mode in [true, false] {
        let options = || GradcheckOptions { fast_mode, ..Default::default() };
        let (a, b) = (double(&[0.5, 1.5, 2.5]), double(&[1.0, -1.0]));
        let c = Tensor::ones([2], (&Device::cpu(), DType::F64));
        let f = |slope: f64| {
            move |x: &[Tensor]| {
                let slopes = Tensor::from_slice(&[1.0, slope], [2], (&x[1].device(), DType::F64));
                let odd = with_rule(&x[1], x[1].copy(), move |g| g * &slopes);
                vec![x[0].exp(), x[0].sum() * odd * &x[2], x[1].gt(0.0)]
            }
        };
        gradcheck(f(1.0), &[&a, &b, &c], options()).unwrap();
        gradgradcheck(f(1.0), &[&a, &b, &c], options()).unwrap();
        let error = gradcheck(f(1.5), &[&a, &b, &c], options()).unwrap_err();
        says(
            &error,
            &["output 1 with respect to input 1", "element [1] of the output, of shape [2]", "element [1] of"],
        );
        says(&error, &["backward gives 6.75, differences give 4."]);

        // A result that has no gradient must not depend on the inputs.
        let cut = |x: &[Tensor]| vec![x[0].detach() * 2.0];
        says(&gradcheck(cut, &[&a], options()).unwrap_err(), &["backward gives 0, differences give 2"]);
        gradcheck(|x: &[Tensor]| vec![x[0].detach() * 0.0], &[&a], options()).unwrap();
        // What is no number is as wrong as can be.
        let nan = |x: &[Tensor]| vec![with_rule(&x[0], x[0].copy(), |g| g * f64::NAN)];
        says(&gradcheck(nan, &[&a], options()).unwrap_err(), &["backward gives NaN"]);
        // Elements without any.
        gradcheck(|x: &[Tensor]| vec![x[0].exp()], &[&double(&[])], options()).unwrap();
    }
}

/// `x³`, whose rule for tangents is right for a factor of 1.
struct Cube {
    factor: f64,
}

impl Function for Cube {
    fn forward(&mut self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        ctx.save_for_backward(&[&inputs[0]]);
        Ok(vec![inputs[0].pow(3)])
    }

    fn backward(&self, ctx: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![gradients[0].as_ref().map(|g| g * 3.0 * ctx.saved_tensors()[0].square())])
    }

    fn jvp(&self, ctx: &Context, tangents: &[Option<Tensor>]) -> Option<Result<Vec<Option<Tensor>>>> {
        let x = &ctx.saved_tensors()[0];
        Some(Ok(vec![tangents[0].as_ref().map(|t| t * (3.0 * self.factor) * x.square())]))
    }

    fn once_differentiable(&self) -> bool {
        self.factor != 1.0
    }
}

#[test]
fn gradcheck_compares_tangents_too() {
    let cube = |factor: f64| move |x: &[Tensor]| apply(Cube { factor }, &[&(&x[0] * 2.0)]).unwrap();
    let x = double(&[0.5, -1.5, 2.5]);
    for fast_mode in [true, false] {
        let options = || GradcheckOptions { fast_mode, check_forward_ad: true, ..Default::default() };
        gradcheck(cube(1.0), &[&x], options()).unwrap();
        gradgradcheck(cube(1.0), &[&x], options()).unwrap();
        gradgradcheck(|x| vec![x[0].sin() * &x[0], x[0].gt(0.0)], &[&x], options()).unwrap();
        gradcheck(cube(2.0), &[&x], GradcheckOptions { check_forward_ad: false, ..options() }).unwrap();
        let error = gradcheck(cube(2.0), &[&x], options()).unwrap_err();
        says(&error, &["output 0 with respect to input 0", "forward mode gives"]);
    }
}

#[test]
fn what_an_operation_does_not_need_it_does_not_save() {
    type Operation = fn(&Tensor, &Tensor) -> Tensor;
    let nothing: [(&str, Operation); 12] = [
        ("add", |x, y| x + y),
        ("add a number", |x, _| x + 2.0),
        ("sub", |x, y| x - y),
        ("neg", |x, _| -x),
        ("sum", |x, _| x.sum()),
        ("sum_dim", |x, _| x.sum_dim(0, false)),
        ("transpose", |x, _| x.t()),
        ("reshape", |x, _| x.reshape([6])),
        ("slice", |x, _| x.narrow(1, 1, 2)),
        ("select", |x, _| x.select(0, 1)),
        ("expand", |x, _| x.expand([4, 2, 3])),
        ("mul by a number", |x, _| x * 2.0),
    ];
    for dev in devices() {
        let x = Tensor::rand([2, 3], &dev).requires_grad_(true).unwrap();
        let y = Tensor::rand([2, 3], &dev).requires_grad_(true).unwrap();
        for (name, f) in nothing {
            let z = f(&x, &y);
            let ledger = ledger(&[&z]);
            assert_eq!((ledger.bytes(), ledger.entries.len()), (0, 0), "{name} on {}: {ledger}", dev.name());
            assert_eq!(z.grad_fn().unwrap().saved_bytes(), 0, "{name}");
        }
        assert_eq!(ledger(&[&x.exp()]).bytes(), 24, "and what it needs, it saves");
    }
}

#[test]
fn a_ledger_tells_bytes_by_operation_and_line() {
    for dev in devices() {
        let x = Tensor::rand([8, 4], &dev);
        let w = Tensor::rand([4, 16], &dev).requires_grad_(true).unwrap();
        let (h, first) = (x.matmul(&w), line());
        let (a, second) = ((0..3).map(|_| h.tanh()).collect::<Vec<_>>(), line());
        // The result of a tanh is saved by itself and by the product.
        let (y, third) = ((&a[0] * &a[1]).sum() + a[2].sum(), line());
        let ledger = ledger(&[&y]);
        let found: Vec<_> = ledger.entries.iter().map(|e| (e.name, e.at.line(), e.values, e.bytes)).collect();
        assert_eq!(found[0], ("TanhBackward0", second, 3, 3 * 8 * 16 * 4), "{ledger}");
        assert!(found[1].1 == first && found[1].3 >= 8 * 4 * 4 && found.len() == 2, "{ledger}");
        assert!(third > second && ledger.bytes() == found[0].3 + found[1].3);
        let text = ledger.to_string();
        for part in ["1.5 KiB", "3 values", "TanhBackward0", &format!("checking.rs:{second}:")] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        y.backward().unwrap();
        assert_eq!(graph::ledger(&[&y]).bytes(), 0, "backward has freed what was saved");
    }
}

#[test]
fn a_ledger_knows_leaves_and_packed_values() {
    let x = leaf(&[1.0, 2.0], &Device::cpu());
    let plain = ledger(&[&(&x * &x)]);
    assert_eq!((plain.bytes(), plain.leaf_bytes, plain.packed), (8, 8, 0), "{plain}");
    let _scope = saved_tensors_hooks(|x| x, |x| Ok(x.clone()));
    let packed = ledger(&[&(&x * &x)]);
    assert_eq!((packed.bytes(), packed.packed), (8, 0), "a tensor is looked into: {packed}");
    let _scope = saved_tensors_hooks(|x| (x, 0), |(x, _)| Ok(x.clone()));
    let packed = ledger(&[&(&x * &x)]);
    assert_eq!((packed.bytes(), packed.packed), (0, 2), "{packed}");
    assert_eq!(ledger(&[&Tensor::ones([2], &Device::cpu())]).bytes(), 0, "a tensor without a graph has no ledger");
}

/// A perceptron with two layers.
fn perceptron(dev: &Device) -> (Tensor, [Tensor; 4]) {
    let leaf = |shape: &[usize]| Tensor::rand(shape, dev).requires_grad_(true).unwrap();
    let parameters = [leaf(&[4, 16]), leaf(&[16]), leaf(&[16, 3]), leaf(&[3])];
    let [w1, b1, w2, b2] = &parameters;
    let hidden = (Tensor::rand([8, 4], dev).matmul(w1) + b1).tanh();
    let target = Tensor::zeros([8], (dev, DType::I32));
    let loss = (hidden.matmul(w2) + b2).cross_entropy(&target);
    (loss, parameters)
}

#[test]
fn dot_has_every_node_and_edge() {
    let (loss, _) = perceptron(&Device::cpu());
    let dot = to_dot(&[&loss]);
    let nodes = dot.lines().filter(|line| line.contains("[label=\"") && !line.contains("->")).count();
    let edges = dot.matches(" -> ").count();
    // Two products, two sums, tanh, what cross_entropy is, and four leaves; a tree but for the leaves' own edges.
    assert!(nodes >= 10 && edges == nodes - 1, "{dot}");
    for part in ["TanhBackward0\\n[8, 16] f32\\nsaves 512 B", "leaf\\n[4, 16] f32", "checking.rs:"] {
        assert!(dot.contains(part), "{part} is not in: {dot}");
    }
}

/// The places of the boxes of a picture.
fn boxes(svg: &str) -> Vec<(f64, f64)> {
    let number = |line: &str, name: &str| -> f64 {
        line.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let lines = svg.lines().filter(|line| line.starts_with("<rect x=") && line.contains("fill=\"none\""));
    lines.map(|line| (number(line, "x"), number(line, "y"))).collect()
}

#[test]
fn a_picture_shows_forward_and_backward_of_every_node_once() {
    let (loss, [w1, ..]) = perceptron(&Device::cpu());
    // A leaf that is read a second time far below.
    let y = &loss + w1.sum();
    let svg = to_svg(&[&y, &loss]);
    let dot = to_dot(&[&y, &loss]);
    let nodes = dot.lines().filter(|line| line.contains("[label=\"") && !line.contains("->")).count();
    let boxes = boxes(&svg);
    assert_eq!(boxes.len(), nodes);
    assert_eq!(svg.matches("<g class=\"leaf\">").count(), 4);
    assert_eq!(svg.matches("<path class=\"forward\"").count(), svg.matches("<path class=\"backward\"").count());
    assert!(svg.matches("<path class=\"forward\"").count() >= dot.matches(" -> ").count());
    for part in
        [">tanh<", ">TanhBackward0<", ">[8, 16] f32<", ">saves 512 B<", ">checking.rs:", ">output 0<", ">output 1<"]
    {
        assert!(svg.contains(part), "{part} is not in: {svg}");
    }
    for (i, a) in boxes.iter().enumerate() {
        let apart = |b: &(f64, f64)| (a.0 - b.0).abs() > 360.0 || (a.1 - b.1).abs() > 62.0;
        assert!(boxes[..i].iter().all(apart), "two boxes overlap");
    }
    let layers: HashSet<u64> = boxes.iter().map(|at| at.1.to_bits()).collect();
    assert!(layers.len() >= 6, "operations stand below their inputs");
    assert_eq!(svg.matches("<g").count(), svg.matches("</g>").count());
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}

#[test]
fn a_graph_of_a_million_nodes_is_walked_on_a_small_stack() {
    let walk = || {
        let x = leaf(&[1.0], &Device::cpu());
        let mut y = x.clone();
        for i in 0..1_000_000 {
            y = -y;
            // Values are computed meanwhile, or a million of them would wait.
            if i % 10_000 == 0 {
                y.item().unwrap();
            }
        }
        assert_eq!(ledger(&[&y]).bytes(), 0);
        assert_eq!(to_dot(&[&y]).matches(" -> ").count(), 1_000_000);
        let svg = to_svg(&[&y]);
        assert!(
            svg.contains("1000000 operations and 1 leaf, of which 999401 are not drawn, 0 B saved"),
            "{}",
            &svg[..2000]
        );
        assert!(boxes(&svg).len() == 600 && svg.contains("output 0"));
        assert_eq!(audit(&y, &[("x", &x)]).unwrap().parameters[0].finding, Finding::NoGradient);
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, walk).unwrap();
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn an_audit_finds_what_the_loss_did_not_teach() {
    for dev in devices() {
        let p: Vec<Tensor> = (0..6).map(|_| leaf(&[1.0, 2.0], &dev)).collect();
        let (hidden, at) = ((&p[1] * 3.0).detach(), line());
        let (loss, by) = ((&p[0] * hidden + &p[2] * 0.0 + (&p[3] - 1.0).sqrt() + (&p[3] - 1.0).log()).sum(), line());
        loss.backward_with(None, BackwardOptions { retain_graph: Some(true), ..Default::default() }).unwrap();
        let forgotten = (&p[4] * 2.0).sum() + &loss;
        let free = Tensor::ones([2], &dev);
        let names = ["taught", "cut off", "zero", "infinite", "forgotten", "unused"];
        let mut named: Vec<(&str, &Tensor)> = names.into_iter().zip(&p).collect();
        named.push(("free", &free));
        let audit = audit(&forgotten, &named).unwrap();
        let found: Vec<Finding> = audit.parameters.iter().map(|parameter| parameter.finding).collect();
        assert_eq!(found[..3], [Finding::Good, Finding::NoPath, Finding::Zero], "{audit}");
        assert_eq!(found[3], Finding::NonFinite { nan: 0, infinite: 1 }, "{audit}");
        assert_eq!(found[4..], [Finding::NoGradient, Finding::NoPath, Finding::NotRequired], "{audit}");
        let cuts: Vec<_> = audit.cuts.iter().map(|cut| cut.at.line()).collect();
        assert_eq!(cuts, [at], "{audit}");
        assert_eq!(audit.cuts[0].used_by.as_ref().unwrap().name(), "MulBackward0");
        assert!(!audit.is_clean());
        let text = audit.to_string();
        for part in [
            "1 of 7 parameters have a gradient that is finite and not zero.",
            "cut off, of shape [2], has no path to the loss.",
            "zero, of shape [2], has a gradient that is zero everywhere.",
            "forgotten, of shape [2], has a path to the loss, and no gradient",
            "free, of shape [2], does not require grad.",
            &format!("cut by detach at tests/suite/checking.rs:{at}:"),
            &format!("MulBackward0 used at tests/suite/checking.rs:{by}:"),
        ] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
}

#[test]
fn an_audit_follows_cuts_through_what_is_not_recorded() {
    let dev = Device::cpu();
    let (w, v) = (leaf(&[1.0, 2.0], &dev), leaf(&[1.0, 2.0], &dev));
    let lines =
        |loss: &Tensor| -> Vec<u32> { audit(loss, &[]).unwrap().cuts.iter().map(|cut| cut.at.line()).collect() };
    // Through operations, views, copies, casts, composites and other detached tensors; each line once.
    let (a, first) = (w.detach(), line());
    let (b, second) = ((&w * 2.0).detach(), line());
    let mixed =
        Tensor::cat(&[(&a * &b).softmax(0), a.exp().narrow(0, 0, 1).cast(DType::F16).cast(DType::F32)], 0).detach();
    assert_eq!(lines(&(mixed.sum() * &v)), [first, second]);
    // In place.
    let buffer = Tensor::zeros([2], &dev);
    buffer.add_(&a).unwrap();
    assert_eq!(lines(&(&buffer * &v)), [first]);
    let other = &w * 2.0;
    let (other, third) = (other.detach_().unwrap(), line());
    assert_eq!(lines(&(other * &v)), [third]);
    // A loss that has no graph at all.
    let found = audit(&a.sum(), &[("w", &w)]).unwrap();
    assert!(found.cuts.len() == 1 && found.cuts[0].used_by.is_none() && found.parameters[0].finding == Finding::NoPath);
    // No cut: what never had a history, what still has one, and what the crate itself detaches on the way.
    let data = Tensor::ones([2], &dev).detach();
    assert!(lines(&((data + w.softmax(0).logsumexp(0, false)) * &v)).is_empty());
    let both = &a + &v;
    assert_eq!(lines(&both), [first]);
    assert_eq!(lines(&(&both * &v)), [first], "the cut stays where it happened");
    assert_eq!(audit(&(&both * &v), &[]).unwrap().cuts[0].used_by.as_ref().unwrap().name(), "AddBackward0");
    // What is made without recording is not told of.
    let quiet = {
        let _guard = no_grad();
        &w * 2.0
    };
    assert!(lines(&(quiet * &v)).is_empty());
}

#[test]
fn an_audit_of_a_good_model_is_clean() {
    for dev in devices() {
        let (loss, parameters) = perceptron(&dev);
        loss.backward().unwrap();
        let names = ["w1", "b1", "w2", "b2"];
        let named: Vec<(&str, &Tensor)> = names.into_iter().zip(&parameters).collect();
        let audit = audit(&loss, &named).unwrap();
        assert!(audit.is_clean(), "{audit}");
        assert_eq!(audit.to_string(), "4 of 4 parameters have a gradient that is finite and not zero.\n");
    }
}

#[test]
fn anomalies_are_found_in_every_kind_of_batch() {
    for dev in devices() {
        let x = Tensor::new([[1.0, 2.0], [0.0, 4.0]], &dev);
        let good = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &dev);
        let _scope = detect_anomaly(true);
        // The slope of the root of 0 is infinite, and times 0 no number: in the second sample alone.
        let h = |x: &Tensor| x.square().sqrt().sum();
        let mut errors = vec![vmap(|x: &Tensor| grad(h)(x), 0, 0)(&x).unwrap_err()];
        vmap(|x: &Tensor| grad(h)(x), 0, 0)(&good).unwrap();
        errors.push(jacrev(|x: &Tensor| x.square().sqrt())(&x).unwrap_err());
        let rows = (&x * 1.0).requires_grad_(true).unwrap();
        let (y, other) = (rows.square().sqrt().sum_dim(1, false), line());
        let options = GradOptions {
            grad_outputs: vec![Some(Tensor::eye(2, &dev))],
            is_grads_batched: true,
            ..Default::default()
        };
        says(
            &autograd::grad(&[&y], &[&rows], options).unwrap_err(),
            &["returned nan values", &format!("checking.rs:{other}:")],
        );
        // The walk of a batch's own node, and batches inside of batches.
        let leaf = x.copy().requires_grad_(true).unwrap();
        errors.push(vmap(h, 0, 0)(&leaf).unwrap().sum().backward().unwrap_err());
        let twice = x.reshape([2, 1, 2]);
        errors.push(vmap(vmap(grad(h), 0, 0), 0, 0)(&twice).unwrap_err());
        errors.push(hessian(h)(&x.select(0, 1)).unwrap_err());
        for error in &errors {
            assert!(error.is_anomaly(), "{error}");
            says(error, &["returned nan values in its 0th output. It was recorded at tests/suite/checking.rs:"]);
        }
        hessian(h)(&good.select(0, 1)).unwrap();
        jacrev(|x: &Tensor| x.square().sqrt())(&good).unwrap();
        // What was in doubt is settled, and a batch that fails on its way leaves nothing behind.
        let failing = |x: &Tensor| -> Result<Tensor> {
            grad(h)(x)?;
            x.sum().item()?;
            Ok(x.clone())
        };
        assert!(vmap(failing, 0, 0)(&x).unwrap_err().is_graph());
        vmap(|x: &Tensor| grad(h)(x), 0, 0)(&good).unwrap();
    }
}

#[test]
fn messages_name_the_line_of_the_user() {
    struct TooMany;
    impl Function for TooMany {
        fn forward(&mut self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
            Ok(vec![&inputs[0] * 2.0])
        }

        fn backward(&self, _: &Context, gradients: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
            Ok(vec![gradients[0].clone(), None])
        }
    }
    for dev in devices() {
        let x = leaf(&[1.0, 2.0], &dev);
        let (y, at) = (apply(TooMany, &[&x]).unwrap().remove(0), line());
        let error = wgrad::catch(|| y.sum().backward()).unwrap_err();
        says(
            &error,
            &["TooManyBackward: recorded at ", &format!("checking.rs:{at}:"), "gave 2 gradients for 1 inputs"],
        );
        let (hook, at) = (x.register_hook(|g| Some(g.sum())), line());
        let error = wgrad::catch(|| (&x * 2.0).sum().backward()).unwrap_err();
        says(&error, &["f32 of shape [] for f32 of [2]", "registered at ", &format!("checking.rs:{at}:")]);
        hook.unwrap().remove();
        // What a hook unpacks must be what it packed.
        for wrong in [|x: &Tensor| x.sum(), |x: &Tensor| x.cast(DType::F16)] {
            let (y, at) = {
                let _scope = saved_tensors_hooks(|x| x, move |x| Ok(wrong(x)));
                (x.exp(), line())
            };
            let error = y.sum().backward().unwrap_err();
            says(
                &error,
                &["ExpBackward0", &format!("checking.rs:{at}"), "packed by a hook as f32 of shape [2]", "unpacked as"],
            );
        }
    }
}

#[test]
fn gradcheck_knows_results_batches_and_chance() {
    let x = double(&[0.5, -1.5, 2.5]);
    let all = || GradcheckOptions { check_forward_ad: true, check_batched_grad: true, ..Default::default() };
    // One tensor, a tuple, a result.
    gradcheck(|x| x[0].sin(), &[&x], all()).unwrap();
    gradcheck(|x| (x[0].sin(), x[0].exp().sum()), &[&x], all()).unwrap();
    gradcheck(|x| Ok(apply(Cube { factor: 1.0 }, &[&x[0]])?.remove(0)), &[&x], all()).unwrap();
    gradgradcheck(|x| Ok(apply(Cube { factor: 1.0 }, &[&x[0]])?.remove(0)), &[&x], all()).unwrap();
    let refused = |x: &[Tensor]| -> Result<Tensor> {
        Tensor::ones([1], &x[0].device()).backward()?;
        Ok(x[0].clone())
    };
    assert!(gradcheck(refused, &[&x], all()).unwrap_err().is_graph());
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let count = || calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f64;
    let by_chance = |x: &[Tensor]| &x[0] + 1e-3 * count();
    says(&gradcheck(by_chance, &[&x], all()).unwrap_err(), &["the function is not deterministic: output 0"]);
    gradcheck(|x| &x[0] + 1e-9 * count(), &[&x], GradcheckOptions { nondet_tol: 1.0, eps: 1.0, ..all() }).unwrap();
    let chance = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let backward = |x: &[Tensor]| {
        let chance = chance.clone();
        with_rule(&x[0], x[0].copy(), move |g| {
            g * (1.0 + 1e-7 * chance.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as f64)
        })
    };
    let error = gradcheck(backward, &[&x], GradcheckOptions::default()).unwrap_err();
    says(&error, &["backward is not deterministic: the gradient of input 0 from output 0", "and in another run"]);
}
