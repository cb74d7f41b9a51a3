//! Files: what PyTorch and NumPy wrote, what we write, and what is damaged. `tests/interop/files.py` made the former.

use crate::common::on_every_device;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wgrad::io::*;
use wgrad::{DType, Device, Error, Result, Tensor};

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/files").join(name)
}

/// A folder of a test's own, empty.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wgrad-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What the script wrote: name, shape, dtype where it is kept, values.
const WRITTEN: [(&str, &[usize], DType, &[f64]); 9] = [
    ("fc.weight", &[2, 3], DType::F32, &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
    ("fc.transposed", &[3, 2], DType::F32, &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]),
    ("fc.part", &[2], DType::F32, &[1.0, 4.0]),
    ("scale", &[], DType::F64, &[0.5]),
    ("half", &[2], DType::F16, &[1.5, -2.0]),
    ("brain", &[2], DType::BF16, &[1.5, -2.0]),
    ("steps", &[2], DType::I32, &[3.0, -4.0]),
    ("mask", &[2], DType::Bool, &[1.0, 0.0]),
    ("empty", &[0, 3], DType::F32, &[]),
];

fn check(read: &BTreeMap<String, Tensor>, dev: &Device, brain: DType) {
    assert_eq!(read.len(), WRITTEN.len());
    for (name, shape, dtype, values) in WRITTEN {
        let x = &read[name];
        let dtype = match dtype {
            DType::F64 if dev.name() != "cpu" => DType::F32,
            DType::BF16 => brain,
            other => other,
        };
        assert_eq!((x.shape(), x.dtype()), (shape, dtype), "{name}");
        assert_eq!(x.to_data().unwrap().to_f64(), values, "{name}");
    }
}

#[test]
fn what_others_wrote_is_read() {
    on_every_device(|dev| {
        check(&load_pt(fixture("tensors.pt"), dev)?, dev, DType::BF16);
        check(&load_npz(fixture("arrays.npz"), dev)?, dev, DType::F32);
        check(&load_npz(fixture("packed.npz"), dev)?, dev, DType::F32);
        let x = load_npy(fixture("fortran.npy"), dev)?;
        assert_eq!((x.shape(), x.to_vec::<f32>()?), (&[2, 3][..], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));

        let checkpoint = load_pt(fixture("checkpoint.pt"), dev)?;
        let names: Vec<&str> = checkpoint.keys().map(String::as_str).collect();
        let state = ["exp_avg", "exp_avg_sq", "step"];
        let mut expected: Vec<String> =
            (0..2).flat_map(|i| state.map(|name| format!("optimizer.state.{i}.{name}"))).collect();
        expected.extend(["model.bias", "model.weight", "epoch"].map(String::from));
        // Numbers are read too: of these options, those that PyTorch's optimizer has and that are not None.
        let options = ["lr", "betas.0", "betas.1", "eps", "weight_decay", "amsgrad", "maximize", "capturable"];
        let others = ["decoupled_weight_decay", "differentiable", "params.0", "params.1"];
        expected.extend(options.iter().chain(&others).map(|name| format!("optimizer.param_groups.0.{name}")));
        expected.sort();
        assert_eq!(names, expected);
        assert_eq!(checkpoint["optimizer.state.0.step"].item()?, 1.0);
        let number = |name: &str| checkpoint[name].item();
        assert_eq!((number("epoch")?, number("optimizer.param_groups.0.betas.1")?), (3.0, 0.999));
        let parameters = load_pt(fixture("parameters.pt"), dev)?;
        assert_eq!((parameters["0"].shape(), parameters["1"].shape()), (&[2, 2][..], &[2][..]));
        Ok(())
    });
}

/// The tensors that the script expects back.
fn tensors(dev: &Device) -> Vec<(String, Tensor)> {
    let made = WRITTEN.iter().map(|(name, shape, dtype, values)| {
        let dtype = if *dtype == DType::F64 && dev.name() != "cpu" { DType::F32 } else { *dtype };
        (name.to_string(), Tensor::from_slice(values, *shape, (dev, DType::F32)).cast(dtype))
    });
    let mut made: Vec<_> = made.collect();
    // As a view, which is written in our order.
    made[1].1 = made[0].1.t();
    made
}

#[test]
fn what_is_written_is_read_again() {
    on_every_device(|dev| {
        let own = folder(&format!("files-{}", dev.name().split(' ').next().unwrap()));
        let out = std::env::var_os("WGRAD_INTEROP").map_or(own.clone(), PathBuf::from);
        let all = tensors(dev);
        save_safetensors(out.join("all.safetensors"), &all)?;
        check(&load_safetensors(out.join("all.safetensors"), dev)?, dev, DType::BF16);
        save_npz(out.join("all.npz"), &all)?;
        check(&load_npz(out.join("all.npz"), dev)?, dev, DType::F32);
        for (name, x) in &all {
            let path = out.join(format!("{name}.npy"));
            save_npy(&path, x)?;
            let y = load_npy(&path, dev)?;
            assert_eq!((x.shape(), x.to_data()?.to_f64()), (y.shape(), y.to_data()?.to_f64()), "{name}");
        }
        // Nothing is left beside the files.
        let left: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.iter().all(|path| path.extension().unwrap() != "part"), "{left:?}");
        std::fs::remove_dir_all(own).unwrap();
        Ok(())
    });
}

#[track_caller]
fn says<T>(result: Result<T>, parts: &[&str]) {
    let error: Error = result.map(drop).unwrap_err();
    let text = error.to_string();
    assert!(error.is_data() && parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn what_cannot_be_read_is_an_error_with_the_file() {
    let dev = Device::cpu();
    says(load_pt(fixture("legacy.pt"), &dev), &["legacy.pt", "before 1.6", "torch.save it again"]);
    says(load_pt(fixture("arrays.npz"), &dev), &["arrays.npz", "no data.pkl"]);
    says(load_npy(fixture("large.npy"), &dev), &["large.npy", "1099511627776", "i32 cannot"]);
    says(load_npy(fixture("text.npy"), &dev), &["text.npy", "type <U6"]);
    says(load_npy(fixture("arrays.npz"), &dev), &["arrays.npz", "no NPY file"]);
    says(load_safetensors(fixture("fortran.npy"), &dev), &["fortran.npy", "no safetensors"]);
    says(load_safetensors("missing.safetensors", &dev), &["missing.safetensors", "No such file"]);
    let nowhere = Path::new("no/such/folder/x.safetensors");
    says(save_safetensors(nowhere, &tensors(&dev)), &["no/such/folder/x.safetensors", "No such file"]);
}

type Load = fn(&Path, &Device) -> Result<()>;

#[test]
fn damaged_files_are_errors_and_never_panics() {
    let dev = Device::cpu();
    let place = folder("damaged");
    save_safetensors(place.join("x.safetensors"), &tensors(&dev)).unwrap();
    let all: [(PathBuf, Load); 4] = [
        (fixture("tensors.pt"), |path, dev| load_pt(path, dev).map(drop)),
        (fixture("packed.npz"), |path, dev| load_npz(path, dev).map(drop)),
        (fixture("fortran.npy"), |path, dev| load_npy(path, dev).map(drop)),
        (place.join("x.safetensors"), |path, dev| load_safetensors(path, dev).map(drop)),
    ];
    for (path, load) in all {
        let whole = std::fs::read(&path).unwrap();
        let damaged = place.join("cut short");
        for n in (0..whole.len()).step_by(7) {
            std::fs::write(&damaged, &whole[..n]).unwrap();
            let text = load(&damaged, &dev).unwrap_err().to_string();
            assert!(text.contains("cut short"), "{n} of {} bytes of {}: {text}", whole.len(), path.display());
        }
        // A wrong byte may go unnoticed, but does no harm.
        for n in (0..whole.len()).step_by(3) {
            let mut bytes = whole.clone();
            bytes[n] ^= 0x55;
            std::fs::write(&damaged, &bytes).unwrap();
            let _ = load(&damaged, &dev);
        }
    }
    std::fs::remove_dir_all(place).unwrap();
}
