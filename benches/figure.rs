//! A figure: what a bench prints, and what `benches/run` collects.

use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Rows in a second.
    Rows,
    /// Batches in a second.
    Batches,
    /// Bytes in a second.
    Bandwidth,
    /// Seconds.
    Time,
    /// Bytes.
    Memory,
    /// How many.
    Number,
    /// Hundredths.
    Percent,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows/s",
            Self::Batches => "batches/s",
            Self::Bandwidth => "bytes/s",
            Self::Time => "s",
            Self::Memory => "bytes",
            Self::Number => "count",
            Self::Percent => "%",
        }
    }

    /// Whether more of it is better.
    fn grows(self) -> bool {
        matches!(self, Self::Rows | Self::Batches | Self::Bandwidth | Self::Percent)
    }
}

/// A value as one reads it.
struct Shown(f64, Unit);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value, unit) = *self;
        match unit {
            Unit::Rows if value < 1e5 => write!(f, "{:.1} K rows/s", value / 1e3),
            Unit::Rows => write!(f, "{:.2} M rows/s", value / 1e6),
            Unit::Batches => write!(f, "{:.2} M batches/s", value / 1e6),
            Unit::Bandwidth => write!(f, "{:.1} GB/s", value / 1e9),
            Unit::Time if value < 1e-6 => write!(f, "{:.0} ns", value * 1e9),
            Unit::Time if value < 1e-3 => write!(f, "{:.1} µs", value * 1e6),
            Unit::Time if value < 1.0 => write!(f, "{:.2} ms", value * 1e3),
            Unit::Time => write!(f, "{value:.2} s"),
            Unit::Memory => write!(f, "{:.1} MiB", value / 1024.0 / 1024.0),
            Unit::Number => write!(f, "{value:.1}"),
            Unit::Percent => write!(f, "{value:.0} %"),
        }
    }
}

/// A bound that a figure is to keep.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// So many times as good as the other side, at least.
    Ratio(f64),
    /// The median, at least where more is better, else at most.
    Median(f64),
    /// 99 of 100, at most.
    P99(f64),
}

/// What was measured, several times.
#[derive(Debug)]
pub struct Figure {
    name: String,
    unit: Unit,
    values: Vec<f64>,
    /// The name of the other side, and its values, each measured beside the own one.
    beside: Option<(String, Vec<f64>)>,
    bars: Vec<Bar>,
    note: String,
}

impl Figure {
    pub fn new(name: impl Into<String>, unit: Unit, values: Vec<f64>) -> Self {
        Self { name: name.into(), unit, values, beside: None, bars: Vec::new(), note: String::new() }
    }

    /// Times, each of one thing that was done.
    pub fn times(name: impl Into<String>, times: impl IntoIterator<Item = Duration>) -> Self {
        Self::new(name, Unit::Time, times.into_iter().map(|time| time.as_secs_f64()).collect())
    }

    #[must_use]
    pub fn beside(mut self, name: impl Into<String>, values: Vec<f64>) -> Self {
        self.beside = Some((name.into(), values));
        self
    }

    /// Bounds that it is to keep; not of a quick run, as what a transaction costs by itself is more of fewer rows.
    #[must_use]
    pub fn bar(mut self, bar: impl IntoIterator<Item = Bar>) -> Self {
        self.bars.extend(bar.into_iter().filter(|_| !is_quick()));
        self
    }

    /// What else is to be known.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Prints it, and appends it to the file that `LANDFALL_BENCH_RESULTS` names. Nothing, where it was not measured
    /// because another bench was asked for.
    pub fn print(&self) {
        if self.values.is_empty() {
            return;
        }
        let own = sorted(&self.values);
        let shown = |value| Shown(value, self.unit);
        let mut line = format!("{}: ", self.name);
        let mut record = Map::new();
        let mut put = |name: &str, value: Value| drop(record.insert(name.into(), value));
        put("name", json!(self.name));
        put("unit", json!(self.unit.name()));
        put("better", json!(if self.unit.grows() { "higher" } else { "lower" }));
        put("value", json!(at(&own, 0.5)));
        put("low", json!(at(&own, 0.25)));
        put("high", json!(at(&own, 0.75)));
        let is_distribution = self.unit == Unit::Time && own.len() >= 100;
        if is_distribution {
            let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| at(&own, share));
            put("p50", json!(p50));
            put("p95", json!(p95));
            put("p99", json!(p99));
            let longest = own.last().copied().unwrap_or_default();
            let _ = write!(
                line,
                "P50 {}, P95 {}, P99 {}, longest {} of {}",
                shown(p50),
                shown(p95),
                shown(p99),
                shown(longest),
                own.len()
            );
        } else {
            let _ = write!(line, "landfall {}", shown(at(&own, 0.5)));
        }
        let mut ratios = Vec::new();
        if let Some((name, values)) = &self.beside {
            let advantage = |(own, beside): (&f64, &f64)| if self.unit.grows() { own / beside } else { beside / own };
            ratios = sorted(&self.values.iter().zip(values).map(advantage).collect::<Vec<_>>());
            let beside = at(&sorted(values), 0.5);
            let quartiles = [0.25, 0.5, 0.75].map(|share| at(&ratios, share));
            put("beside", json!({ "name": name, "value": beside }));
            put("ratio", json!(quartiles));
            let [low, median, high] = quartiles;
            let _ = write!(
                line,
                ", {name} {}; {} pairs, ratio {median:.2} (quartiles {low:.2} and {high:.2})",
                shown(beside),
                ratios.len()
            );
        } else if !is_distribution {
            let _ = write!(line, " (quartiles {} and {})", shown(at(&own, 0.25)), shown(at(&own, 0.75)));
        }
        let mut bars = Vec::new();
        let mut are_met = true;
        for bar in &self.bars {
            let (text, is_met) = match *bar {
                Bar::Ratio(bar) => (format!("ratio >= {bar}"), at(&ratios, 0.5) >= bar),
                Bar::Median(bar) if self.unit.grows() => (format!("at least {}", shown(bar)), at(&own, 0.5) >= bar),
                Bar::Median(bar) => (format!("at most {}", shown(bar)), at(&own, 0.5) <= bar),
                Bar::P99(bar) => (format!("P99 at most {}", shown(bar)), at(&own, 0.99) <= bar),
            };
            are_met &= is_met;
            bars.push(text);
        }
        if !bars.is_empty() {
            let _ = write!(line, "; bar {}: {}", bars.join(", "), if are_met { "met" } else { "MISSED" });
            put("bar", json!({ "text": bars.join(", "), "met": are_met }));
        }
        if !self.note.is_empty() {
            let _ = write!(line, "; {}", self.note);
            put("note", json!(self.note));
        }
        println!("{line}");
        append(&Value::Object(record));
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// The value that so many are not above; of few, the one in the middle.
fn at(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// The one in the middle.
pub fn median(values: &[f64]) -> f64 {
    at(&sorted(values), 0.5)
}

/// Appends a line to the file that is collected, where there is one.
pub fn append(record: &Value) {
    let Some(file) = std::env::var_os("LANDFALL_BENCH_RESULTS") else { return };
    let file = OpenOptions::new().create(true).append(true).open(file);
    writeln!(file.expect("the file of LANDFALL_BENCH_RESULTS"), "{record}")
        .expect("the file of LANDFALL_BENCH_RESULTS");
}

/// Rows of one measurement: fewer where `LANDFALL_BENCH_QUICK` is set.
pub fn rows(full: usize) -> usize {
    if is_quick() { full / 5 } else { full }
}

/// Whether a first impression is enough.
pub fn is_quick() -> bool {
    std::env::var_os("LANDFALL_BENCH_QUICK").is_some_and(|value| value != "0")
}
