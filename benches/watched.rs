//! Landfall's own metrics, for benches that ask where the time goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit, with_local_recorder,
};

/// The values of histograms, by name and the label `phase`.
#[derive(Debug, Default, Clone)]
pub struct Watched(Arc<Mutex<Histograms>>);

type Histograms = HashMap<(String, String), Arc<Values>>;

#[derive(Debug, Default)]
struct Values(Mutex<Vec<f64>>);

impl HistogramFn for Values {
    fn record(&self, value: f64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(value);
    }
}

impl Watched {
    /// Watches the tables and pools that are made meanwhile, as long as they live.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        with_local_recorder(self, work)
    }

    /// What was recorded; `phase` is empty where there is none.
    pub fn values(&self, name: &str, phase: &str) -> Vec<f64> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let values = all.get(&(name.to_owned(), phase.to_owned()));
        values.map(|values| values.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap_or_default()
    }
}

impl Recorder for Watched {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let phase = key.labels().find(|label| label.key() == "phase").map(|label| label.value().to_owned());
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let values = all.entry((key.name().to_owned(), phase.unwrap_or_default())).or_default();
        Histogram::from_arc(Arc::clone(values))
    }
}
