//! Checkpoints: what they keep, which are kept, what is damaged, and runs that are killed.

use crate::common::{gpu, on_every_device};
use crate::files::folder;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use wgrad::data::{DataLoader, InMemory, LoaderOptions, Shuffle};
use wgrad::io::{Best, Checkpoint, Checkpoints};
use wgrad::nn::{Dropout, Layer, Linear, Module};
use wgrad::optim::{Adam, Schedule, Scheduler};
use wgrad::random::Stream;
use wgrad::{Device, Result, StateDict, Tensor, module};

fn state(x: f32) -> StateDict {
    [("w".to_string(), Tensor::full([3], x, &Device::cpu()))].into_iter().collect()
}

#[test]
fn a_checkpoint_gives_back_every_bit() {
    on_every_device(|dev| {
        let place = folder("checkpoint-bits");
        let checkpoints = Checkpoints::open(&place)?;
        assert!(checkpoints.latest()?.is_none() && checkpoints.best()?.is_none());
        dev.manual_seed(u64::MAX - 3);
        let w = Tensor::rand([5, 3], dev).requires_grad_(true)?;
        let mut adam = Adam::new([&w], 0.1 + 0.2);
        w.square().sum().backward()?;
        adam.step()?;
        let loader = wgrad::data::LoaderState { epoch: u64::MAX, batch: 7 };
        let saved = Checkpoint::new(12)
            .with("model", [("w".to_string(), w.detach())].into_iter().collect())
            .with("optimizer", adam.state_dict())
            .with_rng(dev)
            .with_loader(loader)
            .with_metric(f64::MIN_POSITIVE);
        checkpoints.save(&saved)?;
        let next = Tensor::rand([4], dev).to_vec::<f32>()?;

        let read = checkpoints.latest()?.unwrap();
        assert_eq!((read.step(), read.metric(), read.loader()?), (12, Some(f64::MIN_POSITIVE), loader));
        assert_eq!(read.part("model")?["w"].to_vec::<f32>()?, w.to_vec::<f32>()?);
        let mut other = Adam::new([&w], 0.5);
        other.load_state_dict(read.part("optimizer")?)?;
        assert_eq!(other.lr(), 0.1 + 0.2);
        dev.manual_seed(1);
        read.restore_rng(dev)?;
        assert_eq!(Tensor::rand([4], dev).to_vec::<f32>()?, next);
        let text = read.part("scheduler").unwrap_err().to_string();
        assert_eq!(text, "the checkpoint of step 12 has no part scheduler, but loader, model, optimizer, rng");
        std::fs::remove_dir_all(place).unwrap();
        Ok(())
    });
}

#[test]
fn the_last_and_the_best_are_kept() -> Result<()> {
    let place = folder("checkpoint-kept");
    let open = || Ok::<_, wgrad::Error>(Checkpoints::open(&place)?.keep_last(2).keep_best(Best::Lowest));
    let checkpoints = open()?;
    for (step, metric) in [(1, 5.0), (2, 1.0), (3, f64::NAN), (4, 3.0), (5, 4.0)] {
        checkpoints.save(&Checkpoint::new(step).with("model", state(step as f32)).with_metric(metric))?;
    }
    assert_eq!(checkpoints.steps()?, [2, 4, 5]);
    assert_eq!(checkpoints.best()?.unwrap().step(), 2);
    // The same step again takes the place of the first.
    checkpoints.save(&Checkpoint::new(5).with("model", state(50.0)))?;
    assert_eq!(checkpoints.load(5)?.part("model")?["w"].to_vec::<f32>()?, [50.0; 3]);
    assert_eq!(open()?.keep_best(Best::Highest).best()?.unwrap().step(), 4);

    // What a run that was killed has left is removed, and what it was replacing is put back.
    for name in ["step-00000009.part", "step-00000002.gone"] {
        std::fs::create_dir(place.join(name)).unwrap();
    }
    std::fs::rename(place.join("step-00000005"), place.join("step-00000005.old")).unwrap();
    assert_eq!(open()?.steps()?, [2, 4, 5]);
    let left = std::fs::read_dir(&place).unwrap().filter(|entry| entry.as_ref().unwrap().path().extension().is_some());
    assert_eq!(left.count(), 0);
    std::fs::remove_dir_all(place).unwrap();
    Ok(())
}

#[test]
fn a_damaged_checkpoint_is_refused_and_the_one_before_loads() -> Result<()> {
    let place = folder("checkpoint-damaged");
    let checkpoints = Checkpoints::open(&place)?;
    for step in [1, 2] {
        checkpoints.save(&Checkpoint::new(step).with("model", state(step as f32)))?;
    }
    let last = place.join("step-00000002");
    for name in ["model.safetensors", "manifest"] {
        let (file, mut damage) = (last.join(name), std::fs::read(last.join(name)).unwrap());
        let whole = damage.clone();
        *damage.last_mut().unwrap() ^= 1;
        for bytes in [damage, whole[..whole.len() / 2].to_vec(), Vec::new()] {
            std::fs::write(&file, bytes).unwrap();
            let text = checkpoints.latest().unwrap_err().to_string();
            assert!(text.contains("step-00000002") && text.contains(name) && text.contains("damaged"), "{text}");
            let (found, errors) = checkpoints.latest_whole()?;
            assert_eq!((found.unwrap().step(), errors.len()), (1, 1));
        }
        std::fs::remove_file(&file).unwrap();
        assert!(checkpoints.latest().unwrap_err().to_string().contains(name));
        std::fs::write(&file, whole).unwrap();
    }
    assert_eq!(checkpoints.latest()?.unwrap().step(), 2);
    // What cannot be written leaves what there is: here, a file stands where a folder would.
    std::fs::write(place.join("step-00000003.part"), "in the way").unwrap();
    let text = checkpoints.save(&Checkpoint::new(3).with("model", state(3.0))).unwrap_err().to_string();
    assert!(text.contains("step-00000003.part"), "{text}");
    assert_eq!(checkpoints.latest()?.unwrap().step(), 2);
    std::fs::remove_dir_all(place).unwrap();
    Ok(())
}

struct Net {
    fc1: Linear,
    dropout: Dropout,
    fc2: Linear,
}
module!(Net { fc1, dropout, fc2 });

const STEPS: u64 = 200;

/// Trains a small network from where the folder says, and prints every step, and in the end all parameters' bits.
fn train(place: &Path, dev: &Device) -> Result<()> {
    let draw = Stream { seed: 4, stream: 0 };
    let sample = |i: usize| ([draw.uniform(2 * i) as f32, draw.uniform(2 * i + 1) as f32], (i % 3) as i32);
    let options =
        LoaderOptions { batch_size: 8, sampler: Box::new(Shuffle { seed: 1 }), workers: 2, ..Default::default() };
    let loader = DataLoader::new(InMemory((0..100).map(sample).collect()), dev, options)?;
    dev.manual_seed(9);
    let net = Net { fc1: Linear::new(2, 16, dev), dropout: Dropout::new(0.2), fc2: Linear::new(16, 3, dev) };
    let mut adam = Adam::new(&net.parameters(), 0.01);
    let mut scheduler = Scheduler::new(&mut adam, Schedule::Exponential { gamma: 0.995 });
    let checkpoints = Checkpoints::open(place)?.keep_last(2);
    let mut step = 0;
    if let Some(checkpoint) = checkpoints.latest()? {
        step = checkpoint.step();
        net.load_state_dict(checkpoint.part("model")?)?;
        adam.load_state_dict(checkpoint.part("optimizer")?)?;
        scheduler.load_state_dict(&mut adam, checkpoint.part("scheduler")?)?;
        loader.load_state(checkpoint.loader()?);
        checkpoint.restore_rng(dev)?;
    }
    while step < STEPS {
        for batch in &loader {
            let (x, y) = batch?;
            adam.zero_grad();
            net.fc2.forward(&net.dropout.forward(&net.fc1.forward(&x).tanh())).cross_entropy(&y).backward()?;
            adam.step()?;
            scheduler.step(&mut adam);
            step += 1;
            if step % 5 == 0 {
                let checkpoint = Checkpoint::new(step)
                    .with("model", net.state_dict())
                    .with("optimizer", adam.state_dict())
                    .with("scheduler", scheduler.state_dict())
                    .with_loader(loader.state())
                    .with_rng(dev);
                checkpoints.save(&checkpoint)?;
            }
            println!("step {step}");
            if step == STEPS {
                break;
            }
        }
    }
    let bits = net.parameters().iter().map(|p| p.to_vec::<f32>()).collect::<Result<Vec<_>>>()?;
    println!("bits {:?}", bits.concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    Ok(())
}

/// This test, in a process of its own, as the run to be killed.
fn run(name: &str, place: &Path, device: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("WGRAD_CHECKPOINT_RUN", place)
        .env("WGRAD_DEVICE", device)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Reads what a run prints, and kills it after so many steps and microseconds; gives its bits, if it ended.
fn killed(mut run: Child, steps: usize, micros: u64) -> Option<String> {
    let lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::<_, _>::ok);
    let (mut seen, mut bits) = (0, None);
    for line in lines {
        // The runner's own words may stand before.
        if line.contains("step ") {
            seen += 1;
        } else if let Some((_, found)) = line.split_once("bits ") {
            bits = Some(found.to_string());
        }
        if seen == steps {
            std::thread::sleep(std::time::Duration::from_micros(micros));
            run.kill().unwrap();
            break;
        }
    }
    run.wait().unwrap();
    bits
}

fn runs_end_alike(name: &str, device: &str, times: u64) {
    if let Some(place) = std::env::var_os("WGRAD_CHECKPOINT_RUN") {
        return train(place.as_ref(), &Device::best().unwrap()).unwrap();
    }
    let whole = folder(&format!("killed-{device}"));
    let expected = killed(run(name, &whole, device), usize::MAX, 0).expect("a run that nobody kills ends");
    std::fs::remove_dir_all(whole).unwrap();
    for seed in 0..times {
        let (place, draw) = (folder(&format!("killed-{device}-{seed}")), Stream { seed, stream: 1 });
        let ended = (0..).find_map(|i| {
            let (steps, micros) =
                (1 + (draw.uniform(2 * i) * 120.0) as usize, (draw.uniform(2 * i + 1) * 4000.0) as u64);
            killed(run(name, &place, device), steps, micros)
        });
        assert_eq!(ended.unwrap(), expected, "seed {seed}");
        std::fs::remove_dir_all(place).unwrap();
    }
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_bit() {
    let long = std::env::var_os("WGRAD_LONG").is_some();
    runs_end_alike("checkpoints::a_run_that_is_killed_goes_on_to_the_same_bit", "cpu", if long { 200 } else { 20 });
}

#[test]
fn a_run_that_is_killed_goes_on_to_the_same_bit_on_a_gpu() {
    let Some(gpu) = gpu() else { return };
    let name = gpu.name().split(' ').next().unwrap().to_string();
    runs_end_alike("checkpoints::a_run_that_is_killed_goes_on_to_the_same_bit_on_a_gpu", &name, 2);
}
