//! Loss scaling: gradients in `f16` that would be too small for it are made larger, and smaller again before the step.

use crate::error::{Error, Kind, Result, misuse};
use crate::optim::optimizer::Optimizer;
use crate::state::{StateDict, as_in, number, read_number};
use crate::tensor::Tensor;
use crate::tensor::device::Device;
use crate::tensor::mode::no_grad;

/// What a [`GradScaler`] begins with, and how it changes.
#[derive(Clone, Copy, Debug)]
pub struct GradScalerOptions {
    /// The first scale.
    pub init_scale: f64,
    /// What the scale is multiplied by after `growth_interval` steps in a row with finite gradients.
    pub growth_factor: f64,
    /// What it is multiplied by after a step with a gradient that is infinite or NaN.
    pub backoff_factor: f64,
    /// See `growth_factor`.
    pub growth_interval: usize,
    /// Whether there is anything to do; otherwise losses stay as they are, and steps are plain steps.
    pub enabled: bool,
}

impl Default for GradScalerOptions {
    fn default() -> GradScalerOptions {
        GradScalerOptions {
            init_scale: 65536.0,
            growth_factor: 2.0,
            backoff_factor: 0.5,
            growth_interval: 2000,
            enabled: true,
        }
    }
}

/// A loss scale that finds itself: as large as gradients allow. Steps whose gradients are not finite are skipped. Scale and
/// decision stay on the device; nothing waits for them.
///
/// ```
/// use wgrad::amp::{GradScaler, autocast};
/// use wgrad::{DType, Device, Tensor, optim::Sgd};
/// let dev = Device::cpu();
/// let w = Tensor::new([[0.01, 0.02]], &dev).requires_grad_(true)?;
/// let (mut sgd, mut scaler) = (Sgd::new([&w], 0.1), GradScaler::new(&dev, Default::default()));
/// for _ in 0..2 {
///     sgd.zero_grad();
///     let loss = {
///         let _guard = autocast(DType::F16);
///         Tensor::ones([4, 2], &dev).linear(&w, None).mse_loss(&Tensor::zeros([4, 1], &dev), Default::default())
///     };
///     scaler.scale(&loss).backward()?;
///     scaler.unscale_(&sgd)?; // only if gradients are clipped or looked at
///     scaler.step(&mut sgd)?;
///     scaler.update()?;
/// }
/// assert_eq!((scaler.current_scale()?, sgd.skipped_steps()?), (65536.0, 0));
/// # Ok::<(), wgrad::Error>(())
/// ```
///
/// Source: [torch.amp.GradScaler](https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling).
pub struct GradScaler {
    options: GradScalerOptions,
    scale: Tensor,
    /// How many steps in a row were finite.
    growth_tracker: Tensor,
    /// Whose gradients have been unscaled since the last update.
    seen: Vec<Seen>,
}

struct Seen {
    optimizer: u64,
    finite: Tensor,
    stepped: bool,
}

impl GradScaler {
    /// A scaler for parameters on a device.
    ///
    /// # Panics
    /// If the scale is not positive, growth is not above 1, or backoff is not between 0 and 1.
    #[track_caller]
    pub fn new(device: &Device, options: GradScalerOptions) -> GradScaler {
        let GradScalerOptions { init_scale, growth_factor, backoff_factor, growth_interval, .. } = options;
        if !(init_scale > 0.0 && growth_factor > 1.0 && backoff_factor > 0.0 && backoff_factor < 1.0)
            || growth_interval == 0
        {
            misuse("GradScaler", format!("a scale cannot change by {options:?}"));
        }
        let (scale, growth_tracker) = (Tensor::full((), init_scale, device), Tensor::zeros((), device));
        GradScaler { options, scale, growth_tracker, seen: Vec::new() }
    }

    /// The loss times the scale: what backward is called on.
    #[track_caller]
    pub fn scale(&self, loss: &Tensor) -> Tensor {
        if self.options.enabled { loss * &self.scale } else { loss.clone() }
    }

    /// Divides the gradients of an optimizer's parameters by the scale. [`GradScaler::step`] does it if it has not been done;
    /// gradients are to be clipped after it.
    ///
    /// # Errors
    /// If no parameter has a gradient, or one cannot be changed.
    ///
    /// # Panics
    /// If it was done since the last update.
    #[track_caller]
    pub fn unscale_(&mut self, optimizer: &Optimizer) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        if let Some(seen) = self.seen(optimizer) {
            let how = if seen.stepped { "its step is done" } else { "it was called" };
            misuse("unscale_", format!("{how} already for this optimizer since the last update"));
        }
        let _unrecorded = no_grad();
        let factor = self.scale.reciprocal();
        for g in optimizer.parameters().filter_map(Tensor::grad) {
            g.untracked().mul_(&factor)?;
        }
        let finite = optimizer.finite().ok_or_else(|| {
            Error::new(Kind::Graph, "unscale_: no parameter of the optimizer has a gradient: was backward called?")
        })?;
        self.seen.push(Seen { optimizer: optimizer.id(), finite, stepped: false });
        Ok(())
    }

    /// The optimizer's step, if all its gradients are finite: see [`Optimizer::step_if`].
    ///
    /// # Errors
    /// As [`GradScaler::unscale_`] and [`Optimizer::step_if`].
    ///
    /// # Panics
    /// If it was called for this optimizer since the last update.
    #[track_caller]
    pub fn step(&mut self, optimizer: &mut Optimizer) -> Result<()> {
        if !self.options.enabled {
            return optimizer.step();
        }
        if self.seen(optimizer).is_none() {
            self.unscale_(optimizer)?;
        }
        let id = optimizer.id();
        let seen = self.seen.iter_mut().find(|seen| seen.optimizer == id).expect("gradients were unscaled");
        if seen.stepped {
            misuse("step", "it was called already for this optimizer since the last update");
        }
        seen.stepped = true;
        optimizer.step_if(&seen.finite)
    }

    /// Changes the scale by what the steps since the last update found. It is to be called once for all optimizers.
    ///
    /// # Errors
    /// If there was no step since the last update.
    #[track_caller]
    pub fn update(&mut self) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        let _unrecorded = no_grad();
        let finite = self.seen.drain(..).map(|seen| seen.finite).reduce(|a, b| a.logical_and(b));
        let Some(finite) = finite else {
            return Err(Error::new(Kind::Graph, "update: no gradients were unscaled since the last update"));
        };
        let GradScalerOptions { growth_factor, backoff_factor, growth_interval, .. } = self.options;
        let in_a_row = Tensor::where_(&finite, &self.growth_tracker + 1.0, 0.0);
        let grows = in_a_row.ge(growth_interval as f64);
        let larger = &self.scale * growth_factor;
        let larger = Tensor::where_(&grows.logical_and(larger.isfinite()), larger, &self.scale);
        self.scale = Tensor::where_(&finite, larger, &self.scale * backoff_factor);
        self.growth_tracker = Tensor::where_(&grows, 0.0, in_a_row);
        Ok(())
    }

    /// The scale; waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    #[doc(alias = "get_scale")]
    pub fn current_scale(&self) -> Result<f64> {
        self.scale.item()
    }

    /// The scale, how many steps in a row were finite, and the options, under PyTorch's names.
    pub fn state_dict(&self) -> StateDict {
        let GradScalerOptions { growth_factor, backoff_factor, growth_interval, .. } = self.options;
        let numbers = [
            ("growth_factor", growth_factor),
            ("backoff_factor", backoff_factor),
            ("growth_interval", growth_interval as f64),
        ];
        let mut state: StateDict = numbers.into_iter().map(|(name, x)| (name.to_string(), number(x))).collect();
        state.insert("scale".to_string(), self.scale.untracked());
        state.insert("_growth_tracker".to_string(), self.growth_tracker.untracked());
        state
    }

    /// Takes a state given by [`GradScaler::state_dict`], or by PyTorch's scaler; one that is off takes nothing.
    ///
    /// # Errors
    /// If an entry is missing: the error names it.
    pub fn load_state_dict(&mut self, state: &StateDict) -> Result<()> {
        if !self.options.enabled {
            return Ok(());
        }
        let tensor = |name: &str| {
            let x = state.get(name).filter(|x| x.numel() == 1);
            let x = x.ok_or_else(|| Error::new(Kind::Data, format!("load_state_dict: there is no number {name}")))?;
            Ok::<_, Error>(as_in(x, &self.scale)?.reshape(()).copy())
        };
        let (scale, growth_tracker) = (tensor("scale")?, tensor("_growth_tracker")?);
        let options = GradScalerOptions {
            growth_factor: read_number(state, "growth_factor")?,
            backoff_factor: read_number(state, "backoff_factor")?,
            growth_interval: read_number(state, "growth_interval")? as usize,
            ..self.options
        };
        (self.options, self.scale, self.growth_tracker) = (options, scale, growth_tracker);
        self.seen.clear();
        Ok(())
    }

    fn seen(&self, optimizer: &Optimizer) -> Option<&Seen> {
        self.seen.iter().find(|seen| seen.optimizer == optimizer.id())
    }
}
