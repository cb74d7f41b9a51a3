//! The one error type of the crate, and misuse panics that can be caught.
//!
//! Misuse of an operation (shapes, axes, dtypes, devices) is a bug in the caller's program and panics with the
//! caller's line. What depends on the world or on the state of a graph returns [`Result`].

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, Location};
use std::sync::Arc;

/// The result of whatever depends on the world or on the state of a graph.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Misuse,
    NoAdapter,
    UnknownDevice,
    OutOfMemory,
    DeviceLost,
    Graph,
    InPlace,
    Anomaly,
    Mismatch,
    NonFinite,
    Data,
    Other,
}

/// An error of wgrad: a message, a kind that the predicates tell, and the error that caused it.
///
/// ```
/// let error = wgrad::Device::named("abacus").unwrap_err();
/// assert!(error.is_unknown_device());
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error(Arc::new(Inner { kind, message: message.into(), source: None }))
    }

    pub(crate) fn with_source(
        kind: Kind,
        message: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Error {
        Error(Arc::new(Inner { kind, message: message.into(), source: Some(Box::new(source)) }))
    }

    /// An error of the user's own, for a [`Dataset`](crate::data::Dataset) or a [`Function`](crate::autograd::Function).
    ///
    /// ```
    /// let error = wgrad::Error::other("record 7 has no label");
    /// assert_eq!(error.to_string(), "record 7 has no label");
    /// ```
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        let source = error.into();
        Error(Arc::new(Inner { kind: Kind::Other, message: source.to_string(), source: Some(source) }))
    }

    /// The same error with a remark.
    pub(crate) fn remarked(self, remark: impl fmt::Display) -> Error {
        Error::with_source(self.0.kind, format!("{self}; {remark}"), self)
    }

    /// An operation was misused: a caught panic of [`catch`].
    pub fn is_misuse(&self) -> bool {
        self.0.kind == Kind::Misuse
    }

    /// No graphics adapter was found.
    pub fn is_no_adapter(&self) -> bool {
        self.0.kind == Kind::NoAdapter
    }

    /// A device was asked for by a name that fits none.
    pub fn is_unknown_device(&self) -> bool {
        self.0.kind == Kind::UnknownDevice
    }

    /// The device has no memory left, or one value is larger than it can bind.
    pub fn is_out_of_memory(&self) -> bool {
        self.0.kind == Kind::OutOfMemory
    }

    /// The device was lost or refused a command.
    pub fn is_device_lost(&self) -> bool {
        self.0.kind == Kind::DeviceLost
    }

    /// The autograd graph does not allow the call: freed, missing, or without a path.
    pub fn is_graph(&self) -> bool {
        self.0.kind == Kind::Graph
    }

    /// An in-place operation was refused, or changed a value that backward needed.
    pub fn is_in_place(&self) -> bool {
        self.0.kind == Kind::InPlace
    }

    /// Backward gave a gradient that is not a number, and anomalies were to be detected.
    pub fn is_anomaly(&self) -> bool {
        self.0.kind == Kind::Anomaly
    }

    /// A twin device found a value that differs from the reference, or a gradient check one that differs from differences.
    pub fn is_mismatch(&self) -> bool {
        self.0.kind == Kind::Mismatch
    }

    /// A result that [`Device::watch_non_finite`](crate::Device::watch_non_finite) looked at is infinite or NaN.
    pub fn is_non_finite(&self) -> bool {
        self.0.kind == Kind::NonFinite
    }

    /// A file or a text could not be understood.
    pub fn is_data(&self) -> bool {
        self.0.kind == Kind::Data
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.0.message)?;
        match &self.0.source {
            Some(source) => write!(f, " (caused by: {source})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| e.as_ref() as _)
    }
}

/// Runs `f` and turns a misuse panic inside it into an [`Error`], for hosts that must go on.
///
/// Nothing is poisoned: the device and all other tensors stay usable. Panics of other origin pass through.
///
/// ```
/// use wgrad::{Device, Tensor};
/// let dev = Device::cpu();
/// let (a, b) = (Tensor::zeros([2, 3], &dev), Tensor::zeros([4, 5], &dev));
/// let error = wgrad::catch(|| a.matmul(&b)).unwrap_err();
/// assert!(error.to_string().starts_with("matmul: inner sizes differ: [2, 3] x [4, 5] (3 != 4)"));
/// ```
pub fn catch<T>(f: impl FnOnce() -> T) -> Result<T> {
    CATCHING.set(CATCHING.get() + 1);
    let result = std::panic::catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(CATCHING.get() - 1);
    result.map_err(|payload: Box<dyn Any + Send>| match payload.downcast::<Misuse>() {
        Ok(misuse) => Error::new(Kind::Misuse, misuse.0),
        Err(other) => std::panic::resume_unwind(other),
    })
}

struct Misuse(String);

thread_local! {
    static CATCHING: Cell<usize> = const { Cell::new(0) };
}

/// Panics with `op: message` and the line of the caller of the public function.
#[track_caller]
pub(crate) fn misuse(op: &str, message: impl fmt::Display) -> ! {
    if CATCHING.get() > 0 {
        // Unwinding without the panic hook: whoever catches a misuse does not want it printed as well.
        let at = Location::caller();
        std::panic::resume_unwind(Box::new(Misuse(format!("{op}: {message} (at {}:{})", at.file(), at.line()))));
    }
    panic!("{op}: {message}");
}
