//! How far a loop is, for those who watch it.

#[cfg(feature = "progress")]
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use std::fmt::Write;
#[cfg(feature = "progress")]
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Shows how far a loop is: a bar on a terminal (feature `progress`), and elsewhere, as in a log, a line every ten seconds.
/// Both are written to standard error.
///
/// ```
/// use wgrad::train::Progress;
/// let progress = Progress::new();
/// let mut seen = 0;
/// for batch in progress.over([1, 2, 3]) { // or over `&loader`
///     seen += batch;
///     progress.show("seen", seen as f64);
/// }
/// progress.println(format!("{seen} in all"));
/// # assert_eq!((seen, progress.position()), (6, 3));
/// ```
///
/// A bar is of one loop, or, with [`Progress::steps`], of all loops together. [`Progress::show`] takes numbers that the host
/// has: it reads nothing from a device.
pub struct Progress {
    steps: Option<u64>,
    every: Duration,
    run: Mutex<Run>,
    #[cfg(feature = "progress")]
    bar: Option<ProgressBar>,
}

struct Run {
    position: u64,
    length: Option<u64>,
    begun: Instant,
    /// Where the clock was started, from which the rate is known.
    first: u64,
    said: Instant,
    shown: Vec<(String, f64)>,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new()
    }
}

impl Progress {
    /// A bar for each loop.
    pub fn new() -> Progress {
        let now = Instant::now();
        let run = Run { position: 0, length: None, begun: now, first: 0, said: now, shown: Vec::new() };
        Progress {
            steps: None,
            every: Duration::from_secs(10),
            run: Mutex::new(run),
            #[cfg(feature = "progress")]
            bar: std::io::stderr().is_terminal().then(bar),
        }
    }

    /// One bar for all loops, which together make so many steps.
    pub fn steps(total: u64) -> Progress {
        let mut progress = Progress::new();
        progress.steps = Some(total);
        progress.run.lock().length = Some(total);
        progress
    }

    /// The same after a number of steps, where a run goes on.
    pub fn at(self, position: u64) -> Progress {
        let mut run = self.run.lock();
        (run.position, run.first) = (position, position);
        drop(run);
        self
    }

    /// How much time lies between two lines, where there is no terminal: ten seconds, if this is not called.
    pub fn every(mut self, every: Duration) -> Progress {
        self.every = every;
        self
    }

    /// The same items, counted as they pass; the loop stays yours.
    pub fn over<I: IntoIterator>(&self, items: I) -> Over<'_, I::IntoIter> {
        let items = items.into_iter();
        if self.steps.is_none() {
            let now = Instant::now();
            let mut run = self.run.lock();
            let length = items.size_hint().1.map(|n| n as u64);
            *run = Run { position: 0, length, begun: now, first: 0, said: now, shown: std::mem::take(&mut run.shown) };
        }
        self.draw();
        Over { progress: self, items, given: false }
    }

    /// Shows a number beside the bar from now on, as a loss that was read.
    pub fn show(&self, name: &str, x: f64) {
        let mut run = self.run.lock();
        match run.shown.iter_mut().find(|(shown, _)| shown == name) {
            Some((_, shown)) => *shown = x,
            None => run.shown.push((name.to_string(), x)),
        }
    }

    /// Prints a line on standard output, above the bar.
    pub fn println(&self, line: impl AsRef<str>) {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            return bar.suspend(|| println!("{}", line.as_ref()));
        }
        println!("{}", line.as_ref());
    }

    /// How many items have been gone through.
    pub fn position(&self) -> u64 {
        self.run.lock().position
    }

    /// Where the loop is, in one line.
    ///
    /// ```
    /// let progress = wgrad::train::Progress::steps(200).at(50);
    /// progress.show("loss", 0.5);
    /// assert_eq!(progress.line(), "50 of 200, 0 s, loss 0.5000");
    /// ```
    pub fn line(&self) -> String {
        let run = self.run.lock();
        let mut line = match run.length {
            Some(length) => format!("{} of {length}", run.position),
            None => run.position.to_string(),
        };
        let seconds = run.begun.elapsed().as_secs_f64();
        let _ = write!(line, ", {seconds:.0} s");
        if let Some(left) = run.length.map(|length| length.saturating_sub(run.position)) {
            let done = run.position - run.first;
            if done > 0 && left > 0 {
                let _ = write!(line, ", {:.0} s left", seconds / done as f64 * left as f64);
            }
        }
        for (name, x) in &run.shown {
            let _ = write!(line, ", {name} {x:.4}");
        }
        line
    }

    fn step(&self) {
        let mut run = self.run.lock();
        run.position += 1;
        let due = run.said.elapsed() >= self.every;
        if due {
            run.said = Instant::now();
        }
        drop(run);
        if !self.draw() && due {
            eprintln!("{}", self.line());
        }
    }

    /// Draws the bar, if there is one.
    fn draw(&self) -> bool {
        #[cfg(feature = "progress")]
        if let Some(bar) = &self.bar {
            let (position, length) = {
                let run = self.run.lock();
                (run.position, run.length)
            };
            // The text is made only as often as the bar is drawn.
            bar.update(|state| {
                state.set_pos(position);
                if let Some(length) = length {
                    state.set_len(length);
                }
            });
            bar.set_message(self.line());
            return true;
        }
        false
    }
}

#[cfg(feature = "progress")]
impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(feature = "progress")]
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {msg}").expect("the template is right");
    ProgressBar::no_length().with_style(style)
}

/// The items of [`Progress::over`].
pub struct Over<'a, I> {
    progress: &'a Progress,
    items: I,
    /// Whether an item was given that has not been counted: it is done when the next one is asked for.
    given: bool,
}

impl<I: Iterator> Iterator for Over<'_, I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if std::mem::take(&mut self.given) {
            self.progress.step();
        }
        let item = self.items.next();
        self.given = item.is_some();
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.items.size_hint()
    }
}
