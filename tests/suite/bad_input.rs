//! What comes from outside and is wrong: the error says what and where, and what was trained before stays usable. Files,
//! loaders, checkpoints and states have such tests beside their others.

use crate::common::{on_every_device, own_devices};
use crate::files::folder;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wgrad::io::*;
use wgrad::nn::{Layer, Linear, Module};
use wgrad::optim::Sgd;
use wgrad::train::*;
use wgrad::{DType, Device, Result, StateDict, Tensor};

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

#[test]
fn weights_of_another_kind_are_named() {
    on_every_device(|dev| {
        let net = Linear::new(2, 1, dev);
        let mut state = net.state_dict();
        state.insert("bias".into(), Tensor::new([3], dev));
        let text = net.load_state_dict(&state).unwrap_err().to_string();
        assert_eq!(text, "load_state_dict: bias holds i32 instead of f32");
        assert_eq!(net.load_matching(&state)?.mis_typed, [("bias".to_string(), DType::I32, DType::F32)]);
        // Floats of another size are converted, as in PyTorch, before they move to a device that may not have them.
        state.insert("bias".into(), Tensor::new([3.0], (&Device::cpu(), DType::F64)));
        net.load_state_dict(&state)?;
        assert_eq!(net.bias.as_ref().unwrap().to_vec::<f32>()?, [3.0]);
        Ok(())
    });
}

#[test]
fn a_label_out_of_range_is_told_with_the_line_and_the_network_stays() {
    for dev in own_devices() {
        let net = Linear::new(2, 3, &dev);
        let mut sgd = Sgd::new(&net.parameters(), 0.1);
        let x = Tensor::ones([2, 2], &dev);
        let before = net.weight.to_vec::<f32>().unwrap();
        let error = net.forward(&x).cross_entropy(&Tensor::new([0, 7], &dev)).item().unwrap_err().to_string();
        for part in ["out of range for dimension 1 of size 3", "bad_input.rs"] {
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(net.weight.to_vec::<f32>().unwrap(), before, "on {}", dev.name());

        net.forward(&x).cross_entropy(&Tensor::new([0, 7], &dev)).backward().unwrap();
        let step = sgd.step();
        if dev.name() == "cpu" || dev.name().starts_with("twin") {
            assert!(step.unwrap_err().to_string().contains("out of range"), "on {}", dev.name());
            assert_eq!(net.weight.to_vec::<f32>().unwrap(), before, "on {}", dev.name());
        } else {
            // The nearest class was taken, and the next read says so, once.
            assert!(net.weight.to_vec::<f32>().unwrap_err().to_string().contains("out of range"));
            assert!(net.weight.to_vec::<f32>().unwrap().iter().all(|x| x.is_finite()));
        }
        sgd.zero_grad();
        let before = net.weight.to_vec::<f32>().unwrap();
        net.forward(&x).cross_entropy(&Tensor::new([0, 2], &dev)).backward().unwrap();
        sgd.step().unwrap();
        assert_ne!(net.weight.to_vec::<f32>().unwrap(), before, "on {}", dev.name());
    }
}

/// A state of so many bytes.
fn state(x: f32, bytes: usize) -> StateDict {
    [("w".to_string(), Tensor::full([bytes / 4], x, &Device::cpu()).copy())].into_iter().collect()
}

/// What a full disk does to a checkpoint and to a file; the process may write files of 8 blocks and no larger ones.
fn fill(place: &Path) -> Result<()> {
    let checkpoints = Checkpoints::open(place.join("checkpoints"))?;
    checkpoints.save(&Checkpoint::new(1).with("model", state(1.0, 64)))?;
    let large = state(2.0, 1 << 20);
    let text = checkpoints.save(&Checkpoint::new(2).with("model", large.clone())).unwrap_err().to_string();
    assert!(text.contains("model.safetensors: ") && text.contains("too large"), "{text}");
    assert_eq!(checkpoints.steps()?, [1]);
    assert_eq!(checkpoints.latest()?.unwrap().part("model")?["w"].to_vec::<f32>()?, [1.0; 16]);
    // What is in memory is as it was, and can be saved where there is room.
    assert_eq!(large["w"].to_vec::<f32>()?[7], 2.0);
    checkpoints.save(&Checkpoint::new(3).with("model", state(3.0, 64)))?;

    let path = place.join("w.safetensors");
    save_safetensors(&path, &Vec::from_iter(state(4.0, 64)))?;
    let text = save_safetensors(&path, &Vec::from_iter(large)).unwrap_err().to_string();
    assert!(text.contains("w.safetensors: ") && text.contains("too large"), "{text}");
    assert_eq!(load_safetensors(&path, &Device::cpu())?["w"].to_vec::<f32>()?, [4.0; 16]);
    let left: Vec<_> = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    println!("filled");
    Ok(())
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_what_there_is() {
    if let Some(place) = std::env::var_os("WGRAD_FULL_DISK") {
        return fill(place.as_ref()).unwrap();
    }
    // In a process of its own, which a signal would end otherwise.
    let place = folder("full");
    let limited = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "bad_input::a_full_disk_leaves_what_there_is", "--nocapture", "--test-threads=1"])
        .env("WGRAD_FULL_DISK", &place)
        .output()
        .unwrap();
    let said = [limited.stdout, limited.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(limited.status.success() && said.contains("filled"), "{said}");
    std::fs::remove_dir_all(place).unwrap();
}

/// A folder that nobody can write into.
#[cfg(target_os = "linux")]
fn read_only() -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let place = folder("read-only");
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write wherever there is a disk.
    if std::fs::write(place.join("x"), "").is_ok() { "/proc/self".into() } else { place }
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_folder_is_named() -> Result<()> {
    let place = read_only();
    let net = Linear::new(2, 1, &Device::cpu());
    let weights: Vec<(String, Tensor)> = net.state_dict().into_iter().collect();
    let named = |result: Result<()>, name: &str| {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(&format!("{}: ", place.join(name).display())), "{text}");
    };
    named(Checkpoints::open(place.join("checkpoints")).map(drop), "checkpoints");
    named(save_safetensors(place.join("w.safetensors"), &weights), "w.safetensors");
    named(save_npz(place.join("w.npz"), &weights), "w.npz");
    named(save_npy(place.join("w.npy"), &net.weight), "w.npy");
    named(Log::new().json_lines(place.join("log.jsonl")).map(drop), "log.jsonl");
    let elsewhere = folder("writable").join("w.safetensors");
    save_safetensors(&elsewhere, &weights)?;
    let read: BTreeMap<String, Tensor> = load_safetensors(&elsewhere, &Device::cpu())?;
    assert_eq!(read["weight"].to_vec::<f32>()?, net.weight.to_vec::<f32>()?);
    Ok(())
}
