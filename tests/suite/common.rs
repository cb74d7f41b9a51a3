//! What all tests share: the devices they run on.

use std::sync::OnceLock;
use wgrad::{Device, Result};

/// The CPU and, where there is an adapter, the GPU and its twin.
pub fn devices() -> Vec<Device> {
    let mut devices = vec![Device::cpu()];
    if let Some(gpu) = gpu() {
        devices.push(gpu.clone());
        devices.push(Device::twin(&gpu).expect("an adapter that opened once opens twice"));
    }
    devices
}

/// Devices that no other test uses: for tests of random numbers, which each device counts, and of an index out of range, of
/// which a GPU tells whoever reads next.
pub fn own_devices() -> Vec<Device> {
    let mut devices = vec![wgrad::testing::open_cpu()];
    if gpu().is_some() {
        let open = |twin| wgrad::testing::open_gpu(true, twin, None).expect("an adapter that opened once opens again");
        devices.extend([open(false), open(true)]);
    }
    devices
}

/// The GPU, if there is one.
///
/// # Panics
/// Without an adapter, if `WGRAD_REQUIRE_GPU` is set: a run that skips the GPU must not pass for one that does not.
pub fn gpu() -> Option<Device> {
    static GPU: OnceLock<Option<Device>> = OnceLock::new();
    let open = || match Device::gpu() {
        Ok(gpu) => Some(gpu),
        Err(error) => {
            assert!(std::env::var_os("WGRAD_REQUIRE_GPU").is_none(), "WGRAD_REQUIRE_GPU is set, but: {error}");
            println!("no adapter: gpu and twin not tested ({error})");
            None
        }
    };
    GPU.get_or_init(open).clone()
}

/// Runs a test once on every device.
pub fn on_every_device(case: impl Fn(&Device) -> Result<()>) {
    for dev in devices() {
        // Printed only for a test that fails, above its panic.
        eprintln!("on {}:", dev.name());
        case(&dev).unwrap();
    }
}

/// Prints at once, past the capture of tests that pass: for what a run must say in any case.
pub fn say(text: &str) {
    use std::io::Write;
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
