//! Checkpoints: everything that a run needs to go on to the same bit, in a folder that is there whole or not at all.
//!
//! # Note: what a kill at any moment leaves
//! A checkpoint is written into a folder of another name (`.part`), each file to the disk, and renamed when it is complete;
//! one that is replaced waits beside it (`.old`), one that is to go is renamed before it is deleted (`.gone`). So under the name of a checkpoint there is a whole one, and what is left of
//! others is removed when the folder is opened again. Checksums find what the disk has changed since.

use super::{failed, load_safetensors, save_safetensors, wrong};
use crate::data::LoaderState;
use crate::error::{Error, Kind, Result};
use crate::state::{StateDict, from_words, words};
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The parts of a run's state, by name: the state dicts of the model, the optimizer, schedulers, averages; the place of the
/// loader; the random numbers of the device.
///
/// ```
/// use wgrad::io::{Checkpoint, Checkpoints};
/// use wgrad::{Device, Tensor, optim::Adam};
/// let dev = Device::cpu();
/// # let folder = std::env::temp_dir().join(format!("wgrad-checkpoint-{}", std::process::id()));
/// let w = Tensor::randn([2], &dev).requires_grad_(true)?;
/// let mut adam = Adam::new([&w], 0.1);
/// let checkpoints = Checkpoints::open(&folder)?.keep_last(3);
/// if let Some(checkpoint) = checkpoints.latest()? {
///     adam.load_state_dict(checkpoint.part("optimizer")?)?;
///     checkpoint.restore_rng(&dev)?;
/// }
/// for step in 0..10 {
///     adam.zero_grad();
///     w.square().sum().backward()?;
///     adam.step()?;
///     if step % 5 == 4 {
///         let checkpoint = Checkpoint::new(step + 1).with("optimizer", adam.state_dict()).with_rng(&dev);
///         checkpoints.save(&checkpoint)?;
///     }
/// }
/// assert_eq!(checkpoints.steps()?, [5, 10]);
/// # std::fs::remove_dir_all(folder).unwrap();
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Checkpoint {
    step: u64,
    metric: Option<f64>,
    parts: BTreeMap<String, StateDict>,
}

impl Checkpoint {
    /// An empty checkpoint after so many steps.
    pub fn new(step: u64) -> Checkpoint {
        Checkpoint { step, ..Checkpoint::default() }
    }

    /// With the number by which [`Checkpoints::keep_best`] chooses.
    pub fn with_metric(mut self, metric: f64) -> Checkpoint {
        self.metric = Some(metric);
        self
    }

    /// With a part.
    pub fn with(mut self, name: &str, state: StateDict) -> Checkpoint {
        self.parts.insert(name.to_string(), state);
        self
    }

    /// With the random numbers of a device.
    pub fn with_rng(self, device: &Device) -> Checkpoint {
        let state = [("state".to_string(), device.rng_state())].into_iter().collect();
        self.with("rng", state)
    }

    /// With the place of a loader.
    pub fn with_loader(self, state: LoaderState) -> Checkpoint {
        let place = words([state.epoch, state.batch as u64]);
        self.with("loader", [("state".to_string(), place)].into_iter().collect())
    }

    /// After how many steps it was made.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The number it was saved with.
    pub fn metric(&self) -> Option<f64> {
        self.metric
    }

    /// A part.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn part(&self, name: &str) -> Result<&StateDict> {
        self.parts.get(name).ok_or_else(|| {
            let parts: Vec<&str> = self.parts.keys().map(String::as_str).collect();
            let what = format!("the checkpoint of step {} has no part {name}, but {}", self.step, parts.join(", "));
            Error::new(Kind::Data, what)
        })
    }

    /// Lets a device's random numbers go on.
    ///
    /// # Errors
    /// If the checkpoint has none.
    pub fn restore_rng(&self, device: &Device) -> Result<()> {
        device.set_rng_state(entry(self.part("rng")?)?)
    }

    /// The place of the loader.
    ///
    /// # Errors
    /// If the checkpoint has none.
    pub fn loader(&self) -> Result<LoaderState> {
        let [epoch, batch] = from_words(entry(self.part("loader")?)?)?;
        Ok(LoaderState { epoch, batch: batch as usize })
    }
}

fn entry(part: &StateDict) -> Result<&Tensor> {
    part.get("state").ok_or_else(|| Error::new(Kind::Data, "the part has no entry named state"))
}

/// A folder of checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    last: usize,
    best: Option<Best>,
}

/// Which metric is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Best {
    /// The lowest: a loss.
    Lowest,
    /// The highest: an accuracy.
    Highest,
}

impl Checkpoints {
    /// Opens a folder, which is made if it is not there, and removes what a run that was killed has left half-made.
    ///
    /// # Errors
    /// If the folder cannot be made, read or written.
    pub fn open(folder: impl AsRef<Path>) -> Result<Checkpoints> {
        let folder = folder.as_ref().to_path_buf();
        fs::create_dir_all(&folder).map_err(|e| failed(&folder, e))?;
        for entry in fs::read_dir(&folder).map_err(|e| failed(&folder, e))? {
            let path = entry.map_err(|e| failed(&folder, e))?.path();
            let done = match path.extension().and_then(|extension| extension.to_str()) {
                Some("old") if !path.with_extension("").exists() => fs::rename(&path, path.with_extension("")),
                Some("part" | "old" | "gone") => fs::remove_dir_all(&path),
                _ => Ok(()),
            };
            done.map_err(|e| failed(&path, e))?;
        }
        Ok(Checkpoints { folder, last: usize::MAX, best: None })
    }

    /// Keeps only the last `n`, and the best if that is asked for.
    pub fn keep_last(mut self, n: usize) -> Checkpoints {
        self.last = n.max(1);
        self
    }

    /// Keeps the checkpoint with the best metric as well.
    pub fn keep_best(mut self, best: Best) -> Checkpoints {
        self.best = Some(best);
        self
    }

    /// The steps that there are checkpoints of, in order.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn steps(&self) -> Result<Vec<u64>> {
        let entries = fs::read_dir(&self.folder).map_err(|e| failed(&self.folder, e))?;
        let step = |name: String| name.strip_prefix("step-")?.parse().ok();
        let mut steps: Vec<u64> =
            entries.filter_map(|entry| step(entry.ok()?.file_name().to_string_lossy().into_owned())).collect();
        steps.sort();
        Ok(steps)
    }

    /// Saves a checkpoint; one of the same step is replaced. It waits for the values. Then those that are not to be kept go.
    ///
    /// # Errors
    /// If a value cannot be computed, or a file not be written: the checkpoints there are stay as they were.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let path = self.path(checkpoint.step);
        let part = path.with_extension("part");
        let _ = fs::remove_dir_all(&part);
        fs::create_dir(&part).map_err(|e| failed(&part, e))?;
        let written = self.write(checkpoint, &part).and_then(|()| {
            let old = path.with_extension("old");
            let _ = fs::remove_dir_all(&old);
            if path.exists() {
                fs::rename(&path, &old).map_err(|e| failed(&path, e))?;
            }
            fs::rename(&part, &path).map_err(|e| failed(&path, e))?;
            remove(&old)?;
            File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|e| failed(&self.folder, e))
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(&part);
        }
        written?;
        self.forget()?;
        Ok(path)
    }

    /// The last checkpoint; `None` if there is none.
    ///
    /// # Errors
    /// If it is damaged: [`Checkpoints::load`] reads the one before.
    pub fn latest(&self) -> Result<Option<Checkpoint>> {
        self.steps()?.last().map(|&step| self.load(step)).transpose()
    }

    /// The checkpoint with the best metric; `None` if none has one.
    ///
    /// # Errors
    /// If it is damaged.
    pub fn best(&self) -> Result<Option<Checkpoint>> {
        self.best_step()?.map(|step| self.load(step)).transpose()
    }

    /// The last checkpoint that is whole, and the errors of those after it.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn latest_whole(&self) -> Result<(Option<Checkpoint>, Vec<Error>)> {
        let mut errors = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match self.load(step) {
                Ok(checkpoint) => return Ok((Some(checkpoint), errors)),
                Err(error) => errors.push(error),
            }
        }
        Ok((None, errors))
    }

    /// Reads the checkpoint of a step. Its tensors are on the CPU; whoever loads them takes them to the device.
    ///
    /// # Errors
    /// If there is none, or it is damaged: with the file.
    pub fn load(&self, step: u64) -> Result<Checkpoint> {
        let path = self.path(step);
        let Manifest { metric, files } = Manifest::read(&path)?;
        let mut checkpoint = Checkpoint { step, metric, ..Checkpoint::default() };
        for (sum, name) in files {
            let file = path.join(format!("{name}.safetensors"));
            if checksum(&file)? != sum {
                return Err(wrong(&file, "is damaged: its checksum is another than when it was written"));
            }
            checkpoint.parts.insert(name, load_safetensors(&file, &Device::cpu())?);
        }
        Ok(checkpoint)
    }

    fn path(&self, step: u64) -> PathBuf {
        self.folder.join(format!("step-{step:08}"))
    }

    fn write(&self, checkpoint: &Checkpoint, folder: &Path) -> Result<()> {
        let mut manifest = Manifest { metric: checkpoint.metric, files: Vec::new() };
        for (name, state) in &checkpoint.parts {
            let file = folder.join(format!("{name}.safetensors"));
            let tensors: Vec<_> = state.iter().map(|(name, x)| (name.clone(), x.clone())).collect();
            save_safetensors(&file, &tensors)?;
            manifest.files.push((checksum(&file)?, name.clone()));
        }
        manifest.write(folder)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| failed(folder, e))
    }

    fn forget(&self) -> Result<()> {
        let steps = self.steps()?;
        let best = if self.best.is_some() { self.best_step()? } else { None };
        for &step in &steps[..steps.len().saturating_sub(self.last)] {
            if Some(step) != best {
                remove(&self.path(step))?;
            }
        }
        Ok(())
    }

    fn best_step(&self) -> Result<Option<u64>> {
        let metric = |step| Manifest::read(&self.path(step)).ok()?.metric.filter(|x| !x.is_nan()).map(|x| (step, x));
        let all: Vec<(u64, f64)> = self.steps()?.into_iter().filter_map(metric).collect();
        let order = |a: &&(u64, f64), b: &&(u64, f64)| a.1.total_cmp(&b.1);
        let best = match self.best {
            Some(Best::Highest) => all.iter().max_by(order),
            _ => all.iter().min_by(order),
        };
        Ok(best.map(|(step, _)| *step))
    }
}

/// Takes a folder away, under another name first.
fn remove(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let gone = path.with_extension("gone");
    let _ = fs::remove_dir_all(&gone);
    fs::rename(path, &gone).and_then(|()| fs::remove_dir_all(&gone)).map_err(|e| failed(path, e))
}

/// What stands beside the parts, as lines of text: the metric, and the checksum and name of each part.
struct Manifest {
    metric: Option<f64>,
    files: Vec<(u32, String)>,
}

impl Manifest {
    fn write(&self, folder: &Path) -> Result<()> {
        let metric = self.metric.map(|x| format!("metric {x}\n")).unwrap_or_default();
        let files: String = self.files.iter().map(|(sum, name)| format!("{sum:08x} {name}\n")).collect();
        let text = metric + &files;
        let own = crc32fast::hash(text.as_bytes());
        super::write_whole(&folder.join("manifest"), |file| {
            write!(file, "{own:08x} manifest\n{text}").map_err(|e| failed(folder, e))
        })
    }

    fn read(folder: &Path) -> Result<Manifest> {
        let path = folder.join("manifest");
        let text = fs::read_to_string(&path).map_err(|e| failed(&path, e))?;
        let damaged = || wrong(&path, "is damaged");
        let (own, rest) = text.split_once(" manifest\n").ok_or_else(damaged)?;
        if u32::from_str_radix(own, 16) != Ok(crc32fast::hash(rest.as_bytes())) {
            return Err(damaged());
        }
        let mut manifest = Manifest { metric: None, files: Vec::new() };
        for line in rest.lines() {
            let (first, name) = line.split_once(' ').ok_or_else(damaged)?;
            match first {
                "metric" => manifest.metric = Some(name.parse().map_err(|_| damaged())?),
                sum => manifest.files.push((u32::from_str_radix(sum, 16).map_err(|_| damaged())?, name.to_string())),
            }
        }
        Ok(manifest)
    }
}

fn checksum(file: &Path) -> Result<u32> {
    Ok(crc32fast::hash(&fs::read(file).map_err(|e| failed(file, e))?))
}
