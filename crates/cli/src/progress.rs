//! Shows the progress of a long write on a terminal.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::datasource::sink::DataSinkExec;
use datafusion::physical_plan::ExecutionPlan;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A shorter write shows no progress.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// The rows of one write, including those that earlier runs of a job wrote, rows per second, and time.
pub(crate) struct Progress {
    plan: Arc<dyn ExecutionPlan>,
    began: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    pub(crate) fn new(plan: Arc<dyn ExecutionPlan>) -> Self {
        Self { plan, began: Instant::now(), bar: None }
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
                ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar
        });
        let metrics = sink(&self.plan).and_then(|sink| sink.metrics());
        let count =
            |name| metrics.as_ref().and_then(|metrics| metrics.sum_by_name(name)).map_or(0, |sum| sum.as_usize());
        let (rows, resumed, epochs) = (count("rows"), count("resumed"), count("epochs"));
        let rate = rows as f64 / elapsed.as_secs_f64();
        let mut message = format!(
            "{} rows, {} rows/s, {} s",
            HumanCount((resumed + rows) as u64),
            HumanCount(rate as u64),
            elapsed.as_secs()
        );
        if resumed > 0 {
            message += &format!(", resumed after {} rows", HumanCount(resumed as u64));
        }
        if epochs > 0 {
            message += &format!(", {} checkpoints", HumanCount(epochs as u64));
        }
        bar.set_message(message);
        bar.tick();
    }
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
