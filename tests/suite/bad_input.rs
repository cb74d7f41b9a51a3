//! What comes from outside and is wrong: the error says what and where, and what was trained before stays usable. Files,
//! loaders, checkpoints and states have such tests beside their others.

use crate::common::on_every_device;
use std::path::Path;
use wgrad::train::*;
use wgrad::{Result, Tensor};

fn fed<M: Metric>(mut metric: M, preds: &Tensor, target: &Tensor) -> Result<M::Value> {
    metric.update(preds, target);
    metric.compute()
}

#[test]
fn labels_that_are_no_class_are_told_when_a_metric_is_read() {
    on_every_device(|dev| {
        let told = |p: [i32; 3], t: [i32; 3]| {
            let (p, t) = (Tensor::new(p, dev), Tensor::new(t, dev));
            let accuracy = fed(Accuracy::multiclass(3).ignore_index(9), &p, &t).err();
            let confusion = fed(ConfusionMatrix::multiclass(3).ignore_index(9), &p, &t).err();
            let texts = [accuracy, confusion].map(|error| error.map(|error| error.to_string()));
            assert_eq!(texts[0], texts[1].as_ref().map(|text| text.replace("ConfusionMatrix", "Accuracy")));
            texts.into_iter().next().flatten()
        };
        let text = |targets, predictions| {
            Some(format!("Accuracy: {targets} targets and {predictions} predictions are none of the 3 classes"))
        };
        assert_eq!(told([0, 1, 2], [0, 2, 1]), None);
        // What does not count may be read as anything.
        assert_eq!(told([0, 7, 2], [0, 9, 1]), None);
        assert_eq!(told([3, -1, 2], [0, 2, 1]), text(0, 2));
        assert_eq!(told([0, 1, 2], [3, 2, -1]), text(2, 0));
        assert_eq!(told([4, 1, 2], [4, 2, 1]), text(1, 1));

        let scores = Tensor::new([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25]], dev);
        for (labels, n) in [([0, 3], 1), ([-1, 5], 2)] {
            let labels = Tensor::new(labels, dev);
            let error = fed(Auroc::multiclass(3), &scores, &labels).unwrap_err().to_string();
            assert_eq!(error, format!("Auroc: {n} targets and 0 predictions are none of the 3 classes"));
            let error = fed(Auroc::binary(), &scores.select(1, 0), &labels).unwrap_err().to_string();
            assert_eq!(error, format!("Auroc: {n} targets and 0 predictions are none of the 2 classes"));
        }
        assert!(fed(Auroc::multiclass(3).ignore_index(-1), &scores, &Tensor::new([0, -1], dev)).is_ok());
        Ok(())
    });
}

#[test]
fn what_is_not_enough_or_no_number_is_told() {
    // The mean of 1, NaN, 3 and NaN with the weights 1, 8, 3 and 2, as torchmetrics has it.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files/metrics.json");
    let fixture: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let expected = |name: &str| fixture["expected"][name].as_str().unwrap().parse::<f64>().unwrap();
    on_every_device(|dev| {
        let one = Tensor::new([1.0], dev);
        let error = fed(R2Score::default(), &one, &one).unwrap_err().to_string();
        assert_eq!(error, "R2Score: at least two samples are needed, and there is one");
        let mut metrics = Metrics::new().with("r2", R2Score::default());
        metrics.update(&one, &one);
        assert_eq!(metrics.compute().unwrap_err().to_string(), error);

        let mean = |strategy| {
            let mut mean = MeanMetric::default().nan_strategy(strategy);
            for (x, weight) in [(1.0, 1.0), (f32::NAN, 8.0), (3.0, 3.0), (f32::NAN, 2.0)] {
                mean.add(&Tensor::new([x], dev), weight);
            }
            mean.compute()
        };
        assert_eq!(mean(NanStrategy::Ignore)?, expected("mean/ignore"));
        assert_eq!(mean(NanStrategy::Warn)?, expected("mean/ignore"));
        assert!(mean(NanStrategy::Disable)?.is_nan() && expected("mean/disable").is_nan());
        assert_eq!(mean(NanStrategy::Error).unwrap_err().to_string(), "MeanMetric: a number is NaN");
        Ok(())
    });
}
