//! Choosing a device: by kind, by name, by the environment, or the best there is.

use crate::device::cpu::Cpu;
use crate::device::gpu::{Gpu, GpuOptions, adapters};
use crate::device::twin::Twin;
use crate::error::{Error, Kind, Result};
use crate::tensor::device::Device;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::OnceLock;

/// The devices that are open, by name: a device is shared by the whole process.
static OPEN: Mutex<Option<HashMap<String, Device>>> = Mutex::new(None);

fn shared(name: String, open: impl FnOnce() -> Result<Device>) -> Result<Device> {
    let mut devices = OPEN.lock();
    let devices = devices.get_or_insert_default();
    if let Some(device) = devices.get(&name) {
        return Ok(device.clone());
    }
    let device = open()?;
    devices.insert(name, device.clone());
    Ok(device)
}

impl Device {
    /// The CPU: the reference, and what is used where there is no GPU. The only device with `F64` tensors.
    pub fn cpu() -> Device {
        static CPU: OnceLock<Device> = OnceLock::new();
        CPU.get_or_init(|| Device::new(Cpu::default())).clone()
    }

    /// The most powerful graphics adapter, a software one if there is no other.
    ///
    /// # Errors
    /// If there is none ([`Error::is_no_adapter`]), or it cannot be opened.
    pub fn gpu() -> Result<Device> {
        Device::gpu_named("")
    }

    /// The most powerful graphics adapter whose name contains `part`, whatever the case: `Device::gpu_named("llvmpipe")`.
    ///
    /// # Errors
    /// If there is none ([`Error::is_unknown_device`]; without any adapter [`Error::is_no_adapter`]).
    pub fn gpu_named(part: &str) -> Result<Device> {
        let found = adapters();
        if found.is_empty() {
            return Err(Error::new(
                Kind::NoAdapter,
                "no graphics adapter was found; Mesa's software Vulkan (mesa-vulkan-drivers) is one that needs no GPU",
            ));
        }
        let Some(adapter) = found.iter().find(|a| a.name.to_lowercase().contains(&part.to_lowercase())) else {
            return Err(unknown(part));
        };
        shared(adapter.name.clone(), || {
            Device::gpu_with(&GpuOptions { name: adapter.name.clone(), ..Default::default() })
        })
    }

    /// A GPU opened in a way of one's own: a device for itself, which shares nothing with [`Device::gpu`].
    ///
    /// # Errors
    /// As [`Device::gpu_named`].
    pub fn gpu_with(options: &GpuOptions) -> Result<Device> {
        Ok(Device::new(Gpu::open(options)?))
    }

    /// A device that plays everything on a GPU and on the CPU, and reports the first operation that differs: slow, and
    /// sure. Values are the CPU's. The GPU is opened once more by its name, with every optimisation of [`GpuOptions`] on,
    /// whatever `gpu` was opened with.
    ///
    /// A flush that finds a difference gives an error ([`Error::is_mismatch`]) that names operation, shapes, source line,
    /// adapter, the largest error and the shader.
    ///
    /// # Errors
    /// If `gpu` is no GPU, or cannot be opened a second time.
    pub fn twin(gpu: &Device) -> Result<Device> {
        let name = gpu.name();
        if name == Device::cpu().name() {
            return Err(Error::new(Kind::UnknownDevice, "a twin compares a GPU with the CPU, and was given the CPU"));
        }
        let options = GpuOptions { name: name.clone(), ..Default::default() };
        shared(format!("twin of {name}"), || Ok(Device::new(Twin::of(Gpu::open(&options)?))))
    }

    /// The device a word names: `cpu`, `gpu`, `twin`, or part of an adapter's name.
    ///
    /// ```
    /// let error = wgrad::Device::named("abacus").unwrap_err();
    /// assert!(error.to_string().starts_with("no device is called \"abacus\": choose cpu"));
    /// ```
    ///
    /// # Errors
    /// If there is no such device; the message lists the choices.
    pub fn named(word: &str) -> Result<Device> {
        match word {
            "cpu" => Ok(Device::cpu()),
            "gpu" => Device::gpu(),
            "twin" => Device::twin(&Device::gpu()?),
            _ if word.is_empty() || adapters().is_empty() => Err(unknown(word)),
            part => Device::gpu_named(part),
        }
    }

    /// A real GPU if there is one, else the CPU. The environment variable `WGRAD_DEVICE` overrides it with a word of
    /// [`Device::named`].
    ///
    /// # Errors
    /// If the variable names no device.
    pub fn best() -> Result<Device> {
        if let Some(word) = std::env::var_os("WGRAD_DEVICE") {
            return Device::named(&word.to_string_lossy());
        }
        match adapters().first() {
            Some(adapter) if adapter.kind != "cpu" => Device::gpu(),
            _ => Ok(Device::cpu()),
        }
    }
}

fn unknown(word: &str) -> Error {
    let names: Vec<String> = adapters().into_iter().map(|a| a.name).collect();
    let adapters = match names.is_empty() {
        true => "cpu (there is no graphics adapter)".to_owned(),
        false => format!("cpu, gpu, twin, or part of an adapter's name: {}", names.join(", ")),
    };
    Error::new(Kind::UnknownDevice, format!("no device is called {word:?}: choose {adapters}"))
}
