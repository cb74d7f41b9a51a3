//! Numbers by step, kept in files.

use super::events::EventFile;
use crate::error::{Error, Kind, Result, misuse};
use crate::io::failed;
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Writes numbers by name and step to JSON lines, to TensorBoard's event files, or to both, each call at once.
///
/// ```
/// use wgrad::train::{Curves, Log};
/// # let folder = std::env::temp_dir().join(format!("wgrad-log-example-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// let mut log = Log::new().json_lines(folder.join("log.jsonl"))?.tensorboard(&folder)?;
/// log.scalar("loss", 100, 0.5)?;
/// log.scalars(200, [("loss", 0.25), ("accuracy", 0.9)])?;
/// // log.jsonl now ends with {"step":200,"time":1780000000.000,"loss":0.25,"accuracy":0.9}
/// assert_eq!(Curves::read(folder.join("log.jsonl"))?.points("loss"), [(100, 0.5), (200, 0.25)]);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), wgrad::Error>(())
/// ```
#[derive(Default)]
pub struct Log {
    lines: Option<(PathBuf, File)>,
    events: Option<EventFile>,
}

impl Log {
    /// A log that nothing is written to yet.
    pub fn new() -> Log {
        Log::default()
    }

    /// Also appends lines to a file, one JSON object per call: `step`, `time` in seconds since 1970, and the numbers. What is
    /// no number to JSON, NaN or an infinity, is `null`. Where a run was resumed, a step may stand there twice: the later
    /// line counts.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn json_lines(mut self, path: impl AsRef<Path>) -> Result<Log> {
        let path = path.as_ref();
        let written = std::fs::read(path).unwrap_or_default();
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(|e| failed(path, e))?;
        // A line that a run was writing when it was killed.
        let whole = written.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        if whole < written.len() {
            file.set_len(whole as u64).map_err(|e| failed(path, e))?;
        }
        self.lines = Some((path.to_path_buf(), file));
        Ok(self)
    }

    /// Also writes an event file of its own into a folder, which `tensorboard --logdir` shows; `/` in a name makes groups.
    ///
    /// # Errors
    /// If the folder or the file cannot be made.
    pub fn tensorboard(mut self, folder: impl AsRef<Path>) -> Result<Log> {
        self.events = Some(EventFile::create(folder)?);
        Ok(self)
    }

    /// Writes one number.
    ///
    /// # Errors
    /// If a file cannot be written.
    #[track_caller]
    pub fn scalar(&mut self, name: &str, step: u64, x: f64) -> Result<()> {
        self.scalars(step, [(name, x)])
    }

    /// Writes several numbers of one step, as those of [`Metrics::compute`](super::Metrics::compute).
    ///
    /// # Errors
    /// If a file cannot be written.
    ///
    /// # Panics
    /// If a number is called `step` or `time`.
    #[track_caller]
    pub fn scalars<N: AsRef<str>>(&mut self, step: u64, numbers: impl IntoIterator<Item = (N, f64)>) -> Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let numbers: Vec<(N, f64)> = numbers.into_iter().collect();
        let mut line = format!("{{\"{STEP}\":{step},\"{TIME}\":{time:.3}");
        for (name, x) in numbers.iter().map(|(name, x)| (name.as_ref(), *x)) {
            if matches!(name, STEP | TIME) {
                misuse("Log", format!("a number cannot be called {name}, which every line has"));
            }
            line += &format!(",{}:{}", Value::from(name), Value::from(x));
        }
        if let Some((path, file)) = &mut self.lines {
            // In one call, so that a line is whole whatever happens next.
            file.write_all((line + "}\n").as_bytes()).map_err(|e| failed(path, e))?;
        }
        if let Some(events) = &mut self.events {
            numbers.iter().try_for_each(|(name, x)| events.scalar(name.as_ref(), step, *x, time))?;
            events.flush()?;
        }
        Ok(())
    }
}

const STEP: &str = "step";
const TIME: &str = "time";

/// What [`Log::json_lines`] wrote: step, name and number, in the order of the lines.
pub(super) fn read_lines(path: &Path) -> Result<Vec<(u64, String, f64)>> {
    let text = std::fs::read_to_string(path).map_err(|e| failed(path, e))?;
    let mut numbers = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    for (i, line) in lines.iter().enumerate() {
        let wrong = |what: &str| Error::new(Kind::Data, format!("{}:{}: {what}", path.display(), i + 1));
        let object = match serde_json::from_str::<Map<String, Value>>(line) {
            Ok(object) => object,
            // What a run was writing when it was killed.
            Err(_) if i + 1 == lines.len() && !text.ends_with('\n') => break,
            Err(error) => return Err(wrong(&error.to_string())),
        };
        let step = object.get(STEP).and_then(Value::as_u64).ok_or_else(|| wrong("there is no step"))?;
        for (name, x) in object.iter().filter(|(name, _)| *name != STEP && *name != TIME) {
            numbers.push((step, name.clone(), x.as_f64().unwrap_or(f64::NAN)));
        }
    }
    Ok(numbers)
}
