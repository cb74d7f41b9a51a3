//! The loader: batches of a set, in the order of a sampler, made ahead of time by threads.

use super::sampler::{Sampler, Sequential};
use super::sets::Dataset;
use super::stack::Collate;
use crate::error::{Error, Kind, Result, misuse};
use crate::tensor::device::Device;
use parking_lot::Mutex;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

/// How a [`DataLoader`] makes its batches.
pub struct LoaderOptions {
    /// Samples per batch: 1.
    pub batch_size: usize,
    /// Which samples, in which order: all, as they come.
    pub sampler: Box<dyn Sampler>,
    /// Whether a last batch that is smaller is left out: no.
    pub drop_last: bool,
    /// How many threads read and collate: 0, which does it where the batch is asked for.
    pub workers: usize,
    /// How many batches each thread may be ahead: 2.
    pub prefetch: usize,
    /// What a sample that cannot be read does: it ends the epoch with its error.
    pub bad_sample: BadSample,
}

impl Default for LoaderOptions {
    fn default() -> LoaderOptions {
        LoaderOptions {
            batch_size: 1,
            sampler: Box::new(Sequential),
            drop_last: false,
            workers: 0,
            prefetch: 2,
            bad_sample: BadSample::Fail,
        }
    }
}

/// What a sample that cannot be read does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSample {
    /// Its error is the batch.
    Fail,
    /// It is left out of its batch, and counted: [`DataLoader::skipped`]. A batch of nothing else is left out.
    Skip,
}

/// Where a loader is: what a checkpoint keeps of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoaderState {
    /// The epoch that runs, or that comes next.
    pub epoch: u64,
    /// How many batches of it have been given.
    pub batch: usize,
}

/// Batches of a set on a device. Every run over the loader is an epoch; with [`DataLoader::load_state`] the next one goes on in
/// the middle, and shows exactly the batches that were left.
///
/// Source: [torch.utils.data.DataLoader](https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader).
pub struct DataLoader<D> {
    set: Arc<D>,
    device: Device,
    options: LoaderOptions,
    state: Mutex<LoaderState>,
    /// Whether the next epoch begins where the state says.
    resumes: Mutex<bool>,
    skipped: Arc<Mutex<usize>>,
}

type Batch<D> = <<D as Dataset>::Item as Collate>::Batch;

impl<D: Dataset + 'static> DataLoader<D> {
    /// A loader at the beginning of epoch 0.
    ///
    /// # Errors
    /// If an epoch would have no batch: the set is empty, or smaller than a batch that may not be smaller.
    ///
    /// # Panics
    /// If the batch size is 0.
    #[track_caller]
    pub fn new(set: D, device: &Device, options: LoaderOptions) -> Result<DataLoader<D>> {
        let size = options.batch_size;
        if size == 0 {
            misuse("DataLoader", "a batch of 0 samples");
        }
        let (set, device, skipped) = (Arc::new(set), device.clone(), Arc::default());
        let loader = DataLoader { set, device, options, state: Mutex::default(), resumes: Mutex::new(true), skipped };
        if loader.len() == 0 {
            let n = loader.set.len();
            let why = if n > 0 { "; drop_last leaves a smaller one out" } else { "" };
            return Err(Error::new(Kind::Data, format!("DataLoader: {n} samples make no batch of {size}{why}")));
        }
        Ok(loader)
    }

    /// The set.
    pub fn dataset(&self) -> &D {
        &self.set
    }

    /// How many batches the epoch that runs, or comes next, has.
    #[allow(clippy::len_without_is_empty, reason = "PyTorch's name; nobody asks whether a loader is empty")]
    pub fn len(&self) -> usize {
        self.order(self.state().epoch).len()
    }

    /// Where it is: after the batches that have been given, not those that threads have made ahead.
    pub fn state(&self) -> LoaderState {
        *self.state.lock()
    }

    /// Goes on where another loader of the same set and options was.
    pub fn load_state(&self, state: LoaderState) {
        *self.state.lock() = state;
        *self.resumes.lock() = true;
    }

    /// How many samples could not be read and were left out.
    pub fn skipped(&self) -> usize {
        *self.skipped.lock()
    }

    /// The next epoch's batches; what was left of an epoch that ended early is not shown.
    #[track_caller]
    pub fn iter(&self) -> Batches<'_, D> {
        let mut state = self.state();
        let resumes = std::mem::replace(&mut *self.resumes.lock(), false);
        if state.batch > 0 && (!resumes || state.batch >= self.len()) {
            state = LoaderState { epoch: state.epoch + 1, batch: 0 };
            *self.state.lock() = state;
        }
        let order = Arc::new(self.order(state.epoch));
        let count = self.options.workers.min(order.len().saturating_sub(state.batch));
        let workers = (0..count).map(|k| self.worker(order.clone(), state.batch + k, count)).collect();
        Batches { loader: self, order, next: state.batch, first: state.batch, ended: false, workers }
    }

    /// The samples of every batch of an epoch.
    #[track_caller]
    fn order(&self, epoch: u64) -> Vec<Vec<usize>> {
        let size = self.options.batch_size;
        let order = self.options.sampler.indices(self.set.len(), epoch);
        let last = if self.options.drop_last { size } else { 1 };
        order.chunks(size).filter(|batch| batch.len() >= last).map(<[usize]>::to_vec).collect()
    }

    /// A thread that makes every `step`th batch from `first` on.
    fn worker(&self, order: Arc<Vec<Vec<usize>>>, first: usize, step: usize) -> Worker<D> {
        let (send, batches): (SyncSender<_>, _) = sync_channel(self.options.prefetch.max(1));
        let (source, device) = (self.source(), self.device.clone());
        let thread = std::thread::Builder::new().name(format!("wgrad loader {first}")).spawn(move || {
            for indices in order[first..].iter().step_by(step) {
                // Whoever reads has gone: nobody wants the rest.
                if send.send(source.batch(indices, &device)).is_err() {
                    return;
                }
            }
        });
        Worker { batches, thread: Some(thread) }
    }

    fn source(&self) -> Source<D> {
        Source { set: self.set.clone(), bad_sample: self.options.bad_sample, skipped: self.skipped.clone() }
    }
}

impl<'a, D: Dataset + 'static> IntoIterator for &'a DataLoader<D> {
    type Item = Result<Batch<D>>;
    type IntoIter = Batches<'a, D>;

    #[track_caller]
    fn into_iter(self) -> Batches<'a, D> {
        self.iter()
    }
}

/// The batches of an epoch.
pub struct Batches<'a, D: Dataset + 'static> {
    loader: &'a DataLoader<D>,
    order: Arc<Vec<Vec<usize>>>,
    next: usize,
    first: usize,
    ended: bool,
    workers: Vec<Worker<D>>,
}

struct Worker<D: Dataset> {
    batches: Receiver<Result<Option<Batch<D>>>>,
    thread: Option<std::io::Result<JoinHandle<()>>>,
}

impl<D: Dataset> Worker<D> {
    fn batch(&mut self) -> Result<Option<Batch<D>>> {
        if let Ok(batch) = self.batches.recv() {
            return batch;
        }
        match self.thread.take() {
            Some(Ok(thread)) => match thread.join() {
                Err(panic) => resume_unwind(panic),
                Ok(()) => unreachable!("a thread makes all its batches"),
            },
            Some(Err(error)) => {
                Err(Error::with_source(Kind::Data, format!("DataLoader: no thread could be started: {error}"), error))
            }
            None => Err(Error::new(Kind::Data, "DataLoader: its thread has panicked")),
        }
    }
}

impl<D: Dataset + 'static> Iterator for Batches<'_, D> {
    type Item = Result<Batch<D>>;

    fn size_hint(&self) -> (usize, Option<usize>) {
        // A batch whose samples are all left out does not come.
        let most = self.order.len().saturating_sub(self.next);
        (if self.loader.options.bad_sample == BadSample::Fail { most } else { 0 }, Some(most))
    }

    fn next(&mut self) -> Option<Result<Batch<D>>> {
        loop {
            let Some(indices) = self.order[..].get(self.next) else {
                // The epoch is over, even if nobody begins another; asked again, it still is.
                if !std::mem::replace(&mut self.ended, true) {
                    let mut state = self.loader.state.lock();
                    *state = LoaderState { epoch: state.epoch + 1, batch: 0 };
                }
                return None;
            };
            let batch = match self.workers.len() {
                0 => self.loader.source().batch(indices, &self.loader.device),
                count => self.workers[(self.next - self.first) % count].batch(),
            };
            self.next += 1;
            self.loader.state.lock().batch = self.next;
            match batch {
                Ok(None) => {}
                Ok(Some(batch)) => return Some(Ok(batch)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// What a thread needs of a loader.
struct Source<D> {
    set: Arc<D>,
    bad_sample: BadSample,
    skipped: Arc<Mutex<usize>>,
}

impl<D: Dataset> Source<D> {
    /// The batch of some samples; `None` if all of them were left out.
    fn batch(&self, indices: &[usize], device: &Device) -> Result<Option<Batch<D>>> {
        if self.bad_sample == BadSample::Fail {
            return self.set.batch(indices, device).map(Some);
        }
        let samples: Vec<_> = indices.iter().filter_map(|&i| self.set.get(i).ok()).collect();
        *self.skipped.lock() += indices.len() - samples.len();
        if samples.is_empty() { Ok(None) } else { D::Item::collate(samples, device).map(Some) }
    }
}
