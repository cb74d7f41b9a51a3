//! Readback: a copy to a buffer that the host can map, as a future that never blocks.

use super::Gpu;
use super::adapter::Context;
use super::pack::unpack;
use super::pool::PooledBuffer;
use super::reports::{Reports, STATUS_BYTES};
use crate::device::watch::Watched;
use crate::dtype::DType;
use crate::elements::Data;
use crate::error::{Error, Kind, Result};
use crate::plan::bytes_of;
use crate::tensor::backend::Read;
use parking_lot::Mutex;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, Waker};

/// Starts reading a buffer, or nothing, and what kernels have reported before.
pub(super) fn read(gpu: &Gpu, buffer: Option<&PooledBuffer>, dtype: DType, len: usize) -> Read {
    match start(gpu, buffer, dtype, len) {
        Ok(reading) => Box::pin(reading),
        Err(error) => Box::pin(async { Err(error) }),
    }
}

fn start(gpu: &Gpu, buffer: Option<&PooledBuffer>, dtype: DType, len: usize) -> Result<Reading> {
    let bytes = bytes_of(dtype, len);
    let staging = gpu.staging.lend(bytes + STATUS_BYTES)?;
    // Between a dispatch's words and its submission nobody may take what the words stand for.
    let player = gpu.player.lock();
    let reports = gpu.reports.disarm().map(|watched| (gpu.reports.clone(), watched));
    let context = &gpu.context;
    let mut encoder = context.device.create_command_encoder(&Default::default());
    if let Some(buffer) = buffer.filter(|_| bytes > 0) {
        encoder.copy_buffer_to_buffer(&buffer.raw, 0, &staging.raw, 0, bytes as u64);
    }
    if let Some((reports, _)) = &reports {
        encoder.copy_buffer_to_buffer(reports.status(), 0, &staging.raw, bytes as u64, STATUS_BYTES as u64);
        encoder.clear_buffer(reports.status(), 0, None);
    }
    let submission = context.queue.submit([encoder.finish()]);
    drop(player);
    let progress = Arc::new(Mutex::new(Progress::default()));
    let shared = progress.clone();
    staging.raw.map_async(wgpu::MapMode::Read, 0..(bytes + STATUS_BYTES) as u64, move |result| {
        shared.lock().end(
            result.map_err(|source| Error::with_source(Kind::DeviceLost, "a value could not be read back", source)),
        );
    });
    context.check()?;
    Ok(Reading {
        staging: Some(staging),
        progress,
        context: context.clone(),
        submission: Some(submission),
        reports,
        dtype,
        len,
    })
}

struct Reading {
    staging: Option<Arc<PooledBuffer>>,
    progress: Arc<Mutex<Progress>>,
    context: Arc<Context>,
    /// What has to be waited for, until someone does.
    submission: Option<wgpu::SubmissionIndex>,
    reports: Option<(Arc<Reports>, Vec<Watched>)>,
    dtype: DType,
    len: usize,
}

#[derive(Default)]
struct Progress {
    result: Option<Result<()>>,
    waker: Option<Waker>,
}

impl Progress {
    fn end(&mut self, result: Result<()>) {
        self.result.get_or_insert(result);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Future for Reading {
    type Output = Result<Data>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Result<Data>> {
        let result = {
            let mut progress = self.progress.lock();
            if progress.result.is_none() {
                progress.waker = Some(cx.waker().clone());
            }
            progress.result.take()
        };
        match result {
            Some(result) => Poll::Ready(result.and_then(|()| self.finish())),
            None => {
                self.see_to_progress();
                Poll::Pending
            }
        }
    }
}

impl Reading {
    fn finish(&mut self) -> Result<Data> {
        let staging = self.staging.take().expect("a read ends once");
        let bytes = bytes_of(self.dtype, self.len);
        let mapped = staging.raw.get_mapped_range(0..(bytes + STATUS_BYTES) as u64);
        let mapped =
            mapped.map_err(|source| Error::with_source(Kind::DeviceLost, "a value could not be read back", source))?;
        let data = unpack(&mapped[..bytes], self.dtype, self.len);
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(&mapped[bytes..]);
        drop(mapped);
        staging.raw.unmap();
        match self.reports.as_ref().and_then(|(reports, watched)| reports.error(&words, watched)) {
            Some(error) => Err(error),
            None => Ok(data),
        }
    }

    /// Callbacks come only while someone polls the device. Browsers do it themselves.
    fn see_to_progress(&mut self) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(submission) = self.submission.take() {
            let (context, progress) = (self.context.clone(), self.progress.clone());
            std::thread::spawn(move || {
                if let Err(error) = context.poll(Some(submission)) {
                    progress.lock().end(Err(error));
                }
            });
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(staging) = &self.staging {
            // Whether the mapping is done or under way, the buffer may be lent again only after it.
            staging.raw.unmap();
        }
    }
}
