//! How long work takes: warmed up until it takes as long as before, and what else the machine did meanwhile.

use std::fs::read_to_string;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wgrad::Result;

#[derive(Default)]
pub struct Timing {
    pub ms: Vec<f64>,
    warmup: usize,
    warm_tail_ms: f64,
    /// Cores that this process and all others used, and how many of its threads waited for one.
    own_cpu: f64,
    other_cpu: f64,
    wait: f64,
}

/// At least ten calls and a second, until five calls take as long as the five before; then at least ten calls, until three
/// seconds or two hundred calls.
pub fn bench(quick: bool, mut f: impl FnMut() -> Result<()>) -> Result<Timing> {
    let mut one = || {
        let start = Instant::now();
        f()?;
        Ok::<_, wgrad::Error>(start.elapsed().as_secs_f64() * 1e3)
    };
    if quick {
        return Ok(Timing { ms: vec![one()?, one()?, one()?], ..Timing::default() });
    }
    let (start, mut warm) = (Instant::now(), Vec::new());
    loop {
        warm.push(one()?);
        let (n, seconds) = (warm.len(), start.elapsed().as_secs_f64());
        if n >= 10 && seconds >= 1.0 {
            let (last, before) = (median(&warm[n - 5..]), median(&warm[n - 10..n - 5]));
            if (last - before).abs() <= 0.1 * before || seconds >= 30.0 {
                break;
            }
        }
    }
    let (start, before) = (Instant::now(), usage());
    let mut ms = Vec::new();
    while ms.len() < 10 || (start.elapsed().as_secs_f64() < 3.0 && ms.len() < 200) {
        ms.push(one()?);
    }
    let (wall, after) = (start.elapsed().as_secs_f64(), usage());
    let [own, all, wait] = std::array::from_fn(|i| (after[i] - before[i]) / wall);
    let warm_tail_ms = median(&warm[warm.len() - 5..]);
    Ok(Timing {
        ms,
        warmup: warm.len(),
        warm_tail_ms,
        own_cpu: own,
        other_cpu: (all - own).max(0.0),
        wait: wait.max(0.0),
    })
}

impl Timing {
    pub fn once(ms: f64) -> Timing {
        Timing { ms: vec![ms], ..Timing::default() }
    }

    pub fn median(&self) -> f64 {
        median(&self.ms)
    }

    pub fn bounds(&self) -> (f64, f64) {
        (self.ms.iter().copied().fold(f64::INFINITY, f64::min), self.ms.iter().copied().fold(0.0, f64::max))
    }

    pub fn extra(&self) -> [(&'static str, f64); 6] {
        [
            ("warmup", self.warmup as f64),
            ("warm_tail_ms", self.warm_tail_ms),
            ("own_cpu", self.own_cpu),
            ("other_cpu", self.other_cpu),
            ("wait", self.wait),
            ("peak_rss_mb", peak_rss_mb()),
        ]
    }
}

pub fn median(x: &[f64]) -> f64 {
    let mut x = x.to_vec();
    x.sort_by(f64::total_cmp);
    let n = x.len();
    (x[(n - 1) / 2] + x[n / 2]) / 2.0
}

/// Clock ticks are a hundredth of a second on Linux; elsewhere nothing is told.
const TICK: f64 = 100.0;

/// Seconds of this process, of the machine, and waited for a core.
fn usage() -> [f64; 3] {
    let numbers = |text: String, skip: usize| -> Vec<f64> {
        text.split_whitespace().skip(skip).map(|x| x.parse().unwrap_or(0.0)).collect()
    };
    let own = read_to_string("/proc/self/stat").unwrap_or_default();
    let own = numbers(own.rsplit(')').next().unwrap_or_default().to_string(), 0);
    let all = read_to_string("/proc/stat").unwrap_or_default();
    let all = numbers(all.lines().next().unwrap_or_default().to_string(), 1);
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let wait = tasks.map(|task| read_to_string(task.path().join("schedstat")).unwrap_or_default());
    let wait: f64 = wait.filter_map(|text| text.split_whitespace().nth(1)?.parse::<f64>().ok()).sum();
    let at = |list: &[f64], i: usize| list.get(i).copied().unwrap_or(0.0);
    let busy: f64 = [0, 1, 2, 5, 6, 7].map(|i| at(&all, i)).iter().sum();
    [(at(&own, 11) + at(&own, 12)) / TICK, busy / TICK, wait * 1e-9]
}

fn peak_rss_mb() -> f64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// Milliseconds since `PEERS_T0_NS`, a time in nanoseconds since 1970.
pub fn ms_since_start() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_nanos() as f64;
    let start = std::env::var("PEERS_T0_NS").ok().and_then(|text| text.parse::<f64>().ok());
    start.map_or(f64::NAN, |start| (now - start) / 1e6)
}
