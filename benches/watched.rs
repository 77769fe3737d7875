//! Landfall's own metrics, for benches that ask where the time goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ::metrics::{
    Counter, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};

/// The values of histograms and gauges.
#[derive(Debug, Default, Clone)]
pub struct Watched {
    histograms: Arc<Mutex<Histograms>>,
    gauges: Arc<Mutex<Gauges>>,
}

/// By name and the label `phase`.
type Histograms = HashMap<(String, String), Arc<Values>>;

/// By name; those of several tables or pools add up.
type Gauges = HashMap<String, Arc<Level>>;

#[derive(Debug, Default)]
struct Values(Mutex<Vec<f64>>);

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        locked(&self.0).push(value);
    }
}

/// A level that goes up and down.
#[derive(Debug)]
struct Level(Mutex<Area>);

/// What is under it so far.
#[derive(Debug)]
struct Area {
    level: f64,
    since: Instant,
    sum: f64,
}

impl Default for Level {
    fn default() -> Self {
        Self(Mutex::new(Area { level: 0.0, since: Instant::now(), sum: 0.0 }))
    }
}

impl Level {
    fn change(&self, new: impl FnOnce(f64) -> f64) -> f64 {
        let mut area = locked(&self.0);
        let now = Instant::now();
        area.sum += area.level * (now - area.since).as_secs_f64();
        area.since = now;
        area.level = new(area.level);
        area.sum
    }
}

impl GaugeFn for Level {
    fn increment(&self, value: f64) {
        self.change(|level| level + value);
    }

    fn decrement(&self, value: f64) {
        self.change(|level| level - value);
    }

    fn set(&self, value: f64) {
        self.change(|_| value);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watched {
    /// Watches the tables and pools that are made meanwhile, as long as they live.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        with_local_recorder(self, work)
    }

    /// What was recorded; `phase` is empty where there is none.
    pub fn values(&self, name: &str, phase: &str) -> Vec<f64> {
        let all = locked(&self.histograms);
        let values = all.get(&(name.to_owned(), phase.to_owned()));
        values.map(|values| locked(&values.0).clone()).unwrap_or_default()
    }

    /// The time that a gauge was watched, each second as often as the gauge said: what it grows by in a second is the
    /// gauge's mean.
    pub fn area(&self, name: &str) -> f64 {
        locked(&self.gauges).get(name).map_or(0.0, |level| level.change(|level| level))
    }
}

impl Recorder for Watched {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::clone(locked(&self.gauges).entry(key.name().to_owned()).or_default()))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let phase = key.labels().find(|label| label.key() == "phase").map(|label| label.value().to_owned());
        let mut all = locked(&self.histograms);
        let values = all.entry((key.name().to_owned(), phase.unwrap_or_default())).or_default();
        Histogram::from_arc(Arc::clone(values))
    }
}
