//! Shows the progress of a long write on a terminal.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::datasource::sink::DataSinkExec;
use datafusion::physical_plan::ExecutionPlan;
use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::files::Reading;

/// A shorter write shows no progress.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// The rows of one write, and the bytes of the files that it reads.
pub(crate) struct Progress {
    plan: Arc<dyn ExecutionPlan>,
    reading: Reading,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(plan: Arc<dyn ExecutionPlan>, reading: Reading) -> Self {
        Self { plan, reading, began: Instant::now(), bar: None }
    }

    /// Called a few times a second.
    pub(crate) fn tick(&mut self) {
        let elapsed = self.began.elapsed();
        if elapsed < SHOWN_AFTER || !io::stderr().is_terminal() {
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(
                ProgressStyle::with_template("{spinner} {wide_msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar
        });
        let count = |name| sink(&self.plan).map_or(0, |sink| counted(sink, name));
        let read = self.reading.read() + scanned(&self.plan);
        let shown = Shown {
            rows: count("rows"),
            resumed: count("resumed"),
            epochs: count("epochs"),
            bytes: self.reading.total.filter(|_| read > 0).map(|total| (read.min(total), total)),
            elapsed,
        };
        bar.set_message(shown.to_string());
        bar.tick();
    }
}

/// What is shown.
struct Shown {
    rows: u64,
    /// Rows that earlier runs of a job wrote.
    resumed: u64,
    epochs: u64,
    /// Bytes that were read, of all bytes.
    bytes: Option<(u64, u64)>,
    elapsed: Duration,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, resumed, epochs, bytes, elapsed } = *self;
        let seconds = elapsed.as_secs_f64();
        let (all, rate) = (HumanCount(resumed + rows), HumanCount((rows as f64 / seconds) as u64));
        write!(f, "{all} rows, {rate} rows/s, {} s", elapsed.as_secs())?;
        if let Some((read, total)) = bytes {
            let rate = read as f64 / seconds;
            let (read_bytes, rate_bytes) = (BinaryBytes(read), BinaryBytes(rate as u64));
            write!(f, ", {read_bytes} of {}, {rate_bytes}/s", BinaryBytes(total))?;
            let left = (total - read) as f64 / rate;
            if left.is_finite() && read < total {
                write!(f, ", {} s left", left.ceil())?;
            }
        }
        if resumed > 0 {
            write!(f, ", resumed after {} rows", HumanCount(resumed))?;
        }
        match epochs {
            0 => Ok(()),
            epochs => write!(f, ", {} checkpoints", HumanCount(epochs)),
        }
    }
}

/// A metric of a node.
fn counted(node: &Arc<dyn ExecutionPlan>, name: &str) -> u64 {
    let sum = node.metrics().and_then(|metrics| metrics.sum_by_name(name));
    sum.map_or(0, |sum| sum.as_usize() as u64)
}

/// The bytes that scans of Parquet files have read.
fn scanned(plan: &Arc<dyn ExecutionPlan>) -> u64 {
    let children: u64 = plan.children().into_iter().map(scanned).sum();
    children + counted(plan, "bytes_scanned")
}

/// The node that writes.
fn sink(plan: &Arc<dyn ExecutionPlan>) -> Option<&Arc<dyn ExecutionPlan>> {
    match plan.is::<DataSinkExec>() {
        true => Some(plan),
        false => plan.children().into_iter().find_map(sink),
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_shows_bytes_and_the_time_that_is_left() {
        let elapsed = Duration::from_millis(4_000);
        let none = Shown { rows: 1_200_000, resumed: 0, epochs: 0, bytes: None, elapsed };
        assert_eq!(none.to_string(), "1,200,000 rows, 300,000 rows/s, 4 s");
        let some = Shown { bytes: Some((10 << 20, 45 << 20)), ..none };
        let expected = "1,200,000 rows, 300,000 rows/s, 4 s, 10.00 MiB of 45.00 MiB, 2.50 MiB/s, 14 s left";
        assert_eq!(some.to_string(), expected);
        let all = Shown { bytes: Some((45 << 20, 45 << 20)), resumed: 5, epochs: 2, ..some };
        let expected = "1,200,005 rows, 300,000 rows/s, 4 s, 45.00 MiB of 45.00 MiB, 11.25 MiB/s, resumed after 5 rows, \
                        2 checkpoints";
        assert_eq!(all.to_string(), expected);
    }
}
