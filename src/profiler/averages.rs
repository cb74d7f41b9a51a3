//! Events of one kind and name added up, and the table of them.

use super::{Event, EventKind, Profile};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// What events must share to be added up, besides their kind and name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupBy {
    /// Nothing more.
    #[default]
    Name,
    /// The shapes of their inputs.
    InputShapes,
    /// The user's lines. A kernel that several lines share stays with all of them: its time is not divided.
    SourceLine,
}

/// By what a table is sorted, the largest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// Time on the host without what is inside.
    #[default]
    SelfHostTime,
    /// Time on the host.
    HostTime,
    /// Time on devices.
    DeviceTime,
    /// How often it happened.
    Calls,
    /// Device memory that was taken.
    Allocated,
}

/// Events that were added up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Average {
    /// Their name.
    pub name: String,
    /// Their kind.
    pub kind: EventKind,
    /// The shapes of their inputs, if they were grouped by them.
    pub shapes: Vec<Vec<usize>>,
    /// Their lines, as `src/main.rs:12`, if they were grouped by them.
    pub lines: Vec<String>,
    /// How many they are.
    pub calls: usize,
    /// Time on the host, with the events inside. What is inside one of the same name counts for both.
    pub host_time: Duration,
    /// Time on the host without the events inside.
    pub self_host_time: Duration,
    /// Time on devices.
    pub device_time: Duration,
    /// Bytes that kernels have read and written, or that were moved.
    pub bytes: u64,
    /// Multiplications and additions of products.
    pub flops: u64,
    /// Bytes of device memory that were taken meanwhile, if that was asked for.
    pub allocated: u64,
}

/// A profile added up: [`Profile::key_averages`].
#[derive(Clone, Debug)]
pub struct Averages {
    rows: Vec<Average>,
    untimed: Vec<String>,
}

impl Profile {
    /// Adds up the events of one kind and name, and of the same shapes or lines if they are asked for.
    ///
    /// ```
    /// use wgrad::profiler::{GroupBy, ProfileOptions, profile};
    /// use wgrad::{Device, Tensor};
    /// let running = profile(ProfileOptions::default());
    /// let x = Tensor::rand([3, 2], &Device::cpu());
    /// (x.exp() + x.t().exp().t()).to_vec::<f32>()?;
    /// let profile = running.stop()?;
    /// let calls = |group_by| -> Vec<usize> {
    ///     let averages = profile.key_averages(group_by);
    ///     averages.rows().iter().filter(|row| row.name == "exp" && !row.shapes.is_empty()).map(|row| row.calls).collect()
    /// };
    /// assert_eq!(calls(GroupBy::InputShapes), [1, 1]);
    /// # Ok::<(), wgrad::Error>(())
    /// ```
    pub fn key_averages(&self, group_by: GroupBy) -> Averages {
        let mut rows: Vec<Average> = Vec::new();
        let mut places = HashMap::new();
        for event in self.events() {
            let shapes = if group_by == GroupBy::InputShapes { event.shapes.clone() } else { Vec::new() };
            let lines = if group_by == GroupBy::SourceLine { lines(event) } else { Vec::new() };
            let key = (event.kind, event.name.clone(), shapes, lines);
            let at = *places.entry(key).or_insert_with_key(|(kind, name, shapes, lines)| {
                rows.push(Average::of(*kind, name, shapes.clone(), lines.clone()));
                rows.len() - 1
            });
            rows[at].add(event);
        }
        Averages { rows, untimed: self.untimed_devices().to_vec() }
    }
}

/// The lines of an event as text, each once.
pub(super) fn lines(event: &Event) -> Vec<String> {
    let mut lines: Vec<String> = event.lines.iter().map(|at| format!("{}:{}", at.file(), at.line())).collect();
    lines.dedup();
    lines
}

impl Average {
    fn of(kind: EventKind, name: &str, shapes: Vec<Vec<usize>>, lines: Vec<String>) -> Average {
        Average {
            name: name.to_owned(),
            kind,
            shapes,
            lines,
            calls: 0,
            host_time: Duration::ZERO,
            self_host_time: Duration::ZERO,
            device_time: Duration::ZERO,
            bytes: 0,
            flops: 0,
            allocated: 0,
        }
    }

    fn add(&mut self, event: &Event) {
        self.calls += 1;
        if event.kind == EventKind::Kernel {
            self.device_time += event.duration;
        } else {
            self.host_time += event.duration;
            self.self_host_time += event.self_time;
        }
        self.bytes += event.bytes_read + event.bytes_written;
        self.flops += event.flops;
        self.allocated += event.allocated;
    }

    /// By what it is sorted.
    fn rank(&self, by: SortBy) -> u128 {
        match by {
            SortBy::SelfHostTime => self.self_host_time.as_nanos(),
            SortBy::HostTime => self.host_time.as_nanos(),
            SortBy::DeviceTime => self.device_time.as_nanos(),
            SortBy::Calls => self.calls as u128,
            SortBy::Allocated => self.allocated as u128,
        }
    }
}

const WIDTH: usize = 40;

impl Averages {
    /// The sums, in the order in which the first of their events began.
    pub fn rows(&self) -> &[Average] {
        &self.rows
    }

    /// A table of the largest ones.
    pub fn table(&self, by: SortBy, row_limit: usize) -> String {
        let mut rows: Vec<&Average> = self.rows.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.rank(by)));
        let columns = ["calls", "self host", "host", "device", "bytes", "rate", "allocated"];
        let mut text = format!("{:<9} {:<WIDTH$}", "kind", "name");
        columns.iter().for_each(|column| text += &format!(" {column:>12}"));
        text.push('\n');
        for row in rows.iter().take(row_limit) {
            let is_kernel = row.kind == EventKind::Kernel;
            let time = |time: Duration, is_shown: bool| if is_shown { micros(time) } else { String::new() };
            let cells = [
                row.calls.to_string(),
                time(row.self_host_time, !is_kernel),
                time(row.host_time, !is_kernel),
                time(row.device_time, is_kernel),
                counted(row.bytes, "B"),
                if is_kernel { rate(row) } else { String::new() },
                counted(row.allocated, "B"),
            ];
            text += &format!("{:<9} {:<WIDTH$}", row.kind.name(), shortened(&row.name));
            cells.iter().for_each(|cell| text += &format!(" {cell:>12}"));
            row.lines.iter().for_each(|line| text += &format!("  {line}"));
            row.shapes.iter().for_each(|shape| text += &format!("  {shape:?}"));
            text.push('\n');
        }
        if rows.len() > row_limit {
            text += &format!("and {} more\n", rows.len() - row_limit);
        }
        let host: Duration = rows.iter().map(|row| row.self_host_time).sum();
        let device: Duration = rows.iter().map(|row| row.device_time).sum();
        text += &format!("host {}, devices {}\n", micros(host), micros(device));
        for name in &self.untimed {
            text += &format!("{name} has no timestamps: the times of its kernels are not known.\n");
        }
        text
    }
}

/// All rows, those first that took the host longest.
impl fmt::Display for Averages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table(SortBy::default(), usize::MAX))
    }
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

/// What kernels reached: of products, arithmetic; of all others, memory.
fn rate(row: &Average) -> String {
    let seconds = row.device_time.as_secs_f64();
    if seconds == 0.0 {
        return String::new();
    }
    let (amount, unit) = if row.flops > 0 { (row.flops, "FLOP") } else { (row.bytes, "B") };
    counted((amount as f64 / seconds) as u64, &format!("{unit}/s"))
}

/// A count with a prefix; nothing for none.
fn counted(n: u64, unit: &str) -> String {
    match n {
        0 => String::new(),
        1..1_000 => format!("{n} {unit}"),
        1_000..1_000_000 => format!("{:.1} k{unit}", n as f64 * 1e-3),
        1_000_000..1_000_000_000 => format!("{:.1} M{unit}", n as f64 * 1e-6),
        _ => format!("{:.1} G{unit}", n as f64 * 1e-9),
    }
}

/// A name that fits its column.
fn shortened(name: &str) -> String {
    if name.chars().count() <= WIDTH {
        return name.to_owned();
    }
    name.chars().take(WIDTH - 1).chain(['…']).collect()
}
