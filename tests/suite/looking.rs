//! What graphs look like: ledgers of what they keep, text, pictures, audits.

use crate::checking::{leaf, line};
use crate::common::devices;
use std::collections::HashSet;
use wgrad::autograd::graph::{self, ledger, to_dot, to_svg};
use wgrad::autograd::{CutBy, Finding, audit, inference_mode, no_grad, saved_tensors_hooks, set_grad_enabled};
use wgrad::nn::{Layer, Module};
use wgrad::{BackwardOptions, DType, Device, Tensor};

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
        for part in ["1.5 KiB", "3 values", "TanhBackward0", &format!("looking.rs:{second}:")] {
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
    for part in ["TanhBackward0\\n[8, 16] f32\\nsaves 512 B", "leaf\\n[4, 16] f32", "looking.rs:"] {
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
        [">tanh<", ">TanhBackward0<", ">[8, 16] f32<", ">saves 512 B<", ">looking.rs:", ">output 0<", ">output 1<"]
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
            &format!("cut by detach at tests/suite/looking.rs:{at}:"),
            &format!("MulBackward0 used at tests/suite/looking.rs:{by}:"),
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
    // Where the library records nothing of its own accord, nothing is cut: running statistics, results of no use to backward.
    let norm = wgrad::nn::BatchNorm1d::new(2, &dev);
    let batch = Tensor::stack(&[&w * 2.0, &w * 3.0], 0);
    norm.forward(&batch);
    norm.eval();
    assert!(lines(&norm.forward(&batch).sum()).is_empty());
}

#[test]
fn an_audit_tells_of_guards_and_of_casts() {
    for dev in devices() {
        let (w, v) = (leaf(&[1.0, 2.0], &dev), leaf(&[1.0, 2.0], &dev));
        let cuts = |loss: &Tensor| -> Vec<(CutBy, u32)> {
            audit(loss, &[]).unwrap().cuts.iter().map(|cut| (cut.by, cut.at.line())).collect()
        };
        let (quiet, first) = {
            let (_guard, first) = (no_grad(), line());
            let hidden = (&w * 2.0).exp();
            (hidden + w.sum(), first)
        };
        assert_eq!(cuts(&(quiet * &v)), [(CutBy::NoGrad, first)], "one line for one guard");
        let (switched, second) = {
            let (_guard, second) = (set_grad_enabled(false), line());
            (w.narrow(0, 0, 1), second)
        };
        // Such a view requires grad as its base does, and is cut off all the same.
        for loss in [&switched * &v, switched.detach() * &v, switched.clone()] {
            assert_eq!(cuts(&loss), [(CutBy::NoGrad, second)]);
        }
        let (made, third) = {
            let (_guard, third) = (inference_mode(), line());
            (&w * 2.0, third)
        };
        assert_eq!(cuts(&(made + &v)), [(CutBy::NoGrad, third)]);
        // What is kept as a copy, as an average of weights is.
        let average = Tensor::zeros([2], &dev);
        let fourth = {
            let (_guard, fourth) = (no_grad(), line());
            average.copy_(&w).unwrap();
            fourth
        };
        assert_eq!(cuts(&(&average * &v)), [(CutBy::NoGrad, fourth)]);
        let (whole, fifth) = ((&w * 2.0).cast(DType::I32), line());
        assert_eq!(cuts(&((whole + 1).cast(DType::F32) * &v)), [(CutBy::Cast, fifth)]);
        // No cut: what has nothing to lose, and a step of an optimizer.
        let data = {
            let _guard = no_grad();
            Tensor::ones([2], &dev).cast(DType::I32).cast(DType::F32)
        };
        {
            let _guard = no_grad();
            w.sub_(&v.detach() * 0.1).unwrap();
        }
        assert!(cuts(&(data * &w)).is_empty());
        let text = audit(&((&average) * &v), &[]).unwrap().to_string();
        assert!(text.contains(&format!("cut by no_grad at tests/suite/looking.rs:{fourth}:")), "{text}");
    }
}

#[test]
fn an_audit_knows_parameters_that_are_no_leaves() {
    let dev = Device::cpu();
    // The classic: scaled after it was told to require grad.
    let w = leaf(&[1.0, 2.0], &dev) * 0.1;
    let loss = w.square().sum();
    loss.backward().unwrap();
    let found = audit(&loss, &[("w", &w)]).unwrap();
    assert_eq!(found.parameters[0].finding, Finding::NoLeaf);
    assert!(
        found.to_string().contains("w, of shape [2], is no leaf but a result, which stores no gradient."),
        "{found}"
    );
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
