//! What the examples share: their arguments, how they open a device, and how they end.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;
use wgrad::Device;
use wgrad::io::Checkpoints;

/// What may go wrong in an example: an error of wgrad, of the system, or a text.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// The arguments that every example takes.
#[derive(clap::Parser)]
pub struct Common {
    /// cpu, gpu, twin, or part of an adapter's name [default: what WGRAD_DEVICE says, else the best]
    #[arg(long, value_name = "WORD")]
    pub device: Option<String>,
    /// Where the random numbers start
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
    /// Print the figures as one JSON object on the last line
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// Opens the device, seeds it, and says which it is.
    pub fn open(&self) -> Result<Device> {
        let dev = match &self.device {
            Some(word) => Device::named(word)?,
            None => Device::best()?,
        };
        dev.manual_seed(self.seed);
        println!("device: {}", dev.name());
        Ok(dev)
    }

    /// The last line, for whoever reads it by program.
    pub fn report(&self, figures: serde_json::Value) {
        if self.json {
            println!("{figures}");
        }
    }
}

/// Says which file an error is about.
#[allow(dead_code, reason = "not every example has files")]
pub fn about<E: Display>(path: &Path) -> impl Fn(E) -> Error {
    move |error| format!("{}: {error}", path.display()).into()
}

/// A loss that is a number; an error for one that is not, with the steps that a run may go on from.
#[allow(dead_code, reason = "not every example saves")]
pub fn finite(loss: f64, checkpoints: &Checkpoints) -> Result<f64> {
    match loss.is_finite() {
        true => Ok(loss),
        false => {
            Err(format!("the loss is {loss}; there are checkpoints after steps {:?}", checkpoints.steps()?).into())
        }
    }
}

/// Runs an example. An error is one line on standard error and exit code 1, never a panic.
pub fn run(name: &str, example: impl FnOnce() -> Result<ExitCode>) -> ExitCode {
    example().unwrap_or_else(|error| {
        eprintln!("{name}: error: {error}");
        ExitCode::FAILURE
    })
}
