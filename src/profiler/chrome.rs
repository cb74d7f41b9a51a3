//! A profile as Chrome's trace events, which Perfetto reads: rows of threads and devices, arrows from each operation to the
//! node that was run for it, counters of memory.
//!
//! Format: [Trace Event Format](https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU).

use super::averages::lines;
use super::{Event, EventKind, MemoryRecord, Profile};
use crate::error::Result;
use crate::io::failed;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The processes that rows stand under.
const HOST: u32 = 1;
const DEVICES: u32 = 2;

impl Profile {
    /// Writes the profile as a file for [Perfetto](https://ui.perfetto.dev) or `chrome://tracing`. Times are in microseconds
    /// from the beginning of the profile.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn export_chrome_trace(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let write = || -> std::io::Result<()> {
            let mut file = BufWriter::new(std::fs::File::create(path)?);
            write!(file, "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
            for (i, event) in self.chrome_events().iter().enumerate() {
                write!(file, "{}\n{event}", if i == 0 { "" } else { "," })?;
            }
            writeln!(file, "\n]}}")?;
            file.flush()
        };
        write().map_err(|error| failed(path, error))
    }

    fn chrome_events(&self) -> Vec<Value> {
        let mut rows = Rows::default();
        let mut all = Vec::new();
        // What a node was recorded by.
        let mut origins: HashMap<u64, (Value, (u32, usize))> = HashMap::new();
        // Timestamps of some adapters overlap a little, which no row can show.
        let mut ends: HashMap<(u32, usize), Duration> = HashMap::new();
        let mut arrows = 0;
        for event in self.events() {
            let place = rows.place(&event.row, event.kind == EventKind::Kernel);
            let mut start = event.start;
            let mut duration = event.duration;
            if event.kind == EventKind::Kernel {
                let end = ends.entry(place).or_default();
                start = start.max(*end);
                duration = (event.start + event.duration).saturating_sub(start);
                *end = start + duration;
            }
            let ts = micros(start);
            all.push(complete(event, ts.clone(), micros(duration), place));
            match (event.node, event.kind) {
                (None, _) => {}
                // A node that was run has no result of its own, as the operations of its rule have.
                (Some(node), EventKind::Backward) if event.output.is_none() => {
                    if let Some((from, (pid, tid))) = origins.get(&node) {
                        arrows += 1;
                        let arrow = json!({"name": "forward → backward", "cat": "autograd", "id": arrows});
                        all.push(with(&arrow, json!({"ph": "s", "ts": from, "pid": pid, "tid": tid})));
                        all.push(with(&arrow, json!({"ph": "f", "bp": "e", "ts": ts, "pid": place.0, "tid": place.1})));
                    }
                }
                (Some(node), _) => _ = origins.insert(node, (ts, place)),
            }
        }
        all.extend(self.memory().iter().map(counter));
        rows.named().chain(all).collect()
    }
}

/// The rows of threads and devices, numbered as they come.
#[derive(Default)]
struct Rows(Vec<(Arc<str>, u32)>);

impl Rows {
    /// Process and thread of a row.
    fn place(&mut self, row: &Arc<str>, is_device: bool) -> (u32, usize) {
        let process = if is_device { DEVICES } else { HOST };
        let known = self.0.iter().position(|(name, of)| name == row && *of == process);
        let at = known.unwrap_or_else(|| {
            self.0.push((row.clone(), process));
            self.0.len() - 1
        });
        (process, at + 1)
    }

    /// What tells their names.
    fn named(self) -> impl Iterator<Item = Value> {
        let name = |of: &str, pid: u32, tid: usize, name: &str| json!({"ph": "M", "name": of, "pid": pid, "tid": tid, "args": {"name": name}});
        let processes = [name("process_name", HOST, 0, "host"), name("process_name", DEVICES, 0, "devices")];
        let rows = self.0.into_iter().enumerate();
        processes.into_iter().chain(rows.map(move |(i, (row, pid))| name("thread_name", pid, i + 1, &row)))
    }
}

/// An event with a beginning and a duration.
fn complete(event: &Event, ts: Value, dur: Value, (pid, tid): (u32, usize)) -> Value {
    let mut args = serde_json::Map::new();
    let mut arg = |name: &str, value: Value| args.insert(name.into(), value);
    if !event.lines.is_empty() {
        arg("lines", json!(lines(event)));
    }
    if !event.shapes.is_empty() {
        arg("input shapes", json!(event.shapes));
    }
    if let Some((shape, dtype)) = &event.output {
        arg("shape", json!(shape));
        arg("dtype", json!(dtype.name()));
    }
    let numbers = [
        ("bytes read", event.bytes_read),
        ("bytes written", event.bytes_written),
        ("flops", event.flops),
        ("bytes allocated", event.allocated),
    ];
    for (name, number) in numbers.into_iter().filter(|(_, number)| *number > 0) {
        arg(name, json!(number));
    }
    if let Some(node) = event.node {
        arg("node", json!(node));
    }
    let (name, cat) = (&event.name, event.kind.name());
    json!({"ph": "X", "name": name, "cat": cat, "ts": ts, "dur": dur, "pid": pid, "tid": tid, "args": args})
}

fn counter(record: &MemoryRecord) -> Value {
    let name = format!("memory of {}", record.device);
    json!({"ph": "C", "name": name, "ts": micros(record.at), "pid": DEVICES, "tid": 0, "args": {"bytes in use": record.live}})
}

/// One object with the entries of another.
fn with(object: &Value, more: Value) -> Value {
    let mut all = object.clone();
    if let (Value::Object(all), Value::Object(more)) = (&mut all, more) {
        all.extend(more);
    }
    all
}

/// Microseconds with three digits, which are the nanoseconds.
fn micros(time: Duration) -> Value {
    json!(time.as_nanos() as f64 / 1e3)
}
