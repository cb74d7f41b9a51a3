//! The families of training: optimizers, their schedules, gradient clipping, and whole runs.

use super::call::{Stop, unsupported};
use super::check::Checker;
use super::store::{entries, list, text};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use wgrad::autograd::{GradOptions, grad};
use wgrad::optim::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Anneal, Asgd, Cycle, Lamb, Lion, Muon, NAdam, Optimizer, RAdam,
    RMSprop, ReduceLrOnPlateau, Rprop, Rule, Schedule, Scheduler, Sgd, clip_grad_norm_, clip_grad_value_, grad_norm,
};
use wgrad::{AttentionOptions, ConvOptions, CrossEntropyOptions, DType, MaxPoolOptions, Reduction, Tensor};

type Checked = Result<(), Stop>;

/// Adds a group with the rule of PyTorch's class and the options that the case names.
fn add_group(optimizer: &mut Option<Optimizer>, class: &str, options: &Json, parameters: &[&Tensor]) -> Checked {
    fn add(optimizer: &mut Option<Optimizer>, rule: impl Rule, parameters: &[&Tensor]) {
        match optimizer {
            Some(optimizer) => optimizer.add_group(rule, parameters.iter().copied()),
            None => *optimizer = Some(Optimizer::new(rule, parameters.iter().copied())),
        }
    }
    macro_rules! classes {
        ($($name:literal $rule:ident)*) => { match class {
            $($name => add(optimizer, $rule::default(), parameters),)*
            other => return unsupported(format!("the optimizer {other}")),
        } };
    }
    classes! {
        "SGD" Sgd "Adam" Adam "AdamW" AdamW "Adamax" Adamax "NAdam" NAdam "RAdam" RAdam "RMSprop" RMSprop "Adagrad" Adagrad
        "Adadelta" Adadelta "Rprop" Rprop "ASGD" Asgd "Lion" Lion "LAMB" Lamb "Adafactor" Adafactor "Muon" Muon
    }
    let optimizer = optimizer.as_mut().expect("a group was added");
    let group = optimizer.groups() - 1;
    for (name, x) in entries(options) {
        match x {
            Json::Array(parts) => {
                for (i, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_null()) {
                    optimizer.set_option(group, &format!("{name}.{i}"), number(part));
                }
            }
            x => optimizer.set_option(group, name, number(x)),
        }
    }
    Ok(())
}

fn number(x: &Json) -> f64 {
    match x {
        Json::Bool(on) => *on as u8 as f64,
        Json::String(text) if text == "inf" => f64::INFINITY,
        x => x.as_f64().expect("an option is a number"),
    }
}

fn class(name: &Json) -> &str {
    text(name).rsplit('.').next().expect("there is a last part")
}

/// Twenty steps with given gradients, and what is kept in the end.
pub fn optimizer(checker: &mut Checker) -> Checked {
    let (oracle, case, device) = (checker.oracle, checker.case, checker.device);
    let stored = |key: &Json| oracle.tensor(key, DType::F32, device);
    let mut parameters = Vec::new();
    for p in list(&case["params"]) {
        parameters.push(stored(&p["initial"]).requires_grad_(true)?);
    }
    let mut optimizer = None;
    match case["attrs"]["groups"].as_array() {
        None => {
            let parameters: Vec<&Tensor> = parameters.iter().collect();
            add_group(&mut optimizer, class(&case["op"]), &case["attrs"], &parameters)?;
        }
        Some(groups) => {
            for (i, (options, p)) in groups.iter().zip(&parameters).enumerate() {
                assert_eq!(case["params"][i]["group"], i, "the i-th parameter is in the i-th group");
                add_group(&mut optimizer, class(&case["op"]), options, &[p])?;
            }
        }
    }
    let mut optimizer = optimizer.expect("there is a group");
    let gradients: Vec<Tensor> = list(&case["params"]).iter().map(|p| stored(&p["grads"])).collect();
    let mut paths = vec![Vec::new(); parameters.len()];
    for step in 0..case["steps"].as_u64().expect("a count") as isize {
        for (i, (p, g)) in parameters.iter().zip(&gradients).enumerate() {
            let has_none = i == 1 && list(&case["no_grad_steps_of_param1"]).iter().any(|t| *t == step);
            p.set_grad((!has_none).then(|| g.select(0, step).copy()));
        }
        optimizer.step()?;
        parameters.iter().zip(&mut paths).for_each(|(p, path)| path.push(p.detach().copy()));
    }
    let state = optimizer.state_dict();
    for (i, (path, want)) in paths.iter().zip(list(&case["params"])).enumerate() {
        let path = Tensor::stack(path, 0);
        checker.compare(format!("the way of parameter {i}"), "out", Some(&path), &want["after_each_step"])?;
        for (name, want) in entries(&want["final_state"]) {
            checker.compare(format!("{name} of {i}"), "out", state.get(&format!("state.{i}.{name}")), want)?;
        }
    }
    Ok(())
}

fn schedule(name: &str, a: &Json) -> Result<Schedule, Stop> {
    let int = |name: &str| a[name].as_u64().unwrap_or_else(|| panic!("{name} is a count")) as usize;
    let real = |name: &str, default: f64| a.get(name).map_or(default, number);
    let momentum = |name: &str, default| {
        a.get(name).map_or(default, |on| *on == true).then(|| (real("base_momentum", 0.85), real("max_momentum", 0.95)))
    };
    Ok(match name {
        "StepLR" => Schedule::Step { step_size: int("step_size"), gamma: real("gamma", 0.1) },
        "MultiStepLR" => Schedule::MultiStep {
            milestones: list(&a["milestones"]).iter().map(|t| t.as_u64().expect("a step") as usize).collect(),
            gamma: real("gamma", 0.1),
        },
        "ExponentialLR" => Schedule::Exponential { gamma: real("gamma", 0.1) },
        "CosineAnnealingLR" => Schedule::Cosine { t_max: int("T_max"), eta_min: real("eta_min", 0.0) },
        "CosineAnnealingWarmRestarts" => {
            Schedule::CosineWarmRestarts { t_0: int("T_0"), t_mult: int("T_mult"), eta_min: real("eta_min", 0.0) }
        }
        "LinearLR" => Schedule::Linear {
            start_factor: real("start_factor", 1.0 / 3.0),
            end_factor: real("end_factor", 1.0),
            total_iters: int("total_iters"),
        },
        "ConstantLR" => Schedule::Constant { factor: real("factor", 1.0 / 3.0), total_iters: int("total_iters") },
        "PolynomialLR" => Schedule::Polynomial { total_iters: int("total_iters"), power: real("power", 1.0) },
        "OneCycleLR" => Schedule::OneCycle {
            max_lr: real("max_lr", 0.0),
            total_steps: int("total_steps"),
            pct_start: real("pct_start", 0.3),
            anneal: if a.get("anneal_strategy").is_none_or(|s| s == "cos") { Anneal::Cosine } else { Anneal::Linear },
            div_factor: real("div_factor", 25.0),
            final_div_factor: real("final_div_factor", 1e4),
            three_phase: a["three_phase"] == true,
            momentum: momentum("cycle_momentum", true),
        },
        "CyclicLR" => Schedule::Cyclic {
            base_lr: real("base_lr", 0.0),
            max_lr: real("max_lr", 0.0),
            step_size_up: int("step_size_up"),
            step_size_down: a["step_size_down"].as_u64().map_or(int("step_size_up"), |n| n as usize),
            mode: match text(&a["mode"]) {
                "triangular" => Cycle::Triangular,
                "triangular2" => Cycle::Triangular2,
                _ => Cycle::ExpRange(real("gamma", 1.0)),
            },
            momentum: momentum("cycle_momentum", true),
        },
        "LambdaLR_warmup_cosine" => {
            let (warmup, total) = (int("warmup"), int("total"));
            Schedule::lambda(move |t| match t < warmup {
                true => (t + 1) as f64 / warmup as f64,
                false => {
                    let part = (t - warmup) as f64 / (total - warmup) as f64;
                    0.5 * (1.0 + (std::f64::consts::PI * part).cos())
                }
            })
        }
        "SequentialLR_linear_cosine" => {
            let milestone = int("milestone");
            let linear = Schedule::Linear { start_factor: 0.1, end_factor: 1.0, total_iters: milestone };
            linear.then(milestone, Schedule::Cosine { t_max: int("T_max"), eta_min: 0.0 })
        }
        "ChainedScheduler_constant_exponential" => Schedule::Chained(vec![
            Schedule::Constant { factor: 0.1, total_iters: 3 },
            Schedule::Exponential { gamma: 0.9 },
        ]),
        other => return unsupported(format!("the schedule {other}")),
    })
}

/// The learning rates of all steps; half way the schedule is replaced by one that takes over its state.
pub fn learning_rates(checker: &mut Checker) -> Checked {
    let (case, device) = (checker.case, checker.device);
    let (a, name) = (&case["attrs"], class(&case["op"]));
    let p = Tensor::zeros([1], device).requires_grad_(true)?;
    let mut sgd = Sgd { lr: number(&case["base_lr"]), momentum: 0.5, ..Default::default() }.over([&p]);
    let steps = case["steps"].as_u64().expect("a count") as usize;
    let (mut rates, mut momenta) = (Vec::new(), Vec::new());
    let mut note = |sgd: &Optimizer| {
        rates.push(sgd.lr());
        momenta.push(sgd.option(0, "momentum").expect("SGD has momentum"));
    };
    if name == "ReduceLROnPlateau" {
        let start = ReduceLrOnPlateau {
            maximize: a["mode"] == "max",
            factor: number(&a["factor"]),
            patience: number(&a["patience"]) as usize,
            threshold: number(&a["threshold"]),
            relative: a["threshold_mode"] == "rel",
            cooldown: number(&a["cooldown"]) as usize,
            min_lr: number(&a["min_lr"]),
            eps: number(&a["eps"]),
            ..Default::default()
        };
        let mut plateau = start.clone();
        note(&sgd);
        for (t, metric) in list(&case["metrics"]).iter().enumerate() {
            if t == steps / 2 {
                let state = plateau.state_dict();
                plateau = start.clone();
                plateau.load_state_dict(&state)?;
            }
            plateau.step(&mut sgd, number(metric));
            note(&sgd);
        }
    } else {
        let mut scheduler = Scheduler::new(&mut sgd, schedule(name, a)?);
        note(&sgd);
        for t in 0..steps {
            if t == steps / 2 {
                let state = scheduler.state_dict();
                scheduler = Scheduler::new(&mut sgd, schedule(name, a)?);
                scheduler.load_state_dict(&mut sgd, &state)?;
            }
            scheduler.step(&mut sgd);
            note(&sgd);
        }
    }
    for (what, got, want) in [("lr", rates, &case["lr"]), ("momentum", momenta, &case["momentum"])] {
        let want: Vec<f64> = list(want).iter().map(number).collect();
        let [rtol, atol] = ["rtol", "atol"].map(|name| number(&case["tol"]["out"][name]));
        if !want.is_empty() && want.len() != got.len() {
            checker.differences.push(format!("{} numbers instead of {}", got.len(), want.len()));
        }
        let close = |a: f64, b: f64| (a - b).abs() <= atol + rtol * b.abs();
        let differs = |(a, b): &(&f64, &f64)| !close(**a, **b);
        if let Some(t) = got.iter().zip(&want).position(|pair| differs(&pair)) {
            checker.differences.push(format!("{what} of step {t} is {} instead of {}", got[t], want[t]));
        }
    }
    Ok(())
}

pub fn clipping(checker: &mut Checker) -> Checked {
    let (oracle, case, device) = (checker.oracle, checker.case, checker.device);
    let mut parameters = Vec::new();
    for key in list(&case["grads_in"]) {
        let g = oracle.tensor(key, DType::F32, device);
        let p = g.zeros_like().requires_grad_(true)?;
        p.set_grad(Some(g));
        parameters.push(p);
    }
    let option = |name: &str| number(&case["attrs"][name]);
    match class(&case["op"]) {
        "clip_grad_value_" => clip_grad_value_(&parameters, option("clip_value"))?,
        _ => {
            let norm = clip_grad_norm_(&parameters, option("max_norm"), option("norm_type"))?;
            checker.compare("the norm".into(), "out", Some(&norm), &case["total_norm"])?;
        }
    }
    for (i, (p, want)) in parameters.iter().zip(list(&case["grads_out"])).enumerate() {
        checker.compare(format!("gradient {i}"), "out", p.grad().as_ref(), want)?;
    }
    Ok(())
}

type Named = HashMap<String, Tensor>;

/// The loss functions of the family `train`, as their cases print them.
fn loss(name: &str, p: &Named, d: &Named) -> wgrad::Result<Tensor> {
    let (p, d) = (|name: &str| &p[name], |name: &str| &d[name]);
    let linear = |x: &Tensor, w: &str, b: &str| x.linear(p(w), Some(p(b)));
    Ok(match name {
        "mlp_regression" => linear(&linear(d("x"), "w1", "b1").tanh(), "w2", "b2").mse_loss(d("y"), Reduction::Mean),
        "mlp_classify" => {
            let h = linear(d("x"), "w1", "b1").layer_norm(p("w1").size(0), Some(p("g")), Some(p("c")), 1e-5).gelu();
            let options = CrossEntropyOptions { label_smoothing: 0.1, ..Default::default() };
            linear(&h, "w2", "b2").cross_entropy_with(d("t"), options)
        }
        "cnn_classify" => {
            let padded = ConvOptions { padding: 1.into(), ..Default::default() };
            let h = d("x").conv2d(p("w1"), p("b1"), padded).group_norm(2, Some(p("g")), Some(p("c")), 1e-5).silu();
            let h = h.max_pool2d(2, MaxPoolOptions::default()).conv2d(p("w2"), p("b2"), ConvOptions::default());
            linear(&h.relu().adaptive_avg_pool2d(1).flatten(1, -1), "w3", "b3").cross_entropy(d("t"))
        }
        "tiny_transformer" => {
            let x = d("i").embedding(p("emb")) + p("pos");
            let &[b, t, e] = x.shape() else { panic!("embedded tokens have three dimensions") };
            let y = x.layer_norm(e, Some(p("g1")), Some(p("c1")), 1e-5).linear(p("wqkv"), None);
            let head = |y: &Tensor| y.reshape([b, t, 2, e / 2]).transpose(1, 2);
            let [q, k, v] = [0, 1, 2].map(|i| head(&y.narrow(-1, i * e, e)));
            let causal = AttentionOptions { is_causal: true, ..Default::default() };
            let a = q.scaled_dot_product_attention(&k, &v, causal).transpose(1, 2).reshape([b, t, e]);
            let x = x + a.linear(p("wo"), None);
            let y = x.rms_norm(e, Some(p("g2")), 1e-5).linear(p("wu"), None).gelu().linear(p("wd"), None);
            let logits = (x + y).linear(p("emb"), None);
            logits.flatten(0, -2).cross_entropy(&d("t").flatten(0, -1))
        }
        "lstm_regress" => {
            let zeros = d("x").new_zeros([d("x").size(0), p("w_hh").size(1)]);
            let (mut h, mut c) = (zeros.clone(), zeros);
            for x in d("x").unbind(1) {
                (h, c) = x.lstm_cell((&h, &c), p("w_ih"), p("w_hh"), Some((p("b_ih"), p("b_hh"))));
            }
            linear(&h, "wo", "bo").huber_loss(d("y"), 1.0, Reduction::Mean)
        }
        "logistic" => {
            let logits = d("x").matmul(p("w")) + p("b");
            logits.binary_cross_entropy_with_logits(d("y"), None, None, Reduction::Mean) + p("w").square().sum() * 0.01
        }
        "double_backward_penalty" => {
            let x = d("x").copy().requires_grad_(true)?;
            let s = linear(&linear(&x, "w1", "b1").softplus(), "w2", "b2").softplus().sum();
            let options = GradOptions { create_graph: true, ..Default::default() };
            let g = grad(&[&s], &[&x], options)?.remove(0).expect("the sum depends on x");
            (g.norm_dim(2.0, 1, false) - 1.0).square().mean() + s.mean() * 0.1
        }
        other => panic!("no case trains {other}"),
    })
}

/// A whole run: losses, norms, and the parameters in the end.
pub fn run(checker: &mut Checker) -> Checked {
    let (oracle, case, device) = (checker.oracle, checker.case, checker.device);
    let program = text(&case["id"]).split('.').nth(1).expect("the name of the loss");
    let (mut p, mut d) = (Named::new(), Named::new());
    for (name, keys) in entries(&case["params"]) {
        p.insert(name.clone(), oracle.tensor(&keys["initial"], DType::F32, device).requires_grad_(true)?);
    }
    for (name, key) in entries(&case["data"]) {
        let dtype = if ["i", "t"].contains(&name.as_str()) { DType::I32 } else { DType::F32 };
        d.insert(name.clone(), oracle.tensor(key, dtype, device));
    }
    let names: Vec<&String> = entries(&case["params"]).map(|(name, _)| name).collect();
    let all: Vec<&Tensor> = names.iter().map(|&name| &p[name]).collect();
    let mut optimizer = None;
    add_group(&mut optimizer, class(&case["optimizer"]), &case["attrs"], &all)?;
    let mut optimizer = optimizer.expect("there is a group");
    let mut scheduler = match list(&case["scheduler"]) {
        [name, attrs] => Some(Scheduler::new(&mut optimizer, schedule(text(name), attrs)?)),
        _ => None,
    };
    let blocks = case["accumulate"].as_u64().expect("a count") as usize;
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for step in 0..case["steps"].as_u64().expect("a count") {
        optimizer.zero_grad();
        let mut total = Tensor::zeros((), device);
        for block in 0..blocks {
            let rows = |x: &Tensor| x.narrow(0, block * x.size(0) / blocks, x.size(0) / blocks);
            let part: Named = d.iter().map(|(name, x)| (name.clone(), rows(x))).collect();
            let loss = loss(program, &p, &part)? / blocks;
            loss.backward()?;
            total = total + loss.detach();
        }
        losses.push(total);
        norms.push(grad_norm(all.iter().copied(), 2.0));
        if step == 0 {
            for &name in &names {
                let want = &case["params"][name]["grad_step0_before_clip"];
                checker.compare(format!("first gradient of {name}"), "out", p[name].grad().as_ref(), want)?;
            }
        }
        if let Some(most) = case["clip_grad_norm"].as_f64() {
            clip_grad_norm_(all.iter().copied(), most, 2.0)?;
        }
        let lr = number(&case["lr_per_step"][step as usize]);
        if (optimizer.lr() - lr).abs() > 1e-9 * lr {
            checker.differences.push(format!("the rate of step {step} is {} instead of {lr}", optimizer.lr()));
        }
        optimizer.step()?;
        scheduler.iter_mut().for_each(|scheduler| scheduler.step(&mut optimizer));
    }
    checker.compare("losses".into(), "out", Some(&Tensor::stack(&losses, 0)), &case["losses"])?;
    checker.compare("norms".into(), "out", Some(&Tensor::stack(&norms, 0)), &case["grad_norms_before_clip"])?;
    for &name in &names {
        checker.compare(format!("{name} in the end"), "out", Some(&p[name]), &case["params"][name]["final"])?;
    }
    Ok(())
}

/// A case without attributes, for what they are compared with.
#[test]
fn options_are_found_by_pytorchs_names() {
    let p = Tensor::zeros([2, 2], &wgrad::Device::cpu());
    let mut optimizer = None;
    let attrs = json!({"lr": 0.5, "betas": [0.1, 0.2], "amsgrad": true});
    assert!(add_group(&mut optimizer, "AdamW", &attrs, &[&p]).is_ok());
    let option = |name: &str| optimizer.as_ref().expect("a group was added").option(0, name);
    assert_eq!((option("lr"), option("betas.1"), option("amsgrad")), (Some(0.5), Some(0.2), Some(1.0)));
    assert_eq!((option("eps"), option("betas"), option("beta")), (Some(1e-8), None, None));
}
