//! Metrics, against plain formulas and against what torchmetrics and scikit-learn say: `tests/interop/metrics.py`.

use crate::common::{gpu, on_every_device, own_devices};
use serde_json::Value;
use std::path::Path;
use wgrad::autograd::no_grad;
use wgrad::train::*;
use wgrad::{DType, Device, Result, Tensor, catch};

/// The numbers of the fixture, in reading order.
fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        value => vec![value.as_f64().expect("a number")],
    }
}

struct Fixture(Value);

impl Fixture {
    fn read() -> Fixture {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files/metrics.json");
        Fixture(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
    }

    fn expected(&self, name: &str) -> Vec<f64> {
        numbers(&self.0["expected"][name])
    }

    /// An input on a device, in uneven batches; integers are labels.
    fn input(&self, name: &str, dev: &Device) -> Vec<Tensor> {
        let value = &self.0["inputs"][name];
        let mut shape = Vec::new();
        let mut inner = value;
        while let Value::Array(rows) = inner {
            shape.push(rows.len());
            inner = &rows[0];
        }
        let dtype = if inner.is_i64() { DType::I32 } else { DType::F32 };
        let elements: Vec<f32> = numbers(value).iter().map(|&x| x as f32).collect();
        let x = Tensor::from_slice(&elements, &shape[..], dev).cast(dtype);
        let n = shape[0];
        let cuts = [0, n / 2, n - 1, n];
        cuts.windows(2).map(|cut| x.narrow(0, cut[0], cut[1] - cut[0])).collect()
    }
}

#[track_caller]
fn near(dev: &Device, name: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{name} on {}: {found:?}, not {expected:?}", dev.name());
    }
}

/// torchmetrics divides in single precision, which is most of this.
const FLOAT: f64 = 5e-7;

fn fed<M: Metric>(mut metric: M, preds: &[Tensor], target: &[Tensor]) -> M {
    preds.iter().zip(target).for_each(|(p, t)| metric.update(p, t));
    metric
}

#[test]
fn scores_of_classes_are_torchmetrics() {
    let fixture = Fixture::read();
    type Of = fn(usize) -> StatScores;
    let kinds: [(&str, Of); 4] = [
        ("accuracy", Accuracy::multiclass),
        ("precision", Precision::multiclass),
        ("recall", Recall::multiclass),
        ("f1", F1Score::multiclass),
    ];
    on_every_device(|dev| {
        let (x, t) = (fixture.input("logits", dev), fixture.input("target", dev));
        let mut checked = 0;
        let mut check = |name: String, found: &[f64]| {
            near(dev, &name, found, &fixture.expected(&name), FLOAT);
            checked += 1;
        };
        for (name, of) in kinds {
            let new = || of(5).ignore_index(-1);
            for (average, kind) in
                [("micro", Average::Micro), ("macro", Average::Macro), ("weighted", Average::Weighted)]
            {
                check(format!("{name}/{average}"), &[fed(new().average(kind), &x, &t).compute()?]);
            }
            check(format!("{name}/none"), &fed(new(), &x, &t).per_class()?);
            check(format!("{name}/top2"), &[fed(new().top_k(2), &x, &t).compute()?]);
            if name != "accuracy" {
                check(format!("{name}/zero_division"), &fed(new().zero_division(1.0), &x, &t).per_class()?);
            }
        }
        let top2 = Accuracy::multiclass(5).ignore_index(-1).top_k(2).average(Average::Macro);
        check("accuracy/top2_macro".into(), &[fed(top2, &x, &t).compute()?]);
        let confusion = fed(ConfusionMatrix::multiclass(5).ignore_index(-1), &x, &t).compute()?;
        check("confusion".into(), &confusion.counts.iter().flatten().map(|&n| n as f64).collect::<Vec<_>>());
        for (name, by) in [("true", Normalize::True), ("pred", Normalize::Pred), ("all", Normalize::All)] {
            check(format!("confusion/{name}"), &confusion.normalized(by).concat());
        }
        for (name, average) in [("macro", Average::Macro), ("weighted", Average::Weighted)] {
            let auroc = Auroc::multiclass(5).ignore_index(-1).average(average);
            check(format!("auroc/{name}"), &[fed(auroc, &x, &t).compute()?]);
        }
        check("auroc/none".into(), &fed(Auroc::multiclass(5).ignore_index(-1), &x, &t).per_class()?);
        assert_eq!(checked, 31);

        // Labels instead of scores, and another dimension, say the same.
        let labels: Vec<Tensor> = x.iter().map(|x| x.argmax(1, false)).collect();
        let images: Vec<Tensor> = x.iter().map(|x| x.unsqueeze(2)).collect();
        let columns: Vec<Tensor> = t.iter().map(|t| t.unsqueeze(1)).collect();
        let new = || F1Score::multiclass(5).ignore_index(-1).average(Average::Macro);
        let f1 = [fed(new(), &x, &t), fed(new(), &labels, &t), fed(new(), &images, &columns)];
        let f1 = f1.iter().map(Metric::compute).collect::<Result<Vec<_>>>()?;
        assert!(f1[0] == f1[1] && f1[0] == f1[2], "{f1:?}");
        Ok(())
    });
}

#[test]
fn scores_of_two_classes_are_torchmetrics() {
    let fixture = Fixture::read();
    on_every_device(|dev| {
        let y = fixture.input("label", dev);
        for kind in ["probability", "logit"] {
            let p = fixture.input(kind, dev);
            let metrics = [
                ("accuracy", Accuracy::binary()),
                ("precision", Precision::binary()),
                ("recall", Recall::binary()),
                ("f1", F1Score::binary()),
                ("threshold", F1Score::binary().threshold(0.625)),
            ];
            for (name, metric) in metrics {
                let name = format!("binary/{kind}/{name}");
                near(dev, &name, &[fed(metric, &p, &y).compute()?], &fixture.expected(&name), FLOAT);
            }
            let name = format!("binary/{kind}/auroc");
            near(dev, &name, &[fed(Auroc::binary(), &p, &y).compute()?], &fixture.expected(&name), FLOAT);
            let confusion = fed(ConfusionMatrix::binary(), &p, &y).compute()?;
            let counts: Vec<f64> = confusion.counts.iter().flatten().map(|&n| n as f64).collect();
            assert_eq!(counts, fixture.expected(&format!("binary/{kind}/confusion")));
            let confusion = fed(ConfusionMatrix::binary().threshold(0.625), &p, &y).compute()?;
            let counts: Vec<f64> = confusion.counts.iter().flatten().map(|&n| n as f64).collect();
            assert_eq!(counts, fixture.expected(&format!("binary/{kind}/confusion_threshold")));
        }
        Ok(())
    });
}

#[test]
fn errors_of_numbers_and_perplexity_are_torchmetrics() {
    let fixture = Fixture::read();
    on_every_device(|dev| {
        let (p, y) = (fixture.input("prediction", dev), fixture.input("y", dev));
        let check = |name: &str, found: f64| near(dev, name, &[found], &fixture.expected(name), 2e-6);
        check("mae", fed(MeanAbsoluteError::default(), &p, &y).compute()?);
        check("mse", fed(MeanSquaredError::default(), &p, &y).compute()?);
        check("rmse", fed(MeanSquaredError::root(), &p, &y).compute()?);
        // Targets are a thousand, give or take two: sums of their squares would have lost all that matters.
        check("r2", fed(R2Score::default(), &p, &y).compute()?);
        let [words, tokens] = ["words", "tokens"].map(|name| fixture.input(name, dev));
        let ignored = fed(Perplexity::default().ignore_index(-100), &words, &tokens).compute()?;
        check("perplexity/ignored", ignored);
        let whole: Vec<Tensor> = words.iter().map(|x| x.narrow(1, 0, 5)).collect();
        let tokens: Vec<Tensor> = tokens.iter().map(|x| x.narrow(1, 0, 5)).collect();
        let plain = fed(Perplexity::default(), &whole, &tokens).compute()?;
        let same = fed(Perplexity::default().ignore_index(-100), &whole, &tokens).compute()?;
        assert_eq!(plain, same);
        Ok(())
    });
}

/// Scores and labels of samples, and the same on a device.
fn drawn(n: usize, classes: usize, dev: &Device) -> (Vec<Vec<f32>>, Vec<usize>, Tensor, Tensor) {
    let cpu = wgrad::testing::open_cpu();
    cpu.manual_seed(3);
    // Few different scores, so that many are equal.
    let x = (Tensor::randn([n, classes], &cpu) * 3.0).round() / 4.0 + Tensor::rand([1, classes], &cpu);
    let t = Tensor::randint(0, classes as i32, [n], &cpu);
    let scores: Vec<f32> = x.to_vec().unwrap();
    let labels: Vec<i32> = t.to_vec().unwrap();
    let rows = scores.chunks(classes).map(<[f32]>::to_vec).collect();
    let on_device = (Tensor::from_slice(&scores, [n, classes], dev), Tensor::new(labels.clone(), dev));
    (rows, labels.into_iter().map(|t| t as usize).collect(), on_device.0, on_device.1)
}

#[test]
fn scores_of_classes_are_their_formulas() {
    const CLASSES: usize = 6;
    on_every_device(|dev| {
        let (rows, labels, x, t) = drawn(301, CLASSES, dev);
        let order = |row: &[f32]| {
            let mut order: Vec<usize> = (0..CLASSES).collect();
            order.sort_by(|&i, &j| row[j].total_cmp(&row[i]));
            order
        };
        let read: Vec<usize> = rows.iter().map(|row| order(row)[0]).collect();
        let count = |f: &dyn Fn(usize, usize) -> bool| {
            read.iter().zip(&labels).filter(|(read, label)| f(**read, **label)).count() as f64
        };
        let (mut precisions, mut recalls, mut f1s) = (0.0, 0.0, 0.0);
        for c in 0..CLASSES {
            let (tp, fp) = (count(&|r, t| r == c && t == c), count(&|r, t| r == c && t != c));
            let missed = count(&|r, t| r != c && t == c);
            let (precision, recall) = (tp / (tp + fp), tp / (tp + missed));
            precisions += precision / CLASSES as f64;
            recalls += recall / CLASSES as f64;
            f1s += 2.0 * precision * recall / (precision + recall) / CLASSES as f64;
        }
        let batches = |x: &Tensor| vec![x.narrow(0, 0, 200), x.narrow(0, 200, 101)];
        let (x2, t2) = (batches(&x), batches(&t));
        let of = |metric: StatScores| fed(metric.average(Average::Macro), &x2, &t2).compute();
        near(dev, "precision", &[of(Precision::multiclass(CLASSES))?], &[precisions], 1e-14);
        near(dev, "recall", &[of(Recall::multiclass(CLASSES))?], &[recalls], 1e-14);
        near(dev, "f1", &[of(F1Score::multiclass(CLASSES))?], &[f1s], 1e-14);
        for k in 1..=CLASSES {
            let right = rows.iter().zip(&labels).filter(|(row, t)| order(row)[..k].contains(t)).count();
            let found = fed(Accuracy::multiclass(CLASSES).top_k(k), &x2, &t2).compute()?;
            near(dev, "top k", &[found], &[right as f64 / 301.0], 1e-14);
        }
        let confusion = fed(ConfusionMatrix::multiclass(CLASSES), &x2, &t2).compute()?;
        for (i, j) in (0..CLASSES).flat_map(|i| (0..CLASSES).map(move |j| (i, j))) {
            assert_eq!(confusion.counts[i][j] as f64, count(&|r, t| r == j && t == i));
        }
        // By all pairs, for scores that are probabilities already, so that nothing is rounded.
        let p = ((&x - x.min()) / 16.0).clamp(0.0, 1.0);
        let p_rows: Vec<f32> = p.to_vec()?;
        let areas = fed(Auroc::multiclass(CLASSES), &batches(&p), &t2).per_class()?;
        for (c, area) in areas.iter().enumerate() {
            let (mut right, mut pairs) = (0.0, 0.0);
            for (i, j) in (0..301).flat_map(|i| (0..301).map(move |j| (i, j))) {
                if labels[i] == c && labels[j] != c {
                    let (a, b) = (p_rows[i * CLASSES + c], p_rows[j * CLASSES + c]);
                    pairs += 1.0;
                    right += if a > b {
                        1.0
                    } else if a == b {
                        0.5
                    } else {
                        0.0
                    };
                }
            }
            near(dev, "auroc", &[*area], &[right / pairs], 1e-14);
        }
        Ok(())
    });
}

#[test]
fn means_and_errors_are_their_formulas() {
    on_every_device(|dev| {
        let (y, p) = ([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]);
        let batch = |x: [f64; 4]| [Tensor::new([x[0]], dev), Tensor::new([x[1], x[2], x[3]], dev)];
        let (ys, ps) = (batch(y), batch(p));
        let errors: Vec<f64> = y.iter().zip(p).map(|(y, p)| p - y).collect();
        let squares: f64 = errors.iter().map(|e| e * e).sum();
        let mean = y.iter().sum::<f64>() / 4.0;
        let variance: f64 = y.iter().map(|y| (y - mean) * (y - mean)).sum();
        let absolute = errors.iter().map(|e| e.abs()).sum::<f64>() / 4.0;
        near(dev, "mae", &[fed(MeanAbsoluteError::default(), &ps, &ys).compute()?], &[absolute], 1e-7);
        near(dev, "mse", &[fed(MeanSquaredError::default(), &ps, &ys).compute()?], &[squares / 4.0], 1e-7);
        near(dev, "rmse", &[fed(MeanSquaredError::root(), &ps, &ys).compute()?], &[(squares / 4.0).sqrt()], 1e-7);
        near(dev, "r2", &[fed(R2Score::default(), &ps, &ys).compute()?], &[1.0 - squares / variance], 1e-6);
        let same = [Tensor::new([2.0, 2.0], dev)];
        assert_eq!(fed(R2Score::default(), &same, &same).compute()?, 1.0);

        let mut mean = MeanMetric::default();
        mean.add(&Tensor::new(1.0, dev), 3.0);
        mean.add(&Tensor::new([5.0], dev), 1.0);
        assert_eq!(mean.compute()?, 2.0);
        let mut mean = MeanMetric::of(|p, y| p.mse_loss(y, Default::default()));
        ps.iter().zip(&ys).for_each(|(p, y)| mean.update(p, y));
        near(dev, "mean", &[mean.compute()?], &[squares / 4.0], 1e-7);
        // Logits that say nothing give every one of eight tokens the same chance.
        let mut perplexity = Perplexity::default();
        perplexity.update(&Tensor::zeros([2, 3, 8], dev), &Tensor::zeros([2, 3], (dev, DType::I32)));
        near(dev, "perplexity", &[perplexity.compute()?], &[8.0], 1e-6);
        Ok(())
    });
}

/// All metrics of a classifier.
fn classifier() -> Metrics {
    Metrics::new()
        .with("loss", MeanMetric::of(Tensor::cross_entropy))
        .with("accuracy", Accuracy::multiclass(5))
        .with("top2", Accuracy::multiclass(5).top_k(2))
        .with("f1", F1Score::multiclass(5).average(Average::Macro))
        .with("auroc", Auroc::multiclass(5))
}

#[test]
fn an_update_reads_nothing_and_metrics_are_read_at_once() -> Result<()> {
    for dev in own_devices() {
        let (_, _, x, t) = drawn(40, 5, &dev);
        let mut metrics = classifier();
        dev.sync()?;
        let before = dev.stats();
        metrics.update(&x, &t);
        // Nothing is played either: the step of an optimizer will do that.
        assert_eq!((dev.stats().reads, dev.stats().kernels), (before.reads, before.kernels));
        {
            let _unrecorded = no_grad();
            metrics.update(&x, &t);
        }
        let after = dev.stats();
        assert_eq!(after.reads, before.reads);
        // A twin counts no kernels.
        let twin = dev.name().starts_with("twin");
        assert!(twin || after.kernels > before.kernels, "in a test an update hands the batch to the device");
        let scores = metrics.compute()?;
        assert_eq!((scores.len(), dev.stats().reads), (5, before.reads + 1));
    }
    Ok(())
}

#[test]
fn an_update_is_a_few_kernels() -> Result<()> {
    let Some(_) = gpu() else { return Ok(()) };
    let dev = wgrad::testing::open_gpu(true, false, None)?;
    let (_, _, x, t) = drawn(128, 10, &dev);
    let _unrecorded = no_grad();
    let kernels = |mut update: Box<dyn FnMut()>| -> Result<u64> {
        // The first update makes the sums, and the second one the plan that all others use.
        update();
        update();
        dev.sync()?;
        let before = dev.stats();
        update();
        let after = dev.stats();
        assert_eq!((after.plan_misses, after.reads), (before.plan_misses, before.reads));
        assert_eq!(after.flushes, before.flushes + 1);
        Ok(after.kernels - before.kernels)
    };
    let of = |mut metric: Box<dyn Metric<Value = f64>>| {
        let (x, t) = (x.clone(), t.clone());
        kernels(Box::new(move || metric.update(&x, &t)))
    };
    let mut found = vec![
        ("accuracy", of(Box::new(Accuracy::multiclass(10)))?),
        ("top k", of(Box::new(Accuracy::multiclass(10).top_k(3)))?),
        ("auroc", of(Box::new(Auroc::multiclass(10)))?),
        ("loss", of(Box::new(MeanMetric::of(Tensor::cross_entropy)))?),
    ];
    let mut confusion = ConfusionMatrix::multiclass(10);
    let (x2, t2) = (x.clone(), t.clone());
    found.push(("confusion", kernels(Box::new(move || confusion.update(&x2, &t2)))?));
    let (p, y) = (x.select(1, 0), x.select(1, 1));
    let (p2, y2) = (p.clone(), y.clone());
    let mut r2 = R2Score::default();
    found.push(("r2", kernels(Box::new(move || r2.update(&p2, &y2)))?));
    let mut mse = MeanSquaredError::default();
    found.push(("mse", kernels(Box::new(move || mse.update(&p, &y)))?));
    assert_eq!(
        found,
        [("accuracy", 6), ("top k", 8), ("auroc", 3), ("loss", 5), ("confusion", 7), ("r2", 2), ("mse", 2)]
    );
    Ok(())
}

#[test]
fn metrics_in_a_training_step_cost_no_plan_of_their_own() -> Result<()> {
    let Some(_) = gpu() else { return Ok(()) };
    let dev = wgrad::testing::open_gpu(true, false, None)?;
    let (_, _, x, _) = drawn(64, 5, &dev);
    let t = x.argmax(1, false);
    let w = Tensor::eye([5, 5], &dev).requires_grad_(true)?;
    let mut sgd = wgrad::optim::Sgd::new([&w], 0.1);
    let (mut loss, mut accuracy) = (MeanMetric::default(), Accuracy::multiclass(5));
    let mut before = dev.stats();
    for step in 0..6 {
        if step == 3 {
            before = dev.stats();
        }
        let logits = x.matmul(&w);
        let y = logits.cross_entropy(&t);
        sgd.zero_grad();
        y.backward()?;
        loss.add(&y, 64.0);
        accuracy.update(&logits, &t);
        sgd.step()?;
    }
    let after = dev.stats();
    assert_eq!((after.flushes - before.flushes, after.plan_misses - before.plan_misses), (3, 0));
    assert_eq!(after.reads, before.reads);
    assert!(loss.compute()?.is_finite() && accuracy.compute()? > 0.5);
    // What was accumulated holds no graph of the steps.
    drop((sgd, w));
    assert_eq!(dev.stats().nodes, 0);
    Ok(())
}

#[test]
fn the_state_of_metrics_goes_on_to_the_same_bits() {
    on_every_device(|dev| {
        let (_, _, x, t) = drawn(60, 5, dev);
        let parts = |x: &Tensor| [x.narrow(0, 0, 25), x.narrow(0, 25, 35)];
        let (x, t) = (parts(&x), parts(&t));
        let mut whole = classifier();
        whole.update(&x[0], &t[0]);
        let mut resumed = classifier();
        resumed.load_state_dict(&whole.state_dict(), dev)?;
        for metrics in [&mut whole, &mut resumed] {
            metrics.update(&x[1], &t[1]);
        }
        assert_eq!(whole.compute()?, resumed.compute()?);
        let (mut r2, mut again) = (R2Score::default(), R2Score::default());
        r2.update(&x[0], &(&x[0] * 1.5));
        again.load_state_dict(&r2.state_dict(), dev)?;
        assert_eq!(r2.compute()?, again.compute()?);

        let error = classifier().load_state_dict(&Default::default(), dev).unwrap_err().to_string();
        assert_eq!(error, "the state has no count; of the metric accuracy");
        whole.reset();
        assert_eq!(whole.compute().unwrap_err().to_string(), "compute: there was no batch");
        Ok(())
    });
}

#[test]
fn counts_are_exact_beyond_what_floats_hold() {
    on_every_device(|dev| {
        let mut accuracy = Accuracy::multiclass(2);
        accuracy.update(&Tensor::new([0, 1], dev), &Tensor::new([0, 0], dev));
        // As after 2²⁵ + 1 samples, of which all but one were right.
        let (right, all) = ((1 << 25) as f64, ((1 << 25) + 1) as f64);
        let counts = Tensor::new([[1 << 25, 0, 0], [1 << 25, 1, 0], [(1 << 25) + 1, 0, 0]], dev);
        accuracy.state_mut().tensors = vec![counts];
        assert_eq!(accuracy.compute()?, right / all);
        Ok(())
    });
}

#[test]
fn what_is_not_a_number_counts_as_wrong() {
    on_every_device(|dev| {
        let x = Tensor::new([[f32::NAN; 3], [1.0, 0.0, 0.5], [0.5, f32::NAN, 0.0]], dev);
        let mut top2 = Accuracy::multiclass(3).top_k(2);
        top2.update(&x, &Tensor::new([2, 0, 2], dev));
        assert_eq!(top2.compute()?, 1.0 / 3.0);
        let mut auroc = Auroc::binary();
        auroc.update(&Tensor::new([0.5, f32::NAN, 0.25], dev), &Tensor::new([1, 0, 0], dev));
        assert!(auroc.compute()?.is_nan());
        let mut auroc = Auroc::binary();
        auroc.update(&Tensor::new([0.5, 0.25], dev), &Tensor::new([1, 1], dev));
        assert_eq!(auroc.compute()?, 0.0);
        Ok(())
    });
}

#[test]
fn misuse_of_metrics_is_told() {
    let dev = wgrad::testing::open_cpu();
    let x = |shape: &[usize]| Tensor::zeros(shape, &dev);
    let labels = |shape: &[usize]| Tensor::zeros(shape, (&dev, DType::I32));
    let told = |f: &dyn Fn()| {
        let error = catch(f).unwrap_err().to_string();
        assert!(error.contains("metrics.rs"), "{error} names another line");
        error
    };
    let of = |preds: Tensor, target: Tensor| told(&|| Accuracy::multiclass(3).update(&preds, &target));
    assert!(
        of(x(&[4, 2]), labels(&[4]))
            .starts_with("Accuracy: predictions [4, 2] of f32 and targets [4] do not fit Multiclass(3)")
    );
    assert!(of(x(&[4]), labels(&[4])).contains("do not fit"));
    assert!(of(x(&[4, 3]), x(&[4])).starts_with("Accuracy: targets are classes, not f32"));
    assert!(told(&|| drop(Accuracy::multiclass(3).top_k(4))).contains("there are no 4 highest"));
    assert!(told(&|| drop(Precision::multiclass(3).threshold(0.5))).contains("a threshold does not suit"));
    assert!(told(&|| drop(Auroc::multiclass(3).average(Average::Micro))).starts_with("Auroc: "));
    assert!(told(&|| MeanMetric::default().update(&x(&[2]), &x(&[2]))).contains("use `add`"));
    assert!(told(&|| R2Score::default().update(&x(&[2]), &x(&[3]))).contains("do not fit"));
    assert!(told(&|| Auroc::binary().update(&labels(&[2]), &labels(&[2]))).contains("do not fit"));
}
