//! `landfall bench`: measures how fast rows are written into a database of the user.

mod subject;

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;

use crate::arguments::{BenchArguments, Report};
use crate::message::Failure;
use datafusion_landfall::backend::Capability;
use datafusion_landfall::error::{Error, ErrorKind};
use datafusion_landfall::options::{Commit, SinkOptions};
use datafusion_landfall::options::{OnConflict, Upsert};
use subject::{Each, Subject};

/// The number of rows of a small statement whose latency is measured, and the number of such statements.
const SMALL: usize = 1_000;
const STATEMENTS: usize = 50;

/// The measurement of one way to write.
struct Measured {
    /// The topic. Ways of one topic are compared with each other.
    topic: &'static str,
    variant: String,
    rows: usize,
    /// The time of each run, in ascending order.
    times: Vec<Duration>,
}

impl Measured {
    fn median(&self) -> Duration {
        self.times.get(self.times.len() / 2).copied().unwrap_or_default()
    }

    /// Rows per second.
    fn rate(&self) -> f64 {
        self.rows as f64 / self.median().as_secs_f64().max(1e-9)
    }

    /// The latency that this percentage of the runs does not exceed.
    fn percentile(&self, percent: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get((last * percent).div_ceil(100)).copied().unwrap_or_default()
    }
}

/// Ways to write that are measured by writing the rows.
struct Variant {
    topic: &'static str,
    name: String,
    options: SinkOptions,
    /// Whether the table already contains the rows, and one of a hundred is changed.
    is_upsert: bool,
}

/// Measures, prints, and drops the objects that it created.
pub(crate) async fn run(arguments: BenchArguments) -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!(
            "note: this program was built without optimization, so it is slower than a release build: use cargo build \
             --release"
        );
    }
    let subject = Subject::open(arguments.url.clone(), arguments.password_env.as_deref(), arguments.rows).await?;
    let done = tokio::select! {
        measured = measure(&subject, &arguments) => measured,
        () = stopped() => Err(Failure::interrupted()),
    };
    // An abandoned statement may hold its locks for a moment.
    let mut cleaned = subject.clean_up().await;
    for _ in 0..5 {
        if !matches!(&cleaned, Err(error) if error.kind() == ErrorKind::Locked) {
            break;
        }
        cleaned = subject.clean_up().await;
    }
    let measured = match (done, cleaned) {
        (Err(failure), Ok(())) => return Err(failure),
        (Err(failure), Err(error)) => {
            eprintln!("note: {}", datafusion_landfall::sql::without_passwords(&error.to_string()));
            return Err(failure);
        }
        (Ok(_), Err(error)) => return Err(error.into()),
        (Ok(measured), Ok(())) => measured,
    };
    match arguments.report {
        Report::Table => Ok(()),
        Report::Json => print(&json(&subject.location(), &measured)),
    }
}

/// Waits for Ctrl-C, or for SIGTERM on systems that have it.
async fn stopped() {
    #[cfg(unix)]
    if let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminated.recv() => {}
        }
        return;
    }
    let _ = tokio::signal::ctrl_c().await;
}

async fn measure(subject: &Subject, arguments: &BenchArguments) -> Result<Vec<Measured>, Failure> {
    let rows = usize::try_from(arguments.rows).unwrap_or(usize::MAX);
    let is_shown = arguments.report == Report::Table;
    if is_shown {
        let runs = arguments.runs;
        print(&format!(
            "{}: {rows} rows, written to a table with a primary key; number of runs: {runs}. Each line shows the \
             median rate, and how many times the first rate of its section it is.\n",
            subject.location()
        ))?;
    }
    let mut all: Vec<Measured> = Vec::new();
    let mut is_told = "";
    let mut tell = |measured: Measured, all: &mut Vec<Measured>| -> Result<(), Failure> {
        if is_shown {
            if is_told != measured.topic {
                is_told = measured.topic;
                print(measured.topic)?;
            }
            print(&line(&measured, all))?;
        }
        all.push(measured);
        Ok(())
    };

    for (variant, each) in
        [("prepared INSERT, row by row", Each::Row), ("prepared INSERT, 1,000 rows at a time", Each::Many)]
    {
        let rows = each.rows_of(rows);
        let mut times = Vec::new();
        for _ in 0..arguments.runs {
            subject.fresh().await?;
            times.push(subject.insert(rows, each).await?);
        }
        tell(measured(WRITES, variant.into(), rows, times), &mut all)?;
    }
    for Variant { topic, name, options, is_upsert } in ways(subject, arguments).await? {
        let mut times = Vec::new();
        for _ in 0..arguments.runs {
            subject.fresh().await?;
            if is_upsert {
                subject.land(subject.options(), 0, rows).await?;
            }
            let options = match topic {
                CHECKPOINTS => options.clone().with_job(&format!("landfall bench {}", uuid::Uuid::new_v4()))?,
                _ => options.clone(),
            };
            times.push(subject.land(options, usize::from(is_upsert), rows).await?);
        }
        tell(measured(topic, name, rows, times), &mut all)?;
    }
    let mut times = Vec::new();
    for _ in 0..STATEMENTS {
        subject.fresh().await?;
        times.push(subject.land(one_writer(subject)?, 0, SMALL).await?);
    }
    tell(measured(LATENCY, format!("INSERT INTO of {SMALL} rows, including the commit"), SMALL, times), &mut all)?;
    Ok(all)
}

const WRITES: &str = "Writing rows";
const PHASES: &str = "Transactions";
const UPSERTS: &str = "Upserts that change 1 row of 100";
const CHECKPOINTS: &str = "Checkpoints";
const LATENCY: &str = "Latency";

fn one_writer(subject: &Subject) -> Result<SinkOptions, Error> {
    subject.options().with_writers(1)
}

/// The ways that can be measured with this database.
async fn ways(subject: &Subject, arguments: &BenchArguments) -> Result<Vec<Variant>, Failure> {
    let variant = |topic, name: &str, options| Variant { topic, name: name.into(), options, is_upsert: false };
    let mut ways = vec![variant(WRITES, "Landfall, INSERT INTO by one writer", one_writer(subject)?)];
    let branches = match subject.database.capability().await? {
        Capability::TwoPhase { branches } => branches,
        Capability::OnePhase => 0,
    };
    let counts = std::iter::successors(Some(2_u16), |count| count.checked_mul(2));
    for count in counts.take_while(|count| *count <= arguments.writers && u32::from(*count) <= branches) {
        let name = format!("Landfall, INSERT INTO by {count} writers, with two-phase commit");
        ways.push(variant(WRITES, &name, subject.options().with_writers(count)?));
    }
    if branches > 0 {
        ways.push(variant(PHASES, "one-phase commit", one_writer(subject)?.with_commit(Commit::OnePhase)?));
        ways.push(variant(PHASES, "two-phase commit", one_writer(subject)?.with_commit(Commit::TwoPhase)?));
    } else if arguments.report == Report::Table {
        let location = subject.location();
        let how = subject.database.how_to_prepare().map(|how| format!(" ({how})")).unwrap_or_default();
        eprintln!(
            "note: {location} cannot prepare transactions{how}, so two-phase commit and several writers are not measured"
        );
    }
    for (name, upsert) in
        [("with the option 'upsert' 'blind'", Upsert::Blind), ("with the option 'upsert' 'diff'", Upsert::Diff)]
    {
        let options = one_writer(subject)?.with_on_conflict(OnConflict::Update)?.with_upsert(upsert)?;
        ways.push(Variant { topic: UPSERTS, name: name.into(), options, is_upsert: true });
    }
    let every = u64::from(arguments.rows / 10);
    ways.push(variant(CHECKPOINTS, "one transaction", one_writer(subject)?));
    ways.push(variant(CHECKPOINTS, "ten transactions", one_writer(subject)?.with_checkpoint_rows(every)?));
    Ok(ways)
}

fn measured(topic: &'static str, variant: String, rows: usize, mut times: Vec<Duration>) -> Measured {
    times.sort();
    Measured { topic, variant, rows, times }
}

/// The first way of a topic, which the others are compared with.
fn first<'a>(measured: &'a Measured, all: &'a [Measured]) -> &'a Measured {
    all.iter().find(|other| other.topic == measured.topic).unwrap_or(measured)
}

fn line(measured: &Measured, all: &[Measured]) -> String {
    if measured.topic == LATENCY {
        let [p50, p95, p99] = [50, 95, 99].map(|percent| measured.percentile(percent).as_secs_f64() * 1e3);
        return format!("  {:<52} P50 {p50:.1} ms, P95 {p95:.1} ms, P99 {p99:.1} ms", measured.variant);
    }
    let times = measured.rate() / first(measured, all).rate();
    format!("  {:<52} {:>12} rows/s {:>7.2} times", measured.variant, grouped(measured.rate()), times)
}

/// A whole number with separated thousands.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn json(location: &str, all: &[Measured]) -> String {
    let ways = all.iter().map(|measured| {
        json!({
            "topic": measured.topic,
            "way": measured.variant,
            "rows": measured.rows,
            "seconds": measured.times.iter().map(Duration::as_secs_f64).collect::<Vec<_>>(),
            "rows_per_second": measured.rate(),
        })
    });
    json!({ "database": location, "measured": ways.collect::<Vec<_>>() }).to_string()
}

fn print(text: &str) -> Result<(), Failure> {
    crate::output::written(writeln!(io::stdout().lock(), "{text}"))
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::new(ErrorKind::Internal, error.to_string()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.8].map(grouped), ["0", "999", "1,000", "1,234,568"]);
    }

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times = (1..=50).map(Duration::from_millis).collect();
        let measured = measured(LATENCY, "w".into(), 1, times);
        assert_eq!([50, 95, 99].map(|percent| measured.percentile(percent).as_millis()), [26, 48, 50]);
    }
}
