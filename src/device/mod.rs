//! Devices that play what is recorded: the CPU operation by operation, a GPU by plans, a twin both.

pub mod cpu;

use crate::error::{Error, Kind, Result};
use crate::tensor::device::Device;
use std::sync::OnceLock;

impl Device {
    /// The CPU: the reference, and what is used where there is no GPU. The only device with `F64` tensors.
    pub fn cpu() -> Device {
        static CPU: OnceLock<Device> = OnceLock::new();
        CPU.get_or_init(|| Device::new(cpu::Cpu::default())).clone()
    }

    /// The device a word names: `cpu`, `gpu`, `twin`, or part of an adapter's name.
    pub fn named(word: &str) -> Result<Device> {
        match word {
            "cpu" => Ok(Device::cpu()),
            _ => Err(Error::new(Kind::UnknownDevice, format!("no device is named {word:?}"))),
        }
    }

    /// The best device.
    pub fn best() -> Result<Device> {
        Ok(Device::cpu())
    }

    /// The best adapter.
    pub fn gpu() -> Result<Device> {
        Device::named("gpu")
    }
}
