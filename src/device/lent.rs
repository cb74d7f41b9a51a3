//! Bytes of device memory that somebody holds, and what profiles are told of it.

use crate::tensor::backend::Meter;
use crate::tensor::profile;
use std::sync::Arc;

/// The buffers of one device that are in use.
pub struct Lent {
    device: Arc<str>,
    meter: Meter,
}

impl Lent {
    /// None yet, on a device of this name.
    pub fn on(device: &str) -> Lent {
        Lent { device: device.into(), meter: Meter::default() }
    }

    /// More is in use.
    pub fn take(&self, bytes: usize) {
        let live = self.meter.add(bytes);
        profile::memory(&self.device, bytes as i64, live);
    }

    /// Less is in use.
    pub fn give_back(&self, bytes: usize) {
        let live = self.meter.remove(bytes);
        profile::memory(&self.device, -(bytes as i64), live);
    }

    /// How much is in use, and how much was at most.
    pub fn bytes(&self) -> (u64, u64) {
        (self.meter.now(), self.meter.peak())
    }
}
